"""Why a decision was made, from the journal alone: its inputs, every rule, the verdict, and its order's life."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import msgspec

from graveyard.ethics import RULES, numbered
from graveyard.expressions import Fact, terms
from graveyard.judge import explain
from graveyard.words import Evidence, Facts
from mutable_core.errors import UnknownName
from mutable_core.journal.search import Found, row_at, rows_with
from mutable_core.messages import (
    AnyBody,
    ApprovalAwaited,
    Approved,
    Envelope,
    Grounds,
    Observed,
    OrderIntended,
    PersonSigned,
    ProposalMade,
    Refused,
)
from mutable_core.privacy import redacted_fields

_TRACE_REACH = 10_000
_HEX_ID = re.compile(r"[0-9a-f]{8,32}(\.stop|\.target)?")


class Why(msgspec.Struct, kw_only=True):
    """One decision. Times are ns as strings; ages in seconds; `after_ms` is measured, since the trace's first message.

    Attributes:
        ruleset, proofs: SHA-256 of the rules that were heard, and of the report that proves them.
        rules: every clause with its numbers; `facts` names what it reads, `positions` where in the log that stands.
        grounds: log positions of what the facts were folded from.
        nearest: the nearest act that would have passed.
        people: who signed, and where in the log.
    """

    journal: str
    decision_id: str
    trace_id: str
    approved: bool
    status: Literal["approved", "refused", "waiting"]
    ruleset: str
    proofs: str
    proposal: dict[str, Any]
    inputs: list[dict[str, Any]]
    rules: list[dict[str, Any]]
    facts: dict[str, Any]
    grounds: dict[str, Any]
    violations: list[dict[str, Any]]
    nearest: dict[str, Any] | None
    people: list[dict[str, Any]]
    life: list[dict[str, Any]]


def why(journals: list[Path], decision: str) -> Why:
    """The decision that `decision` names: an id (proposal, order, trace or message) or a log position.

    Raises:
        UnknownName: no journal holds it, or what holds it is no decision.
    """
    if not journals:
        raise UnknownName("there is no journal", to_do="run `ark run` first, or give a path with `--journal`")
    for path in journals:
        found = _located(path, decision)
        if found is not None:
            return _why(path, decision, found)
    raise UnknownName(
        f"no decision is called `{decision[:80]}`",
        where=f"{len(journals)} journal(s)",
        to_do="take the id from a `decision.approved` or `decision.refused` row, or a log position",
    )


def _located(path: Path, decision: str) -> Envelope | None:
    """The message of this journal that `decision` names: an id, the beginning of one, or a log position.

    Raises:
        UnknownName: the beginning of ids of several decisions.
    """
    if _HEX_ID.fullmatch(decision):
        named = _by_id(path, decision.partition(".")[0])
        if named is not None:
            return named
    return row_at(path, int(decision)) if decision.isascii() and decision.isdigit() and len(decision) < 16 else None


def _by_id(path: Path, start: str) -> Envelope | None:
    """A message that is of the decision whose id, or one of whose messages' or orders' ids, begins with `start`."""
    found: dict[str, Envelope] = {}
    for one in rows_with(path, start):
        envelope = one.envelope
        if any(known.startswith(start) for known in _ids_of(envelope)):
            found.setdefault(_proposal_of(envelope) or envelope.trace_id, envelope)
    of_decisions = {key: envelope for key, envelope in found.items() if _proposal_of(envelope)}
    if len(of_decisions) > 1 and not any(key == start for key in of_decisions):
        traces = {envelope.trace_id for envelope in of_decisions.values()}
        if len(traces) > 1 or start not in traces:
            some = ", ".join(f"`{key[:16]}…`" for key in list(of_decisions)[:4])
            raise UnknownName(f"`{start}` is the beginning of several: {some}", to_do="write more of it")
    return next(iter((of_decisions or found).values()), None)


def _ids_of(envelope: Envelope) -> tuple[str, ...]:
    body = envelope.body
    order = getattr(body, "order", None)
    own = str(getattr(body, "client_order_id", "") or getattr(order, "client_order_id", ""))
    return envelope.id, envelope.trace_id, _proposal_of(envelope), own


def _proposal_of(envelope: Envelope) -> str:
    """The proposal that a message is about; empty where it is about none, or about a whole trace."""
    body = envelope.body
    if isinstance(body, ProposalMade):
        return body.proposal.proposal_id
    if isinstance(body, OrderIntended):
        return body.order.proposal_id
    return str(getattr(body, "proposal_id", "") or getattr(body, "act_id", ""))


def _why(path: Path, decision: str, named: Envelope) -> Why:
    trace_id = named.trace_id
    # A trace id is also its first message's: what begins the trace lies a few rows before, in the same commit or the last.
    trace = list(rows_with(path, trace_id, from_seq=max(1, named.seq - _TRACE_REACH)))
    if trace[0].envelope.depth:
        trace = list(rows_with(path, trace_id))
    made = _made(trace, _proposal_of(named))
    if made is None:
        raise UnknownName(
            f"`{decision[:80]}` is known, but no proposal was made in its trace",
            where=path.name,
            to_do="take the id of a proposal",
        )
    proposal = made.envelope.body.proposal  # type: ignore[union-attr]
    verdict = next(
        (body for found in reversed(trace) if _decides(body := found.envelope.body, proposal.proposal_id)),
        None,
    )
    if not isinstance(verdict, Approved | Refused | ApprovalAwaited):
        raise UnknownName(
            f"proposal `{proposal.proposal_id}` has no verdict in this journal",
            where=path.name,
            to_do="start the run again: what a crash cut off is decided then",
        )
    said, grounds = verdict.verdict, verdict.grounds
    return Why(
        journal=str(path),
        decision_id=proposal.proposal_id,
        trace_id=trace_id,
        approved=isinstance(verdict, Approved),
        status=_STATUS[type(verdict)],
        ruleset=said.ruleset,
        proofs=grounds.proofs,
        proposal=msgspec.to_builtins(proposal),
        inputs=[_input(path, trace, evidence, made.envelope) for evidence in proposal.evidence],
        rules=_rules(verdict.facts, grounds),
        facts=msgspec.to_builtins(verdict.facts),
        grounds=msgspec.to_builtins(grounds),
        violations=[msgspec.to_builtins(violation) for violation in said.violations],
        nearest=None if said.nearest is None else msgspec.to_builtins(said.nearest),
        people=[_signer(path, position) for position in grounds.people],
        life=[_event(found, trace[0].stamp_ns) for found in trace],
    )


_STATUS: dict[type, Literal["approved", "refused", "waiting"]] = {
    Approved: "approved",
    Refused: "refused",
    ApprovalAwaited: "waiting",
}


def _decides(body: AnyBody, proposal_id: str) -> bool:
    if isinstance(body, ApprovalAwaited):
        return body.act_id == proposal_id
    return isinstance(body, Approved | Refused) and body.proposal_id == proposal_id


def _rules(facts: Facts, grounds: Grounds) -> list[dict[str, Any]]:
    """Every clause with its numbers, the facts that it reads, and where in the log they stand."""
    rows = []
    for finding, (_, _, clause) in zip(explain(facts), numbered(RULES), strict=True):
        read = tuple(dict.fromkeys(term.name for term in terms(clause) if isinstance(term, Fact)))
        positions = sorted({position for name in read for position in positions_of(name, grounds) if position})
        rows.append(msgspec.to_builtins(finding) | {"facts": read, "positions": positions})
    return rows


def positions_of(fact: str, grounds: Grounds) -> tuple[int, ...]:
    """Where in the log what this fact was folded from stands; the act's own message where it says of itself."""
    if fact.startswith("evidence_"):
        return grounds.evidence
    if fact.startswith("people"):
        return grounds.people
    if fact in _BY_MARKET:
        return (grounds.market,)
    if fact in _BY_LEASE:
        return (grounds.lease,)
    if fact in _BY_BOOK:
        return (grounds.book, grounds.market)
    if fact in _BY_STANDING:
        return (grounds.standing,)
    return (grounds.day,) if fact in _BY_DAY else (grounds.proposal,)


