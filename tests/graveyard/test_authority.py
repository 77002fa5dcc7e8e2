"""I1: an approval is made by the authority alone, for good facts alone, and any other is told from it."""

from __future__ import annotations

import hmac
import pickle
from hashlib import blake2b, sha256
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from graveyard.authority import BATCH_MAX, BatchSigner, EmbeddedAuthority, PublicVerifier, Said
from graveyard.authority.signing import item_digest, statement
from graveyard.errors import MalformedRequest, RulesChanged
from graveyard.ethics import RULES, ruleset_digest
from graveyard.judge import judge
from graveyard.people import statement as person_statement
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
    assert msgspec.structs.asdict(approval) | {"signature": ""} == {
        "proposal_id": "0f" * 16,
        "account": "paper",
        "digest": DIGEST,
        "position": 8,
        "opening": True,
        "hold_micros": 1_000_000_000,
        "expires_ns": 1_763_600_000_000_000_000,
        "ruleset": ruleset_digest(),
        "signature": "",
        "batch": (),
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
    "signature": ("", "0" * 64, "é" * 64, "\ud800" * 64, b"0" * 64, None),
    "batch": (("0" * 64,), [], None),
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
    assert one.signature != other.signature
    assert not authority.verify(msgspec.structs.replace(one, signature=other.signature))


@given(st.text(alphabet="0123456789abcdef", min_size=64, max_size=64))
@settings(max_examples=20)
def test_a_guessed_signature_is_none(guessed: str) -> None:
    authority = an_authority()
    assert not authority.verify(msgspec.structs.replace(an_approval(authority), signature=guessed))


def test_an_approval_of_another_authority_or_an_earlier_run_is_worth_nothing() -> None:
    one, other = an_authority(), an_authority()
    assert not other.verify(an_approval(one))


def test_a_digest_without_the_key_is_no_approval() -> None:
    authority = an_authority()
    said = msgspec.structs.astuple(an_approval(authority))[:-2]
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
    size = next(clause for clause in RULES[4].clauses if clause.scale > 1)
    scale = size.scale
    msgspec.structs.force_setattr(size, "scale", 1)
    try:
        with pytest.raises(RulesChanged):
            authority.check_rules()
        with pytest.raises(RulesChanged):
            asked(authority)
    finally:
        msgspec.structs.force_setattr(size, "scale", scale)
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
    assert compared == [(approval.signature, approval.signature)]


class Agreeable(type):
    """Equal to every type: `tuple(map(type, fields)) == TYPES` would believe it."""

    def __eq__(cls, _other: object) -> bool:
        return True

    __hash__ = type.__hash__


class Everything(str, metaclass=Agreeable):
    """A text that equals every text."""

    __slots__ = ()

    def __eq__(self, _other: object) -> bool:
        return True

    __hash__ = str.__hash__


@pytest.mark.parametrize("field", ["proposal_id", "account", "digest", "ruleset", "signature"])
def test_a_text_that_lies_about_being_equal_is_noticed(field: str) -> None:
    """Otherwise a real approval would open the door for every proposal: its digest would equal all others."""
    authority = an_authority()
    approval = an_approval(authority)
    assert not authority.verify(msgspec.structs.replace(approval, **{field: Everything(getattr(approval, field))}))


def words(**changes: Any) -> Said:
    said = Said("0f" * 16, "paper", DIGEST, 8, True, 1_000_000_000, 1_763_600_000_000_000_000, ruleset_digest())
    return said._replace(**changes)


def signed(count: int = 3, **changes: Any) -> tuple[PublicVerifier, tuple[Approval, ...]]:
    signer = BatchSigner()
    batch = [words(proposal_id=f"{number:032x}", **changes) for number in range(count)]
    return PublicVerifier(signer.public_key), signer.sign(batch)


@pytest.mark.parametrize("count", [1, 2, BATCH_MAX])
def test_each_approval_of_a_batch_can_be_checked_alone(count: int) -> None:
    verifier, approvals = signed(count)
    assert len(approvals) == count
    assert all(verifier.verify(approval) for approval in approvals)
    assert {approval.signature for approval in approvals} == {approvals[0].signature}


def test_a_genuine_batch_costs_one_check_of_a_signature() -> None:
    """Seen by counting, not by measuring: after the first approval its siblings need no key."""
    verifier, approvals = signed()
    assert verifier.verify(approvals[0])
    verifier._key = None  # type: ignore[assignment]  # whoever asks it now fails
    assert all(verifier.verify(approval) for approval in approvals)


@pytest.mark.parametrize("field", Approval.__struct_fields__)
def test_an_altered_field_of_a_signed_approval_is_noticed(field: str) -> None:
    altered = ALTERED | {"signature": (*ALTERED["signature"], "0" * 128, "F" * 128, " " * 128)}
    altered["batch"] = ((), ("0" * 64,), [], None, (DIGEST,) * 65, (None,), (Everything("0" * 64),))
    verifier, (approval, *_) = signed()
    for is_known in (False, True):
        for value in altered[field]:
            assert not verifier.verify(msgspec.structs.replace(approval, **{field: value})), value
            lie = getattr(approval, field)
            if isinstance(lie, str):
                assert not verifier.verify(msgspec.structs.replace(approval, **{field: Everything(lie)}))
        assert verifier.verify(approval), is_known


def test_batches_cannot_be_spliced() -> None:
    """No digest can be added to, taken from or moved within what was signed."""
    verifier, (one, two, three) = signed()
    _, (stranger, *_) = signed(account="other")
    for batch in (
        one.batch[:2], one.batch[1:], one.batch[::-1], (*one.batch, stranger.batch[0]), one.batch * 2, stranger.batch,
    ):  # fmt: skip
        assert not verifier.verify(msgspec.structs.replace(one, batch=batch))
    assert not verifier.verify(msgspec.structs.replace(stranger, batch=one.batch, signature=one.signature))
    assert verifier.verify(two)
    assert verifier.verify(three)


def test_an_approval_by_another_key_is_noticed() -> None:
    verifier, _ = signed()
    _, (stranger, *_) = signed()
    assert not verifier.verify(stranger)


def test_a_signature_by_the_same_key_over_anything_else_is_none() -> None:
    """Domain separation: what a person, a seal or embedded mode signs is no statement over a batch."""
    key = Ed25519PrivateKey.generate()
    verifier = PublicVerifier(key.public_key().public_bytes_raw().hex())
    said = words()
    digests = (item_digest(said),)
    genuine = statement(digests)
    assert verifier.verify(Approval(*said, key.sign(genuine).hex(), digests))
    bare = genuine.partition(b"\0")[2]
    for other in (
        bare, b"ark.person/1\0" + bare, b"ark.graveyard.seal/1\n" + bare, b"ark.approval/1" + bare, said.digest.encode(),
        person_statement(act_id=said.proposal_id, digest=said.digest, position=8, person="ann"),
    ):  # fmt: skip
        fresh = PublicVerifier(key.public_key().public_bytes_raw().hex())
        assert not fresh.verify(Approval(*said, key.sign(other).hex(), digests))


def test_what_is_signed_is_written_down_byte_for_byte() -> None:
    """Whoever checks approvals elsewhere relies on this form; and it begins with a name that nothing else begins with."""
    said = words()
    item = b"ark.authority.approval/1\0" + msgspec.json.encode(list(said))
    one = sha256(item).hexdigest()
    assert item_digest(said) == one
    listed = b"ark.authority.batch/1\0" + sha256(b"2\0" + one.encode() + b"0" * 64).digest()
    assert statement((one, "0" * 64)) == listed


def test_an_embedded_approval_and_a_signed_one_are_never_taken_for_each_other() -> None:
    authority = an_authority()
    verifier, (approval, *_) = signed()
    assert not authority.verify(approval)
    assert not verifier.verify(an_approval(authority))


@pytest.mark.parametrize("alien", [None, object(), {}, "approval", ()], ids=lambda one: type(one).__name__)
def test_something_else_is_no_signed_approval(alien: Any) -> None:
    assert not signed()[0].verify(alien)


def test_a_subclass_of_a_signed_approval_is_none() -> None:
    verifier, (approval, *_) = signed()
    assert not verifier.verify(LookAlike(*msgspec.structs.astuple(approval)))


UNSIGNABLE: dict[str, tuple[Any, ...]] = {
    "proposal_id": ("", None, "\ud800"),
    "account": ("", 7),
    "digest": ("", "ab", b"a" * 64),
    "position": (0, True, 8.0, 2**63),
    "opening": (1, None),
    "hold_micros": (0, -1, 1.0, 2**63),
    "expires_ns": (0, 2**63),
    "ruleset": ("", None),
}


@pytest.mark.parametrize("field", Said._fields)
def test_words_that_cannot_be_signed_spoil_the_whole_batch(field: str) -> None:
    signer = BatchSigner()
    for value in UNSIGNABLE[field]:
        with pytest.raises(MalformedRequest):
            signer.sign([words(proposal_id="1" * 32), words(**{field: value})])


@pytest.mark.parametrize("batch", [[], [words()] * 2, [words(position=n + 1) for n in range(65)]], ids=len)
def test_a_batch_that_is_empty_doubled_or_too_long_is_not_signed(batch: list[Said]) -> None:
    with pytest.raises(MalformedRequest):
        BatchSigner().sign(batch)


@pytest.mark.parametrize("key", ["", "zz", "00" * 31, None])
def test_what_is_no_public_key_makes_no_verifier(key: Any) -> None:
    with pytest.raises(MalformedRequest):
        PublicVerifier(key)


def test_the_private_key_is_in_no_attribute_that_can_be_written_out() -> None:
    signer = BatchSigner()
    with pytest.raises(TypeError):
        pickle.dumps(signer)
    assert not hasattr(signer, "__dict__")
