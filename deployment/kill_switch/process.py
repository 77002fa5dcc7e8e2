"""The kill switch's process: one loop, one thread; it waits for nobody but the venue, and for that a quarter of a second.

Who may speak: whoever reaches `kill.sock` or the token (the house's own user, or root), and whoever may send it a signal.
"""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import anyio
from anyio.abc import SocketListener, SocketStream

from agents.kenny.venues.remote import KillLine
from deployment.desk import server
from deployment.kill_switch import words
from deployment.kill_switch.latches import LatchFile
from deployment.kill_switch.path_page import TERM_NS, PathPage
from deployment.kill_switch.switch import KillSwitch
from deployment.kill_switch.triggers import HaltFile, everything, question_of, request_in, response, token_in
from deployment.kill_switch.words import SOCKET, Answer
from deployment.topology.state_dir import KEYS
from mutable_core.clock import monotonic_ns
from mutable_core.errors import MalformedMessage, PortTaken
from mutable_core.leash import Ping, Pong, Stop, from_watchdog, send
from mutable_core.messages import Person

BEAT_S = 0.1
REQUEST_S = 5.0
OPEN_MAX = 16
"""HTTP connections at one time; a further one is not answered."""
_ENDED = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


def live(
    state: Path,
    venue: socket.socket,
    leash: socket.socket | None,
    people: Sequence[Person],
    port: int,
) -> int:
    """Stand by until the leash says stop. Returns the exit code.

    Args:
        state: the state folder; its folder of keys holds `kill.key`, made at the first start.
        venue: the connection with the right `kill`.
        leash: pings are answered by this loop; None without a Watchdog.
        people: who may sign a resume.
        port: on loopback, for HTTP; 0 opens none.

    Raises:
        ArkError: it cannot stand by: one line says why.
    """
    with ExitStack() as held:
        line = KillLine(venue)
        held.callback(line.close)
        halt_file = HaltFile(state)
        keys = {person.name: person.public_key for person in people}
        switch = KillSwitch(LatchFile(state, state / KEYS), line, keys, halt_file.path)
        page = PathPage(state)
        held.callback(page.close)
        desk = held.enter_context(server.opened(state, SOCKET))
        http = held.enter_context(_listening(port)) if port else None
        return anyio.run(_stand_by, Station(switch, halt_file, page), desk, http, token_in(state), leash)


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port), backlog=OPEN_MAX)
    except OSError as error:
        raise PortTaken(
            f"port {port} of the kill switch cannot be opened: {error.strerror}",
            where="127.0.0.1",
            to_do="set `ARK_KILL_PORT` to another port, or to 0 for none",
        ) from error


class Station:
    """What the tasks of the loop share."""

    def __init__(self, switch: KillSwitch, halt_file: HaltFile, page: PathPage) -> None:
        self.switch, self._halt_file, self._page = switch, halt_file, page
        self.handled = 0

    def beat(self) -> None:
        """One look at the file, the venue, and what is left to do."""
        pull = self._halt_file.news()
        if pull is not None:
            self.tell(self.switch.pull(pull))
        self.switch.beat()
        self._page.say(monotonic_ns() + TERM_NS if self.switch.path_is_up else 0)
        self.handled += 1

    def signalled(self, number: int) -> None:
        flatten = number == signal.SIGUSR2
        self.tell(self.switch.pull(everything("signal", f"{signal.Signals(number).name} was sent", flatten=flatten)))

    def tell(self, answer: Answer) -> None:
        """A line for a person who looks at the process."""
        print(f"ark: kill switch: {words.encode(answer).decode()}", file=sys.stderr, flush=True)

    def answer(self, line: bytes) -> bytes:
        self.handled += 1
        return self.switch.answer(line)


async def _stand_by(
    station: Station, desk: socket.socket, http: socket.socket | None, token: bytes, leash: socket.socket | None
) -> int:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_signals, station)
        tasks.start_soon(_beats, station)
        tasks.start_soon(server.serve, station, desk)
        if http is not None:
            tasks.start_soon(_http, station, http, token)
        if leash is None:
            await anyio.sleep_forever()
        else:
            await _held(station, leash)
        tasks.cancel_scope.cancel()
    return 0


async def _held(station: Station, leash: socket.socket) -> None:
    """Answer pings until the Watchdog says stop, or lets go."""
    leash.setblocking(False)
    while True:
        await anyio.wait_readable(leash)
        with suppress(BlockingIOError, MalformedMessage):
            frame = from_watchdog(leash)
            if isinstance(frame, Ping):
                send(leash, Pong(frame.n, station.handled, monotonic_ns()))
            elif frame is None or isinstance(frame, Stop):
                return


async def _beats(station: Station) -> None:
    while True:
        station.beat()
        await anyio.sleep(BEAT_S)


async def _signals(station: Station) -> None:
    with anyio.open_signal_receiver(signal.SIGUSR1, signal.SIGUSR2) as signals:
        async for number in signals:
            station.signalled(number)


async def _http(station: Station, sock: socket.socket, token: bytes) -> None:
    listener = await SocketListener.from_socket(sock)
    limit = anyio.CapacityLimiter(OPEN_MAX)

    async def received(stream: SocketStream) -> None:
        async with stream:
            try:
                limit.acquire_nowait()
            except anyio.WouldBlock:
                return
            try:
                with anyio.move_on_after(REQUEST_S), suppress(*_ENDED):
                    await stream.send(await _answered(station, stream, token))
            finally:
                limit.release()

    await listener.serve(received)


async def _answered(station: Station, stream: SocketStream, token: bytes) -> bytes:
    heard = b""
    while (request := request_in(heard, token)) is None:
        heard += await stream.receive()
    question = request if isinstance(request, int) else question_of(request)
    if isinstance(question, int):
        return response(question)
    answer = station.answer(words.encode(question))
    return response(409 if b'"answer":"denied"' in answer else 200, answer)
