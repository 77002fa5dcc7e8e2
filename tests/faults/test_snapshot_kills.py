"""Runs with a snapshot every few rows, killed wherever chance wants it, end as if nothing had happened and nothing was kept."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from random import Random

import pytest

from tests.faults.processes import (
    LOADED,
    ark,
    bars_file,
    bytes_of,
    ended,
    eventually,
    free_port,
    journal_of,
    one_line,
    page,
    said,
    started,
)
from tests.faults.test_kill import Case, killed_until_it_ends

pytestmark = pytest.mark.faults

OFTEN = LOADED | {"ARK_SNAPSHOT_ROWS": "40"}
APART = OFTEN | {"ARK_AUTHORITY": "process"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Nothing was kept, and nothing was approved by another process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    bars = bars_file(folder / "bars.csv", days=80)
    return Case(folder, f"file:{bars}", 0, LOADED | {"ARK_SNAPSHOT_ROWS": "0"})


def under(case: Case, env: dict[str, str]) -> Case:
    """The same run with other settings."""
    other = Case.__new__(Case)
    other.__dict__ |= vars(case) | {"env": env}
    return other


def snapshots(state: Path) -> list[Path]:
    return sorted(state.glob("*/snapshot-*.ark"))


@pytest.mark.parametrize(("seed", "env"), [(1, OFTEN), (2, APART)], ids=["embedded", "authority apart"])
def test_killed_anywhere_with_snapshots_it_ends_the_same(
    undisturbed: Case, tmp_path: Path, seed: int, env: dict[str, str]
) -> None:
    """The authority's process begins behind a snapshot too, and approves the same."""
    state = tmp_path / "state"
    kills, summary = killed_until_it_ends(under(undisturbed, env), state, Random(seed), kills_max=2)
    assert kills
    undisturbed.assert_same(state, summary)
    boots = said(ark("boots", "--json", "--state", str(state)))["boots"]
    assert all(boot["signed"] and not boot["report"]["passed_over"] for boot in boots)
    assert any(boot["report"]["snapshot"] for boot in boots)
    assert all(boot["report"]["rows_replayed"] <= 1_000 for boot in boots if boot["report"]["snapshot"])


def test_a_live_house_keeps_a_snapshot_when_it_is_told_to_and_restarts_from_it(tmp_path: Path) -> None:
    """From the command line to the log, and to the next start."""
    state, port = tmp_path / "state", free_port()
    live = ("run", "--source", "synthetic", "--port", str(port), "--state", str(state), "--speed", "60")
    with started(*live, env=LOADED) as process:
        eventually(lambda: page(port, "/readyz")[0] == 200, "it is ready")
        told = ark("snapshot", "before-the-upgrade", "--by", "alice", "--json", "--state", str(state))
        assert told.returncode == 0, told.stderr
        position = json.loads(told.stdout)["position"]
        process.kill()
        assert process.wait(30) == -signal.SIGKILL
    assert [path.name for path in snapshots(state)] == [f"snapshot-{position - 1:012}.ark"]
    with started(*live, env=LOADED) as process:
        eventually(lambda: page(port, "/readyz")[0] == 200, "it is ready again")
        process.send_signal(signal.SIGTERM)
        assert ended(process).returncode == 0
    first, second = said(ark("boots", "--json", "--state", str(state)))["boots"]
    assert first["report"]["snapshot"] == 0
    assert second["report"]["snapshot"] == position - 1
    assert second["report"]["rows_replayed"] == second["report"]["rows"] - position + 1


def test_two_houses_on_one_account_the_second_is_refused_and_told_who_has_it(undisturbed: Case, tmp_path: Path) -> None:
    """The account of a paper run is its folder: also where two state folders lead to it."""
    one, two = tmp_path / "one", tmp_path / "two"
    with started(*undisturbed.on(one), "--speed", str(86_400 * 20), env=undisturbed.env) as process:
        eventually(lambda: bytes_of(one, "venue.log") >= 2_000, "orders are sent")
        process.send_signal(signal.SIGSTOP)  # it holds what it has for as long as this takes
        two.mkdir()
        run = journal_of(one).parent
        (two / run.name).symlink_to(run)
        before = bytes_of(one, "venue.log")
        for state in (one, two):
            refused = ark(*undisturbed.on(state), env=undisturbed.env)
            assert refused.returncode == 2
            assert f"process {process.pid} on " in one_line(refused)
        assert bytes_of(one, "venue.log") == before
        process.kill()
        process.wait(30)
    ran = ark(*undisturbed.on(one), env=undisturbed.env)
    assert ran.returncode == 0, ran.stderr
    undisturbed.assert_same(one, said(ran))


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(200, 215))
def test_killed_many_times_with_snapshots_it_ends_the_same(undisturbed: Case, tmp_path: Path, seed: int) -> None:
    state = tmp_path / "state"
    case = under(undisturbed, (OFTEN, APART)[seed % 2])
    _, summary = killed_until_it_ends(case, state, Random(seed), kills_max=12)
    undisturbed.assert_same(state, summary)
