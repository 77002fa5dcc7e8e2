"""The embedded house: no log, no trade; no verdict, no trade; and whatever happens, the same end."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents import hrm, kenny
from agents.kenny.orders import order_for
from agents.kenny.venues.simulated import SimulatedVenue
from agents.runtime.agent import Agent, PlaceOrder, Say, Step, cause_of
from deployment.topology import wiring as topology
from deployment.topology.house import EDGES, House
from deployment.topology.replay import replay
from deployment.topology.state_dir import JOURNAL, VENUE
from deployment.topology.wiring import AGENTS, hosted_agents
from graveyard.words import Verdict, digest
from mutable_core.bus.ordering import Bus
from mutable_core.clock import DAY_NS
from mutable_core.errors import AgentFailed, ApprovalForged, JournalBroken, ReplayDiverged, SettingsRefused
from mutable_core.journal import Journal, verify
from mutable_core.messages import (
    KIND_OF,
    Approved,
    BroadcastPublished,
    DiscrepancyFound,
    DrillOrdered,
    Envelope,
    OrderAccepted,
    OrderBlocked,
    OrderFilled,
    OrderIntended,
    ProposalMade,
    Reconciled,
    Refused,
    RowReceived,
    SliceClosed,
    SourceEnded,
    VenueStated,
    decode,
    encode,
)
from tests.deployment.handmade import (
    HandmadeSource,
    a_house,
    closed,
    copied,
    drilled,
    envelopes,
    finished,
    head_of,
    run,
    trading,
)
from tests.graveyard.makers import good_facts
from tests.makers import some_grounds

SHORT = 12
CRASHED = 7


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    run(folder, HandmadeSource(SHORT))
    return folder


class WatchedVenue(SimulatedVenue):
    """The real one; somebody looks on at each call that we make."""

    watch: Callable[[str, Any], None] = staticmethod(lambda _call, _order: None)

    def place(self, order, ts_ns: int) -> None:
        self.watch("before place", order)
        super().place(order, ts_ns)
        self.watch("after place", order)

    def events(self, after: int):
        said = super().events(after)
        self.watch("events", None)
        return said

    def statement(self):
        stated = super().statement()
        self.watch("statement", None)
        return stated

    def cancel(self, client_order_id: str, ts_ns: int) -> None:
        super().cancel(client_order_id, ts_ns)
        self.watch("cancel", client_order_id)


def watched(monkeypatch: pytest.MonkeyPatch, watch: Callable[[str, Any], None]) -> None:
    monkeypatch.setattr(WatchedVenue, "watch", staticmethod(watch))
    monkeypatch.setattr(topology, "SimulatedVenue", WatchedVenue)


def with_agents(monkeypatch: pytest.MonkeyPatch, **decides: Callable[..., Step]) -> None:
    """A house in which the named agents decide otherwise."""
    agents = tuple(
        msgspec.structs.replace(agent, decide=decides[agent.spec.name]) if agent.spec.name in decides else agent
        for agent in AGENTS
    )
    monkeypatch.setattr(topology, "AGENTS", agents)


def bodies(folder: Path, kind: type) -> list[Any]:
    return [envelope.body for envelope in envelopes(folder) if isinstance(envelope.body, kind)]


# -- the ordinary run --------------------------------------------------------------------------------------------------


def test_a_run_trades_reconciles_and_leaves_a_whole_journal(undisturbed: Path) -> None:
    """The tests below would prove nothing on a run in which nothing happens."""
    assert verify(undisturbed / JOURNAL).ok
    assert len(bodies(undisturbed, OrderIntended)) >= SHORT
    assert len(bodies(undisturbed, OrderFilled)) >= SHORT
    assert not bodies(undisturbed, DiscrepancyFound)
    assert isinstance(envelopes(undisturbed)[-1].body, Reconciled)


def test_the_same_source_and_settings_give_the_same_head(undisturbed: Path, tmp_path: Path) -> None:
    assert run(tmp_path / "again", HandmadeSource(SHORT)) == head_of(undisturbed / JOURNAL)


def test_a_replay_says_everything_again(undisturbed: Path) -> None:
    replayed = replay(undisturbed / JOURNAL)
    said = sum(not envelope.body.IS_INPUT for envelope in envelopes(undisturbed))
    assert (replayed.compared, replayed.head) == (said, head_of(undisturbed / JOURNAL))


def test_every_message_of_a_run_is_by_who_may_say_it(undisturbed: Path) -> None:
    may = {one.name: one.says | one.reports for one in hosted_agents()} | EDGES
    assert all(type(envelope.body) in may[envelope.author] for envelope in envelopes(undisturbed))


# -- I3, I1 ------------------------------------------------------------------------------------------------------------


def durable(folder: Path) -> list[Envelope]:
    """What another process reads from the disk at this moment."""
    with closing(sqlite3.connect(f"file:{folder / JOURNAL}?mode=ro", uri=True)) as reader:
        segments = reader.execute("SELECT rows FROM segments ORDER BY first_seq").fetchall()
    return [decode(row) for (rows,) in segments for row in rows.split(b"\n")]


def test_when_an_order_reaches_the_venue_its_intent_and_its_verdict_are_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I3, seen through a second connection at the very moment."""
    seen = []

    def watch(call: str, order: Any) -> None:
        if call != "before place":
            return
        rows = durable(tmp_path / "run")
        (intent,) = [e for e in rows if isinstance(e.body, OrderIntended) and e.body.order == order]
        (verdict,) = [e for e in rows if isinstance(e.body, Approved) and e.body.proposal_id == order.proposal_id]
        assert intent.cause_id == verdict.id
        seen.append(order.client_order_id)

    watched(monkeypatch, watch)
    run(tmp_path / "run", HandmadeSource(SHORT))
    intents = [body.order.client_order_id for body in bodies(tmp_path / "run", OrderIntended)]
    assert seen == intents
    assert len(set(seen)) == len(seen) >= SHORT


