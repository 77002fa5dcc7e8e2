"""`ark state`: what a person can see and do, and that nothing private is shown that was not asked for."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mutable_core.journal import Journal
from mutable_core.messages import HaltOrdered, encode
from mutable_core.state_manager import StateManager
from tests.deployment.conftest import Asked
from tests.faults.processes import one_line, said
from tests.makers import an_envelope

State = Callable[..., Any]
SECRET = "a phrase that opens everything"


@pytest.fixture
def state(tmp_path: Path, asked: Asked) -> State:
    """`ark state …` on a store of this test."""

    def ask(*words: str) -> Any:
        env = {"ARK_STATE_DIR": str(tmp_path / "state"), "ARK_VAULT_KEY_FILE": str(tmp_path / "vault.key")}
        return asked("state", *words, env=env)

    return ask


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def done(ran: Any) -> str:
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    return str(ran.stdout)


def test_what_was_set_is_shown_with_its_type(state: State) -> None:
    for text, shown in (("None", '"None"'), ("", '""'), ("1.50", '"1.50"')):
        done(state("set", "operator", "a", text, "--by", "ann"))
        assert done(state("get", "operator", "a")) == f"{shown}\n"
    for text in ("null", '{"$decimal": "1.50"}', '{"$tuple": [1, "x"]}', '{"a": {"$bytes": "00ff"}}', "true"):
        done(state("set", "operator", "a", text, "--json-value", "--by", "ann"))
        assert done(state("get", "operator", "a")) == f"{text}\n"
        assert said(state("get", "operator", "a", "--json"))["value"] == json.loads(text)


def test_going_back_to_before_a_key_was_there_says_that_it_is_gone(state: State) -> None:
    """Whoever asks for yesterday's value must not read `is at version 2` where there is none."""
    done(state("set", "operator", "a", "one", "--by", "ann"))
    gone = ("--to", "2020-01-01", "--by", "ann", "--reason", "back")
    assert done(state("rollback", "operator", "a", *gone)).endswith("version 2: it is not there any more\n")
    done(state("set", "operator", "a", "two", "--by", "ann"))
    assert done(state("rollback", "--namespace", "operator", *gone)).endswith("version 4: it is not there any more\n")
    done(state("set", "operator", "a", "three", "--by", "ann"))
    assert said(state("rollback", "operator", "a", *gone, "--json"))["is_deleted"] is True
    assert said(state("rollback", "operator", "a", "--to", "1", *gone[2:], "--json"))["is_deleted"] is False


def test_versions_are_set_looked_up_compared_and_brought_back(state: State) -> None:
    for number, text in enumerate(("one", "two", "three"), 1):
        assert said(state("set", "operator", "a", text, "--by", "ann", "--json"))["version"] == number
    assert done(state("get", "operator", "a", "--version", "1")) == '"one"\n'
    assert said(state("snapshot", "third", "--by", "ann", "--reason", "test", "--json"))["revision"] == 4
    assert done(state("rollback", "operator", "a", "--to", "1", "--by", "bob", "--reason", "a bad day")).endswith(
        "version 4\n"
    )
    assert done(state("get", "operator", "a", "--at", "third")) == '"three"\n'
    at = said(state("history", "operator", "a", "--json"))["versions"][2]["ts_ns"]
    from mutable_core.state.points import in_words

    assert done(state("get", "operator", "a", "--at", in_words(int(at)))) == '"two"\n'
    (change,) = said(state("diff", "third", "5", "--json"))["changes"]
    assert (change["before"], change["after"], change["after_value"]) == (3, 4, "one")
    newest = said(state("history", "operator", "a", "--last", "1", "--json"))["versions"][0]
    assert (newest["kind"], newest["restores"], newest["person"], newest["reason"]) == (
        "rollback",
        1,
        "bob",
        "a bad day",
    )
    assert "rollback to version 1" in done(state("history", "operator", "a"))
    assert [one["name"] for one in said(state("snapshots", "--json"))["snapshots"]] == ["third"]
    assert said(state("keys", "--json"))["keys"] == [["operator", "a"]]


