"""From a message that asks to the answer that must follow: approved, refused, or waiting for people.

Everybody who keeps a docket calls `answer` for every message and gets the same answers: HRM says them, Aletheia
compares them with what HRM said, the authority signs only what it found itself.
"""

from __future__ import annotations

from bisect import bisect_right
from hashlib import sha256
from typing import NamedTuple, TypeAlias

from immutables import Map

from graveyard.ethics import RULES, numbered
from graveyard.expressions import Const, Fact
from graveyard.judge import judge
from graveyard.nearest import Room
from graveyard.people import is_signed, statement
from graveyard.words import Proposal, Verdict, Violation, digest
from mutable_core import book as books
from mutable_core import standing as standings
from mutable_core.book import Hold
from mutable_core.clock import MINUTE_NS, SECOND_NS
from mutable_core.docket.evidence import cited as look_up
from mutable_core.docket.facts import UNSIGNED, OrderFacts, Rates, Signed, operation_facts, order_facts
from mutable_core.docket.folding import fold
from mutable_core.docket.state import APPROVAL_TERM_NS, BURST_NS, SIGNING_NS, Cited, Docket, Pending, Signature
from mutable_core.messages import (
    AccountHalted,
    ApprovalAwaited,
    Approved,
    Envelope,
    Grounds,
    OperationApproved,
    OperationAsked,
    OperationRefused,
    PersonSigned,
    ProposalMade,
    Refused,
    SliceClosed,
    SourceEnded,
    encode,
)

Answer: TypeAlias = Approved | Refused | ApprovalAwaited | OperationApproved | OperationRefused | AccountHalted

ANSWERS = (Approved, Refused, ApprovalAwaited, OperationApproved, OperationRefused, AccountHalted)
"""The body types of answers."""

PEOPLE_ASKED: dict[tuple[int, int], int] = {
    (rule.id, index): clause.limit.value
    for rule, index, clause in numbered(RULES)
    if clause.measured == Fact("people") and isinstance(clause.limit, Const)
}
"""The clauses that more people's signatures can satisfy, and how many each asks for."""

_HALT_IN_FORCE = frozenset(
    (rule.id, index) for rule, index, clause in numbered(RULES) if clause.measured == Fact("halt_level")
)
_DECIDED_MAX = 1_024
_ACTIONS_MAX, _REPEATS_MAX = 60, 3  # of rule 22: only used to say how long to wait


class Answered(NamedTuple):
    """The docket after a message, and the answers that must follow, each with the message that it answers."""

    docket: Docket
    answers: tuple[tuple[Answer, Envelope], ...]


def answer(docket: Docket, heard: Envelope) -> Answered:
    """Take one message in, whatever it is."""
    body = heard.body
    kind = type(body)
    if kind is ProposalMade:
        return _proposed(docket, heard, body.proposal)  # type: ignore[union-attr]
    if kind is SliceClosed or kind is SourceEnded:
        return _let_go(docket, heard) if docket.pending else Answered(docket, ())
    if kind is OperationAsked:
        return _asked(docket, heard, body)  # type: ignore[arg-type]
    if kind is PersonSigned:
        return _signed(docket, heard, body)  # type: ignore[arg-type]
    return Answered(fold(docket, heard), ())


def _proposed(docket: Docket, heard: Envelope, proposal: Proposal) -> Answered:
    now = heard.ts_seen_ns
    key = (proposal.strategy, proposal.instrument)
    repeats = _last_minute(docket.repeats_ns.get(key, ()), now)
    docket = docket._replace(repeats_ns=docket.repeats_ns.set(key, repeats))
    return _vetted(docket, heard, proposal, now, look_up(docket, proposal, now), repeats, None)


def _last_minute(times_ns: tuple[int, ...], now: int) -> tuple[int, ...]:
    """Those after `now` − 1 min, and `now`; the log's clock never goes back, so they are sorted."""
    return (*times_ns[bisect_right(times_ns, now - MINUTE_NS) :], now)


