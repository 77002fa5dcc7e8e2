"""The authority's process dies, hangs, falls behind or finds other rules: nothing is approved, and nobody waits for ever."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from deployment.authority.client import ABANDONED_MAX, OUTBOX_BYTES_MAX, AuthorityProcess
from deployment.authority.errors import AuthoritySilent
from graveyard.authority.wire import Ask, Item, frame
from graveyard.ethics import ruleset_digest
from graveyard.words import Approval
from tests.adversary.makers import PLAIN, TOP, Log, a_copy_of_the_house, a_numbered, started
from tests.faults.processes import eventually

pytestmark = pytest.mark.faults
PATIENT_MS = 20_000


def a_log(count: int = 3) -> tuple[Log, list[tuple[str, int]]]:
    """A log with so many approvals, and what to ask for."""
    log, items = Log(), []
    for number in range(count):
        log.fill(2)
        proposal = a_numbered(number)
        items.append((proposal.proposal_id, log.approve(proposal)))
    return log, items


@pytest.fixture
def top() -> Iterator[Path]:
    """A house of its own, to be spoiled."""
    with a_copy_of_the_house() as copy:
        yield copy


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_a_batch_is_one_signature_and_each_approval_stands_alone() -> None:
    log, items = a_log(64)
    with started() as authority:
        authority.committed(1, log.rows, log.head)
        answers = authority.approve(items, deadline_ms=PATIENT_MS)
        assert all(isinstance(one, Approval) and authority.verifier.verify(one) for one in answers)
        assert len({one.signature for one in answers if isinstance(one, Approval)}) == 1


def test_a_long_log_in_many_frames_arrives_whole() -> None:
    log = Log()
    log.fill(3_000)
    with started() as authority:
        authority.committed(1, log.rows[:2_000], log.heads[2_000])
        for row in range(2_000, 3_000):
            authority.committed(row + 1, log.rows[row : row + 1], log.heads[row + 1])
        alive = authority.probe(deadline_ms=PATIENT_MS)
        assert (alive.seq, alive.head) == (3_000, log.head)


def test_a_dead_authority_refuses_at_once() -> None:
    """Not after the deadline: the end of the socket is the answer."""
    log, items = a_log()
    with started() as authority:
        authority.committed(1, log.rows, log.head)
        os.kill(authority.pid, signal.SIGKILL)
        eventually(lambda: not lives(authority.pid), "it is dead")
        with pytest.raises(AuthoritySilent) as raised:
            authority.approve(items, deadline_ms=10**9)
        assert "code -9" in raised.value.what
        assert not authority.is_alive
        authority.committed(1, log.rows, log.head)  # nobody hears it, and nothing happens


def test_an_authority_that_dies_while_it_is_asked_refuses_at_once() -> None:
    log, items = a_log()
    with started() as authority:
        authority.committed(1, log.rows, log.head)
        authority.probe(deadline_ms=PATIENT_MS)
        os.kill(authority.pid, signal.SIGSTOP)
        eventually(lambda: stopped(authority.pid), "it hangs")
        killer = subprocess.Popen([sys.executable, "-c", f"import os; os.kill({authority.pid}, 9)"])
        with pytest.raises(AuthoritySilent):
            authority.approve(items, deadline_ms=10**9)
        killer.wait(30)


def test_a_hanging_authority_is_waited_for_until_the_deadline_and_its_late_answers_count_for_nothing() -> None:
    log, items = a_log()
    with started() as authority:
        authority.committed(1, log.rows, log.head)
        authority.probe(deadline_ms=PATIENT_MS)
        os.kill(authority.pid, signal.SIGSTOP)
        eventually(lambda: stopped(authority.pid), "it hangs")
        for item in items[:2]:
            with pytest.raises(AuthoritySilent):
                authority.approve([item], deadline_ms=20)
        os.kill(authority.pid, signal.SIGCONT)
        (approval,) = authority.approve(items[2:], deadline_ms=PATIENT_MS)
        assert isinstance(approval, Approval)
        assert (approval.proposal_id, approval.position) == items[2]  # not the answer to the first


def test_an_authority_that_never_answers_is_given_up() -> None:
    log, items = a_log()
    with started() as authority:
        authority.committed(1, log.rows, log.head)
        os.kill(authority.pid, signal.SIGSTOP)
        for _ in range(ABANDONED_MAX + 1):
            with pytest.raises(AuthoritySilent):
                authority.approve(items, deadline_ms=0)
        assert not authority.is_alive


def test_rows_for_an_authority_that_is_behind_wait_within_bounds() -> None:
    """Giving rows never waits; an authority that is too far behind is given up, and then refuses."""
    log = Log()
    log.add(a_large_row())
    with started() as authority:
        os.kill(authority.pid, signal.SIGSTOP)
        rows, heads = [log.rows[0]], log.heads[1]
        for _ in range(2 * OUTBOX_BYTES_MAX // len(log.rows[0])):
            authority.committed(1, rows, heads)
            assert authority.waiting_bytes <= OUTBOX_BYTES_MAX + 2 * len(log.rows[0])
            if not authority.is_alive:
                break
        with pytest.raises(AuthoritySilent):
            authority.approve([("0" * 32, 1)])


def a_large_row() -> object:
    from mutable_core.messages import DiscrepancyFound

    return DiscrepancyFound("a", "trace_broken", "x" * 1_500_000)


@pytest.mark.parametrize("wrong", ["gap", "fork", "again"])
def test_a_log_that_forks_ends_it_with_code_9(wrong: str) -> None:
    log, items = a_log()
    frames = {
        "gap": (5, log.rows[4:6], log.heads[6]),
        "fork": (4, log.rows[3:4], log.heads[3]),
        "again": (1, log.rows[:3], log.heads[3]),
    }
    with started() as authority:
        authority.committed(1, log.rows[:3], log.heads[3])
        authority.committed(*frames[wrong])
        with pytest.raises(AuthoritySilent) as raised:
            authority.approve(items[:1], deadline_ms=PATIENT_MS)
        assert "code 9" in raised.value.what
        assert authority._process.wait(30) == 9


def test_bytes_that_another_process_puts_into_the_house_s_end_end_it() -> None:
    """A stolen descriptor is worth nothing: the kernel says who sent."""
    log, items = a_log()
    with started() as authority:
        authority.committed(1, log.rows, log.head)
        authority.probe(deadline_ms=PATIENT_MS)
        descriptor = authority._connection.fileno()
        data = frame(Ask("0" * 32, (Item(*items[0]),)))
        thief = "import os, sys; os.write(int(sys.argv[1]), bytes.fromhex(sys.argv[2]))"
        subprocess.run([sys.executable, "-c", thief, str(descriptor), data.hex()], pass_fds=(descriptor,), check=True)
        with pytest.raises(AuthoritySilent):
            authority.approve(items, deadline_ms=PATIENT_MS)
        assert authority._process.wait(30) == 2


def test_it_does_not_begin_with_other_rules_than_the_pinned() -> None:
    with pytest.raises(AuthoritySilent) as raised:
        AuthorityProcess.start(ruleset="0" * 64, seal="stated", program=PLAIN)
    assert "code 9" in raised.value.what


def test_it_does_not_begin_under_a_broken_seal(top: Path) -> None:
    (top / "graveyard" / "SEAL.json").unlink(missing_ok=True)
    with pytest.raises(AuthoritySilent) as raised:
        AuthorityProcess.start(ruleset=ruleset_digest(), seal="enforced", program=PLAIN, top=top)
    assert "code 9" in raised.value.what


def _append(path: Path) -> None:
    with path.open("a") as file:
        file.write("\n")


def _rename(path: Path) -> None:
    path.rename(path.with_suffix(".bak"))


def _replace_by_a_link(path: Path) -> None:
    path.rename(path.with_suffix(".bak"))
    path.symlink_to(path.with_suffix(".bak"))


def _same_size(path: Path) -> None:
    """And with its old times: only the time of the change itself, which nobody can set, tells."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(bytes(data))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = {
    "appended to": _append,
    "removed": Path.unlink,
    "renamed": _rename,
    "replaced by a link to itself": _replace_by_a_link,
    "changed in place, times set back": _same_size,
    "joined by another": lambda path: path.with_name("more.py").write_text(""),
}


