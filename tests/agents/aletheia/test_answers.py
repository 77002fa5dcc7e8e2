"""Aletheia on acts that wait for people, operations, halts and the seal: every answer that does not follow is found."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from agents.aletheia import AGENT
from mutable_core.clock import MINUTE_NS, SECOND_NS
from mutable_core.docket import ANSWERS, SIGNING_NS
from mutable_core.ids import derived_id
from mutable_core.messages import (
    AccountHalted,
    AgentHeld,
    AgentReleased,
    AnyBody,
    ApprovalAwaited,
    Approved,
    DiscrepancyFound,
    Envelope,
    HaltOrdered,
    OperationApproved,
    OperationAsked,
    OperationRefused,
    Refused,
    SliceClosed,
    Verified,
)
from tests.agents.aletheia.makers import Aletheia
from tests.makers import a_lease, a_proposal, a_run, an_envelope, an_observation, some_grounds
from tests.mutable_core.docket_log import Log, a_market
from tests.people import PEOPLE, signed

RUN = a_run(people=PEOPLE, restricted=("B",))
RESUME = OperationAsked(derived_id("resume"), "resume", "global", "", "ann", "a person asks for this")


def a_log() -> Log:
    """An order that waits, is signed and approved; one that nobody signs; a resume by two people; a critical refusal."""
    log, good = a_market(run=RUN, B="100")
    log.propose(a_proposal(good, quantity=Decimal(510)))
    log.later(SECOND_NS)
    log.hear(signed(log.last(ApprovalAwaited)))
    log.hear(an_observation("C"))
    log.propose(a_proposal(good, proposal_id="3" * 32, quantity=Decimal(510), instrument="C"))
    log.later(SIGNING_NS + 1)
    log.hear(SliceClosed(log.now_ns, 1))
    log.hear(HaltOrdered("global", "", "reduce_only", "ann", "stop"))
    log.hear(RESUME)
    for person in ("bob", "eve"):
        log.hear(signed(log.last(ApprovalAwaited), person))
    log.hear(OperationAsked(derived_id("brake"), "override_change", "global", "", "ann", "a person asks for this"))
    log.later(MINUTE_NS)
    log.propose(a_proposal(log.hear(an_observation("B")).id, proposal_id="4" * 32, instrument="B"))
    return log


ROWS = tuple(a_log().rows)


def answers(kind: type) -> list[Envelope]:
    return [row for row in ROWS if isinstance(row.body, kind)]


def read_until(row: Envelope) -> Aletheia:
    aletheia = Aletheia()
    said = aletheia.read(*ROWS[: row.seq - 1])
    assert not [body for body in said if isinstance(body, DiscrepancyFound) and body.finding != "trace_broken"]
    return aletheia


def findings(bodies: list[AnyBody]) -> list[str]:
    assert not any(isinstance(body, Verified) for body in bodies), "what is false was called verified"
    return [body.finding for body in bodies if isinstance(body, DiscrepancyFound)]


def test_the_log_holds_every_kind_of_answer() -> None:
    assert {type(row.body) for row in ROWS} >= set(ANSWERS)


def test_she_agrees_with_every_honest_answer_and_waits_for_no_other() -> None:
    aletheia = Aletheia()
    aletheia.read(*ROWS)
    mismatches = [
        body for _, body in aletheia.said if isinstance(body, DiscrepancyFound) and body.finding == "verdict_mismatch"
    ]
    assert mismatches == []
    assert not aletheia.state.undecided


def test_what_is_decided_is_verified_and_what_waits_or_follows_is_not_yet_an_end() -> None:
    aletheia = Aletheia()
    aletheia.read(*ROWS)
    verified = [(body.proposal_id, body.outcome) for _, body in aletheia.said if isinstance(body, Verified)]
    ends: list[tuple[str, str]] = []
    for row in ROWS:
        match row.body:
            case Refused(proposal_id=act_id) | OperationRefused(operation_id=act_id):
                ends.append((act_id, "refused"))
            case OperationApproved(operation_id=act_id):
                ends.append((act_id, "approved"))
    assert verified == ends
    assert [outcome for _, outcome in ends] == ["refused", "approved", "refused", "refused"]


def test_an_operation_that_is_refused_at_once_is_expected_like_any_other() -> None:
    """It changes nothing in the docket, and is an answer all the same."""
    (row,) = answers(OperationRefused)
    assert read_until(row).read(row) == [Verified(derived_id("brake"), "refused")]


OTHER: dict[str, Any] = {
    "digest": "0" * 64,
    "position": 1,
    "grounds": some_grounds(market=77),
    "people": 3,
    "until_ns": 1,
    "scope": "account",
    "name": "paper",
    "operation": "withdrawal",
    "rules": (6,),
    "account": "other",
    "act_id": "0" * 32,
    "operation_id": "0" * 32,
    "instrument": "F",
}
LIES = [
    (kind, field)
    for kind in (ApprovalAwaited, OperationApproved, OperationRefused, AccountHalted)
    for field in kind.__struct_fields__
    if field in OTHER
]


@pytest.mark.parametrize(("kind", "field"), LIES, ids=[f"{kind.__name__}.{field}" for kind, field in LIES])
def test_a_lie_in_any_word_of_an_answer_is_found(kind: type, field: str) -> None:
    row = answers(kind)[0]
    assert getattr(row.body, field) != OTHER[field]
    lying = msgspec.structs.replace(row, body=msgspec.structs.replace(row.body, **{field: OTHER[field]}))
    assert findings(read_until(row).read(lying)) == ["verdict_mismatch"]


@pytest.mark.parametrize("kind", [ApprovalAwaited, OperationApproved, OperationRefused])
def test_an_altered_verdict_is_found(kind: type) -> None:
    row = answers(kind)[0]
    verdict = row.body.verdict  # type: ignore[union-attr]
    for change in ({"approved": not verdict.approved}, {"heard": 25}, {"ruleset": "0" * 64}):
        lying = msgspec.structs.replace(
            row, body=msgspec.structs.replace(row.body, verdict=msgspec.structs.replace(verdict, **change))
        )
        assert findings(read_until(row).read(lying)) == ["verdict_mismatch"]


def instead_of(row: Envelope, kind: type, **changes: Any) -> Envelope:
    """Another answer with the same words, as far as it has them."""
    words = {name: getattr(row.body, name) for name in row.body.__struct_fields__}
    words["proposal_id"] = words["operation_id"] = words.get("act_id", words.get("proposal_id", ""))
    words |= {"hold_micros": 10**10, "hold_risk_micros": 1, "expires_ns": 10**19, "operation": "resume"} | changes
    values = {name: words[name] for name in kind.__struct_fields__ if name in words}
    return msgspec.structs.replace(row, body=kind(**values))


@pytest.mark.parametrize("kind", [Approved, Refused])
def test_an_approval_or_a_refusal_where_people_must_be_asked_is_found(kind: type) -> None:
    row = answers(ApprovalAwaited)[0]
    assert findings(read_until(row).read(instead_of(row, kind))) == ["verdict_mismatch"]


def test_a_wait_where_the_rules_have_decided_is_found() -> None:
    row = answers(Approved)[0]
    lying = instead_of(row, ApprovalAwaited, act_id=row.body.proposal_id, people=1, until_ns=10**19)  # type: ignore[union-attr]
    assert findings(read_until(row).read(lying)) == ["verdict_mismatch"]


def test_an_approval_before_anybody_has_signed_is_found() -> None:
    approved = answers(Approved)[0]
    aletheia = read_until(answers(ApprovalAwaited)[0])
    aletheia.read(answers(ApprovalAwaited)[0])
    early = msgspec.structs.replace(approved, seq=answers(ApprovalAwaited)[0].seq + 1)
    assert findings(aletheia.read(early)) == ["verdict_mismatch"]


def test_a_forged_approval_of_an_operation_is_found_and_lifts_nothing() -> None:
    """Nobody signed: her own docket keeps the halt, so what opens under it would be found too."""
    row = answers(OperationApproved)[0]
    log, _ = a_market(HaltOrdered("global", "", "reduce_only", "ann", "stop"), run=RUN)
    aletheia = Aletheia()
    aletheia.read(*log.rows)
    forged = msgspec.structs.replace(row, seq=len(log.rows) + 1)
    assert findings(aletheia.read(forged)) == ["verdict_mismatch"]
    assert ("global", "") in aletheia.state.docket.standing.halts


def test_a_held_hrm_may_say_two_things_of_one_act_when_he_is_released() -> None:
    """That it waits for people, and, as its time is over meanwhile, that it is refused."""
    waits, refused = answers(ApprovalAwaited)[1], answers(Refused)[0]
    assert isinstance(waits.body, ApprovalAwaited)
    assert isinstance(refused.body, Refused)
    assert waits.body.act_id == refused.body.proposal_id
    aletheia = read_until(waits)
    held = an_envelope(AgentHeld("hrm", waits.seq, "late", "watchdog", "no answer"), seq=waits.seq)
    released = an_envelope(AgentReleased("hrm", "watchdog", "it answers again"), seq=refused.seq)
    assert aletheia.read(held, *ROWS[waits.seq : refused.seq - 1], released) == []
    assert aletheia.read(waits, refused) == [Verified(waits.body.act_id, "refused")]


def test_a_halt_that_nothing_asks_for_is_found() -> None:
    row = answers(AccountHalted)[0]
    refused = answers(Refused)[0]
    stray = msgspec.structs.replace(row, seq=refused.seq + 1, body=AccountHalted("3" * 32, "paper", (1,)))
    aletheia = read_until(refused)
    aletheia.read(refused)
    assert findings(aletheia.read(stray)) == ["verdict_mismatch"]


def test_a_halt_that_follows_and_was_not_said_is_still_waited_for() -> None:
    """Without it the halt stands in her docket all the same."""
    row = answers(AccountHalted)[0]
    aletheia = read_until(row)
    assert [key for key, _ in aletheia.state.undecided.items()] == [("4" * 32, True)]
    assert aletheia.state.docket.standing.halts[("account", "paper")] == 1


@pytest.mark.parametrize("kind", [ApprovalAwaited, Approved, OperationApproved, AccountHalted])
def test_an_answer_that_leaves_the_trace_of_its_act_breaks_it(kind: type) -> None:
    """I6: however much later it comes."""
    row = answers(kind)[0]
    for change in ({"trace_id": derived_id("elsewhere")}, {"cause_id": ROWS[row.seq - 2].id}):
        stray = msgspec.structs.replace(row, **change)
        if stray == row:
            continue
        said = read_until(row).read(stray)
        assert [body.finding for body in said if isinstance(body, DiscrepancyFound)] == ["trace_broken"]


@pytest.mark.parametrize(
    ("found", "is_broken"),
    [
        ({}, False),
        ({"seal_signatures": 3}, False),
        ({"seal_signatures": 1}, True),
        ({"seal_signatures": 0}, True),
        ({"seal_faults": ("expired",)}, True),
        ({"ruleset": "0" * 64}, True),
        ({"venue_is_up": False, "kill_path_is_up": False, "keystore_exposed": 1}, False),  # the rules refuse for these
    ],
)
def test_a_lease_that_was_granted_on_a_broken_seal_is_found(found: dict[str, Any], is_broken: bool) -> None:
    """Nothing may be approved under it; and no further lease is granted until a person has looked."""
    aletheia = Aletheia()
    aletheia.read(*ROWS[:3])
    said = aletheia.read(an_envelope(a_lease(**found), seq=4))
    assert findings(said) == (["seal_broken"] if is_broken else [])


def test_she_hears_every_answer() -> None:
    assert set(ANSWERS) <= set(AGENT.spec.hears)


@pytest.mark.parametrize("row", [row for row in ROWS if isinstance(row.body, ANSWERS)], ids=lambda row: row.kind)
def test_an_answer_that_is_withheld_is_found_when_the_next_slice_closes(row: Envelope) -> None:
    """Silence is an answer too: what had to be said of a slice is said before the next one."""
    aletheia = read_until(row)
    following = next((one for one in ROWS[row.seq :] if isinstance(one.body, SliceClosed)), None)
    closed = following or an_envelope(SliceClosed(ROWS[-1].ts_seen_ns, 9), seq=len(ROWS) + 1, ts_ns=ROWS[-1].ts_seen_ns)
    found = [body for body in aletheia.read(closed) if isinstance(body, DiscrepancyFound)]
    assert "verdict_mismatch" in {body.finding for body in found}
    again = an_envelope(SliceClosed(closed.ts_seen_ns, 9), seq=closed.seq + 1, ts_ns=closed.ts_seen_ns)
    assert not [body for body in aletheia.read(again) if isinstance(body, DiscrepancyFound)], "it is said once"