def _vetted(
    docket: Docket,
    heard: Envelope,
    proposal: Proposal,
    now: int,
    cited: Cited,
    repeats: tuple[int, ...],
    signed: Signed | None,
) -> Answered:
    """One proposal on the facts of `now`: `heard` is its message; `signed` is None where it is new."""
    is_new, signed = signed is None, signed or UNSIGNED
    actions = _last_minute(docket.actions_ns, now)
    bucket = _bucket(docket, now)
    found = order_facts(docket, heard, proposal, now, cited, Rates(len(actions), bucket, len(repeats)), signed)
    facts = found.facts
    verdict = judge(facts)
    if not verdict.approved:
        verdict = judge(facts, _room(docket, proposal, found, actions, bucket, repeats, now))  # what would pass?
    named = (proposal.proposal_id, proposal.instrument, digest(proposal), heard.seq, facts, verdict)
    grounds = _grounds(docket, heard, proposal.instrument, cited.positions, signed)
    if not verdict.approved:
        needed = _people_needed(docket, verdict, "")
        if needed and is_new:
            waits = ApprovalAwaited(*named, grounds, needed, now + SIGNING_NS)
            mark = docket.book.marks.get(proposal.instrument, 0)
            pending = Pending(heard, proposal, waits.digest, cited, needed, waits, mark, waits.until_ns, 0, ())
            return Answered(_waiting(docket, proposal.proposal_id, pending), ((waits, heard),))
        return _refused(docket, heard, Refused(*named, grounds))
    is_reduction = facts.is_opening == 0
    hold = (
        Hold(proposal.instrument, 0, 0, facts.quantity_atoms or 0, proposal.side, facts.entry_price_atoms or 0)
        if is_reduction
        else Hold(proposal.instrument, found.notional, found.risk, 0, proposal.side, found.facts.entry_price_atoms or 0)
    )
    approved = Approved(*named, grounds, hold.notional_micros, hold.risk_micros, now + APPROVAL_TERM_NS)
    after = Docket(
        books.note_hold(docket.book, proposal.proposal_id, hold), docket.recent, docket.flows, docket.lease,
        actions, bucket - SECOND_NS, now, docket.repeats_ns, docket.conduct, docket.standing, docket.seconds,
        docket.pending, _noted(docket, proposal.proposal_id, now), _newest(docket.book_seq, heard, signed), docket.day_seq, docket.lease_seq, docket.standing_seq,
    )  # fmt: skip
    return Answered(after, ((approved, heard),))


def _newest(position: int, heard: Envelope, signed: Signed) -> int:
    """Where something changed last: with the act itself, or with the signature that it waited for; never further back."""
    return max(position, heard.seq, *[one.position for one in signed.signatures])


def _bucket(docket: Docket, now: int) -> int:
    return min(BURST_NS, docket.bucket_ns + max(0, now - docket.bucket_at_ns))


def _noted(docket: Docket, act_id: str, now: int) -> Map[str, int]:
    """An approval is given once; ids whose approvals have long expired are forgotten, the venue knows them for ever."""
    decided = docket.decided
    if len(decided) >= _DECIDED_MAX:
        for one, until in list(decided.items()):
            if until < now:
                decided = decided.delete(one)
    return decided.set(act_id, now + APPROVAL_TERM_NS)


def _room(
    docket: Docket,
    proposal: Proposal,
    found: OrderFacts,
    actions: tuple[int, ...],
    bucket: int,
    repeats: tuple[int, ...],
    now: int,
) -> Room | None:
    """How the facts of a refused proposal would move with its size, and with time."""
    known = docket.book.setup.instruments.get(proposal.instrument)
    if known is None or found.facts.quantity_atoms is None:
        return None
    others = actions[:-1]
    return Room(
        lot_atoms=known.lot_atoms,
        quantity_atoms=found.facts.quantity_atoms,
        price_atoms=found.price_atoms,
        risk_atoms=found.risk_atoms,
        wait_actions_ns=max(0, others[-_ACTIONS_MAX] + MINUTE_NS - now) if len(others) >= _ACTIONS_MAX else 0,
        wait_burst_ns=max(0, SECOND_NS - bucket),
        wait_repeats_ns=max(0, repeats[-_REPEATS_MAX] + MINUTE_NS - now) if len(repeats) >= _REPEATS_MAX else 0,
    )


