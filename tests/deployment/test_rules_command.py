"""`ark rules`: what is listed, compared and checked; how a release is refused; and the page that adds a rule, followed."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deployment.rules import ceremony, pins
from deployment.rules.ceremony import Plan, Terms
from deployment.rules.changes import Change, changes_between, looser_rules
from deployment.rules.evidence import Evidence
from deployment.rules.flips import flips_in
from deployment.rules.keys import new_key, private_key, public_key, public_of
from deployment.rules.rulesets import Ruleset, current, sealed_before
from graveyard.ethics import FACT_BOUNDS, RULES, Rule, canonical_ruleset, ruleset_digest
from graveyard.expressions import Bound, Const, formula
from graveyard.seal import Seal, read_seal
from graveyard.sealed_files import DRAFT, PROOFS, RULES_SEALED, SEAL
from graveyard.signers import EXAMPLE_KEYS, PINNED
from mutable_core.errors import ArkError, MalformedSource, SettingsRefused
from mutable_core.journal import Journal
from mutable_core.messages import Approved, Refused, encode
from tests.deployment.conftest import Asked
from tests.graveyard.makers import good_facts
from tests.graveyard.sealing import KEYS, NOT_BEFORE, NOW_NS, Grave, a_grave, example_key, signed_by
from tests.graveyard.sealing import PINNED as MINE
from tests.makers import an_envelope, some_grounds

TOP = Path(__file__).parents[2]
FIRST_DAY = date.fromisoformat(NOT_BEFORE)


def said(ran: subprocess.CompletedProcess[str], code: int = 0) -> Any:
    assert ran.returncode == code, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def one_line(ran: subprocess.CompletedProcess[str]) -> str:
    assert ran.returncode in {1, 2}, ran.stdout
    (line,) = ran.stderr.splitlines()
    return line


# -- list, check ------------------------------------------------------------------------------------------------------


def test_every_rule_is_listed_with_what_it_demands(asked: Asked) -> None:
    listed = said(asked("rules", "list", "--json"))
    assert listed["ruleset"] == ruleset_digest()
    assert len(listed["rules"]) == len(RULES)
    for row, rule in zip(listed["rules"], RULES, strict=True):
        assert row == {
            "id": rule.id, "name": rule.name, "category": rule.category, "severity": rule.severity,
            "limit": rule.limit, "unit": rule.unit, "enforced": True, "why": rule.why,
            "clauses": len(rule.clauses), "formulas": [formula(clause) for clause in rule.clauses],
        }  # fmt: skip
    for rule in RULES:
        assert f"{rule.id:2} {rule.name}" in asked("rules", "list").stdout


def test_check_says_what_the_seal_says(asked: Asked) -> None:
    """Whether the shipped one holds is asked in tests/graveyard/test_seal.py, at a fixed time."""
    ran = asked("rules", "check", "--json")
    checked = json.loads(ran.stdout)
    assert ran.returncode == (0 if checked["holds"] else 1)
    assert checked["holds"] is (checked["faults"] == [])
    assert checked["ruleset"] == ruleset_digest()
    assert asked("rules", "check").returncode == ran.returncode


def test_check_names_every_fault_and_exits_with_1(asked: Asked) -> None:
    checked = said(asked("rules", "check", "--newest-seen", "999999", "--json"), code=1)
    assert checked["holds"] is False
    assert any("older than 999999" in fault for fault in checked["faults"])


# -- keys -------------------------------------------------------------------------------------------------------------


def test_a_new_key_is_readable_by_its_owner_alone_and_says_its_public_half(asked: Asked, tmp_path: Path) -> None:
    made = said(asked("rules", "keys", "new", "ann", "--out", str(tmp_path / "keys"), "--json"))
    private, public = Path(made["private_file"]), Path(made["public_file"])
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert public_of(private_key(private, None)) == public_key(public) == made["public"]
    assert asked("rules", "keys", "new", "ben", "--out", str(tmp_path)).stdout.splitlines()[-1] == public_key(
        tmp_path / "ben.pub"
    )


def test_a_key_is_never_written_over(asked: Asked, tmp_path: Path) -> None:
    new_key("ann", tmp_path, None)
    before = (tmp_path / "ann.key").read_bytes()
    for gone in (None, "ann.pub"):
        if gone:
            (tmp_path / gone).unlink()
        assert "is there" in one_line(asked("rules", "keys", "new", "ann", "--out", str(tmp_path)))
        assert (tmp_path / "ann.key").read_bytes() == before


def test_a_passphrase_closes_a_key(asked: Asked, tmp_path: Path) -> None:
    secret = a_secret(tmp_path / "secret", b"a long sentence\n")
    asked("rules", "keys", "new", "ann", "--out", str(tmp_path), "--passphrase-file", str(secret))
    assert private_key(tmp_path / "ann.key", b"a long sentence")
    for wrong in (None, b"another sentence"):
        with pytest.raises(SettingsRefused):
            private_key(tmp_path / "ann.key", wrong)


def a_secret(path: Path, data: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


KEY_WORDS: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "a folder in a checkout": (lambda at: ["ann", "--out", str((at / ".git").mkdir() or at / "keys")], "checkout"),
    "a name that is a path": (lambda at: ["../ann", "--out", str(at)], "name"),
    "an empty passphrase": (
        lambda at: ["ann", "--out", str(at), "--passphrase-file", str(a_secret(at / "secret", b"\n"))], "empty",
    ),
    "a passphrase that others can read": (
        lambda at: ["ann", "--out", str(at), "--passphrase-file", str(a_secret(at / "secret", b"x", 0o644))], "read",
    ),
    "no passphrase file": (
        lambda at: ["ann", "--out", str(at), "--passphrase-file", str(at / "none")], "none",
    ),
    "a folder that is a file": (lambda at: ["ann", "--out", str(a_secret(at / "file", b""))], "--out"),
}  # fmt: skip


@pytest.mark.parametrize("what", KEY_WORDS)
def test_a_key_is_not_made(asked: Asked, tmp_path: Path, what: str) -> None:
    words, names = KEY_WORDS[what]
    assert names in one_line(asked("rules", "keys", "new", *words(tmp_path)))
    assert not list(tmp_path.rglob("*.key"))


BAD_KEYS: dict[str, Callable[[Path], object]] = {
    "readable by the group": lambda path: path.chmod(0o640),
    "readable by all": lambda path: path.chmod(0o604),
    "writable by all": lambda path: path.chmod(0o602),
    "a link": lambda path: path.rename(path.with_name("moved")).exists() and path.symlink_to(path.with_name("moved")),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path, 0o600)),
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:60]),
    "too large": lambda path: path.write_bytes(path.read_bytes() * 100),
    "not ASCII": lambda path: path.write_bytes(b"\xff" * 40),
}


@pytest.mark.parametrize("what", BAD_KEYS)
def test_a_private_key_file_is_refused_that_is(tmp_path: Path, what: str) -> None:
    pair = new_key("ann", tmp_path, None)
    BAD_KEYS[what](pair.private_file)
    with pytest.raises(SettingsRefused):
        private_key(pair.private_file, None)


def test_a_key_of_another_user_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    pair = new_key("ann", tmp_path, None)
    os.chown(pair.private_file, 12_345, 12_345)
    with pytest.raises(SettingsRefused):
        private_key(pair.private_file, None)


@pytest.mark.parametrize("text", ["", "ab", "zz" * 32, "AB" * 32, "ab" * 33, "é", min(EXAMPLE_KEYS)])
def test_what_is_no_public_key_of_ours_cannot_be_pinned(tmp_path: Path, text: str) -> None:
    (tmp_path / "ann.pub").write_text(text)
    with pytest.raises(SettingsRefused):
        public_key(tmp_path / "ann.pub")


# -- what a person asks for wrongly: said in one line, before anything is proved --------------------------------------

WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "no signer": (("release",), "two signers"),
    "one signer": (("release", "--signer", "{ann}"), "two signers"),
    "no such key": (("release", "--signer", "{}/none.key", "--signer", "{ann}"), "none.key"),
    "a public key for a private one": (("release", "--signer", "{}/ann.pub", "--signer", "{ann}"), "ann.pub"),
    "a looser list that is none": (("release", "--accept-looser", "five"), "five"),
    "one looser list for two": (
        ("release", "--signer", "{ann}", "--accept-looser", "5", "--signer", "{ben}"), "--accept-looser",
    ),
    "a day that is none": (("release", "--not-before", "2026-02-30"), "2026-02-30"),
    "days that are no number": (("release", "--days", "many"), "many"),
    "two pins": (("release", "--dry-run", "--pin", "{}/ann.pub", "--pin", "{}/ben.pub"), "three"),
    "the same pin thrice": (("release", "--dry-run", *("--pin", "{}/ann.pub") * 3), "three"),
    "two steps at once": (("release", "--prepare", "--finish"), "--finish"),
    "a signer for a draft": (("release", "--finish", "--signer", "{ann}"), "--sign"),
    "days for a draft": (("release", "--finish", "--days", "7"), "--prepare"),
    "more passphrases than keys": (("release", "--dry-run", "--passphrase-file", "{ann}"), "--passphrase-file"),
    "0 days": (("release", "--dry-run", "--days", "0"), "731"),
    "732 days": (("release", "--dry-run", "--days", "732"), "731"),
    "a ruleset that is not there": (("diff", "{}/none.json", "current"), "none.json"),
    "a ruleset that is none": (("diff", "{}/ann.pub", "current"), "ann.pub"),
    "one ruleset": (("diff", "current"), "B"),
    "a journal that is not there": (("diff", "current", "current", "--journal", "{}/none"), "none"),
    "an option shortened": (("check", "--newest", "1"), "--newest"),
    "no verb": ((), "action"),
    "an unknown verb": (("break",), "break"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_asked_for_wrongly_is_said_in_one_line(asked: Asked, tmp_path: Path, what: str) -> None:
    for name in ("ann", "ben"):
        new_key(name, tmp_path, None)
    words, names = WRONG[what]
    given = [
        word.replace("{ann}", f"{tmp_path}/ann.key")
        .replace("{ben}", f"{tmp_path}/ben.key")
        .replace("{}", str(tmp_path))
        for word in words
    ]
    assert names in one_line(asked("rules", *given))


def test_a_draft_that_is_not_there_cannot_be_finished(tmp_path: Path) -> None:
    for data in (None, b"", b"{}", b"[" * 3_000):
        if data is not None:
            (tmp_path / DRAFT).write_bytes(data)
        with pytest.raises(MalformedSource):
            ceremony.read_draft(tmp_path)


# -- what differs -----------------------------------------------------------------------------------------------------


def with_rule(number: int, **changes: Any) -> tuple[Rule, ...]:
    return tuple(msgspec.structs.replace(rule, **changes) if rule.id == number else rule for rule in RULES)


def with_clause(number: int, index: int, **changes: Any) -> tuple[Rule, ...]:
    clauses = list(next(rule for rule in RULES if rule.id == number).clauses)
    clauses[index] = msgspec.structs.replace(clauses[index], **changes)
    return with_rule(number, clauses=tuple(clauses))


def a_ruleset(rules: tuple[Rule, ...] = RULES, **bounds: Bound) -> Ruleset:
    every = dict(FACT_BOUNDS) | bounds
    return Ruleset(ruleset_digest(rules, every), rules, every)


def changed(b: Ruleset) -> list[Change]:
    return [change for change in changes_between(current(), b) if change.change != "equal" or change.is_looser]


def test_the_same_rules_do_not_differ() -> None:
    assert changed(current()) == []
    assert [change.id for change in changes_between(current(), current())] == [rule.id for rule in RULES]


CHANGED: dict[str, tuple[Ruleset, int, str, bool]] = {
    "a larger limit": (a_ruleset(with_clause(5, 3, scale=9)), 5, "looser", True),
    "a smaller limit": (a_ruleset(with_clause(5, 3, scale=11)), 5, "tighter", False),
    "a clause fewer": (a_ruleset(with_rule(8, clauses=RULES[7].clauses[:-1])), 8, "looser", True),
    "a limit moved to the other side": (a_ruleset(with_clause(10, 0, relation=">=")), 10, "incomparable", True),
    "a smaller scope": (a_ruleset(with_clause(12, 0, scope="opening")), 12, "incomparable", True),
    "a condition more": (
        a_ruleset(with_clause(10, 0, when=RULES[2].clauses[0].when)), 10, "incomparable", True,
    ),
    "a constant more": (a_ruleset(with_clause(10, 0, limit=Const(6))), 10, "looser", True),
    "less follows from it": (a_ruleset(with_rule(6, severity="HIGH")), 6, "equal", True),
    "a rule gone": (a_ruleset(tuple(rule for rule in RULES if rule.id != 4)), 4, "removed", True),
    "a rule more": (a_ruleset((*RULES, msgspec.structs.replace(RULES[9], id=27, name="more"))), 27, "added", False),
    "wider bounds": (a_ruleset(sources_apart_bp=Bound(-5, 10**9, "bp")), 21, "looser", True),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGED)
def test_what_changed_is_named_and_whether_it_is_looser(what: str) -> None:
    """By the solver, not by the text; and never without an example where one passes that was refused."""
    b, number, kind, is_looser = CHANGED[what]
    (change,) = changed(b)
    assert (change.id, change.change, change.is_looser) == (number, kind, is_looser)
    assert looser_rules((change,)) == ((number,) if is_looser else ())
    assert (change.now_passes is not None) is (kind in {"looser", "incomparable"})
    assert (change.now_refused is not None) is (kind in {"tighter", "incomparable"})
    assert change.words
    assert len(change.in_words()) > 1


def test_more_severity_is_said_and_is_not_looser() -> None:
    (change,) = [one for one in changes_between(current(), a_ruleset(with_rule(7, severity="HIGH"))) if one.words]
    assert (change.id, change.change, change.is_looser) == (7, "equal", False)
    assert any("MEDIUM → HIGH" in line for line in change.in_words())


def test_rules_in_a_language_that_is_gone_count_as_looser_all_of_them() -> None:
    assert looser_rules(changes_between(None, current())) == tuple(rule.id for rule in RULES)


def test_diff_says_it_in_words_and_in_json_and_exits_with_1(asked: Asked, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(canonical_ruleset(with_clause(5, 3, scale=9)))
    differs = said(asked("rules", "diff", "current", str(tmp_path / "a.json"), "--json"), code=1)
    assert (differs["a"], differs["looser"], differs["decisions"]) == (ruleset_digest(), [5], None)
    assert [rule["change"] for rule in differs["rules"] if rule["id"] == 5] == ["looser"]
    told = asked("rules", "diff", "current", str(tmp_path / "a.json"))
    assert told.returncode == 1
    assert "max_position_size" in told.stdout
    assert asked("rules", "diff", "current", "current").returncode == 0


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Two approved decisions, of 5 and of 10 % of equity, and one refused."""
    path = tmp_path / "journal.sqlite"
    journal = Journal.open(path)
    verdicts: list[Any] = []
    for number, exposure in enumerate((5_000, 10_000, 20_000)):
        facts = good_facts(exposure_after_micros=exposure * 10**6)
        told: dict[str, Any] = {
            "proposal_id": f"{number:032x}", "instrument": "A", "digest": "d" * 64, "position": 1, "facts": facts,
            "verdict": current_verdict(facts), "grounds": some_grounds(),
        }  # fmt: skip
        approved = {"hold_micros": 1, "hold_risk_micros": 1, "expires_ns": 1}
        verdicts.append(Approved(**told, **approved) if told["verdict"].approved else Refused(**told))
    assert [type(verdict) for verdict in verdicts] == [Approved, Approved, Refused]
    for seq, verdict in enumerate(verdicts, 1):
        journal.append(encode(an_envelope(verdict, seq=seq, author="hrm")), seq)
    journal.commit()
    journal.close()
    return path


