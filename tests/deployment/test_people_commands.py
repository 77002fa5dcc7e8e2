"""The commands with which people halt, resume, forbid, declare, look and sign, from key to journal."""

from __future__ import annotations

import io
import json
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deployment.desk.words import ListWaiting, Resume, Waiting
from deployment.rules.keys import private_key, public_of
from mutable_core.messages import HaltOrdered, OperationApproved, OperationAsked, PersonSigned, VetoLifted, VetoSet
from mutable_core.settings import settings_from
from tests.deployment.conftest import Asked
from tests.deployment.desk_makers import KEYS, NAMES, WHY, Live, live
from tests.faults.processes import envelopes_of, journal_of, one_line, said

# -- keys ------------------------------------------------------------------------------------------------------------


def test_a_new_person_gets_a_key_that_only_they_can_read_and_a_line_for_the_people_file(
    tmp_path: Path, asked: Asked
) -> None:
    ran = asked("people", "new", "alice", "--out", str(tmp_path / "keys"))
    assert ran.returncode == 0, ran.stderr
    key = tmp_path / "keys" / "alice.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    (tmp_path / "people").write_text(ran.stdout)
    (person,) = settings_from({"ARK_PEOPLE": str(tmp_path / "people")}).people
    assert (person.name, person.public_key) == ("alice", public_of(private_key(key, None)))


def test_a_key_is_never_written_over(tmp_path: Path, asked: Asked) -> None:
    words = ("people", "new", "alice", "--out", str(tmp_path), "--json")
    line = said(asked(*words))["line"]
    key = (tmp_path / "alice.key").read_bytes()
    assert asked(*words).returncode == 2
    assert (tmp_path / "alice.key").read_bytes() == key
    assert public_of(private_key(tmp_path / "alice.key", None)) in line


def test_a_key_is_not_made_inside_a_checkout(tmp_path: Path, asked: Asked) -> None:
    (tmp_path / ".git").mkdir()
    ran = asked("people", "new", "alice", "--out", str(tmp_path / "keys"))
    assert (ran.returncode, one_line(ran) != "") == (2, True)
    assert not (tmp_path / "keys").exists()


# -- what is wrong ---------------------------------------------------------------------------------------------------


class Wrong(NamedTuple):
    """Words, what the one line must name, and the code."""

    words: str
    names: str
    code: int = 2


WRONG: dict[str, Wrong] = {
    "halt without a reason": Wrong("halt", "--reason"),
    "halt with a word for a reason": Wrong("halt --reason x", "--reason"),
    "halt at no level": Wrong("halt --level off --reason {why}", "--level"),
    "halt of a scope that is none": Wrong("halt --scope world --reason {why}", "--scope"),
    "halt of an instrument without its name": Wrong("halt --scope instrument --reason {why}", "--name"),
    "halt of everything with a name": Wrong("halt --name A --reason {why}", "--name"),
    "halt by nobody": Wrong("halt --reason {why} --by ", "--by"),
    "halt by a name in capitals": Wrong("halt --reason {why} --by Ann", "Ann"),
    "resume without a reason": Wrong("resume", "--reason"),
    "resume with fewer words than rule 24 takes": Wrong("resume --reason why-not", "--reason"),
    "veto without a verb": Wrong("veto", "set|lift"),
    "a veto lifted with a reason": Wrong("veto lift --reason {why}", "--reason"),
    "consent without an end": Wrong("consent ann trading", "--until"),
    "consent until no day": Wrong("consent ann trading --until 2026-02-30", "2026-02-30"),
    "consent until a time before time": Wrong("consent ann trading --until 1066-10-14", "1066"),
    "a signal on no side": Wrong("declare signal other A up", "up"),
    "all acts at once": Wrong("approvals sign all --person alice --key {key}", "all"),
    "no act": Wrong("approvals sign --person alice --key {key}", "ID"),
    "two acts": Wrong("approvals sign abcd ef01 --person alice --key {key}", "ef01"),
    "an act by three digits": Wrong("approvals show abc", "abc"),
    "signed by nobody": Wrong("approvals sign abcd --key {key}", "--person"),
    "signed without a key": Wrong("approvals sign abcd --person alice", "--key"),
    "a key that is not there": Wrong("approvals sign abcd --person alice --key {key}.none", ".none"),
    "no house to halt": Wrong("halt --reason {why}", "--state", 3),
    "no house to resume": Wrong("resume --reason {why}", "--state", 3),
    "no house to forbid": Wrong("veto set --reason {why}", "--state", 3),
    "no house to allow": Wrong("veto lift", "--state", 3),
    "no house to consent to": Wrong("consent ann trading --until 2026-12-31", "--state", 3),
    "no house to tell": Wrong("declare filing A {why}", "--state", 3),
    "no house to look at": Wrong("approvals list", "--state", 3),
    "no house to sign for": Wrong("approvals sign abcd --person alice --key {key}", "--state", 3),
}


