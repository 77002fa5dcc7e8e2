"""`ark rules diff`: what its words are, and what it says."""

from __future__ import annotations

import argparse
from pathlib import Path

from deployment.commands.port import add_json, print_json


def arguments(parser: argparse.ArgumentParser) -> None:
    said = "`current` (the code), `sealed`, or the path of a RULES.json"
    parser.add_argument("a", metavar="A", help=said)
    parser.add_argument("b", metavar="B", help=said)
    parser.add_argument(
        "--journal",
        type=Path,
        default=None,
        help="also say which decisions of this journal the two would make otherwise",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Say what differs from A to B; 1 where something does."""
    from deployment.commands.port import journal_at
    from deployment.rules.changes import changes_between
    from deployment.rules.flips import flips_in
    from deployment.rules.rulesets import ruleset_named

    a, b = ruleset_named(arguments.a), ruleset_named(arguments.b)
    judged = flips_in(journal_at(arguments.journal), a, b) if arguments.journal else None
    changes = changes_between(a, b)
    lines = [line for change in changes for line in change.in_words()]
    if arguments.json:
        print_json({
            "a": a.digest,
            "b": b.digest,
            "rules": changes,
            "looser": [change.id for change in changes if change.is_looser],
            "decisions": judged._asdict() if judged else None,
        })  # fmt: skip
    else:
        print("\n".join(lines) or "no rule differs")
        for flip in judged.flips if judged else ():
            verdicts = ("approved", "refused") if flip.a_approves else ("refused", "approved")
            print(f"row {flip.position}: {' → '.join(verdicts)}: {'; '.join(flip.because)}")
        if judged:
            print(f"{len(judged.flips)} of {judged.decisions} decisions are others")
    return 1 if lines or a.digest != b.digest or (judged and judged.flips) else 0
