"""Why a decision was made: inputs with their age, every rule once per clause, the verdict, the order's life."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from deployment.topology.state_dir import JOURNAL
from deployment.why import Why, in_words, why
from graveyard.ethics import RULES
from mutable_core.errors import ArkError, MalformedSource, UnknownName
from mutable_core.ids import Id
from mutable_core.journal import Journal
from mutable_core.messages import (
    AgentEnded,
    AgentHeld,
    AnyBody,
    Approved,
    Envelope,
    FaultInjected,
    OrderFilled,
    OrderIntended,
    ProposalMade,
    Refused,
    RunStarted,
    SliceClosed,
    encode,
    leg_id,
)
from tests.deployment.handmade import HandmadeSource, drilled, envelopes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("why") / "run"
    drilled(folder, ("no_stop", "stale_data"), source=HandmadeSource(18))
    return folder


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[Envelope]:
    return envelopes(folder)


def first(rows: list[Envelope], kind: type, **fields: Any) -> Envelope:
    return next(
        row
        for row in rows
        if isinstance(row.body, kind) and all(getattr(row.body, name) == value for name, value in fields.items())
    )


def asked(folder: Path, decision: str) -> Why:
    return why([folder / JOURNAL], decision)


@pytest.fixture(scope="module")
def intent(rows: list[Envelope]) -> Envelope:
    """Of an opening order that filled."""
    filled = {row.body.client_order_id for row in rows if isinstance(row.body, OrderFilled)}
    return next(
        row
        for row in rows
        if isinstance(row.body, OrderIntended)
        and not row.body.order.reduces
        and row.body.order.client_order_id in filled
    )


ENFORCED = [(rule.id, index) for rule in RULES for index, _ in enumerate(rule.clauses)]


def test_an_approved_decision_is_told_whole(folder: Path, rows: list[Envelope], intent: Envelope) -> None:
    proposal_id = intent.body.order.proposal_id  # type: ignore[union-attr]
    answer = asked(folder, proposal_id)
    made = next(r for r in rows if isinstance(r.body, ProposalMade) and r.body.proposal.proposal_id == proposal_id)
    verdict = first(rows, Approved, proposal_id=proposal_id)
    assert (answer.decision_id, answer.trace_id, answer.approved) == (proposal_id, made.trace_id, True)
    assert answer.violations == []
    assert answer.proposal["proposal_id"] == proposal_id
    assert Decimal(answer.proposal["quantity"]) == made.body.proposal.quantity  # type: ignore[union-attr]
    assert answer.facts["log_position"] == made.seq == verdict.body.position  # type: ignore[union-attr]


def test_inputs_are_told_with_their_row_and_their_age(folder: Path, rows: list[Envelope], intent: Envelope) -> None:
    answer = asked(folder, intent.body.order.proposal_id)  # type: ignore[union-attr]
    (cited,) = answer.inputs
    source = rows[cited["seq"] - 1]
    assert source.body.instrument == cited["instrument"] == intent.body.order.instrument  # type: ignore[union-attr]
    assert source.body.row == cited["row"]  # type: ignore[union-attr]
    assert Decimal(cited["value"]) == source.body.market.last  # type: ignore[union-attr]
    assert (cited["field"], cited["age_s"]) == ("last", 0.0)


def test_a_stale_input_shows_its_age(folder: Path, rows: list[Envelope]) -> None:
    drills = [row for row in rows if isinstance(row.body, ProposalMade) and row.body.is_drill]
    stale = asked(folder, drills[1].body.proposal.proposal_id)  # type: ignore[union-attr]
    source = rows[stale.inputs[0]["seq"] - 1]
    assert stale.inputs[0]["age_s"] == (drills[1].ts_seen_ns - source.ts_seen_ns) / 1e9 > 1.5 * 86_400
    assert {violation["rule"] for violation in stale.violations} == {21}


@pytest.mark.parametrize("kind", [Approved, Refused])
def test_every_enforced_rule_is_told_once_per_clause(folder: Path, rows: list[Envelope], kind: type) -> None:
    answer = asked(folder, first(rows, kind).body.proposal_id)  # type: ignore[union-attr]
    assert [(finding["rule"], finding["clause"]) for finding in answer.rules] == ENFORCED
    broken = {(finding["rule"], finding["clause"]) for finding in answer.rules if not finding["holds"]}
    assert broken == {(violation["rule"], violation["clause"]) for violation in answer.violations}
    assert bool(broken) is (kind is Refused)
    for finding in answer.rules:
        assert finding["unit"]
        assert finding["measured"] is None or isinstance(finding["measured"], int)
        assert finding["holds"] or finding["why"]


def test_a_refused_decision_is_told_with_the_rule_that_it_breaks(folder: Path, rows: list[Envelope]) -> None:
    refused = first(rows, Refused)
    answer = asked(folder, refused.body.proposal_id)  # type: ignore[union-attr]
    assert not answer.approved
    assert {violation["rule"] for violation in answer.violations} == {8}
    assert [event["kind"] for event in answer.life] == [
        "control.drill_ordered",
        "decision.proposal_made",
        "decision.refused",
        "truth.verified",
    ]


def test_the_orders_life_is_told_to_its_end_in_order(folder: Path, rows: list[Envelope], intent: Envelope) -> None:
    answer = asked(folder, intent.body.order.proposal_id)  # type: ignore[union-attr]
    whole = [row for row in rows if row.trace_id == intent.trace_id]
    assert [(event["seq"], event["author"], event["kind"]) for event in answer.life] == [
        (row.seq, row.author, row.kind) for row in whole
    ]
    kinds = [event["kind"] for event in answer.life]
    beginning = [
        "market.row", "market.observed", "decision.proposal_made", "decision.approved", "order.intended",
        "order.accepted", "truth.verified", "order.filled",
    ]  # fmt: skip
    assert kinds[: len(beginning)] == beginning
    assert [event["after_ms"] for event in answer.life] == sorted(event["after_ms"] for event in answer.life)
    assert answer.life[0]["after_ms"] == 0
    assert all(event["seen_ns"] == str(row.ts_seen_ns) for event, row in zip(answer.life, whole, strict=True))


def names(intent: Envelope, rows: list[Envelope]) -> dict[str, str]:
    order = intent.body.order  # type: ignore[union-attr]
    made = next(
        r for r in rows if isinstance(r.body, ProposalMade) and r.body.proposal.proposal_id == order.proposal_id
    )
    return {
        "the proposal's id": order.proposal_id,
        "the order's id": order.client_order_id,
        "a leg's id": leg_id(order.client_order_id, "stop"),
        "the trace": intent.trace_id,
        "the message of the proposal": made.id,
        "the message of the intent": intent.id,
        "the observation": made.cause_id,
        "the beginning of an id": order.proposal_id[:12],
        "the position of the proposal": str(made.seq),
        "the position of the intent": str(intent.seq),
    }


@pytest.mark.parametrize(
    "what",
    [
        "the proposal's id", "the order's id", "a leg's id", "the trace", "the message of the proposal",
        "the message of the intent", "the observation", "the beginning of an id", "the position of the proposal",
        "the position of the intent",
    ],
)  # fmt: skip
def test_a_decision_answers_to_all_its_names(folder: Path, rows: list[Envelope], intent: Envelope, what: str) -> None:
    assert asked(folder, names(intent, rows)[what]).decision_id == intent.body.order.proposal_id  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "decision",
    ["f" * 32, "0" * 16, "99999999", "0", "-1", "", "no such thing", "%", "abc", "a" * 33, "٣", "'; DROP TABLE segments", "A" * 32],
)  # fmt: skip
def test_an_unknown_name_is_said_to_be_unknown(folder: Path, decision: str) -> None:
    with pytest.raises(UnknownName) as raised:
        asked(folder, decision)
    assert raised.value.exit_code == 2


def test_what_is_known_and_no_decision_says_so(folder: Path, rows: list[Envelope]) -> None:
    for row in (first(rows, RunStarted), first(rows, SliceClosed)):
        with pytest.raises(UnknownName, match="no proposal"):
            asked(folder, str(row.seq))


def test_without_a_journal_there_is_nothing_to_ask(tmp_path: Path) -> None:
    with pytest.raises(UnknownName):
        why([], "f" * 32)
    with pytest.raises(MalformedSource):
        why([tmp_path / "nothing"], "f" * 32)


def test_the_journals_are_asked_in_their_order(folder: Path, rows: list[Envelope], tmp_path: Path) -> None:
    Journal.open(tmp_path / "empty").close()
    decision = first(rows, Approved).body.proposal_id  # type: ignore[union-attr]
    answer = why([tmp_path / "empty", folder / JOURNAL], decision)
    assert answer.journal == str(folder / JOURNAL)


def test_a_proposal_whose_verdict_was_cut_off_is_said_to_have_none(rows: list[Envelope], tmp_path: Path) -> None:
    """A crash may leave a proposal without its verdict; the person who asks gets a sentence, not a traceback."""
    made = first(rows, ProposalMade)
    journal = Journal.open(tmp_path / "j")
    for row in rows[: made.seq]:
        journal.append(encode(row), 0)
    journal.commit()
    journal.close()
    with pytest.raises(ArkError):
        why([tmp_path / "j"], made.body.proposal.proposal_id)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (AgentHeld("joey", 7, "isolated", "alice", "its proposals look wrong"), ("joey", "isolated", "alice", "wrong")),
        (AgentEnded("joey", 2, "killed by SIGKILL", 7), ("joey", "SIGKILL")),
        (FaultInjected("crash", "joey", "alice"), ("crash", "joey", "alice")),
    ],
)
def test_what_supervision_did_is_told_with_whom_and_why(body: AnyBody, told: tuple[str, ...]) -> None:
    envelope = Envelope(1, Id("0" * 32), "watchdog", Id("0" * 32), Id("0" * 32), 0, 0, 0, body)
    assert [word for word in told if word not in in_words(envelope)] == []
