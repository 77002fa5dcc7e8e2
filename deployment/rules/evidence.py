"""What speaks for a release: golden decisions that are what the rules say, a proof of every property, a comparison.

The only part of the ceremony that needs the solver (`make .venv/dev` installs it).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from deployment.rules.errors import ReleaseRefused
from deployment.rules.rulesets import Ruleset
from mutable_core.clock import monotonic_ns


class Compared(NamedTuple):
    """One rule, from A to B; examples are facts that differ from those of an ordinary act."""

    change: Literal["equal", "looser", "tighter", "incomparable"]
    now_passes: dict[str, int | None] | None
    now_refused: dict[str, int | None] | None


class Evidence(NamedTuple):
    """How many golden decisions stand, and the proof report."""

    golden: int
    report: bytes


def evidence_for(ruleset: str) -> Evidence:
    """All that must speak for the rules in the code, which have this digest; some seven seconds of the solver.

    Raises:
        ReleaseRefused: something does not.
    """
    return Evidence(golden_rows(), proof_report(ruleset))


def golden_rows() -> int:
    """How many golden decisions there are.

    Raises:
        ReleaseRefused: the file is not what the rules say.
    """
    from graveyard.proofs import golden

    to_do = "run `python -m graveyard.proofs.golden`, and read in its diff which decisions flip"
    rows = golden.generated()
    try:
        is_fresh = golden.committed() == golden.encode(rows)
    except OSError as error:
        raise ReleaseRefused(f"the golden decisions cannot be read: {error.strerror}", to_do=to_do) from error
    if not is_fresh:
        raise ReleaseRefused("the golden decisions are not what the rules say", where="golden.json", to_do=to_do)
    return len(rows)


def proof_report(ruleset: str) -> bytes:
    """The report of a proof of everything about the rules in the code, with this digest.

    Raises:
        ReleaseRefused: something is not proved, a rule is redundant, or a looser mutant goes unnoticed.
    """
    from graveyard.proofs.prove import prove
    from graveyard.proofs.questions import Subject
    from graveyard.proofs.report import report

    result = prove(Subject(), monotonic_ns)
    if not result.ok or result.ruleset != ruleset:
        fails = [f"`{one.name}` is {one.status}" for one in result.properties if one.status != "proved"]
        fails += [f"rule {one.rule} is {one.reason}" for one in result.lacking]
        fails += [f"nobody notices {one}" for one in (result.mutants.survivors if result.mutants else ())]
        what = f"{fails[0]}, {len(fails)} in all" if fails else "the golden decisions flip"
        raise ReleaseRefused(f"not everything is proved: {what}", to_do="see all of it with `ark rules prove`")
    return report(result)


def compared(a: Ruleset, b: Ruleset) -> dict[int, Compared]:
    """Every rule that both have, by its number; what the solver does not decide is incomparable."""
    from graveyard.proofs.compare import compare

    found: dict[int, Compared] = {}
    for one in compare(a.rules, b.rules, a.bounds, b.bounds):
        if one.rule is not None and None not in one.names:
            found[one.rule] = Compared(
                "incomparable" if one.change == "undecided" else one.change,
                one.let_through.facts if one.let_through else None,
                one.kept_out.facts if one.kept_out else None,
            )
    return found
