"""Kenny's hands: every durable wish is granted once, also after a crash; what is answered is over (I4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents.kenny.door import Door
from agents.kenny.effects import PATIENCE_NS, Asked, Effects
from agents.kenny.venues.simulated import SimulatedVenue
from agents.runtime.agent import CancelOrder, Cause, FetchStatement, PlaceOrder
from deployment.topology.approvers import EmbeddedApprover
from graveyard.words import Approval, Verdict
from mutable_core.clock import MINUTE_NS, SECOND_NS
from mutable_core.errors import ApprovalForged, AuthoritySilent, VenueUnavailable
from mutable_core.messages import (
    AnyBody,
    Envelope,
    HaltOrdered,
    OrderAccepted,
    OrderBlocked,
    OrderCancelled,
    OrderFilled,
    OrderRejected,
    OrderUnknown,
    StatementWanted,
    VenueStated,
)
from tests.agents.kenny.makers import Kenny, a_numbered, an_authority
from tests.graveyard.makers import good_facts
from tests.makers import DAY_1_NS, a_run, an_envelope, an_observation

NOW = DAY_1_NS
INSTRUMENT = a_numbered(1).instrument
FOREIGN = Cause("f" * 32, "f" * 32, 0, 0)


class CountingVenue(SimulatedVenue):
    """The real one; it counts what reaches it."""

    placed: tuple[str, ...] = ()
    asked: int = 0
    is_down = False  # nothing reaches it, nothing is answered
    is_mute = False  # commands reach it; questions are not answered
    is_wordless = False  # it answers all but what it has said
    is_late = False  # it answers, and says nothing new
    loses_answers = False  # commands reach it and are not answered; nor are questions
    denies = False  # says that it knows no order
    omits = 0  # leaves out the event of this number

    def place(self, order, ts_ns: int) -> None:
        self.placed = (*self.placed, order.client_order_id)
        self.unless(self.is_down)
        super().place(order, ts_ns)
        self.unless(self.loses_answers)

    def cancel(self, client_order_id: str, ts_ns: int) -> None:
        self.unless(self.is_down)
        super().cancel(client_order_id, ts_ns)

    def knows(self, client_order_id: str) -> bool:
        # An order that is about to be sent for the first time is not lost by this: see `is_mute`.
        self.unless(self.is_mute or (self.is_down and client_order_id in self.placed))
        return super().knows(client_order_id) and not self.denies

    def events(self, after: int):
        self.unless(self.is_down or self.is_mute or self.is_wordless or self.loses_answers)
        return () if self.is_late else [one for one in super().events(after) if one.venue_seq != self.omits]

    def statement(self):
        self.unless(self.is_down or self.is_mute)
        self.asked += 1
        return super().statement()

    def unless(self, is_silent: bool) -> None:
        if is_silent:
            raise VenueUnavailable("no answer")


class SilentWhenTold:
    """The embedded approver; it counts how often it is asked, and a test can make it silent."""

    def __init__(self, approver: EmbeddedApprover) -> None:
        self.approver = approver
        self.asked: list[int] = []
        self.is_silent = False

    def approve(self, asked: Sequence[Asked]) -> Sequence[Approval | str]:
        self.asked.append(len(asked))
        if self.is_silent:
            raise AuthoritySilent("it did not answer")
        return self.approver.approve(asked)


class Hands:
    """Kenny, his effects and a log: what is reported is appended, folded and heard, as the bus does."""

    def __init__(self, venue: CountingVenue) -> None:
        self.venue = venue
        self.kenny = Kenny()
        self.lease_is_fresh = True
        authority = an_authority()
        door = Door(venue, authority, lambda: 10**9, lambda: self.lease_is_fresh)
        self.approver = SilentWhenTold(EmbeddedApprover(authority))
        self.effects = Effects(venue, door, self.approver, lambda: self.kenny.state)
        self.log: list[tuple[AnyBody, Cause | None]] = []
        self.now_ns = NOW

    def approve(self, number: int, **changes: str) -> str:
        step = self.kenny.approve(a_numbered(number, **changes))
        (want,) = step.wants
        assert isinstance(want, PlaceOrder)
        self.effects.reported(an_envelope(want.approved, seq=want.approval_position, author="hrm"))
        self.effects.reported(an_envelope(step.says[0].body, seq=want.approval_position + 1, author="kenny"))
        self.effects.want(step.wants)
        return want.order.client_order_id

    def report(self, body: AnyBody, cause: Cause | None) -> None:
        self.log.append((body, cause))
        self.fold(body, cause)

    def fold(self, body: AnyBody, cause: Cause | None) -> None:
        given = cause or Cause("0" * 32, "0" * 32, -1, 0)
        self.effects.reported(
            an_envelope(
                body, seq=len(self.log), author="kenny", cause_id=given.id, trace_id=given.trace_id,
                depth=given.depth + 1, ts_ns=given.ts_event_ns,
            )
        )  # fmt: skip
        if not isinstance(body, VenueStated):
            self.kenny.hear(body)

    def perform(self) -> list[AnyBody]:
        before = len(self.log)
        self.effects.perform(self.now_ns, self.report)
        return [body for body, _ in self.log[before:]]

    def turn(self, *, after_ns: int = 0) -> list[AnyBody]:
        """What is reported in the next turn of the house, so much later."""
        self.now_ns += after_ns
        before = len(self.log)
        self.effects.collect(self.now_ns, self.report)
        if self.effects.is_waiting:
            self.effects.perform(self.now_ns, self.report)
        return [body for body, _ in self.log[before:]]


def a_venue(path: Path | None = None) -> CountingVenue:
    run = a_run()
    venue = CountingVenue.open(path, cash_micros=run.cash_micros, instruments=run.instruments)
    assert isinstance(venue, CountingVenue)
    venue.show(an_observation(), NOW)
    return venue


def crashed(hands: Hands, keep: int) -> Hands:
    """New hands, folded from the first `keep` reports of the same log; the venue lived on."""
    again = Hands(hands.venue)
    for number in range(1, 10):
        if f"{number:032x}" in hands.kenny.state.used:
            again.approve(number)
    for body, cause in hands.log[:keep]:
        again.log.append((body, cause))
        again.fold(body, cause)
    return again


def test_a_wish_waits_until_it_is_performed_and_is_then_over() -> None:
    hands = Hands(a_venue())
    key = hands.approve(1)
    assert hands.effects.is_waiting
    assert not hands.venue.knows(key)
    assert hands.perform() == [OrderAccepted(1, key)]
    assert not hands.effects.is_waiting
    assert hands.venue.placed == (key,)


def test_wishes_are_granted_in_the_order_in_which_they_were_wished() -> None:
    hands = Hands(a_venue())
    keys = tuple(hands.approve(number) for number in (3, 1, 2))
    hands.perform()
    assert hands.venue.placed == keys


def test_what_the_venue_answers_is_caused_by_the_approval_of_its_order() -> None:
    hands = Hands(a_venue())
    key = hands.approve(1)
    hands.perform()
    ((_, cause),) = hands.log
    assert cause == hands.kenny.state.orders[key].cause


def test_an_event_of_an_order_that_is_not_ours_has_no_cause() -> None:
    hands = Hands(a_venue())
    hands.venue.place(msgspec.structs.replace(_order(hands, 1), client_order_id="e" * 32), NOW)
    hands.effects.collect(NOW, hands.report)
    assert hands.log == [(OrderAccepted(1, "e" * 32), None)]


def _order(hands: Hands, number: int):
    (want,) = Kenny().approve(a_numbered(number)).wants
    assert isinstance(want, PlaceOrder)
    return want.order


def test_every_event_is_collected_once() -> None:
    hands = Hands(a_venue())
    hands.approve(1)
    hands.perform()
    hands.venue.show(an_observation(row=2), NOW)
    hands.effects.collect(NOW, hands.report)
    hands.effects.collect(NOW, hands.report)
    assert [type(body) for body, _ in hands.log] == [OrderAccepted, OrderFilled]


def test_a_rejection_is_an_answer() -> None:
    hands = Hands(a_venue())
    hands.approve(1, instrument="NOSUCH")
    assert [type(body) for body in hands.perform()] == [OrderRejected]
    assert not hands.effects.is_waiting


def test_a_stale_lease_is_reported_as_blocked_and_nothing_leaves() -> None:
    hands = Hands(a_venue())
    key = hands.approve(1)
    hands.lease_is_fresh = False
    assert hands.perform() == [OrderBlocked(key, "lease_stale")]
    assert hands.venue.placed == ()
    assert not hands.effects.is_waiting


def test_an_approval_that_the_authority_does_not_share_stops_the_house() -> None:
    """HRM is not believed: the authority judges the same facts again."""
    hands = Hands(a_venue())
    step = hands.kenny.approve(a_numbered(1), facts=good_facts(has_stop=0))
    hands.effects.want(step.wants)
    with pytest.raises(ApprovalForged):
        hands.perform()
    assert hands.venue.placed == ()


# -- a venue that does not answer -------------------------------------------------------------------------------------


def test_an_order_whose_fate_the_venue_does_not_tell_is_unknown_once_and_never_sent_again() -> None:
    """I4: reported in the approval's trace, looked up with every turn, pinned until the venue has told."""
    hands = Hands(a_venue())
    key = hands.approve(1)
    hands.venue.is_down = True
    assert hands.perform() == [OrderUnknown(key)]
    assert hands.log[0][1] == hands.kenny.state.orders[key].cause
    for _ in range(3):
        assert hands.turn() == []
    assert (hands.effects.unknown, hands.venue.placed) == ((key,), (key,))
    assert not hands.effects.is_waiting
    assert not hands.effects.is_settled
    assert hands.kenny.state.orders[key].status == "unknown"