def placed_in(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    placed: list[Any] = []
    watched(monkeypatch, lambda call, order: placed.append(order) if call == "before place" else None)
    return placed


def test_a_house_in_which_hrm_refuses_everything_places_nothing(tmp_path: Path, monkeypatch) -> None:
    """I1"""

    def refusing(state, heard):
        step = hrm.AGENT.decide(state, heard)
        refusals = [
            Say(Refused(b.proposal_id, b.instrument, b.digest, b.position, b.facts, b.verdict, b.grounds))
            for b in (say.body for say in step.says)
            if isinstance(b, Approved)
        ]
        return Step(state if step.says else step.state, tuple(refusals))

    placed = placed_in(monkeypatch)
    with_agents(monkeypatch, hrm=refusing)
    run(tmp_path / "run", HandmadeSource(SHORT))
    assert placed == []
    assert bodies(tmp_path / "run", Refused)
    assert not bodies(tmp_path / "run", OrderIntended)


def lying_about(**facts: int):
    """HRM that changes facts and gives a verdict as if they were true."""
    from graveyard.judge import judge

    def decide(state, heard):
        step = hrm.AGENT.decide(state, heard)
        says = []
        for say in step.says:
            b = say.body
            if not b.verdict.approved and "has_stop" not in facts:
                return step  # it lies only where the lie is small
            false = msgspec.structs.replace(b.facts, **facts)
            says.append(
                Say(
                    Approved(
                        b.proposal_id, b.instrument, b.digest, b.position, false, judge(false), b.grounds,
                        10**9, 10**8, heard.ts_seen_ns + 1,
                    )
                )
            )  # fmt: skip
        return Step(step.state, tuple(says))

    return decide


def test_an_hrm_that_lies_in_a_fact_gets_no_order_out(tmp_path: Path, monkeypatch) -> None:
    """Aletheia finds it before the commit, the lease is gone, the door stays shut."""
    placed = placed_in(monkeypatch)
    with_agents(monkeypatch, hrm=lying_about(reason_chars=99))
    run(tmp_path / "run", HandmadeSource(SHORT))
    assert placed == []
    assert {body.finding for body in bodies(tmp_path / "run", DiscrepancyFound)} == {"verdict_mismatch"}
    assert bodies(tmp_path / "run", OrderBlocked)


def test_an_hrm_that_approves_what_the_rules_refuse_stops_the_house(tmp_path: Path, monkeypatch) -> None:
    """The authority judges again and signs nothing."""
    placed = placed_in(monkeypatch)
    with_agents(monkeypatch, hrm=lying_about(has_stop=0))
    house = a_house(tmp_path / "run", HandmadeSource(SHORT))
    house.start()
    with pytest.raises(ApprovalForged):
        finished(house)
    house.abandon()
    assert placed == []


def kenny_who(change: Callable[[PlaceOrder], PlaceOrder]):
    def decide(state, heard):
        step = kenny.AGENT.decide(state, heard)
        wants = tuple(change(want) if isinstance(want, PlaceOrder) else want for want in step.wants)
        return Step(step.state, step.says, wants)

    return decide


def doubled(want: PlaceOrder) -> PlaceOrder:
    return msgspec.structs.replace(want, order=msgspec.structs.replace(want.order, quantity=want.order.quantity * 2))


def renamed(want: PlaceOrder) -> PlaceOrder:
    """The same order under an id of its own: it would be a second one."""
    return msgspec.structs.replace(want, order=msgspec.structs.replace(want.order, client_order_id="0" * 32))


def for_another_proposal(want: PlaceOrder) -> PlaceOrder:
    proposal = msgspec.structs.replace(want.proposal, quantity=want.proposal.quantity * 2)
    return msgspec.structs.replace(want, proposal=proposal, order=doubled(want).order)


def before_it_is_durable(want: PlaceOrder) -> PlaceOrder:
    return msgspec.structs.replace(want, approval_position=10**6)


def for_ever(want: PlaceOrder) -> PlaceOrder:
    """Of an approval that has long expired."""
    return msgspec.structs.replace(want, approved=msgspec.structs.replace(want.approved, expires_ns=1))


@pytest.mark.parametrize("change", [doubled, renamed, for_another_proposal, before_it_is_durable, for_ever])
def test_a_kenny_who_wants_another_order_than_the_approved_one_stops_the_house(
    tmp_path: Path, monkeypatch, change
) -> None:
    """I1: there is no other door."""
    placed = placed_in(monkeypatch)
    with_agents(monkeypatch, kenny=kenny_who(change))
    house = a_house(tmp_path / "run", HandmadeSource(SHORT))
    house.start()
    with pytest.raises(ApprovalForged):
        finished(house)
    house.abandon()
    assert placed == []
    assert verify(tmp_path / "run" / JOURNAL).ok


def without_an_intent(state: Any, heard: Envelope) -> Step:
    """Wants the approved order, and says nothing of it."""
    step = kenny.AGENT.decide(state, heard)
    return Step(step.state, (), step.wants)


def without_a_verdict(state: Any, heard: Envelope) -> Step:
    """Makes an approval up before HRM has answered: twenty times the size, with facts that pass."""
    step = kenny.AGENT.decide(state, heard)
    if not isinstance(heard.body, ProposalMade):
        return step
    asked = heard.body.proposal
    proposal = msgspec.structs.replace(asked, proposal_id="9" * 32, quantity=asked.quantity * 20)
    approved = Approved(
        proposal.proposal_id, proposal.instrument, digest(proposal), heard.seq, good_facts(),
        Verdict(True, 26, "r" * 64, ()), some_grounds(), 10**10, 1, heard.ts_seen_ns + 1,
    )  # fmt: skip
    want = PlaceOrder(order_for(proposal, reduces=False), proposal, approved, heard.seq, cause_of(heard))
    return Step(step.state, step.says, (*step.wants, want))


@pytest.mark.parametrize("decide", [without_an_intent, without_a_verdict])
def test_what_does_not_stand_in_the_log_does_not_leave_whatever_kenny_wants(
    tmp_path: Path, monkeypatch, decide: Callable[..., Step]
) -> None:
    """I1, I3: the verdict and the intent are looked up where they are durable, not taken from the wish."""
    strangers = []

    def watch(call: str, order: Any) -> None:
        if call == "before place":
            intended = [e.body.order for e in durable(tmp_path / "run") if isinstance(e.body, OrderIntended)]
            strangers.extend([] if order in intended else [order])

    watched(monkeypatch, watch)
    with_agents(monkeypatch, kenny=decide)
    house = a_house(tmp_path / "run", HandmadeSource(4))
    try:
        house.start()
        finished(house)
    except ApprovalForged:
        pass  # to stop is one good answer
    house.abandon()
    assert strangers == []


def test_after_a_discrepancy_nothing_opens_any_more_and_that_survives_a_restart(tmp_path: Path, monkeypatch) -> None:
    placed = placed_in(monkeypatch)
    house = a_house(tmp_path / "run", HandmadeSource(SHORT))
    house.start()
    moments = list(house.slices())
    for moment in moments[:4]:
        house.turn(moment)
    before = len(placed)
    assert before
    stated = VenueStated(0, 0, (), ())
    house.bus.begin("kenny", stated, "e" * 32, house.now_ns, house.now_ns)  # type: ignore[arg-type]
    house.bus.run()
    assert house.lease.revoked
    for moment in moments[4:6]:
        house.turn(moment)
    closed(house)
    again = a_house(tmp_path / "run", HandmadeSource(SHORT))
    again.start()
    assert again.lease.revoked.startswith("books_differ")
    for moment in moments[6:]:
        again.turn(moment)
    opened = [order for order in placed[before:] if not order.reduces]
    closed(again)
    assert opened == []


# -- an agent that fails -----------------------------------------------------------------------------------------------


def brittle(agent: Agent, after: int, kinds: tuple[type, ...] = ()):
    """Raises at the `after`-th message that it hears (of these kinds)."""
    heard_so_far = [0]

    def decide(state, heard):
        heard_so_far[0] += not kinds or isinstance(heard.body, kinds)
        if heard_so_far[0] > after:
            raise ZeroDivisionError("a defect in the agent")
        return agent.decide(state, heard)

    return decide


@pytest.mark.parametrize("name", ["kyle", "joey", "hrm", "kenny", "aletheia"])
@pytest.mark.parametrize("after", [1, 9])
def test_a_house_whose_agent_raises_stops_revokes_the_lease_and_keeps_the_journal_whole(
    tmp_path: Path, monkeypatch, undisturbed: Path, name: str, after: int
) -> None:
    """And when the defect is mended, the run goes on and ends as if nothing had happened."""
    agent = next(agent for agent in AGENTS if agent.spec.name == name)
    with monkeypatch.context() as broken:
        with_agents(broken, **{name: brittle(agent, after)})
        house = a_house(tmp_path / "run", HandmadeSource(SHORT))
        house.start()
        with pytest.raises(AgentFailed, match=f"`{name}`"):
            finished(house)
        assert name in house.failure
        assert house.lease.revoked
        assert not house.lease.is_fresh()
        house.abandon()
    assert verify(tmp_path / "run" / JOURNAL).ok
    kept = [encode(envelope) for envelope in envelopes(tmp_path / "run")]
    assert kept == [encode(envelope) for envelope in envelopes(undisturbed)][: len(kept)]
    assert run(tmp_path / "run", HandmadeSource(SHORT)) == head_of(undisturbed / JOURNAL)


@pytest.mark.parametrize("act", ["drill", "end"])
def test_an_agent_that_raises_outside_a_turn_revokes_the_lease_too(tmp_path: Path, monkeypatch, act: str) -> None:
    """I2: whatever fails, permission ends."""
    name, kind = {"drill": ("joey", DrillOrdered), "end": ("aletheia", SourceEnded)}[act]
    agent = next(agent for agent in AGENTS if agent.spec.name == name)
    with_agents(monkeypatch, **{name: brittle(agent, 0, (kind,))})
    house = a_house(tmp_path / "run", HandmadeSource(SHORT))
    house.start()
    for moment in list(house.slices())[:3]:
        house.turn(moment)
    acts = {"drill": lambda: house.drill(DrillOrdered("no_stop"), 1), "end": house.end}
    with pytest.raises(AgentFailed):
        acts[act]()
    state = (bool(house.failure), bool(house.lease.revoked))
    house.abandon()
    assert state == (True, True)


# -- resuming ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [House.close, House.abandon], ids=["closed", "abandoned"])
@pytest.mark.parametrize("turns", range(SHORT + 1))
def test_a_run_that_is_stopped_after_any_turn_ends_with_the_same_head(
    tmp_path: Path, undisturbed: Path, turns: int, how: Callable[[House], None]
) -> None:
    first = a_house(tmp_path / "run", HandmadeSource(SHORT))
    first.start()
    for moment in list(first.slices())[:turns]:
        first.turn(moment)
    how(first)
    again = a_house(tmp_path / "run", HandmadeSource(SHORT))
    again.start()
    finished(again)
    assert closed(again) == head_of(undisturbed / JOURNAL)


def test_a_run_that_is_stopped_after_every_turn_ends_with_the_same_head(tmp_path: Path, undisturbed: Path) -> None:
    while True:
        house = a_house(tmp_path / "run", HandmadeSource(SHORT))
        house.start()
        moment = next(iter(house.slices()), None)
        if moment is None:
            break
        house.turn(moment)
        closed(house)
    house.end()
    assert closed(house) == head_of(undisturbed / JOURNAL)


def test_a_run_that_has_ended_says_nothing_more(tmp_path: Path, undisturbed: Path) -> None:
    folder = copied(undisturbed, tmp_path / "copy")
    assert run(folder, HandmadeSource(SHORT)) == head_of(undisturbed / JOURNAL)


def crashed_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slices: int, within: range
) -> list[tuple[str, Path]]:
    """A copy of what the disk holds after every commit and after every call to the venue, in these turns."""
    copies: list[tuple[str, Path]] = []
    turn = [0]

    def keep(what: str, _order: Any = None) -> None:
        if turn[0] in within:
            copies.append((f"turn {turn[0]}, {what}", copied(tmp_path / "run", tmp_path / f"crash-{len(copies)}")))

    with monkeypatch.context() as patch:
        watched(patch, keep)
        house = a_house(tmp_path / "run", HandmadeSource(slices))
        house.journal.on_commit = lambda *_: keep("commit")
        house.start()
        for number, moment in enumerate(house.slices(), 1):
            turn[0] = number
            house.turn(moment)
        turn[0] += 1
        house.end()
        closed(house)
    return copies


