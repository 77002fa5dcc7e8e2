"""A process that has loaded the house once and bears children of it: each a real process, at the price of a fork.

`python -m tests.faults.nursery` reads one JSON `Birth` a line and answers each with a `Death`. A house loads for a
second and runs for a twentieth; a suite of rounds can afford the second only once. Two things are kept from child to
child, because they cost more than a round: the compiled rules, and the first look at the seal, which is not repeated.
"""

from __future__ import annotations

import argparse
import functools
import gc
import mmap
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import IO, Any, Self

import msgspec

from tests.faults.processes import bars_file
from tests.faults.syscalls import Call, Plan, Supervisor, hand_over, install

TOP = Path(__file__).parents[2]


class Birth(msgspec.Struct, frozen=True, kw_only=True):
    """What a child does, and what is done to it.

    Attributes:
        words: the words after `ark`.
        settings: its `ARK_` variables.
        plan: None where nobody stands between it and the kernel.
        jumps_s: its wall clock jumps by one of these, again and again, many times a second; the monotonic clock does
            not. Empty for an honest clock.
        brief: whether the summary, which nobody reads in a round, is left out.
    """

    words: tuple[str, ...]
    settings: dict[str, str] = {}
    plan: Plan | None = None
    jumps_s: tuple[float, ...] = ()
    brief: bool = False


class Death(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended: exit code (-9 for SIGKILL), what it said, its calls, and the last row that it was told is durable."""

    code: int
    out: str
    err: str
    calls: tuple[Call, ...]
    acknowledged: int


class Nursery:
    """The parent, from the side of a test."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator[Self]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ARK_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"], cwd=TOP, env=environment, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        with process:
            try:
                yield cls(process)
            finally:
                process.kill()

    def ark(self, *words: str, **birth: Any) -> Death:
        """One child from its birth to its death."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(Birth(words=words, **birth)) + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the nursery has died; what it said last is on stderr"
        return msgspec.json.decode(answer, type=Death)


# -- inside -----------------------------------------------------------------------------------------------------------

_ACKNOWLEDGED = mmap.mmap(-1, 8)


def _prepare() -> None:
    """Load everything; keep what is dear; note what the journal has promised."""
    import deployment.run
    import deployment.summary
    import graveyard.judge
    from deployment.topology.state_dir import JOURNAL
    from graveyard.ethics import FACT_BOUNDS, RULES
    from graveyard.judge import Judge
    from mutable_core.journal import Journal
    from watchdog.inspection import SealWatch

    real = graveyard.judge.compile_rules
    mask = real(RULES, FACT_BOUNDS)
    graveyard.judge.compile_rules = lambda rules, bounds: (
        mask if rules is RULES and bounds is FACT_BOUNDS else real(rules, bounds)
    )
    Judge()
    _parser()
    seen = SealWatch.once()

    class Seen(SealWatch):
        def __enter__(self) -> SealWatch:
            return seen

        def __exit__(self, *_: object) -> None:
            pass

    deployment.run.SealWatch = Seen
    commit = Journal.commit

    @functools.wraps(commit)
    def told(self: Journal) -> None:
        commit(self)
        if self.path.name == JOURNAL:
            _ACKNOWLEDGED[:] = self.durable_seq.to_bytes(8, "little")

    Journal.commit = told
    _warm_up()
    gc.collect()
    gc.freeze()


def _warm_up() -> None:
    """One run, for what is loaded on the way only. It leaves no thread behind: a fork would not take it along."""
    from deployment.__main__ import main

    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        bars = bars_file(Path(folder) / "bars.csv", days=3, symbols=1)
        code = main(
            ["run", "--until-end", "--json", "--source", f"file:{bars}", "--state", str(Path(folder) / "state")]
        )
    assert code == 0, "the house does not run"
    assert threading.active_count() == 1, threading.enumerate()


def _jumping(jumps_s: tuple[float, ...]) -> None:
    """From now on this process cannot rely on what time it is: at every tenth question it is another."""
    chance, real_s, real_ns, asked = random.Random(1), time.time, time.time_ns, 0
    offset_ns = 0

    def off_ns() -> int:
        nonlocal asked, offset_ns
        asked += 1
        if asked % 10 == 1:
            offset_ns = int(chance.choice(jumps_s) * 1e9)
        return offset_ns

    time.time = lambda: real_s() + off_ns() / 1e9
    time.time_ns = lambda: real_ns() + off_ns()


def _live(birth: Birth, out: IO[str], err: IO[str], link: socket.socket) -> int:
    """The child's whole life."""
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    os.environ.update(birth.settings)
    if birth.jumps_s:
        _jumping(birth.jumps_s)
    if birth.plan is not None:
        hand_over(install(), link)
    from deployment.__main__ import in_one_line, main

    return in_one_line(_brief(birth.words)) if birth.brief else main(birth.words)


def _brief(words: tuple[str, ...]) -> Callable[[], int]:
    """`ark run --until-end` without its summary."""
    from deployment.commands.run import _settings
    from deployment.run import Options, run

    asked = _parser().parse_args(words)
    options = Options(
        source=asked.source, seed=asked.seed, speed=asked.speed or 0.0, until_end=True, serve=False, quiet=True
    )
    return lambda: 0 if run(_settings(asked), options).has_ended else 1


@functools.cache
def _parser() -> argparse.ArgumentParser:
    from deployment.__main__ import parser

    return parser()


def _born(birth: Birth) -> Death:
    _ACKNOWLEDGED[:] = bytes(8)
    ours, theirs = socket.socketpair()
    calls: tuple[Call, ...] = ()
    with ours, theirs, tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        if not (child := os.fork()):
            code = 70
            try:
                code = _live(birth, out, err, theirs)
            except SystemExit as wish:
                code = int(wish.code or 0)
            except BaseException:  # noqa: BLE001 - nothing of the child may come back into the parent
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        if birth.plan is not None:
            supervisor = Supervisor(birth.plan, child, ours)
            supervisor.run()
            calls = tuple(supervisor.calls)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = [(file.seek(0), file.read())[1] for file in (out, err)]
    acknowledged = int.from_bytes(_ACKNOWLEDGED[:], "little")
    return Death(code=code, out=texts[0], err=texts[1], calls=calls, acknowledged=acknowledged)


def main() -> None:
    from deployment.from_source import import_graveyard

    import_graveyard()
    _prepare()
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        answers.write(msgspec.json.encode(_born(msgspec.json.decode(line, type=Birth))).decode() + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