def test_an_agents_namespace_goes_back_by_the_operators_hand_and_is_not_written(state: State, tmp_path: Path) -> None:
    with StateManager.open(tmp_path / "state" / "state.sqlite") as manager:
        for value in (1, 2):
            manager.writer("kenny").put("kenny", "x", value)
    ran = state("set", "kenny", "x", "9", "--by", "ann")
    assert (ran.returncode, "namespace" in one_line(ran)) == (1, True)
    changed = said(state("rollback", "--namespace", "kenny", "--to", "1", "--by", "ann", "--reason", "x", "--json"))[
        "changed"
    ]
    assert [(one["key"], one["author"], one["person"]) for one in changed] == [("x", "operator", "ann")]
    assert done(state("get", "kenny", "x")) == "1\n"
    assert said(state("rollback", "--everything", "--to", "2", "--by", "ann", "--reason", "x", "--json"))["changed"]
    assert done(state("get", "kenny", "x")) == "2\n"


def test_a_secret_is_read_from_stdin_and_shown_only_when_asked_for(state: State, typed: Callable[[str], None]) -> None:
    done(state("key", "new"))
    typed(f"{SECRET}\n")
    done(state("set", "operator", "token", "-", "--secret", "--by", "ann"))
    typed(f"{SECRET} too\n")
    done(state("set", "operator", "token", "-", "--secret", "--by", "ann"))
    done(state("snapshot", "s", "--by", "ann"))
    shown = [
        done(state(*words, *json))
        for words in (
            ("get", "operator", "token"),
            ("history", "operator", "token"),
            ("diff", "1", "s"),
            ("keys",),
            ("verify",),
        )
        for json in ((), ("--json",))
    ]
    assert all(SECRET not in text for text in shown)
    assert shown[0] == '"[secret]"\n'
    assert done(state("get", "operator", "token", "--version", "1", "--reveal")) == f'"{SECRET}"\n'
    done(state("key", "rotate", "--by", "ann"))
    assert done(state("get", "operator", "token", "--reveal")) == f'"{SECRET} too"\n'
    assert [one["kind"] for one in said(state("history", "operator", "token", "--json"))["versions"]] == [
        "reseal", "put", "put",
    ]  # fmt: skip


def test_a_prune_says_how_much_it_dropped_and_the_store_stays_whole(state: State) -> None:
    for text in "abcd":
        done(state("set", "operator", "a", text, "--by", "ann"))
    assert said(state("prune", "--keep-versions", "2", "--by", "ann", "--json"))["dropped"] == 2
    assert said(state("verify", "--json"))["ok"]
    assert "pruned" in done(state("history", "operator", "a"))
    assert one_line(state("get", "operator", "a", "--version", "1"))
    assert [one.get("before_value") for one in said(state("diff", "1", "4", "--json"))["changes"]] == ["[pruned]"]


def test_an_altered_store_is_a_finding(state: State, tmp_path: Path) -> None:
    import sqlite3

    done(state("set", "operator", "a", "x", "--by", "ann"))
    connection = sqlite3.connect(tmp_path / "state" / "state.sqlite", isolation_level=None)
    connection.execute("UPDATE versions SET reason = 'y'")
    connection.close()
    ran = state("verify", "--json")
    assert (ran.returncode, said(ran)["first_bad_revision"]) == (1, 1)
    assert state("get", "operator", "a").returncode == 1


def test_where_the_keys_stand_is_rebuilt(state: State, tmp_path: Path) -> None:
    import sqlite3

    done(state("set", "operator", "a", "x", "--by", "ann"))
    connection = sqlite3.connect(tmp_path / "state" / "state.sqlite", isolation_level=None)
    connection.execute("DELETE FROM heads")
    connection.close()
    assert state("verify").returncode == 1
    done(state("verify", "--rebuild"))
    assert done(state("get", "operator", "a")) == '"x"\n'


