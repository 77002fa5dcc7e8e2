"""Any past moment: what `ark at` answers equals what a second piece of code finds in the same rows, and what was live."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from math import ceil
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from agents.kyle.sources.embedded import open_embedded
from agents.kyle.sources.synthetic import SyntheticSource
from deployment.time_travel import Moment, moment_of, orders, positions, rows_until, slos, states, utc, view
from deployment.topology.house import House, genesis
from deployment.topology.state_dir import JOURNAL
from mutable_core.clock import DAY_NS, SECOND_NS
from mutable_core.errors import JournalBroken, UnknownName
from mutable_core.journal import Checked, Journal, checked_rows
from mutable_core.messages import (
    AnyBody,
    Approved,
    DrillOrdered,
    OrderAdjusted,
    OrderBlocked,
    OrderFilled,
    OrderIntended,
    OrderSpec,
    OrderUnknown,
    ProposalMade,
    Refused,
    encode,
)
from mutable_core.money import ATOMS_PER_UNIT
from tests.deployment.conftest import Asked
from tests.deployment.handmade import HandmadeSource, a_house, trading
from tests.graveyard.makers import good_facts
from tests.makers import DAY_1_NS, a_proposal, an_envelope, an_observation, an_order, some_grounds
from tests.mutable_core.plain_accounts import WORKING, PlainAccounts
from tests.mutable_core.test_book import RUN, VERDICT

Live = dict[int, str]
"""Log position → the agents' states at the end of that turn, as JSON."""


def ran(folder: Path, source: Any, slices: int, tick_bar_ns: int = SECOND_NS, drills: int = 0) -> Live:
    """A real house, run for so many slices; what its agents knew after each tenth turn."""
    folder.mkdir(parents=True)
    house = House(folder, source, genesis(trading(), source, tick_bar_ns))
    house.start()
    live: Live = {}
    for number, moment in enumerate(house.slices(), 1):
        house.turn(moment)
        if drills and number % drills == 0:
            house.drill(DrillOrdered("oversize"), number)
        if number % 10 == 0:
            live[house.journal.seq] = as_json({name: view(host.state) for name, host in house.hosts.items()})
        if number == slices:
            break
    house.end()
    live[house.journal.seq] = as_json({name: view(host.state) for name, host in house.hosts.items()})
    house.close()
    return live


def as_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


class Ran(msgspec.Struct):
    path: Path
    rows: list[Checked]
    live: Live


def a_run(folder: Path, source: str) -> Ran:
    match source:
        case "handmade":
            live = ran(folder, HandmadeSource(70), 70, drills=8)
        case "embedded":
            live = ran(folder, open_embedded(), 100)
        case _:
            live = ran(folder, SyntheticSource(7, rows=800), 150, drills=60)
    return Ran(folder / JOURNAL, list(checked_rows(folder / JOURNAL)), live)


