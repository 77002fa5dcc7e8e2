"""The desk of one house: a question in, an answer out, and in between at most one message to the whole house.

It is called between two turns, never inside one, because it runs in the loop that turns. What it cannot read, does not
know or may not accept is denied before anything is appended; what it says is done is on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from deployment.desk import words
from deployment.desk.allowance import Allowance
from deployment.desk.checklist import Inspector, Look
from deployment.desk.commands import Command, Order, Shown, order_for
from deployment.desk.waiting import WaitingRoom
from deployment.desk.words import Answer, Denied, Done, Question, covered
from deployment.kill_switch.evidence import evidence
from deployment.kill_switch.latches import note
from deployment.kill_switch.watching import KillWatch
from deployment.topology.house import House
from mutable_core.clock import monotonic_ns
from mutable_core.ids import uuid7
from mutable_core.messages import (
    Approved,
    ConsentRecorded,
    Envelope,
    HaltOrdered,
    OperationApproved,
    OperationAsked,
    OperationRefused,
    PersonSigned,
    Refused,
    SnapshotTaken,
)

PER_MINUTE = 60
"""Commands; halts are counted apart, so that nothing else can use up theirs."""
LOOKS_PER_MINUTE = 600

_UNREADABLE = Denied("the desk cannot read this question", "use the `ark` of the same build as the house")


class Desk:
    """Must be made before the house starts, so that it sees what a restart replays.

    Args:
        monotonic: ns of a clock that never jumps; injected so that tests need not wait.
        more: further lines of the checklist; see `Inspector`.
    """

    def __init__(
        self,
        house: House,
        monotonic: Callable[[], int] = monotonic_ns,
        *,
        more: Sequence[tuple[str, Look]] = (),
    ) -> None:
        self._house = house
        self._kill = house.kill if isinstance(house.kill, KillWatch) else None  # whose latches a resume must lift too
        self._inspector = Inspector(house, self._kill, more)
        self._room = WaitingRoom(house)
        self._halts = Allowance(PER_MINUTE, monotonic)
        self._commands = Allowance(PER_MINUTE, monotonic)
        self._looks = Allowance(LOOKS_PER_MINUTE, monotonic)
        self._decided: list[Envelope] = []
        for kind in (Approved, Refused, OperationApproved, OperationRefused):
            house.bus.folds.setdefault(kind, []).append(self._note)

    def _note(self, envelope: Envelope) -> None:
        self._decided[:] = (*self._decided[-7:], envelope)

    def answer(self, line: bytes) -> bytes:
        """What follows from one line, without its end.

        Raises:
            ArkError: the house failed while it was told; nothing more may be sent.
        """
        return words.encode(self._answered(line))

    def _answered(self, line: bytes) -> Answer:
        order = self._taken(line)
        if isinstance(order, words.ShowChecklist):
            return self._checklist()
        if isinstance(order, SnapshotTaken) and not self._house.take_snapshot():
            return self._no_snapshot()  # the log says that there is one only once there is
        return self._told(order) if isinstance(order, Order) else order

    def _no_snapshot(self) -> Denied:
        snapshots = self._house.snapshots
        if snapshots is None:
            return Denied("this run keeps no snapshots", "set `ARK_SNAPSHOT_ROWS` to more than 0")
        return Denied(snapshots.failure or "an order is on its way", "ask again", is_busy=True)

    def _checklist(self) -> Answer:
        """What the venue has said meanwhile is heard first: it need not wait for the market's next row."""
        if self._closed() is None:
            self._house.hear()
            self._house.journal.commit()
        return self._inspector.checklist()

    def _taken(self, line: bytes) -> Order | words.ShowChecklist | Answer:
        """What is to be appended, or the answer where nothing is. Whatever goes wrong here, nothing was appended."""
        try:
            question = words.question_in(line) if len(line) <= words.LINE_MAX else None
            return _UNREADABLE if question is None else self._asked(question)
        except Exception as error:  # noqa: BLE001  # error = refusal, whatever it is
            return Denied(f"the desk could not answer: it raised `{type(error).__name__}`", "report it")

    def _asked(self, question: Question) -> Order | words.ShowChecklist | Answer:
        allowance = self._allowance(question)
        if not allowance.takes_one():
            return Denied(
                f"more than {allowance.per_minute} of these came within a minute", "wait a little", is_busy=True
            )
        if isinstance(question, words.ListWaiting):
            return self._room.everything()
        if isinstance(question, words.ShowAct):
            return self._room.one(question.act_id)
        if isinstance(question, words.ShowChecklist):
            return question
        denied = self._unreadable(question) or self._closed()
        return denied or self._demanded_green(order_for(question, self._shown(), uuid7()))

    def _demanded_green(self, order: Order | Denied) -> Order | Denied:
        """A resume, asked for or signed, is denied while anything is not in order."""
        if not self._is_of_a_resume(order):
            return order
        faults = self._inspector.checklist().faults
        if faults:
            return Denied(f"nothing is resumed now: {'; '.join(faults)}", "see `ark resume --checklist`")
        if isinstance(order, OperationAsked) and self._kill is not None:
            latch = self._kill.latch_on((order.scope, order.name))
            return replace(order, reason=order.reason + note(latch)) if latch else order
        return order

    def _is_of_a_resume(self, order: Order | Denied) -> bool:
        if isinstance(order, PersonSigned):
            pending = self._room.docket.pending.get(order.act_id)
            act = pending.act if pending is not None else None
        else:
            act = order if isinstance(order, OperationAsked) else None
        return isinstance(act, OperationAsked) and act.operation == "resume"

    def _allowance(self, question: Question) -> Allowance:
        match question:
            case words.Halt():
                return self._halts
            case words.ListWaiting() | words.ShowAct() | words.ShowChecklist():
                return self._looks
            case _:
                return self._commands

    def _unreadable(self, command: Command) -> Denied | None:
        """Text that a terminal would not show as it is could show another act than it names."""
        texts = [value for value in map(command.__getattribute__, command.__struct_fields__) if isinstance(value, str)]
        if all(text.isprintable() for text in texts):
            return None
        return Denied("a text holds characters that cannot be printed", "leave them away")

    def _closed(self) -> Denied | None:
        house = self._house
        if house.failure or not house.is_started:
            return Denied(f"the house does not run: {house.failure or 'it is starting'}", is_busy=True)
        if house.has_ended:
            return Denied("the source has ended: this run decides nothing any more", "start a run on another source")
        return None

    def _shown(self) -> Shown:
        return Shown(self._house.started, self._room.docket)

    def _told(self, order: Order) -> Done:
        """Append it, let everybody hear it, and make it durable before it is said to be done."""
        house, self._decided[:] = self._house, []
        envelope = house.tell(order)
        house.journal.commit()
        if isinstance(order, OperationAsked):
            return self._followed(envelope, order.operation_id)
        if isinstance(order, PersonSigned):
            return self._lifted(self._followed(envelope, order.act_id))
        return Done("recorded", envelope.seq, envelope.trace_id, "", _sentence(order))

    def _lifted(self, done: Done) -> Done:
        """What the kill switch has latched, it lifts itself, by the signatures that stand in the log."""
        approved = next((one.body for one in self._decided if isinstance(one.body, OperationApproved)), None)
        if self._kill is None or done.outcome != "approved" or approved is None or approved.operation != "resume":
            return done
        if not self._kill.latch_on((approved.scope, approved.name)):
            return done
        fault = self._kill.lift(evidence(self._house.journal, approved))
        if not fault:
            return replace(done, what=f"{done.what}; the kill switch has lifted its latch")
        return replace(
            done, outcome="refused", what=f"the kill switch does not lift its latch: {fault}; it stays halted"
        )

    def _followed(self, told: Envelope, act_id: str) -> Done:
        """What became of the act that was asked for, or signed."""
        pending = self._room.docket.pending.get(act_id)
        if pending is not None:
            more = pending.needed - len(pending.signatures)
            people = "one more person signs" if more == 1 else f"{more} people sign"
            return Done("waits", told.seq, told.trace_id, act_id, f"it waits until {people}")
        for envelope in self._decided:
            match envelope.body:
                case Approved(proposal_id=one) | OperationApproved(operation_id=one) if one == act_id:
                    return Done(
                        "approved", told.seq, told.trace_id, act_id, "it is signed by all who must, and approved"
                    )
                case (
                    Refused(proposal_id=one, verdict=verdict) | OperationRefused(operation_id=one, verdict=verdict)
                ) if one == act_id:
                    whys = "; ".join(f"rule {broken.rule}: {broken.why}" for broken in verdict.violations)
                    return Done("refused", told.seq, told.trace_id, act_id, f"the rules refuse it: {whys}")
                case _:
                    continue
        return Done("refused", told.seq, told.trace_id, act_id, "nothing was decided")


def _sentence(order: Order) -> str:
    match order:
        case HaltOrdered(scope=scope, name=name, level=level):
            left = "nothing is ordered any more" if level == "halted" else "only reductions pass"
            return f"{level} on {covered(scope, name)}: {left} until two people sign a resume"
        case ConsentRecorded(person=person, purpose=purpose):
            return f"consent of `{person}` to {purpose} is recorded"
        case SnapshotTaken(name=name):
            return f"snapshot `{name}` is on the disk and recorded"
        case _:
            return f"{type(order).__name__} is recorded"
