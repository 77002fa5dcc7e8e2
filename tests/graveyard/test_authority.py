"""I1: an approval is made by the authority alone, for good facts alone, and any other is told from it."""

from __future__ import annotations

import hmac
from hashlib import blake2b
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graveyard.authority import EmbeddedAuthority
from graveyard.errors import MalformedRequest, RulesChanged
from graveyard.ethics import RULES, ruleset_digest
from graveyard.judge import judge
from graveyard.words import Approval, Facts, Verdict
from tests.graveyard.cards import CARDS
from tests.graveyard.makers import good_facts, reduction_facts

DIGEST = "ab" * 32


def an_authority() -> EmbeddedAuthority:
    return EmbeddedAuthority(pinned=ruleset_digest())


def asked(authority: EmbeddedAuthority, facts: Facts | None = None, **changes: Any) -> Approval | Verdict:
    request: dict[str, Any] = {
        "proposal_digest": DIGEST,
        "facts": good_facts() if facts is None else facts,
        "proposal_id": "0f" * 16,
        "account": "paper",
        "position": 8,
        "hold_micros": 1_000_000_000,
        "expires_ns": 1_763_600_000_000_000_000,
    }
    return authority.approve(**(request | changes))


def an_approval(authority: EmbeddedAuthority) -> Approval:
    approval = asked(authority)
    assert isinstance(approval, Approval)
    return approval


def test_good_facts_get_an_approval_of_exactly_what_was_asked() -> None:
    authority = an_authority()
    approval = an_approval(authority)
    assert authority.verify(approval)
    assert msgspec.structs.asdict(approval) | {"mac": ""} == {
        "proposal_id": "0f" * 16,
        "account": "paper",
        "digest": DIGEST,
        "position": 8,
        "opening": True,
        "hold_micros": 1_000_000_000,
        "expires_ns": 1_763_600_000_000_000_000,
        "ruleset": ruleset_digest(),
        "mac": "",
    }


def test_a_reduction_is_approved_as_one_and_may_hold_nothing() -> None:
    authority = an_authority()
    approval = asked(authority, reduction_facts(lease_age_ns=None), hold_micros=0)
    assert isinstance(approval, Approval)
    assert not approval.opening
    assert authority.verify(approval)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: f"{card.rule}.{card.clause}")
def test_refused_facts_get_the_verdict_and_no_approval(card: Any) -> None:
    """The authority judges again: whoever asks cannot bring a verdict along."""
    facts = good_facts(**card.beyond)
    assert asked(an_authority(), facts) == judge(facts)


@pytest.mark.parametrize("facts", [{}, object(), "good"], ids=lambda one: type(one).__name__)
def test_anything_but_facts_gets_a_refusal(facts: Any) -> None:
    answer = asked(an_authority(), facts)
    assert isinstance(answer, Verdict)
    assert not answer.approved


ALTERED: dict[str, tuple[Any, ...]] = {
    "proposal_id": ("0e" * 16, "", None, b"\x0f" * 16),
    "account": ("live", "paper ", 1),
    "digest": ("ac" * 32, DIGEST.upper(), DIGEST[:-1]),
    "position": (7, 9, 8.0, "8", True, 2**70),
    "opening": (False, 1, None),
    "hold_micros": (999_999_999, 0, 1e9, float("nan")),
    "expires_ns": (1_763_600_000_000_000_001, 2**64, -1),
    "ruleset": ("0" * 64, ruleset_digest()[:-1]),
    "mac": ("", "0" * 64, "é" * 64, "\ud800" * 64, b"0" * 64, None),
}


@pytest.mark.parametrize("field", ALTERED)
def test_an_altered_field_is_noticed(field: str) -> None:
    authority = an_authority()
    approval = an_approval(authority)
    for value in ALTERED[field]:
        assert not authority.verify(msgspec.structs.replace(approval, **{field: value})), value


