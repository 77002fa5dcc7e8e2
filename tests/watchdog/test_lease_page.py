"""The lease page: who may write it, and what a reader believes of it."""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutable_core.errors import Broken
from mutable_core.lease_page import COPIES, COPY_BYTES, PAGE_BYTES, LeasePage, packed
from watchdog.lease import TERM_NS
from watchdog.lease_page import LeasePageWriter


class Clock:
    """Made-up monotonic time."""

    def __init__(self) -> None:
        self.now_ns = 1_000

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writer() -> Iterator[LeasePageWriter]:
    with LeasePageWriter() as page:
        yield page


@pytest.fixture
def descriptor(writer: LeasePageWriter) -> Iterator[int]:
    found = writer.reader()
    yield found
    os.close(found)


def test_a_new_page_says_no(descriptor: int) -> None:
    with LeasePage(descriptor) as page:
        assert not page.is_fresh()
        assert page.remaining_ns() == 0


def test_it_says_yes_for_its_term_and_not_a_nanosecond_longer(
    writer: LeasePageWriter, descriptor: int, clock: Clock
) -> None:
    with LeasePage(descriptor, clock) as page:
        writer.renew(clock.now_ns)
        assert page.remaining_ns() == TERM_NS
        clock.now_ns += TERM_NS - 1
        assert page.is_fresh()
        clock.now_ns += 1
        assert not page.is_fresh()
        assert page.remaining_ns() == 0


def test_it_ends_at_once_and_begins_anew(writer: LeasePageWriter, descriptor: int, clock: Clock) -> None:
    with LeasePage(descriptor, clock) as page:
        writer.renew(clock.now_ns)
        writer.end()
        assert not page.is_fresh()
        writer.renew(clock.now_ns)
        assert page.is_fresh()


def test_a_writer_that_lets_go_says_no(clock: Clock) -> None:
    with LeasePageWriter() as writer:
        writer.renew(clock.now_ns)
        reader = writer.reader()
    with LeasePage(reader, clock) as page:
        os.close(reader)
        assert not page.is_fresh()


def test_a_reader_cannot_write_nor_make_itself_a_writer(writer: LeasePageWriter, descriptor: int) -> None:
    """Nor cut the page short, which would kill its other readers."""
    assert fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    with pytest.raises(OSError):
        os.write(descriptor, b"yes")
    with pytest.raises(PermissionError):
        mmap.mmap(descriptor, PAGE_BYTES)
    with pytest.raises(OSError):
        os.ftruncate(descriptor, 0)
    try:
        again = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR)
    except PermissionError:
        return  # whoever is not root is refused here already
    try:
        with pytest.raises(PermissionError):
            os.write(again, b"yes")
        with pytest.raises(PermissionError):
            mmap.mmap(again, PAGE_BYTES)
        with pytest.raises(PermissionError):
            os.ftruncate(again, 0)
    finally:
        os.close(again)


def test_what_is_no_page_is_refused() -> None:
    descriptor = os.memfd_create("other")
    with pytest.raises(Broken):
        LeasePage(descriptor)
    os.close(descriptor)


def a_page(*copies: bytes) -> LeasePage:
    """One with these copies, whatever they are; at time 1 000."""
    descriptor = os.memfd_create("page")
    os.ftruncate(descriptor, PAGE_BYTES)
    for at, copy in zip(COPIES, copies, strict=True):
        os.pwrite(descriptor, copy, at)
    page = LeasePage(descriptor, Clock())
    os.close(descriptor)
    return page


NO = 0
numbers = st.integers(min_value=1, max_value=1 << 40)
times = st.integers(min_value=1_001, max_value=1 << 62)


@given(
    older=numbers,
    newer=numbers,
    until=times,
    cut=st.integers(min_value=1, max_value=COPY_BYTES - 1),
    swap=st.booleans(),
)
def test_a_copy_that_is_half_written_is_not_believed(older: int, newer: int, until: int, cut: int, swap: bool) -> None:
    """However far the writer came: what is read is the copy before or the copy after, never a mixture."""
    before, after, beside = packed(older, NO), packed(older + newer + 1, until), packed(older + newer, NO)
    torn = after[:cut] + before[cut:]
    with a_page(*((beside, torn) if swap else (torn, beside))) as page:
        assert page.until_ns() in ({NO} if torn != after else {until})


@given(older=numbers, more=numbers, first=times, swap=st.booleans())
def test_of_two_whole_copies_the_newer_counts_also_when_it_says_less(
    older: int, more: int, first: int, swap: bool
) -> None:
    copies = packed(older, first), packed(older + more, NO)
    with a_page(*(reversed(copies) if swap else copies)) as page:
        assert page.until_ns() == NO


@given(noise=st.binary(min_size=COPY_BYTES, max_size=COPY_BYTES))
def test_noise_is_no_lease(noise: bytes) -> None:
    with a_page(noise, noise) as page:
        assert page.until_ns() == NO
