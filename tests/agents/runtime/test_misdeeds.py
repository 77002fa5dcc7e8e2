"""Each fault does what its name says: in a real process, over a real socket. What must contain it is tested elsewhere."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from agents.runtime import faults, wire
from agents.runtime.faults import DEEDS, Injected, commit
from deployment.topology.wiring import AGENTS
from mutable_core.errors import UnknownName
from mutable_core.messages import HaltOrdered
from tests.faults.processes import eventually
from watchdog.faults import BY_NAME, FAULTS, FAULTS_ALL

ANSWER = wire.frame(wire.Answer(7, (), 0))
CRASHED, OUT_OF_MEMORY, RETURNED = 3, 4, 5


class Accused:
    """A process's two ends: the fault writes to `work`, the test reads from `heard`."""

    def __init__(self) -> None:
        self.heard, self.work = socket.socketpair()
        self.work.setblocking(False)
        self.heard.settimeout(20)
        self.last_answer = ANSWER

    def close(self) -> None:
        self.heard.close()
        self.work.close()


@contextmanager
def culprit(fault: str, before: Callable[[], None] = lambda: None) -> Iterator[tuple[int, Accused]]:
    """A child that commits the fault; it does not outlive the block."""
    accused = Accused()
    pid = os.fork()
    if pid == 0:
        code = RETURNED
        try:
            before()
            commit(fault, accused)
        except Injected:
            code = CRASHED
        except MemoryError:
            code = OUT_OF_MEMORY
        finally:
            os._exit(code)
    accused.work.close()
    try:
        yield pid, accused
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
        accused.close()


@pytest.fixture
def accused() -> Iterator[Accused]:
    """In this process: for faults after which it goes on."""
    one = Accused()
    yield one
    one.close()


def ending(pid: int) -> int:
    """Its exit code, negative where a signal ended it."""
    eventually(lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT), "it ends")
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def quiet() -> None:
    """No core file and no word of a segfault that is meant."""
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def little_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))


@pytest.mark.parametrize(
    ("fault", "code", "before"),
    [
        ("crash", CRASHED, quiet),
        ("exit", 0, quiet),
        ("segfault", -signal.SIGSEGV, quiet),
        ("leak", OUT_OF_MEMORY, little_memory),
    ],
)
def test_it_ends_as_it_should(fault: str, code: int, before: Callable[[], None]) -> None:
    with culprit(fault, before) as (pid, _):
        assert ending(pid) == code


@pytest.mark.parametrize("fault", ["spin", "redos"])
def test_it_computes_for_ever(fault: str) -> None:
    with culprit(fault) as (pid, _):
        begun = cpu_ticks(pid)
        eventually(lambda: cpu_ticks(pid) >= begun + 20, "it burns 200 ms of CPU")


@pytest.mark.parametrize("fault", ["hang_async", "hang_sync"])
def test_it_sleeps_for_ever(fault: str) -> None:
    with culprit(fault) as (pid, _):
        eventually(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S", "it sleeps")
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)


def test_a_fork_bombs_children_end_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the jail lets through, nothing of it is left."""
    monkeypatch.setattr(faults, "FORKS_MAX", 5)
    with culprit("fork_bomb") as (pid, _):
        eventually(lambda: len(children_of(pid)) == 5, "five children")
        children = children_of(pid)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        eventually(lambda: not any(is_alive(child) for child in children), "they end too")


def children_of(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_a_flood_does_not_end() -> None:
    """Sixteen times what a socket holds, and more comes."""
    with culprit("flood") as (_, accused):
        heard, most = 0, 16 * accused.heard.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        while heard < most:
            heard += len(accused.heard.recv(1 << 16))
        assert accused.heard.recv(1 << 16)


@pytest.mark.parametrize(("last", "sent"), [(ANSWER, ANSWER), (b"", wire.frame(wire.Answer(1, (), 0)))])
def test_a_replay_sends_the_last_answer_again_and_goes_on(accused: Accused, last: bytes, sent: bytes) -> None:
    """Who has not answered since it was started again repeats what one before it may have said."""
    accused.last_answer = last
    commit("replay", accused)
    assert accused.heard.recv(100) == sent


@pytest.mark.parametrize(("last", "position"), [(ANSWER, 8), (b"", 1)])
def test_a_lie_is_a_well_formed_answer_in_the_watchdogs_name(accused: Accused, last: bytes, position: int) -> None:
    accused.last_answer = last
    commit("lie", accused)
    lie = wire.from_agent(accused.heard.recv(1_000)[wire.LENGTH_BYTES :])
    assert isinstance(lie, wire.Answer)
    assert lie.position == position
    assert [type(wire.said(one).body) for one in lie.says] == [HaltOrdered]
    assert not any(HaltOrdered in agent.spec.says for agent in AGENTS)


def test_an_unknown_fault_is_refused(accused: Accused) -> None:
    with pytest.raises(UnknownName):
        commit("sulk", accused)


def test_each_is_known_by_one_name() -> None:
    assert tuple(DEEDS) == FAULTS_ALL == tuple(fault.name for fault in FAULTS) == tuple(BY_NAME)
