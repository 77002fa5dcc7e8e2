"""What became of Joey's own proposals: which are under way, who opened what, and who must be quiet for a while."""

from __future__ import annotations

import msgspec
from immutables import Map

COOL_DOWN_BARS = 5
"""Complete bars of an instrument for which a strategy is not asked about it after a refusal."""


class Intent(msgspec.Struct, frozen=True, gc=False):
    """A proposal that has not come to its end: not refused, not withheld, and its order still works.

    Attributes:
        id: of the proposal, then of the order.
        bars: number of the bar it was made at.
    """

    id: str
    strategy: str
    bars: int


class Intents(msgspec.Struct, frozen=True, gc=False):
    """At most one intent per instrument.

    Attributes:
        under_way: instrument → its intent.
        awaited: id of a proposal or order → its instrument.
        owners: instrument → the strategy that last proposed to open a position in it.
        quiet: (instrument, strategy) → number of the last bar at which the strategy is not asked.
    """

    under_way: Map[str, Intent] = Map()
    awaited: Map[str, str] = Map()
    owners: Map[str, str] = Map()
    quiet: Map[tuple[str, str], int] = Map()

    def is_quiet(self, instrument: str, strategy: str, bars: int) -> bool:
        return bars <= self.quiet.get((instrument, strategy), 0)


def proposed(intents: Intents, instrument: str, intent: Intent, *, opens: bool) -> Intents:
    return Intents(
        intents.under_way.set(instrument, intent),
        intents.awaited.set(intent.id, instrument),
        intents.owners.set(instrument, intent.strategy) if opens else intents.owners,
        intents.quiet,
    )


def ordered(intents: Intents, proposal_id: str, client_order_id: str) -> Intents:
    """The proposal became an order: from here on its end is the order's."""
    instrument = intents.awaited.get(proposal_id)
    if instrument is None:
        return intents
    intent = intents.under_way[instrument]
    return Intents(
        intents.under_way.set(instrument, Intent(client_order_id, intent.strategy, intent.bars)),
        intents.awaited.delete(proposal_id).set(client_order_id, instrument),
        intents.owners,
        intents.quiet,
    )


def ended(intents: Intents, id: str) -> Intents:
    """The proposal or order `id` came to its end; an id that is not awaited (a drill's, a leg's) changes nothing."""
    instrument = intents.awaited.get(id)
    if instrument is None:
        return intents
    return Intents(intents.under_way.delete(instrument), intents.awaited.delete(id), intents.owners, intents.quiet)


def refused(intents: Intents, proposal_id: str) -> Intents:
    """A refusal ends the intent, and its strategy is quiet on the instrument for `COOL_DOWN_BARS`."""
    instrument = intents.awaited.get(proposal_id)
    if instrument is None:
        return intents
    intent = intents.under_way[instrument]
    after = ended(intents, proposal_id)
    quiet = after.quiet.set((instrument, intent.strategy), intent.bars + COOL_DOWN_BARS)
    return msgspec.structs.replace(after, quiet=quiet)