WRONG: dict[str, tuple[tuple[str, ...], int]] = {
    "a key that is not there": (("get", "operator", "b"), 2),
    "a version that is not there": (("get", "operator", "a", "--version", "9"), 2),
    "a revision that is not there": (("get", "operator", "a", "--at", "99"), 2),
    "a name that is none": (("get", "operator", "a", "--at", "nobody"), 2),
    "a time that is none": (("get", "operator", "a", "--at", "2026-99-99"), 2),
    "no such namespace to write": (("set", "mallory", "a", "1", "--by", "ann"), 1),
    "another version expected": (("set", "operator", "a", "1", "--expect", "7", "--by", "ann"), 1),
    "no JSON": (("set", "operator", "a", "{", "--json-value", "--by", "ann"), 2),
    "a person who is none": (("set", "operator", "a", "1", "--by", "Ann Smith"), 2),
    "something private": (("set", "operator", "a", "ann@example.org", "--by", "ann"), 2),
    "a credential by its name": (("set", "operator", "api_key", "abc", "--by", "ann"), 2),
    "a secret for all to see": (("set", "operator", "a", "x", "--secret", "--by", "ann"), 2),
    "a secret without a key": (("set", "operator", "a", "-", "--secret", "--by", "ann"), 3),
    "a reveal without a key": (("get", "operator", "a", "--reveal"), 3),
    "a rotation without a key": (("key", "rotate", "--by", "ann"), 3),
    "nothing to go back": (("rollback", "--to", "1", "--by", "ann", "--reason", "x"), 2),
    "half a key": (("rollback", "operator", "--to", "1", "--by", "ann", "--reason", "x"), 2),
    "two things to go back": (
        ("rollback", "operator", "a", "--everything", "--to", "1", "--by", "ann", "--reason", "x"),
        2,
    ),
    "a name taken": (("snapshot", "taken", "--by", "ann"), 1),
    "a name that is a number": (("snapshot", "17", "--by", "ann"), 2),
    "keeping nothing": (("prune", "--keep-versions", "0", "--by", "ann"), 2),
    "no such action": (("drop",), 2),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_done_is_said_in_one_line_and_nothing_changes(
    state: State, tmp_path: Path, typed: Callable[[str], None], what: str
) -> None:
    typed("x")
    done(state("set", "operator", "a", "x", "--by", "ann"))
    done(state("snapshot", "taken", "--by", "ann"))
    words, code = WRONG[what]
    ran = state(*words)
    assert (ran.returncode, one_line(ran) != "") == (code, True), ran.stderr
    with StateManager.open_read_only(tmp_path / "state" / "state.sqlite") as manager:
        assert manager.head()[0] == 2


@pytest.mark.parametrize(
    "words",
    [("get", "operator", "a"), ("keys",), ("verify",), ("verify", "--rebuild"), ("diff", "1", "2"), ("snapshots",),
     ("prune", "--keep-versions", "1", "--by", "ann"), ("snapshot", "s", "--by", "ann")],
)  # fmt: skip
def test_only_set_makes_a_store(state: State, tmp_path: Path, words: tuple[str, ...]) -> None:
    assert one_line(state(*words))
    assert not (tmp_path / "state").exists()


# -- the log ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_the_log_is_shown_without_what_is_private(tmp_path: Path, asked: Asked, words: tuple[str, ...]) -> None:
    journal = Journal.open(tmp_path / "journal.sqlite")
    journal.append(
        encode(an_envelope(HaltOrdered("global", "", "halted", "ann", "call ann@example.org, password=hunter2"))), 1
    )
    journal.commit()
    journal.close()
    text = done(asked("log", str(tmp_path / "journal.sqlite"), *words))
    assert "call [private], [credential]" in text
    assert "hunter2" not in text