def outcome(folder: Path) -> list[tuple[Any, ...]]:
    """What was traded, in order; no order twice, and the books agree with the venue at the end."""
    accepted = [body.client_order_id for body in bodies(folder, OrderAccepted)]
    assert len(set(accepted)) == len(accepted), "an order twice"
    assert isinstance(envelopes(folder)[-1].body, Reconciled)
    return [(f.instrument, f.leg, f.side, f.price, f.quantity, f.fee_micros) for f in bodies(folder, OrderFilled)]


def differing(copies: list[tuple[str, Path]], slices: int, reference: Path, of: Callable[[Path], Any]) -> list[str]:
    """Those crashes after which the run, taken up again, ends otherwise than the undisturbed one."""
    expected = of(reference)
    for _, folder in copies:
        run(folder, HandmadeSource(slices))
    return [what for what, folder in copies if of(folder) != expected]


def head_in(folder: Path) -> str:
    return head_of(folder / JOURNAL)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference") / "run"
    run(folder, HandmadeSource(CRASHED))
    return folder


HANDS = {"commit", "before place", "after place", "cancel"}
"""Before the venue has answered."""


def test_a_crash_at_any_moment_loses_no_order_and_trades_none_twice(
    tmp_path: Path, monkeypatch, reference: Path
) -> None:
    """I4: whatever was approved is traded, once, at the same prices, as if nothing had happened."""
    copies = crashed_everywhere(tmp_path, monkeypatch, CRASHED, range(CRASHED + 2))
    assert len(copies) > 4 * CRASHED
    assert {what.split(", ")[1] for what, _ in copies} >= HANDS | {"events", "statement"}
    assert differing(copies, CRASHED, reference, outcome) == []


