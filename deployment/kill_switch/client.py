"""The other side of the kill switch: one question on its socket in the state folder, and its answer."""

from __future__ import annotations

from pathlib import Path

from deployment.desk.client import DeskDenied, HouseSilent, exchanged, unanswered
from deployment.desk.words import Denied
from deployment.kill_switch.words import SOCKET, Lifted, Looked, Pulled, Question, Withdrawn, answer_in, encode


def is_there(state: Path) -> bool:
    """Whether a kill switch stands by, or did when it ended."""
    return (state / SOCKET).exists()


def ask(state: Path, question: Question) -> Pulled | Lifted | Withdrawn | Looked:
    """Its answer.

    Raises:
        HouseSilent: none stands by there, or it did not answer.
        DeskDenied: it says why not.
    """
    answer = answer_in(exchanged(state, encode(question), SOCKET))
    if answer is None:
        raise unanswered(state, "the kill switch gave no answer that can be read")
    if isinstance(answer, Denied):
        kind = HouseSilent if answer.is_busy else DeskDenied
        raise kind(answer.what, where="kill switch", to_do=answer.to_do)
    return answer
