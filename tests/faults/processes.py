"""Real processes of `ark`, and what is read of them from outside: the disk, /proc, a port."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

from agents.kenny.venues.simulated import SimulatedVenue
from mutable_core.journal import checked_rows
from mutable_core.messages import Envelope, OrderAccepted, OrderIntended, OrderRejected, RunStarted, VenueEvent

TOP = Path(__file__).parents[2]
ARK = (sys.executable, "-m", "deployment")
LOADED = {"ARK_STRATEGIES": "alternating", "ARK_DISK_FREE_MIN": "0"}
"""Orders at every bar: what a crash can spoil most. On however small a disk."""

POWERLESS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
"""What makes a process of root's obey permissions as everybody else's does."""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours without any `ARK_` variable; the kill switches of houses side by side have no port."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("ARK_")}
    return ours | {"ARK_KILL_PORT": "0"} | dict(extra or {})


def ark(
    *arguments: str, env: Mapping[str, str] | None = None, before: Sequence[str] = (), timeout_s: float = 100,
    **popen: Any,
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """One command to its end; `before` are words that stand before the command."""
    return subprocess.run(
        [*before, *ARK, *arguments], cwd=TOP, env=environment(env), timeout=timeout_s, text=True, check=False,
        stdin=subprocess.DEVNULL, capture_output=True, **popen,
    )  # fmt: skip


def said(ran: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one JSON object that is all of stdout."""
    lines = ran.stdout.splitlines()
    assert len(lines) == 1, (ran.stdout[-2000:], ran.stderr[-2000:])
    answer = json.loads(lines[0])
    assert isinstance(answer, dict)
    return answer


def one_line(ran: subprocess.CompletedProcess[str]) -> str:
    """The one line of stderr; nothing was on stdout."""
    assert ran.stdout == ""
    lines = ran.stderr.splitlines()
    assert len(lines) == 1, ran.stderr[-3000:]
    assert lines[0].startswith("ark: ")
    return lines[0]


def eventually(condition: Callable[[], Any], what: str, *, within_s: float = 30.0) -> Any:
    """What `condition` returns as soon as it is true."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.001)
    return found


@contextmanager
def started(*arguments: str, env: Mapping[str, str] | None = None, **popen: Any) -> Iterator[subprocess.Popen[str]]:
    """A live process in a session of its own; it does not outlive the block.

    Its output goes to files, since nobody empties a pipe meanwhile: see `ended`.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(
            [*ARK, *arguments], cwd=TOP, env=environment(env), text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=out, stderr=err, **popen,
        )  # fmt: skip
        process.out, process.err = out, err  # type: ignore[attr-defined]
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait(30)


def ended(process: subprocess.Popen[str], *, within_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """How the process ended by itself."""
    code = process.wait(within_s)
    texts = []
    for file in (process.out, process.err):  # type: ignore[attr-defined]
        file.seek(0)
        texts.append(file.read())
    return subprocess.CompletedProcess(process.args, code, *texts)


def session_members(session: int) -> list[int]:
    """Processes of the session that live; a zombie lives no more."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we looked
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(entry.name))
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def page(port: int, path: str) -> tuple[int, str]:
    """Status and text; status 0 where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def run_folder(state: Path) -> Path | None:
    return next((path for path in state.glob("*") if path.is_dir()), None) if state.is_dir() else None


def journal_of(state: Path) -> Path:
    (journal,) = state.glob("*/journal.sqlite")
    return journal


def bytes_of(state: Path, *names: str) -> int:
    """Bytes in these files of the run; 0 for those that are not there yet."""
    total = 0
    for folder in state.glob("*"):  # among them names that are gone a moment later
        for name in names:
            try:
                total += (folder / name).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                continue
    return total


JOURNAL_FILES = ("journal.sqlite", "journal.sqlite-wal")


@dataclass(frozen=True)
class Outcome:
    """What must be the same however often a run was killed: the journal, and the venue's own memory of it."""

    head: str
    rows: int
    orders: tuple[str, ...]
    events: tuple[VenueEvent, ...]
    venue: tuple[VenueEvent, ...]


def outcome(journal: Path) -> Outcome:
    envelopes = list(envelopes_of(journal))
    head = ""
    for checked in checked_rows(journal):
        head = checked.head.hex()
    bodies = [envelope.body for envelope in envelopes]
    return Outcome(
        head,
        len(bodies),
        tuple(body.order.client_order_id for body in bodies if isinstance(body, OrderIntended)),
        tuple(body for body in bodies if isinstance(body, VenueEvent)),
        venue_events(journal),
    )


def envelopes_of(journal: Path) -> Iterator[Envelope]:
    for checked in checked_rows(journal):
        yield checked.envelope


def venue_events(journal: Path) -> tuple[VenueEvent, ...]:
    """All that the paper venue has said, reported or not, rebuilt from a copy of its own log.

    The journal is asked for the settings only.
    """
    begun = next(envelopes_of(journal)).body
    assert isinstance(begun, RunStarted)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "venue.log"
        shutil.copyfile(journal.with_name("venue.log"), copy)
        venue = SimulatedVenue.open(copy, cash_micros=begun.cash_micros, instruments=begun.instruments)
        try:
            return tuple(venue.events(0))
        finally:
            venue.close()


def assert_exactly_once(one: Outcome) -> None:
    """I4: no order twice, no intent without an answer, and journal and venue remember the same."""
    answered = [body.client_order_id for body in one.events if isinstance(body, OrderAccepted | OrderRejected)]
    assert len(set(one.orders)) == len(one.orders)
    assert len(set(answered)) == len(answered)
    assert {name.partition(".")[0] for name in answered} == set(one.orders)
    assert one.events == one.venue


def assert_nothing_sent_undurable(journal: Path) -> None:
    """I3: every order that the venue has ever heard of is in the journal on the disk."""
    intended = {e.body.order.client_order_id for e in envelopes_of(journal) if isinstance(e.body, OrderIntended)}
    heard = {event.client_order_id.partition(".")[0] for event in venue_events(journal)}
    assert heard <= intended


def bars_file(path: Path, *, days: int, symbols: int = 4, seed: int = 1) -> Path:
    """Daily bars that wander, exact to the cent."""
    chance = Random(seed)
    prices = [10_000 + 1_000 * number for number in range(symbols)]
    lines = ["date,symbol,open,high,low,close,volume"]
    for day in range(days):
        when = date(2015, 1, 1) + timedelta(days=day)
        for number in range(symbols):
            begin, end = prices[number], max(1_000, prices[number] + chance.randrange(-150, 151))
            high, low = max(begin, end) + chance.randrange(60), min(begin, end) - chance.randrange(60)
            values = ",".join(f"{cents // 100}.{cents % 100:02d}" for cents in (begin, high, low, end))
            lines.append(f"{when},S{number},{values},{chance.randrange(100_000, 900_000)}")
            prices[number] = end
    path.write_text("\n".join(lines) + "\n")
    return path
