"""The journal's key: made once, kept from others, never replaced in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from mutable_core.errors import SettingsRefused
from mutable_core.journal.signing import Signer, verify_signature
from mutable_core.journal.verifier import verify_ed25519

SIGNER = Signer(Ed25519PrivateKey.generate())
ORDER = 2**252 + 27742317777372353535851937790883648493
VERIFIERS = pytest.mark.parametrize("verify", [verify_signature, verify_ed25519])


def test_the_first_start_makes_a_key_and_every_later_one_finds_it(tmp_path: Path) -> None:
    first, again = Signer.open(tmp_path / "keys"), Signer.open(tmp_path / "keys")
    assert first.public == again.public
    assert (tmp_path / "keys" / "journal.pub").read_text() == first.public.hex() + "\n"
    assert verify_signature(first.public, b"ark", b"text", again.sign(b"ark", b"text"))


def test_the_key_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    Signer.open(tmp_path / "keys")
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "keys" / "journal.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("name", "mode"), [("journal.key", 0o640), ("journal.key", 0o604), (".", 0o750)])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, name: str, mode: int) -> None:
    Signer.open(tmp_path / "keys")
    (tmp_path / "keys" / name).chmod(mode)
    with pytest.raises(SettingsRefused, match="open to others"):
        Signer.open(tmp_path / "keys")


def test_a_lost_key_is_not_replaced_before_somebody_says_so(tmp_path: Path) -> None:
    """A new key in silence would make every checkpoint so far look forged."""
    keys = tmp_path / "keys"
    old = Signer.open(keys).public
    (keys / "journal.key").unlink()
    with pytest.raises(SettingsRefused, match="gone"):
        Signer.open(keys)
    (keys / "journal.pub").rename(keys / "former.pub")
    new = Signer.open(keys)
    assert new.former == (old,)
    assert new.public != old


@pytest.mark.parametrize("content", [b"", b"no key", b"\xff\x00"])
def test_what_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    Signer.open(tmp_path / "keys")
    (tmp_path / "keys" / "journal.key").write_bytes(content)
    with pytest.raises(SettingsRefused):
        Signer.open(tmp_path / "keys")


def test_a_public_half_of_another_key_is_refused(tmp_path: Path) -> None:
    Signer.open(tmp_path / "keys")
    (tmp_path / "keys" / "journal.pub").write_text(SIGNER.public.hex() + "\n")
    with pytest.raises(SettingsRefused, match="public half"):
        Signer.open(tmp_path / "keys")


# -- two verifiers: OpenSSL's, and ours in the one file ----------------------------------------------------------------


@VERIFIERS
@given(domain=st.binary(max_size=8).filter(lambda one: b"\0" not in one), text=st.binary(max_size=80))
def test_what_was_signed_is_verified(verify, domain: bytes, text: bytes) -> None:
    assert verify(SIGNER.public, domain, text, SIGNER.sign(domain, text))


@VERIFIERS
def test_a_signature_with_any_bit_flipped_is_refused(verify) -> None:
    signature = SIGNER.sign(b"ark", b"text")
    for bit in range(0, 512, 1 if verify is verify_signature else 7):
        flipped = (int.from_bytes(signature, "big") ^ 1 << bit).to_bytes(64, "big")
        assert not verify(SIGNER.public, b"ark", b"text", flipped)


@VERIFIERS
def test_another_text_domain_or_key_is_refused(verify) -> None:
    signature = SIGNER.sign(b"ark", b"text")
    other = Signer(Ed25519PrivateKey.generate())
    assert not verify(SIGNER.public, b"ark", b"texts", signature)
    assert not verify(SIGNER.public, b"ark snapshot", b"text", signature)
    assert not verify(other.public, b"ark", b"text", signature)


@VERIFIERS
@pytest.mark.parametrize(("key", "signature"), [(31, 64), (33, 64), (32, 63), (32, 65), (0, 0)])
def test_what_is_no_key_or_signature_is_refused_and_raises_nothing(verify, key: int, signature: int) -> None:
    assert not verify(bytes(key), b"ark", b"text", bytes(signature))


@VERIFIERS
@pytest.mark.parametrize("public", [b"\x02" + bytes(31), b"\xff" * 32, b"\xed" + b"\xff" * 30 + b"\x7f"])
def test_bytes_that_spell_no_point_are_no_key(verify, public: bytes) -> None:
    assert not verify(public, b"ark", b"text", SIGNER.sign(b"ark", b"text"))


@VERIFIERS
def test_a_signature_has_one_spelling(verify) -> None:
    """RFC 8032, 5.1.7: s must be below the group's order; without that anybody can make a second signature of a first."""
    signature = SIGNER.sign(b"ark", b"text")
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    assert not verify(SIGNER.public, b"ark", b"text", signature[:32] + scalar.to_bytes(32, "little"))


def test_a_key_has_one_spelling() -> None:
    """y = p spells y = 0, a point of order 4: for one text in four, the base point and 1 would pass as its signature."""
    public, base = (2**255 - 19).to_bytes(32, "little"), b"\x58" + b"\x66" * 31
    for number in range(40):
        assert not verify_ed25519(public, b"ark", b"%d" % number, base + (1).to_bytes(32, "little"))
