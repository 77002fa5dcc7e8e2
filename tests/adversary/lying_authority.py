"""A process that begins as an authority should, and then lies in one way. For tests of what the house believes.

`python -m tests.adversary.lying_authority LIE` and the words of `deployment.authority`.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Callable

from msgspec.structs import replace

from graveyard.authority import BatchSigner, Said
from graveyard.authority.wire import (
    Alive,
    Answer,
    Ask,
    FrameReader,
    Grant,
    Hello,
    Probe,
    Rows,
    frame,
    read_from_house,
)

EXPIRES_NS = 1_763_600_000_000_000_000


class Liar:
    def __init__(self, lie: str, arguments: argparse.Namespace) -> None:
        self.lie = lie
        self.arguments = arguments
        self.signer, self.stranger = BatchSigner(), BatchSigner()
        self.late: list[bytes] = []

    def hello(self) -> Hello:
        hello = Hello(
            os.getpid(), os.getuid(), os.getgid(), self.signer.public_key, self.arguments.ruleset, (), ("nothing",), ()
        )
        changes = {
            "hello of another pid": {"pid": 1},
            "hello of another uid": {"uid": 0 if os.getuid() else 1},
            "hello with other rules": {"ruleset": "0" * 64},
        }
        return replace(hello, **changes.get(self.lie, {}))

    def answer(self, ask: Ask, signer: BatchSigner | None = None) -> Answer:
        """Everything is approved."""
        said = [
            Said(one.proposal_id, "paper", "ab" * 32, one.position, True, 10**10, EXPIRES_NS, self.arguments.ruleset)
            for one in ask.items
        ]
        signed = (signer or self.signer).sign(said)[0]
        return Answer(ask.request, tuple(Grant(*one) for one in said), signed.signature, signed.batch)

    def says(self, ask: Ask) -> list[bytes]:
        return LIES[self.lie](self, ask, self.answer(ask))

    def replay(self, genuine: Answer) -> list[bytes]:
        """The first answer is true; from then on it is given again."""
        self.late.append(frame(genuine))
        return self.late[:1]


Lie = Callable[[Liar, Ask, Answer], list[bytes]]
LIES: dict[str, Lie] = {
    "silent": lambda _liar, _ask, _genuine: [],
    "replayed answer": lambda liar, _ask, genuine: liar.replay(genuine),
    "answer under an old request": lambda _liar, _ask, genuine: [frame(replace(genuine, request="0" * 32))],
    "signed by another key": lambda liar, ask, _genuine: [frame(liar.answer(ask, liar.stranger))],
    "an answer to a probe instead": lambda _liar, ask, _genuine: [frame(Alive(ask.request, 1, bytes(32)))],
    "a second hello": lambda liar, _ask, _genuine: [frame(liar.hello())],
    "an oversize frame": lambda _liar, _ask, _genuine: [b"\xff\xff\xff\xff" + b"x" * 100],
    "3 000 brackets": lambda _liar, _ask, _genuine: [(3_000).to_bytes(4, "big") + b"[" * 3_000],
    "half an answer, then the end": lambda _liar, _ask, genuine: [frame(genuine)[:100], b""],
}


def live(liar: Liar, connection: socket.socket) -> None:
    if liar.lie != "keeps the powers of the house" and os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(*(liar.arguments.gid,) * 3)
        os.setresuid(*(liar.arguments.uid,) * 3)
    if liar.lie == "another process says hello":
        if os.fork():
            os.wait()
            return
        connection.sendall(frame(liar.hello()))
        return
    connection.sendall(frame(liar.hello()))
    if liar.lie == "an answer that nobody asked for":
        connection.sendall(frame(Alive("0" * 32, 1, bytes(32))))
    reader = FrameReader()
    while chunk := connection.recv(1 << 16):
        for payload in reader.feed(chunk):
            match read_from_house(payload):
                case Ask() as ask:
                    for data in liar.says(ask):
                        if not data:
                            return
                        connection.sendall(data)
                case Probe(request=request):
                    connection.sendall(frame(Alive(request, 1, bytes(32))))
                case Rows():
                    pass


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser()
    for name in ("socket", "uid", "gid", "house"):
        parser.add_argument(f"--{name}", type=int)
    for name in ("ruleset", "seal"):
        parser.add_argument(f"--{name}")
    arguments = parser.parse_args(argv[1:])
    with socket.socket(fileno=arguments.socket) as connection:
        live(Liar(argv[0], arguments), connection)


if __name__ == "__main__":
    main(sys.argv[1:])
