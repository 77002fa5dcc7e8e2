"""What a person sees of a run while it lasts. On stderr: stdout belongs to results."""

from __future__ import annotations

import sys
import time

from deployment.topology.boot_report import BootReport, in_a_line
from deployment.topology.house import House
from mutable_core.book import Book
from mutable_core.clock import SECOND_NS
from mutable_core.errors import AgentMisbehaved, Unavailable
from mutable_core.money import decimal_of_micros

IN_THIS_PROCESS = "in this process, supervised by the lease of the watchdog"
IN_PROCESSES = "each in a process and a jail of its own, supervised by the Watchdog; `ark agents status` says more"


class Progress:
    """One live line on a terminal; a line every ten seconds elsewhere."""

    def __init__(self, house: House, *, quiet: bool, where: str = IN_THIS_PROCESS) -> None:
        """`where` the agents live, for people."""
        self._house = house
        self._where = where
        self._quiet = quiet
        self._is_terminal = sys.stderr.isatty()
        self._next_ns = 0
        self._began = time.monotonic()

    def announce(self, report: BootReport, url: str) -> None:
        house = self._house
        self._print("ark: PAPER mode; no order leaves this machine")
        self._print(f"ark: agents   {', '.join(house.hosts)} {self._where}")
        self._print(f"ark: approval {_approved_by(house)}")
        self._print(f"ark: source   {house.source.name}, {len(house.source.instruments)} instruments")
        self._print(f"ark: journal  {house.journal.path}")
        self._print("ark: venue    simulated, its log beside the journal")
        if url:
            self._print(f"ark: metrics  {url}/metrics, /metrics/json, /slos, /healthz, /readyz")
            self._print("ark: Ctrl-C stops it; the next start goes on where this one stopped")
            self._print("ark: people speak to it with `ark halt`, `ark approvals list`, `ark veto`, `ark resume`")
        for (scope, name), level in self._halts():
            self._print(
                f"ark: HALTED  {scope} {name}".rstrip() + (": nothing passes" if level > 1 else ": reduce-only")
            )
        if report.rows:
            self._print(f"ark: resumed  {in_a_line(report)}; `ark boots` says more")

    def _halts(self) -> list[tuple[tuple[str, str], int]]:
        """The halts that stand, as far as anybody says."""
        try:
            return sorted(self._house.hosts["aletheia"].state.docket.standing.halts.items())
        except (Unavailable, AgentMisbehaved):
            return []

    def show(self, now_ns: int) -> None:
        if self._quiet or now_ns < self._next_ns:
            return
        self._next_ns = now_ns + (SECOND_NS // 5 if self._is_terminal else 10 * SECOND_NS)
        text = self._line()
        if self._is_terminal:
            sys.stderr.write(f"\r\x1b[2K{text}")
            sys.stderr.flush()
        else:
            print(text, file=sys.stderr)

    def _line(self) -> str:
        house = self._house
        book = self._book()
        day = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(house.now_ns // SECOND_NS))
        total = f"/{house.source.rows:,}" if house.source.rows else ""
        begins = f"{day}  rows {house.rows_read:,}{total}  journal {house.journal.seq:,}  "
        if book is None:
            return f"{begins}equity unknown: Aletheia is away"
        equity = decimal_of_micros(book.equity_micros())
        return f"{begins}equity {equity:,.2f} {book.setup.currency}  positions {len(book.positions)}"

    def _book(self) -> Book | None:
        """What Aletheia knows of the money; None while her process does not say."""
        try:
            book = self._house.hosts["aletheia"].state.docket.book
        except (Unavailable, AgentMisbehaved):
            return None
        assert isinstance(book, Book)
        return book

    def ended(self) -> None:
        self._newline()
        self._print(f"ark: the source has ended. {self._line()}")

    def close(self) -> None:
        self._newline()
        self._print(f"ark: stopped after {time.monotonic() - self._began:.1f} s, journal committed")

    def _newline(self) -> None:
        if self._is_terminal and not self._quiet:
            sys.stderr.write("\r\x1b[2K")

    def _print(self, text: str) -> None:
        if not self._quiet:
            print(text, file=sys.stderr)


def _approved_by(house: House) -> str:
    """Who gives approvals, and what its jail enforces."""
    if house.authority is None:
        return "by this process itself: tamper-evident at best"
    hello = house.authority.hello
    return f"by process {hello.pid}, user {hello.uid}; jail: {', '.join(hello.jail) or 'none'}"
