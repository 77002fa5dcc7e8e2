"""A nursery for tests, and trees of small children below it."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from watchdog.birth import Birth, Death
from watchdog.jail import JailSpec
from watchdog.lease_page import LeasePageWriter
from watchdog.nursery import Child, Nursery
from watchdog.policy import Rules
from watchdog.supervisor import ChildSpec, ChildStatus, Ending, Supervisor

ROLES = "tests.watchdog.roles:TABLE"
PRELOAD = "tests.watchdog.roles:preload"
DEADLINE_S = 20.0


def within(nursery: Nursery, act: Callable[[Nursery], Awaitable[Any]]) -> Any:
    """What `act` returns, while the nursery is served. A nursery may be used for one act after another."""

    async def whole() -> Any:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(nursery.serve)
            with anyio.fail_after(DEADLINE_S):
                result = await act(nursery)
            tasks.cancel_scope.cancel()
            return result

    return anyio.run(whole)


def with_nursery(act: Callable[[Nursery], Awaitable[Any]]) -> Any:
    """The same with a nursery of its own."""
    with Nursery.start(roles=ROLES, preload=PRELOAD) as nursery:
        return within(nursery, act)


async def ended(child: Child) -> Death:
    await child.ended.wait()
    assert child.death is not None
    return child.death


async def told(nursery: Nursery, role: str, args: bytes = b"", jail: JailSpec | None = None) -> tuple[Any, Child]:
    """What a child of this role writes to `out` in its life, read as JSON; and the child, ended."""
    reading, writing = os.pipe()
    try:
        child = await nursery.birth(Birth("one", role, args, {"out": writing}, jail))
    finally:
        os.close(writing)
    death = await ended(child)
    data = os.read(reading, 1 << 16)
    os.close(reading)
    assert data, death.how
    return json.loads(data), child


@dataclass
class ToyWiring:
    """Says yes to all; remembers what it was told."""

    order: list[int] = field(default_factory=list)
    told: list[tuple[str, ...]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    unwell: str = ""
    on_probe: Callable[[str], None] = lambda _: None
    on_born: Callable[[str, int], None] = lambda *_: None

    def connect(self, child: ChildSpec, incarnation: int) -> dict[str, int]:
        self.told.append(("connect", child.name))
        return {"order": os.dup(self.order[0])} if self.order else {}

    def born(self, child: ChildSpec, incarnation: int, pid: int) -> None:
        self.told.append(("born", child.name))
        self.on_born(child.name, incarnation)

    def ended(self, child: ChildSpec, incarnation: int, how: str) -> None:
        self.told.append(("ended", child.name, str(incarnation), how))

    def quarantined(self, child: ChildSpec, why: str, by: str) -> None:
        self.told.append(("quarantined", child.name, by))

    def readmitted(self, child: ChildSpec, by: str, why: str) -> None:
        self.told.append(("readmitted", child.name, by))
        self.reasons.append(why)

    def probe(self, child: ChildSpec, incarnation: int) -> None:
        self.told.append(("probe", child.name))
        self.on_probe(child.name)

    def halt(self, why: str) -> None:
        self.told.append(("halt", why))

    def all_is_well(self) -> str:
        return self.unwell


class Tree:
    """A supervisor at work, and what a test waits for."""

    def __init__(self, supervisor: Supervisor, wiring: ToyWiring, nursery: Nursery) -> None:
        self.supervisor, self.wiring, self.nursery = supervisor, wiring, nursery
        self.ending: Ending | None = None

    def __getitem__(self, name: str) -> ChildStatus:
        return next(one for one in self.supervisor.status() if one.name == name)

    async def until(self, condition: Callable[[], Any], what: str) -> Any:
        """What `condition` returns as soon as it is true."""
        with anyio.move_on_after(DEADLINE_S):
            while not (found := condition()):  # noqa: ASYNC110  # what it waits for happens in other processes
                await anyio.sleep(0.001)
            return found
        raise AssertionError(f"not within {DEADLINE_S} s: {what}; {self.wiring.told}; {self.supervisor.status()}")

    async def answering(self, name: str, *, incarnation: int = 1) -> ChildStatus:
        def there() -> ChildStatus | None:
            one = self[name]
            return one if one.pid and one.incarnation >= incarnation and self.supervisor.beats(name) else None

        found = await self.until(there, f"{name} answers")
        assert isinstance(found, ChildStatus)
        return found

    def stamps(self, name: str, what: str) -> list[int]:
        return [one.at_ns for one in self[name].happened if one.what == what]

    def phases(self, name: str) -> list[str]:
        return [one.what for one in self[name].happened]


def in_tree(
    children: Sequence[ChildSpec],
    act: Callable[[Tree], Awaitable[Any]],
    *,
    rules: Rules | None = None,
    wiring: ToyWiring | None = None,
    page: LeasePageWriter | None = None,
) -> Tree:
    """Run the tree while `act` lasts, then stop it in order."""
    wiring = wiring or ToyWiring()

    async def whole(nursery: Nursery) -> Tree:
        supervisor = Supervisor(children, wiring, nursery, rules=rules or Rules(), chance=lambda: 0.5, page=page)
        tree = Tree(supervisor, wiring, nursery)

        async def run() -> None:
            tree.ending = await supervisor.run()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await act(tree)
            supervisor.stop()
        return tree

    with Nursery.start(roles=ROLES, preload=PRELOAD) as nursery:
        return anyio.run(whole, nursery)


def an_agent(name: str, role: str = "answer", **changed: Any) -> ChildSpec:
    """A child of little patience that is caught up when it answers."""
    return ChildSpec(name, role, **({"shutdown_s": 0.2} | changed))