def test_a_crash_before_the_venue_has_answered_leaves_the_same_journal(
    tmp_path: Path, monkeypatch, reference: Path
) -> None:
    copies = crashed_everywhere(tmp_path, monkeypatch, CRASHED, range(CRASHED + 2))
    copies = [(what, folder) for what, folder in copies if what.split(", ")[1] in HANDS]
    assert differing(copies, CRASHED, reference, head_in) == []


@pytest.mark.parametrize(
    ("slices", "turns"),
    [(CRASHED, range(CRASHED + 2)), (65, range(64, 65))],
    ids=["every turn", "a statement under way"],
)
def test_a_crash_after_the_venue_has_answered_leaves_the_same_journal(
    tmp_path: Path, monkeypatch, slices: int, turns: range
) -> None:
    """What the venue said of a row must not stand in the journal before that row: nobody knows a fill in advance."""
    reference = tmp_path / "undisturbed"
    run(reference, HandmadeSource(slices))
    copies = crashed_everywhere(tmp_path, monkeypatch, slices, turns)
    copies = [(what, folder) for what, folder in copies if what.split(", ")[1] not in HANDS]
    assert differing(copies, slices, reference, head_in) == []


def test_a_crash_while_orders_and_a_statement_are_under_way_loses_nothing(tmp_path: Path, monkeypatch) -> None:
    """Every 64th slice Aletheia wants a statement while Kenny wants orders."""
    slices = 65
    reference = tmp_path / "undisturbed"
    run(reference, HandmadeSource(slices))
    copies = crashed_everywhere(tmp_path, monkeypatch, slices, range(64, 65))
    assert {what.split(", ")[1] for what, _ in copies} >= {"commit", "before place", "after place", "statement"}
    assert differing(copies, slices, reference, outcome) == []


