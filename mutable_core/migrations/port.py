"""What a migration is: one step of one store, there and back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import msgspec

Step = Callable[[sqlite3.Connection], None]
"""Changes what the store holds, inside a transaction that the caller began and will end. Raises what stops it."""


class Migration(msgspec.Struct, frozen=True):
    """From format `number` − 1 of `store` to `number`, and back.

    Attributes:
        store: `journal` or `state`.
        what: one sentence for the person who runs it.
        up, down: each must refuse (raise) a store that does not hold what its format promises: a damaged store is never
            made to look whole. `down` after `up` gives the same contents, byte for byte.
    """

    store: str
    number: int
    what: str
    up: Step
    down: Step
