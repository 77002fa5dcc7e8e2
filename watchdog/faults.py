"""The faults that a drill can put into a running agent: each by its name, what the agent does, and what must catch it.

The code that misbehaves lives in `agents/runtime/faults.py`, in the agent's own process; this is the catalogue.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import msgspec

FaultName: TypeAlias = Literal[
    "crash", "exit", "segfault", "hang_async", "hang_sync", "spin", "redos", "leak", "fork_bomb", "flood", "lie", "replay"
]  # fmt: skip
FAULTS_ALL: tuple[FaultName, ...] = get_args(FaultName)


class Fault(msgspec.Struct, frozen=True):
    """One fault.

    Attributes:
        does: what the agent does, for people.
        caught_by: what must see it first: its `death`, its missing `beats`, or its `words` on the work socket.
    """

    name: FaultName
    does: str
    caught_by: Literal["death", "beats", "words"]


FAULTS: tuple[Fault, ...] = (
    Fault("crash", "raises an exception in the loop that decides", "death"),
    Fault("exit", "ends itself at once, with exit code 0 and without a word", "death"),
    Fault("segfault", "reads at address 0", "death"),
    Fault("hang_async", "waits for an event that never comes", "beats"),
    Fault("hang_sync", "sleeps in a call that blocks", "beats"),
    Fault("spin", "computes for ever", "beats"),
    Fault("redos", "matches a catastrophic regular expression, in C, and lets nothing else run", "beats"),
    Fault("leak", "takes memory until it gets no more, and answers nothing meanwhile", "beats"),
    Fault("fork_bomb", "forks until it may not", "death"),
    Fault("flood", "sends answers without end", "words"),
    Fault("lie", "says what only the Watchdog may say, before it is asked", "words"),
    Fault("replay", "sends an old answer again", "words"),
)
BY_NAME: dict[str, Fault] = {fault.name: fault for fault in FAULTS}
