"""`python -m benchmarks.kill_switch [--json]`: from the trigger to the last cancel, with everything else frozen.

The venue and the kill switch are processes; a hundred entries work. A third process holds the journal's and the state's
databases locked, and is stopped, as the main processes would be. Measured from outside: from the moment before the
trigger to the moment at which the venue's own statement lists no entry any more.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from deployment.kill_switch.client import ask
from deployment.kill_switch.words import Pull, Pulled
from monitoring.series import percentile
from mutable_core.messages import Observed
from tests.agents.kenny.venues.venue_makers import a_bar, an_order
from tests.agents.kenny.venues.venue_processes import in_a_process
from tests.faults.kill_process import Standing, locked, standing_by

ENTRIES = 100
TARGET_MS = 2_000.0


def by_socket(kill: Standing) -> float | None:
    pulled = ask(kill.state, Pull("global", "", "halted", "bench", "measured"))
    assert isinstance(pulled, Pulled)
    return pulled.last_cancel_ms


def by_file(kill: Standing) -> None:
    (kill.state / "HALT").touch()


def by_signal(kill: Standing) -> None:
    kill.process.send_signal(signal.SIGUSR1)


TRIGGERS: dict[str, Callable[[Standing], float | None]] = {
    "socket": by_socket, "file": by_file, "signal": by_signal,
}  # fmt: skip


def one_ms(trigger: Callable[[Standing], float | None]) -> tuple[float, float | None]:
    """Milliseconds by the venue's own statement, and by what the kill switch itself reports."""
    with tempfile.TemporaryDirectory(prefix="ark-bench-") as name, ExitStack() as held:
        folder = Path(name)
        venue = held.enter_context(in_a_process(folder))
        market, trade = venue.market(), venue.trade()
        market.show(Observed("ACME", "bench", 1, 0, a_bar("100", "100", "100", "100"), True, True), 1)
        for number in range(ENTRIES):
            trade.place(an_order(f"o{number}", limit="50", time_in_force="gtc"), 1)
        kill = held.enter_context(standing_by(folder / "state", venue))
        frozen = held.enter_context(locked(kill.state / "state.sqlite", kill.state / "journal.sqlite"))
        frozen.send_signal(signal.SIGSTOP)
        assert len(trade.statement().open_orders) == ENTRIES
        began = time.perf_counter()
        reported = trigger(kill)
        while trade.statement().open_orders:
            time.sleep(0.0005)
        return (time.perf_counter() - began) * 1e3, reported


def measure(repeats: int) -> dict[str, object]:
    result: dict[str, object] = {"entries": ENTRIES, "target_ms": TARGET_MS}
    for name, trigger in TRIGGERS.items():
        found = [one_ms(trigger) for _ in range(repeats)]
        seen = [ms for ms, _ in found]
        reported = [ms for _, ms in found if ms is not None]
        result[f"{name}_last_cancel_p50_ms"] = round(percentile(seen, 0.5) or 0.0, 2)
        result[f"{name}_last_cancel_max_ms"] = round(max(seen), 2)
        if reported:
            result[f"{name}_reported_max_ms"] = max(reported)
    return result


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kill_switch", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line of stdout")
    parser.add_argument("--repeats", type=int, default=5, help="of each trigger (default 5)")
    arguments = parser.parse_args(argv)
    result = measure(arguments.repeats)
    if arguments.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:28} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