def ask_for(authority: AuthorityProcess, items: Sequence[tuple[str, int]], *, seconds: float) -> None:
    """Again and again."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        authority.approve(items, deadline_ms=PATIENT_MS)


@pytest.mark.parametrize("change", CHANGES)
def test_rules_that_change_while_it_runs_end_it_with_code_9(change: str, top: Path) -> None:
    """By root, by a deployment, by a slip: what runs was loaded from files that are gone, so it answers nothing more.

    It looks when it is asked, at most every 50 ms.
    """
    log, items = a_log()
    with started(top=top) as authority:
        authority.committed(1, log.rows, log.head)
        assert isinstance(authority.approve(items[:1], deadline_ms=PATIENT_MS)[0], Approval)
        CHANGES[change](top / "graveyard" / "ethics.py")
        with pytest.raises(AuthoritySilent):
            ask_for(authority, items[:1], seconds=PATIENT_MS / 1e3)
        assert authority._process.wait(30) == 9


def test_rules_that_are_only_touched_change_nothing(top: Path) -> None:
    log, items = a_log()
    with started(top=top) as authority:
        authority.committed(1, log.rows, log.head)
        os.utime(top / "graveyard" / "ethics.py")
        assert isinstance(authority.approve(items[:1], deadline_ms=PATIENT_MS)[0], Approval)


HOUSE = """
import sys
from tests.adversary.makers import started
with started() as authority:
    print(authority.pid, flush=True)
    sys.stdin.read()