def current_verdict(facts: Any) -> Any:
    from graveyard.judge import judge

    return judge(facts)


def test_decisions_of_a_journal_that_would_flip_are_named(asked: Asked, journal: Path, tmp_path: Path) -> None:
    tighter, looser = a_ruleset(with_clause(5, 3, scale=11)), a_ruleset(with_clause(5, 3, scale=5))
    assert flips_in(journal, current(), current()) == (3, ())
    decisions, (flip,) = flips_in(journal, current(), tighter)
    assert (decisions, flip.position, flip.act_id, flip.a_approves, flip.b_approves) == (3, 2, f"{1:032x}", True, False)
    assert flip.because[0].startswith("5.3 ")
    (flip,) = flips_in(journal, current(), looser).flips
    assert (flip.position, flip.a_approves, flip.b_approves) == (3, False, True)
    (tmp_path / "b.json").write_bytes(canonical_ruleset(tighter.rules))
    differs = said(
        asked("rules", "diff", "current", str(tmp_path / "b.json"), "--journal", str(journal), "--json"), code=1
    )
    assert [one["position"] for one in differs["decisions"]["flips"]] == [2]
    assert (
        "approved → refused"
        in asked("rules", "diff", "current", str(tmp_path / "b.json"), "--journal", str(journal)).stdout
    )


