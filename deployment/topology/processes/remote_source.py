"""A market source that Kyle's process reads, seen from the core."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator

import anyio
import msgspec

from agents.kyle.hands import Batch, Described
from agents.kyle.sources.port import Slice
from agents.runtime.remote import RemoteAgent
from mutable_core.clock import SECOND_NS, monotonic_ns
from mutable_core.errors import AgentGone, AgentLate, AgentMisbehaved, Unavailable

READ_MS = 60
"""For a batch, or the word that there is none yet, which comes within a tenth of that."""
AGAIN_S = 0.005
OPEN_NS = 60 * SECOND_NS
"""How long a source may take to be opened."""

_described = msgspec.msgpack.Decoder(Described)
_batch = msgspec.msgpack.Decoder(Batch)


class RemoteSource:
    """Implements `agents.kyle.sources.port.Source`, but for `slices`: rows come when Kyle has them, see `moments`.

    Made with `described`.

    Attributes:
        on_misbehaved: told that Kyle gave what was no answer.
    """

    def __init__(self, kyle: RemoteAgent, told: Described) -> None:
        self.on_misbehaved: Callable[[str, AgentMisbehaved], None] = lambda _name, _error: None
        self._kyle = kyle
        self.name, self.fingerprint, self.is_public = told.name, told.fingerprint, told.is_public
        self.seed, self.instruments, self.rows = told.seed, told.instruments, told.rows

    @classmethod
    def described(cls, kyle: RemoteAgent, *, within_ns: int = OPEN_NS) -> RemoteSource:
        """The source that Kyle has opened; waits until he has.

        Raises:
            ArkError: he cannot open it, for a reason that he says.
            Unavailable: he has not, and says nothing.
        """
        until_ns = monotonic_ns() + within_ns
        while monotonic_ns() < until_ns:
            try:
                told = kyle.call("describe", deadline_ms=1_000)
            except (AgentGone, AgentLate):
                time.sleep(AGAIN_S)
                continue
            if told:
                return cls(kyle, _described.decode(told))
        raise Unavailable("the source was not opened in time", where="kyle", to_do="see what Kyle's process says")

    def slices(self, after_row: int) -> Iterator[Slice]:
        """Nobody in the core reads rows without waiting for Kyle."""
        raise NotImplementedError(f"rows after {after_row} come from `moments`")

    async def moments(self, after_row: int, *, is_over: bool = False) -> AsyncIterator[Slice]:
        """Nothing where the log says that the source `is_over`; else slices with rows after this one, as `Source.slices`. While Kyle is away, or is held back, nothing comes.

        Raises:
            ArkError: the source cannot be read, for a reason that Kyle says.
        """
        while not is_over:
            batch = self._read(after_row)
            for one in batch.slices:
                yield one
                after_row = one.rows[-1].row
            if batch.is_end:
                return
            if not batch.slices:
                await anyio.sleep(AGAIN_S)

    def _read(self, after_row: int) -> Batch:
        try:
            return _batch.decode(self._kyle.call("read", msgspec.msgpack.encode(after_row), deadline_ms=READ_MS))
        except (AgentGone, AgentLate):
            return Batch()  # whoever supervises him sees to it
        except AgentMisbehaved as error:
            self.on_misbehaved(self._kyle.name, error)
            return Batch()