def test_a_lost_answer_is_found_by_looking_up() -> None:
    """The order arrived, its acknowledgement did not: what the venue says of it follows, and it is unknown no more."""
    hands = Hands(a_venue())
    key = hands.approve(1)
    hands.venue.loses_answers = True
    assert hands.perform() == [OrderUnknown(key)]
    hands.venue.loses_answers = False
    assert hands.turn() == [OrderAccepted(1, key)]
    assert hands.effects.unknown == ()
    assert hands.venue.placed == (key,)


def test_a_lost_request_ends_when_the_venue_has_said_twice_that_it_never_came() -> None:
    """Once is not enough: it may still be on its way. Silence in between counts for nothing."""
    hands = Hands(a_venue())
    key = hands.approve(1)
    hands.venue.is_down = True
    hands.perform()
    assert hands.turn(after_ns=100 * PATIENCE_NS) == []  # still silent
    hands.venue.is_down = False
    assert hands.turn() == []
    assert hands.turn(after_ns=PATIENCE_NS - 1) == []
    assert hands.turn(after_ns=1) == [OrderBlocked(key, "never_arrived")]
    assert hands.effects.unknown == ()
    assert hands.effects.is_settled
    assert hands.venue.placed == (key,)


def test_an_order_that_arrives_late_is_not_taken_for_lost() -> None:
    hands = Hands(a_venue())
    key = hands.approve(1)
    hands.venue.is_down = True
    hands.perform()
    hands.venue.is_down = False
    assert hands.turn() == []
    SimulatedVenue.place(hands.venue, _order(hands, 1), NOW)
    assert hands.turn(after_ns=PATIENCE_NS) == [OrderAccepted(1, key)]