_BY_MARKET = frozenset({
    "bar_volume_atoms", "day_volume_atoms", "day_traded_micros", "rise_bp", "market_age_ns", "sources_apart_bp",
    "price_drift_bp",
})  # fmt: skip
_BY_LEASE = frozenset({
    "lease_age_ns", "lease_term_ns", "kill_path_age_ns", "keystore_exposed", "ruleset_matches", "seal_signatures",
    "seal_faults", "seal_age_ns", "venue_is_up",
})  # fmt: skip
_BY_BOOK = frozenset({
    "is_opening", "equity_micros", "exposure_after_micros", "gross_after_micros", "day_loss_after_micros",
    "instruments_after", "recent_orders", "recent_cancels", "own_orders_crossed", "own_orders_layered",
    "day_notional_after_micros",
})  # fmt: skip
_BY_STANDING = frozenset({
    "vetoes_standing", "halt_level", "consents_missing", "snapshot_age_ns", "filed_catalysts", "own_broadcasts",
    "others_signals",
})  # fmt: skip
_BY_DAY = frozenset({"day_start_equity_micros"})


def _signer(path: Path, position: int) -> dict[str, Any]:
    signed = row_at(path, position)
    body = None if signed is None else signed.body
    name = body.person if isinstance(body, PersonSigned) else ""
    return {"person": name, "seq": position, "seen_ns": "" if signed is None else str(signed.ts_seen_ns)}


def _made(trace: list[Found], proposal_id: str) -> Found | None:
    for found in trace:
        body = found.envelope.body
        if isinstance(body, ProposalMade) and proposal_id in ("", body.proposal.proposal_id):
            return found
    return None


def _input(path: Path, trace: list[Found], evidence: Evidence, made: Envelope) -> dict[str, Any]:
    """One cited number with the row that it stands in and its age when the proposal was made."""
    for found in chain(trace, rows_with(path, evidence.observation_id)):
        source = found.envelope
        if source.id == evidence.observation_id and isinstance(source.body, Observed):
            return {
                "field": evidence.field,
                "value": str(evidence.value),
                "instrument": source.body.instrument,
                "row": source.body.row,
                "seq": source.seq,
                "age_s": (made.ts_seen_ns - source.ts_seen_ns) / 1e9,
            }
    return {"field": evidence.field, "value": str(evidence.value), "row": None, "seq": None, "age_s": None}


def _event(found: Found, began_ns: int) -> dict[str, Any]:
    envelope = found.envelope
    return {
        "seq": envelope.seq,
        "author": envelope.author,
        "kind": envelope.kind,
        "seen_ns": str(envelope.ts_seen_ns),
        "after_ms": round((found.stamp_ns - began_ns) / 1e6, 3),
        "what": in_words(envelope),
    }


def in_words(envelope: Envelope) -> str:
    """The telling fields of a message."""
    fields = redacted_fields(msgspec.to_builtins(envelope.body))
    telling = (
        "proposal_id", "act_id", "operation_id", "operation", "scope", "name", "level", "agent", "fault", "why", "by",
        "person", "instrument", "reason", "outcome", "side", "price", "quantity", "remaining", "leg", "rules", "finding",
        "how", "detail",
    )  # fmt: skip
    return " ".join(f"{name}={fields[name]}" for name in telling if fields.get(name) not in (None, ""))
