"""What must not be written down in clear is found by its form, and gone once it was redacted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mutable_core.messages import OrderSpec
from mutable_core.privacy import (
    LEAVING,
    act_findings,
    findings,
    holds_credential,
    holds_private,
    outgoing_private,
    redacted,
    redacted_fields,
    redacted_value,
)
from tests.makers import a_proposal

PRIVATE = [
    "ann.smith+x@example.org",
    "4111111111111111",
    "123456789",
    "DE89370400440532013000",
    "+49 30 1234567",
    "078-05-1120",
]
CREDENTIALS = [
    "-----BEGIN" + " PRIVATE KEY-----",
    "-----BEGIN" + " EC PRIVATE KEY-----",
    "AKIA" + "IOSFODNN7EXAMPLE",
    "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a",
    "sk-proj-AAAABBBBCCCCDDDD",
    "PKABCDEFGHIJKLMNOPQR",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-DEF_123",
    "password=hunter2",
    "API_KEY: abc",
    "Token = x",
]
HARMLESS = [
    "close 187.235 crossed the 20-bar high of 186.9",
    "2 of 3 · 1 000 000.00 USD · 12345678 · 0.123456789",
    "drill `oversize` at last price 123456.78901234",
    "the secret of trading: none",
    "GE, 3M and AT&T; EURUSD; BRK.B; ES=F; 600519.SS",
    "",
]


@pytest.mark.parametrize("text", PRIVATE)
def test_people_and_accounts_are_found(text: str) -> None:
    assert findings(f"said {text} twice") == (1, 0)


@pytest.mark.parametrize("text", CREDENTIALS)
def test_credentials_are_found(text: str) -> None:
    assert findings(f"use {text} here").credentials == 1


@pytest.mark.parametrize("text", ["broker_secret: hunter2", "ALPACA_API_KEY=abc", "old-token: x"])
def test_a_credential_is_found_under_a_name_of_several_words(text: str) -> None:
    assert findings(text) == (0, 1)
    assert redacted(text).endswith("[credential]")


@pytest.mark.parametrize("text", HARMLESS[:3] + HARMLESS[4:])
def test_what_a_decision_is_written_in_is_neither(text: str) -> None:
    assert findings(text) == (0, 0)
    assert redacted(text) == text


@pytest.mark.parametrize("text", PRIVATE + CREDENTIALS)
def test_what_was_found_is_gone_once_it_was_redacted(text: str) -> None:
    clean = redacted(f"before {text} after")
    assert text not in clean
    assert clean.startswith("before [")
    assert findings(clean) == (0, 0)


PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            PRIVATE + CREDENTIALS + HARMLESS + [" ", "=", ":", ".", ",", "-", "@", "\n", "1", "token", "+1 "]
        ),
        st.text(max_size=6),
        st.from_regex(r"[A-Z0-9]{1,12}", fullmatch=True),
    ),
    max_size=8,
).map("".join)


@given(PIECES)
@settings(max_examples=250, deadline=None)
def test_a_redacted_text_holds_nothing_more_whatever_stands_beside_what(text: str) -> None:
    """Taking one thing out may uncover another: a number that a key was glued to."""
    clean = redacted(text)
    assert findings(clean) == (0, 0)
    assert redacted(clean) == clean


def test_a_telephone_number_glued_to_an_account_is_uncovered_and_taken_out_too() -> None:
    assert redacted("DE89370400440532013000+49 30 1234567") == "[private][private]"


@given(PIECES, PIECES)
@settings(max_examples=100, deadline=None)
def test_the_texts_of_an_act_are_looked_at_one_by_one(one: str, other: str) -> None:
    """What is in one of them is found, whatever the others are."""
    together = act_findings(one, other)
    assert together.private + together.credentials >= max(sum(findings(one)), sum(findings(other))) > 0 or (
        sum(findings(one)) == sum(findings(other)) == 0
    )


@pytest.mark.parametrize("text", PRIVATE + CREDENTIALS + HARMLESS)
def test_a_text_holds_what_is_found_in_it(text: str) -> None:
    assert holds_private(text) == any(findings(text))
    assert holds_credential(text) == bool(findings(text).credentials)


@pytest.mark.parametrize(
    "text", ["a" * 1_000_000 + "@", "a." * 300_000 + "@" * 300_000, "+1" * 300_000, "1" * 1_000_000]
)
def test_a_long_text_is_searched_once_and_not_once_for_each_of_its_letters(text: str) -> None:
    """Without bounds in the searches the first of these takes hours; the suite's own timeout is the judge."""
    assert not holds_credential(text)


def test_a_message_is_shown_without_what_people_wrote_into_it_and_with_its_ids_and_numbers() -> None:
    body = {
        "reason": "call +49 30 1234567", "act_id": "123456789", "signature": "12345678901234567890", "quantity": 123456789,
        "values": ["187.235", "1234567890", "1e9", "password=hunter2"],
        "instruments": [{"name": "ann@example.org", "tick_atoms": 1}], "proposal": {"reason": "close 1 above 2"},
    }  # fmt: skip
    assert redacted_fields(body) == body | {
        "reason": "call [private]", "values": ["187.235", "1234567890", "1e9", "[credential]"],
        "instruments": [{"name": "[private]", "tick_atoms": 1}],
    }  # fmt: skip


def test_a_value_is_shown_without_its_private_texts_and_with_its_numbers() -> None:
    value = {"a": ("ann@example.org", 123456789, b"password=x"), "4111111111111111": [None, b"\x00"]}
    assert redacted_value(value) == {"a": ("[private]", 123456789, b"[private]"), "[private]": [None, b"\x00"]}


def test_every_field_that_leaves_the_house_is_classified() -> None:
    """One that is not listed counts as secret, and then no order leaves."""
    assert set(OrderSpec.__struct_fields__) == set(LEAVING)
    assert outgoing_private(a_proposal()) == 0
