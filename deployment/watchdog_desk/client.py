"""The other side of the Watchdog's desk: one question to the Watchdog of a state folder, and its answer."""

from __future__ import annotations

from pathlib import Path
from typing import overload

from deployment.desk.client import DeskDenied, HouseSilent, exchanged, unanswered
from deployment.desk.words import Denied
from deployment.watchdog_desk import words
from deployment.watchdog_desk.words import SOCKET, Done, Heard, Question, Seen


@overload
def ask(state: Path, question: words.Look) -> Seen: ...
@overload
def ask(state: Path, question: words.Listen) -> Heard: ...
@overload
def ask(state: Path, question: words.Isolate | words.Release | words.Restart | words.Inject) -> Done: ...


def ask(state: Path, question: Question) -> Seen | Heard | Done:
    """The answer of the Watchdog that supervises the house on this state folder.

    Raises:
        HouseSilent: none does (an embedded house has no Watchdog of its own), it is busy, or it did not answer.
        DeskDenied: it says why not.
    """
    answer = words.answer_in(exchanged(state, words.encode(question), SOCKET))
    if answer is None:
        raise unanswered(state, "the Watchdog ended the connection without an answer that can be read")
    if isinstance(answer, Denied):
        kind = HouseSilent if answer.is_busy else DeskDenied
        raise kind(answer.what, to_do=answer.to_do)
    return answer