"""


def test_it_dies_with_the_house() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOUSE], cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as house:
        assert house.stdout
        assert select.select([house.stdout], [], [], 60)[0]
        authority = int(house.stdout.readline())
        assert lives(authority)
        os.kill(authority, signal.SIGSTOP)  # it cannot even notice that its socket ended
        house.kill()
        house.wait(30)
        eventually(lambda: not lives(authority), "the authority is gone too")


def test_letting_go_ends_it_in_order() -> None:
    with started() as authority:
        authority.close()
        assert authority._process.returncode == 0
        with pytest.raises(AuthoritySilent):
            authority.probe()


def test_what_its_jail_says_is_what_the_kernel_says() -> None:
    with started() as authority:
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{authority.pid}/status").read_text().splitlines()
            if ":\t" in line
        )
        assert status["NoNewPrivs"] == "1"
        assert status["CapEff"].strip("0") == status["CapPrm"].strip("0") == ""
        uid, gid = authority.hello.uid, authority.hello.gid
        assert status["Uid"].split() == [str(uid)] * 4
        assert status["Gid"].split() == [str(gid)] * 4
        if os.geteuid() == 0:
            assert uid != 0
            assert status["Groups"].strip() == ""
            assert len(list(Path(f"/proc/{authority.pid}/fd").iterdir())) == 2
            assert not authority.hello.open or "Landlock" in authority.hello.open[0]
        else:
            assert any("same user" in one for one in authority.hello.open)


def test_nothing_of_the_house_s_environment_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may look into its environment")
    monkeypatch.setenv("LD_PRELOAD", "/nowhere/evil.so")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("ARK_SECRET", "key")
    with started() as authority:
        environment = Path(f"/proc/{authority.pid}/environ").read_bytes().split(b"\0")
        assert [one for one in environment if one] == [b"LC_ALL=C.UTF-8"]
