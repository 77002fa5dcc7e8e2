"""`ark at`: what was so at a past moment, from the journal alone."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployment.commands.port import Command, add_journal, add_json, journal_at, print_json

if TYPE_CHECKING:
    from deployment.time_travel import Moment, Orders, Positions, Slos, States
    from mutable_core.accounts import Nav


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "moment", metavar="TIME|SEQ", help="after all rows seen by this UTC time, after this row, or `end`"
    )
    parser.add_argument(
        "what",
        choices=tuple(_ANSWERS),
        help="what was held; what worked or was reserved; what each agent knew, and the versioned state; which SLOs were met",
    )
    add_journal(parser)
    parser.add_argument("--agent", action="append", default=[], metavar="NAME", help="`state` of this agent only")
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    from deployment.time_travel import moment_of

    moment = moment_of(arguments.moment)
    path = journal_at(arguments.journal)
    answer, lines = _ANSWERS[arguments.what](path, moment, arguments)
    if arguments.json:
        print_json(answer)
    else:
        print(f"after row {answer.seq}, seen at {answer.at} ({answer.journal})")
        print("\n".join(lines))
    return 0


def _positions(path: Path, moment: Moment, _arguments: argparse.Namespace) -> tuple[Positions, list[str]]:
    from deployment.time_travel import positions
    from mutable_core.money import decimal_of_micros as money

    answer = positions(path, moment)
    nav = answer.nav
    lines = [
        f"account {answer.account}: {nav_line(nav)} {answer.currency}, cash {money(nav.cash_micros):f}",
        f"  {'instrument':12} {'quantity':>16} {'cost':>18} {'mark':>14} {'unrealised':>16}  by strategy",
    ]
    for one in answer.positions:
        parts = ", ".join(f"{owner} {units(quantity)}" for owner, quantity in one.by_strategy.items())
        lines.append(
            f"  {one.instrument:12} {units(one.quantity_atoms):>16} {money(one.cost_micros):>18f} "
            f"{units(one.mark_atoms):>14} {money(one.unrealised_micros):>16f}  {parts}"
        )
    return answer, lines


def nav_line(nav: Nav) -> str:
    """What the account is worth, and what that is made of."""
    from mutable_core.money import decimal_of_micros as money

    return (
        f"NAV {money(nav.nav_micros):f} = capital {money(nav.capital_micros):f} + realised "
        f"{money(nav.realised_micros):f} + unrealised {money(nav.unrealised_micros):f} + dividends "
        f"{money(nav.dividends_micros):f} − fees {money(nav.fees_micros):f}"
    )


def units(atoms: int) -> str:
    """Atoms as an exact decimal."""
    from mutable_core.money import canonical

    return f"{canonical(Decimal(atoms).scaleb(-8)):f}"


def _orders(path: Path, moment: Moment, _arguments: argparse.Namespace) -> tuple[Orders, list[str]]:
    from deployment.time_travel import orders
    from mutable_core.money import decimal_of_micros as money

    answer = orders(path, moment)
    lines = [f"{len(answer.working)} entries, {len(answer.legs)} protective legs, {len(answer.holds)} holds"]
    for one in answer.working:
        order = one.order
        limit = "" if order.limit_price is None else f" at {order.limit_price:f}"
        lines.append(
            f"  {order.client_order_id} {one.status:14} {order.side} {one.remaining:f} of {order.quantity:f} "
            f"{order.instrument}{limit} ({one.strategy}), holds {money(one.held_micros):f}"
        )
    for leg in answer.legs:
        atoms = leg.limit_atoms or leg.stop_atoms
        price = f" at {units(atoms)}" if atoms else ""
        lines.append(f"  {leg.leg_id} armed, {leg.side} {leg.instrument}{price} ({leg.strategy})")
    lines += [
        f"  hold {hold.proposal_id} {hold.instrument} {money(hold.notional_micros):f}, "
        f"risk {money(hold.risk_micros):f}, reduces {units(hold.reduces_atoms)} ({hold.strategy})"
        for hold in answer.holds
    ]
    lines.append("ended: " + (", ".join(f"{count} {how}" for how, count in answer.ended.items()) or "none"))
    return answer, lines


def _state(path: Path, moment: Moment, arguments: argparse.Namespace) -> tuple[States, list[str]]:
    import msgspec

    from deployment.time_travel import states

    answer = states(path, moment, arguments.agent)
    shown = {"agents": answer.agents, "kept": answer.kept}
    text = msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()
    return answer, text.splitlines()


def _slos(path: Path, moment: Moment, _arguments: argparse.Namespace) -> tuple[Slos, list[str]]:
    from deployment.time_travel import slos

    answer = slos(path, moment)
    relations = {"at_least": "≥", "at_most": "≤"}
    lines = []
    for one in answer.report["slos"]:
        value = "no data" if one["value"] is None else f"{one['value']:g} {one['unit']} of {one['samples']}"
        target = f"{relations[one['bound']]} {one['target']:g} {one['unit']}"
        lines.append(f"  {one['status']:9} {one['name']:22} {value}, promised {target}")
    return answer, lines


_ANSWERS: dict[str, Callable[[Path, Moment, argparse.Namespace], tuple[Any, list[str]]]] = {
    "positions": _positions,
    "orders": _orders,
    "state": _state,
    "slos": _slos,
}

COMMAND = Command("at", "positions, orders, states or SLOs at any past moment of a journal", _arguments, _run)