@pytest.fixture(scope="module", params=["handmade", "embedded", "synthetic"])
def any_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Splits; dividends of real companies; quotes with drills."""
    return a_run(tmp_path_factory.mktemp("at") / "run", request.param)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return a_run(tmp_path_factory.mktemp("at") / "run", "handmade")


def some_positions(run: Ran, count: int = 12) -> list[int]:
    """Random ones, and right after what moves money."""
    chance = Random(len(run.rows))
    fills = [one.envelope.seq for one in run.rows if isinstance(one.envelope.body, OrderFilled)]
    assert len(fills) > 5, "a run without fills would equal anything"
    last = len(run.rows)
    return sorted({1, last, *chance.sample(range(1, last), count), *chance.sample(fills, 5)})


def plain_at(run: Ran, count: int = 8) -> Iterator[tuple[int, PlainAccounts]]:
    """The plain accounts at some positions, the earliest first."""
    plain, seqs = PlainAccounts(), some_positions(run, count)
    for one in run.rows:
        plain.take(one.envelope)
        if one.envelope.seq in seqs:
            yield one.envelope.seq, plain


def test_positions_equal_an_independent_recomputation(any_run: Ran) -> None:
    for seq, plain in plain_at(any_run):
        answer = positions(any_run.path, moment_of(str(seq)))
        assert answer.seq == seq
        assert answer.nav.cash_micros == plain.cash_micros()
        assert answer.nav.nav_micros == plain.nav_micros()
        held = {one.instrument: one for one in answer.positions}
        assert {name: Fraction(one.quantity_atoms, ATOMS_PER_UNIT) for name, one in held.items()} == plain.quantities()
        for name, one in held.items():
            assert one.value_micros == plain.value_micros(name, plain.quantities()[name])
            assert Fraction(one.mark_atoms, ATOMS_PER_UNIT) == plain.price[name]
            assert one.unrealised_micros == one.value_micros - one.cost_micros
            parts = {who: Fraction(units, ATOMS_PER_UNIT) for who, units in one.by_strategy.items()}
            assert parts == {who: units for (who, what), units in plain.units.items() if what == name and units}


def test_orders_equal_an_independent_recomputation(any_run: Ran) -> None:
    for seq, plain in plain_at(any_run):
        answer = orders(any_run.path, moment_of(str(seq)))
        assert {one.order.client_order_id: one.status for one in answer.working} == plain.working()
        assert {one.leg_id for one in answer.legs} == plain.armed
        assert {one.proposal_id for one in answer.holds} == set(plain.held)
        ended = Counter(how for how in plain.status.values() if how not in WORKING)
        assert {how: count for how, count in answer.ended.items() if how != "withheld"} == ended
        for one in answer.working:
            assert one.strategy == plain.order_owner[one.order.client_order_id]
        for leg in answer.legs:
            assert leg.strategy == plain.order_owner[leg.leg_id.partition(".")[0]]
            assert (leg.limit_atoms == 0, leg.stop_atoms > 0) == (leg.leg_id.endswith(".stop"),) * 2


def test_a_stop_stands_where_it_was_said_last(any_run: Ran) -> None:
    """Intended with the order; moved by what the venue said of the order or of the leg, as after a split."""
    stands: dict[str, Decimal] = {}
    checked = 0
    seqs = some_positions(any_run, 4)
    for one in any_run.rows:
        body = one.envelope.body
        if isinstance(body, OrderIntended) and body.order.stop_price is not None:
            stands[body.order.client_order_id] = body.order.stop_price
        elif isinstance(body, OrderAdjusted) and body.stop_price is not None:
            stands[body.client_order_id.removesuffix(".stop")] = body.stop_price
        if one.envelope.seq in seqs:
            stops = [leg for leg in orders(any_run.path, moment_of(str(one.envelope.seq))).legs if leg.stop_atoms]
            checked += len(stops)
            for leg in stops:
                assert leg.stop_atoms == stands[leg.leg_id.removesuffix(".stop")] * ATOMS_PER_UNIT
    assert checked


def test_orders_are_seen_at_work(run: Ran) -> None:
    """Right after an approval something is held; at some moment an order works."""
    seen = set()
    approvals = [one.envelope for one in run.rows if isinstance(one.envelope.body, Approved)][:4]
    for approved in approvals:
        answer = orders(run.path, moment_of(str(approved.seq)))
        assert approved.body.proposal_id in {hold.proposal_id for hold in answer.holds}  # type: ignore[union-attr]
        for later in range(approved.seq, min(approved.seq + 12, len(run.rows))):
            seen |= {one.status for one in orders(run.path, moment_of(str(later))).working}
    assert seen >= {"intended", "accepted"}


def test_agents_states_are_those_that_were_live(any_run: Ran) -> None:
    """The house's own states at the end of a turn; read here from the rows alone, by new agents."""
    chance = Random(3)
    for seq in [*chance.sample(sorted(any_run.live), 3), max(any_run.live)]:
        answer = states(any_run.path, moment_of(str(seq)))
        assert as_json(answer.agents) == any_run.live[seq]