def _grounds(docket: Docket, heard: Envelope, instrument: str, evidence: tuple[int, ...], signed: Signed) -> Grounds:
    recent = docket.recent.get(instrument)
    return Grounds(
        docket.book.setup.proofs,
        heard.seq,
        evidence,
        recent[-1].seq if recent else 0,
        docket.book_seq,
        docket.day_seq,
        docket.lease_seq,
        docket.standing_seq,
        tuple([one.position for one in signed.signatures]),
    )


def _people_needed(docket: Docket, verdict: Verdict, proposer: str) -> int:
    """How many must sign, where that is all that is missing and as many others are there; else 0."""
    asked = [PEOPLE_ASKED.get((one.rule, one.clause), 0) for one in verdict.violations if one.measured is not None]
    if not asked or len(asked) != len(verdict.violations) or not all(asked):
        return 0
    others = sum(1 for person in docket.book.setup.people if person != proposer)
    return max(asked) if others >= max(asked) else 0


def _waiting(docket: Docket, act_id: str, pending: Pending) -> Docket:
    return docket._replace(pending=docket.pending.set(act_id, pending))


def _refused(docket: Docket, heard: Envelope, refused: Refused) -> Answered:
    """A refusal for a critical rule halts the account, unless an operator ordered the breach as a drill."""
    critical = tuple(sorted({one.rule for one in refused.verdict.violations if _is_critical(one)}))
    account = docket.book.account
    halts = docket.standing.halts
    is_halted = halts.get(("account", account), 0) > 0
    if not critical or is_halted or heard.trace_id in docket.standing.drills:
        return Answered(docket, ((refused, heard),))
    at = max(docket.standing_seq, heard.seq)
    after = standings.halted(docket.standing, ("account", account), standings.REDUCE_ONLY, at)
    halted = AccountHalted(refused.proposal_id, account, critical)
    return Answered(
        docket._replace(standing=after, standing_seq=at),
        ((refused, heard), (halted, heard)),
    )


def _is_critical(violation: Violation) -> bool:
    """Of a critical rule; a halt in force is no new reason to halt."""
    return violation.severity == "CRITICAL" and (violation.rule, violation.clause) not in _HALT_IN_FORCE


def _asked(docket: Docket, heard: Envelope, asked: OperationAsked) -> Answered:
    return _operated(docket, heard, asked, heard.ts_seen_ns, UNSIGNED, is_new=True)


def _operated(
    docket: Docket, heard: Envelope, asked: OperationAsked, now: int, signed: Signed, *, is_new: bool
) -> Answered:
    actions, bucket = _last_minute(docket.actions_ns, now), _bucket(docket, now)
    facts = operation_facts(docket, heard, asked, now, Rates(len(actions), bucket, 1), signed)
    verdict = judge(facts)
    named = sha256(encode(asked)).hexdigest(), heard.seq, facts, verdict, _grounds(docket, heard, "", (), signed)
    if verdict.approved:
        approved = OperationApproved(asked.operation_id, asked.operation, asked.scope, asked.name, *named)
        after = docket._replace(
            actions_ns=actions,
            bucket_ns=bucket - SECOND_NS,
            bucket_at_ns=now,
            decided=_noted(docket, asked.operation_id, now),
            standing=standings.resumed(docket.standing, approved),
            standing_seq=_newest(docket.standing_seq, heard, signed),
        )
        return Answered(after, ((approved, heard),))
    needed = _people_needed(docket, verdict, asked.by) if is_new else 0
    if not needed:
        return Answered(docket, ((OperationRefused(asked.operation_id, asked.operation, *named), heard),))
    waits = ApprovalAwaited(asked.operation_id, "", *named, needed, now + SIGNING_NS)
    pending = Pending(heard, asked, waits.digest, None, needed, waits, 0, waits.until_ns, 0, ())
    return Answered(_waiting(docket, asked.operation_id, pending), ((waits, heard),))


