"""Messages: one canonical form, nothing unknown gets in."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutable_core.errors import MalformedMessage
from mutable_core.messages import BODY_TYPES, KIND_OF, Observed, OrderFilled, SliceClosed, decode, encode
from mutable_core.money import canonical
from tests.makers import a_bar, a_fill, an_envelope, an_observation, an_order

GOLDEN_SLICE = (
    b'{"seq":7,"id":"00000000000000000000000000000007","author":"kyle","trace_id":"00000000000000000000000000000007",'
    b'"cause_id":"00000000000000000000000000000007","depth":0,"ts_event_ns":1,"ts_seen_ns":1,'
    b'"body":{"kind":"market.slice_closed/1","ts_ns":1,"row":2}}'
)


def test_a_message_has_these_bytes_for_ever() -> None:
    """A golden sample: journals written today must be readable, and their hashes equal, in ten years."""
    envelope = decode(GOLDEN_SLICE)
    assert envelope.body == SliceClosed(1, 2)
    assert (envelope.kind, envelope.version, envelope.seq) == ("market.slice_closed", 1, 7)
    assert encode(envelope) == GOLDEN_SLICE


def test_golden_forms_of_money_and_prices() -> None:
    body = an_observation(close="1.25", row=3, market=a_bar("1.25", volume="1000"))
    assert encode(body) == (
        b'{"kind":"market.observed/1","instrument":"A","row":3,"interval_ns":86400000000000,"market":{"type":"bar",'
        b'"open":"1.25","high":"1.25","low":"1.25","close":"1.25","volume":"1000"},"attested":true,"gap_bars":0}'
    )
    fill = encode(a_fill(an_order(), price=Decimal("99.5")))
    assert b'"price":"99.5"' in fill
    assert b'"fee_micros":1000000' in fill


def test_every_kind_has_a_version_and_a_name_of_its_own() -> None:
    assert len(set(KIND_OF.values())) == len(BODY_TYPES)
    assert all(kind.rpartition("/")[2].isdigit() for kind in KIND_OF.values())


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("unknown kind", lambda m: m["body"].update(kind="market.slice_closed/2")),
        ("unknown field", lambda m: m["body"].update(extra=1)),
        ("unknown envelope field", lambda m: m.update(extra=1)),
        ("missing field", lambda m: m["body"].pop("row")),
        ("float for int", lambda m: m["body"].update(row=2.0)),
        ("text for int", lambda m: m["body"].update(row="2")),
        ("bool for int", lambda m: m.update(seq=True)),
        ("no body", lambda m: m.pop("body")),
    ],
)
def test_what_is_not_exactly_a_message_is_refused(what: str, change) -> None:
    message = json.loads(GOLDEN_SLICE)
    change(message)
    with pytest.raises(MalformedMessage):
        decode(json.dumps(message, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    "data",
    [
        GOLDEN_SLICE + b" ",
        GOLDEN_SLICE + GOLDEN_SLICE,
        GOLDEN_SLICE.replace(b'"seq":7', b'"seq": 7'),
        GOLDEN_SLICE.replace(b'"row":2', b'"row":2,"row":2'),
        b"",
        b"\xff\xfe",
        b"[" * 5000,
        b"null",
    ],
)
def test_another_spelling_of_a_message_is_refused(data: bytes) -> None:
    """One value, one spelling: otherwise equal messages could have different hashes."""
    with pytest.raises(MalformedMessage):
        decode(data)


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_decode_or_be_refused(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        assert encode(decode(data)) == data


@given(
    st.integers(1, 2**62),
    st.decimals("-1000000", "1000000", places=6, allow_nan=False),
    st.text(max_size=20),
)
def test_decoding_undoes_encoding(seq: int, price: Decimal, name: str) -> None:
    body = an_observation(instrument=name, row=seq, market=a_bar(str(canonical(price))))
    envelope = an_envelope(body, seq=seq)
    assert decode(encode(envelope)) == envelope


@given(st.decimals("-1e12", "1e12", allow_nan=False, allow_infinity=False, places=8))
def test_equal_amounts_have_one_spelling(amount: Decimal) -> None:
    spelled = str(canonical(amount))
    assert str(canonical(amount * Decimal("1.000"))) == spelled
    assert Decimal(spelled) == amount
    assert "E+" not in spelled


def test_a_not_a_number_can_be_journalled_but_is_no_price() -> None:
    """What the world sends is kept as it came; a NaN survives the journal so that its refusal can be recomputed."""
    envelope = an_envelope(a_fill(an_order(), price=Decimal("NaN")))
    again = decode(encode(envelope))
    assert isinstance(again.body, OrderFilled)
    assert again.body.price.is_nan()


def test_an_observation_marks_by_its_close() -> None:
    body = an_observation(close="3")
    assert isinstance(body, Observed)
    assert body.market.last == Decimal(3)
