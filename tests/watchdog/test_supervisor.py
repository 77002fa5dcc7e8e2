"""The supervision tree with real processes and real kills; the numbers of policy, shortened, are given as arguments."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from signal import SIGKILL, SIGSTOP

import anyio
import pytest

from mutable_core.clock import SECOND_NS
from mutable_core.errors import Unacceptable, UnknownName
from mutable_core.lease_page import LeasePage
from tests.watchdog.trees import ToyWiring, Tree, an_agent, in_tree
from watchdog.kept import ChildSpec
from watchdog.lease_page import LeasePageWriter
from watchdog.nursery import NurseryGone
from watchdog.policy import Rules
from watchdog.supervisor import Ending

QUICK = Rules(intensity=2, backoff_base_ns=1_000_000, quarantine_ns=SECOND_NS // 20, probe_ns=5 * SECOND_NS)
THREE = [an_agent("one"), an_agent("two"), an_agent("three")]


def test_children_start_in_order_and_stop_in_reverse() -> None:
    reading, writing = os.pipe()
    wiring = ToyWiring(order=[writing])

    async def live(tree: Tree) -> None:
        for name in ("one", "two", "three"):
            await tree.answering(name)

    tree = in_tree(THREE, live, wiring=wiring)
    os.close(writing)
    assert os.read(reading, 100) == b"three two one "
    os.close(reading)
    assert [name for what, name, *_ in wiring.told if what == "born"] == ["one", "two", "three"]
    assert [told[3] for told in wiring.told if told[0] == "ended"] == ["ended with code 0"] * 3
    assert tree.ending == Ending(0)


def test_a_child_that_hears_no_stop_is_told_and_then_killed() -> None:
    async def live(tree: Tree) -> None:
        await tree.answering("one")
        await tree.answering("two")

    tree = in_tree([an_agent("one", "stubborn"), an_agent("two", lease_ns=0)], live)
    ends = {told[1]: told[3] for told in tree.wiring.told if told[0] == "ended"}
    assert ends == {"one": "killed by SIGKILL", "two": "ended with code 0"}


@pytest.mark.parametrize(
    ("fault", "how", "kind"),
    [
        ("crash", "ended with code 1: ValueError: told to", "error"),
        ("exit", "ended with code 3", "error"),
        ("segfault", "killed by SIGSEGV: Fatal Python error: Segmentation fault", "signal"),
    ],
)
def test_a_child_that_dies_is_born_again_at_once_and_its_siblings_go_on(fault: str, how: str, kind: str) -> None:
    async def live(tree: Tree) -> None:
        before = {one: (await tree.answering(one)).pid for one in ("one", "two", "three")}
        tree.supervisor.inject("two", fault)
        assert (await tree.answering("two", incarnation=2)).pid != before["two"]
        assert ("ended", "two", "1", how) in tree.wiring.told
        assert tree["two"].restarts == {kind: 1}
        assert {tree["one"].pid, tree["three"].pid} == {before["one"], before["three"]}
        assert tree["one"].phase == "running"

    in_tree(THREE, live)


@pytest.mark.parametrize("fault", ["hang", "spin", "stop"])
def test_a_child_that_is_silent_for_its_lease_is_killed_and_born_again(fault: str) -> None:
    """At most the lease and 100 ms after its last answer; it is not asked why."""

    async def live(tree: Tree) -> None:
        await tree.answering("two")
        tree.supervisor.inject("two", fault)
        await tree.answering("two", incarnation=2)
        happened = tree.phases("two")
        first = happened[happened.index("injected") :]
        assert first[:6] == ["injected", "suspected", "killed", "ended", "restarting", "born"]
        assert tree["two"].restarts == {"killed": 1}
        assert tree["two"].beats_failed == 1

    in_tree([an_agent("one"), an_agent("two", lease_ns=SECOND_NS // 5)], live)


@pytest.mark.parametrize("fault", ["lie", "babble"])
def test_what_no_restart_cures_is_quarantined_at_once(fault: str) -> None:
    async def live(tree: Tree) -> None:
        await tree.answering("one")
        tree.supervisor.inject("one", fault)
        await tree.until(lambda: ("quarantined", "one", "watchdog") in tree.wiring.told, "quarantined")
        await tree.until(lambda: tree["one"].pid == 0, "killed")
        assert tree["one"].phase == "quarantined"
        assert tree["one"].restarts == {}

    in_tree([an_agent("one")], live)


def test_who_dies_too_often_is_quarantined_probed_and_readmitted(tmp_path: Path) -> None:
    poison = tmp_path / "poison"
    poison.touch()

    async def live(tree: Tree) -> None:
        await tree.until(lambda: tree["one"].quarantines.get("quarantined", 0) >= 2, "its probe fails too")
        happened = [one for one in tree.phases("one") if one in {"quarantined", "probing", "readmitted", "restarting"}]
        assert happened[:5] == ["restarting", "restarting", "quarantined", "probing", "quarantined"]
        poison.unlink()
        await tree.until(lambda: ("readmitted", "one", "watchdog") in tree.wiring.told, "readmitted")
        assert tree["one"].phase == "running"
        assert tree["two"].incarnation == 1
        names = [alert.name for alert in tree.supervisor.alerts.history]
        assert names == ["one_isolated"] * len(names)
        assert tree.supervisor.alerts.history[-1].is_over

    poisoned = an_agent("one", "doomed", args=str(poison).encode())
    in_tree([poisoned, an_agent("two")], live, rules=QUICK)


def test_each_quarantine_is_twice_as_long(tmp_path: Path) -> None:
    poison = tmp_path / "poison"
    poison.touch()

    async def live(tree: Tree) -> None:
        await tree.until(lambda: tree["one"].quarantines.get("quarantined", 0) >= 4, "four quarantines")

    tree = in_tree([an_agent("one", "doomed", args=str(poison).encode())], live, rules=QUICK)
    begun, probed = tree.stamps("one", "quarantined"), tree.stamps("one", "probing")
    for number, (from_ns, until_ns) in enumerate(zip(begun, probed, strict=False)):
        assert until_ns - from_ns >= QUICK.quarantine_ns << number


def test_an_agent_is_readmitted_only_when_its_probe_has_passed() -> None:
    """Its beats alone do not do it: the wiring says what became of the message that it answered in shadow."""
    wiring = ToyWiring()

    async def live(tree: Tree) -> None:
        wiring.on_probe = tree.supervisor.probe_passed
        wiring.on_born = tree.supervisor.caught_up
        await tree.answering("one")
        tree.supervisor.misbehaved("one", "it lied")
        await tree.until(lambda: ("readmitted", "one", "watchdog") in wiring.told, "readmitted")
        wiring.on_probe = lambda name: tree.supervisor.probe_failed(name, "it lied again")
        tree.supervisor.misbehaved("one", "it lied")
        await tree.until(lambda: tree["one"].quarantines["quarantined"] == 3, "quarantined anew")
        assert wiring.told.count(("readmitted", "one", "watchdog")) == 1

    in_tree([an_agent("one", is_agent=True)], live, rules=QUICK, wiring=wiring)


def test_a_person_isolates_releases_and_restarts() -> None:
    wiring = ToyWiring()

    async def live(tree: Tree) -> None:
        supervisor = tree.supervisor
        wiring.on_probe, wiring.on_born = supervisor.probe_passed, supervisor.caught_up
        await tree.answering("one")
        supervisor.restart("one", "ann", "to see")
        await tree.answering("one", incarnation=2)
        ends = [one for one in wiring.told if one[:2] == ("ended", "one")]
        assert [how.startswith("restarted by ann: to see") for *_, how in ends] == [True], "on record, with who and why"
        supervisor.isolate("one", "ann", "it is odd")
        await tree.until(lambda: tree["one"].pid == 0, "it is gone")
        assert tree["one"].phase == "isolated"
        with pytest.raises(Unacceptable):
            supervisor.restart("one", "ann")
        with pytest.raises(Unacceptable):
            supervisor.inject("one", "crash")
        supervisor.release("one", "bob", "it is mended")
        await tree.until(lambda: ("readmitted", "one", "bob") in wiring.told, "readmitted")
        assert wiring.reasons == ["it is mended"]
        assert tree["one"].phase == "running"
        assert ("quarantined", "one", "ann") in wiring.told
        for act in (supervisor.isolate, supervisor.release, supervisor.restart):
            with pytest.raises(UnknownName):
                act("nobody", "ann")
            with pytest.raises(Unacceptable):
                act("venue", "ann")

    in_tree([an_agent("venue"), an_agent("one", is_agent=True)], live, wiring=wiring)


def test_what_cannot_be_without_the_core_goes_and_comes_back_with_it() -> None:
    """Its death by a signal is a restart of all that was started after it; what came before lives on."""
    tree_of = [an_agent("venue"), an_agent("core", is_essential=True), an_agent("kyle"), an_agent("joey")]

    async def live(tree: Tree) -> None:
        before = {one.name: (await tree.answering(one.name)).pid for one in tree_of}
        os.kill(before["core"], SIGKILL)
        for name in ("core", "kyle", "joey"):
            assert (await tree.answering(name, incarnation=2)).pid != before[name]
        assert tree["venue"].pid == before["venue"]
        assert tree["kyle"].restarts == {}, "it is not to blame"
        born = [told[1] for told in tree.wiring.told if told[0] == "born"]
        assert born[4:] == ["core", "kyle", "joey"]
        ended = [told[1] for told in tree.wiring.told if told[0] == "ended"]
        assert ended[0] == "core"
        assert sorted(ended[1:]) == ["joey", "kyle"]

    in_tree(tree_of, live)


@pytest.mark.parametrize("way", ["isolated", "quarantined"])
def test_who_was_shut_out_comes_back_with_the_core_which_asks_about_the_past(way: str) -> None:
    async def live(tree: Tree) -> None:
        core = await tree.answering("core")
        await tree.answering("joey")
        if way == "isolated":
            tree.supervisor.isolate("joey", "ann")
        else:
            tree.supervisor.misbehaved("joey", "it lies")
        await tree.until(lambda: tree["joey"].pid == 0, "shut out")
        os.kill(core.pid, SIGKILL)
        await tree.answering("core", incarnation=2)
        await tree.answering("joey", incarnation=2)
        if way == "isolated":
            tree.supervisor.isolate("joey", "ann")
            await tree.until(lambda: tree["joey"].pid == 0, "shut out again")
        assert bool(tree.supervisor.alerts.standing) is (way == "isolated")

    in_tree([an_agent("core", is_essential=True), an_agent("joey", is_agent=True)], live)


@pytest.mark.parametrize(
    ("fault", "ending"), [("exit", Ending(3, "", "core")), ("crash", Ending(1, "ValueError: told to", "core"))]
)
def test_the_core_s_own_exit_ends_the_run_with_its_code_and_line(fault: str, ending: Ending) -> None:
    async def live(tree: Tree) -> None:
        await tree.answering("core")
        await tree.answering("kyle")
        tree.supervisor.inject("core", fault)
        await tree.until(lambda: tree.ending, "the run is over")

    tree = in_tree([an_agent("core", is_essential=True), an_agent("kyle")], live)
    assert tree.ending == ending
    assert [told[1] for told in tree.wiring.told if told[0] == "ended"] == ["core", "kyle"]


def test_a_core_that_cannot_be_kept_up_ends_the_run() -> None:
    async def live(tree: Tree) -> None:
        for incarnation in (1, 2, 3):
            os.kill((await tree.answering("core", incarnation=incarnation)).pid, SIGKILL)
        await tree.until(lambda: tree.ending, "the run is over")

    tree = in_tree([an_agent("core", is_essential=True), an_agent("kyle")], live, rules=QUICK)
    assert tree.ending is not None
    assert tree.ending.code == 1
    assert "2 restarts were not enough" in tree.ending.line


@pytest.mark.parametrize("_", range(3))
def test_who_is_being_born_when_the_core_dies_is_gone_before_the_next_core_begins(_: int) -> None:
    """Agents that see the core's end before the Watchdog does end themselves, and their successors are under way."""

    async def live(tree: Tree) -> None:
        core, joey = await tree.answering("core"), await tree.answering("joey")
        os.kill(joey.pid, SIGKILL)
        os.kill(core.pid, SIGKILL)
        await tree.answering("core", incarnation=2)
        await tree.until(
            lambda: tree["joey"].phase == "running" and tree["joey"].pid not in (0, joey.pid), "it is back"
        )

    told = in_tree([an_agent("core", is_essential=True), an_agent("joey")], live).wiring.told
    began = [number for number, one in enumerate(told) if one == ("connect", "core")][1]
    begun = [one for one in told[:began] if one == ("connect", "joey")]
    ends = [one for one in told[:began] if one[:2] == ("ended", "joey")]
    assert len(begun) == len(ends)


