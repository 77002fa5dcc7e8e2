"""The checks in the order in which they are asked; the first that finds something names the reason."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from agents.kyle.gate import checks
from agents.kyle.gate.candidate import Candidate
from mutable_core.messages import Form, RejectReason


class Check(msgspec.Struct, frozen=True):
    """One law of the gate: the reason that it gives, the forms that it holds for, and how it finds a breach."""

    reason: RejectReason
    forms: tuple[Form, ...]
    find: Callable[[Candidate], str | None]


_EVERY: tuple[Form, ...] = ("bar", "quote", "trade")

CHECKS: tuple[Check, ...] = (
    Check("unknown_instrument", _EVERY, checks.unknown_instrument),
    Check("malformed", _EVERY, checks.malformed),
    Check("not_finite", _EVERY, checks.not_finite),
    Check("not_positive", _EVERY, checks.not_positive),
    Check("off_tick", _EVERY, checks.off_tick),
    Check("high_below_low", ("bar",), checks.high_below_low),
    Check("crossed", ("quote",), checks.crossed),
    Check("time_backwards", _EVERY, checks.time_backwards),
    Check("duplicate", ("bar",), checks.duplicate),
    Check("stale", _EVERY, checks.stale),
    Check("flagged_suspicious", _EVERY, checks.flagged_suspicious),
)
"""Two more need the rows before: `crossed` of the composite quote (`book`) and `jump_unconfirmed` (`jumps`)."""

_FINDS_OF = {form: tuple((check.reason, check.find) for check in CHECKS if form in check.forms) for form in _EVERY}


def first_flaw(c: Candidate) -> tuple[RejectReason, str] | None:
    """The reason and a short detail of the first check that does not pass; None for a clean row."""
    for reason, find in _FINDS_OF[c.row.form]:
        detail = find(c)
        if detail is not None:
            return reason, detail
    return None
