"""Messages: one canonical form, nothing unknown gets in."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graveyard.people import statement
from mutable_core.errors import MalformedMessage
from mutable_core.messages import (
    BODY_TYPES,
    KIND_OF,
    AccountHalted,
    AgentEnded,
    AgentHeld,
    AgentReleased,
    FaultInjected,
    Observed,
    OperationAsked,
    OrderFilled,
    PersonSigned,
    SliceClosed,
    decode,
    decode_body,
    encode,
)
from mutable_core.money import canonical
from tests.makers import a_bar, a_fill, a_lease, an_envelope, an_observation, an_order, some_grounds

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
        b'{"kind":"market.observed/2","instrument":"A","source":"test","row":3,"interval_ns":86400000000000,'
        b'"market":{"type":"bar","open":"1.25","high":"1.25","low":"1.25","close":"1.25","volume":"1000"},'
        b'"attested":true,"is_public":true,"gap_bars":0,"embargo_until_ns":0}'
    )
    fill = encode(a_fill(an_order(), price=Decimal("99.5")))
    assert b'"price":"99.5"' in fill
    assert b'"fee_micros":1000000' in fill


@pytest.mark.parametrize(
    ("body", "golden"),
    [
        (
            a_lease(1, term_ns=2),
            b'{"kind":"control.lease_granted/2","agent":"kenny","granted_ns":1,"until_ns":3,"inspection":{"ruleset":"'
            + b"r" * 64
            + b'","seal_version":1,"seal_signatures":2,"seal_faults":[],"keystore_exposed":0,"venue_is_up":true,'
            b'"kill_path_is_up":true}}',
        ),
        (
            PersonSigned("1", "d", 7, "ann", "5"),
            b'{"kind":"control.person_signed/1","act_id":"1","digest":"d","position":7,"person":"ann","signature":"5"}',
        ),
        (
            OperationAsked("1", "resume", "global", "", "a", "r"),
            b'{"kind":"control.operation_asked/1","operation_id":"1","operation":"resume","scope":"global","name":"","by":"a","reason":"r"}',
        ),
        (
            AccountHalted("1", "paper", (1, 6)),
            b'{"kind":"decision.account_halted/1","act_id":"1","account":"paper","rules":[1,6]}',
        ),
        (
            AgentHeld("joey", 7, "late", "watchdog", "d"),
            b'{"kind":"control.agent_held/1","agent":"joey","from_position":7,"why":"late","by":"watchdog","detail":"d"}',
        ),
        (
            AgentReleased("joey", "ann", "d"),
            b'{"kind":"control.agent_released/1","agent":"joey","by":"ann","detail":"d"}',
        ),
        (
            AgentEnded("joey", 2, "SIGKILL", 7),
            b'{"kind":"control.agent_ended/1","agent":"joey","incarnation":2,"how":"SIGKILL","position":7}',
        ),
        (
            FaultInjected("crash", "joey", "ann"),
            b'{"kind":"control.fault_injected/1","fault":"crash","agent":"joey","by":"ann"}',
        ),
        (
            some_grounds(people=(8, 9)),
            b'{"proofs":"' + b"p" * 64 + b'","proposal":1,"evidence":[1],"market":1,"book":1,"day":1,"lease":1,'
            b'"standing":1,"people":[8,9]}',
        ),
    ],
)
def test_golden_forms_of_what_people_and_the_watchdog_say(body: Any, golden: bytes) -> None:
    """What was signed over these bytes must be found again for ever."""
    assert encode(body) == golden


def test_what_a_person_signs_has_these_bytes_for_ever() -> None:
    """The digest of an operation is over its canonical form; another domain or order would be another statement."""
    said = statement(act_id="1", digest="d", position=7, person="ann")
    assert said == b"ark.person/1\x001\nd\n7\nann"


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


def test_a_body_is_read_back_from_its_bytes_and_from_no_others() -> None:
    body = an_observation(close="1.25")
    assert decode_body(encode(body)) == body
    for data in (b"", b"{}", b"null", encode(body) + b" ", encode(body).replace(b":", b": ", 1), encode(body)[:-1]):
        with pytest.raises(MalformedMessage):
            decode_body(data)