def _signed(docket: Docket, heard: Envelope, body: PersonSigned) -> Answered:
    """One more person. A signature that is not valid, not for this act, or the proposer's own counts for nobody."""
    pending = docket.pending.get(body.act_id)
    if pending is None or heard.ts_seen_ns > pending.until_ns or not is_valid(docket, pending, body):
        return Answered(docket, ())
    signature = Signature(body.person, heard.ts_seen_ns, heard.seq)
    pending = pending._replace(signatures=(*pending.signatures, signature))
    if len(pending.signatures) < pending.needed:
        return Answered(_waiting(docket, body.act_id, pending), ())
    return _decided(docket, pending, heard.ts_seen_ns)


def is_valid(docket: Docket, pending: Pending, body: PersonSigned) -> bool:
    """Whether this is a known person's signature over exactly this waiting act, the first of theirs and not the asker's."""
    key = docket.book.setup.people.get(body.person)
    proposer = pending.act.by if isinstance(pending.act, OperationAsked) else ""
    if key is None or body.person == proposer or body.person in [one.person for one in pending.signatures]:
        return False
    if body.digest != pending.digest or body.position != pending.awaited_at:
        return False
    if isinstance(pending.act, OperationAsked) and standings.is_overtaken(
        docket.standing, pending.act, pending.heard.seq
    ):
        return False  # a halt came after it was asked for: that one must be asked to be lifted
    said = statement(act_id=body.act_id, digest=body.digest, position=body.position, person=body.person)
    return is_signed(key, body.signature, said)


def _decided(docket: Docket, pending: Pending, now: int) -> Answered:
    """Vet again what waited, with who signed it, on the facts of now."""
    act = pending.act
    signed = Signed(pending.signatures, pending.mark_atoms)
    if isinstance(act, OperationAsked):
        docket = docket._replace(pending=docket.pending.delete(act.operation_id))
        return _operated(docket, pending.heard, act, now, signed, is_new=False)
    docket = docket._replace(pending=docket.pending.delete(act.proposal_id))
    assert pending.cited is not None
    key = (act.strategy, act.instrument)
    times = docket.repeats_ns.get(key, ())
    repeats = times[bisect_right(times, now - MINUTE_NS) :] or (now,)
    return _vetted(docket, pending.heard, act, now, pending.cited, repeats, signed)


def _let_go(docket: Docket, heard: Envelope) -> Answered:
    """What has waited too long is refused as it was asked for; at the end of the source, all of it.

    It is not vetted again: what people did not agree to must not pass because the facts have moved.
    """
    now, is_end = heard.ts_seen_ns, type(heard.body) is SourceEnded
    over = sorted(
        [one for one in docket.pending.values() if is_end or now > one.until_ns], key=lambda one: one.heard.seq
    )
    still = docket.pending
    for pending in over:
        still = still.delete(pending.asked.act_id)
    return Answered(docket._replace(pending=still), tuple([(_unsigned(one), one.heard) for one in over]))


def _unsigned(pending: Pending) -> Refused | OperationRefused:
    asked = pending.asked
    said = (asked.digest, asked.position, asked.facts, asked.verdict, asked.grounds)
    if isinstance(pending.act, OperationAsked):
        return OperationRefused(asked.act_id, pending.act.operation, *said)
    return Refused(asked.act_id, asked.instrument, *said)


def about(said: Answer) -> tuple[str, bool]:
    """The act that an answer is about, and whether it only announces what follows from another answer."""
    if isinstance(said, Approved | Refused):
        return said.proposal_id, False
    if isinstance(said, OperationApproved | OperationRefused):
        return said.operation_id, False
    return said.act_id, isinstance(said, AccountHalted)