@pytest.fixture(scope="module")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name, key in KEYS.items():
        (folder / f"{name}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (folder / f"{name}.key").chmod(0o600)
    return folder


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_gets_one_line_and_a_code(tmp_path: Path, asked: Asked, key_folder: Path, case: str) -> None:
    """2: as it was asked it cannot be done; 3: there is no house that answers."""
    wrong = WRONG[case]
    filled = {"{why}": WHY, "{key}": str(key_folder / "alice.key")}
    words = []
    for word in wrong.words.split(" "):
        for name, value in filled.items():
            word = word.replace(name, value)  # noqa: PLW2901
        words.append(word)
    ran = asked(*words, env={"ARK_STATE_DIR": str(tmp_path / "none")})
    assert ran.returncode == wrong.code, ran.stderr
    assert wrong.names in one_line(ran)


# -- with a house ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("live")) as one:
        yield one


class Person(NamedTuple):
    """Somebody at a terminal."""

    asked: Asked
    state: Path
    keys: Path
    types: Callable[[str], None]

    def says(self, *words: str, code: int = 0) -> dict[str, Any]:
        ran = self.asked(*words, "--state", str(self.state), "--json")
        assert ran.returncode == code, ran.stderr
        answer = json.loads(ran.stdout)
        assert isinstance(answer, dict)
        return answer

    def is_told(self, *words: str, code: int = 1) -> str:
        """What does not work: the last line of stderr; nothing on stdout."""
        ran = self.asked(*words, "--state", str(self.state), "--json")
        assert (ran.returncode, ran.stdout) == (code, ""), ran.stderr
        return ran.stderr.splitlines()[-1]

    def signing(self, act: str, name: str, *more: str) -> tuple[str, ...]:
        return ("approvals", "sign", act, "--person", name, "--key", str(self.keys / f"{name}.key"), *more)


@pytest.fixture
def person(asked: Asked, running: Live, key_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Person:
    def types(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))

    types("")
    return Person(asked, running.state, key_folder, types)


def resumption(person: Person) -> str:
    """The id of a resume that waits; carol has asked for it."""
    person.says("halt", "--reason", WHY, "--by", "carol")
    return str(person.says("resume", "--reason", WHY, "--by", "carol")["act_id"])


@pytest.mark.faults
def test_halt_resume_and_two_people_s_signatures_from_the_first_word_to_the_journal(person: Person) -> None:
    person.says("halt", "--scope", "instrument", "--name", "SYN-A", "--level", "halted", "--reason", WHY, "--by", "ann")
    covers = ("--scope", "instrument", "--name", "SYN-A")
    stands = {"what": "halted", "scope": "instrument", "name": "SYN-A"}
    assert stands in person.says("approvals", "list")["standing"]
    act = str(person.says("resume", *covers, "--reason", WHY, "--by", "carol")["act_id"])

    shown = person.says("approvals", "show", act, "--person", "alice")
    assert (shown["digest_computed"], shown["act"]["by"]) == (shown["digest"], "carol")
    assert "carol" in person.is_told(*person.signing(act, "carol", "--digest", shown["digest"]))
    person.types(shown["digest"][:8] + "\n")
    assert person.says(*person.signing(act, "alice"))["outcome"] == "waits"
    assert "already" in person.is_told(*person.signing(act, "alice", "--digest", shown["digest"]))
    assert person.says(*person.signing(act, "bob", "--digest", shown["digest"]))["outcome"] == "approved"
    assert stands not in person.says("approvals", "list")["standing"]

    rows = list(envelopes_of(journal_of(person.state)))
    (halt,) = [one.body for one in rows if isinstance(one.body, HaltOrdered) and one.body.scope == "instrument"]
    assert (halt.level, halt.by, halt.reason) == ("halted", "ann", WHY)
    (asked,) = [one.body for one in rows if isinstance(one.body, OperationAsked) and one.body.operation_id == act]
    assert (asked.operation, asked.scope, asked.name, asked.by) == ("resume", "instrument", "SYN-A", "carol")
    signers = [one.body.person for one in rows if isinstance(one.body, PersonSigned) and one.body.act_id == act]
    assert signers == ["alice", "bob"]
    (approved,) = [one.body for one in rows if isinstance(one.body, OperationApproved) and one.body.operation_id == act]
    assert approved.facts.people == 2


@pytest.mark.faults
@pytest.mark.parametrize("typed", ["", "\n", "y\n", "00000000\n", "yes, all of them\n"])
def test_who_does_not_type_the_digest_has_not_signed(person: Person, running: Live, typed: str) -> None:
    act = resumption(person)
    person.types(typed)
    assert act in person.is_told(*person.signing(act, "alice"), code=2)
    waiting = running.ask(ListWaiting())
    assert isinstance(waiting, Waiting)
    assert [one.signed for one in waiting.acts if one.act_id == act] == [()]


@pytest.mark.faults
def test_a_digest_that_is_not_the_act_s_signs_nothing(person: Person) -> None:
    act = resumption(person)
    digest = person.says("approvals", "show", act)["digest"]
    for wrong in (digest[:8], "0" * 64, digest[:-1], ""):
        person.is_told(*person.signing(act, "alice", "--digest", wrong), code=2)
    (one,) = [it for it in person.says("approvals", "list")["acts"] if it["act_id"] == act]
    assert one["signed"] == []


@pytest.mark.faults
def test_a_beginning_that_fits_two_acts_names_none(person: Person, running: Live) -> None:
    """There is no way to sign several acts at once."""
    act = resumption(person)
    running.ask(Resume("global", "", "carol", WHY))
    assert act[:4] in person.is_told("approvals", "show", act[:4])
    person.is_told(*person.signing(act[:4], "alice"))
    assert person.says("approvals", "show", act)["act_id"] == act


@pytest.mark.faults
def test_a_key_that_somebody_else_could_read_signs_nothing(person: Person, tmp_path: Path) -> None:
    act = resumption(person)
    for name in NAMES:
        (tmp_path / f"{name}.key").write_bytes((person.keys / f"{name}.key").read_bytes())
    (tmp_path / "alice.key").chmod(0o640)
    person.is_told(*person._replace(keys=tmp_path).signing(act, "alice"), code=2)


@pytest.mark.faults
def test_the_page_shows_what_is_signed_and_says_it_for_people(person: Person) -> None:
    """`show` prints the act's own bytes, the digest computed here, and the statement."""
    act = resumption(person)
    digest = person.says("approvals", "show", act)["digest"]
    for words in (("approvals", "list"), ("approvals", "show", act, "--person", "alice")):
        ran = person.asked(*words, "--state", str(person.state))
        assert ran.returncode == 0, ran.stderr
        assert f"resume of everything, asked by carol: {WHY}" in ran.stdout
    assert digest in ran.stdout


@pytest.mark.faults
def test_the_checklist_says_what_is_in_order(person: Person) -> None:
    answer = person.says("resume", "--checklist")
    assert answer["is_green"] is True
    assert {one["name"] for one in answer["checks"]} == {
        "seal",
        "journal",
        "books",
        "orders",
        "agents",
        "lease",
        "disk",
    }


@pytest.mark.faults
def test_where_there_is_no_kill_switch_flattening_halts_and_says_that_nothing_was_closed(person: Person) -> None:
    answer = person.says("halt", "--flatten", "--reason", WHY, "--by", "ann", code=1)
    assert answer["kill_switch"] is None
    assert answer["house"]["outcome"] == "recorded"
    assert len(answer["faults"]) == 1


@pytest.mark.faults
def test_vetoes_consents_and_declarations_are_recorded(person: Person) -> None:
    covers = ("--scope", "strategy", "--name", "alternating", "--by", "ann")
    person.says("veto", "set", *covers, "--reason", WHY)
    person.says("veto", "lift", *covers)
    person.says("consent", "ann", "trading", "--until", "2026-12-31")
    person.says("declare", "broadcast", "SYN-A", "our view on it")
    person.says("declare", "filing", "SYN-B", "8-K of today")
    person.says("declare", "signal", "other", "SYN-C", "sell")
    bodies = [one.body for one in envelopes_of(journal_of(person.state)) if one.author == "operator"][-6:]
    kinds = ["VetoSet", "VetoLifted", "ConsentRecorded", "BroadcastPublished", "CatalystFiled", "SignalDeclared"]
    assert [type(body).__name__ for body in bodies] == kinds
    assert bodies[:2] == [VetoSet("strategy", "alternating", "ann", WHY), VetoLifted("strategy", "alternating", "ann")]
    assert bodies[2].until_ns == 1_798_675_200 * 10**9  # 2026-12-31T00:00:00Z


@pytest.mark.faults
def test_what_the_desk_denies_is_one_line_and_code_1(person: Person) -> None:
    assert "SYN-Z" in person.is_told("halt", "--scope", "instrument", "--name", "SYN-Z", "--reason", WHY)
    assert "mean_reversion" in person.is_told(
        "resume", "--scope", "strategy", "--name", "mean_reversion", "--reason", WHY
    )
