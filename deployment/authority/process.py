"""The life of the authority's process: lock in, make the key, say hello, answer until the house lets go.

Kept here: the key is made after the jail has closed · every byte from the house is attested by the kernel as the
house's own, by pid and uid · what is no frame ends the connection, and with it the process · once rules or log are
wrong, nothing is answered any more.
"""

from __future__ import annotations

import argparse
import gc
import os
import socket
from collections.abc import Callable, Sequence

from deployment.authority.answering import Answering
from deployment.authority.beginning import beginning_in, taken_over
from deployment.authority.errors import LogForked
from deployment.authority.jail import User, lock_in
from deployment.authority.log import LogReader
from deployment.authority.port import Folder
from deployment.authority.rules import RulesKept, seal_faults
from graveyard.authority.signing import BatchSigner
from graveyard.authority.wire import FrameReader, FrameRefused, Hello, frame
from graveyard.errors import RulesChanged, SealBroken
from mutable_core.attest import Peer, ask_for_senders, receive
from mutable_core.clock import wall_ns

EXIT_ORDERLY, EXIT_FAILED, EXIT_REFUSED, EXIT_CHANGED = 0, 1, 2, 9
_STDERR = 2


class House:
    """The other end of the socket: who it is, and what it sends."""

    def __init__(self, connection: socket.socket, peer: Peer) -> None:
        self._connection = connection
        self._peer = peer
        ask_for_senders(connection)

    def hear(self) -> bytes:
        """The next bytes; none when the house has let go.

        Raises:
            FrameRefused: they were sent by another process.
        """
        return receive(self._connection, self._peer)

    def say(self, data: bytes) -> bool:
        """Whether it was heard; False when the house has let go."""
        try:
            self._connection.sendall(data)
        except ConnectionError:
            return False
        return True


def serve(house: House, answering: Answering) -> None:
    """Answer frames in their order until the house lets go.

    Raises:
        FrameRefused, LogForked, RulesChanged: see `Answering.heard`.
    """
    reader = FrameReader()
    while chunk := house.hear():
        for payload in reader.feed(chunk):
            answer = answering.heard(payload)
            if answer is not None and not house.say(answer):
                return


def main(argv: Sequence[str], new_folder: Callable[[], Folder]) -> int:
    """Be the authority. Returns the exit code: 0 let go, 1 failed, 2 the house was refused, 9 rules or log changed."""
    arguments = _arguments(argv)
    try:
        _live(arguments, new_folder())
    except (RulesChanged, LogForked, SealBroken) as error:
        return _last_word(error, EXIT_CHANGED)
    except FrameRefused as error:
        return _last_word(error, EXIT_REFUSED)
    except Exception as error:  # noqa: BLE001  # the last catch of a process turns anything into one line
        return _last_word(error, EXIT_FAILED)
    return EXIT_ORDERLY


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deployment.authority", description="Started by the house alone.")
    parser.add_argument("--socket", type=int, required=True, help="the inherited descriptor of the socket")
    parser.add_argument("--ruleset", required=True, help="SHA-256 of the rules to keep")
    parser.add_argument("--uid", type=int, required=True)
    parser.add_argument("--gid", type=int, required=True)
    parser.add_argument("--house", type=int, required=True, help="the pid of the house")
    parser.add_argument("--seal", choices=("enforced", "stated"), required=True)
    parser.add_argument("--beginning", type=int, help="the inherited descriptor of what to begin with; else at row 1")
    return parser.parse_args(argv)


def _live(arguments: argparse.Namespace, folder: Folder) -> None:
    rules = RulesKept(arguments.ruleset)
    faults = seal_faults(rules.folder, wall_ns())
    if faults and arguments.seal == "enforced":
        raise SealBroken(*faults)
    of_house = Peer(arguments.house, os.getuid())
    handed = b"" if arguments.beginning is None else taken_over(arguments.beginning)
    user = User(arguments.uid, arguments.gid)
    jail = lock_in(user, parent=arguments.house, keep=(_STDERR, arguments.socket), readable=rules.folder)
    rules.check_files()  # can still be read, and are the same
    log = _begun(folder, handed)
    signer = BatchSigner()
    with socket.socket(fileno=arguments.socket) as connection:
        house = House(connection, of_house)
        hello = Hello(
            pid=os.getpid(),
            uid=os.geteuid(),
            gid=os.getegid(),
            public_key=signer.public_key,
            ruleset=rules.pinned,
            seal_faults=tuple(fault[:300] for fault in faults),
            jail=jail.enforced,
            open=jail.open,
        )
        gc.collect()
        gc.freeze()  # what is loaded stays: collections look at what the log makes only
        if house.say(frame(hello)):
            serve(house, Answering(folder, signer, rules, log))


def _begun(folder: Folder, handed: bytes) -> LogReader:
    """Where in the log the folder stands. Inside the jail: what was handed over is read by nobody more powerful.

    Raises:
        NotFrozen: it was no beginning.
    """
    if not handed:
        return LogReader()
    beginning = beginning_in(handed)
    folder.begin(beginning)
    return LogReader(beginning.seq, beginning.head)


def _last_word(error: Exception, code: int) -> int:
    """One line for a person; the house reads it when the process has ended."""
    line = " ".join(str(error).split()).encode("utf-8", "backslashreplace")[:1_000] or type(error).__name__.encode()
    try:
        os.write(_STDERR, b"ark-authority: " + line + b"\n")
    except OSError:
        return code
    return code
