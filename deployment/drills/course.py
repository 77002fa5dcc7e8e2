"""What a fault led to, worked out from the Watchdog's own stamps: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from deployment.watchdog_desk.words import Happened

_SEEN = ("suspected", "ended", "killed", "quarantined", "isolated")
_CUT_OFF = ("killed", "ended", "quarantined", "isolated")
_SHUT_OUT = ("quarantined", "isolated")
_START = ("killed", "ended", "probing")


class Course(NamedTuple):
    """When what came; ns of the monotonic clock, None for what has not come yet.

    Attributes:
        injected_ns: when the agent was told to misbehave.
        detected_ns: the first sign that the Watchdog saw.
        isolated_ns: from when on the agent could not be heard any more.
        start_ns: when what it takes to start it again began: its end, or, where it was shut out, the fork for its probe.
        caught_up_ns: when the new incarnation had its state and what it had missed.
        back_ns: when it was heard again: then, or, where it was shut out, once its probe had passed.
        is_out: it is shut out: time, or a person, lets it back.
        signs: what happened to it, in order, for people.
    """

    injected_ns: int
    detected_ns: int | None = None
    isolated_ns: int | None = None
    start_ns: int | None = None
    caught_up_ns: int | None = None
    back_ns: int | None = None
    is_out: bool = False
    signs: tuple[str, ...] = ()


def course(happened: Sequence[Happened], asked_ns: int) -> Course | None:
    """The course of the fault that was asked for at this time; None as long as it was not injected.

    Args:
        happened: to the agent, oldest first.
        asked_ns: when the Watchdog was asked to inject it.
    """
    since = [one for one in happened if one.at_ns >= asked_ns]
    injected = next((one for one in since if one.what == "injected"), None)
    if injected is None:
        return None
    after = since[since.index(injected) + 1 :]
    caught = next((one for one in after if one.what == "caught_up" and one.incarnation > injected.incarnation), None)
    before = after if caught is None else after[: after.index(caught)]
    starts = [one.at_ns for one in before if one.what in _START]
    was_out = any(one.what in _SHUT_OUT for one in before)
    readmitted = _first(after, ("readmitted",)) if was_out else None
    caught_ns = caught.at_ns if caught is not None else None
    return Course(
        injected.at_ns,
        _first(before, _SEEN),
        _first(before, _CUT_OFF),
        starts[-1] if starts else None,
        caught_ns,
        readmitted if was_out else caught_ns,
        was_out and readmitted is None,
        tuple(f"{one.what}: {one.detail}" if one.detail else one.what for one in after),
    )


def _first(happened: Iterable[Happened], whats: Sequence[str]) -> int | None:
    return next((one.at_ns for one in happened if one.what in whats), None)


Gaps: TypeAlias = tuple[int, ...]
"""Between heartbeats of several agents, ns, smallest first."""


def gaps(beats: Mapping[str, Sequence[int]], until_ns: int) -> Gaps:
    """Of these agents' beats, oldest first; a silence that lasts at `until_ns` counts as a gap that ends there."""
    return tuple(
        sorted(
            later - earlier
            for stamps in beats.values()
            if stamps
            for earlier, later in pairwise((*(stamp for stamp in stamps if stamp <= until_ns), until_ns))
        )
    )


def worst(found: Gaps) -> int:
    """0 where there is none."""
    return found[-1] if found else 0


def p999(found: Gaps) -> int:
    """The nearest rank of 99.9 %: the smallest that 99.9 % do not exceed; 0 where there is none."""
    return found[-(-len(found) * 999 // 1000) - 1] if found else 0
