"""`python -m benchmarks.authority [--json]`: what an approval by the authority's process costs, against a bare socket.

Each round streams the ten rows of one decision and asks for its approval, checked with the public key as the door would.
Beside it, in turns and in the same run: a process that only echoes the same numbers of bytes. Quote the ratio.
"""

from __future__ import annotations

import argparse
import gc
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from deployment.authority.client import TOP, AuthorityProcess
from deployment.authority.log import GENESIS, link
from graveyard.authority.signing import BatchSigner, PublicVerifier, Said
from graveyard.authority.wire import Ask, Item, Rows, frame
from graveyard.ethics import ruleset_digest
from graveyard.words import Approval
from monitoring.series import percentile
from mutable_core.messages import Envelope, encode
from tests.adversary.makers import PLAIN, a_numbered, an_approved
from tests.makers import an_envelope, an_observation

ROUNDS, WARM_UP = 1_000, 100
ROWS = 10
BATCHES = (1, 4, 16, 64)
PATIENT_MS = 60_000

_ECHO = """
import socket, sys
with socket.socket(fileno=int(sys.argv[1])) as one:
    while sizes := one.recv(8):
        asked, answered = int.from_bytes(sizes[:4]), int.from_bytes(sizes[4:])
        while asked > 0:
            asked -= len(one.recv(1 << 18))
        one.sendall(bytes(answered))
"""


class Echo:
    """A process that reads so many bytes and answers so many, and does nothing else."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def round_trip(self, asked: bytes, answered: int) -> None:
        self._connection.sendall(len(asked).to_bytes(4) + answered.to_bytes(4))
        self._connection.sendall(asked)
        while answered > 0:
            answered -= len(self._connection.recv(1 << 18))


@contextmanager
def an_echo() -> Iterator[Echo]:
    ours, theirs = socket.socketpair()
    with ours:
        process = subprocess.Popen([sys.executable, "-c", _ECHO, str(theirs.fileno())], pass_fds=(theirs.fileno(),))
        theirs.close()
        yield Echo(ours)
    process.wait(10)


class Decisions:
    """A log that grows by whole decisions: nine observations and one approval each."""

    def __init__(self) -> None:
        self.seq, self.head = 0, GENESIS

    def more(self, count: int) -> tuple[int, list[bytes], list[tuple[str, int]]]:
        """Position of the first row, the rows, and what to ask for."""
        first, rows, items = self.seq + 1, [], []
        for _ in range(count):
            rows += [self._row(an_observation(row=number + 1)) for number in range(ROWS - 1)]
            proposal = a_numbered(self.seq)
            rows.append(self._row(an_approved(proposal)))
            items.append((proposal.proposal_id, self.seq))
        return first, rows, items

    def _row(self, body: object) -> bytes:
        self.seq += 1
        envelope: Envelope = an_envelope(body, seq=self.seq, author="hrm")  # type: ignore[arg-type]
        row = encode(envelope)
        self.head = link(self.head, row)
        return row


def measured(
    authority: AuthorityProcess, echo: Echo, decisions: Decisions, batch: int, rounds: int
) -> dict[str, float]:
    """Milliseconds of one round with so many approvals, and of an echo of the same size, in turns."""
    answered = 600 + 350 * batch
    took: list[float] = []
    echoed: list[float] = []
    for number in range(WARM_UP + rounds):
        first, rows, items = decisions.more(batch)
        began = time.perf_counter()
        authority.committed(first, rows, decisions.head)
        answers = authority.approve(items, deadline_ms=PATIENT_MS)
        done = time.perf_counter()
        assert all(type(one) is Approval for one in answers)
        asked = frame(Rows(first, tuple(rows), decisions.head)) + frame(
            Ask("0" * 32, tuple(Item(*one) for one in items))
        )
        again = time.perf_counter()
        echo.round_trip(asked, answered)
        if number >= WARM_UP:
            took.append((done - began) * 1e3)
            echoed.append((time.perf_counter() - again) * 1e3)
    p50, p99 = percentile(took, 0.5) or 0.0, percentile(took, 0.99) or 0.0
    bare = percentile(echoed, 0.5) or 0.0
    return {
        "p50_ms": round(p50, 3),
        "p99_ms": round(p99, 3),
        "p50_ms_per_approval": round(p50 / batch, 4),
        "echo_p50_ms": round(bare, 4),
        "echo_p99_ms": round(percentile(echoed, 0.99) or 0.0, 3),
        "ratio_to_echo": round(p50 / bare, 1),
    }


def floors() -> dict[str, float]:
    """CPU µs of what no round can do without: one signature made, and one checked."""
    signer = BatchSigner()
    verifier = PublicVerifier(signer.public_key)
    said = Said("0" * 32, "paper", "ab" * 32, 1, True, 1, 1, ruleset_digest())
    began = time.process_time()
    signed = [signer.sign([said._replace(position=number + 1)])[0] for number in range(500)]
    made = time.process_time()
    assert all(map(verifier.verify, signed))
    return {
        "sign_cpu_us": round((made - began) / 500 * 1e6, 1),
        "verify_cpu_us": round((time.process_time() - made) / 500 * 1e6, 1),
    }


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.authority", description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    found: dict[str, dict[str, float]] = {"floors": floors()}
    began = time.perf_counter()
    authority = AuthorityProcess.start(ruleset=ruleset_digest(), seal="stated", program=PLAIN, top=TOP)
    found["start"] = {"ms": round((time.perf_counter() - began) * 1e3, 1)}
    gc.collect()
    gc.freeze()
    try:
        with an_echo() as echo:
            decisions = Decisions()
            for batch in BATCHES:
                found[f"batch of {batch}"] = measured(authority, echo, decisions, batch, max(50, ROUNDS // batch))
    finally:
        authority.close()
    if arguments.json:
        print(json.dumps(found))
    else:
        for name, values in found.items():
            print(f"{name:<12}", "  ".join(f"{key} {value}" for key, value in values.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
