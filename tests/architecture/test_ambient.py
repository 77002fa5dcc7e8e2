"""Time and chance are handed in (I7). The places that read them from the machine are listed here, each with its reason."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.architecture.house import calls_in, house_files, imports_of, named, uses_in

AMBIENT = {
    "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns",
    "time.process_time", "time.process_time_ns", "time.sleep", "time.localtime", "time.ctime", "time.asctime",
    "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
    "os.urandom", "os.getrandom", "os.times", "random.SystemRandom",
    "uuid.uuid1", "uuid.uuid4",
}  # fmt: skip
"""What answers differently each time; of `random` and `secrets` everything but a generator with a seed."""

ALLOWED: dict[tuple[str, str], str] = {
    ("mutable_core/clock.py", "time.time_ns"): "the clock",
    ("mutable_core/clock.py", "time.monotonic_ns"): "the clock",
    ("mutable_core/ids.py", "time.time_ns"): "ids that enter at the edge sort by birth",
    ("mutable_core/ids.py", "os.urandom"): "ids that enter at the edge are their own",
    ("mutable_core/bus/ordering.py", "time.monotonic_ns"): "stamps explain latencies; the chain leaves them out",
    ("mutable_core/journal/store.py", "time.perf_counter_ns"): "how long a commit took, for the metrics",
    ("graveyard/authority/embedded.py", "os.urandom"): "the signing key of this process",
    ("deployment/authority/client.py", "os.urandom"): "requests that nobody can guess",
    ("deployment/kill_switch/latches.py", "secrets.token_hex"): "latches that nobody can guess",
    ("deployment/kill_switch/triggers.py", "secrets.token_hex"): "the token of a request over HTTP",
    ("deployment/run.py", "time.monotonic"): "the pace of the market, and how long a run took",
    ("deployment/run.py", "time.monotonic_ns"): "when to let other tasks have their turn",
    ("deployment/topology/processes/house_process.py", "time.sleep"): "it waits for the Watchdog, outside its loop",
    ("deployment/topology/processes/remote_source.py", "time.sleep"): "it waits for a source that is being opened",
    ("deployment/progress.py", "time.monotonic"): "how long a run took, for a person",
    ("deployment/commands/replay.py", "time.monotonic"): "how long it took, for a person",
    ("deployment/drills/cell.py", "time.monotonic"): "how long a drill waits for a running house",
    ("deployment/drills/cell.py", "time.sleep"): "it waits for the next look at a running house",
    ("agents/runtime/faults.py", "time.sleep"): "a fault of drills: it blocks",
    ("deployment/run_synthetic_loop.py", "time.monotonic"): "real time is what it measures",
    ("deployment/run_synthetic_loop.py", "time.sleep"): "it waits for the next step of real time",
}


def is_ambient(name: str) -> bool:
    if name in AMBIENT:
        return True
    return name.startswith(("random.", "secrets.", "numpy.random.")) and name != "random.Random"


def test_ambient_time_and_chance_are_read_where_the_list_says_and_nowhere_else() -> None:
    """Both ways: what is not listed fails, and so does a line of the list that nothing uses."""
    found = {(named(path), name) for path in house_files() for name in uses_in(path) if is_ambient(name)}
    assert found == set(ALLOWED)


def test_a_time_is_only_formatted_where_it_was_handed_in() -> None:
    """`gmtime()` and `strftime(format)` without a time read the clock."""
    wanted = {"gmtime": 1, "localtime": 1, "strftime": 2, "ctime": 1}
    for path in house_files():
        for name, call in calls_in(path):
            last = name.rpartition(".")[2]
            if last in wanted and imports_of(path).get(name.partition(".")[0], "").startswith("time"):
                assert len(call.args) >= wanted[last], f"{named(path)}:{call.lineno}"


def test_every_generator_of_chance_has_a_seed() -> None:
    for path in house_files():
        for name, call in calls_in(path):
            if imports_of(path).get(name) == "random.Random" or name == "random.Random":
                assert call.args, f"{named(path)}:{call.lineno}"


@pytest.mark.parametrize(
    "line",
    [
        "import time; time.time()",
        "import time as clock; clock.monotonic()",
        "from time import time_ns; time_ns()",
        "from datetime import datetime; datetime.now()",
        "import datetime; datetime.datetime.now()",
        "import random; random.random()",
        "from random import choice; choice('ab')",
        "from uuid import uuid4; uuid4()",
        "import os; os.urandom(8)",
        "import secrets; secrets.token_hex()",
        "def late():\n    from time import sleep\n    sleep(1)",
        "import time\nread = time.time_ns",
    ],
)
def test_the_scan_finds_it(tmp_path: Path, line: str) -> None:
    (tmp_path / "one.py").write_text(line)
    assert any(is_ambient(name) for name in uses_in(tmp_path / "one.py"))


def test_the_scan_leaves_what_is_handed_in() -> None:
    tree = ast.parse("from random import Random\nRandom(7).random()")
    assert tree.body
    assert not is_ambient("random.Random")