# -- the ceremony -----------------------------------------------------------------------------------------------------


def believed(ruleset: str) -> Evidence:
    """A report that nobody proved, about the right rules; the real one is made in the test that follows the page."""
    return Evidence(1, msgspec.json.encode({"ruleset": ruleset}))


@pytest.fixture
def grave(tmp_path: Path) -> Grave:
    return a_grave(tmp_path / "graveyard")


def sealed_with(grave: Grave, rules: tuple[Rule, ...]) -> None:
    """These were the rules before, and were properly sealed."""
    data = canonical_ruleset(rules)
    (grave.folder / RULES_SEALED).write_bytes(data)
    grave.signed(*KEYS[:2], ruleset=sha256(data).hexdigest())


def planned(grave: Grave, *, days: int = 90, pinned: tuple[str, ...] = MINE, first: date = FIRST_DAY) -> Plan:
    return ceremony.plan(grave.folder, Terms(first, days, pinned), prove=believed, signers=MINE)


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def installed(grave: Grave, plan: Plan, seal: Seal, *, now_ns: int = NOW_NS) -> None:
    ceremony.install(grave.folder, plan, seal, now_ns=now_ns)


def test_a_release_is_sealed_with_the_next_version(grave: Grave) -> None:
    (grave.folder / "judge.py").write_text("# changed\n")
    assert grave.look().faults
    plan = planned(grave)
    installed(grave, plan, ceremony.signed(plan, [(KEYS[2], ()), (KEYS[0], ())]))
    found = grave.look(newest_version=8)
    assert found.faults == ()
    assert found.seal is not None
    assert (found.seal.version, found.seal.not_before, found.seal.expires) == (8, "2026-03-01", "2026-05-30")


