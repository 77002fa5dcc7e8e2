"""`ark rules prove`: what the rules guarantee for all acts, proved; exit code 1 where anything is not."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from deployment.commands.port import add_json, print_json
from mutable_core.errors import Unacceptable

if TYPE_CHECKING:
    from graveyard.proofs.outcomes import Outcome, Result


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-mutants", action="store_true", help="leave out the changed rules; there is then no report"
    )
    parser.add_argument(
        "--write", action="store_true", help="write the report that the seal covers, where all is proved"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 where all is proved, every rule has its witness and no looser mutant survives; else 1.

    Raises:
        Unacceptable: z3 is not installed, the golden decisions cannot be read, or `--write` was asked of less than all.
    """
    if arguments.write and arguments.no_mutants:
        raise Unacceptable("a report names the mutants too", to_do="use `--write` without `--no-mutants`")
    result = _proved(with_mutants=not arguments.no_mutants)
    data = _report(result)
    if arguments.json:
        print_json(_as_json(result, data))
    else:
        _show(result, data)
    if arguments.write and data is not None:
        from graveyard.proofs.report import report_path

        report_path().write_bytes(data)
    return 0 if result.ok else 1


def _proved(*, with_mutants: bool) -> Result:
    try:
        from graveyard.proofs.prove import prove
        from graveyard.proofs.questions import Subject
    except ModuleNotFoundError as error:
        if error.name != "z3":
            raise
        raise Unacceptable(
            "the solver z3 is not installed",
            to_do="run `make .venv/dev`, or install the extra `prove` of this checkout",
        ) from error
    from mutable_core.clock import monotonic_ns

    try:
        return prove(Subject(), monotonic_ns, with_mutants=with_mutants)
    except (OSError, ValueError) as error:
        raise Unacceptable(
            f"the golden decisions could not be read: {error}",
            where="graveyard/proofs/golden.json",
            to_do="write them again with `python -m graveyard.proofs.golden` and look at what changed",
        ) from error


def _report(result: Result) -> bytes | None:
    from graveyard.proofs.report import report

    return report(result) if result.ok and result.mutants is not None else None


def _as_json(result: Result, data: bytes | None) -> dict[str, Any]:
    from graveyard.proofs.report import report_digest

    return {
        "ruleset": result.ruleset,
        "z3": result.z3,
        "properties": result.properties,
        "assumes": result.assumes,
        "witnesses": result.witnesses,
        "lacking": result.lacking,
        "golden": result.golden,
        "mutants": result.mutants,
        "ms": result.ms,
        "ok": result.ok,
        "report": None if data is None else report_digest(data),
    }


def _show(result: Result, data: bytes | None) -> None:
    for outcome in result.properties:
        _show_one(outcome)
    print(f"{_count(result)} properties proved in {result.ms['proofs']:.0f} ms, for all acts (z3 {result.z3}).")
    rules = sum(witness.clause is None for witness in result.witnesses)
    clauses = len(result.witnesses) - rules
    print(f"{rules} rules and {clauses} clauses have an act that they alone refuse.")
    for lacking in result.lacking:
        print(f"NO WITNESS for rule {lacking.rule}, clause {lacking.clause}: {lacking.reason}")
    print(f"{result.golden.rows} golden decisions, {len(result.golden.flipped)} flipped.")
    for flip in result.golden.flipped:
        print(f"FLIPPED {flip}")
    if result.mutants is not None:
        m = result.mutants
        print(
            f"{m.total} mutants in {result.ms['mutants']:.0f} ms: {m.looser} looser ({m.killed_by_property} killed by a "
            f"property, {m.killed_by_golden} by a golden decision), {m.tighter} tighter, {m.equivalent} equivalent, "
            f"{len(m.survivors)} survive."
        )
        for survivor in m.survivors:
            print(f"SURVIVES {survivor}")
    print(f"Ruleset {result.ruleset}.")
    if data is not None:
        from graveyard.proofs.report import report_digest

        print(f"Report {report_digest(data)}.")


def _show_one(outcome: Outcome) -> None:
    mark = {"proved": "proved ", "refuted": "REFUTED", "unknown": "UNKNOWN"}[outcome.status]
    print(f"{mark} {outcome.ms:8.1f} ms  {outcome.name}: {outcome.says}")
    if outcome.counterexample is not None:
        print(f"         {outcome.counterexample.words}")
    if outcome.reason:
        print(f"         {outcome.reason}")


def _count(result: Result) -> str:
    proved = sum(outcome.status == "proved" for outcome in result.properties)
    return f"{proved} of {len(result.properties)}"
