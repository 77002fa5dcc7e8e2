"""The seal holds where two of three people have signed exactly this, for now; everything else is refused and named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graveyard import signers
from graveyard.errors import MalformedRule, SealBroken
from graveyard.ethics import FACT_BOUNDS, RULES, canonical_ruleset, ruleset_digest
from graveyard.ruleset import MAX_BYTES as RULESET_MAX_BYTES
from graveyard.ruleset import read_ruleset
from graveyard.seal import (
    MAX_BYTES,
    encode_seal,
    examine,
    faults,
    graveyard_folder,
    midnight_ns,
    read_seal,
    verify_seal,
)
from graveyard.sealed_files import DRAFT, PROOFS, RULES_SEALED, SEAL
from tests.graveyard.sealing import DAY_NS, KEYS, NOW_NS, PINNED, Grave, a_grave, example_key, public


@pytest.fixture
def grave(tmp_path: Path) -> Grave:
    return a_grave(tmp_path / "graveyard")


def test_a_seal_by_two_of_three_holds(grave: Grave) -> None:
    sealed = verify_seal(grave.folder, now_ns=NOW_NS, pinned=PINNED)
    assert sealed == (7, ruleset_digest(), grave.seal.report, 2, sealed.not_before_ns, sealed.expires_ns)
    assert sealed.expires_ns - sealed.not_before_ns == 90 * DAY_NS
    assert grave.look() == (grave.seal, 2, ())


def test_any_two_or_all_three_may_sign(grave: Grave) -> None:
    for keys in ((KEYS[0], KEYS[2]), (KEYS[2], KEYS[1]), KEYS[:3]):
        grave.signed(*keys)
        assert verify_seal(grave.folder, now_ns=NOW_NS, pinned=PINNED).signatures == len(keys)


def test_it_holds_from_the_first_midnight_until_the_last(grave: Grave) -> None:
    sealed = verify_seal(grave.folder, now_ns=NOW_NS, pinned=PINNED)
    for now_ns, holds in (
        (sealed.not_before_ns - 1, False),
        (sealed.not_before_ns, True),
        (sealed.expires_ns - 1, True),
        (sealed.expires_ns, False),
    ):
        assert (not grave.look(now_ns=now_ns).faults) is holds


def test_the_newest_version_seen_may_be_this_one_but_no_later(grave: Grave) -> None:
    assert not grave.look(newest_version=7).faults
    assert grave.look(newest_version=8).faults


# -- what is refused: each as somebody would try it -------------------------------------------------------------------

Act = Callable[[Grave], Any]


def bytes_of(grave: Grave, change: Callable[[bytes], bytes]) -> None:
    path = grave.folder / SEAL
    path.write_bytes(change(path.read_bytes()))


def without_signatures(data: bytes) -> bytes:
    fields = json.loads(data)
    del fields["signatures"]
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def altered(grave: Grave, **changes: Any) -> None:
    """Other fields under the old signatures."""
    grave.write(msgspec.structs.replace(grave.seal, **changes))


def linked(path: Path) -> None:
    moved = path.with_name(path.name + ".moved").resolve()
    moved = path.parent.parent / moved.name
    path.rename(moved)
    path.symlink_to(moved)


def twice(grave: Grave) -> None:
    first = grave.seal.signatures[0]
    altered(grave, signatures=(first, first))


def other_report(grave: Grave, data: bytes) -> None:
    """A report that is signed, and is not about these rules."""
    (grave.folder / PROOFS).write_bytes(data)
    grave.signed(*KEYS[:2], report=sha256(data).hexdigest())


def other_rules(grave: Grave, change: Callable[[bytes], bytes]) -> None:
    """Rules that are signed, with a report about them, and that the language does not have."""
    data = change(canonical_ruleset())
    assert data != canonical_ruleset()
    digest = sha256(data).hexdigest()
    report = msgspec.json.encode({"ruleset": digest})
    (grave.folder / RULES_SEALED).write_bytes(data)
    (grave.folder / PROOFS).write_bytes(report)
    grave.signed(*KEYS[:2], ruleset=digest, report=sha256(report).hexdigest())


def garbage(grave: Grave) -> None:
    bad = msgspec.structs.replace(grave.seal.signatures[0], signature="5a" * 64)
    altered(grave, signatures=(bad, grave.seal.signatures[1]))


def first_rule_again(data: bytes) -> bytes:
    fields = json.loads(data)
    fields["rules"].insert(1, fields["rules"][0])
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


REFUSED: dict[str, tuple[Act, str]] = {
    "no seal": (lambda g: (g.folder / SEAL).unlink(), "SEAL.json"),
    "no signature list": (lambda g: bytes_of(g, without_signatures), "signatures"),
    "an empty signature list": (lambda g: g.signed(), "0 of 2"),
    "one signer": (lambda g: g.signed(KEYS[0]), "1 of 2"),
    "the same signer twice": (twice, "twice"),
    "an unknown key beside one": (lambda g: g.signed(KEYS[0], KEYS[3]), "not pinned"),
    "an unknown key beside two": (lambda g: g.signed(KEYS[0], KEYS[1], KEYS[3]), "not pinned"),
    "garbage for a signature": (garbage, "not over this seal"),
    "signatures of another version": (lambda g: altered(g, version=8), "not over this seal"),
    "signatures of another expiry": (lambda g: altered(g, expires="2027-01-01"), "not over this seal"),
    "signatures of other loosened rules": (lambda g: altered(g, looser=(5,)), "not over this seal"),
    "a signature of the other's key": (
        lambda g: altered(
            g,
            signatures=tuple(
                msgspec.structs.replace(one, signature=other.signature)
                for one, other in zip(g.seal.signatures, reversed(g.seal.signatures), strict=True)
            ),
        ),
        "not over this seal",
    ),
    "signatures out of order": (lambda g: altered(g, signatures=g.seal.signatures[::-1]), "order"),
    "a key that is no key": (
        lambda g: altered(
            g,
            signatures=(g.seal.signatures[0], msgspec.structs.replace(g.seal.signatures[1], key="zz" * 32)),
        ),
        "hex",
    ),
    "a digest in capitals": (lambda g: g.signed(*KEYS[:2], ruleset=ruleset_digest().upper()), "ruleset"),
    "version 0": (lambda g: g.signed(*KEYS[:2], version=0), "version"),
    "another format": (lambda g: g.signed(*KEYS[:2], format=2), "format"),
    "expired": (lambda g: g.signed(*KEYS[:2], not_before="2026-01-01", expires="2026-04-01"), "expired"),
    "future": (lambda g: g.signed(*KEYS[:2], not_before="2026-04-02"), "not valid before"),
    "an end before its beginning": (lambda g: g.signed(*KEYS[:2], expires="2026-02-01"), "before it begins"),
    "a day that is none": (lambda g: g.signed(*KEYS[:2], expires="2026-02-30"), "SEAL.json"),
    "a day spelled otherwise": (lambda g: g.signed(*KEYS[:2], expires="20260530"), "YYYY-MM-DD"),
    "no report": (lambda g: (g.folder / PROOFS).unlink(), "PROOFS.json"),
    "another report about the same rules": (
        lambda g: (g.folder / PROOFS).write_bytes(msgspec.json.encode({"ruleset": ruleset_digest()})),
        "`PROOFS.json` is not the sealed one",
    ),
    "a report that is none": (lambda g: (g.folder / PROOFS).write_bytes(b"{}"), "PROOFS.json"),
    "a report about other rules": (
        lambda g: other_report(g, msgspec.json.encode({"ruleset": "ab" * 32})),
        "proves other rules",
    ),
    "a report about nothing": (lambda g: other_report(g, b"[" * 3_000), "proves other rules"),
    "no ruleset file": (lambda g: (g.folder / RULES_SEALED).unlink(), "RULES.json"),
    "another ruleset file": (
        lambda g: (g.folder / RULES_SEALED).write_bytes(canonical_ruleset(RULES[1:])),
        "`RULES.json` is not the sealed one",
    ),
    "a ruleset file that is none": (lambda g: (g.folder / RULES_SEALED).write_bytes(b"{}"), "holds no rules"),
    "an unknown operator": (lambda g: other_rules(g, lambda d: d.replace(b'"mul"', b'"div"')), "holds no rules"),
    "an unknown field of a rule": (
        lambda g: other_rules(g, lambda d: d.replace(b'"severity"', b'"sleep":1,"severity"')),
        "holds no rules",
    ),
    "a rule twice": (lambda g: other_rules(g, first_rule_again), "holds no rules"),
    "rules that are not the loaded ones": (
        lambda g: other_rules(g, lambda d: d.replace(b"a full halt is in force", b"a halt is in force")),
        "loaded rules",
    ),
    "a bool for a number": (lambda g: bytes_of(g, lambda d: d.replace(b'"version":7', b'"version":true')), "version"),
    "a float for a number": (lambda g: bytes_of(g, lambda d: d.replace(b'"version":7', b'"version":7.0')), "version"),
    "text for a number": (lambda g: bytes_of(g, lambda d: d.replace(b'"version":7', b'"version":"7"')), "version"),
    "a number of 400 digits": (
        lambda g: bytes_of(g, lambda d: d.replace(b'"version":7', b'"version":' + b"7" * 400)),
        "version",
    ),
    "not a number": (lambda g: bytes_of(g, lambda d: d.replace(b'"version":7', b'"version":NaN')), "SEAL.json"),
    "an unknown field": (lambda g: bytes_of(g, lambda d: d.replace(b'"version"', b'"valid":1,"version"')), "valid"),
    "a field twice": (
        lambda g: bytes_of(g, lambda d: d.replace(b'"version":7', b'"version":6,"version":7')),
        "canonical",
    ),
    "a trailing byte": (lambda g: bytes_of(g, lambda d: d + b"\n"), "canonical"),
    "a trailing document": (lambda g: bytes_of(g, lambda d: d + d), "SEAL.json"),
    "another spelling": (lambda g: bytes_of(g, lambda d: d.replace(b":", b": ")), "canonical"),
    "an escaped letter": (lambda g: bytes_of(g, lambda d: d.replace(b"2026", b"\\u0032026", 1)), "canonical"),
    "not UTF-8": (lambda g: bytes_of(g, lambda d: d.replace(b"2026", b"\xff\xfe26", 1)), "SEAL.json"),
    "nothing in it": (lambda g: bytes_of(g, lambda _: b""), "SEAL.json"),
    "3 000 deep": (lambda g: bytes_of(g, lambda _: b"[" * 3_000), "SEAL.json"),
    "too large": (lambda g: bytes_of(g, lambda d: d + b" " * MAX_BYTES), "bytes"),
    "a linked seal": (lambda g: linked(g.folder / SEAL), "is a link"),
    "a linked source file": (lambda g: linked(g.folder / "ethics.py"), "is a link"),
    "a linked folder": (lambda g: linked(g.folder), "a link"),
    "no folder": (lambda g: shutil.rmtree(g.folder), "cannot be opened"),
    "a pipe for a file": (lambda g: os.mkfifo(g.folder / "more.py"), "no file"),
    "a folder that everybody may write": (lambda g: g.folder.chmod(0o777), "everybody"),
    "a seal that everybody may write": (lambda g: (g.folder / SEAL).chmod(0o666), "everybody"),
    "a source file that everybody may write": (lambda g: (g.folder / "judge.py").chmod(0o646), "everybody"),
    "a folder that everybody may rename": (lambda g: g.folder.parent.chmod(0o777), "renamed by everybody"),
    "bytecode that everybody may write": (lambda g: (g.folder / "__pycache__").mkdir() or (g.folder / "__pycache__").chmod(0o777), "everybody"),
    "an edited source file": (
        lambda g: (g.folder / "judge.py").write_text((g.folder / "judge.py").read_text() + "\n"),
        "source files",
    ),
    "a source file too many": (lambda g: (g.folder / "more.py").write_text(""), "source files"),
    "a compiled module beside its source": (lambda g: (g.folder / "ethics.so").write_bytes(b""), "source files"),
    "a source file in a new folder": (
        lambda g: (g.folder / "more").mkdir() or (g.folder / "more/one.py").write_text(""),
        "source files",
    ),
    "a source file less": (lambda g: (g.folder / "words.py").unlink(), "source files"),
    "a source file renamed": (lambda g: (g.folder / "words.py").rename(g.folder / "word.py"), "source files"),
    "bytes moved from one file to the next": (lambda g: swap(g.folder / "judge.py", g.folder / "words.py"), "source"),
    "other signers": (
        lambda g: (g.folder / "signers.py").write_text(f"PINNED = {PINNED}\n"),
        "source files",
    ),
}  # fmt: skip


def swap(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_and_the_fault_is_named(grave: Grave, what: str) -> None:
    act, names = REFUSED[what]
    act(grave)
    found = faults(grave.folder, now_ns=NOW_NS, pinned=PINNED)
    assert any(names in fault for fault in found), found
    with pytest.raises(SealBroken) as raised:
        verify_seal(grave.folder, now_ns=NOW_NS, pinned=PINNED)
    assert raised.value.faults == found
    assert all(fault.isprintable() for fault in found)


def test_every_fault_is_told_and_not_the_first_alone(grave: Grave) -> None:
    (grave.folder / "more.py").write_text("")
    (grave.folder / PROOFS).unlink()
    grave.folder.chmod(0o777)
    grave.signed(KEYS[0], not_before="2026-04-02")
    found = grave.look(newest_version=9).faults
    for named in ("everybody", "1 of 2", "not valid before", "older", "source files", PROOFS):
        assert any(named in fault for fault in found), named


def test_a_thousand_faults_are_told_in_a_few_lines(grave: Grave) -> None:
    for number in range(300):
        (grave.folder / f"more_{number}.py").symlink_to("/dev/null")
    assert len(grave.look().faults) < 30


def test_a_group_may_write_and_modes_of_users_do_not_matter(grave: Grave) -> None:
    """A checkout under umask 002 is one."""
    for path in (grave.folder, *grave.folder.rglob("*")):
        path.chmod(0o775 if path.is_dir() else 0o664)
    assert not grave.look().faults


def test_bytecode_and_a_draft_are_not_source(grave: Grave) -> None:
    (grave.folder / "__pycache__").mkdir()
    (grave.folder / "__pycache__/judge.cpython-311.pyc").write_bytes(b"\0")
    (grave.folder / DRAFT).write_bytes(b"{}")
    assert not grave.look().faults


@pytest.mark.parametrize("pinned", [(), PINNED[:1], PINNED[:1] * 3, (PINNED[0], PINNED[2])])
def test_two_pinned_keys_must_have_signed_whatever_is_pinned(grave: Grave, pinned: tuple[str, ...]) -> None:
    assert grave.look(pinned=pinned).faults


def test_the_keys_of_the_examples_seal_nothing_even_where_they_are_pinned(grave: Grave) -> None:
    """Everybody can make their signatures; the deny-list names all three."""
    examples = tuple(example_key(number) for number in (1, 2, 3))
    assert {public(key) for key in examples} == signers.EXAMPLE_KEYS
    grave.signed(*examples)
    found = grave.look(pinned=tuple(map(public, examples)))
    assert found.signatures == 0
    assert any("examples" in fault for fault in found.faults)
    grave.signed(*KEYS[:2], examples[0])
    assert grave.look(pinned=(*PINNED, public(examples[0]))).faults


def test_three_keys_are_pinned_and_none_is_an_example() -> None:
    assert len(set(signers.PINNED)) == len(signers.PINNED) == 3
    assert not set(signers.PINNED) & signers.EXAMPLE_KEYS
    assert signers.THRESHOLD == 2


def test_a_signature_over_the_bare_seal_is_none(grave: Grave) -> None:
    """Domain separation: what is signed begins with what it is."""
    bare = msgspec.structs.replace(grave.seal, signatures=())
    fields = msgspec.structs.asdict(bare)
    del fields["signatures"]
    data = msgspec.json.encode(fields, order="sorted")
    grave.write(
        msgspec.structs.replace(
            bare,
            signatures=tuple(
                msgspec.structs.replace(one, signature=key.sign(data).hex())
                for one, key in zip(grave.seal.signatures, sorted(KEYS[:2], key=public), strict=True)
            ),
        )
    )
    assert grave.look().signatures == 0


def test_what_everybody_may_not_read_is_a_fault_and_no_exception(grave: Grave) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads every file")
    (grave.folder / "judge.py").chmod(0)
    assert any("cannot be read" in fault for fault in grave.look().faults)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_flipped_byte_of_the_seal_goes_unnoticed(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    grave = sealed_once(tmp_path_factory)
    whole = encode_seal(grave.seal)
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[at] ^= data.draw(st.integers(1, 255))
    (grave.folder / SEAL).write_bytes(flipped)
    assert grave.look().faults


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=300))
def test_whatever_stands_in_the_seal_examining_never_raises(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    grave = sealed_once(tmp_path_factory)
    (grave.folder / SEAL).write_bytes(data)
    assert grave.look().faults
    with pytest.raises(SealBroken):
        read_seal(data)


_once: list[Grave] = []


def sealed_once(factory: pytest.TempPathFactory) -> Grave:
    if not _once:
        _once.append(a_grave(factory.mktemp("once") / "graveyard"))
    return _once[0]


def test_reading_gives_what_was_written(grave: Grave) -> None:
    assert read_seal(encode_seal(grave.seal)) == grave.seal


def test_a_seal_is_read_where_it_was_installed(grave: Grave, tmp_path: Path) -> None:
    """Another process, another folder: the Graveyard finds its own, wherever it lies."""
    code = (
        "import sys, graveyard.seal as s;"
        f"print(s.graveyard_folder()); s.verify_seal(now_ns={NOW_NS}, pinned={PINNED}); print('holds')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]}, cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.stdout.split() == [str(grave.folder), "holds"], ran.stderr


def test_the_shipped_rules_are_sealed() -> None:
    """After any change of a file of the Graveyard: `ark rules release`."""
    files = {path.name for path in graveyard_folder().iterdir()}
    assert {SEAL, PROOFS, RULES_SEALED} <= files
    seal = read_seal((graveyard_folder() / SEAL).read_bytes())
    found = examine(now_ns=midnight_ns(seal.not_before))
    assert found.faults == ()
    assert (found.signatures, seal.ruleset) == (2, ruleset_digest())


# -- the reader of rulesets -------------------------------------------------------------------------------------------

CANONICAL = canonical_ruleset()


def changed(change: Callable[[Any], Any]) -> bytes:
    fields = json.loads(CANONICAL)
    change(fields)
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


MALFORMED: dict[str, bytes] = {
    "an unknown operator": CANONICAL.replace(b'"op":"mul"', b'"op":"div"'),
    "an unknown relation": CANONICAL.replace(b'"relation":"<="', b'"relation":"<>"'),
    "an unknown fact": CANONICAL.replace(b'"name":"people"', b'"name":"persons"'),
    "an unknown field": changed(lambda f: f.update(signed=1)),
    "an unknown field of a rule": changed(lambda f: f["rules"][3].update(enforced=True)),
    "an unknown field of a clause": changed(lambda f: f["rules"][3]["clauses"][0].update(skip=True)),
    "an unknown severity": CANONICAL.replace(b'"CRITICAL"', b'"SEVERE"'),
    "a missing field": changed(lambda f: f["rules"][0].pop("severity")),
    "no bounds": changed(lambda f: f.pop("bounds")),
    "a fact without bounds": changed(lambda f: f["bounds"].pop("people")),
    "bounds of no fact": changed(lambda f: f["bounds"].update(persons=[0, 1, "count"])),
    "bounds the wrong way": changed(lambda f: f["bounds"].update(people=[2, 1, "count"])),
    "bounds of two": changed(lambda f: f["bounds"].update(people=[0, 1])),
    "bounds of floats": changed(lambda f: f["bounds"].update(people=[0, 1.5, "count"])),
    "bounds of bools": changed(lambda f: f["bounds"].update(people=[False, True, "count"])),
    "bounds beyond 64 bits": changed(lambda f: f["bounds"].update(people=[0, 2**64, "count"])),
    "a rule twice": first_rule_again(CANONICAL),
    "a name twice": CANONICAL.replace(b"no_front_running", b"max_leverage"),
    "rules out of order": changed(lambda f: f["rules"].reverse()),
    "a field twice": CANONICAL.replace(b'"format":2', b'"format":1,"format":2'),
    "another format": CANONICAL.replace(b'"format":2', b'"format":1'),
    "a float": CANONICAL.replace(b'"format":2', b'"format":2.0'),
    "a trailing byte": CANONICAL + b"\n",
    "another spelling": CANONICAL.replace(b":", b": "),
    "not UTF-8": CANONICAL.replace(b"halt", b"\xff\xfe"),
    "3 000 deep": CANONICAL.replace(b'"limit":{', b'"limit":' + b'{"op":"mul","factor":1,"term":' * 3_000 + b"{", 1),
    "too large": CANONICAL + b" " * RULESET_MAX_BYTES,
    "nothing": b"",
    "null": b"null",
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_ruleset_of_another_form_is_refused(what: str) -> None:
    assert MALFORMED[what] != CANONICAL
    with pytest.raises(MalformedRule):
        read_ruleset(MALFORMED[what])


@pytest.mark.parametrize(("what", "names"), [("too large", "longer than"), ("another format", "format")])
def test_size_and_format_are_looked_at_before_anything_else(what: str, names: str) -> None:
    with pytest.raises(MalformedRule, match=names):
        read_ruleset(MALFORMED[what])


def test_a_ruleset_is_read_as_it_was_written() -> None:
    rules, bounds = read_ruleset(CANONICAL)
    assert (rules, dict(bounds)) == (RULES, dict(FACT_BOUNDS))
    assert ruleset_digest(rules, bounds) == ruleset_digest()
    with pytest.raises(TypeError):
        bounds["people"] = bounds["people"]  # type: ignore[index]


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, len(CANONICAL) - 1), by=st.integers(1, 255))
def test_a_flipped_byte_is_refused_or_gives_other_rules(at: int, by: int) -> None:
    flipped = bytearray(CANONICAL)
    flipped[at] ^= by
    try:
        rules, bounds = read_ruleset(bytes(flipped))
    except MalformedRule:
        return
    assert ruleset_digest(rules, bounds) == sha256(flipped).hexdigest() != ruleset_digest()