@pytest.mark.parametrize("behind", [1, 3, 6])
def test_a_venue_that_forgot_what_it_said_stops_the_start(tmp_path: Path, behind: int) -> None:
    """A power cut, or an older copy: going on would trade on fills and protection that the venue knows nothing of."""
    house = a_house(tmp_path / "run", HandmadeSource(SHORT))
    house.start()
    for number, moment in enumerate(house.slices()):
        if number == 7 - behind:
            shutil.copyfile(tmp_path / "run" / VENUE, tmp_path / "older")
        if number == 7:
            break
        house.turn(moment)
        house.journal.commit()
    house.abandon()
    rows = verify(tmp_path / "run" / JOURNAL).rows
    shutil.copyfile(tmp_path / "older", tmp_path / "run" / VENUE)
    for _ in range(2):
        again = a_house(tmp_path / "run", HandmadeSource(SHORT))
        with pytest.raises(JournalBroken, match="the venue"):
            again.start()
        again.abandon()
    assert verify(tmp_path / "run" / JOURNAL).rows == rows


def test_what_a_person_writes_is_not_taken_for_the_last_row_of_the_market(tmp_path: Path) -> None:
    """The venue is asked to forget what came after the last row that the journal holds."""
    house = a_house(tmp_path / "run", HandmadeSource(SHORT))
    house.start()
    for moment in list(house.slices())[:5]:
        house.turn(moment)
    house.tell(BroadcastPublished("A", f"there is an odd {KIND_OF[RowReceived]}"))
    house.journal.commit()
    read = house.rows_read
    house.abandon()
    again = a_house(tmp_path / "run", HandmadeSource(SHORT))
    again.start()
    assert again.rows_read == again.venue.shown_row == read
    again.close()


