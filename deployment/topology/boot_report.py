"""The boot report: what a start has found, adopted and never sent, signed, as a new version in the versioned state.

It says how this process came to believe what it believes: from which snapshot, over how many rows, which orders the
journal held without an answer, and what the venue said of them. It is no journal row: a journal says the same whether
and however often its house was started again. `ark boots` shows them and checks each signature.
"""

from __future__ import annotations

import os
import socket
from typing import Any, TypeAlias

import msgspec

from deployment.topology.house import House
from deployment.topology.snapshots import Found
from mutable_core.clock import wall_ns
from mutable_core.journal.signing import Signer, verify_signature
from mutable_core.privacy import redacted

NAMESPACE, KEY = "house", "boot"
DOMAIN = b"ark boot"

Stored: TypeAlias = dict[str, Any]
"""`report`: the fields below as plain data. `signature`: 128 hex digits over its canonical JSON, keys sorted."""


class BootReport(msgspec.Struct, frozen=True, kw_only=True):
    """One start.

    Attributes:
        ts_ns: wall time. build: digest of the source that runs. host, pid: where.
        run: name of the run's folder. account: the paper account that it is.
        rows, head: of the journal as it was found, before anything new; the head as 64 hex digits, empty without rows.
        snapshot: the row that it began behind; 0 where everything was replayed.
        passed_over: snapshots that were not believed, and why.
        rows_replayed: after the snapshot.
        rows_completed: messages that the crash had cut off and that were said again.
        orders_adopted: without an answer in the journal, known to the venue: client order id → what it is by now.
        orders_sent_now: intended, and unknown to the venue: sent only now, under the same id.
        orders_unknown: the venue could not say; pinned until it can.
        cancels_waiting: entries whose cancel had no answer.
        authority: pid of the authority's process; 0 where this process approves itself.
    """

    ts_ns: int
    build: str
    host: str
    pid: int
    run: str
    account: str
    rows: int
    head: str
    snapshot: int
    passed_over: tuple[str, ...]
    rows_replayed: int
    rows_completed: int
    orders_adopted: dict[str, str]
    orders_sent_now: tuple[str, ...]
    orders_unknown: tuple[str, ...]
    cancels_waiting: tuple[str, ...]
    authority: int

    @property
    def is_eventful(self) -> bool:
        """Whether a person should read it: something was adopted, sent late, unknown, cut off or not believed."""
        return bool(
            self.passed_over
            or self.rows_completed
            or self.orders_adopted
            or self.orders_sent_now
            or self.orders_unknown
            or self.cancels_waiting
        )


def boot_report(house: House, found: Found) -> BootReport:
    """What `house` has found at its start; `found`: which snapshots there were."""
    recovered = house.recovered
    snapshot = found.snapshot.seq if found.snapshot is not None else 0
    unknown = frozenset(house.unknown)
    return BootReport(
        ts_ns=wall_ns(),
        build=house.started.build,
        host=redacted(socket.gethostname()),  # people call machines by all sorts of names, and the state keeps none
        pid=os.getpid(),
        run=redacted(house.journal.path.parent.name),
        account=redacted(house.started.account),
        rows=recovered.counts["rows_found"],
        head=recovered.head,
        snapshot=snapshot,
        passed_over=tuple(map(redacted, found.passed_over)),
        rows_replayed=recovered.counts["rows_replayed"],
        rows_completed=recovered.counts.get("rows_cut_off", 0),
        orders_adopted={key: status for key, status in sorted(recovered.adopted.items()) if key not in unknown},
        orders_sent_now=tuple(key for key in recovered.unanswered.unsent if key not in unknown),
        orders_unknown=tuple(sorted(unknown)),
        cancels_waiting=recovered.unanswered.cancels,
        authority=house.authority.pid if house.authority is not None else 0,
    )


def stored(report: BootReport, signer: Signer) -> Stored:
    """The report as it is kept."""
    plain = msgspec.to_builtins(report)
    return {"report": plain, "signature": signer.sign(DOMAIN, _text(plain)).hex()}


def is_signed(value: Stored, keys: tuple[bytes, ...]) -> bool:
    """Whether one of the public `keys` has signed what is stored, word for word."""
    try:
        text, signature = _text(value["report"]), bytes.fromhex(value["signature"])
    except (KeyError, TypeError, ValueError):
        return False
    return any(verify_signature(key, DOMAIN, text, signature) for key in keys)


def report_in(value: Stored) -> BootReport | None:
    """The report as it was; None for anything else."""
    try:
        return msgspec.convert(value["report"], BootReport)
    except (KeyError, TypeError, msgspec.ValidationError):
        return None


def in_a_line(report: BootReport) -> str:
    """`10,240 rows, 2,048 of them replayed after the snapshot at row 8,192; orders adopted: 1, sent only now: 1`."""
    rows = f"{report.rows:,} rows"
    if report.snapshot:
        rows += f", {report.rows_replayed:,} of them replayed after the snapshot at row {report.snapshot:,}"
    elif report.rows:
        rows += ", all replayed"
    events = (
        (len(report.orders_adopted), "orders adopted"),
        (len(report.orders_sent_now), "sent only now"),
        (len(report.orders_unknown), "unknown to the venue"),
        (len(report.cancels_waiting), "cancels"),
        (report.rows_completed, "messages completed"),
        (len(report.passed_over), "snapshots not believed"),
    )
    happened = ", ".join(f"{what}: {count:,}" for count, what in events if count)
    return f"{rows}; {happened}" if happened else rows


def _text(plain: Any) -> bytes:
    return msgspec.json.encode(plain, order="sorted")