def test_two_absences_with_a_sighting_between_them_are_not_two() -> None:
    hands = Hands(a_venue())
    key = hands.approve(1)
    hands.venue.is_down = True
    hands.perform()
    hands.venue.is_down = False
    hands.turn()  # absent
    SimulatedVenue.place(hands.venue, _order(hands, 1), NOW)
    hands.venue.is_late = True
    hands.turn()  # seen, and nothing is said of it yet
    hands.venue.denies = True
    assert hands.turn(after_ns=PATIENCE_NS) == []  # absent
    assert hands.effects.unknown == (key,)


def test_an_order_that_was_taken_and_of_which_nothing_is_said_becomes_unknown() -> None:
    """At once where the venue does not say anything, and after half a minute where it says nothing of it."""
    for silence, after_ns in (("is_wordless", 0), ("is_late", PATIENCE_NS)):
        hands = Hands(a_venue())
        key = hands.approve(1)
        setattr(hands.venue, silence, True)
        assert hands.perform() == ([OrderUnknown(key)] if not after_ns else [])
        assert hands.turn(after_ns=after_ns) == ([OrderUnknown(key)] if after_ns else [])
        setattr(hands.venue, silence, False)
        assert hands.turn(after_ns=PATIENCE_NS) == [OrderAccepted(1, key)]


