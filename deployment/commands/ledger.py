"""`ark ledger`: the accounts of the state folder, folded from their journals: balances, entries, NAV, and tables to take away."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, NamedTuple

from deployment.commands.port import Command, add_actions, add_json, print_json
from deployment.topology.state_dir import journals
from mutable_core.errors import UnknownName

if TYPE_CHECKING:
    from deployment.time_travel import Moment
    from mutable_core.accounts import AccountLedger, Entry, Point, Result


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_actions(parser, ACTIONS, _shared)


def _shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--journal", type=Path, default=None, help="a journal, or a folder; default: all of the state folder"
    )
    parser.add_argument("--account", help="only this account")


def _run(arguments: argparse.Namespace) -> int:
    return int(arguments.act(arguments))


def _journals(arguments: argparse.Namespace) -> list[Path]:
    """What is asked about, in a fixed order.

    Raises:
        UnknownName: there is none.
    """
    from mutable_core.settings import settings_from

    at = arguments.journal or settings_from().state_dir
    if arguments.journal is not None and not at.exists():
        raise UnknownName("there is no such file or folder", where=str(at), to_do="give the path of a journal.sqlite")
    found = sorted(journals(at))
    if not found:
        raise UnknownName("there is no journal", where=str(at), to_do="run `ark run` first, or give a path")
    return found


class _Told(NamedTuple):
    """One journal, folded up to a moment."""

    path: Path
    ledger: AccountLedger


def _folded(arguments: argparse.Namespace, text: str) -> list[_Told]:
    """Every journal that the words mean, up to the moment. Of several, those that do not reach it are left out.

    Raises:
        UnknownName: none reaches it, a log position is asked of several, or no account has the name.
    """
    from deployment.time_travel import moment_of

    moment = moment_of(text)
    paths = _journals(arguments)
    _demand_one_log(paths, moment)
    told: list[_Told] = []
    missed: UnknownName | None = None
    for path in paths:
        try:
            told.append(_Told(path, _ledger(path, moment)))
        except UnknownName as error:
            missed = error
    if not told and missed is not None:
        raise missed
    return _of_account(told, arguments.account)


def _demand_one_log(paths: list[Path], moment: Moment | None) -> None:
    if moment is not None and moment.seq is not None and len(paths) > 1:
        raise UnknownName(
            f"log position `{moment.text}` is of one journal, and there are {len(paths)}",
            to_do="name one with `--journal`",
        )


def _ledger(path: Path, moment: Moment) -> AccountLedger:
    from deployment.time_travel import rows_until
    from mutable_core.accounts import AccountLedger

    ledger = AccountLedger()
    for checked in rows_until(path, moment):
        ledger.take(checked.envelope)
    return ledger


def _of_account(told: list[_Told], account: str | None) -> list[_Told]:
    found = [one for one in told if account in (None, one.ledger.account)]
    if not found:
        raise _no_such("account", account, {one.ledger.account for one in told})
    return found


def _no_such(what: str, asked: str | None, known: set[str]) -> UnknownName:
    from mutable_core.privacy import redacted

    names = ", ".join(sorted(redacted(name) for name in known if name))
    return UnknownName(f"no {what} is called {str(asked)[:60]!a}", to_do=f"write one of {names}")


# -- balance ----------------------------------------------------------------------------------------------------------


def _balance_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--at", default="end", metavar="TIME|SEQ", help="default: the end of the log")
    parser.add_argument("--strategy", help="only this sub-ledger; `house` is what belongs to no strategy")
    add_json(parser)


def _balance(arguments: argparse.Namespace) -> int:
    told = _folded(arguments, arguments.at)
    answers = [_balance_of(one, arguments.strategy) for one in told]
    if arguments.strategy is not None and not any(answer["sub_ledgers"] for answer in answers):
        raise _no_such("strategy", arguments.strategy, {name for one in told for name in one.ledger.strategies()})
    is_fine = all(answer["trial_balance_micros"] == 0 and not answer["finding"] for answer in answers)
    if arguments.json:
        print_json({"ok": is_fine, "accounts": answers})
    else:
        print("\n\n".join(_balance_lines(answer) for answer in answers))
    return 0 if is_fine else 1


def _balance_of(told: _Told, strategy: str | None) -> dict[str, Any]:
    from deployment.time_travel import utc
    from mutable_core.accounts import account_nav, results
    from mutable_core.privacy import redacted

    ledger = told.ledger
    return {
        "journal": str(told.path),
        "account": redacted(ledger.account),
        "currency": ledger.currency,
        "seq": ledger.seq,
        "ts_ns": str(ledger.ts_ns),
        "at": utc(ledger.ts_ns),
        "trial_balance_micros": ledger.trial_balance(),
        "venue_statements": ledger.statements,
        "finding": ledger.disagreement,
        "nav": account_nav(ledger),
        "sub_ledgers": [one for one in results(ledger) if strategy in (None, one.strategy)],
    }


def _balance_lines(answer: dict[str, Any]) -> str:
    from deployment.commands.at import nav_line
    from mutable_core.money import decimal_of_micros as money

    lines = [
        f"account {answer['account']} ({answer['currency']}), after row {answer['seq']}, seen at {answer['at']}",
        f"  {nav_line(answer['nav'])}",
    ]
    for result in answer["sub_ledgers"]:
        lines += _result_lines(result)
    trial = answer["trial_balance_micros"]
    lines.append(f"  trial balance {money(trial):f}: {'debits equal credits' if not trial else 'NOT ZERO'}")
    stated = answer["venue_statements"]
    lines.append(f"  {answer['finding'] or f'equal to the venue in each of its {stated} statements'}")
    return "\n".join([*lines, f"  {answer['journal']}"])


def _result_lines(result: Result) -> list[str]:
    from deployment.commands.at import units
    from mutable_core.money import decimal_of_micros as money

    realised, unrealised, dividends = result.realised_micros, result.unrealised_micros, result.dividends_micros
    earned = realised + unrealised + dividends - result.fees_micros
    head = (
        f"  {result.strategy}: earned {money(earned):f} = realised {money(realised):f} + unrealised "
        f"{money(unrealised):f} + dividends {money(dividends):f} − fees {money(result.fees_micros):f}"
    )
    lines = [head]
    held = {f"position:{one.instrument}": one for one in result.positions}
    for name, amount in result.balances.items():
        one = held.get(name)
        position = "" if one is None else f"  {units(one.quantity_atoms)} at {units(one.mark_atoms)}"
        lines.append(f"    {name:24} {money(amount):>22f}{position}")
    return lines


NAMES = ("account", "subject", "strategy", "ledger_account")
"""Columns that hold text; all others are numbers, or ids that this house made."""

# -- journal and export -----------------------------------------------------------------------------------------------


def _journal_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="since", metavar="TIME|SEQ", help="entries after this moment")
    parser.add_argument("--to", dest="until", metavar="TIME|SEQ", help="entries up to this moment")
    parser.add_argument("--strategy", help="only entries with a posting in this sub-ledger")
    add_json(parser)


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    _journal_arguments(parser)
    parser.add_argument("--format", choices=("csv", "jsonl"), required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="written whole, or not at all")


class _Span(NamedTuple):
    """Rows after `since`, up to `until`."""

    since: Moment | None
    until: Moment | None


def _span(arguments: argparse.Namespace, paths: list[Path]) -> _Span:
    from deployment.time_travel import moment_of

    since, until = (None if text is None else moment_of(text) for text in (arguments.since, arguments.until))
    for moment in (since, until):
        _demand_one_log(paths, moment)
    return _Span(since, until)


def _entries(path: Path, arguments: argparse.Namespace, span: _Span, ledger: AccountLedger) -> Iterator[Entry]:
    """Entries in log order, one at a time: memory does not grow with the log."""
    from deployment.time_travel import is_after
    from mutable_core.journal import checked_rows

    since, until = span
    for checked in checked_rows(path):
        envelope = checked.envelope
        if until is not None and is_after(envelope, until):
            return
        for entry in ledger.take(envelope):
            if since is not None and not is_after(envelope, since):
                continue
            is_meant = arguments.strategy is None or any(one.strategy == arguments.strategy for one in entry.postings)
            if is_meant and arguments.account in (None, entry.account):
                yield entry


def _lines(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One line per posting; names that people gave go out without what must not leave the house.

    Raises:
        UnknownName: at the end, if no account or strategy has the name that was asked for.
    """
    from mutable_core.accounts import AccountLedger, lines_of
    from mutable_core.privacy import redacted

    accounts: set[str] = set()
    strategies: set[str] = set()
    paths = _journals(arguments)
    span = _span(arguments, paths)
    for path in paths:
        run = {"run": redacted(path.parent.name)}
        ledger = AccountLedger()
        for entry in _entries(path, arguments, span, ledger):
            for line in lines_of(entry):
                yield run | line | {name: redacted(line[name]) for name in NAMES}
        accounts.add(ledger.account)
        strategies.update(ledger.strategies())
    for what, asked, known in (("account", arguments.account, accounts), ("strategy", arguments.strategy, strategies)):
        if asked is not None and asked not in known:
            raise _no_such(what, asked, known)


