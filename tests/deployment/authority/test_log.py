"""The chain as the authority computes it is the journal's; no way of grouping rows into frames changes it."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from deployment.authority.log import GENESIS, LogReader, link
from graveyard.authority.wire import Rows
from mutable_core.journal import Journal, chain
from tests.adversary.makers import Log


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=20))
def test_both_formulas_of_the_chain_agree(rows: list[bytes]) -> None:
    """It is written twice on purpose: nothing of the journal runs in the authority."""
    head = GENESIS
    for row in rows:
        head = link(head, row)
    assert chain.GENESIS == GENESIS
    assert chain.head_after(chain.GENESIS, rows) == head
    assert chain.links(chain.GENESIS, chain.leaves(rows))[-1] == head


@given(st.lists(st.integers(1, 7), min_size=1, max_size=8))
@settings(max_examples=30)
def test_however_rows_are_grouped_the_reader_ends_at_the_same_head(sizes: list[int]) -> None:
    log = Log()
    log.fill(sum(sizes))
    reader, at = LogReader(), 0
    for size in sizes:
        taken = reader.take(log.frame(at + 1, at + size))
        assert [envelope.seq for envelope in taken] == list(range(at + 1, at + size + 1))
        at += size
    assert (reader.seq, reader.head) == (at, log.head)


def test_rows_of_a_real_journal_are_followed_to_its_head(tmp_path: Path) -> None:
    journal, log, reader = Journal.open(tmp_path / "journal.sqlite"), Log(), LogReader()
    log.fill(12)
    for row in log.rows:
        journal.append(row, 0)
        if journal.pending == 4:
            journal.commit()
            last = journal.durable_seq
            reader.take(Rows(last - 3, tuple(log.rows[last - 4 : last]), journal.head))
    assert (reader.seq, reader.head) == (12, journal.head)
    journal.close()
