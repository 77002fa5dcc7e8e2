"""The append-only, hash-chained truth of this house."""

from mutable_core.journal.anchor import Anchor
from mutable_core.journal.signing import Signer
from mutable_core.journal.store import Journal
from mutable_core.journal.verify import Checked, Report, checked_rows, verify

__all__ = ["Anchor", "Checked", "Journal", "Report", "Signer", "checked_rows", "verify"]
