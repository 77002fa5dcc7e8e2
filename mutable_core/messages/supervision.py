"""What supervision leaves in the log: who was held back and given the word again, who ended, and what was done to whom.

All four come from the Watchdog and are inputs, so a replay reads them and does the same.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from mutable_core.messages.market import Body

HeldWhy = Literal["late", "ended", "quarantined", "isolated"]


class AgentHeld(Body, frozen=True, tag="control.agent_held/1"):
    """From here on the log goes on without `agent`: what it has not answered is put aside, in order.

    Attributes:
        from_position: the first log position that it has not answered; what it hears from there on is put aside.
        why: it did not answer in time, its process ended, the Watchdog quarantined it, or a person isolated it.
        by: `watchdog`, or the person's name.
        detail: what was seen, for a person.
    """

    IS_INPUT: ClassVar[bool] = True
    agent: str
    from_position: int
    why: HeldWhy
    by: str
    detail: str


class AgentReleased(Body, frozen=True, tag="control.agent_released/1"):
    """`agent` is given, in order, what was put aside; what it says to it follows in the log.

    A hold that stands later in the log is not lifted by it.
    """

    IS_INPUT: ClassVar[bool] = True
    agent: str
    by: str
    detail: str


class AgentEnded(Body, frozen=True, tag="control.agent_ended/1"):
    """The crash record of one process.

    Attributes:
        incarnation: 1-based; each process of the agent has the next one.
        how: the signal or exit code, for a person.
        position: the last log position that it had answered.
    """

    IS_INPUT: ClassVar[bool] = True
    agent: str
    incarnation: int
    how: str
    position: int


class FaultInjected(Body, frozen=True, tag="control.fault_injected/1"):
    """A drill: `agent` was made to misbehave. PAPER only."""

    IS_INPUT: ClassVar[bool] = True
    fault: str
    agent: str
    by: str