def test_a_value_that_is_written_alike_but_is_of_another_type_is_noticed() -> None:
    """In JSON, bytes are written as their base64 text: the type decides, not the text."""
    authority = an_authority()
    approval = asked(authority, proposal_id="AAAA")
    assert isinstance(approval, Approval)
    assert authority.verify(approval)
    assert not authority.verify(msgspec.structs.replace(approval, proposal_id=b"\0\0\0"))


def test_fields_cannot_be_shifted_into_each_other() -> None:
    authority = an_authority()
    one, other = asked(authority, proposal_id="ab", account="c"), asked(authority, proposal_id="a", account="bc")
    assert isinstance(one, Approval)
    assert isinstance(other, Approval)
    assert one.mac != other.mac
    assert not authority.verify(msgspec.structs.replace(one, mac=other.mac))


@given(st.text(alphabet="0123456789abcdef", min_size=64, max_size=64))
def test_a_guessed_mac_is_no_mac(mac: str) -> None:
    authority = an_authority()
    assert not authority.verify(msgspec.structs.replace(an_approval(authority), mac=mac))


def test_an_approval_of_another_authority_or_an_earlier_run_is_worth_nothing() -> None:
    one, other = an_authority(), an_authority()
    assert not other.verify(an_approval(one))


def test_a_digest_without_the_key_is_no_approval() -> None:
    authority = an_authority()
    said = msgspec.structs.astuple(an_approval(authority))[:-1]
    body = msgspec.json.encode(said)
    for forged in (blake2b(body, digest_size=32, person=b"ark.approval/1"), blake2b(body, digest_size=32, key=b"k")):
        assert not authority.verify(Approval(*said, forged.hexdigest()))


class LookAlike(Approval, frozen=True):
    pass


@pytest.mark.parametrize("alien", [None, object(), {}, "approval", ()], ids=lambda one: type(one).__name__)
def test_something_else_is_no_approval(alien: Any) -> None:
    assert not an_authority().verify(alien)


def test_a_subclass_of_approval_is_no_approval() -> None:
    authority = an_authority()
    fields = msgspec.structs.astuple(an_approval(authority))
    assert authority.verify(Approval(*fields))
    assert not authority.verify(LookAlike(*fields))


MALFORMED: dict[str, tuple[Any, ...]] = {
    "proposal_digest": ("", "ab" * 31, None, b"a" * 64),
    "proposal_id": ("", None, 7),
    "account": ("", None),
    "position": (0, -1, True, 8.0, None),
    "hold_micros": (0, -1, 1.0, None, True),
    "expires_ns": (0, -1, None, 1.0),
}


@pytest.mark.parametrize("argument", MALFORMED)
def test_what_cannot_be_signed_is_not_signed(argument: str) -> None:
    """I5: an opening order that would hold nothing is among it."""
    for value in MALFORMED[argument]:
        with pytest.raises(MalformedRequest):
            asked(an_authority(), **{argument: value})


def test_other_rules_than_the_pinned_ones_make_no_authority() -> None:
    with pytest.raises(RulesChanged) as raised:
        EmbeddedAuthority(pinned="0" * 64)
    assert (raised.value.pinned, raised.value.found) == ("0" * 64, ruleset_digest())


def test_rules_bent_while_running_are_noticed_and_nothing_is_approved_any_more() -> None:
    """Embedded mode cannot prevent it; whoever looks finds it, and from then on the authority stays shut."""
    authority = an_authority()
    size = RULES[4].clauses[2]
    msgspec.structs.force_setattr(size, "scale", 1)
    try:
        with pytest.raises(RulesChanged):
            authority.check_rules()
        with pytest.raises(RulesChanged):
            asked(authority)
    finally:
        msgspec.structs.force_setattr(size, "scale", 10)
    authority.check_rules()
    assert isinstance(asked(authority), Approval)


def test_the_comparison_takes_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen by watching the one function that promises it, not by measuring."""
    compared: list[tuple[Any, Any]] = []
    original = hmac.compare_digest

    def watched(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return original(one, other)

    authority = an_authority()
    approval = an_approval(authority)
    monkeypatch.setattr(hmac, "compare_digest", watched)
    assert authority.verify(approval)
    assert compared == [(approval.mac, approval.mac)]
