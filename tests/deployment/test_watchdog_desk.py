"""The Watchdog's desk: people look, isolate, release and restart; drills inject; whatever else comes in does nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment.desk.words import Denied
from deployment.watchdog_desk.desk import PER_MINUTE, WatchdogDesk
from deployment.watchdog_desk.port import Core
from deployment.watchdog_desk.words import (
    BEATS_MAX,
    Answer,
    Done,
    Happened,
    Heard,
    Inject,
    Isolate,
    Listen,
    Look,
    Question,
    Release,
    Restart,
    Seen,
    answer_in,
    encode,
    question_in,
)
from mutable_core.clock import MINUTE_NS
from mutable_core.errors import Unacceptable
from tests.deployment.watchdog_makers import Tree, a_child

WHY = "it says the same all day"


def asked(tree: Tree, question: Question, **given_: Any) -> Answer:
    answer = answer_in(WatchdogDesk(tree, **given_).answer(encode(question)))
    assert answer is not None
    return answer


def denied(tree: Tree, question: Question, **given_: Any) -> Denied:
    """Denied, and the Watchdog was told nothing."""
    answer = asked(tree, question, **given_)
    assert isinstance(answer, Denied), answer
    assert tree.told == []
    return answer


def test_a_look_shows_every_child_and_what_only_the_core_knows() -> None:
    seen = asked(Tree(), Look(), monotonic=lambda: 42)
    assert isinstance(seen, Seen)
    assert (seen.now_ns, seen.folder, seen.rows, seen.drills) == (42, "run-1", 90, "")
    assert [child.name for child in seen.children] == ["kyle", "joey", "venue"]
    joey = seen.children[1]
    assert (joey.pending, joey.refused, joey.held) == (2, 1, "late")
    assert joey.happened == (Happened("born", 1, 3),)
    assert seen.alerts[0].name == "joey_isolated"


def test_heartbeats_are_those_of_agents_within_the_time() -> None:
    tree = Tree()
    tree.stamps = {"joey": [90, 100, 110, 120], "venue": [100]}
    assert asked(tree, Listen(100, 119)) == Heard({"kyle": (), "joey": (0, 10)})


def test_too_many_heartbeats_are_not_told() -> None:
    tree = Tree()
    tree.stamps = {"joey": list(range(BEATS_MAX + 1))}
    assert isinstance(asked(tree, Listen(0, BEATS_MAX + 1)), Denied)
    assert isinstance(asked(tree, Listen(1, BEATS_MAX + 1)), Heard)


@pytest.mark.parametrize(
    ("question", "phase", "told"),
    [
        (Isolate("joey", "ann", WHY), "running", ("isolate", "joey", "ann", WHY)),
        (Isolate("joey", "ann", WHY), "quarantined", ("isolate", "joey", "ann", WHY)),
        (Release("joey", "ann", WHY), "isolated", ("release", "joey", "ann", WHY)),
        (Release("joey", "ann", WHY), "quarantined", ("release", "joey", "ann", WHY)),
        (Restart("joey", "ann", WHY), "running", ("restart", "joey", "ann", WHY)),
        (Restart("joey", "ann", WHY), "backing_off", ("restart", "joey", "ann", WHY)),
        (Inject("spin", "joey", "ann"), "running", ("inject", "joey", "spin", "ann")),
    ],
)
def test_what_may_be_done_is_done(question: Question, phase: str, told: tuple[str, ...]) -> None:
    tree = Tree(a_child(phase=phase), a_child("kyle"))
    tree.core = Core  # type: ignore[method-assign]
    assert isinstance(asked(tree, question), Done)
    assert tree.told == [told]


@pytest.mark.parametrize(
    ("question", "phase"),
    [
        (Isolate("joey", "ann", WHY), "isolated"),
        (Release("joey", "ann", WHY), "running"),
        (Release("joey", "ann", WHY), "backing_off"),
        (Restart("joey", "ann", WHY), "isolated"),
        (Restart("joey", "ann", WHY), "quarantined"),
        (Inject("spin", "joey", "ann"), "backing_off"),
        (Inject("spin", "joey", "ann"), "quarantined"),
        (Restart("kenny", "ann", WHY), "running"),
        (Isolate("joey", "ann", "a\x1b[2Jb"), "running"),
    ],
)
def test_what_may_not_be_done_is_denied(question: Question, phase: str) -> None:
    tree = Tree(a_child(phase=phase))
    tree.core = Core  # type: ignore[method-assign]
    denied(tree, question)


def test_a_reason_that_holds_a_secret_is_not_written_down() -> None:
    tree = Tree()
    asked(tree, Isolate("joey", "ann", "call me at ann@example.com"))
    assert "example.com" not in tree.told[0][3]


def test_no_fault_is_injected_where_drills_are_not_allowed() -> None:
    answer = denied(Tree(), Inject("spin", "kyle", "ann"), no_drills="the mode is not PAPER")
    assert "PAPER" in answer.what


def test_an_agent_that_is_held_is_not_drilled() -> None:
    assert denied(Tree(), Inject("spin", "joey", "ann")).is_busy


def test_what_the_watchdog_refuses_is_told_with_its_reason() -> None:
    tree = Tree()
    tree.error = Unacceptable("it will not", to_do="ask it nicely")
    assert denied(tree, Restart("kyle", "ann", WHY)) == Denied("it will not", "ask it nicely")


def test_whatever_raises_the_watchdog_goes_on() -> None:
    tree = Tree()
    tree.error = ZeroDivisionError()
    assert "ZeroDivisionError" in denied(tree, Restart("kyle", "ann", WHY)).what


def test_isolations_are_counted_apart() -> None:
    """Nothing else may use up theirs; and even they are not without end."""
    tree = Tree()
    desk = WatchdogDesk(tree, monotonic=lambda: 0)
    for _ in range(PER_MINUTE):
        desk.answer(encode(Restart("kyle", "ann", WHY)))
    assert isinstance(answer_in(desk.answer(encode(Restart("kyle", "ann", WHY)))), Denied)
    for _ in range(PER_MINUTE):
        assert isinstance(answer_in(desk.answer(encode(Isolate("kyle", "ann", WHY)))), Done)
    assert isinstance(answer_in(desk.answer(encode(Isolate("kyle", "ann", WHY)))), Denied)


QUESTIONS = st.one_of(
    st.just(Look()),
    st.builds(Listen, st.integers(0, 2**62), st.integers(0, 2**62)),
    st.builds(Isolate, st.sampled_from(["kyle", "id"]), st.just("ann"), st.just(WHY)),
    st.builds(Inject, st.sampled_from(["spin", "lie"]), st.sampled_from(["kyle", "id"]), st.just("ann")),
)


@given(QUESTIONS)
def test_a_question_has_one_spelling(question: Question) -> None:
    line = encode(question)
    assert question_in(line) == question
    assert question_in(line + b" ") is None
    assert question_in(line.replace(b":", b": ", 1)) is None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b'{"ask":"look","more":1}',
        b'{"ask":"inject","fault":"sulk","agent":"joey","by":"ann"}',
        b'{"ask":"inject","fault":"spin","agent":"core","by":"ann"}',
        b'{"ask":"isolate","agent":"joey","by":"Ann!","reason":"a good reason"}',
        b'{"ask":"isolate","agent":"joey","by":"ann","reason":"x"}',
        b'{"ask":"look"}' + b" " * 9_000,
        b"\xff\xfe",
        b"[" * 10_000,
    ],
)
def test_nothing_else_is_a_question(line: bytes) -> None:
    tree = Tree()
    assert isinstance(answer_in(WatchdogDesk(tree, monotonic=lambda: MINUTE_NS).answer(line)), Denied)
    assert tree.told == []
