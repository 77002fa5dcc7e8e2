"""The bus: one order for everybody, nothing said that may not be said, and replay says it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.runtime.agent import Agent, FetchStatement, Say, Step, cause_of
from agents.runtime.hosted import Hosted
from mutable_core.bus.ordering import Bus
from mutable_core.errors import (
    AgentFailed,
    AgentGone,
    AgentLate,
    AgentMisbehaved,
    ArkError,
    CapabilityExceeded,
    DiskUnavailable,
    ReplayDiverged,
    UnknownName,
)
from mutable_core.ids import derived_id
from mutable_core.journal import Journal
from mutable_core.messages import (
    AgentHeld,
    DiscrepancyFound,
    Envelope,
    InputRejected,
    NothingProposed,
    SliceClosed,
    SourceEnded,
    StatementWanted,
    VenueStated,
    decode,
    encode,
)
from tests.mutable_core.toys import (
    CLOSER,
    COUNTER,
    ECHO,
    EDGES,
    QUIET,
    TOYS,
    a_bus,
    an_agent,
    answering,
    log,
    told,
    with_envelopes,
)

STATED = VenueStated(0, 0, (), ())


def a_recorded_run(inputs: int = 6) -> list[bytes]:
    bus = a_bus()
    for number in range(1, inputs + 1):
        told(bus, number)
        bus.run()
    return log(bus)


# -- order and delivery -----------------------------------------------------------------------------------------------


def test_every_listener_hears_exactly_its_kinds_in_log_order() -> None:
    heard: dict[str, list[tuple[int, type]]] = {"a": [], "b": [], "c": []}

    def listening(name, *kinds):
        def decide(count: int, envelope: Envelope) -> Step[int]:
            heard[name].append((envelope.seq, type(envelope.body)))
            return Step(count)

        return an_agent(name, kinds, (), decide)

    bus = a_bus(
        [
            listening("a", SliceClosed),
            COUNTER,
            listening("b", InputRejected, SourceEnded),
            ECHO,
            listening("c", SliceClosed, StatementWanted, InputRejected),
        ]
    )
    for number in range(1, 8):
        told(bus, number)
    told(bus, 8, SourceEnded(7))
    bus.run()
    written = [(envelope.seq, type(envelope.body)) for _, envelope in with_envelopes(log(bus))]
    wanted = {
        "a": {SliceClosed},
        "b": {InputRejected, SourceEnded},
        "c": {SliceClosed, StatementWanted, InputRejected},
    }
    for name, kinds in wanted.items():
        assert heard[name] == [one for one in written if one[1] in kinds], name
        assert heard[name]


def test_listeners_hear_a_message_in_their_order_and_answers_stand_behind_all_that_was_appended() -> None:
    first = answering("first", SliceClosed, QUIET)
    second = answering("second", SliceClosed, StatementWanted(2))
    third = answering("third", NothingProposed, DiscrepancyFound("x", "trace_broken", ""))
    bus = a_bus([first, second, third])
    told(bus, 1)
    told(bus, 2)
    bus.run()
    assert [(e.author, e.body.__class__.__name__) for _, e in with_envelopes(log(bus))] == [
        ("world", "SliceClosed"),
        ("world", "SliceClosed"),  # both inputs were appended before anything was delivered
        ("first", "NothingProposed"),
        ("second", "StatementWanted"),
        ("first", "NothingProposed"),
        ("second", "StatementWanted"),
        ("third", "DiscrepancyFound"),
        ("third", "DiscrepancyFound"),
    ]


def test_positions_are_contiguous_and_causes_are_those_that_were_heard() -> None:
    """I6: each message names its cause, stands in its trace, and is one deeper."""
    rows = [envelope for _, envelope in with_envelopes(a_recorded_run())]
    by_id = {envelope.id: envelope for envelope in rows}
    assert [envelope.seq for envelope in rows] == list(range(1, len(rows) + 1))
    assert len(by_id) == len(rows)
    for envelope in rows:
        cause = by_id[envelope.cause_id]
        if envelope.author == "world":
            assert (cause, envelope.depth, envelope.trace_id) == (envelope, 0, envelope.id)
        else:
            assert cause.seq < envelope.seq
            assert (envelope.trace_id, envelope.depth) == (cause.trace_id, cause.depth + 1)
            assert (envelope.ts_event_ns, envelope.ts_seen_ns) == (cause.ts_event_ns, cause.ts_seen_ns)


def test_a_message_may_answer_an_earlier_cause_than_the_one_just_heard() -> None:
    """An observation decided on later: the trace is the cause's, the time is that of what was heard."""
    causes = []

    def decide(count: int, heard: Envelope) -> Step[int]:
        causes.append(cause_of(heard))
        return Step(count, (Say(QUIET, causes[0]),))

    bus = a_bus([an_agent("late", (SliceClosed,), (NothingProposed,), decide)])
    told(bus, 1)
    bus.run()
    told(bus, 2)
    bus.run()
    said = [envelope for _, envelope in with_envelopes(log(bus)) if envelope.author == "late"]
    first = derived_id("input", "1")
    assert [(e.trace_id, e.cause_id, e.ts_event_ns, e.ts_seen_ns) for e in said] == [
        (first, first, 1, 1),
        (first, first, 1, 2),
    ]