def test_the_next_core_does_not_begin_with_the_permission_of_the_one_before() -> None:
    """It would open upon it, until somebody looks and finds that nothing is well yet."""
    found: list[tuple[str, bool]] = []

    class Looking(ToyWiring):
        def connect(self, child: ChildSpec, incarnation: int) -> dict[str, int]:
            found.append((child.name, lease.is_fresh()))
            return super().connect(child, incarnation)

        def ended(self, child: ChildSpec, incarnation: int, how: str) -> None:
            super().ended(child, incarnation, how)
            self.unwell = "the core says nothing"

    async def live(tree: Tree) -> None:
        core = await tree.answering("core")
        await tree.until(lease.is_fresh, "the lease stands")
        os.kill(core.pid, SIGKILL)
        await tree.answering("core", incarnation=2)

    with LeasePageWriter() as page:
        reader = page.reader()
        with LeasePage(reader) as lease:
            os.close(reader)
            in_tree([an_agent("core", is_essential=True)], live, wiring=Looking(), page=page)
    assert found[1:] == [("core", False)]


def test_a_nursery_that_ends_ends_the_run() -> None:
    async def live(tree: Tree) -> None:
        await tree.answering("one")
        os.kill(tree.nursery.pid, SIGKILL)
        await anyio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        in_tree([an_agent("one")], live)
    assert [type(error) for error in caught.value.exceptions] == [NurseryGone]