def test_a_venue_that_holds_something_else_than_our_books_stops_the_start(tmp_path: Path, monkeypatch) -> None:
    house = a_house(tmp_path / "run", HandmadeSource(SHORT))
    house.start()
    for moment in list(house.slices())[:5]:
        house.turn(moment)
    house.close()
    stated = SimulatedVenue.statement
    monkeypatch.setattr(
        SimulatedVenue, "statement", lambda venue: msgspec.structs.replace(stated(venue), cash_micros=1)
    )
    again = a_house(tmp_path / "run", HandmadeSource(SHORT))
    with pytest.raises(JournalBroken, match="cash_micros"):
        again.start()
    again.abandon()


def test_a_half_written_slice_is_not_decided_on_twice(tmp_path: Path, monkeypatch) -> None:
    """Rows that were read before a crash are not read again."""
    copies = crashed_everywhere(tmp_path, monkeypatch, 4, range(1, 5))
    for _, folder in copies:
        run(folder, HandmadeSource(4))
        read = [envelope.body.row for envelope in envelopes(folder) if envelope.kind == "market.row"]
        assert read == list(range(1, 9))


@pytest.mark.parametrize(
    "other",
    [
        {"source": HandmadeSource(SHORT + 1)},
        {"source": HandmadeSource(SHORT, name="another")},
        {"settings": trading(ARK_CASH="5000")},
        {"settings": trading(ARK_STRATEGIES="mean_reversion")},
    ],
)
def test_a_journal_of_another_run_is_refused_and_left_alone(tmp_path: Path, undisturbed: Path, other) -> None:
    folder = copied(undisturbed, tmp_path / "copy")
    before = (folder / JOURNAL).read_bytes()

    def begin() -> None:
        a_house(folder, **({"source": HandmadeSource(SHORT)} | other)).start()

    with pytest.raises(SettingsRefused):
        begin()
    assert (folder / JOURNAL).read_bytes() == before


