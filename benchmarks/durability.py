"""`python -m benchmarks.durability [--json]`: what a durable row costs, against this disk's own floor; how fast one is checked.

In turns and in the same run: 512 bytes (and 256 × 512) appended to a plain file with fdatasync, and the same rows
committed by a signed journal. Then that journal, grown to `--rows`, is verified: fast (seals under the signature) and deep
(every hash, every row decoded). Quote the ratios, since machines differ.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from monitoring.series import percentile
from mutable_core.journal import Anchor, Journal, Signer, verify
from mutable_core.messages import Envelope, SliceClosed, encode

ROW_BYTES = 512
GROUP = 256
ROUNDS = 60
FILL_GROUP = 1_000


def a_row(seq: int) -> bytes:
    """A canonical message of exactly `ROW_BYTES` bytes: the author's name is as long as it must be."""
    bare = encode(_message(seq, ""))
    return encode(_message(seq, "x" * (ROW_BYTES - len(bare))))


def _message(seq: int, author: str) -> Envelope:
    return Envelope(seq, f"{seq:032x}", author, "0" * 32, "0" * 32, 0, 0, 0, SliceClosed(seq, seq))


class Rows:
    """Rows that a journal has not seen yet."""

    def __init__(self) -> None:
        self.seq = 0

    def more(self, count: int) -> list[bytes]:
        rows = [a_row(self.seq + number + 1) for number in range(count)]
        self.seq += count
        return rows


def _timed_ms(act: Callable[[], None]) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1e3


def commits(journal: Journal, folder: Path, rows: Rows) -> dict[str, object]:
    """Floor and journal in turns, one row and a group."""
    handle = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    times: dict[str, list[float]] = {name: [] for name in ("floor_1", "journal_1", "floor_group", "journal_group")}

    def floor(data: bytes) -> None:
        os.write(handle, data)
        os.fdatasync(handle)

    def commit(batch: list[bytes]) -> None:
        for row in batch:
            journal.append(row, 0)
        journal.commit()

    for _ in range(ROUNDS):
        for name, count in (("1", 1), ("group", GROUP)):
            batch = rows.more(count)
            joined = b"\n".join(batch)
            times[f"floor_{name}"].append(_timed_ms(lambda joined=joined: floor(joined)))
            times[f"journal_{name}"].append(_timed_ms(lambda batch=batch: commit(batch)))
    os.close(handle)
    median = {name: percentile(values, 0.5) or 0.0 for name, values in times.items()}
    return {
        "fdatasync_1_ms": round(median["floor_1"], 4),
        "journal_1_ms": round(median["journal_1"], 4),
        "single_intent_in_fdatasyncs": round(median["journal_1"] / median["floor_1"], 2),
        "fdatasync_group_ms": round(median["floor_group"], 4),
        "journal_group_ms": round(median["journal_group"], 4),
        "durable_rows_per_s": round(GROUP / median["journal_group"] * 1e3),
        "floor_rows_per_s": round(GROUP / median["floor_group"] * 1e3),
        "group_share_of_floor": round(median["floor_group"] / median["journal_group"], 3),
        "journal_group_p99_ms": round(percentile(times["journal_group"], 0.99) or 0.0, 3),
        "floor_group_p99_ms": round(percentile(times["floor_group"], 0.99) or 0.0, 3),
    }


def measure(rows_wanted: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="ark-bench-") as name:
        state, rows = Path(name), Rows()
        (state / "run").mkdir()
        path = state / "run" / "journal.sqlite"
        journal = Journal.open(path, Signer.open(state / "keys"), Anchor(state / "anchor.log"))
        result = commits(journal, state, rows)
        while rows.seq < rows_wanted:
            for row in rows.more(min(FILL_GROUP, rows_wanted - rows.seq)):
                journal.append(row, 0)
            journal.commit()
        journal.close()
        for how in ("fast", "deep"):
            cpu = time.process_time()
            report = verify(path, deep=how == "deep")
            cpu = time.process_time() - cpu
            assert report.ok, report.finding
            result[f"verify_{how}_rows_per_core_s"] = round(report.rows / cpu)
        return result | {"rows": rows.seq, "row_bytes": ROW_BYTES, "file_mb": round(path.stat().st_size / 1e6)}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.durability", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line of stdout")
    parser.add_argument(
        "--rows", type=int, default=200_000, help="rows of the journal that is verified (default 200 000)"
    )
    arguments = parser.parse_args(argv)
    result = measure(arguments.rows)
    if arguments.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:32} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
