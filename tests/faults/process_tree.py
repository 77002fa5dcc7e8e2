"""A house in processes, seen from outside: its children by name, and what its journal says of them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.faults.processes import eventually, session_members

AGENTS = ("kyle", "joey", "hrm", "kenny", "aletheia", "id")


def child(session: int, name: str) -> int:
    """The pid of the child called so; 0 while there is none."""
    return next((pid for pid in session_members(session) if _called(pid) == f"ark-{name}"), 0)


def _called(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""  # it ended while we looked


def killed(session: int, name: str) -> int:
    """Kill it with SIGKILL once it is there; returns the pid that it had."""
    pid = int(eventually(lambda: child(session, name), f"`{name}` is there"))
    os.kill(pid, signal.SIGKILL)
    return pid


def is_back(session: int, name: str, before: int) -> bool:
    """Another process of the name is there."""
    return child(session, name) not in (0, before)
