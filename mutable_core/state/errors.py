"""What can go wrong with versioned state, sorted as `mutable_core/errors.py` sorts."""

from __future__ import annotations

from mutable_core.errors import Broken, Unacceptable, Unavailable


class StateBroken(Broken):
    """The store is not what was written: no value of it is handed out from here on."""


class StateFull(Unavailable):
    """The store has reached its size; nothing was written."""


class StateBusy(Unavailable):
    """Another process writes, and did not end within the patience of this one; nothing was written."""


class StateConflict(Unacceptable):
    """The key is not at the version that the writer expected; nothing was written. `version` is where it is."""

    exit_code = 1

    def __init__(self, what: str, *, version: int, where: str = "", to_do: str = "") -> None:
        super().__init__(what, where=where, to_do=to_do)
        self.version = version


class ValueRefused(Unacceptable):
    """A value, or the name of a key, that the store does not take; nothing was written."""


class ValuePruned(Unacceptable):
    """The value of an old version was dropped by retention; its row is still there."""

    exit_code = 1
