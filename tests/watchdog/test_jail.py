"""Each mechanism of the jail, attacked from inside by real processes; and beside it the same attack without a jail."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.faults.processes import POWERLESS, TOP
from tests.watchdog.trees import PRELOAD, ROLES, told, within
from watchdog.jail import FIRST_UID, MIB, USERS, JailOpen, JailSpec, kernel
from watchdog.jail.entering import enter
from watchdog.jail.spec import HOUSES
from watchdog.nursery import Nursery

IS_ROOT = os.geteuid() == 0
LANDLOCK = kernel.landlock_version()
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root can give a user or a network namespace")
needs_landlock = pytest.mark.skipif(LANDLOCK < kernel.SCOPES_FROM, reason="this kernel's Landlock is older")


@cache
def the_nursery() -> Nursery:
    return Nursery.start(roles=ROLES, preload=PRELOAD)


@pytest.fixture(scope="module", autouse=True)
def _nursery_of_this_module() -> Iterator[None]:
    yield
    with the_nursery():
        the_nursery.cache_clear()


def came_of(attacks: list[str], jail: JailSpec | None) -> dict[str, Any]:
    """What each attack led to, and what the jail said of itself."""
    found, child = within(the_nursery(), lambda nursery: told(nursery, "attack", json.dumps(attacks).encode(), jail))
    assert child.death.code == 0, child.death.how
    return found


def outcome(attack: str, jail: JailSpec | None) -> str:
    return str(came_of([attack], jail)[attack])


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder that every user could use."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(0o777 | (folder.stat().st_mode & 0o1000))
    return tmp_path


@pytest.fixture
def victim() -> Iterator[int]:
    """A process of our own user."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


CLOSED = JailSpec(user=0)
OWN_USER = JailSpec()
"""Without a user of its own: what holds then does not rest on file permissions."""


def refused_only_in(jail: JailSpec, attack: str) -> None:
    assert outcome(attack, None) == "done", "an attack that never works shows nothing"
    assert outcome(attack, jail).startswith("refused")


@needs_landlock
@pytest.mark.parametrize("jail", [CLOSED, OWN_USER], ids=["own user", "our user"])
def test_no_file_is_read_written_or_listed(open_folder: Path, jail: JailSpec) -> None:
    there = open_folder / "there"
    there.write_text("x")
    there.chmod(0o666)
    for attack in (f"read {there}", f"write {open_folder / 'new'}", f"list {open_folder}", "read /etc/passwd"):
        refused_only_in(jail, attack)
    assert outcome(f"remove {there}", jail).startswith("refused")
    assert there.exists()