def test_taps_see_every_live_message_once_and_folds_see_theirs() -> None:
    bus, tapped, folded = a_bus(), [], []
    bus.taps.append(lambda envelope, stamp_ns: tapped.append((envelope.seq, stamp_ns)))
    bus.folds[InputRejected] = [folded.append]
    for number in range(1, 5):
        told(bus, number)
        bus.run()
    rows = with_envelopes(log(bus))
    assert [seq for seq, _ in tapped] == [envelope.seq for _, envelope in rows]
    assert [stamp for _, stamp in tapped] == sorted(stamp for _, stamp in tapped)
    assert folded == [envelope for _, envelope in rows if isinstance(envelope.body, InputRejected)]


def test_wishes_reach_whoever_grants_them_with_their_cause() -> None:
    def decide(count: int, heard: Envelope) -> Step[int]:
        return Step(count, (), (FetchStatement(cause_of(heard)),))

    bus, wanted = a_bus([an_agent("wisher", (SliceClosed,), (), decide)]), []
    bus.on_wants = wanted.extend
    sent = told(bus, 1)
    bus.run()
    assert wanted == [FetchStatement(cause_of(sent))]


def test_a_wish_that_nobody_grants_is_a_defect_and_is_said() -> None:
    def decide(count: int, heard: Envelope) -> Step[int]:
        return Step(count, (), (FetchStatement(cause_of(heard)),))

    bus = a_bus([an_agent("wisher", (SliceClosed,), (), decide)])
    told(bus, 1)
    with pytest.raises(AssertionError):
        bus.run()


def test_depth_is_what_waits_to_be_delivered() -> None:
    bus = a_bus()
    told(bus, 1)
    told(bus, 2)
    assert bus.depth == 2
    bus.run()
    assert bus.depth == 0


# -- who may say what -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("author", "body"),
    [
        ("nobody", SliceClosed(1, 1)),
        ("echo", SliceClosed(1, 1)),  # it hears slices; it does not report them
        ("world", STATED),  # an input, but another author's
        ("world", QUIET),  # not an input at all
        ("venue", SliceClosed(1, 1)),
    ],
)
def test_an_input_by_an_author_that_may_not_report_it_is_refused_and_not_appended(author: str, body) -> None:
    venue = an_agent("venue", (), (), lambda count, _heard: Step(count), reports=(VenueStated,))
    bus = a_bus([*TOYS, venue])
    with pytest.raises(CapabilityExceeded):
        bus.begin(author, body, derived_id("x"), 1, 1)
    assert (bus.journal.seq, bus.depth, log(bus)) == (0, 0, [])


def test_a_report_that_may_not_be_made_is_refused_and_not_appended() -> None:
    venue = an_agent("venue", (), (), lambda count, _heard: Step(count), reports=(VenueStated,))
    bus = a_bus([*TOYS, venue])
    cause = cause_of(told(bus, 1))
    with pytest.raises(CapabilityExceeded):
        bus.report("echo", STATED, cause, 1)
    assert bus.journal.seq == 1
    assert bus.report("venue", STATED, cause, 1).seq == 2


