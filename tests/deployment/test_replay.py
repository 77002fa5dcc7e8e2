"""A replay compares everything that an agent said: a forger who knows the chain is found out by it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mutable_core.journal import chain, checked_rows, verify
from mutable_core.messages import (
    AnyBody,
    Approved,
    Envelope,
    Observed,
    OrderFilled,
    OrderIntended,
    ProposalMade,
    RowReceived,
    encode,
)
from tests.faults.processes import LOADED, ark, bars_file, journal_of, one_line, said

Forge = Callable[[Any], AnyBody]
replaced = msgspec.structs.replace


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replay")
    source = f"file:{bars_file(folder / 'bars.csv', days=30)}"
    ran = ark("run", "--until-end", "--json", "--source", source, "--state", str(folder / "state"), env=LOADED)
    assert ran.returncode == 0, ran.stderr
    return journal_of(folder / "state")


def forged(journal: Path, copy: Path, kind: type, change: Forge) -> Envelope:
    """A copy in which the body of a row in the middle is another, and every hash after it is made anew; nothing is signed.

    Returns the envelope that is not what was written.
    """
    envelopes = [checked.envelope for checked in checked_rows(journal)]
    candidates = [envelope for envelope in envelopes if isinstance(envelope.body, kind)]
    old = candidates[len(candidates) // 2]
    new = replaced(old, body=change(old.body))
    assert new != old
    rows = [encode(new if envelope is old else envelope) for envelope in envelopes]
    shutil.copyfile(journal, copy)
    connection = sqlite3.connect(copy, isolation_level=None)
    connection.execute("DELETE FROM checkpoints")  # who has no key can only take the signatures away
    head, seal = chain.GENESIS, chain.NO_SEAL
    segments = connection.execute("SELECT first_seq, last_seq, stamps FROM segments ORDER BY first_seq").fetchall()
    for first, last, stamps in segments:
        mine = rows[first - 1 : last]
        hashes = chain.links(head, chain.leaves(mine))
        blob, marks, head = b"\n".join(mine), chain.marks(hashes), hashes[-1]
        seal = chain.seal(seal, first, last, blob, marks, stamps, head)
        connection.execute(
            "UPDATE segments SET rows = ?, marks = ?, head = ?, seal = ? WHERE first_seq = ?",
            (blob, marks, head, seal, first),
        )
    connection.close()
    return new


def test_a_replay_compares_everything_that_was_said(journal: Path) -> None:
    """I7: whatever is no input is said again, byte for byte."""
    ran = ark("replay", str(journal), "--json")
    assert ran.returncode == 0, ran.stderr
    answer = said(ran)
    bodies = [checked.envelope.body for checked in checked_rows(journal)]
    assert answer["rows"] == len(bodies)
    assert answer["compared"] == sum(not body.IS_INPUT for body in bodies) > 100
    assert answer["head"] == verify(journal).head


SAID: dict[str, tuple[type, Forge]] = {
    "a price observed": (Observed, lambda body: replaced(body, market=_dearer(body.market))),
    "a proposal's size": (ProposalMade, lambda body: replaced(body, proposal=_bigger(body.proposal))),
    "what an approval reserves": (Approved, lambda body: replaced(body, hold_micros=body.hold_micros - 1)),
    "an order": (OrderIntended, lambda body: replaced(body, order=_bigger(body.order))),
}


def _dearer(market: Any) -> Any:
    return replaced(market, volume=market.volume + 1)


def _bigger(sized: Any) -> Any:
    return replaced(sized, quantity=sized.quantity + Decimal(1))


@pytest.mark.parametrize("what", SAID)
def test_a_clever_forger_is_found_by_replay(journal: Path, tmp_path: Path, what: str) -> None:
    """The chain cannot tell, as long as nobody signed it; the agents can: they would not have said that."""
    kind, change = SAID[what]
    new = forged(journal, tmp_path / "journal.sqlite", kind, change)
    assert verify(tmp_path / "journal.sqlite").ok
    ran = ark("replay", str(tmp_path / "journal.sqlite"), "--json")
    assert ran.returncode == 1
    assert f"row {new.seq} " in one_line(ran)


INPUTS: dict[str, tuple[type, Forge]] = {
    "a row of the market": (RowReceived, lambda body: replaced(body, values=("1.00", "2.00", "0.50", "1.50", "9"))),
    "the price of a fill": (OrderFilled, lambda body: replaced(body, price=body.price + 1)),
    "the fee of a fill": (OrderFilled, lambda body: replaced(body, fee_micros=0)),
    "the size of a fill": (OrderFilled, lambda body: replaced(body, quantity=body.quantity + 1)),
}


@pytest.mark.parametrize("what", INPUTS)
def test_a_forged_input_is_found_by_what_followed_from_it(journal: Path, tmp_path: Path, what: str) -> None:
    """Nobody says inputs again; but what was said after them does not follow from the forged ones."""
    kind, change = INPUTS[what]
    new = forged(journal, tmp_path / "journal.sqlite", kind, change)
    assert verify(tmp_path / "journal.sqlite").ok
    ran = ark("replay", str(tmp_path / "journal.sqlite"))
    assert ran.returncode == 1
    row = int(one_line(ran).partition("at row ")[2].split()[0])
    assert row > new.seq


def test_a_run_does_not_resume_on_a_forged_journal(journal: Path, tmp_path: Path) -> None:
    folder = tmp_path / "state" / journal.parent.name
    shutil.copytree(journal.parent, folder)
    forged(journal, tmp_path / "forged.sqlite", OrderIntended, SAID["an order"][1])
    shutil.copyfile(tmp_path / "forged.sqlite", folder / "journal.sqlite")
    before = (folder / "journal.sqlite").read_bytes()
    source = f"file:{journal.parents[2] / 'bars.csv'}"
    ran = ark("run", "--until-end", "--json", "--source", source, "--state", str(tmp_path / "state"), env=LOADED)
    assert ran.returncode == 1
    one_line(ran)
    assert (folder / "journal.sqlite").read_bytes() == before
