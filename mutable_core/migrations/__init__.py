"""How a store of an older build becomes one of this build, and the way back. A migration exists only if its line stands here."""

from mutable_core.migrations import journal_2
from mutable_core.migrations.port import Migration
from mutable_core.migrations.running import Migrated, format_of, migrate

MIGRATIONS: tuple[Migration, ...] = (journal_2.MIGRATION,)
"""In their order; the numbers of one store are contiguous."""

FIRST: dict[str, int] = {"journal": 1, "state": 1}
"""The oldest format of each store that there ever was."""

NEWEST: dict[str, int] = {
    store: max([first, *(one.number for one in MIGRATIONS if one.store == store)]) for store, first in FIRST.items()
}
"""The format that this build reads and writes."""

__all__ = ["FIRST", "MIGRATIONS", "NEWEST", "Migrated", "Migration", "format_of", "migrate"]