@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_nursery_that_stands_still_ends_the_run_when_it_owes_a_death(is_stopped: bool) -> None:
    """It would bear nobody any more, and a stop would wait for its word for ever."""

    async def live(tree: Tree) -> None:
        child = await tree.answering("one")
        os.kill(tree.nursery.pid, SIGSTOP)
        if is_stopped:
            return
        os.kill(child.pid, SIGKILL)
        with anyio.fail_after(20):
            await anyio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        in_tree([an_agent("one")], live)
    assert [type(error) for error in caught.value.exceptions] == [NurseryGone]


def test_the_lease_page_is_fresh_while_all_is_well_and_empty_as_soon_as_it_is_not() -> None:
    wiring = ToyWiring()
    with LeasePageWriter() as page:
        reader = page.reader()
        lease = LeasePage(reader)
        os.close(reader)

        async def live(tree: Tree) -> None:
            await tree.until(lease.is_fresh, "granted")
            wiring.unwell = "HRM is isolated"
            await tree.until(lambda: not lease.is_fresh(), "taken back")
            wiring.unwell = ""
            await tree.until(lease.is_fresh, "granted anew")

        in_tree([an_agent("one")], live, wiring=wiring, page=page)
        assert not lease.is_fresh(), "nothing is opened by a house that has stopped"
        lease.close()


def test_nobody_is_judged_for_a_time_in_which_the_watchdog_stood_still() -> None:
    """All are stopped for longer than the lease, as when a machine sleeps, and the child goes on a little later."""

    async def live(tree: Tree) -> None:
        child = (await tree.answering("one")).pid
        pause = f"kill -STOP {child} $PPID; sleep 1; kill -CONT $PPID; sleep 0.1; kill -CONT {child}"
        with subprocess.Popen(["sh", "-c", pause]):  # noqa: ASYNC220
            beats = len(tree.supervisor.beats("one"))
            await tree.until(lambda: len(tree.supervisor.beats("one")) > beats + 40, "it goes on")
        assert tree["one"].incarnation == 1
        assert [one.name for one in tree.supervisor.alerts.history] == ["watchdog_stood_still"]

    in_tree([an_agent("one")], live)
