"""The capability table: who may say what. The composition root fills it from the agents' specs."""

from __future__ import annotations

import msgspec

from agents.runtime.agent import AgentSpec
from mutable_core.messages import KIND_OF


class Capability(msgspec.Struct, frozen=True):
    """`may_say` holds kinds with versions, sorted: what the agent decides to say and what its effects report."""

    agent: str
    may_say: tuple[str, ...]


State = tuple[Capability, ...]
FIRST: State = ()


def capabilities(specs: tuple[AgentSpec, ...]) -> State:
    return tuple(
        Capability(spec.name, tuple(sorted(KIND_OF[kind] for kind in (*spec.says, *spec.reports)))) for spec in specs
    )
