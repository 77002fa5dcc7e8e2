"""What the bus and those who listen to it ask of each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from mutable_core.errors import ArkError
from mutable_core.messages import AnyBody, Envelope

Tap = Callable[[Envelope, int], None]
"""Sees every appended message with the monotonic ns at which it was sequenced."""

Unanswered = Callable[[str, ArkError], None]
"""Told which agent the bus has just held back, and why: `AgentLate`, `AgentGone` or `AgentMisbehaved`."""


class Speaker(Protocol):
    """What the bus needs to know of a message to append: body and, where it is not the heard one, its cause."""

    @property
    def body(self) -> AnyBody: ...
    @property
    def cause(self) -> Any: ...


class Listener(Protocol):
    """An agent as the bus sees it, wherever it lives.

    Attributes:
        hears: body types that it is told, and asked about.
        says: body types that it may say.
        reports: input body types that may be appended in its name.
        folds: body types that it is told besides, and not asked about.
    """

    name: str
    hears: tuple[type, ...]
    says: frozenset[type]
    reports: frozenset[type]
    folds: frozenset[type]

    def tell(self, row: bytes, envelope: Envelope) -> None:
        """The message stands in the log; `row` is its canonical bytes. Never blocks, and never raises."""
        ...

    def answer(self, envelope: Envelope) -> tuple[Sequence[Speaker], Any]:
        """What is said and what is wanted because of `envelope`; what is wanted may be anything that can be false.

        Called once for each message told, in their order; once more after it has raised one of these, when the
        agent was released:

        Raises:
            AgentLate: no answer within the patience.
            AgentGone: nobody there to answer within the patience.
            AgentMisbehaved: what came was no answer to it.
        """
        ...
