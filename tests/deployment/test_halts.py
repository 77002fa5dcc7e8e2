"""A house and its kill switch: the log hears of what was done past everybody, the books follow, and two people end it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.kenny.venues.simulated import SimulatedVenue
from deployment.desk.desk import Desk
from deployment.desk.words import Check, Checklist, Halt, Resume, ShowChecklist
from deployment.kill_switch.latches import FILE
from deployment.topology.house import House, genesis
from deployment.topology.replay import replay
from deployment.topology.state_dir import JOURNAL
from mutable_core.clock import SECOND_NS
from mutable_core.errors import Broken
from mutable_core.messages import (
    DiscrepancyFound,
    HaltOrdered,
    OperationApproved,
    OrderCancelled,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    Person,
    Reconciled,
    is_kill_order,
)
from tests.deployment.desk_makers import NAMES, WHY, Office, PublicSource, public, signed
from tests.deployment.handmade import envelopes, finished, trading
from tests.deployment.kill_makers import Beaten, Way, a_beaten, a_way, at_its_socket, pulled

PEOPLE = tuple(Person(name, public(name)) for name in NAMES)


def an_office(folder: Path, *, slices: int = 6) -> tuple[Office, Beaten, Way]:
    """After so many turns, with a kill switch that has reached the venue."""
    way = a_way()
    kill = a_beaten(folder / "state", way)
    house = a_house(folder, kill)
    assert isinstance(house.venue, SimulatedVenue)
    way.venue = house.venue
    desk = Desk(house)
    house.start()
    kill.beat()
    office = Office(house, desk, folder / "run")
    turns(office, slices)
    return office, kill, way


def a_house(folder: Path, kill: Beaten) -> House:
    source = PublicSource()
    started = genesis(trading().model_copy(update={"people": PEOPLE}), source, SECOND_NS)
    (folder / "run").mkdir(exist_ok=True)
    return House(folder / "run", source, started, kill=kill.watch)


def turns(office: Office, count: int) -> None:
    slices = iter(office.house.slices())
    for _ in range(count):
        office.house.turn(next(slices))


def bodies(office: Office) -> list[Any]:
    office.house.journal.commit()
    return [one.body for one in envelopes(office.folder)]


def halts(office: Office) -> list[HaltOrdered]:
    return [body for body in bodies(office) if isinstance(body, HaltOrdered)]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[Office, Beaten, Way]]:
    office, kill, way = an_office(tmp_path)
    with at_its_socket(tmp_path / "state", kill.switch):
        yield office, kill, way
    office.house.close()


def holding(office: Office) -> None:
    """Turn until something is held: in at one bar, out at the next."""
    while not office.house.venue.statement().positions:
        turns(office, 1)


# -- the log ---------------------------------------------------------------------------------------------------------


def test_what_the_kill_switch_latched_stands_in_the_log_at_the_next_look(watched: Any) -> None:
    office, kill, _ = watched
    pulled(kill.switch, "instrument", "A", "reduce_only")
    office.house.look()
    assert halts(office) == [HaltOrdered("instrument", "A", "reduce_only", "ann", WHY)]
    office.house.look()
    assert len(halts(office)) == 1


def test_joey_is_quiet_and_nothing_reaches_the_venue(watched: Any) -> None:
    office, kill, _ = watched
    pulled(kill.switch)
    turns(office, 1)
    before = len([body for body in bodies(office) if isinstance(body, OrderIntended)])
    turns(office, 6)
    assert len([body for body in bodies(office) if isinstance(body, OrderIntended)]) == before


def test_an_order_that_was_on_its_way_is_rejected_by_the_venue_itself(watched: Any) -> None:
    """Whatever the house believes: the bar is at the venue before the house has heard of it."""
    office, _, way = watched
    way.venue.set_bars({"": 2})
    while not any(isinstance(body, OrderRejected) for body in bodies(office)):
        turns(office, 1)
    rejected = [body for body in bodies(office) if isinstance(body, OrderRejected)]
    assert {body.reason for body in rejected} == {"halted"}


def test_a_house_that_starts_with_a_latch_starts_halted(tmp_path: Path) -> None:
    office, kill, way = an_office(tmp_path)
    office.house.close()
    way.is_cut = True  # nobody has opened the venue
    pulled(kill.switch)
    house = a_house(tmp_path, kill)
    house.start()
    assert house.hosts["hrm"].state.standing.halts
    assert [one.level for one in halts(Office(house, office.desk, office.folder))] == ["halted"]
    house.close()


def test_a_latch_that_cannot_be_believed_halts_the_house(watched: Any, tmp_path: Path) -> None:
    office, _, _ = watched
    (tmp_path / "state" / FILE).write_bytes(b"{}\n00\n")
    office.house.look()
    assert [(one.scope, one.level) for one in halts(office)] == [("global", "halted")]


# -- the books -------------------------------------------------------------------------------------------------------


def test_withdrawn_entries_are_known_to_all_and_count_for_no_strategy(watched: Any) -> None:
    office, kill, _ = watched
    while not any("." not in key for key in office.house.venue.statement().open_orders):
        turns(office, 1)
    answer = pulled(kill.switch, "global", "", "reduce_only")
    turns(office, 2)
    ended = [body for body in bodies(office) if isinstance(body, OrderCancelled) and body.reason == "kill_switch"]
    assert len(ended) == answer.withdrawn > 0
    assert not office.house.hosts["hrm"].state.conduct.cancelled


def test_what_the_kill_switch_closed_is_in_the_books_and_is_no_discrepancy(watched: Any) -> None:
    office, kill, _ = watched
    holding(office)
    pulled(kill.switch, "global", "", "flattening")
    turns(office, 4)
    office.house.end()
    log = bodies(office)
    closed = [body for body in log if isinstance(body, OrderFilled) and is_kill_order(body.client_order_id)]
    assert closed
    assert not [body for body in log if isinstance(body, DiscrepancyFound)]
    assert isinstance(log[-1], Reconciled)
    book, stated = office.house.hosts["aletheia"].state.docket.book, office.house.venue.statement()
    assert (book.statement(), stated.positions) == (stated, ())


def test_the_halt_stands_in_the_log_before_what_followed_from_it(watched: Any) -> None:
    """Also where the fill is heard before anybody has looked at the latch."""
    office, kill, _ = watched
    holding(office)
    pulled(kill.switch, "global", "", "flattening")
    office.house._show_market()
    turns(office, 3)
    log = bodies(office)
    (ordered,) = [at for at, body in enumerate(log) if isinstance(body, HaltOrdered)]
    ids = [getattr(body, "client_order_id", "") for body in log]
    assert ordered < next(at for at, key in enumerate(ids) if is_kill_order(key))


def test_a_closing_that_nobody_ordered_is_a_discrepancy(watched: Any) -> None:
    """Nothing is adopted silently: an id alone is no reason."""
    office, _, way = watched
    holding(office)
    way.venue.close_positions("", "abcdefghijklmnop")
    turns(office, 3)
    found = [body.finding for body in bodies(office) if isinstance(body, DiscrepancyFound)]
    assert found[0] == "fill_unknown"


def test_a_run_with_a_flattening_says_the_same_again(watched: Any) -> None:
    """Byte for byte: what was done past everybody is an input like any other."""
    office, kill, _ = watched
    holding(office)
    pulled(kill.switch, "global", "", "flattening")
    finished(office.house)
    rows = len(bodies(office))
    assert replay(office.folder / JOURNAL).rows == rows


def test_a_restart_goes_on_from_there(tmp_path: Path) -> None:
    office, kill, _ = an_office(tmp_path)
    holding(office)
    pulled(kill.switch, "global", "", "flattening")
    turns(office, 2)
    office.house.close()
    house = a_house(tmp_path, kill)
    house.start()
    finished(house)
    again = Office(house, Desk(house), office.folder)
    assert isinstance(bodies(again)[-1], Reconciled)
    assert len(halts(again)) == 1
    house.close()


# -- resume ----------------------------------------------------------------------------------------------------------


def checklist(office: Office) -> dict[str, str]:
    answer = office.asks(ShowChecklist())
    assert isinstance(answer, Checklist)
    return {one.name: one.fault for one in answer.checks}


def test_two_people_lift_halt_and_latch_together_and_trading_goes_on(watched: Any) -> None:
    office, kill, way = watched
    holding(office)
    pulled(kill.switch, "global", "", "flattening")
    turns(office, 4)
    assert set(checklist(office).values()) == {""}
    office.done(Resume("global", "", "carol", WHY))
    act = office.waiting().acts[-1]
    assert kill.switch.standing[0].latch in act.canonical  # people see what they lift
    office.done(signed(act, "alice"))
    assert kill.switch.standing
    assert office.done(signed(act, "bob")).outcome == "approved"
    assert (kill.switch.standing, way.venue.bars(), office.is_halted()) == ((), {}, False)
    before = len([body for body in bodies(office) if isinstance(body, OrderIntended)])
    turns(office, 6)
    assert len([body for body in bodies(office) if isinstance(body, OrderIntended)]) > before
    assert len(halts(office)) == 1
    office.house.end()
    assert isinstance(bodies(office)[-1], Reconciled)


def test_where_the_kill_switch_does_not_lift_the_house_stays_halted(watched: Any, tmp_path: Path) -> None:
    office, kill, _ = watched
    pulled(kill.switch)
    assert set(checklist(office).values()) == {""}
    office.done(Resume("global", "", "carol", WHY))
    act = office.waiting().acts[-1]
    office.done(signed(act, "alice"))
    kill.switch._people.clear()
    done = office.done(signed(act, "bob"))
    assert done.outcome == "refused"
    assert "0 of 2" in done.what
    office.house.look()
    assert office.is_halted()
    assert len(kill.switch.standing) == 1
    kinds = [type(body) for body in bodies(office)]
    assert (kinds.count(OperationApproved), kinds.count(HaltOrdered)) == (1, 2)


def test_a_halt_of_the_desk_alone_needs_no_kill_switch_to_lift_it(watched: Any) -> None:
    office, _, _ = watched
    office.done(Halt("global", "", "reduce_only", "carol", WHY))
    office.done(Resume("global", "", "carol", WHY))
    act = office.waiting().acts[-1]
    office.done(signed(act, "alice"))
    assert office.done(signed(act, "bob")).outcome == "approved"
    assert not office.is_halted()


def test_a_red_checklist_denies_the_resume_and_the_last_signature(watched: Any, tmp_path: Path) -> None:
    office, kill, _ = watched
    pulled(kill.switch)
    assert set(checklist(office).values()) == {""}
    (tmp_path / "state" / "HALT").touch()
    assert "HALT" in office.denied(Resume("global", "", "carol", WHY)).what
    (tmp_path / "state" / "HALT").unlink()
    office.done(Resume("global", "", "carol", WHY))
    act = office.waiting().acts[-1]
    office.done(signed(act, "alice"))
    kill.page.say(0)
    assert "does not reach" in office.denied(signed(act, "bob")).what
    kill.beat()
    assert office.done(signed(act, "bob")).outcome == "approved"


def test_while_positions_are_being_closed_the_checklist_is_red(watched: Any) -> None:
    office, kill, _ = watched
    holding(office)
    pulled(kill.switch, "global", "", "flattening")
    assert "closing" in checklist(office)["books"]


RED = {
    "books": lambda house: house.venue.close(),
    "lease": lambda house: house.lease.revoke("a discrepancy"),
    "disk": lambda house: house.lease.suspend("the disk: full"),
    "agents": lambda house: setattr(house, "failure", "an agent failed"),
}


class BrokenSeal:
    faults = ("a rule was changed",)


@pytest.mark.parametrize("name", RED)
def test_each_line_of_the_checklist_can_be_red_and_says_why(tmp_path: Path, name: str) -> None:
    office, _, _ = an_office(tmp_path)
    assert set(checklist(office).values()) == {""}
    RED[name](office.house)
    assert [one.name for one in office.desk._inspector.checklist().checks if one.fault] == [name]
    office.house.abandon()


def test_a_broken_seal_ends_the_house_whoever_asks_first(tmp_path: Path) -> None:
    """Not a line among others: the halt stands in the log, and whoever runs the house hears of it."""
    office, _, _ = an_office(tmp_path)
    office.house.seal = BrokenSeal()  # type: ignore[assignment]
    with pytest.raises(Broken):
        office.asks(ShowChecklist())
    assert halts(office)[-1].level == "halted"
    office.house.abandon()


def test_a_journal_that_was_altered_is_a_red_line(tmp_path: Path) -> None:
    office, _, _ = an_office(tmp_path)
    office.house.journal.commit()
    journal = office.house.journal
    journal._connection.execute("UPDATE segments SET head = zeroblob(32) WHERE first_seq = 1")
    assert checklist(office)["journal"]
    office.house.abandon()


def test_a_look_that_raises_is_a_red_line(tmp_path: Path) -> None:
    office, _, _ = an_office(tmp_path)

    def look() -> str:
        raise RuntimeError("nobody knows")

    desk = Desk(office.house, more=[("agents", look), ("watchdog", lambda: "")])
    answer = desk._inspector.checklist()
    assert [one for one in answer.checks if one.fault] == [Check("agents", "it cannot be found out: nobody knows")]
    assert "watchdog" in [one.name for one in answer.checks]
    office.house.abandon()