def test_an_order_that_cannot_be_looked_up_is_not_sent() -> None:
    """After a crash it may have been sent before: without an answer there is no second sending."""
    hands = Hands(a_venue())
    key = hands.approve(1)
    hands.perform()
    again = crashed(hands, 0)
    hands.venue.is_mute = True
    assert again.effects.unanswered().untold == (key,)
    assert again.perform() == [OrderUnknown(key)]
    hands.venue.is_mute = False
    assert again.turn() == [OrderAccepted(1, key)]
    assert hands.venue.placed == (key,)


def test_what_was_unknown_before_a_crash_is_unknown_after_it() -> None:
    hands = Hands(a_venue())
    key = hands.approve(1)
    hands.venue.is_down = True
    hands.perform()
    hands.venue.is_down = False
    again = crashed(hands, 1)
    assert again.effects.unknown == (key,)
    assert again.perform() == []
    assert again.turn(after_ns=PATIENCE_NS) == [OrderBlocked(key, "never_arrived")]
    assert again.log[-1][1] == hands.log[0][1]  # in the same trace, wherever the approval was remembered
    assert hands.venue.placed == (key,)


def test_events_behind_a_gap_wait_until_it_is_filled() -> None:
    hands = Hands(a_venue())
    keys = [hands.approve(number) for number in (1, 2)]
    hands.venue.omits = 1
    assert hands.perform() == []
    hands.venue.omits = 0
    assert hands.turn() == [OrderAccepted(1, keys[0]), OrderAccepted(2, keys[1])]


def test_a_cancel_that_is_not_taken_is_told_again_each_turn() -> None:
    hands = Hands(a_venue())
    key = hands.approve(1)
    hands.perform()
    hands.effects.want((CancelOrder(key, FOREIGN),))
    hands.venue.is_down = True
    assert hands.perform() == []
    assert not hands.effects.is_waiting  # not in this turn
    hands.venue.is_down = False
    assert hands.turn() == [OrderCancelled(2, key, "by_us")]
    assert hands.effects.is_settled


def test_a_cancel_of_an_unknown_order_is_told_until_its_end_is_known() -> None:
    """It may arrive after the cancel did."""
    hands = Hands(a_venue())
    key = hands.approve(1)
    hands.venue.is_down = True
    hands.perform()
    hands.venue.is_down = False
    hands.effects.want((CancelOrder(key, FOREIGN),))
    hands.perform()
    SimulatedVenue.place(hands.venue, _order(hands, 1), NOW)
    assert hands.turn(after_ns=1) == [OrderAccepted(1, key), OrderCancelled(2, key, "by_us")]
    assert hands.effects.is_settled


