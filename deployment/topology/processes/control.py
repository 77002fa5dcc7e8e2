"""What the Watchdog and the core say to each other, one frame a packet, with at most one descriptor beside it.

The Watchdog starts and ends processes; the core orders, and knows who does not answer. Neither waits for the other here.
"""

from __future__ import annotations

import array
import errno
import socket
from collections import deque
from typing import TypeAlias

import msgspec

from mutable_core.errors import MalformedMessage, Unavailable

FRAME_MAX = 60_000
"""Bytes of one frame."""
WAITING_MAX = 4_096
"""Frames that may wait for a reader that stands still; one more, and it is given up."""


class _Frame(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


# -- the Watchdog says --------------------------------------------------------------------------------------------------


class Joined(_Frame, frozen=True, tag="joined"):
    """A process is there; its end of the connection comes beside this. `name` is an agent, or `metrics`."""

    name: str
    incarnation: int
    pid: int


class Gone(_Frame, frozen=True, tag="gone"):
    """An agent's process has ended; `how` is for a person."""

    name: str
    incarnation: int
    how: str


class ShutOut(_Frame, frozen=True, tag="shut_out"):
    """The agent is not heard until it is readmitted: by `watchdog` (quarantine), or by a person (isolation)."""

    name: str
    why: str
    by: str


class Readmitted(_Frame, frozen=True, tag="readmitted"):
    """The agent may be heard again, as soon as its process has caught up."""

    name: str
    by: str
    detail: str


class Probed(_Frame, frozen=True, tag="probed"):
    """Try the half-open agent: say `Tried` when it has its state and has worked through what it missed."""

    name: str
    incarnation: int


class VenueGone(_Frame, frozen=True, tag="venue_gone"):
    """The venue's process has ended; the next one has no market that was shown to it."""

    how: str


class Injected(_Frame, frozen=True, tag="injected"):
    """A drill: write it down."""

    fault: str
    name: str
    by: str


class Halt(_Frame, frozen=True, tag="halt"):
    """The Watchdog's emergency halt."""

    reason: str


class Finish(_Frame, frozen=True, tag="finish"):
    """End in order: between two turns, everything committed."""


ToCore: TypeAlias = Joined | Gone | ShutOut | Readmitted | Probed | VenueGone | Injected | Halt | Finish


# -- the core says ------------------------------------------------------------------------------------------------------


class Late(_Frame, frozen=True, tag="late"):
    """The agent did not answer within the patience, and is held."""

    name: str


class Misbehaved(_Frame, frozen=True, tag="misbehaved"):
    """What the agent said was no answer."""

    name: str
    why: str


class CaughtUp(_Frame, frozen=True, tag="caught_up"):
    """The agent, in this incarnation, has its state and has heard what it missed."""

    name: str
    incarnation: int


class Tried(_Frame, frozen=True, tag="tried"):
    """How a probe went; `fault` is empty where it passed."""

    name: str
    fault: str


class Isolated(_Frame, frozen=True, tag="isolated"):
    """By the log a person has isolated the agent, and nobody has released it: keep it out."""

    name: str
    by: str
    why: str


class AgentStats(msgspec.Struct, frozen=True):
    """Of one agent, since the core began, except `pending` and `held`.

    Attributes:
        pending: messages that it was told and has not answered.
        answered: messages. refused: of what it said, by the bus.
        held: why the log goes on without it; empty while it is heard.
        late: how often it was held because it did not answer.
        proposed, rejected: its proposals, and how many of them were refused.
    """

    pending: int
    answered: int
    refused: int
    held: str
    late: int
    proposed: int
    rejected: int


class Stats(_Frame, frozen=True, tag="stats"):
    """How the core is, ten times a second.

    Attributes:
        folder: of the run; empty before it is known.
        rows: of the journal.
        queue: messages appended and not yet delivered.
        violations: clauses of critical rules that proposals broke outside drills, and verdicts that do not follow from
            the log; since the core began. What the bus refuses of an agent is answered by shutting that agent out.
        ill: why no lease may be granted, for a reason that the core knows; empty where all is well.
        monotonic_ns: when this was so.
    """

    folder: str
    rows: int
    queue: int
    violations: int
    ill: str
    monotonic_ns: int
    agents: dict[str, AgentStats]


class Finished(_Frame, frozen=True, tag="finished"):
    """The run has ended in order; as `deployment.run.Ran`."""

    journal: str
    has_ended: bool
    elapsed_s: float
    found: dict[str, int]


FromCore: TypeAlias = Late | Misbehaved | CaughtUp | Tried | Isolated | Stats | Finished

_to_core: msgspec.msgpack.Decoder[ToCore] = msgspec.msgpack.Decoder(ToCore)
_from_core: msgspec.msgpack.Decoder[FromCore] = msgspec.msgpack.Decoder(FromCore)


class Line:
    """One end. Sending never waits: what does not fit now is sent with the next frame or `flush`.

    Args:
        connection: `SOCK_SEQPACKET`; kept, and closed with `close`.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._waiting: deque[tuple[bytes, socket.socket | None]] = deque()

    @property
    def has_waiting(self) -> bool:
        """Something was said that the socket has not taken yet."""
        return bool(self._waiting)

    def fileno(self) -> int:
        return self._connection.fileno()

    def send(self, frame: ToCore | FromCore, beside: socket.socket | None = None) -> None:
        """Say it. `beside` goes to the other side, and is closed here.

        Raises:
            Unavailable: the other side takes nothing any more, or has gone.
        """
        self._waiting.append((msgspec.msgpack.encode(frame), beside))
        if len(self._waiting) > WAITING_MAX:
            raise Unavailable("the other side of the Watchdog's line takes nothing any more")
        self.flush()

    def flush(self) -> None:
        """Send what the socket takes now. Raises as `send`."""
        while self._waiting:
            data, beside = self._waiting[0]
            handed = [] if beside is None else [_rights(beside)]
            try:
                self._connection.sendmsg([data], handed)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    return
                raise Unavailable("the other side of the Watchdog's line has gone") from error
            self._waiting.popleft()
            if beside is not None:
                beside.close()

    def close(self) -> None:
        for _, beside in self._waiting:
            if beside is not None:
                beside.close()
        self._connection.close()

    def heard_by_core(self) -> tuple[ToCore, socket.socket | None] | None:
        """The next frame and what came beside it; None where there is none now.

        Raises:
            EOFError: the Watchdog has gone.
            MalformedMessage: it is none of ours.
        """
        found = self._read()
        return None if found is None else (_decoded(_to_core, found[0]), found[1])

    def heard_by_watchdog(self) -> FromCore | None:
        """The next frame; None where there is none now. Raises as `heard_by_core`."""
        found = self._read()
        if found is not None and found[1] is not None:
            found[1].close()  # the core hands nothing over
        return None if found is None else _decoded(_from_core, found[0])

    def _read(self) -> tuple[bytes, socket.socket | None] | None:
        try:
            data, rights, _, _ = self._connection.recvmsg(FRAME_MAX + 1, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return None
        except ConnectionResetError as error:
            raise EOFError from error
        if not data:
            raise EOFError
        return data, _handed(rights)


def _rights(one: socket.socket) -> tuple[int, int, bytes]:
    return socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [one.fileno()]).tobytes()


def _handed(rights: list[tuple[int, int, bytes]]) -> socket.socket | None:
    numbers = array.array("i")
    for level, kind, data in rights:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
    return socket.socket(fileno=numbers[0]) if numbers else None


def _decoded(decoder: msgspec.msgpack.Decoder[ToCore] | msgspec.msgpack.Decoder[FromCore], data: bytes):  # type: ignore[no-untyped-def]  # noqa: ANN202
    try:
        return decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise MalformedMessage(f"no frame between Watchdog and core: {error}") from error
