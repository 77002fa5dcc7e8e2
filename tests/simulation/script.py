"""A script: everything that is not the house, drawn from one seed before anything begins.

What goes wrong is a list of faults, each with its moment, its kind, whom it hits and how hard. No number is drawn while
the house runs: a run without some of the faults is a run of its own, which is how a failing seed shrinks.

Swarm: each seed switches most kinds off, and draws for each of the others how often it happens. A run in which
everything goes wrong at once finds less than many in which few things do.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log
from random import Random

import msgspec

AGENTS = ("kyle", "joey", "hrm", "kenny", "aletheia", "id")
INSTRUMENTS = ("A", "B", "C")


class Kind(msgspec.Struct, frozen=True):
    """One thing that can go wrong.

    Attributes:
        targets: whom it can hit; one of them is drawn.
        sizes: how hard, drawn evenly from all of [first, last]; what it counts is said by who does it.
        weight: how often this kind is on, against the others: 1 is usual.
        most: so many times in a run at most.
        apart_s: so far from the one before at least. Whoever is garbled without end is rightly not believed any more.
    """

    targets: tuple[str, ...] = ("",)
    sizes: tuple[int, int] = (1, 1)
    weight: float = 1.0
    most: int = 40
    apart_s: int = 0


KINDS: dict[str, Kind] = {
    # agents: sizes are messages for `crash` (which one it dies on), seconds or ms for the others
    "crash": Kind(AGENTS, (1, 4)),
    "crash_loop": Kind(AGENTS, (2, 20), 0.6, 3),  # s: every incarnation dies on its first message
    "slow_birth": Kind(AGENTS, (50, 3_000), 0.7, 6),  # ms: the next incarnation takes so long
    "hang": Kind(AGENTS, (1, 4)),  # the message with which it stops answering; only a kill ends it
    "slow": Kind(AGENTS, (5, 200), 0.7),  # ms: so long the next answer takes
    "lie": Kind(AGENTS, (1, 3), 0.6, 5),  # it says what it may not say
    "isolate": Kind(AGENTS, (5, 60), 0.6, 3),  # s: a person takes it out, and lets it in again
    # the line to the venue, and the venue: sizes are calls, unless they are said to be seconds
    "place_lost": Kind(sizes=(1, 3)),
    "place_answer_lost": Kind(sizes=(1, 3)),
    "place_late": Kind(sizes=(1, 24)),  # s until it arrives; less than the house waits before it believes a denial
    "cancel_lost": Kind(sizes=(1, 2), weight=0.4),
    "events_silent": Kind(sizes=(1, 4), apart_s=20),
    "events_late": Kind(sizes=(1, 4), apart_s=20),  # the newest so many are not told yet
    "events_doubled": Kind(sizes=(1, 4), apart_s=20),
    "events_reordered": Kind(sizes=(1, 4), apart_s=20),
    "lookup_silent": Kind(sizes=(1, 4)),
    "stalled": Kind(sizes=(3, 20), most=12),  # s: the whole machine stands still, in a question to the venue
    "statement_silent": Kind(sizes=(1, 3)),
    "venue_down": Kind(sizes=(2, 45), most=4),  # s
    "rejects": Kind(sizes=(1, 4)),
    "symbol_halted": Kind(INSTRUMENTS, (10, 90), most=4),  # s: the venue rejects the instrument
    "foreign_order": Kind(INSTRUMENTS, (1, 1), 0.06, 1),  # somebody else trades the account
    # the authority, the Watchdog, the disk, the house
    "authority_silent": Kind(sizes=(1, 3)),
    "watchdog_frozen": Kind(sizes=(4, 20), weight=1.5, most=12),  # s
    "disk_full": Kind(sizes=(0, 0), weight=0.4, most=2),
    "disk_answer_lost": Kind(sizes=(0, 0), weight=0.4, most=2),  # it was written, and an error was said
    "power_cut": Kind(("turn", "before_commit", "after_commit", "before_place", "after_place"), (0, 20), 1.0, 6),  # s down
    # the market: seconds for `gap`, rows for the others
    "gap": Kind(sizes=(3, 120), most=3),
    "spike": Kind(INSTRUMENTS),  # one row that nothing confirms
    "split": Kind(INSTRUMENTS, (1, 1), 2.0, 3),  # rows that confirm each other, until the next split; see `_PROMPT`
    "not_a_number": Kind(INSTRUMENTS, (1, 4)),
    "crossed": Kind(INSTRUMENTS, (1, 3)),
    "thin": Kind(INSTRUMENTS, (5, 60), most=8),
    # people
    "halt": Kind(("reduce_only", "halted"), (5, 60), 0.8, 5),  # s until somebody asks to resume
    "veto": Kind(INSTRUMENTS, (5, 90), 0.4, 3),  # s
    "drill": Kind(("oversize", "no_stop", "over_leveraged", "unknown_instrument", "not_a_number"), (0, 0), 0.3, 3),
}  # fmt: skip

_PROMPT = frozenset(
    {"split", "rejects", "symbol_halted", "authority_silent", "gap", "spike", "not_a_number", "crossed", "thin", "veto",
     "halt", "drill"}
)  # fmt: skip
"""The only kinds in a run with splits. A fill that we hear after a split, and that was before it, is in old units, and
nothing in it says so: books and venue differ then, Aletheia says that they do, and nothing is opened. Known, and safe."""
_SHARE_PROMPT = 0.06
_SHARE_ON = 0.3
_EVERY_S = (6.0, 240.0)  # between two faults of a kind that is on, on average: drawn from here, evenly in its logarithm


class Fault(msgspec.Struct, frozen=True, array_like=True):
    """`at` is the second of the run; `kind` one of `KINDS`."""

    at: int
    kind: str
    target: str = ""
    size: int = 0


class Script(msgspec.Struct, frozen=True):
    """One run.

    Attributes:
        seconds: of market, at 1 Hz.
        calm: the second from which nothing goes wrong any more, so that everything can come to its end.
        bar_s: length of the bars that Joey decides on.
        commit_every: turns after which what waits for no order is committed too.
        is_greedy: Joey is a twin who asks for too much, twice.
    """

    seed: int
    seconds: int
    calm: int
    bar_s: int
    commit_every: int
    is_greedy: bool
    faults: tuple[Fault, ...]

    def with_faults(self, faults: Sequence[Fault]) -> Script:
        return msgspec.structs.replace(self, faults=tuple(faults))


CALM_S = 210
"""Long enough for an order to be unknown, to be looked for twice half a minute apart, and for a quarantine to end."""
SECONDS = 900


def drawn(seed: int, seconds: int = SECONDS) -> Script:
    """The script of this seed."""
    chance = Random(f"ark simulation {seed} {seconds}")
    calm = max(seconds - CALM_S, 1)
    bar_s = chance.choice((30, 60, 60, 120))
    commit_every = chance.choice((1, 4, 16))
    is_greedy = chance.random() < 0.15
    is_prompt = chance.random() < _SHARE_PROMPT
    faults: list[Fault] = []
    for name, kind in KINDS.items():
        is_on = chance.random() < _SHARE_ON * kind.weight
        if is_on and (name in _PROMPT if is_prompt else name != "split"):
            faults += _of_kind(chance, name, kind, calm)
    faults.sort(key=lambda fault: fault.at)
    return Script(seed, seconds, calm, bar_s, commit_every, is_greedy, tuple(faults))


def _of_kind(chance: Random, name: str, kind: Kind, calm: int) -> list[Fault]:
    low, high = _EVERY_S
    every_s = exp(chance.uniform(log(low), log(high)))
    found: list[Fault] = []
    at = chance.expovariate(1 / every_s)
    while at < calm and len(found) < kind.most:
        found.append(Fault(int(at), name, chance.choice(kind.targets), chance.randint(*kind.sizes)))
        at += max(kind.apart_s, chance.expovariate(1 / every_s))
    return found


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[Fault, ...], strict=True).decode


def written(faults: Sequence[Fault]) -> str:
    """For a command line."""
    return _encode(tuple(faults)).decode()


def read(text: str) -> tuple[Fault, ...]:
    """What `written` wrote.

    Raises:
        ValueError: it is no list of faults, or a kind or target does not exist.
    """
    try:
        faults = _decode(text.encode())
    except msgspec.MsgspecError as error:
        raise ValueError(f"this is no list of faults: {error}") from error
    for fault in faults:
        if fault.kind not in KINDS or fault.target not in KINDS[fault.kind].targets:
            raise ValueError(f"there is no fault `{fault.kind}` of `{fault.target}`")
    return tuple(sorted(faults, key=lambda fault: fault.at))