def _journal(arguments: argparse.Namespace) -> int:
    from deployment.time_travel import utc

    if arguments.json:
        _print_whole(_postings_texts(arguments))
        return 0
    entry = None
    for line in _lines(arguments):
        if (line["run"], line["seq"], line["number"]) != entry:
            entry = (line["run"], line["seq"], line["number"])
            print(
                f"{line['seq']:>8}  {utc(int(line['ts_ns']))}  {line['what']} {line['subject']}  trace {line['trace_id']}"
            )
        quantity = f"  {line['quantity']} units" if line["quantity_atoms"] else ""
        print(f"          {line['strategy']:22} {line['ledger_account']:20} {line['amount']:>22}{quantity}")
    return 0


def _postings_texts(arguments: argparse.Namespace) -> Iterator[str]:
    yield '{"postings":['
    for number, line in enumerate(_lines(arguments)):
        yield ("," if number else "") + _json(line)
    yield "]}\n"


def _print_whole(texts: Iterable[str]) -> None:
    """All of it, or nothing where making it fails; it may be too large for the memory, so it waits on the disk."""
    with TemporaryFile("w+", encoding="utf-8") as waiting:
        waiting.writelines(texts)
        waiting.seek(0)
        shutil.copyfileobj(waiting, sys.stdout)