@pytest.mark.parametrize("silence", ["is_down", "is_late"])
def test_a_statement_waits_while_an_order_is_without_an_answer(silence: str) -> None:
    """Books and statement would differ, and nobody could say which is wrong."""
    hands = Hands(a_venue())
    hands.effects.want((wanted(64)[1],))
    hands.approve(1)
    setattr(hands.venue, silence, True)
    hands.perform()
    setattr(hands.venue, silence, False)
    said = [*hands.turn(), *hands.turn(after_ns=PATIENCE_NS)]
    assert isinstance(said[-1], VenueStated)
    assert not isinstance(said[-2], VenueStated)


def test_a_statement_that_stays_ahead_of_what_was_said_is_shown_at_last() -> None:
    """Then books and venue differ, and Aletheia says so."""
    hands = Hands(a_venue())
    hands.approve(1)
    hands.perform()
    hands.venue.show(an_observation(row=2), NOW)
    hands.venue.is_late = True
    hands.effects.want((wanted(64)[1],))
    assert hands.perform() == []
    assert hands.turn(after_ns=PATIENCE_NS - 1) == []
    (stated,) = hands.turn(after_ns=1)
    assert isinstance(stated, VenueStated)
    assert stated.venue_seq == 2


# -- after a crash ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0, 1, 2, 3])
def test_an_order_that_the_venue_knows_is_not_sent_again(keep: int) -> None:
    """Sent, but the crash came before the answer was durable: asked about, reported, not sent twice."""
    hands = Hands(a_venue())
    for number in (1, 2, 3):
        hands.approve(number)
    hands.perform()
    again = crashed(hands, keep)
    assert again.effects.adopt()["orders_found_at_venue"] == 3 - keep
    again.perform()
    assert len(hands.venue.placed) == 3
    assert again.log == hands.log
    assert not again.effects.is_waiting


def test_an_order_that_never_left_is_sent_after_the_crash() -> None:
    hands = Hands(a_venue())
    key = hands.approve(1)
    again = crashed(hands, 0)
    assert again.effects.adopt() == {"orders_waiting": 1, "orders_found_at_venue": 0, "cancels_waiting": 0}
    again.perform()
    assert hands.venue.placed == (key,)


def test_a_blocked_order_stays_blocked_after_a_crash() -> None:
    hands = Hands(a_venue())
    hands.approve(1)
    hands.lease_is_fresh = False
    hands.perform()
    again = crashed(hands, 1)
    again.perform()
    assert again.venue.placed == ()


def test_fills_that_came_while_we_were_gone_are_reported_once() -> None:
    hands = Hands(a_venue())
    hands.approve(1)
    hands.perform()
    hands.venue.show(an_observation(row=2), NOW)
    for keep in (0, 1):
        again = crashed(hands, keep)
        again.perform()
        again.effects.collect(NOW, again.report)
        assert [type(body) for body, _ in again.log] == [OrderAccepted, OrderFilled]


# -- statements -------------------------------------------------------------------------------------------------------


def wanted(seq: int) -> tuple[Envelope, FetchStatement]:
    heard = an_envelope(StatementWanted(seq), seq=seq)
    return heard, FetchStatement(Cause(heard.trace_id, heard.id, heard.depth, heard.ts_event_ns))


def test_a_statement_is_fetched_once_for_each_that_is_wanted() -> None:
    hands = Hands(a_venue())
    for seq in (64, 128):
        hands.effects.want((wanted(seq)[1],))
    assert [type(body) for body in hands.perform()] == [VenueStated, VenueStated]
    assert [cause for _, cause in hands.log] == [wanted(64)[1].cause, wanted(128)[1].cause]
    assert not hands.effects.is_waiting
    assert hands.perform() == []


@pytest.mark.parametrize("answer_first", [True, False])
def test_a_statement_that_was_asked_before_is_not_asked_again(answer_first: bool) -> None:
    """A replay may read the answer before the wish is said again, or after."""
    hands = Hands(a_venue())
    _, want = wanted(64)
    acts = [lambda: hands.fold(VenueStated(0, 0, (), ()), want.cause), lambda: hands.effects.want((want,))]
    for act in acts if answer_first else reversed(acts):
        act()
    assert not hands.effects.is_waiting
    hands.perform()
    assert hands.venue.asked == 0


