"""The other side of the desk: one question to the house that runs on a state folder, and its answer."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployment.desk.address import address, peer_uid
from deployment.desk.words import (
    ANSWER_MAX,
    SOCKET,
    Answer,
    Checklist,
    Denied,
    Done,
    Question,
    Waiting,
    answer_in,
    encode,
)
from mutable_core.errors import Unacceptable, Unavailable

PATIENCE_S = 15.0
"""Longer than a turn of any house; a house that replays a long journal first may take more."""


class HouseSilent(Unavailable):
    """No house runs on the state folder, or it does not answer."""


class DeskDenied(Unacceptable):
    """The desk understood, and did not do it; nothing was appended."""

    exit_code = 1


def ask(state: Path, question: Question) -> Waiting | Checklist | Done:
    """The answer of the house that runs on this state folder.

    Raises:
        HouseSilent: none runs there, it is busy, or it did not answer.
        DeskDenied: it says why not.
    """
    answer = _answered(state, question)
    if isinstance(answer, Denied):
        kind = HouseSilent if answer.is_busy else DeskDenied
        raise kind(answer.what, to_do=answer.to_do)
    return answer


def _answered(state: Path, question: Question) -> Answer:
    answer = answer_in(exchanged(state, encode(question)))
    if answer is None:
        raise unanswered(state, "the house ended the connection without an answer that can be read")
    return answer


def exchanged(state: Path, line: bytes, name: str = SOCKET, patience_s: float = PATIENCE_S) -> bytes:
    """What the desk behind the socket `name` answers to a line; both without their ends.

    Raises:
        HouseSilent: there is no desk, it is busy, or it did not answer.
        DeskDenied: it is another user's, or somebody else listens there.
    """
    with connected(state, name, patience_s) as sock:
        try:
            sock.sendall(line + b"\n")
            return _line(sock)
        except OSError as error:
            raise unanswered(state, f"the house did not answer: {error.strerror or error}") from error


@contextmanager
def connected(state: Path, name: str = SOCKET, patience_s: float = PATIENCE_S) -> Iterator[socket.socket]:
    """A connection to the desk behind the socket `name` of the house that runs on this state folder.

    Raises:
        HouseSilent: none runs there, or too many wait to be let in.
        DeskDenied: it is another user's, or somebody else listens there.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
        # A socket with a Python timeout does not wait where many do: it fails at once. The kernel's own timeout waits.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(patience_s))
        _connect(sock, state, name)
        sock.settimeout(patience_s)
        yield sock


def _timeval(seconds: float) -> bytes:
    whole = int(seconds)
    return struct.pack("@ll", whole, int((seconds - whole) * 1e6))


def _connect(sock: socket.socket, state: Path, name: str) -> None:
    try:
        with address(state, name) as short:
            sock.connect(short)
        owners = {os.geteuid(), state.stat().st_uid, 0}
    except BlockingIOError as error:
        raise HouseSilent(
            "the house lets nobody in: too many wait", where=str(state / name), to_do="ask again, or stop it"
        ) from error
    except PermissionError as error:
        raise DeskDenied(
            "the house belongs to another user", where=str(state / name), to_do="ask as its user, or as root"
        ) from error
    except OSError as error:
        raise HouseSilent(
            "no live house runs on this state folder",
            where=str(state),
            to_do="start `ark run`, or name its folder with `--state`",
        ) from error
    if peer_uid(sock) not in owners:
        raise DeskDenied(
            "somebody else listens where the house should", where=str(state / name), to_do="look who it is"
        )


def _line(sock: socket.socket) -> bytes:
    heard = bytearray()
    while not heard.endswith(b"\n") and len(heard) <= ANSWER_MAX:
        more = sock.recv(65_536)
        if not more:
            break
        heard += more
    return bytes(heard).removesuffix(b"\n")


def unanswered(state: Path, what: str) -> HouseSilent:
    """No answer that can be read: what was asked may be done."""
    return HouseSilent(
        what,
        where=str(state),
        to_do="look with `ark approvals list` or `ark agents status` before you ask again: it may be done",
    )
