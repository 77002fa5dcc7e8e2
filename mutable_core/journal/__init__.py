"""The append-only, hash-chained truth of this house."""

from mutable_core.journal.store import Journal
from mutable_core.journal.verify import Checked, Report, checked_rows, verify

__all__ = ["Checked", "Journal", "Report", "checked_rows", "verify"]
