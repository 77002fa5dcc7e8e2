"""The nursery with real children: what they get, how their ends are told, and that nothing is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import anyio
import pytest

from tests.faults.processes import TOP, eventually, session_members
from tests.watchdog.trees import PRELOAD, ROLES, ended, told, with_nursery
from watchdog.birth import PACKET_MAX, Birth
from watchdog.jail import JailSpec
from watchdog.nursery import BirthRefused, Nursery, NurseryGone


def test_a_child_has_its_args_and_its_descriptors_and_nothing_else() -> None:
    seen, child = with_nursery(lambda nursery: told(nursery, "say", b"some words"))
    assert seen["args"] == "some words"
    assert seen["pid"] == child.pid
    assert seen["comm"] == "ark-one"
    own = set(seen["fds"]) - {0, 1, 2, seen["given"]["out"]}
    assert len(own) == 1, "the end that its report goes to"
    assert child.death.how == "ended with code 7"


def test_what_is_loaded_before_is_there_and_was_loaded_once() -> None:
    async def two(nursery: Nursery) -> list[object]:
        return [(await told(nursery, "say"))[0] for _ in range(2)]

    first, second = with_nursery(two)
    assert first["preloaded"] == second["preloaded"] == ["once"]
    assert first["parent"] == second["parent"] != os.getpid()


@pytest.mark.parametrize(
    ("role", "args", "how"),
    [
        ("refuse", b"", "ended with code 3: the world did not answer (here); wait"),
        ("crash", b"", "ended with code 1: ValueError: two lines"),
        ("leave", b"5", "ended with code 5"),
        ("leave", b"0", "ended with code 0"),
        ("segfault", b"", "killed by SIGSEGV: Fatal Python error: Segmentation fault"),
    ],
)
def test_an_end_is_told_with_its_last_word(role: str, args: bytes, how: str) -> None:
    async def end(nursery: Nursery) -> str:
        return (await ended(await nursery.birth(Birth("one", role, args)))).how

    assert with_nursery(end) == how


def test_a_killed_child_is_told_with_what_it_had_cost() -> None:
    async def kill(nursery: Nursery) -> object:
        child = await nursery.birth(Birth("one", "sleep"))
        child.kill()
        return await ended(child)

    death = with_nursery(kill)
    assert death.how == "killed by SIGKILL"
    assert death.rss_max_bytes > 1 << 20


def test_what_cannot_be_born_is_refused_and_the_next_is_born() -> None:
    async def ask(nursery: Nursery) -> object:
        with pytest.raises(BirthRefused, match="unheard_of"):
            await nursery.birth(Birth("one", "unheard_of"))
        with pytest.raises(BirthRefused):
            await nursery.birth(Birth("one", "say", bytes(8 * PACKET_MAX)))
        return (await told(nursery, "say"))[0]

    assert with_nursery(ask)["name"] == "one"


def test_a_jail_that_cannot_close_ends_the_child_before_its_role_begins() -> None:
    async def ask(nursery: Nursery) -> str:
        jail = JailSpec(readable=("/no/such/folder",))
        return (await ended(await nursery.birth(Birth("one", "leave", b"0", jail=jail)))).how

    assert "/no/such/folder" in with_nursery(ask)


@pytest.mark.parametrize(
    ("roles", "preload", "why"),
    [
        (ROLES, "tests.watchdog.roles:preload_that_fails", "what is needed is not there; bring it"),
        (ROLES, "tests.watchdog.roles:preload_with_a_thread", "has started 1 threads"),
        ("tests.watchdog.roles:NOTHING", "", "NOTHING"),
        ("no.such.module:TABLE", "", "No module named"),
    ],
)
def test_a_nursery_that_cannot_begin_says_why_in_one_line(roles: str, preload: str, why: str) -> None:
    with pytest.raises(NurseryGone, match=why) as caught:
        Nursery.start(roles=roles, preload=preload)
    assert "\n" not in str(caught.value)


def test_children_end_with_their_nursery() -> None:
    async def kill(nursery: Nursery) -> None:
        child = await nursery.birth(Birth("one", "sleep"))
        waiting = os.pidfd_open(child.pid)
        os.kill(nursery.pid, signal.SIGKILL)
        await ended(child)
        await anyio.wait_readable(waiting)  # it is dead, not only given up
        os.close(waiting)
        with pytest.raises(NurseryGone):
            await nursery.birth(Birth("two", "sleep"))

    with_nursery(kill)


@pytest.mark.parametrize("is_stopped", [False, True])
def test_nothing_is_left_when_the_watchdog_is_killed(is_stopped: bool) -> None:
    """Also of a stopped child; and where somebody holds the socket open, so that the nursery does not see it close."""
    program = textwrap.dedent(f"""
        import anyio, os, signal, subprocess
        from watchdog.birth import Birth
        from watchdog.nursery import Nursery
        async def live(nursery):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(nursery.serve)
                children = [await nursery.birth(Birth(name, "sleep")) for name in ("a", "b")]
                if {is_stopped}: children[0].kill(signal.SIGSTOP)
                end = nursery._connection.fileno()
                holder = subprocess.Popen(["sleep", "60"], pass_fds=(end,), stdout=subprocess.DEVNULL)
                print(holder.pid, nursery.pid, *(child.pid for child in children), flush=True)
                await anyio.sleep_forever()
        anyio.run(live, Nursery.start(roles={ROLES!r}, preload={PRELOAD!r}))
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=TOP, stdout=subprocess.PIPE, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        holder, *others = (int(word) for word in parent.stdout.readline().split())
        assert set(session_members(parent.pid)) == {parent.pid, holder, *others}
        parent.kill()
        parent.wait()
    eventually(lambda: session_members(parent.pid) == [holder], "nothing of the house lives")
    os.kill(holder, signal.SIGKILL)


def test_a_terminal_s_interrupt_does_not_reach_the_children() -> None:
    """Ctrl-C goes to a terminal's process group; the Watchdog then ends them in order."""

    async def group(nursery: Nursery) -> tuple[int, int]:
        child = await nursery.birth(Birth("one", "sleep"))
        found = os.getpgid(child.pid), os.getpgid(nursery.pid)
        child.kill()
        await ended(child)
        return found

    groups = with_nursery(group)
    assert len(set(groups)) == 1
    assert groups[0] != os.getpgid(0)
