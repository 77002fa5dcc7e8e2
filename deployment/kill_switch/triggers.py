"""The other ways to halt: a file in the state folder, and a request over HTTP from this machine. All of them halt fully.

A trigger that cannot be read halts everything: who wrote it wanted to stop something.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import cast, get_args

import msgspec

from deployment.kill_switch import words
from deployment.kill_switch.words import HALT_FILE, TOKEN, Pull
from mutable_core.durable import read_private, write_new
from mutable_core.errors import DiskUnavailable
from mutable_core.messages import Level, Scope

TEXT_MAX = 4_096
REQUEST_MAX = 16_384
"""Bytes of an HTTP request."""
_LENGTH = re.compile(rb"[0-9]{1,9}")


def everything(by: str, reason: str, *, flatten: bool = False) -> Pull:
    """Halt all there is."""
    return Pull("global", "", "flattening" if flatten else "halted", by, reason)


def pull_of(text: str) -> Pull:
    """What the text of a `HALT` file asks for: `SCOPE [NAME] [flatten]`; empty is everything."""
    given = text.split()
    flatten = "flatten" in given
    given = [word for word in given if word != "flatten"]
    reason = "the file HALT was put into the state folder"
    if len(given) == 2 and given[0] in get_args(Scope) and given[0] != "global" and given[1].isprintable():
        level: Level = "flattening" if flatten and given[0] != "strategy" else "halted"
        return Pull(cast("Scope", given[0]), given[1][:64], level, "file", reason)
    return everything("file", reason, flatten=flatten)


class HaltFile:
    """Looks for the file; each change of it halts once."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / HALT_FILE
        self._seen: tuple[int, int, int] | None = None

    def news(self) -> Pull | None:
        """What it asks for, where it has come or changed since the last look."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            self._seen = None
            return None
        except OSError:
            return None
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        if stamp == self._seen:
            return None
        self._seen = stamp
        try:
            number = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return pull_of("")
        try:
            return pull_of(os.read(number, TEXT_MAX).decode("utf-8", "replace"))
        except OSError:
            return pull_of("")
        finally:
            os.close(number)


def token_in(folder: Path) -> bytes:
    """What a request over HTTP must bear; made, mode 0600, where there is none.

    Raises:
        SettingsRefused: others can read it.
        DiskUnavailable: it cannot be made.
    """
    path = folder / TOKEN
    try:
        with suppress(FileExistsError):
            write_new(path, secrets.token_hex(32).encode() + b"\n", 0o600)
    except OSError as error:
        raise DiskUnavailable(
            f"the kill switch's token cannot be made: {error.strerror}", where=str(path), to_do="free the disk"
        ) from error
    return read_private(path, "remove it: a new one is made").strip()


class HttpRequest(msgspec.Struct, frozen=True):
    """One that may be answered; `body` is what came after the headers."""

    method: str
    path: str
    body: bytes


def request_in(heard: bytes, token: bytes) -> HttpRequest | int | None:
    """The request, once it is whole; the status that refuses it; None while more must come."""
    head, found, body = heard.partition(b"\r\n\r\n")
    if not found:
        return 413 if len(heard) > REQUEST_MAX else None
    lines = head.split(b"\r\n")
    first = lines[0].split(b" ")
    if len(first) != 3 or not first[2].startswith(b"HTTP/1."):
        return 400
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
    if not hmac.compare_digest(headers.get(b"authorization", b""), b"Bearer " + token):
        return 401
    length = headers.get(b"content-length", b"0")
    if not _LENGTH.fullmatch(length) or b"transfer-encoding" in headers or int(length) > REQUEST_MAX:
        return 400
    if len(body) < int(length):
        return None
    return HttpRequest(first[0].decode("ascii", "replace"), first[1].decode("ascii", "replace"), body[: int(length)])


def question_of(request: HttpRequest) -> words.Question | int:
    """What it asks: `POST /halt` with the fields of a `Pull`, or nothing, which is everything; `GET /`; else a status."""
    if request.method == "GET" and request.path == "/":
        return words.Look()
    if request.path != "/halt":
        return 404
    if request.method != "POST":
        return 405
    if not request.body.strip():
        return everything("http", "a request over HTTP")
    try:
        asked: dict[str, object] = msgspec.json.decode(request.body, type=dict[str, object])
        defaults = {"scope": "global", "name": "", "level": "halted", "by": "http", "reason": "a request over HTTP"}
        return msgspec.convert(defaults | asked, Pull)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return 400


_REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed",
    409: "Conflict", 413: "Content Too Large",
}  # fmt: skip


def response(status: int, body: bytes = b"") -> bytes:
    """The whole answer; the connection ends with it."""
    head = f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body
