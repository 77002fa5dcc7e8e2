"""How much to propose: what the stop may cost, what the position may be worth, what the market trades: the least."""

from __future__ import annotations

from agents.joey.pricing import Bracket
from graveyard.words import Side
from mutable_core.flows import Flow
from mutable_core.messages import Instrument

RISK_PER_TRADE_BPS = 50
"""Loss from limit to stop, basis points of equity."""

_ATOMS2_PER_MICRO = 10_000_000_000  # (10⁸ price atoms × 10⁸ quantity atoms) per 10⁶ micros


def quantity_within(equity_micros: int, bps: int, price_atoms: int, lot_atoms: int) -> int:
    """Most atoms of quantity, in whole lots, whose value at `price_atoms` is at most `bps` of equity; 0 if none is."""
    if equity_micros <= 0:
        return 0
    return equity_micros * bps * _ATOMS2_PER_MICRO // (10_000 * price_atoms) // lot_atoms * lot_atoms


def quantity_for(equity_micros: int, prices: Bracket, side: Side, lot_atoms: int, notional_max_bps: int) -> int:
    """Atoms of quantity in whole lots, 0 where less than one lot fits.

    Both limits are taken at worst-case prices: the loss from limit to stop is at most 0.5 % of equity, and the
    notional (a buy's at its limit, a sell's at its stop) at most `notional_max_bps` of it.
    """
    by_risk = quantity_within(equity_micros, RISK_PER_TRADE_BPS, prices.risk, lot_atoms)
    by_notional = quantity_within(equity_micros, notional_max_bps, prices.worst(side), lot_atoms)
    return min(by_risk, by_notional)


BAR_PARTS, DAY_PARTS = 10, 100
"""Of the bar's and of a mean day's volume, the parts of which one order may be one."""


def quantity_traded(flow: Flow, traded: Instrument) -> int:
    """Most atoms in whole lots that the market's own volume lets pass as one order; 0 where it shows none."""
    by_day = flow.day_volume(traded.day_volume_atoms) // DAY_PARTS
    return min(flow.bar_volume // BAR_PARTS, by_day) // traded.lot_atoms * traded.lot_atoms