def _json(line: dict[str, Any]) -> str:
    import msgspec

    return msgspec.json.encode(line).decode()


def _export(arguments: argparse.Namespace) -> int:
    out: Path = arguments.out
    partial = out.with_name(f".{out.name}.partial")
    try:
        count = _write(partial, arguments)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    if arguments.json:
        print_json({"out": str(out), "format": arguments.format, "postings": count})
    else:
        print(f"{out}: {count} postings")
    return 0


def _write(path: Path, arguments: argparse.Namespace) -> int:
    """How many postings."""
    import csv

    from mutable_core.accounts import COLUMNS

    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, ("run", *COLUMNS), lineterminator="\n")
        is_csv = arguments.format == "csv"
        if is_csv:
            table.writeheader()
        for line in _lines(arguments):
            count += 1
            if is_csv:
                table.writerow(line)
            else:
                file.write(_json(line) + "\n")
    return count


# -- NAV --------------------------------------------------------------------------------------------------------------


def _nav_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--every", default="1d", metavar="PERIOD", help="`1d`, `1h`, `5m`, `10s` of the log's time, or a number of rows"
    )
    add_json(parser)


def _nav(arguments: argparse.Namespace) -> int:
    _print_whole(_nav_texts(arguments))
    return 0


def _nav_texts(arguments: argparse.Namespace) -> Iterator[str]:
    """What is printed, bit by bit.

    Raises:
        UnknownName: at the end, if no account has the name that was asked for.
    """
    from mutable_core.accounts import AccountLedger, every, series
    from mutable_core.journal import checked_rows

    often = every(arguments.every)
    known: set[str] = set()
    told = 0
    yield f'{{"every":"{arguments.every}","accounts":[' if arguments.json else ""
    for path in _journals(arguments):
        ledger = AccountLedger()
        points = series(ledger, (checked.envelope for checked in checked_rows(path)), often)
        first = next(points, None)
        known.add(ledger.account)
        if first is None or arguments.account not in (None, ledger.account):
            continue
        write = _account_json if arguments.json else _account_lines
        yield "," if arguments.json and told else ""
        yield from write(path, ledger, chain((first,), points))
        told += 1
    if not told:
        raise _no_such("account", arguments.account, known)
    yield "]}\n" if arguments.json else ""


def _account_json(path: Path, ledger: AccountLedger, points: Iterable[Point]) -> Iterator[str]:
    """Times as text: they exceed what JSON readers keep exactly."""
    import msgspec

    from mutable_core.privacy import redacted

    head = {"journal": str(path), "account": redacted(ledger.account), "currency": ledger.currency}
    yield _json(head)[:-1] + ',"nav":['
    for number, point in enumerate(points):
        line = {"seq": point.seq, "ts_ns": str(point.ts_ns), "until_ns": str(point.until_ns)}
        yield ("," if number else "") + _json(line | msgspec.to_builtins(point.nav))
    yield "]}"


def _account_lines(path: Path, ledger: AccountLedger, points: Iterable[Point]) -> Iterator[str]:
    from mutable_core.privacy import redacted

    yield f"account {redacted(ledger.account)} ({ledger.currency}), {path}\n"
    for point in points:
        yield _point_line(point) + "\n"


def _point_line(point: Point) -> str:
    from deployment.commands.at import nav_line
    from deployment.time_travel import utc

    when = utc(point.until_ns) if point.until_ns else f"row {point.seq}"
    return f"  {when:24} {nav_line(point.nav)}"


ACTIONS: tuple[Command, ...] = (
    Command(
        "balance", "every sub-ledger at a moment, the trial balance, and the venue's word", _balance_arguments, _balance
    ),
    Command("journal", "every entry with its postings", _journal_arguments, _journal),
    Command("nav", "the value of the account over time, and what it is made of", _nav_arguments, _nav),
    Command("export", "every posting as a table: CSV or JSON lines", _export_arguments, _export),
)

COMMAND = Command("ledger", "the double-entry ledger of every account, by strategy", _arguments, _run)
