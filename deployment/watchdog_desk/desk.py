"""The Watchdog's desk: a question in, an answer out; what is asked for is begun here and followed with `Look`.

It runs in the Watchdog's own loop and never waits. What it cannot read, does not know or may not accept is denied before
anything happens.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable

import msgspec

from deployment.desk.allowance import Allowance
from deployment.desk.words import LINE_MAX, Denied
from deployment.watchdog_desk import words
from deployment.watchdog_desk.port import AtCore, Core, Supervised
from deployment.watchdog_desk.words import Answer, Child, Done, Heard, Question, Seen
from mutable_core.clock import monotonic_ns
from mutable_core.errors import ArkError
from mutable_core.privacy import redacted
from watchdog.policy import SHUT_OUT

PER_MINUTE = 60
"""Acts; isolations are counted apart, so that nothing else can use up theirs."""
LOOKS_PER_MINUTE = 6_000
"""A drill looks often."""

_UNREADABLE = Denied("the Watchdog's desk cannot read this question", "use the `ark` of the same build as the house")


class WatchdogDesk:
    """Answers for one Watchdog.

    Args:
        no_drills: why no fault may be injected here: the mode, or the setting; empty where it may.
        monotonic: ns of a clock that never jumps; injected so that tests need not wait.
    """

    def __init__(
        self, watchdog: Supervised, *, no_drills: str = "", monotonic: Callable[[], int] = monotonic_ns
    ) -> None:
        self._watchdog = watchdog
        self._no_drills = no_drills
        self._monotonic = monotonic
        self._isolations = Allowance(PER_MINUTE, monotonic)
        self._acts = Allowance(PER_MINUTE, monotonic)
        self._looks = Allowance(LOOKS_PER_MINUTE, monotonic)

    def answer(self, line: bytes) -> bytes:
        """What follows from one line, without its end."""
        return words.encode(self._answered(line))

    def _answered(self, line: bytes) -> Answer:
        try:
            question = words.question_in(line) if len(line) <= LINE_MAX else None
            return _UNREADABLE if question is None else self._asked(question)
        except ArkError as error:
            return Denied(error.what, error.to_do)
        except Exception as error:  # noqa: BLE001  # error = refusal, whatever it is; the Watchdog must not end with it
            return Denied(f"the Watchdog's desk could not answer: it raised `{type(error).__name__}`", "report it")

    def _asked(self, question: Question) -> Answer:
        allowance = self._allowance(question)
        if not allowance.takes_one():
            what = f"more than {allowance.per_minute} of these came within a minute"
            return Denied(what, "wait a little", is_busy=True)
        match question:
            case words.Look():
                return self._seen()
            case words.Listen(from_ns, until_ns):
                return self._heard(from_ns, until_ns)
            case _:
                return self._unprintable(question) or self._acted(question)

    def _allowance(self, question: Question) -> Allowance:
        match question:
            case words.Isolate():
                return self._isolations
            case words.Look() | words.Listen():
                return self._looks
            case _:
                return self._acts

    def _unprintable(self, question: Question) -> Denied | None:
        """It goes into the log, and from there to terminals."""
        texts = [
            value for value in map(question.__getattribute__, question.__struct_fields__) if isinstance(value, str)
        ]
        if all(text.isprintable() for text in texts):
            return None
        return Denied("a text holds characters that cannot be printed", "leave them away")

    def _seen(self) -> Seen:
        core = self._watchdog.core()
        alerts = tuple(self._watchdog.alerts())
        return Seen(self._monotonic(), self._no_drills, core.folder, core.rows, self._children(core), alerts)

    def _children(self, core: Core) -> tuple[Child, ...]:
        return tuple(_with(child, core.agents.get(child.name)) for child in self._watchdog.children())

    def _heard(self, from_ns: int, until_ns: int) -> Heard | Denied:
        beats: dict[str, tuple[int, ...]] = {}
        for child in self._watchdog.children():
            if child.is_agent:
                stamps = self._watchdog.beats(child.name)
                within = stamps[bisect_left(stamps, from_ns) : bisect_right(stamps, until_ns)]
                beats[child.name] = tuple(stamp - from_ns for stamp in within)
        if sum(map(len, beats.values())) > words.BEATS_MAX:
            return Denied("these are too many heartbeats for one answer", "ask for a shorter time")
        return Heard(beats)

    def _acted(self, question: words.Isolate | words.Release | words.Restart | words.Inject) -> Done | Denied:
        child = next((one for one in self._children(self._watchdog.core()) if one.name == question.agent), None)
        if child is None:
            return Denied(f"`{question.agent}` is not supervised here", "see `ark agents status`")
        at_ns, name = self._monotonic(), child.name
        match question:
            case words.Isolate(by=by, reason=reason):
                if child.phase == "isolated":
                    return Denied(f"`{name}` is isolated already", "`ark agents release` lets it back")
                self._watchdog.isolate(name, by, redacted(reason))
                return Done(f"`{name}` is isolated until a person releases it", at_ns)
            case words.Release(by=by, reason=reason):
                if child.phase not in SHUT_OUT:
                    return Denied(f"`{name}` is neither isolated nor quarantined: it is {_said(child)}")
                self._watchdog.release(name, by, redacted(reason))
                return Done(f"`{name}` is started, and heard again once it has passed its probe", at_ns)
            case words.Restart(by=by, reason=reason):
                if child.phase in SHUT_OUT:
                    return Denied(f"`{name}` is {_said(child)}", "`ark agents release` lets it back")
                self._watchdog.restart(name, by, redacted(reason))
                return Done(f"`{name}` is started again from its state", at_ns)
            case words.Inject(fault=fault, by=by):
                return self._injected(child, fault, by, at_ns)

    def _injected(self, child: Child, fault: str, by: str, at_ns: int) -> Done | Denied:
        if self._no_drills:
            return Denied(f"no fault is injected here: {self._no_drills}", "drill in a paper house of your own")
        if child.phase != "running" or child.held:
            return Denied(
                f"`{child.name}` is {child.held or _said(child)}: a drill begins with one that works", is_busy=True
            )
        self._watchdog.inject(child.name, fault, by)
        return Done(f"`{child.name}` was told to do this: {fault}", at_ns)


def _with(child: Child, at_core: AtCore | None) -> Child:
    if at_core is None:
        return child
    return msgspec.structs.replace(child, pending=at_core.pending, refused=at_core.refused, held=at_core.held)


def _said(child: Child) -> str:
    return child.phase.replace("_", " ")
