"""Agents in real processes, forked from the test, and a core that hears of their ends while it waits."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from agents.runtime.agent import Agent
from agents.runtime.hands import Hands
from agents.runtime.process import live
from agents.runtime.remote import RemoteAgent, Switchboard
from mutable_core import leash
from mutable_core.bus.ordering import Bus
from mutable_core.journal import Journal
from tests.mutable_core.toys import EDGES, TOYS

PATIENCE_MS = 20_000
"""Longer than any machine is slow: what must come is waited for."""


class Child:
    """One process of an agent. `leash` is the Watchdog's end."""

    def __init__(self, pid: int, watch: socket.socket) -> None:
        self.pid = pid
        self.leash = watch
        self.pidfd = os.pidfd_open(pid)
        self.code: int | None = None

    def ended(self, within_s: float = 30.0) -> int:
        """Its exit code, minus the signal where one ended it."""
        if self.code is None:
            ready, _, _ = select.select([self.pidfd], [], [], within_s)
            assert ready, "it has not ended"
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self.pidfd)
            self.leash.close()
        return self.code

    def ping(self, n: int = 1, within_s: float = 30.0) -> leash.Pong:
        """Its answer to a ping."""
        assert leash.send(self.leash, leash.Ping(n))
        return self.pong(within_s)

    def pong(self, within_s: float = 30.0) -> leash.Pong:
        ready, _, _ = select.select([self.leash], [], [], within_s)
        assert ready, "it does not answer pings"
        pong = leash.from_process(self.leash)
        assert pong is not None
        return pong

    def has_handled(self, count: int) -> None:
        """Return once it has worked through so many messages, and sent what it said to them."""
        for n in range(1, 20_000):
            if self.ping(n).handled >= count:
                return
        raise AssertionError(f"it has not handled {count}")

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)


class Family:
    """Some agents, each in a process; one that ends has a successor while `has_successors`."""

    def __init__(
        self,
        agents: Sequence[Agent],
        patience_ms: int = PATIENCE_MS,
        hands: Mapping[str, Callable[[], Hands]] | None = None,
        extra_folds: frozenset[type] = frozenset(),
        may_drill: bool = False,
        begins: bool = True,
    ) -> None:
        self.has_successors = True
        self.agents = {agent.spec.name: agent for agent in agents}
        self.children: dict[str, Child] = {}
        self.incarnations = dict.fromkeys(self.agents, 0)
        self._hands, self._folds, self._may_drill = hands or {}, extra_folds, may_drill
        self._ends = select.epoll()
        self.switchboard = Switchboard(self.see_to_ends, self._ends.fileno())
        self.remotes = {
            name: RemoteAgent(
                agent.spec,
                self.switchboard,
                extra_folds=extra_folds if name in self._hands else frozenset(),
                patience_ms=patience_ms,
            )
            for name, agent in self.agents.items()
        }
        for name in self.agents:
            if begins:
                self.remotes[name].begin(None, 0)
            self.bear(name)

    def bus(self, journal: Journal | None = None) -> Bus:
        bus = Bus(journal or Journal.in_memory(), list(self.remotes.values()), EDGES)
        bus.on_wants = lambda wants: None
        return bus

    def bear(self, name: str) -> Child:
        """A process of the agent begins, and the core is given its socket."""
        ours, theirs = socket.socketpair()
        watch, kept = leash.pair()
        pid = os.fork()
        if pid == 0:
            self._be(name, theirs, kept)
        theirs.close()
        kept.close()
        child = self.children[name] = Child(pid, watch)
        self._ends.register(child.pidfd, select.EPOLLIN)
        self.incarnations[name] += 1
        self.remotes[name].joined(self.incarnations[name], pid, ours, os.getuid())
        return child

    def _be(self, name: str, work: socket.socket, kept: socket.socket) -> None:
        code = 99
        try:
            signal.alarm(120)  # whatever the test does
            keep = sorted({0, 1, 2, work.fileno(), kept.fileno()})
            for low, high in zip(keep, [*keep[1:], 4_096], strict=True):
                os.closerange(low + 1, high)
            make, agent = self._hands.get(name), self.agents[name]
            code = live(
                agent, agent.first_state, work=work, leash=kept, hands=make() if make else None,
                extra_folds=self._folds, may_drill=self._may_drill,
            )  # fmt: skip
        finally:
            os._exit(code)

    def see_to_ends(self) -> None:
        """Who has ended is lost, and has a successor."""
        for name, child in list(self.children.items()):
            if child.code is None and select.select([child.pidfd], [], [], 0)[0]:
                self._ends.unregister(child.pidfd)
                child.ended()
                self.remotes[name].lost()
                if self.has_successors:
                    self.bear(name)

    def replace(self, name: str) -> None:
        """Kill it, and let its successor join."""
        self.children[name].kill()
        assert select.select([self.children[name].pidfd], [], [], 30)[0]
        self.see_to_ends()

    def close(self) -> None:
        for child in self.children.values():
            if child.code is None:
                child.kill(signal.SIGCONT)
                child.kill()
                child.ended()
        for remote in self.remotes.values():
            remote.lost()
        self._ends.close()


@contextmanager
def a_family(agents: Sequence[Agent] = TOYS, **arguments: object) -> Iterator[Family]:
    family = Family(agents, **arguments)  # type: ignore[arg-type]
    try:
        yield family
    finally:
        family.close()