def test_what_an_agent_may_say_it_may_still_not_report() -> None:
    """`says` is decided on and recomputed; only `reports` come from the world."""
    bus = a_bus()
    with pytest.raises(CapabilityExceeded):
        bus.begin("echo", StatementWanted(1), derived_id("x"), 1, 1)
    assert bus.journal.seq == 0


def test_an_agent_that_says_what_it_may_not_say_is_stopped_and_nothing_of_it_is_appended() -> None:
    def decide(count: int, _heard: Envelope) -> Step[int]:
        return Step(count, (Say(StatementWanted(1)),))

    bus = a_bus([an_agent("liar", (SliceClosed,), (NothingProposed,), decide)])
    told(bus, 1)
    with pytest.raises(CapabilityExceeded, match="liar"):
        bus.run()
    assert len(log(bus)) == 1


# -- failure ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), RecursionError(), AssertionError(), MemoryError()])
def test_an_agent_that_raises_is_named_with_the_position_it_choked_on(error: Exception) -> None:
    def decide(_count: int, heard: Envelope) -> Step[int]:
        if heard.seq >= 3:
            raise error
        return Step(0)

    bus = a_bus([an_agent("brittle", (SliceClosed,), (), decide)])
    for number in (1, 2, 3):
        told(bus, number)
    with pytest.raises(AgentFailed) as raised:
        bus.run()
    assert "`brittle`" in raised.value.what
    assert "seq 3" in raised.value.where
    assert raised.value.__cause__ is error
    assert len(log(bus)) == 3


def test_a_journal_that_fails_stops_the_bus() -> None:
    bus = a_bus()
    bus.journal.close()
    told(bus, 1)
    with pytest.raises(DiskUnavailable):
        bus.journal.commit()


# -- replay -----------------------------------------------------------------------------------------------------------


def test_a_replay_says_every_message_again_byte_for_byte() -> None:
    """I7, and the count says how many rows were really compared."""
    rows = a_recorded_run()
    bus = a_bus()
    said = sum(not envelope.body.IS_INPUT for _, envelope in with_envelopes(rows))
    assert bus.replay(with_envelopes(rows)) == said > 0
    assert bus.end_replay() == 0


def test_nothing_is_appended_and_no_tap_hears_anything_during_a_replay() -> None:
    rows, bus, tapped, folded = a_recorded_run(), a_bus(), [], []
    bus.taps.append(lambda *call: tapped.append(call))
    bus.folds[StatementWanted] = [folded.append]
    bus.replay(with_envelopes(rows))
    assert (tapped, log(bus)) == ([], [])
    assert folded == [e for _, e in with_envelopes(rows) if isinstance(e.body, StatementWanted)]


def test_an_input_during_a_replay_is_refused() -> None:
    bus = a_bus()
    bus.replay(with_envelopes(a_recorded_run()))
    with pytest.raises(ReplayDiverged):
        told(bus, 99)


def undisturbed(batches: list[int]) -> tuple[list[bytes], int]:
    """A log of inputs given in batches, and how many inputs there were."""
    bus, number = a_bus(), 0
    for size in batches:
        for _ in range(size):
            number += 1
            told(bus, number)
        bus.run()
    return log(bus), number


def resumed(batches: list[int], rows: list[bytes], cut: int) -> list[bytes]:
    """The log after a crash that kept `cut` rows: replay, and the inputs that the world still has to give."""
    journal = Journal.in_memory()
    for row in rows[:cut]:
        journal.append(row, 0)
    journal.commit()
    bus = a_bus(journal=journal)
    bus.replay(with_envelopes(rows[:cut]))
    bus.end_replay()
    known = sum(decode(row).author == "world" for row in rows[:cut])
    number = 0
    for size in batches:
        for _ in range(size):
            number += 1
            if number > known:
                told(bus, number)
        if number >= known:
            bus.run()
    return log(bus)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6))
@settings(max_examples=12, deadline=None)
def test_a_run_cut_at_any_row_ends_as_the_undisturbed_one(batches: list[int]) -> None:
    """The heart: replay of a prefix, what was cut off, and the rest of the inputs give the same log, byte for byte."""
    rows, _ = undisturbed(batches)
    for cut in range(len(rows) + 1):
        assert resumed(batches, rows, cut) == rows, f"cut after row {cut}"