def test_a_state_between_turns_has_heard_exactly_the_rows_up_to_it(run: Ran) -> None:
    """Aletheia counts slices as she hears them closed."""
    closed = [one.envelope.seq for one in run.rows if one.envelope.kind == "market.slice_closed"]
    for count in (1, len(closed) // 2):
        seq = closed[count - 1]
        heard = [
            states(run.path, moment_of(str(at)), ["aletheia"]).agents["aletheia"]["slices"] for at in (seq - 1, seq)
        ]
        assert heard == [count - 1, count]


def test_slos_equal_an_independent_recomputation(any_run: Ran) -> None:
    """p95 by nearest rank of proposal → answer, over 300 s before the row's stamp; without data it is unknown."""
    for seq in some_positions(any_run, 4):
        readings = {one["name"]: one for one in slos(any_run.path, moment_of(str(seq))).report["slos"]}
        rows = any_run.rows[:seq]
        since = rows[-1].stamp_ns - 300 * SECOND_NS
        asked: dict[str, int] = {}
        took = []
        for one in rows:
            body = one.envelope.body
            if isinstance(body, ProposalMade):
                asked[body.proposal.proposal_id] = one.stamp_ns
            elif isinstance(body, Approved | Refused) and one.stamp_ns >= since:
                took.append((one.stamp_ns - asked[body.proposal_id]) / 1e6)
        hrm = readings["hrm_eval_latency"]
        assert hrm["samples"] == len(took)
        assert hrm["value"] == (sorted(took)[ceil(0.95 * len(took)) - 1] if took else None)
        assert hrm["status"] == ("unknown" if not took else "met" if hrm["value"] <= 120 else "violated")
        for name in ("availability_995", "state_write"):
            assert (readings[name]["value"], readings[name]["status"]) == (None, "unknown")


def test_a_time_is_after_all_rows_seen_by_then(run: Ran) -> None:
    chance = Random(5)
    times = [one.envelope.ts_seen_ns for one in run.rows[1:]]
    for ts_ns in chance.sample(times, 4):
        seq = sum(time <= ts_ns for time in times) + 1
        for text in (utc(ts_ns), utc(ts_ns).removesuffix("Z"), utc(ts_ns).replace("Z", "+00:00")):
            assert [one.envelope.seq for one in rows_until(run.path, moment_of(text))][-1] == seq
        before = (
            [one.envelope.seq for one in rows_until(run.path, Moment("", ts_ns=ts_ns - 1))] if ts_ns > times[0] else []
        )
        assert len(before) == sum(time < ts_ns for time in times) + (1 if before else 0)


def test_the_end_is_after_the_last_row(run: Ran) -> None:
    last = run.rows[-1].envelope
    answer = positions(run.path, moment_of("end"))
    assert (answer.seq, answer.ts_ns) == (last.seq, str(last.ts_seen_ns))
    assert positions(run.path, moment_of(utc(last.ts_seen_ns))) == answer


def test_an_order_of_unknown_outcome_still_works_and_is_still_held(tmp_path: Path) -> None:
    """It ends when the venue has said what became of it, not before."""
    order = an_order()
    bodies = [
        RUN,
        an_observation(),
        *an_approved(order),
        OrderUnknown(order.client_order_id),
        OrderBlocked(order.client_order_id, "never_arrived"),
    ]
    path = written(tmp_path, bodies)
    then = [orders(path, Moment("", seq=seq)) for seq in (5, 6, 7)]
    assert [[one.status for one in answer.working] for answer in then] == [["intended"], ["unknown"], []]
    assert [[hold.notional_micros for hold in answer.holds] for answer in then] == [[10_000], [10_000], []]
    assert then[-1].ended == {"blocked": 1}


def an_approved(order: OrderSpec) -> list[AnyBody]:
    made = ProposalMade(a_proposal(proposal_id=order.proposal_id, strategy="alpha"))
    approved = Approved(order.proposal_id, "A", "d" * 64, 1, good_facts(), VERDICT, some_grounds(), 10_000, 3_000, 2)
    return [made, approved, OrderIntended(order, "d" * 64, 2, 2, 10_000)]


def written(folder: Path, bodies: list[AnyBody]) -> Path:
    """A journal of these messages, one second apart."""
    journal = Journal.open(folder / JOURNAL)
    for seq, body in enumerate(bodies, 1):
        journal.append(encode(an_envelope(body, seq=seq, ts_ns=DAY_1_NS + seq * SECOND_NS)), seq)
    journal.commit()
    journal.close()
    return folder / JOURNAL


# -- moments ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("17", (17, None)),
        ("end", (None, None)),
        ("1970-01-02", (None, DAY_NS)),
        ("1970-01-01T00:00:01Z", (None, SECOND_NS)),
        ("1970-01-01 00:01", (None, 60 * SECOND_NS)),
        ("1970-01-01T00:00:00.000000001Z", (None, 1)),
        ("1970-01-01T02:00:01+02:00", (None, SECOND_NS)),
        ("2012-06-01T13:45:30.5Z", (None, 1_338_558_330_500_000_000)),
    ],
)
def test_moments_are_read_to_the_nanosecond(text: str, moment: tuple[int | None, int | None]) -> None:
    found = moment_of(text)
    assert (found.seq, found.ts_ns) == moment