def test_a_journal_that_this_build_would_not_have_written_is_not_continued(tmp_path: Path, undisturbed: Path) -> None:
    folder = tmp_path / "forged"
    folder.mkdir()
    journal = Journal.open(folder / JOURNAL)
    for envelope in envelopes(undisturbed)[:60]:
        if isinstance(envelope.body, Approved):
            body = msgspec.structs.replace(envelope.body, hold_micros=1)
            envelope = msgspec.structs.replace(envelope, body=body)  # noqa: PLW2901
        journal.append(encode(envelope), 0)
    journal.commit()
    journal.close()
    house = a_house(folder, HandmadeSource(SHORT))
    with pytest.raises(ReplayDiverged):
        house.start()
    house.abandon()


# -- the heart: the six real agents, cut at every row --------------------------------------------------------------------


def resumed_bus(rows: list[bytes], cut: int) -> list[bytes]:
    """Replay a prefix, append what was cut off, then give the inputs of the record in their places."""
    journal = Journal.in_memory()
    for row in rows[:cut]:
        journal.append(row, 0)
    bus = Bus(journal, hosted_agents(), EDGES)
    bus.on_wants = lambda _wants: None
    decoded = [decode(row) for row in rows]
    bus.replay(zip(rows[:cut], decoded[:cut], strict=True))
    bus.end_replay()
    by_id = {envelope.id: envelope for envelope in decoded}
    while journal.seq < len(rows):
        following = decoded[journal.seq]
        if not following.body.IS_INPUT:
            before = journal.seq
            bus.run()
            assert journal.seq > before, f"nobody says row {before + 1}"
        elif following.depth == 0:
            trace = following.trace_id
            bus.begin(following.author, following.body, trace, following.ts_event_ns, following.ts_seen_ns)  # type: ignore[arg-type]
        else:
            bus.report(following.author, following.body, by_id[following.cause_id], following.ts_seen_ns)
    bus.run()
    journal.commit()
    return list(journal.rows())


def test_the_six_agents_cut_at_any_row_write_the_same_log(tmp_path: Path) -> None:
    """I7: replay of any prefix, what was cut off, and the remaining inputs give the same bytes; drills and refusals too."""
    drilled(tmp_path / "run", ("oversize",), source=HandmadeSource(8))
    rows = [encode(envelope) for envelope in envelopes(tmp_path / "run")]
    assert {type(decode(row).body) for row in rows} >= {Approved, Refused, OrderFilled, Reconciled}
    for cut in range(len(rows) + 1):
        assert resumed_bus(rows, cut) == rows, f"cut after row {cut}"


# -- slices and days ----------------------------------------------------------------------------------------------------


def test_every_slice_is_closed_once_with_its_last_row(undisturbed: Path) -> None:
    closings = bodies(undisturbed, SliceClosed)
    assert closings == [SliceClosed((20_001 + number) * DAY_NS, 2 * number + 2) for number in range(SHORT)]


def test_a_drill_is_refused_and_places_nothing(tmp_path: Path, monkeypatch) -> None:
    placed = placed_in(monkeypatch)
    drilled(tmp_path / "run", ("no_stop", "oversize", "not_a_number", "unknown_instrument"))
    refused = {body.proposal_id for body in bodies(tmp_path / "run", Refused)}
    assert len(refused) == 4
    assert not refused & {order.proposal_id for order in placed}
