"""ID: at the beginning of a journal each agent gets its identity, and the bus enforces exactly that table."""

from __future__ import annotations

from typing import Any

import pytest

from agents.id import AGENT
from agents.id.decide import decide
from agents.id.state import FIRST, capabilities
from agents.runtime.agent import Agent, AgentSpec, Say, Step
from deployment.topology.house import EDGES
from deployment.topology.wiring import AGENTS
from mutable_core.bus.ordering import Bus
from mutable_core.errors import CapabilityExceeded, MalformedMessage
from mutable_core.ids import derived_id
from mutable_core.journal import Journal
from mutable_core.messages import (
    BODY_TYPES,
    KIND_OF,
    Envelope,
    HaltOrdered,
    IdentityIssued,
    SliceClosed,
    decode,
    encode,
)
from tests.agents.runtime.samples import SAMPLES
from tests.makers import a_run, an_envelope

SPECS = tuple(agent.spec for agent in AGENTS)


def issued() -> dict[str, IdentityIssued]:
    step = decide(capabilities(SPECS), an_envelope(a_run()))
    assert step.wants == ()
    bodies = [say.body for say in step.says]
    assert all(isinstance(body, IdentityIssued) for body in bodies)
    return {body.agent: body for body in bodies if isinstance(body, IdentityIssued)}


def test_every_agent_of_the_house_gets_one_identity_of_the_build_that_speaks() -> None:
    assert list(issued()) == ["kyle", "joey", "hrm", "kenny", "aletheia", "id"]
    assert {body.build for body in issued().values()} == {a_run().build}


def test_without_agents_there_are_no_identities() -> None:
    assert decide(FIRST, an_envelope(a_run())) == Step(FIRST)


def test_the_table_is_sorted_and_names_kinds_with_versions() -> None:
    for body in issued().values():
        assert body.may_say == tuple(sorted(set(body.may_say)))
        assert set(body.may_say) <= set(KIND_OF.values())


@pytest.mark.parametrize("spec", SPECS, ids=[spec.name for spec in SPECS])
def test_the_table_is_what_the_agent_decides_to_say_and_what_its_effects_report(spec: AgentSpec) -> None:
    assert set(issued()[spec.name].may_say) == {KIND_OF[kind] for kind in (*spec.says, *spec.reports)}


def speaking(spec: AgentSpec, body: Any) -> Bus:
    """A bus on which the agent of this spec says `body` to the first slice."""
    said = AgentSpec(spec.name, spec.does, (SliceClosed,), spec.says, spec.reports)
    agent = Agent(said, None, lambda state, _heard: Step(state, (Say(body),)))
    from agents.runtime.hosted import Hosted

    bus = Bus(Journal.in_memory(), [Hosted(agent)], {"world": frozenset({SliceClosed})})
    bus.begin("world", SliceClosed(1, 1), derived_id("x"), 1, 1)
    return bus


@pytest.mark.parametrize("kind", BODY_TYPES, ids=[kind.__name__ for kind in BODY_TYPES])
@pytest.mark.parametrize("spec", SPECS, ids=[spec.name for spec in SPECS])
def test_the_bus_lets_an_agent_say_what_its_identity_says_and_nothing_else(spec: AgentSpec, kind: type) -> None:
    """Every agent, every kind: the table in the log and the table that is enforced are one."""
    body, may = SAMPLES[kind], KIND_OF[kind] in issued()[spec.name].may_say
    bus, allowed = speaking(spec, body), 0
    try:
        if body.IS_INPUT:
            bus.begin(spec.name, body, derived_id("y"), 1, 1)
        else:
            bus.run()
        allowed = 1
    except CapabilityExceeded:
        bus.journal.commit()
    assert bool(allowed) is may
    assert bus.journal.seq == 1 + allowed


def test_no_two_may_say_the_same_but_a_halt() -> None:
    """Who wrote a message can be seen from its kind. Whoever sees a reason to stop may say so: it takes nothing away."""
    everything = [kind for body in issued().values() for kind in body.may_say]
    edges = [KIND_OF[kind] for kinds in EDGES.values() for kind in kinds if kind is not HaltOrdered]
    assert len({*everything, *edges}) == len(everything) + len(edges) == len(KIND_OF) - 1
    assert KIND_OF[HaltOrdered] not in everything, "an agent that could halt could hold the house to ransom"


def test_nobody_but_kyle_says_observations_and_nobody_but_hrm_approves() -> None:
    may = {kind: name for name, body in issued().items() for kind in body.may_say}
    assert may["market.observed/2"] == "kyle"
    assert may["decision.proposal_made/1"] == "joey"
    answers = ("approved/2", "refused/2", "approval_awaited/1", "operation_approved/1", "operation_refused/1")
    assert {may[f"decision.{kind}"] for kind in (*answers, "account_halted/1")} == {"hrm"}
    assert may["order.intended/1"] == "kenny"
    assert may["truth.verified/1"] == "aletheia"
    assert may["control.identity_issued/1"] == "id"


def test_what_comes_from_the_world_is_reported_and_what_is_decided_is_said() -> None:
    """A replay takes inputs from the journal; a decision among them would never be recomputed (I7)."""
    for spec in SPECS:
        assert all(kind.IS_INPUT for kind in spec.reports), spec.name  # type: ignore[attr-defined]
        assert not any(kind.IS_INPUT for kind in spec.says), spec.name  # type: ignore[attr-defined]
    assert all(kind.IS_INPUT for kinds in EDGES.values() for kind in kinds)  # type: ignore[attr-defined]


def test_id_speaks_once_at_the_beginning() -> None:
    assert AGENT.spec.says == (IdentityIssued,)
    assert [kind.__name__ for kind in AGENT.spec.hears] == ["RunStarted"]


@pytest.mark.parametrize("kind", BODY_TYPES, ids=[kind.__name__ for kind in BODY_TYPES])
def test_there_is_a_sample_of_every_kind_and_it_survives_the_journal(kind: type) -> None:
    envelope: Envelope = an_envelope(SAMPLES[kind])
    assert decode(encode(envelope)) == envelope
    tag = KIND_OF[kind].encode()
    with pytest.raises(MalformedMessage):
        decode(encode(envelope).replace(tag, tag[:-1] + b"9"))