def test_a_plan_writes_nothing(grave: Grave) -> None:
    before = bytes_in(grave.folder)
    ceremony.signed(planned(grave), [(KEYS[0], ()), (KEYS[1], ())])
    assert bytes_in(grave.folder) == before


def test_the_first_release_of_all_is_version_1(grave: Grave) -> None:
    for name in (SEAL, RULES_SEALED, PROOFS):
        (grave.folder / name).unlink()
    plan = planned(grave)
    assert (plan.seal.version, plan.seal.looser, plan.changes) == (1, (), ())
    installed(grave, plan, ceremony.signed(plan, [(KEYS[0], ()), (KEYS[1], ())]))
    assert grave.look().faults == ()


def test_three_other_keys_are_pinned_and_count_from_then_on(grave: Grave, tmp_path: Path) -> None:
    pairs = [new_key(name, tmp_path / "keys", None) for name in ("ann", "ben", "cleo")]
    others = tuple(sorted(pair.public for pair in pairs))
    plan = planned(grave, pinned=others)
    keys = [(private_key(pair.private_file, None), ()) for pair in pairs[:2]]
    installed(grave, plan, ceremony.signed(plan, keys))
    assert grave.look(pinned=others).faults == ()
    assert any("not pinned" in fault for fault in grave.look().faults)
    read = subprocess.run(
        [sys.executable, "-c", "from graveyard.signers import *; print(*PINNED, THRESHOLD, len(EXAMPLE_KEYS))"],
        env={"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]}, cwd="/", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert read.stdout.split() == [*others, "2", "3"]


def test_the_page_of_pinned_keys_is_as_the_release_would_write_it() -> None:
    source = (TOP / "graveyard/signers.py").read_text()
    assert pins.rewritten(source, PINNED).decode() == source
    for text in (source.replace("PINNED:", "PINNED2:"), source + source, ""):
        with pytest.raises(MalformedSource):
            pins.rewritten(text, PINNED)
    for keys in (PINNED[:2], (PINNED[0],) * 3, (*PINNED[:2], "zz" * 32), (*PINNED[:2], min(EXAMPLE_KEYS))):
        with pytest.raises(SettingsRefused):
            pins.rewritten(source, keys)


REFUSED_SIGNERS: dict[str, tuple[list[tuple[Any, tuple[int, ...]]], str]] = {
    "nobody": ([], "0 of 2"),
    "one": ([(KEYS[0], ())], "1 of 2"),
    "one twice": ([(KEYS[0], ()), (KEYS[0], ())], "signed already"),
    "a stranger": ([(KEYS[0], ()), (KEYS[3], ())], "not pinned"),
    "an example key": ([(KEYS[0], ()), (example_key(1), ())], "not pinned"),
    "one who accepts what is not looser": ([(KEYS[0], ()), (KEYS[1], (5,))], "--accept-looser"),
}


@pytest.mark.parametrize("who", REFUSED_SIGNERS)
def test_a_release_is_not_installed_when_it_is_signed_by(grave: Grave, who: str) -> None:
    keys, names = REFUSED_SIGNERS[who]
    before = bytes_in(grave.folder)
    plan = planned(grave)
    with pytest.raises(ArkError, match=names):
        installed(grave, plan, ceremony.signed(plan, keys))
    assert bytes_in(grave.folder) == before


@pytest.mark.parametrize(
    ("first", "accepted"),
    [((), ()), ((5,), ()), ((5,), (5, 7)), ((7,), (7,)), ((5, 6), (5, 6))],
    ids=str,
)
def test_a_looser_rule_needs_two_who_name_it(grave: Grave, first: tuple[int, ...], accepted: tuple[int, ...]) -> None:
    """Rules 5 and 7 were tighter when they were sealed last."""
    fives = with_clause(5, 3, scale=20)
    sealed_with(grave, tuple(fives[4] if rule.id == 5 else rule for rule in with_clause(7, 0, scale=2)))
    plan = planned(grave)
    assert plan.seal.looser == (5, 7)
    with pytest.raises(ArkError, match="5,7"):
        ceremony.signed(plan, [(KEYS[0], first), (KEYS[1], accepted)])
    seal = ceremony.signed(plan, [(KEYS[0], (5, 7)), (KEYS[1], (7, 5))])
    installed(grave, plan, seal)
    assert grave.look().faults == ()
    assert read_seal((grave.folder / SEAL).read_bytes()).looser == (5, 7)


def test_a_tighter_rule_needs_nobody_to_name_it(grave: Grave) -> None:
    sealed_with(grave, with_clause(5, 3, scale=5))
    assert planned(grave).seal.looser == ()


def forged_baseline(grave: Grave, rules: tuple[Rule, ...]) -> None:
    """Somebody hides a looser rule by changing what it is compared with."""
    data = canonical_ruleset(rules)
    (grave.folder / RULES_SEALED).write_bytes(data)
    grave.write(msgspec.structs.replace(grave.seal, ruleset=sha256(data).hexdigest()))


BASELINES: dict[str, Callable[[Grave], object]] = {
    "other rules under the old signatures": lambda g: forged_baseline(g, with_clause(5, 3, scale=5)),
    "other rules than the seal names": lambda g: (g.folder / RULES_SEALED).write_bytes(
        canonical_ruleset(with_clause(5, 3, scale=5))
    ),
    "no rules": lambda g: (g.folder / RULES_SEALED).unlink(),
    "no seal": lambda g: (g.folder / SEAL).unlink(),
    "a seal that is none": lambda g: (g.folder / SEAL).write_bytes(b"{}"),
    "one signature": lambda g: g.write(signed_by(msgspec.structs.replace(g.seal, signatures=()), KEYS[0])),
    "signatures of strangers": lambda g: g.write(
        signed_by(msgspec.structs.replace(g.seal, signatures=()), KEYS[0], KEYS[3])
    ),
}


@pytest.mark.parametrize("what", BASELINES)
def test_nothing_is_released_against_a_baseline_that_was_not_signed(grave: Grave, what: str) -> None:
    BASELINES[what](grave)
    with pytest.raises(MalformedSource):
        sealed_before(grave.folder, MINE)
    with pytest.raises(MalformedSource):
        planned(grave)


def test_rules_before_in_a_language_that_is_gone_make_all_looser(grave: Grave) -> None:
    data = canonical_ruleset().replace(b"market_age_ns", b"market_age_us")
    (grave.folder / RULES_SEALED).write_bytes(data)
    grave.signed(*KEYS[:2], ruleset=sha256(data).hexdigest())
    assert planned(grave).seal.looser == tuple(rule.id for rule in RULES)


@pytest.mark.parametrize("days", [-1, 0, 732, 10**9])
def test_a_release_counts_for_at_most_two_years(grave: Grave, days: int) -> None:
    with pytest.raises(SettingsRefused):
        planned(grave, days=days)


@pytest.mark.parametrize("first", ["2026-04-02", "2025-12-01"])
def test_a_release_that_does_not_count_today_is_not_installed(grave: Grave, first: str) -> None:
    before = bytes_in(grave.folder)
    plan = planned(grave, first=date.fromisoformat(first))
    with pytest.raises(ArkError, match=r"count|expired"):
        installed(grave, plan, ceremony.signed(plan, [(KEYS[0], ()), (KEYS[1], ())]))
    assert bytes_in(grave.folder) == before


def test_a_folder_that_cannot_be_sealed_is_not_released(grave: Grave) -> None:
    (grave.folder / "more.py").symlink_to("/dev/null")
    with pytest.raises(ArkError, match=r"more\.py"):
        planned(grave)


# in two steps, on two machines


def drafted(grave: Grave) -> Plan:
    return ceremony.plan_of_draft(grave.folder, ceremony.read_draft(grave.folder), prove=believed, signers=MINE)


def test_two_people_sign_on_two_machines(grave: Grave, tmp_path: Path) -> None:
    (grave.folder / "judge.py").write_text("# changed\n")
    plan = planned(grave)
    ceremony.write_draft(grave.folder, plan, plan.seal)
    other = Grave(tmp_path / "other" / "graveyard", grave.seal)
    for machine, key in ((grave, KEYS[0]), (other, KEYS[1])):
        if machine is other:
            shutil.copytree(grave.folder, other.folder)
        plan = drafted(machine)
        ceremony.write_draft(machine.folder, plan, ceremony.signed(plan, [(key, ())]))
    plan = drafted(other)
    installed(other, plan, plan.seal)
    assert other.look().faults == ()
    assert not (other.folder / DRAFT).exists()


DRAFTS: dict[str, Callable[[Grave], object]] = {
    "a file changed since": lambda g: (g.folder / "judge.py").write_text("# other\n"),
    "a file more": lambda g: (g.folder / "more.py").write_text(""),
    "another version": lambda g: redrafted(g, version=9),
    "another ruleset": lambda g: redrafted(g, ruleset="ab" * 32),
    "another report": lambda g: redrafted(g, report="ab" * 32),
    "a looser rule hidden": lambda g: redrafted(g, looser=(5,)),
    "longer than two years": lambda g: redrafted(g, expires="2029-01-01"),
}


def redrafted(grave: Grave, **changes: Any) -> None:
    draft = ceremony.read_draft(grave.folder)
    seal = msgspec.structs.replace(draft.seal, **changes)
    (grave.folder / DRAFT).write_bytes(msgspec.json.encode(msgspec.structs.replace(draft, seal=seal)))


@pytest.mark.parametrize("what", DRAFTS)
def test_nobody_signs_what_their_own_machine_does_not_find(grave: Grave, what: str) -> None:
    plan = planned(grave)
    ceremony.write_draft(grave.folder, plan, plan.seal)
    drafted(grave)
    DRAFTS[what](grave)
    with pytest.raises(ArkError):
        drafted(grave)


def test_a_draft_that_only_one_has_signed_is_not_installed(grave: Grave) -> None:
    plan = planned(grave)
    ceremony.write_draft(grave.folder, plan, ceremony.signed(plan, [(KEYS[0], ())]))
    plan = drafted(grave)
    with pytest.raises(ArkError, match="1 of 2"):
        installed(grave, plan, plan.seal)


# -- the page, followed to the letter ---------------------------------------------------------------------------------

PAGE = TOP / "docs/how-to/add-a-rule.md"
HOUSE = ("agents", "deployment", "graveyard", "monitoring", "mutable_core", "watchdog")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository's packages, in a folder of their own, with `ark` and `python` that mean this copy."""
    for package in HOUSE:
        shutil.copytree(
            TOP / package, tmp_path / "copy" / package, ignore=shutil.ignore_patterns("__pycache__", DRAFT, "*.csv.gz")
        )
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, words in (("ark", "-m deployment"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (programs / name).chmod(0o755)
    return tmp_path / "copy"


def ran(copy: Path, script: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": f"{copy.parent / 'bin'}:{os.environ['PATH']}", "HOME": str(copy.parent), "PYTHONPATH": str(copy)}
    return subprocess.run(["sh", "-e", "-c", script], cwd=copy, env=env, capture_output=True, text=True, check=False)


def add_the_rule(copy: Path) -> None:
    """Step 1 and 2 of the page, with its own code."""
    ethics = copy / "graveyard/ethics.py"
    (code,), (line,) = blocks("python"), blocks("text")
    text = ethics.read_text()
    begin = text.index("RULES: tuple[Rule, ...] = (\n")
    end = text.index("\n)\n", begin) + 1
    ethics.write_text(f"{text[:begin]}{code}\n{text[begin:end]}{line}{text[end + 2 :]}")


def test_the_page_that_adds_a_rule_adds_a_rule(copy: Path) -> None:
    add_the_rule(copy)
    broken = ran(copy, "ark rules check")
    assert broken.returncode == 1, "a rule that nobody signed must not count"
    for script in blocks("bash"):
        done = ran(copy, script)
        assert done.returncode == 0, done.stderr + done.stdout
    listed = json.loads(ran(copy, "ark rules list --json").stdout)
    assert [(rule["id"], rule["name"]) for rule in listed["rules"]][-1] == (27, "reachable_target")
    checked = json.loads(ran(copy, "ark rules check --json").stdout)
    assert (checked["holds"], checked["signatures"], checked["ruleset"]) == (True, 2, listed["ruleset"])
    assert checked["ruleset"] != ruleset_digest()
    assert checked["not_before"] == datetime.now(UTC).date().isoformat()
    pinned = ran(copy, "python -c 'from graveyard.signers import PINNED; print(*PINNED)'").stdout.split()
    assert sorted(pinned) == sorted(path.read_text().strip() for path in (copy.parent / "ark-keys").glob("*.pub"))


@pytest.mark.nightly
def test_the_ceremony_in_two_steps_by_the_command_line(copy: Path) -> None:
    """Less follows from a rule; both signers name it, each in a step of their own, and each step proves again."""
    keys = "~/ark-keys"
    for name in ("ann", "ben", "cleo"):
        assert ran(copy, f"ark rules keys new {name} --out {keys}").returncode == 0
    ethics, was = copy / "graveyard/ethics.py", 'category="integrity",\n        severity="MEDIUM"'
    assert was in ethics.read_text(), "rule 22"
    ethics.write_text(ethics.read_text().replace(was, was.replace("MEDIUM", "LOW")))
    prepare = "ark rules release --prepare " + " ".join(f"--pin {keys}/{name}.pub" for name in ("ann", "ben", "cleo"))
    for script, code, names in (
        (prepare, 0, "MEDIUM → LOW"),
        ("ark rules release --finish", 1, "0 of 2"),
        (f"ark rules release --sign {keys}/ann.key", 1, "--accept-looser"),
        (f"ark rules release --sign {keys}/ann.key --accept-looser 22", 0, "signed by 1"),
        ("ark rules release --finish", 1, "1 of 2"),
        (f"ark rules release --sign {keys}/ann.key --accept-looser 22", 1, "signed already"),
        (f"ark rules release --sign {keys}/cleo.key --accept-looser 22", 0, "signed by 2"),
        ("ark rules release --finish", 0, "SEAL.json"),
        ("ark rules check", 0, "sealed by 2"),
    ):
        done = ran(copy, script)
        assert done.returncode == code, (script, done.stderr)
        assert names in done.stdout + done.stderr, script


@pytest.mark.nightly
def test_a_looser_rule_that_breaks_a_property_is_not_released(copy: Path) -> None:
    """Whoever signs it: a sixth instrument leaves what was proved."""
    ethics = copy / "graveyard/ethics.py"
    ethics.write_text(ethics.read_text().replace('"instruments_after", 5,', '"instruments_after", 6,'))
    assert "golden.json" in ran(copy, "ark rules release --dry-run").stderr
    assert ran(copy, "python -m graveyard.proofs.golden").returncode == 0
    assert "not everything is proved" in ran(copy, "ark rules release --dry-run").stderr
