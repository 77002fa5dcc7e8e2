"""A disk that is full, or that may not be written: the run stops with one line, and goes on when there is space."""

from __future__ import annotations

import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.processes import (
    LOADED,
    POWERLESS,
    ark,
    assert_exactly_once,
    assert_nothing_sent_undurable,
    bars_file,
    bytes_of,
    ended,
    eventually,
    free_port,
    journal_of,
    one_line,
    outcome,
    page,
    said,
    started,
)

pytestmark = pytest.mark.faults


class Undisturbed:
    def __init__(self, folder: Path) -> None:
        self.bars = bars_file(folder / "bars.csv", days=120)
        self.arguments = ["run", "--until-end", "--json", "--source", f"file:{self.bars}"]
        ran = ark(*self.arguments, "--state", str(folder / "state"), env=LOADED)
        assert ran.returncode == 0, ran.stderr
        self.summary = said(ran)
        self.journal = journal_of(folder / "state")
        self.bytes = self.journal.stat().st_size
        self.outcome = outcome(self.journal)

    def assert_resumes(self, state: Path) -> None:
        ran = ark(*self.arguments, "--state", str(state), env=LOADED)
        assert ran.returncode == 0, ran.stderr
        assert said(ran)["journal_head"] == self.summary["journal_head"]
        found = outcome(journal_of(state))
        assert found == self.outcome
        assert_exactly_once(found)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB, until the test is over."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if mount is None:
        pytest.skip("there is no `mount` here")
    made = subprocess.run([mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("this user may not mount a tmpfs")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def remounted(disk: Path, options: str) -> None:
    done = subprocess.run(["mount", "-o", f"remount,{options}", disk], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"this user may not remount a tmpfs with {options}")


@pytest.mark.parametrize("part", [0.04, 0.3, 0.8])
def test_a_file_that_may_not_grow_stops_the_run_and_it_resumes(
    undisturbed: Undisturbed, tmp_path: Path, part: float
) -> None:
    """I3: what the journal cannot hold is not sent."""
    state = tmp_path / "state"
    most = int(part * undisturbed.bytes)
    stopped = ark(
        *undisturbed.arguments, "--state", str(state), env=LOADED,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )  # fmt: skip
    assert stopped.returncode == 1, stopped.stderr
    one_line(stopped)
    assert_nothing_sent_undurable(journal_of(state))
    undisturbed.assert_resumes(state)


def test_a_full_disk_stops_the_run_and_it_resumes_when_there_is_space(
    undisturbed: Undisturbed, tmp_path: Path, small_disk: Path
) -> None:
    state = small_disk / "state"
    stopped = ark(*undisturbed.arguments, "--state", str(state), env=LOADED)
    assert stopped.returncode == 1, stopped.stderr
    one_line(stopped)
    shutil.copytree(state, tmp_path / "as it stopped")
    assert_nothing_sent_undurable(journal_of(tmp_path / "as it stopped"))
    still_full = ark(*undisturbed.arguments, "--state", str(state), env=LOADED)
    assert still_full.returncode == 1
    one_line(still_full)
    remounted(small_disk, "size=64m")
    undisturbed.assert_resumes(state)


def test_a_full_disk_under_the_venues_log_stops_the_run_and_it_resumes(
    undisturbed: Undisturbed, tmp_path: Path, small_disk: Path
) -> None:
    """The venue has its own disk here, and that one fills first: 100 kB are left on it."""
    state = tmp_path / "state"
    with started(*undisturbed.arguments, "--state", str(state), env=LOADED) as process:
        eventually(lambda: bytes_of(state, "venue.log") > 10_000, "the venue's log grows")
        process.kill()
    log = journal_of(state).with_name("venue.log")
    shutil.move(log, small_disk / "venue.log")
    log.symlink_to(small_disk / "venue.log")
    room = shutil.disk_usage(small_disk).free - 100_000
    (small_disk / "ballast").write_bytes(bytes(room))
    stopped = ark(*undisturbed.arguments, "--state", str(state), env=LOADED)
    assert stopped.returncode == 1, stopped.stderr
    one_line(stopped)
    assert_nothing_sent_undurable(journal_of(state))
    (small_disk / "ballast").unlink()
    undisturbed.assert_resumes(state)


def test_a_disk_that_became_read_only_stops_the_run_and_it_resumes(
    undisturbed: Undisturbed, tmp_path: Path, small_disk: Path
) -> None:
    """Between two runs: what a kernel does with a disk that has errors."""
    remounted(small_disk, "size=64m")
    state = small_disk / "state"
    with started(*undisturbed.arguments, "--state", str(state), env=LOADED) as process:
        eventually(lambda: bytes_of(state, "venue.log") > 10_000, "the venue's log grows")
        process.kill()
        process.wait()
    remounted(small_disk, "ro")
    refused = ark(*undisturbed.arguments, "--state", str(state), env=LOADED)
    assert refused.returncode in (1, 2)
    one_line(refused)
    remounted(small_disk, "rw")
    undisturbed.assert_resumes(state)


def test_a_disk_that_becomes_short_ends_opening_until_the_house_is_started_again(
    tmp_path: Path, small_disk: Path
) -> None:
    """I9: nothing is opened blind. Space that came back by itself is not enough: a person starts the house again."""
    remounted(small_disk, "size=64m")
    state, port = small_disk / "state", free_port()
    words = ("run", "--source", "embedded", "--state", str(state), "--port", str(port))
    settings = {"ARK_DISK_FREE_MIN": "20000000", "ARK_AUTHORITY": "embedded"}
    with started(*words, env=settings) as process:
        eventually(lambda: page(port, "/readyz")[0] == 200, "it is ready")
        room = shutil.disk_usage(small_disk).free - 15_000_000
        (small_disk / "ballast").write_bytes(bytes(room))
        eventually(lambda: page(port, "/readyz")[0] == 503, "it sees that the disk is short")
        assert '"disk"' in page(port, "/readyz")[1]
        (small_disk / "ballast").unlink()
        free = "ark_disk_free_bytes"
        eventually(lambda: _value(port, free) > 20_000_000, "it sees that there is space again")
        assert page(port, "/readyz")[0] == 503
        assert _value(port, "ark_disk_faults") == 1
        assert page(port, "/healthz")[0] == 200
        granted = _count(port, "control.lease_granted")
        rows = _value(port, "ark_source_rows")
        eventually(lambda: _value(port, "ark_source_rows") > rows + 5, "it goes on reading the market")
        assert _count(port, "control.lease_granted") == granted
        process.send_signal(signal.SIGTERM)
        assert "nothing is opened any more" in ended(process).stderr
    with started(*words, env=settings):
        eventually(lambda: page(port, "/readyz")[0] == 200, "it is ready again")


def _value(port: int, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", page(port, "/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else float("nan")


def _count(port: int, kind: str) -> float:
    found = re.search(rf'^ark_messages_total\{{kind="{kind}"\}} (\S+)$', page(port, "/metrics")[1], re.MULTILINE)
    assert found, page(port, "/metrics")[1]
    return float(found[1])


def test_a_run_does_not_begin_on_a_disk_that_is_short(tmp_path: Path) -> None:
    refused = ark(
        "run", "--until-end", "--json", "--source", "synthetic:10", "--state", str(tmp_path / "state"),
        env={"ARK_DISK_FREE_MIN": str(2**60)},
    )  # fmt: skip
    assert refused.returncode == 1
    assert "ARK_DISK_FREE_MIN" in one_line(refused)
    assert not list((tmp_path / "state").glob("*/journal.sqlite"))


def test_a_state_folder_that_may_not_be_written_is_refused(powerless: Path) -> None:
    powerless.chmod(0o555)
    for state in (powerless, powerless / "new"):
        refused = ark(
            "run", "--until-end", "--json", "--source", "synthetic:10", "--state", str(state), before=POWERLESS
        )
        assert refused.returncode in (1, 2)
        assert str(state) in one_line(refused)
    assert list(powerless.iterdir()) == []


def test_a_run_whose_files_may_not_be_written_is_refused(powerless: Path) -> None:
    arguments = ("run", "--until-end", "--json", "--source", "synthetic:10", "--state", str(powerless))
    assert ark(*arguments).returncode == 0
    for path in powerless.rglob("*"):
        if path.is_file() and path.name != "owner.lock" and path.parent.name != "keys":
            path.chmod(0o444)
    journal_of(powerless).parent.chmod(0o555)
    refused = ark(*arguments, before=POWERLESS)
    assert refused.returncode in (1, 2)
    one_line(refused)


def test_a_run_under_a_file_limit_that_suffices_is_undisturbed(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """The limit itself changes nothing: what the tests above see comes from reaching it."""
    most = 100_000_000
    with started(
        *undisturbed.arguments, "--state", str(tmp_path), env=LOADED,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    ) as process:  # fmt: skip
        ran = ended(process)
    assert said(ran)["journal_head"] == undisturbed.summary["journal_head"]
