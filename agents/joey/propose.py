"""From one observation to one answer: a proposal, or why there is none."""

from __future__ import annotations

import msgspec

from agents.joey.history import History
from agents.joey.intents import Intent, Intents, proposed
from agents.joey.pricing import Bracket, bracket, decimal_of_atoms, marketable_limit
from agents.joey.signals import Entry, Exit, Strategy
from agents.joey.sizing import quantity_for, quantity_traded
from agents.joey.state import Fresh, Joey
from agents.joey.strategies import STRATEGIES
from graveyard.words import Evidence, Proposal, Side
from mutable_core.flows import EMPTY
from mutable_core.ids import derived_id
from mutable_core.messages import NothingProposed, ProposalMade, QuietReason
from mutable_core.money import atoms
from mutable_core.standing import HALTED, halt_level, is_stopped

BY_NAME: dict[str, Strategy] = {strategy.name: strategy for strategy in STRATEGIES}


class Answer(msgspec.Struct, frozen=True, gc=False):
    body: ProposalMade | NothingProposed
    intents: Intents


def answer(state: Joey, intents: Intents, fresh: Fresh) -> Answer:
    """The one answer to one observation.

    Without a position the strategies are asked in the order of the register and the first that has a signal wins.
    With one, only the strategy that opened it is asked, and only for the way out.
    """
    terms, book = state.terms, state.book
    instrument, history = fresh.instrument, fresh.history
    if history is None:
        return _nothing(intents, fresh, "bar_forming")
    if instrument in intents.under_way:
        return _nothing(intents, fresh, "position_open")
    if book.has_interest(instrument):
        return _way_out(state, intents, fresh, history)
    if instrument not in terms.instruments or instrument not in book.instruments:
        return _nothing(intents, fresh, "no_signal")
    return _way_in(state, intents, fresh, history)


def _nothing(intents: Intents, fresh: Fresh, reason: QuietReason) -> Answer:
    return Answer(NothingProposed(fresh.instrument, reason), intents)


def _way_in(state: Joey, intents: Intents, fresh: Fresh, history: History) -> Answer:
    terms, book, instrument = state.terms, state.book, fresh.instrument
    traded = book.instruments[instrument]
    quiet: QuietReason = "no_signal"
    for name in terms.strategies:
        strategy = BY_NAME[name]
        if history.bars < strategy.bars:
            quiet = "warming_up"
            continue
        signal = strategy.read(history, None)
        if not isinstance(signal, Entry) or signal.side not in terms.sides:
            continue
        if intents.is_quiet(instrument, name, history.bars):
            continue
        if is_stopped(state.standing, book.account, name, instrument):
            quiet = "halted"
            continue
        prices = bracket(signal, fresh.last, traded.tick_atoms)
        if prices is None:
            continue
        quantity = quantity_for(book.equity_micros(), prices, signal.side, traded.lot_atoms, signal.notional_max_bps)
        if not quantity:
            return _nothing(intents, fresh, "too_small")
        quantity = min(quantity, quantity_traded(state.flows.get(instrument, EMPTY), traded))
        if not quantity:
            return _nothing(intents, fresh, "too_thin")
        proposal = entry_proposal(
            derived_id("proposal", fresh.cause.id, name), book.account, name, instrument, signal, prices, quantity,
            evidence_of(fresh),
        )  # fmt: skip
        return _proposed(intents, fresh, history, proposal, opens=True)
    return _nothing(intents, fresh, quiet)


def _way_out(state: Joey, intents: Intents, fresh: Fresh, history: History) -> Answer:
    terms, book, instrument = state.terms, state.book, fresh.instrument
    held = book.position_atoms(instrument)
    if any(order.instrument == instrument for order in book.orders.values()):
        return _nothing(intents, fresh, "position_open")  # what still opens must end first: it could trade with us
    owner = intents.owners.get(instrument)
    if halt_level(state.standing, book.account, owner or "", instrument) >= HALTED:
        return _nothing(intents, fresh, "halted")
    if not held or owner not in terms.strategies or instrument not in book.instruments:
        return _nothing(intents, fresh, "position_open")
    strategy = BY_NAME[owner]
    if history.bars < strategy.bars or intents.is_quiet(instrument, owner, history.bars):
        return _nothing(intents, fresh, "position_open")
    signal = strategy.read(history, "buy" if held > 0 else "sell")
    side: Side = "sell" if held > 0 else "buy"
    limit = marketable_limit(side, atoms(fresh.last), book.instruments[instrument].tick_atoms)
    if not isinstance(signal, Exit) or limit is None:
        return _nothing(intents, fresh, "position_open")
    proposal = Proposal(
        derived_id("proposal", fresh.cause.id, owner), book.account, owner, instrument, side,
        decimal_of_atoms(abs(held)), decimal_of_atoms(limit), None, None, signal.reason, evidence_of(fresh),
    )  # fmt: skip
    return _proposed(intents, fresh, history, proposal, opens=False)


def _proposed(intents: Intents, fresh: Fresh, history: History, proposal: Proposal, *, opens: bool) -> Answer:
    intent = Intent(proposal.proposal_id, proposal.strategy, history.bars)
    return Answer(ProposalMade(proposal), proposed(intents, fresh.instrument, intent, opens=opens))


def evidence_of(fresh: Fresh) -> tuple[Evidence, ...]:
    """The observation decided on, and no earlier one: what is cited must be fresh, and its bar may follow a weekend."""
    return (Evidence(fresh.cause.id, "last", fresh.last),)


def entry_proposal(
    proposal_id: str,
    account: str,
    strategy: str,
    instrument: str,
    signal: Entry,
    prices: Bracket,
    quantity_atoms: int,
    evidence: tuple[Evidence, ...],
) -> Proposal:
    return Proposal(
        proposal_id,
        account,
        strategy,
        instrument,
        signal.side,
        decimal_of_atoms(quantity_atoms),
        decimal_of_atoms(prices.limit),
        decimal_of_atoms(prices.stop),
        decimal_of_atoms(prices.target),
        signal.reason,
        evidence,
    )
