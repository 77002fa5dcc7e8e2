"""What can be asked at the kill switch, and what it answers: one JSON object on one line, each way, as at the desk."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from deployment.desk.words import Covered, Denied, Hex, Name, Natural, Text
from deployment.kill_switch.latches import Latched
from mutable_core.messages import Level, Scope

SOCKET = "kill.sock"
PAGE = "kill.page"
TOKEN = "kill.token"  # noqa: S105  the name of a file
HALT_FILE = "HALT"


class _Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="ask"):
    pass


class Pull(_Question, frozen=True, tag="pull"):
    """Halt there; `flattening` closes what is held too."""

    scope: Scope
    name: Covered
    level: Level
    by: Name
    reason: Text


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    person: Name
    signature: Hex


class Lift(_Question, frozen=True, tag="lift"):
    """A resume that people have signed. What it lifts stands in it.

    Attributes:
        operation: the canonical bytes of the `OperationAsked`, as text.
        position: log position of its `ApprovalAwaited`.
    """

    operation: Annotated[str, msgspec.Meta(max_length=4_000)]
    position: Natural
    signatures: Annotated[tuple[Signature, ...], msgspec.Meta(max_length=16)]


class WithdrawEntries(_Question, frozen=True, tag="withdraw"):
    """Withdraw every entry that works, and latch nothing: the way of a cancel when Kenny cannot."""


class Look(_Question, frozen=True, tag="look"):
    """What stands, and whether the way to the venue is open."""


Question: TypeAlias = Pull | Lift | WithdrawEntries | Look


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="answer"):
    pass


class Pulled(_Answer, frozen=True, tag="pulled"):
    """It is halted.

    Attributes:
        withdrawn: entries that were withdrawn now.
        closing: orders that close positions and were placed now.
        last_cancel_ms: from the trigger until the venue had confirmed the last of it; None while it has not.
        fault: what could not be done yet and is tried again; empty where all is done.
    """

    latch: str
    level: Level
    withdrawn: int
    closing: int
    last_cancel_ms: float | None
    fault: str


class Withdrawn(_Answer, frozen=True, tag="withdrawn"):
    """So many entries were withdrawn."""

    entries: int


class Lifted(_Answer, frozen=True, tag="lifted"):
    latch: str


class Looked(_Answer, frozen=True, tag="looked"):
    """`fault`: what is still to be done at the venue or on the disk; empty where all is done."""

    standing: tuple[Latched, ...]
    path_is_up: bool
    fault: str


Answer: TypeAlias = Pulled | Lifted | Withdrawn | Looked | Denied

encode = msgspec.json.encode
_questions = msgspec.json.Decoder(Question, strict=True)
_answers = msgspec.json.Decoder(Answer, strict=True)


def question_in(line: bytes) -> Question | None:
    """The question on this line; None for anything else."""
    try:
        question: Question = _questions.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return question


def answer_in(line: bytes) -> Answer | None:
    """The answer on this line; None for anything else."""
    try:
        answer: Answer = _answers.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return answer