def test_a_run_cut_twice_still_ends_as_the_undisturbed_one() -> None:
    batches = [2, 1, 3, 1]
    rows, _ = undisturbed(batches)
    for first in range(0, len(rows), 3):
        halfway = resumed(batches, rows, first)[: (first + len(rows)) // 2]
        assert resumed(batches, halfway, len(halfway)) == rows


def test_what_a_crash_cut_off_is_said_again_and_counted() -> None:
    rows = with_envelopes(a_recorded_run())
    counts = []
    for cut in range(len(rows) + 1):
        bus = a_bus(journal=Journal.in_memory())
        for row, _ in rows[:cut]:
            bus.journal.append(row, 0)
        bus.replay(rows[:cut])
        counts.append(bus.end_replay())
        assert log(bus) == [row for row, _ in rows[: cut + counts[-1]]]
    assert any(counts)


def says_other(count: int, heard: Envelope) -> Step[int]:
    step = CLOSER.decide(count, heard)
    return step if heard.seq < 20 else Step(step.state, tuple(Say(QUIET) for _ in step.says))


def says_less(count: int, heard: Envelope) -> Step[int]:
    step = CLOSER.decide(count, heard)
    return step if heard.seq < 20 else Step(step.state)


def says_more(count: int, heard: Envelope) -> Step[int]:
    step = CLOSER.decide(count, heard)
    return step if heard.seq < 20 else Step(step.state, (*step.says, Say(QUIET)))


def has_other_numbers(count: int, heard: Envelope) -> Step[int]:
    return CLOSER.decide(count + 2 * (heard.seq >= 20), heard)


@pytest.mark.parametrize("changed", [says_other, says_less, says_more, has_other_numbers])
def test_an_agent_that_says_something_else_more_or_less_diverges_at_a_named_row(changed) -> None:
    rows = with_envelopes(a_recorded_run(9))
    other = an_agent("closer", CLOSER.spec.hears, (*CLOSER.spec.says, NothingProposed), changed)
    bus = a_bus([COUNTER, ECHO, other])
    with pytest.raises(ReplayDiverged) as raised:
        bus.replay(rows)
    named = int(raised.value.what.split("row ")[1].split()[0])
    # All is the same until row 20 is heard; the row named is one that differs, or the first where one is missing.
    assert 20 < named <= rows[-1][1].seq
    again = a_bus([COUNTER, ECHO, other])
    again.replay(rows[: named - 1])


def test_an_agent_that_says_more_in_front_of_an_input_diverges_at_that_input() -> None:
    """Nothing that an agent says follows, so that only the input can show it."""
    bus = a_bus([answering("a", SliceClosed, QUIET)])
    told(bus, 1)
    bus.run()
    told(bus, 2, SourceEnded(1))
    bus.run()
    rows = with_envelopes(log(bus))
    talkative = an_agent("a", (SliceClosed,), (NothingProposed,), lambda n, _heard: Step(n, (Say(QUIET), Say(QUIET))))
    with pytest.raises(ReplayDiverged, match="row 3 "):
        a_bus([talkative]).replay(rows)


SAID = [index for index, row in enumerate(a_recorded_run(4)) if not decode(row).body.IS_INPUT]


@pytest.mark.parametrize("row", SAID)
def test_a_said_row_that_was_altered_diverges_at_that_row(row: int) -> None:
    """Every row that an agent said is compared."""
    rows = with_envelopes(a_recorded_run(4))
    data, _ = rows[row]
    altered = data.replace(b'"depth":', b'"depth":1')
    rows[row] = (altered, decode(altered))
    with pytest.raises(ReplayDiverged, match=f"row {row + 1} "):
        a_bus().replay(rows)


def test_a_row_that_no_agent_says_diverges() -> None:
    bus = a_bus([COUNTER])
    told(bus, 1)
    rows = with_envelopes(log(bus))
    forged = decode(rows[0][0])
    stranger = encode(
        Envelope(2, derived_id("s"), "counter", forged.trace_id, forged.id, 1, 1, 1, InputRejected("A", 1, "stale", ""))
    )
    with pytest.raises(ReplayDiverged, match="row 2"):
        a_bus([CLOSER]).replay([*rows, (stranger, decode(stranger))])


def test_an_agent_that_is_left_out_diverges() -> None:
    with pytest.raises(ReplayDiverged):
        a_bus([COUNTER, ECHO]).replay(with_envelopes(a_recorded_run()))


def test_two_buses_given_the_same_inputs_write_the_same_bytes() -> None:
    assert a_recorded_run() == a_recorded_run()


def test_the_bus_is_built_from_listeners_that_need_not_be_ours() -> None:
    """The port is five attributes, `tell` and `answer`; nothing of the runtime is needed."""

    class Plain:
        name = "plain"
        hears = (SliceClosed,)
        says = frozenset({NothingProposed})
        reports: frozenset[type] = frozenset()
        folds: frozenset[type] = frozenset()

        def tell(self, row, envelope):
            pass

        def answer(self, envelope):
            return [Say(QUIET)], []

    bus = Bus(Journal.in_memory(), [Plain()], {"world": frozenset({SliceClosed})})
    told(bus, 1)
    bus.run()
    assert len(log(bus)) == 2


# -- holding back -----------------------------------------------------------------------------------------------------


class Moody(Hosted):
    """A toy that does not answer when its mood is bad, and remembers what it was told and asked."""

    def __init__(self, agent: Agent, moods: dict[tuple[str, int], ArkError]) -> None:
        super().__init__(agent)
        self.moods = moods
        self.told: list[int] = []
        self.heard: list[int] = []
        self.held: Callable[[], Mapping[str, AgentHeld]] = dict

    def tell(self, row: bytes, envelope: Envelope) -> None:
        self.told.append(envelope.seq)

    def answer(self, envelope: Envelope):
        mood = self.moods.pop((self.name, envelope.seq), None)
        if mood is not None:
            raise mood
        hold = self.held().get(self.name)
        assert hold is None or envelope.seq < hold.from_position, "who is held is not asked"
        self.heard.append(envelope.seq)
        return super().answer(envelope)


def wishing(count: int, heard: Envelope) -> Step[int]:
    """Wants something now and then: a moment between two answers to one message."""
    wants = (FetchStatement(cause_of(heard)),) if heard.seq % 3 == 0 else ()
    return Step(count + 1, (Say(QUIET),) if count % 3 == 1 else (), wants)


WISHER = an_agent("wisher", (SliceClosed, StatementWanted), (NothingProposed,), wishing)
MOODY = (COUNTER, WISHER, ECHO, CLOSER)
NAMES = st.sampled_from([agent.spec.name for agent in MOODY])
ACTS = st.one_of(
    st.tuples(st.just("tell"), st.integers(1, 3)),
    st.tuples(st.just("run"), st.just(0)),
    st.tuples(st.just("hold"), NAMES),
    st.tuples(st.just("release"), NAMES),
)
MOODS = st.dictionaries(st.tuples(NAMES, st.integers(1, 60)), st.sampled_from([AgentLate, AgentGone, AgentMisbehaved]))


def a_moody_bus(moods: dict[tuple[str, int], ArkError]) -> tuple[Bus, list[Moody]]:
    moody = [Moody(agent, moods) for agent in MOODY]
    bus = Bus(Journal.in_memory(), moody, EDGES)
    bus.on_wants = lambda wants: None
    bus.on_unanswered = lambda name, error: None
    for one in moody:
        one.held = lambda: bus.held
    return bus, moody


def routed(rows: list[bytes], moody: Moody) -> list[int]:
    return [envelope.seq for _, envelope in with_envelopes(rows) if type(envelope.body) in moody.hears]


@given(st.lists(ACTS, max_size=25), MOODS, st.dictionaries(st.integers(1, 20), st.tuples(st.booleans(), NAMES)))
@example(acts=[("hold", "counter"), ("tell", 2)], moods={}, meddling={1: (False, "counter")})
@settings(max_examples=150, deadline=None)
def test_whoever_is_held_and_released_whenever_hears_everything_once_in_order_and_the_log_replays(
    acts: list[tuple[str, int | str]],
    moods: dict[tuple[str, int], type[ArkError]],
    meddling: dict[int, tuple[bool, str]],
) -> None:
    """Holds come between runs, because an answer does not come, and between two answers to one message."""
    bus, moody = a_moody_bus({at: mood("no") for at, mood in moods.items()})
    wishes = iter(range(1, 10_000))

    def meddle(_wants: object) -> None:
        holds, name = meddling.get(next(wishes), (False, ""))
        if name and holds:
            bus.hold(name, "isolated", "ann", "in the midst")
        elif name:
            bus.release(name, "ann", "in the midst")

    bus.on_wants = meddle
    number = 0
    for act, what in acts:
        if isinstance(what, int) and act == "tell":
            for _ in range(what):
                number += 1
                told(bus, number)
        elif act == "run":
            bus.run()
        elif act == "hold":
            bus.hold(str(what), "isolated", "ann", "")
        else:
            bus.release(str(what), "ann", "")
    bus.run()
    for one in moody:
        everything = routed(log(bus), one)
        assert one.told == everything
        assert one.heard == everything[: len(one.heard)], "nothing is skipped"
        assert one.name in bus.held or one.heard == everything
    replays_byte_for_byte(log(bus))

    bus.on_wants, _ = (lambda wants: None), moods.clear()
    while bus.held:
        for name in bus.held:
            bus.release(name, "ann", "")
        bus.run()
    for one in moody:
        assert one.heard == routed(log(bus), one)
    replays_byte_for_byte(log(bus))


def replays_byte_for_byte(rows: list[bytes]) -> None:
    """Also when it is cut anywhere: what follows then is what followed, as far as it was not decided by the world."""
    given_rows = with_envelopes(rows)
    bus, _ = a_moody_bus({})
    assert bus.replay(given_rows) == sum(not envelope.body.IS_INPUT for _, envelope in given_rows)
    bus.end_replay()
    bus.run()
    assert log(bus) == []
    cut = len(rows) // 2
    bus, _ = a_moody_bus({})
    bus.replay(given_rows[:cut])
    bus.replay(given_rows[cut:])
    assert bus.end_replay() == 0


@pytest.mark.parametrize(
    ("error", "why"), [(AgentLate, "late"), (AgentGone, "ended"), (AgentMisbehaved, "quarantined")]
)
def test_an_agent_that_does_not_answer_is_held_from_that_message_and_somebody_is_told(error, why) -> None:
    bus, _ = a_moody_bus({("counter", 2): error("no word")})
    heard_of = []
    bus.on_unanswered = lambda name, why: heard_of.append((name, type(why), set(bus.held)))
    for number in (1, 2, 3):
        told(bus, number)
    bus.run()
    assert bus.held["counter"] == AgentHeld("counter", 2, why, "watchdog", "no word")
    assert heard_of == [("counter", error, {"counter"})]
    assert [e.cause_id for _, e in with_envelopes(log(bus)) if e.author == "counter"] == [derived_id("input", "1")]


@pytest.mark.parametrize("error", [AgentLate, AgentGone, AgentMisbehaved])
def test_where_nobody_is_told_of_it_an_agent_that_does_not_answer_ends_the_run(error) -> None:
    bus, _ = a_moody_bus({("counter", 1): error("no word")})
    bus.on_unanswered = None
    told(bus, 1)
    with pytest.raises(error):
        bus.run()
    assert len(log(bus)) == 1


def test_an_agent_that_does_not_answer_during_a_replay_stops_it() -> None:
    """Nothing may be added to a log that is being read."""
    rows = with_envelopes(a_recorded_run())
    bus = Bus(Journal.in_memory(), [Moody(agent, {("echo", 2): AgentLate("no")}) for agent in TOYS], EDGES)
    bus.on_unanswered = lambda name, error: None
    with pytest.raises(AgentLate):
        bus.replay(rows)


def test_a_hold_in_the_midst_of_a_message_begins_with_it_for_whoever_has_not_answered_it() -> None:
    """For whoever has, it begins behind it: what was answered is not asked again."""
    bus, moody = a_moody_bus({})

    def meddle(_wants: object) -> None:
        for name in ("counter", "wisher", "echo"):
            bus.hold(name, "isolated", "ann", "")

    bus.on_wants = meddle
    for number in range(1, 7):
        told(bus, number)
    bus.run()
    assert moody[1].heard == [1, 2, 3], "the wisher has wished, and wishes no more"
    assert {name: held.from_position for name, held in bus.held.items()} == {"counter": 4, "wisher": 4, "echo": 3}


def test_an_agent_that_says_more_than_one_before_it_did_diverges_at_the_next_input() -> None:
    """Whatever the world says comes when everybody has been asked: nothing may be left to say."""
    bus = a_bus([answering("a", SliceClosed, QUIET), an_agent("b", (SliceClosed,), (), lambda n, _heard: Step(n))])
    told(bus, 1)
    bus.run()
    told(bus, 2, SourceEnded(1))
    bus.run()
    other = a_bus([answering("a", SliceClosed, QUIET), answering("b", SliceClosed, StatementWanted(1))])
    with pytest.raises(ReplayDiverged, match="row 3 "):
        other.replay(with_envelopes(log(bus)))


def test_a_second_hold_outlives_the_release_of_the_first_that_stands_before_it() -> None:
    """A person isolates somebody whom the Watchdog was about to let speak."""
    bus, moody = a_moody_bus({})
    bus.hold("counter", "late", "watchdog", "")
    told(bus, 1)
    bus.run()
    bus.release("counter", "watchdog", "")
    bus.hold("counter", "isolated", "ann", "not yet")
    bus.run()
    assert bus.held["counter"].by == "ann"
    assert moody[0].heard == []
    bus.release("counter", "ann", "now")
    bus.run()
    assert moody[0].heard == [2]
    assert not bus.held


def test_a_release_of_somebody_who_is_not_held_is_no_message() -> None:
    bus = a_bus()
    assert bus.release("echo", "ann", "") is None
    assert log(bus) == []


@pytest.mark.parametrize("name", ["", "nobody", "world", "watchdog"])
def test_nobody_is_held_who_is_no_listener(name: str) -> None:
    bus = a_bus()
    with pytest.raises(UnknownName):
        bus.hold(name, "isolated", "ann", "")
    with pytest.raises(UnknownName):
        bus.release(name, "ann", "")
    assert log(bus) == []


def test_a_house_without_a_watchdog_holds_nobody() -> None:
    bus = Bus(Journal.in_memory(), [Hosted(ECHO)], {"world": frozenset({SliceClosed})})
    with pytest.raises(CapabilityExceeded):
        bus.hold("echo", "isolated", "ann", "")
    assert (log(bus), dict(bus.held)) == ([], {})


# -- seen time --------------------------------------------------------------------------------------------------------


def test_what_is_answered_late_is_seen_late() -> None:
    """Seen time never falls along the log, so that nobody acts in a past that others have left."""
    bus, _ = a_moody_bus({("counter", 1): AgentLate("no word")})
    told(bus, 1)
    bus.run()
    told(bus, 9)
    bus.run()
    bus.release("counter", "watchdog", "")
    bus.run()
    rows = [envelope for _, envelope in with_envelopes(log(bus))]
    late = next(e for e in rows if e.author == "counter")
    assert (late.cause_id, late.ts_event_ns, late.ts_seen_ns) == (derived_id("input", "1"), 1, 9)
    assert [e.ts_seen_ns for e in rows] == sorted(e.ts_seen_ns for e in rows)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.booleans())
def test_seen_time_never_falls_whatever_the_world_says(times: list[int], at_once: bool) -> None:
    bus = a_bus()
    for number, at_ns in enumerate(times, 1):
        bus.begin("world", SliceClosed(at_ns, number), derived_id("input", str(number)), at_ns, at_ns)
        if not at_once:
            bus.run()
    bus.run()
    rows = log(bus)
    seen = [decode(row).ts_seen_ns for row in rows]
    assert seen == sorted(seen)
    assert a_bus().replay(with_envelopes(rows)) == len(rows) - len(times)


def test_after_a_snapshot_seen_time_goes_on_where_it_was() -> None:
    """The rows before it are not read again: the newest time up to there is given."""
    rows = a_recorded_run(4)
    whole, resumed = a_bus(), a_bus(journal=Journal.in_memory())
    whole.replay(with_envelopes(rows))
    for row in rows:
        resumed.journal.append(row, 0)
    resumed.replay([], after=len(rows), seen_ns=4)
    resumed.end_replay()
    assert resumed.begin("world", SliceClosed(1, 1), derived_id("x"), 1, 1).ts_seen_ns == 4