def test_a_statement_includes_the_answers_to_the_orders_performed_with_it() -> None:
    hands = Hands(a_venue())
    hands.effects.want((wanted(64)[1],))
    key = hands.approve(1)
    accepted, stated = hands.perform()
    assert accepted == OrderAccepted(1, key)
    assert isinstance(stated, VenueStated)
    assert (stated.venue_seq, stated.open_orders) == (1, (key,))


# -- cancels ----------------------------------------------------------------------------------------------------------


def test_a_cancel_reaches_the_venue_once_and_its_answer_is_reported() -> None:
    hands = Hands(a_venue())
    key = hands.approve(1)
    hands.perform()
    hands.effects.want((CancelOrder(key, FOREIGN),))
    assert hands.perform() == [OrderCancelled(2, key, "by_us")]
    assert not hands.effects.is_waiting
    assert hands.perform() == []


def test_a_cancel_that_is_wished_again_after_a_crash_changes_nothing_more() -> None:
    hands = Hands(a_venue())
    key = hands.approve(1)
    hands.perform()
    hands.effects.want((CancelOrder(key, FOREIGN),))
    hands.perform()
    again = crashed(hands, 2)
    again.effects.want((CancelOrder(key, FOREIGN),))
    again.perform()
    assert again.log == hands.log


def test_the_facts_that_an_approval_rests_on_are_judged_at_the_time_of_the_order() -> None:
    """An order that waited longer than its approval lasts does not leave (I9, I2), and ends."""
    hands = Hands(a_venue())
    key = hands.approve(1)
    hands.effects.perform(NOW + MINUTE_NS + SECOND_NS, hands.report)
    assert [body for body, _ in hands.log] == [OrderBlocked(key, "approval_expired")]
    assert hands.venue.placed == ()
    assert not hands.effects.is_waiting
    assert Verdict(True, 0, "", ()).approved  # a verdict is data; only the authority's signature opens the door


@pytest.mark.parametrize(
    ("scope", "name", "level", "leaves"),
    [
        ("global", "", "reduce_only", False),
        ("global", "", "flattening", False),
        ("account", "paper", "reduce_only", False),
        ("instrument", INSTRUMENT, "halted", False),
        ("instrument", "OTHER", "halted", True),
        ("strategy", "nobody's", "halted", True),
    ],
)
def test_an_approval_from_before_a_halt_opens_nothing_under_it(scope: Any, name: str, level: Any, leaves: bool) -> None:
    """What waited for its agent is judged by the halts that stand when it would leave."""
    hands = Hands(a_venue())
    key = hands.approve(1)
    hands.effects.reported(an_envelope(HaltOrdered(scope, name, level, "ann", "we look at it"), seq=900))
    again = hands.effects.memory().standing
    assert again.halts
    assert (OrderBlocked(key, "halted") in hands.perform()) is not leaves
    assert (key in hands.venue.statement().open_orders) is leaves


# -- the authority ----------------------------------------------------------------------------------------------------


def test_a_silent_authority_lets_nothing_out_and_the_orders_end() -> None:
    """I2: no answer is no approval. The order is over, its hold can be let go."""
    hands = Hands(a_venue())
    keys = [hands.approve(number) for number in (1, 2)]
    hands.approver.is_silent = True
    assert hands.perform() == [OrderBlocked(key, "authority_silent") for key in keys]
    assert hands.venue.placed == ()
    assert not hands.effects.is_waiting
    hands.approver.is_silent = False
    assert hands.perform() == []


def test_all_that_waits_is_asked_for_at_once_and_only_what_the_venue_does_not_know() -> None:
    hands = Hands(a_venue())
    for number in (1, 2, 3):
        hands.approve(number)
    hands.perform()
    assert hands.approver.asked == [3]
    again = crashed(hands, 0)
    again.perform()
    assert again.approver.asked == []
