"""What can be asked at the desk, and what it answers: one canonical JSON object, on one line, each way.

Both unions are closed: an unknown kind or field, a field that comes twice, another spelling, a line that is too long
or anything after the line is refused, and nothing is appended.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from graveyard.words import Proposal, Side, Violation
from mutable_core.messages import OperationAsked, Scope

LINE_MAX = 8_192  # bytes of a question
ANSWER_MAX = 1_048_576  # bytes of an answer
SOCKET = "operator.sock"

Name = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9_-]{1,32}\Z")]
"""Of a person or profile, as the people file has them."""
Covered = Annotated[str, msgspec.Meta(max_length=64)]
"""An account, strategy or instrument; empty for everything."""
Text = Annotated[str, msgspec.Meta(min_length=3, max_length=500)]
Reason = Annotated[str, msgspec.Meta(min_length=10, max_length=500)]
"""Of an operation: rule 24 refuses a shorter one. A halt must not fail for its reason."""
Hex = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{1,128}\Z")]
Natural = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

HouseLevel = Literal["reduce_only", "halted"]
"""How far the house itself can halt; positions are closed by the kill switch alone."""

PURPOSES = ("trading",)
"""What a consent may be for: what rule 16 asks about. Another word would be recorded and never read."""


class _Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="ask"):
    pass


class ListWaiting(_Question, frozen=True, tag="list"):
    """What waits for people, and which halts and vetoes stand."""


class ShowAct(_Question, frozen=True, tag="show"):
    """One act that waits, by its id or the beginning of it."""

    act_id: Hex


class Halt(_Question, frozen=True, tag="halt"):
    scope: Scope
    name: Covered
    level: HouseLevel
    by: Name
    reason: Text


class Resume(_Question, frozen=True, tag="resume"):
    """Ask for a halt to be lifted; two others must sign."""

    scope: Scope
    name: Covered
    by: Name
    reason: Reason


class ShowChecklist(_Question, frozen=True, tag="checklist"):
    """What must be in order before anything is resumed."""


class SetVeto(_Question, frozen=True, tag="veto_set"):
    scope: Scope
    name: Covered
    by: Name
    reason: Text


class LiftVeto(_Question, frozen=True, tag="veto_lift"):
    scope: Scope
    name: Covered
    by: Name


class Consent(_Question, frozen=True, tag="consent"):
    """`until_ns` is log time, UTC."""

    person: Name
    purpose: Name
    until_ns: Natural


class DeclareBroadcast(_Question, frozen=True, tag="broadcast"):
    instrument: Covered
    title: Text


class DeclareFiling(_Question, frozen=True, tag="filing"):
    instrument: Covered
    filing: Text


class DeclareSignal(_Question, frozen=True, tag="signal"):
    profile: Name
    instrument: Covered
    side: Side


class TakeSnapshot(_Question, frozen=True, tag="snapshot"):
    """Keep what the house knows now."""

    name: Name
    by: Name


class Sign(_Question, frozen=True, tag="sign"):
    """Fields as in `PersonSigned`."""

    act_id: Hex
    digest: Hex
    position: Natural
    person: Name
    signature: Hex


Question: TypeAlias = (
    ListWaiting
    | ShowAct
    | Halt
    | Resume
    | ShowChecklist
    | SetVeto
    | LiftVeto
    | Consent
    | DeclareBroadcast
    | DeclareFiling
    | DeclareSignal
    | TakeSnapshot
    | Sign
)


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="answer"):
    pass


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One act that waits for people. All but `canonical` is the house's word; see `deployment.desk.signing`.

    Attributes:
        canonical: the act's own canonical bytes, as text: what its digest is of.
        position: log position of its `ApprovalAwaited`; 0 until that is in the log.
        needed: how many different people must sign; `signed`: who has.
        expires_in_ns: of log time.
        mark_then_atoms, mark_now_atoms: the instrument's price when it was asked for, and now; 0 for an operation.
        violations: what stands in the way as long as nobody signs.
    """

    act_id: str
    kind: Literal["order", "operation"]
    canonical: str
    digest: str
    position: int
    needed: int
    signed: tuple[str, ...]
    expires_in_ns: int
    mark_then_atoms: int
    mark_now_atoms: int
    violations: tuple[Violation, ...]


class Stands(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A halt or a veto that stands."""

    what: Literal["reduce_only", "halted", "veto"]
    scope: str
    name: str


class Waiting(_Answer, frozen=True, tag="waiting"):
    """`now_ns` is log time; `left_off` counts acts that were not listed because there are too many."""

    now_ns: int
    currency: str
    acts: tuple[Act, ...]
    left_off: int
    standing: tuple[Stands, ...]


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`fault` says what is not in order; empty where it is."""

    name: str
    fault: str


class Checklist(_Answer, frozen=True, tag="checklist"):
    checks: tuple[Check, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """What is not in order, a line each; empty where everything is green."""
        return tuple(f"{one.name}: {one.fault}" for one in self.checks if one.fault)


class Done(_Answer, frozen=True, tag="done"):
    """It stands in the log, on disk, at `position`.

    Attributes:
        outcome: `refused` where the rules refuse the act; `waits` where people must still sign.
        what: a sentence of what follows.
        act_id: of the operation or order that it is about; empty where there is none.
    """

    outcome: Literal["recorded", "waits", "approved", "refused"]
    position: int
    trace_id: str
    act_id: str
    what: str


class Denied(_Answer, frozen=True, tag="denied"):
    """Nothing was appended. `is_busy`: it may be asked again later."""

    what: str
    to_do: str = ""
    is_busy: bool = False


Answer: TypeAlias = Waiting | Checklist | Done | Denied

_encoder = msgspec.json.Encoder(decimal_format="string")
_questions = msgspec.json.Decoder(Question, strict=True)
_answers = msgspec.json.Decoder(Answer, strict=True)
_proposals = msgspec.json.Decoder(Proposal, strict=True)
_operations = msgspec.json.Decoder(OperationAsked, strict=True)

encode = _encoder.encode
"""Canonical bytes of a question, an answer, a proposal or an operation."""


def question_in(line: bytes) -> Question | None:
    """The question on this line, without its end; None for anything else."""
    try:
        question = _questions.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return question if encode(question) == line else None


def answer_in(line: bytes) -> Answer | None:
    """The answer on this line, without its end; None for anything else."""
    try:
        answer: Answer = _answers.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return answer


def act_in(kind: Literal["order", "operation"], canonical: bytes) -> Proposal | OperationAsked | None:
    """The act in its canonical bytes; None for anything else."""
    try:
        act = _proposals.decode(canonical) if kind == "order" else _operations.decode(canonical)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return act if encode(act) == canonical else None


def covered(scope: str, name: str) -> str:
    """`instrument A`, `everything`."""
    return "everything" if scope == "global" else f"{scope} `{name}`"
