"""Frames made by chance from a seed: noise, true frames with bytes changed, and frames of the right form with wrong values."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from graveyard.authority.wire import Ask, Item, Probe, frame
from tests.adversary.makers import Log, a_numbered

PROPOSAL = a_numbered(1)
_ALPHABET = b'[]{}",:0123456789eE.-+truefalsn\\u \x00\xff'
_VALUES: tuple[bytes, ...] = (
    b"null", b"true", b"1", b"0", b"-1", b"1.0", b"1e9", b"9" * 400, b"NaN", b"[]", b"{}", b'""', b"[" * 900, b'"\xff"', b'"a"',
)  # fmt: skip


def a_log() -> Log:
    """Nine rows, and the approval of `PROPOSAL`."""
    log = Log()
    log.fill(9)
    log.approve(PROPOSAL)
    return log


def request_of(chance: Random) -> str:
    return f"{chance.getrandbits(128):032x}"


class Fuzz:
    """Payloads from one seed. None of them asks rightly for an approval that stands."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)
        log = a_log()
        self._rows = [frame(log.frame(first))[4:] for first in (1, 5, 10)]
        self._makers: tuple[Callable[[], bytes], ...] = (
            self._noise, self._json_noise, self._changed, self._changed, self._cut, self._values, self._wrong_question,
        )  # fmt: skip

    def payload(self) -> bytes:
        return self._chance.choice(self._makers)()

    def _noise(self) -> bytes:
        return self._chance.randbytes(self._chance.randrange(200))

    def _json_noise(self) -> bytes:
        return bytes(self._chance.choices(_ALPHABET, k=self._chance.randrange(1, 120)))

    def _genuine(self) -> bytes:
        chance = self._chance
        if chance.random() < 0.1:
            return chance.choice(self._rows)
        request = request_of(chance)
        if chance.random() < 0.3:
            return frame(Probe(request))[4:]
        return frame(Ask(request, (Item(PROPOSAL.proposal_id, 9), Item("f" * 32, 3))))[4:]

    def _changed(self) -> bytes:
        data = bytearray(self._genuine())
        for _ in range(self._chance.randrange(1, 4)):
            at = self._chance.randrange(len(data))
            data[at] = self._chance.choice((self._chance.randrange(256), data[at] ^ 1, 0x22))
        return bytes(data)

    def _cut(self) -> bytes:
        data = self._genuine()
        begin, end = sorted((self._chance.randrange(len(data)), self._chance.randrange(len(data))))
        return data[:begin] + data[end:] if self._chance.random() < 0.5 else data + data[begin:end]

    def _values(self) -> bytes:
        value, other = self._chance.choices(_VALUES, k=2)
        return b'{"frame":"ask","request":%s,"items":[{"proposal_id":%s,"position":%s}]}' % (
            self._chance.choice((b'"%s"' % request_of(self._chance).encode(), value)),
            self._chance.choice((b'"%s"' % PROPOSAL.proposal_id.encode(), other)),
            self._chance.choice(_VALUES),
        )

    def _wrong_question(self) -> bytes:
        chance = self._chance
        position = chance.choice((1, 9, 11, 2**63 - 1))
        return frame(Ask(request_of(chance), (Item(PROPOSAL.proposal_id, position),)))[4:]
