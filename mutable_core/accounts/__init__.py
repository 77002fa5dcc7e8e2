"""The full ledger of an account, folded from the log: every posting, by strategy, with holds, results and NAV."""

from mutable_core.accounts.entries import COLUMNS, HOUSE, Entry, SubPosting, lines_of
from mutable_core.accounts.folding import AccountLedger, Ordered
from mutable_core.accounts.results import Held, Nav, Result, account_nav, results
from mutable_core.accounts.series import Every, Point, every, series

__all__ = [
    "COLUMNS",
    "HOUSE",
    "AccountLedger",
    "Entry",
    "Every",
    "Held",
    "Nav",
    "Ordered",
    "Point",
    "Result",
    "SubPosting",
    "account_nav",
    "every",
    "lines_of",
    "results",
    "series",
]