@pytest.mark.parametrize(
    "text",
    ["", "-1", "yesterday", "2012", "2012-13-01x", "2012-02-30", "2012-01-01T25:00", "٣", "1e3", "END", "9" * 30],
)
def test_what_is_no_moment_is_said_to_be_none(text: str, run: Ran) -> None:
    """A bare year is a log position, and outside."""
    with pytest.raises(UnknownName):
        for _ in rows_until(run.path, moment_of("999999999" if text == "2012" else text)):
            pass


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("0", "positions"), ("99999999", "positions"), ("1900-01-01", "positions"), ("2200-01-01T00:00:00Z", "positions"),
        ("99999999", "orders"), ("99999999", "state"), ("99999999", "slos"), ("1900-01-01", "state"), ("0", "slos"),
    ],
)  # fmt: skip
def test_outside_the_log_there_is_one_clear_line(run: Ran, asked: Asked, text: str, what: str) -> None:
    said = asked("at", text, what, str(run.path))
    assert said.returncode == 2
    assert said.stdout == ""
    assert len(said.stderr.splitlines()) == 1


def test_an_empty_log_has_no_moments(tmp_path: Path) -> None:
    Journal.open(tmp_path / "j").close()
    for text in ("1", "2012-01-01", "end"):
        with pytest.raises(UnknownName):
            positions(tmp_path / "j", moment_of(text))


def test_what_lies_behind_an_altered_row_is_not_answered(run: Ran, tmp_path: Path) -> None:
    """Every row that an answer rests on is verified."""
    path = tmp_path / JOURNAL
    path.write_bytes(run.path.read_bytes())
    data = bytearray(path.read_bytes())
    ids = (one.envelope.id.encode() for one in run.rows[len(run.rows) // 2 :])
    at = next(found for one in ids if (found := data.find(one)) > 0)  # one that lies on one page of the file
    data[at + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalBroken):
        positions(path, moment_of("end"))


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["positions", "orders", "state", "slos"])
def test_the_command_answers_in_json_and_in_lines(run: Ran, asked: Asked, what: str) -> None:
    seq = str(len(run.rows) * 2 // 3)
    said = asked("at", seq, what, str(run.path), "--json")
    assert said.returncode == 0, said.stderr
    answer = json.loads(said.stdout.splitlines()[-1])
    assert answer["seq"] == int(seq)
    lines = asked("at", seq, what, str(run.path))
    assert lines.returncode == 0
    assert len(lines.stdout.splitlines()) > 1
    function = {"positions": positions, "orders": orders, "state": states, "slos": slos}[what]
    assert answer == json.loads(as_json(function(run.path, moment_of(seq))))


def test_one_agent_may_be_asked_for(run: Ran, asked: Asked) -> None:
    said = asked("at", "end", "state", str(run.path), "--agent", "kenny", "--json")
    assert list(json.loads(said.stdout)["agents"]) == ["kenny"]
    assert asked("at", "end", "state", str(run.path), "--agent", "nobody").returncode == 2


# -- what was kept ----------------------------------------------------------------------------------------------------


def test_versioned_state_is_shown_as_it_stood(tmp_path: Path) -> None:
    """Of the store beside the run: now for `end`, before it began for a time before."""
    from mutable_core.state_manager import STATE, StateManager

    ran(tmp_path / "run", HandmadeSource(3), 3)
    path = tmp_path / "run" / JOURNAL
    assert states(path, moment_of("end"), ["id"]).kept is None
    with StateManager.open(tmp_path / STATE) as manager:
        writer = manager.writer("operator")
        writer.put("operator", "note", {"a": 1})
        writer.put("operator", "note", {"a": 2})
        writer.put("operator", "gone", 1)
        writer.delete("operator", "gone")
    kept = states(path, moment_of("end"), ["id"]).kept
    assert kept is not None
    assert [(one.namespace, one.key, one.version, one.value) for one in kept] == [("operator", "note", 2, {"a": 2})]
    assert states(path, moment_of("2"), ["id"]).kept == []


def test_a_journal_that_is_being_written_can_be_asked(tmp_path: Path) -> None:
    """The answer is of what is durable."""
    house = a_house(tmp_path / "run", HandmadeSource(10))
    house.start()
    for moment in house.slices():
        house.turn(moment)
    durable = house.journal.durable_seq
    assert positions(house.journal.path, moment_of("end")).seq == durable
    house.close()
