"""What the nursery loads before it forks anybody, and which function lives each role."""

from __future__ import annotations

from importlib import import_module

ROLES = {
    "agent": "deployment.topology.processes.agents:live",
    "core": "deployment.topology.processes.house_process:live",
    "kill": "deployment.topology.processes.around:live_kill_switch",
    "metrics": "deployment.topology.processes.metrics:live",
    "venue": "deployment.topology.processes.around:live_venue",
}
"""Role → where it is lived."""


LATE = (
    "anyio._backends._asyncio",
    "pyarrow.acero",
    "pyarrow.csv",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "uvicorn.lifespan.on",
    "uvicorn.loops.asyncio",
    "uvicorn.protocols.http.h11_impl",
)
"""What is otherwise imported by whoever first needs it: a jailed child could not read it any more."""


def preload() -> None:
    """Import it; what the roles import themselves is loaded with them."""
    for name in LATE:
        import_module(name)
