"""An act that waits, in words for a person. What it is comes from its own bytes; what surrounds it, from the house."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import msgspec

from deployment.desk.signing import Seen, seen
from deployment.desk.words import Act, Waiting, covered
from graveyard.words import Proposal, Violation
from mutable_core.clock import SECOND_NS
from mutable_core.errors import Broken
from mutable_core.messages import OperationAsked
from mutable_core.money import ATOMS_PER_UNIT, canonical

LEGIBLE_MAX = 2_000


def legible(text: str) -> str:
    """The text as a terminal can show it: nothing in it moves the cursor or hides what stands beside it."""
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text[:LEGIBLE_MAX])


def notional(act: Proposal) -> Decimal:
    """Quantity × the worst price of the fill: a buy's limit; of a sale, the higher of its limit and its stop."""
    prices = [act.limit_price]
    if act.side == "sell" and act.stop_price is not None:
        prices.append(act.stop_price)
    return canonical(act.quantity * max(prices))


def act_in_words(act: Proposal | OperationAsked, currency: str) -> str:
    """`buy 700 A at 100.25, stop 98, target 104, notional 70,175 USD`."""
    if isinstance(act, OperationAsked):
        return legible(f"{act.operation} of {covered(act.scope, act.name)}, asked by {act.by}: {act.reason}")
    return legible(
        f"{act.side} {act.quantity} {act.instrument} at {act.limit_price}, stop {act.stop_price}, "
        f"target {act.target_price}, notional {notional(act):,f} {currency}, by {act.strategy}"
    )


def drift_bp(act: Act) -> int | None:
    """How far the market has moved since, hundredths of a percent, signed, towards zero; None for an operation."""
    if not act.mark_then_atoms or not act.mark_now_atoms:
        return None
    return int(Decimal(act.mark_now_atoms - act.mark_then_atoms) * 10_000 / act.mark_then_atoms)


def listing(waiting: Waiting) -> list[str]:
    """Everything that waits or stands, a paragraph each."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(waiting.now_ns // SECOND_NS))
    left = f", {waiting.left_off} more are not listed" if waiting.left_off else ""
    count = len(waiting.acts)
    lines = [f"{count} {'act waits' if count == 1 else 'acts wait'} at {at} UTC of log time{left}"]
    for act in waiting.acts:
        lines += ["", *_paragraph(act, waiting.currency)]
    if waiting.standing:
        lines += ["", *(f"stands: {one.what} on {legible(covered(one.scope, one.name))}" for one in waiting.standing)]
    return lines


def _paragraph(act: Act, currency: str) -> list[str]:
    try:
        what = act_in_words(seen(act).act, currency)
    except Broken as error:
        what = f"CANNOT BE SIGNED: {error.what}"
    return [
        f"{legible(act.act_id)}  {what}",
        f"  {_people(act)}; {act.expires_in_ns / SECOND_NS:.1f} s of log time left; waits since position {act.position}",
        *_market(act),
        *(f"  {_violation(one)}" for one in act.violations),
    ]


def _people(act: Act) -> str:
    who = ", ".join(map(legible, act.signed)) or "nobody"
    return f"needs {act.needed} of the people, signed by {who}"


def _market(act: Act) -> list[str]:
    drift = drift_bp(act)
    if drift is None:
        return []
    then, now = (canonical(Decimal(one) / ATOMS_PER_UNIT) for one in (act.mark_then_atoms, act.mark_now_atoms))
    return [f"  market {then:f} when it was asked for, {now:f} now ({drift:+} bp)"]


def _violation(one: Violation) -> str:
    return legible(f"rule {one.rule}.{one.clause}: {one.why} (measured {one.measured}, limit {one.limit} {one.unit})")


def page(shown: Act, act: Seen, currency: str, person: str) -> list[str]:
    """The exact act, the exact statement, and what the house says beside."""
    return [
        *_paragraph(shown, currency),
        "",
        "act       the bytes that the digest is of",
        *(f"  {legible(act.canonical.decode()[at : at + 110])}" for at in range(0, len(act.canonical.decode()), 110)),
        f"digest    {act.digest}  (SHA-256, computed here)",
        f"statement {act.statement(person)!r}",
    ]


def as_json(act: Act) -> dict[str, Any]:
    """One act as JSON: as the house says it, and the act itself as it was read here."""
    try:
        read: Any = msgspec.to_builtins(seen(act).act)
    except Broken:
        read = None
    ours = {"act": read, "drift_bp": drift_bp(act), "expires_in_s": round(act.expires_in_ns / SECOND_NS, 3)}
    return msgspec.structs.asdict(act) | ours