@needs_landlock
def test_a_folder_to_read_is_read_and_not_written(open_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Also by one that may write elsewhere, so that it is not its limit on files that refuses."""
    there, other = open_folder / "there", tmp_path_factory.mktemp("other")
    there.write_text("x")
    there.chmod(0o666)
    jail = JailSpec(readable=(str(open_folder),), writable=(str(other),), user=0)
    attacks = [f"{one} {there}" for one in ("read", "write", "append", "remove")]
    found = came_of([*attacks, f"list {open_folder}", "read /etc/passwd"], jail)
    assert found[f"read {there}"] == found[f"list {open_folder}"] == "done"
    assert all(found[f"{one} {there}"].startswith("refused") for one in ("write", "append", "remove"))
    assert found["read /etc/passwd"].startswith("refused")


@needs_landlock
def test_a_folder_to_write_is_written(open_folder: Path) -> None:
    jail = JailSpec(writable=(str(open_folder),), user=0)
    found = came_of([f"write {open_folder / 'new'}", f"read {open_folder / 'new'}", "write /tmp/ark-outside"], jail)
    assert found[f"write {open_folder / 'new'}"] == found[f"read {open_folder / 'new'}"] == "done"
    assert found["write /tmp/ark-outside"].startswith("refused")
    assert (open_folder / "new").stat().st_mode & 0o077 == 0, "what it makes is for nobody else"


@needs_root
def test_a_state_folder_is_closed_by_its_permissions_too(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    jail = JailSpec(readable=(str(tmp_path.parent),), user=0)
    (tmp_path / "journal").write_text("x")
    assert outcome(f"read {tmp_path / 'journal'}", jail).startswith("refused")


@needs_landlock
def test_no_program_is_run() -> None:
    assert outcome("run /bin/true", JailSpec(readable=("/",), user=0)).startswith("refused")


@needs_landlock
def test_tcp_is_closed_unless_asked_for(listener: int) -> None:
    refused_only_in(CLOSED, f"tcp {listener}")
    assert outcome(f"tcp {listener}", JailSpec(tcp=True, user=0)) == "done"


@needs_root
def test_where_we_are_root_there_is_no_network_at_all() -> None:
    refused_only_in(CLOSED, "udp")
    assert any("no network" in one for one in came_of([], CLOSED)["enforced"])


@needs_landlock
def test_no_socket_of_the_machine_is_reached(open_folder: Path) -> None:
    name = f"@ark-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0" + name[1:])
        server.listen()
        refused_only_in(JailSpec(tcp=True), f"unix {name}")  # in our network namespace: it is Landlock that refuses


@needs_landlock
@pytest.mark.parametrize("jail", [CLOSED, OWN_USER], ids=["own user", "our user"])
@pytest.mark.parametrize("attack", ["signal", "ptrace", "memory_of"])
def test_no_other_process_is_touched(victim: int, jail: JailSpec, attack: str) -> None:
    refused_only_in(jail, f"{attack} {victim}")


@needs_root
@pytest.mark.parametrize("attack", ["fork", "thread"])
def test_no_process_and_no_thread_is_started(attack: str) -> None:
    refused_only_in(CLOSED, attack)


@needs_root
def test_the_children_of_two_houses_are_different_users() -> None:
    """What one of them may have of processes, the other cannot use up; and a house that has ended leaves its users."""
    here = own_user(came_of([], JailSpec(user=0)))
    with Nursery.start(roles=ROLES) as other:
        found, _ = within(other, lambda nursery: told(nursery, "attack", b"[]", JailSpec(user=0)))
        there = own_user(found)
    with Nursery.start(roles=ROLES) as other:
        again, _ = within(other, lambda nursery: told(nursery, "attack", b"[]", JailSpec(user=0)))
    assert here >= FIRST_UID
    assert abs(here - there) >= USERS
    assert own_user(again) == there


def own_user(found: dict[str, Any]) -> int:
    """The uid, as the jail states it."""
    (said,) = (one for one in found["enforced"] if one.startswith("a user of its own"))
    return int(said.split(", ")[1])


@needs_root
def test_the_powers_of_root_do_not_come_back() -> None:
    refused_only_in(CLOSED, "root")


@pytest.mark.parametrize("attack", ["allocate", "share"])
def test_memory_is_bounded_however_it_is_taken(attack: str) -> None:
    jail = JailSpec(memory_bytes=64 * MIB, user=0)
    assert outcome(f"{attack} {96 * MIB}", None) == "done"
    found = came_of([f"{attack} {96 * MIB}", f"{attack} {16 * MIB}", "unlimit"], jail)
    assert found[f"{attack} {96 * MIB}"].startswith("refused")
    assert found[f"{attack} {16 * MIB}"] == "done"
    assert found["unlimit"].startswith("refused")


def test_memory_is_not_taken_as_a_file() -> None:
    refused_only_in(CLOSED, f"memfd {MIB}")


def test_descriptors_are_bounded() -> None:
    refused_only_in(JailSpec(descriptors=16, user=0), "descriptors 20")


@needs_root
@needs_landlock
def test_all_is_stated_and_nothing_is_left_open_where_the_machine_has_it_all() -> None:
    found = came_of([], JailSpec(user=3))
    assert found["open"] == []
    words = " · ".join(found["enforced"])
    for what in ("a user of its own", "no capabilities", "Landlock", "no processes", "no network"):
        assert what in words


def test_what_is_not_enforced_is_stated() -> None:
    """Without a user of its own, root's processes are not counted, and another user's are everybody's."""
    assert came_of([], OWN_USER)["open"]


@needs_root
@needs_landlock
def test_root_without_its_powers_gives_what_it_can_and_states_the_rest() -> None:
    """As in a container that drops all capabilities."""
    program = (
        "from tests.watchdog.trees import *; from watchdog.jail import JailSpec; "
        "act = lambda nursery: told(nursery, 'attack', b'[\"read /etc/passwd\", \"fork\"]', JailSpec(user=0)); "
        "print(json.dumps(with_nursery(act)[0]))"
    )
    ran = subprocess.run(
        [*POWERLESS, sys.executable, "-c", program], cwd=TOP, capture_output=True, text=True, check=True
    )
    found = json.loads(ran.stdout)
    assert found["read /etc/passwd"].startswith("refused")
    assert found["fork"] == "done"
    words = " · ".join(found["open"])
    for what in ("same user as the Watchdog", "number of its processes is not bounded", "what is not TCP can leave"):
        assert what in words


@pytest.fixture
def shared_user() -> Iterator[int]:
    """A user who has more processes already than one child may have."""
    uid = FIRST_UID + HOUSES * USERS if IS_ROOT else os.geteuid()
    others = [subprocess.Popen(["sleep", "60"], user=uid if IS_ROOT else None) for _ in range(4)]
    yield uid
    for one in others:
        one.kill()
        one.wait()


def test_whoever_shares_a_user_may_start_the_threads_that_it_needs(shared_user: int) -> None:
    """As in a container, and for everybody who is not root: the kernel counts the processes of the others too."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            if IS_ROOT:
                kernel.become(shared_user, shared_user)
            left_open = enter(JailSpec(processes=2), parent=os.getppid(), network=None).open
            thread = Thread(target=os.write, args=(writer, " · ".join(left_open).encode()))
            thread.start()
            thread.join()
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writer)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with os.fdopen(reader) as said:
        assert "processes and threads is not bounded" in said.read()


def test_a_user_that_is_not_kept_for_children_is_refused() -> None:
    if not IS_ROOT:
        pytest.skip("only root can be another user")
    child = os.fork()
    if not child:
        try:
            enter(JailSpec(user=USERS), parent=os.getppid(), network=None)
        except JailOpen:
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
