"""What can be asked at the Watchdog's desk, and what it answers: one canonical JSON object, on one line, each way.

As at the operator's desk, both unions are closed. Times are nanoseconds of the machine's monotonic clock, which the one
who asks reads too.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from deployment.desk.words import Denied, Name, Natural, Text
from watchdog.faults import FaultName

SOCKET = "watchdog.sock"
BEATS_MAX = 16_384
"""Of one answer, all children together."""

AgentName: TypeAlias = Literal["kyle", "joey", "hrm", "kenny", "aletheia", "id"]


class _Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="ask"):
    pass


class Look(_Question, frozen=True, tag="look"):
    """How all children are, and what has happened to them."""


class Listen(_Question, frozen=True, tag="listen"):
    """The in-band heartbeats of the agents that came in this time."""

    from_ns: Natural
    until_ns: Natural


class Isolate(_Question, frozen=True, tag="isolate"):
    """Kill it and keep it out until a person releases it."""

    agent: AgentName
    by: Name
    reason: Text


class Release(_Question, frozen=True, tag="release"):
    """Start an agent that is isolated or quarantined, and hear it again once it has passed its probe."""

    agent: AgentName
    by: Name
    reason: Text


class Restart(_Question, frozen=True, tag="restart"):
    """End it, and start it from its state."""

    agent: AgentName
    by: Name
    reason: Text


class Inject(_Question, frozen=True, tag="inject"):
    """Let an agent misbehave. PAPER only."""

    fault: FaultName
    agent: AgentName
    by: Name


Question: TypeAlias = Look | Listen | Isolate | Release | Restart | Inject


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="answer"):
    pass


class Happened(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happened to a child, as the Watchdog saw it.

    Attributes:
        what: `injected`, `suspected` (the first sign), `killed` (SIGKILL was sent), `ended`, `born`, `caught_up` (it has
            its state and hears), `quarantined`, `probing`, `readmitted`, `isolated`.
        detail: why, or how it ended; for people.
    """

    what: str
    at_ns: int
    incarnation: int
    detail: str = ""


class Child(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One child of the Watchdog.

    Attributes:
        phase: as `watchdog.policy.Ward` has it.
        pid: 0 while it does not run.
        phi: suspicion: −log10 of the chance that it is merely late.
        pending: messages that it was told and has not answered; refused: what the bus refused of it.
        held: why the log goes on without it; empty while it is heard.
        enforced, open: what its jail enforces, and what this machine cannot enforce.
        happened: the newest, oldest first.
    """

    name: str
    role: str
    is_agent: bool
    phase: str
    incarnation: int
    pid: int
    phi: float
    handled: int
    rss_bytes: int
    cpu_ns: int
    pending: int
    refused: int
    held: str
    enforced: tuple[str, ...]
    open: tuple[str, ...]
    happened: tuple[Happened, ...]


class Raised(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An alert."""

    name: str
    severity: str
    at_ns: int
    detail: str


class Seen(_Answer, frozen=True, tag="seen"):
    """How it all is.

    Attributes:
        now_ns: when this was so.
        drills: why no fault may be injected here; empty where it may.
        folder: of the run, below the state folder; empty while the core does not run.
        rows: of its journal.
    """

    now_ns: int
    drills: str
    folder: str
    rows: int
    children: tuple[Child, ...]
    alerts: tuple[Raised, ...]


class Heard(_Answer, frozen=True, tag="heard"):
    """By agent: when its heartbeats came, oldest first, in ns after `from_ns` of the question."""

    beats: dict[str, tuple[int, ...]]


class Done(_Answer, frozen=True, tag="done"):
    """The Watchdog acts on it since `at_ns`; what follows is seen with `Look`."""

    what: str
    at_ns: int


Answer: TypeAlias = Seen | Heard | Done | Denied

_encoder = msgspec.json.Encoder()
_questions = msgspec.json.Decoder(Question, strict=True)
_answers = msgspec.json.Decoder(Answer, strict=True)

encode = _encoder.encode
"""Canonical bytes of a question or an answer."""


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
