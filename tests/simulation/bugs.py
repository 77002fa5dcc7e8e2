"""Bugs on purpose, one or more in each layer: if the simulator does not find them, it does not look.

Each is switched on for a block of code by replacing one function of the house, and is the kind of mistake that a careful
person makes: a message that is dropped once, a check that is asked too early, a patience that is too short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from msgspec.structs import replace

import agents.kenny.effects as effects_module
import mutable_core.book as books_module
import mutable_core.docket.answers as answers_module
from agents.kenny.door import Door
from agents.kenny.effects import Effects
from agents.kenny.lifecycle import entry_id
from agents.runtime.agent import Step
from deployment.topology.house import House
from deployment.topology.wiring import AGENTS
from graveyard.words import Verdict
from mutable_core.bus.ordering import Bus
from mutable_core.errors import VenueUnavailable
from mutable_core.journal import Journal
from mutable_core.messages import NothingProposed
from tests.simulation import wards as wards_module
from watchdog import policy as policy_module
from watchdog.lease import LeaseKeeper


@contextmanager
def replaced(owner: Any, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """`owner.name` is what `make` makes of it, as long as the block lasts."""
    before = owner.__dict__[name]
    setattr(owner, name, make(before))
    try:
        yield
    finally:
        setattr(owner, name, before)


def forgetful_bus() -> AbstractContextManager[None]:
    """Bus: the message that an agent did not answer is not put aside."""

    def make(unanswered: Any) -> Any:
        def forgets(self: Bus, listener: Any, envelope: Any, error: Any) -> None:
            unanswered(self, listener, envelope, error)
            self._aside[listener.name].popleft()

        return forgets

    return replaced(Bus, "_unanswered", make)


def backward_bus() -> AbstractContextManager[None]:
    """Bus: what was put aside is given back with the newest first."""

    def make(_: Any) -> Any:
        def gives(self: Bus, agent: str, released: int) -> Iterator[Any]:
            aside = self._aside[agent]
            self._holds[agent] = [one for one in self._holds[agent] if one.seq > released]
            while aside:
                yield self._listeners[agent], aside.pop()

        return gives

    return replaced(Bus, "_given_back", make)


def remembering_agent() -> AbstractContextManager[None]:
    """Agent: Joey remembers something outside his state, which his next incarnation has not."""
    looked: dict[int, int] = {}

    def decide(state: Any, heard: Any) -> Step[Any]:
        step = AGENTS[1].decide(state, heard)
        looked[0] = looked.get(0, 0) + 1
        says = tuple(
            replace(say, body=replace(say.body, reason="warming_up"))
            if isinstance(say.body, NothingProposed) and looked[0] % 7 == 0
            else say
            for say in step.says
        )
        return Step(step.state, says, step.wants)

    twin = replace(AGENTS[1], decide=decide)
    return replaced(wards_module, "AGENTS", lambda agents: (agents[0], twin, *agents[2:]))


def open_door() -> AbstractContextManager[None]:
    """Door: the lease is looked at when the door is made, not when an order passes."""

    def make(init: Any) -> Any:
        def ajar(self: Door, venue: Any, verifier: Any, durable_seq: Any, lease_is_fresh: Any) -> None:
            init(self, venue, verifier, durable_seq, lambda: True)

        return ajar

    return replaced(Door, "__init__", make)


def blind_resend() -> AbstractContextManager[None]:
    """Effects: after a restart the venue is not asked whether it has the order."""

    def make(_: Any) -> Any:
        def believes(self: Effects, want: Any, now_ns: int, report: Any) -> bool:
            self._must_stand_in_the_log(want)
            return True

        return believes

    return replaced(Effects, "_is_unsent", make)


def impatient_effects() -> AbstractContextManager[None]:
    """Effects: what the venue denies twice within 3 s is taken for lost."""
    return replaced(effects_module, "PATIENCE_NS", lambda ns: ns // 10)


def lasting_lease() -> AbstractContextManager[None]:
    """Lease: once granted it stays; whoever writes the page is not asked any more."""

    def make(is_fresh: Any) -> Any:
        return lambda self: not self.ended

    return replaced(LeaseKeeper, "is_fresh", make)


def endless_quarantine() -> AbstractContextManager[None]:
    """Watchdog's policy: a probe that passed changes nothing."""
    return replaced(policy_module, "probe_passed", lambda _: lambda ward, now_ns: (ward, None))


def late_commit() -> AbstractContextManager[None]:
    """House: orders leave before the journal is on the disk."""

    def make(_: Any) -> Any:
        def settles(self: House) -> None:
            while self.effects.is_waiting:
                self.effects.perform(self.now_ns, self._report)
                self.bus.run()
            self.journal.commit()

        return settles

    return replaced(House, "_settle", make)


def lying_journal() -> AbstractContextManager[None]:
    """Journal: a short commit is said to be durable, and written with the next one."""

    def make(commit: Any) -> Any:
        def postpones(self: Journal) -> None:
            if 0 < self.pending <= 24:
                self.durable_seq = self.seq
                return
            self.durable_seq = self.seq - len(self._rows)
            commit(self)

        return postpones

    return replaced(Journal, "commit", make)


def free_holds() -> AbstractContextManager[None]:
    """Docket: an approval holds nothing, so that two which fit alone pass together."""

    def make(note_hold: Any) -> Any:
        def notes(book: Any, proposal_id: str, hold: Any) -> Any:
            return note_hold(book, proposal_id, replace(hold, notional_micros=hold.notional_micros // 1_000_000))

        return notes

    return replaced(books_module, "note_hold", make)


def deaf_judge() -> AbstractContextManager[None]:
    """Authority: whoever judges does not look at halts."""

    def make(judge: Any) -> Any:
        def judges(facts: Any, *rest: Any) -> Verdict:
            verdict: Verdict = judge(replace(facts, halt_level=0), *rest)
            return verdict

        return judges

    return replaced(answers_module, "judge", make)


def one_hand_signs_twice() -> AbstractContextManager[None]:
    """People: a signature counts, whoever it is by and however often."""

    def make(is_valid: Any) -> Any:
        def counts(docket: Any, pending: Any, body: Any) -> bool:
            return bool(is_valid(docket, pending._replace(signatures=()), body))

        return counts

    return replaced(answers_module, "is_valid", make)


def doubtless_venue() -> AbstractContextManager[None]:
    """Effects: venue events that come out of order are believed as they come."""

    def make(hear: Any) -> Any:
        def hears(self: Effects, now_ns: int, report: Any) -> None:
            try:
                events: Sequence[Any] = self._venue.events(self._venue_seq)
            except VenueUnavailable:
                return
            orders = self._state().orders
            for event in events:
                tracked = orders.get(entry_id(event.client_order_id))
                report(event, tracked.cause if tracked else None)
            self._look_up(now_ns, report)

        return hears

    return replaced(Effects, "_hear", make)


BUGS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "forgetful_bus": forgetful_bus,
    "backward_bus": backward_bus,
    "remembering_agent": remembering_agent,
    "open_door": open_door,
    "blind_resend": blind_resend,
    "doubtless_venue": doubtless_venue,
    "impatient_effects": impatient_effects,
    "lasting_lease": lasting_lease,
    "endless_quarantine": endless_quarantine,
    "late_commit": late_commit,
    "lying_journal": lying_journal,
    "free_holds": free_holds,
    "deaf_judge": deaf_judge,
    "one_hand_signs_twice": one_hand_signs_twice,
}
"""By name; the docstring says in which layer."""
