"""The hands of an agent in a process of its own: its only contact with the world, and what the core asks of it there.

Everything here runs in the agent's process, in the task that also decides and answers the Watchdog.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from agents.runtime.agent import Want
from mutable_core.messages import Envelope

Back = Callable[[str, bytes], bytes]
"""Asks the core something in the midst of a call, and waits for what it says: `back(what, payload)`.

Meanwhile pings are answered, and what the core lets the hands know of the log reaches `fold` at once; what the agent
hears waits until the call is over. Raises what the core raised, or `CallGivenUp`.
"""


class CallGivenUp(Exception):
    """The core has stopped waiting for this call: the process ends, and its successor begins from the log."""


class Hands(Protocol):
    """What is done because of decisions. No method may take longer than the lease, but for its `back`."""

    def attach(self, state: Callable[[], Any]) -> None:
        """Called once, before anything else: `state()` is the agent's state as it is now."""
        ...

    def fold(self, envelope: Envelope) -> None:
        """A message stands in the log, of a kind that the hands must know of. In log order; before it is decided on."""
        ...

    def want(self, wants: Sequence[Want]) -> None:
        """What a decision wants. Wanted again when a successor decides again on what its predecessor heard."""
        ...

    def call(self, what: str, payload: bytes, back: Back) -> bytes:
        """The core asks for something. An `ArkError` reaches the core as itself; anything else ends the process."""
        ...

    def kept(self) -> bytes | None:
        """All that `resume` needs to go on from here; None while something is on its way that only the log can tell."""
        ...

    def resume(self, kept: bytes) -> None:
        """Go on where a predecessor stood when it was kept."""
        ...
