"""The page that says what was tried and what became of it, from the tables of the tests.

`python -m tests.adversary.page` writes `docs/adversary.md`; a test keeps it fresh.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.adversary import test_lies, test_protocol
from tests.adversary.embedded_attacks import ATTACKS as INSIDE
from tests.adversary.embedded_attacks import OPEN
from tests.adversary.lying_authority import LIES
from tests.adversary.outside_attacks import ATTACKS as OUTSIDE
from tests.adversary.test_outside import IN_REACH_OF_ITS_OWN_USER

PAGE = Path(__file__).parents[2] / "docs" / "adversary.md"

HEAD = """<!-- Written by `python -m tests.adversary.page`; do not edit. -->
# What was tried, and what became of it

Every line is a test case in `tests/adversary/`. Refused: nothing was approved and no order left. Detected: an order left,
and the process itself notices when it looks. Not preventable in embedded mode: an order left, and nothing inside the same
process can be trusted to notice; what shows it is somebody else: a replay of the journal by another process, the venue's
own statement.

Embedded mode is for tests, replay and paper. Python in one process cannot be made read-only, so whoever runs code in it
can make it say yes. The authority in a process of its own takes the key, the rules and the judgement out of that reach.
"""

ALSO = """
## What the process of its own does not prevent

* **root** can read its memory, end it, and replace its rules. A change of the files ends it (code 9) while it runs.
* **its own user**, which nobody but the process should have, can end, stop or slow it: orders are refused, none is sent.
* **the house** writes the log. A house that is taken over can write a log that never happened: observations, leases,
  inspections and people's signatures are checked as far as the log goes (signatures by the people's own keys), not beyond.
  What it cannot do is get a signature over what the rules refuse on that log, fork the log later, or use one twice.
* **the venue adapter** lives in the house: whoever owns the house can call the venue without the door. Against that
  stands a venue key that the house does not hold, which is not part of this process.
* Started by somebody other than root it runs as the user of the house, and says so in its hello.
"""


def page() -> str:
    """The whole page, as Markdown."""
    return "\n".join([HEAD, *_inside(), *_outside(), *_protocol(), ALSO])


def _table(title: str, lines: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield f"## {title}\n"
    yield "| tried | what becomes of it |"
    yield "|---|---|"
    yield from (f"| {tried} | {outcome} |" for tried, outcome in lines)
    yield ""


def _inside() -> Iterator[str]:
    lines = [(tries, expected) for _, tries, expected in INSIDE.values()]
    left = sum(expected == OPEN for _, expected in lines)
    yield from _table(f"Inside the process, embedded mode: {len(lines)} attacks, {left} cannot be prevented", lines)


def _outside() -> Iterator[str]:
    lines = [
        (tries, f"refused{'; its own user could' if name in IN_REACH_OF_ITS_OWN_USER else ''}")
        for name, (_, tries) in OUTSIDE.items()
        if name != "connect_by_name"
    ]
    lines.append((OUTSIDE["connect_by_name"][1], "refused: it has no name"))
    yield from _table(f"Another user against the authority's process: {len(lines)} attacks", lines)


def _protocol() -> Iterator[str]:
    closed = "refused; the connection and the process end"
    yield from _table("Frames that are none", ((name, closed) for name in test_protocol.FRAMES))
    yield from _table(
        "Logs that are none", ((name, "refused; the process ends with code 9") for name in test_protocol.LOGS)
    )
    yield from _table("Questions", ((name, "refused, with the reason") for name in test_protocol.QUESTIONS))
    yield from _table("Approvals brought to the door", ((name, "refused") for name in test_protocol.DOOR))
    lies = (*test_lies.FROM_THE_START, *(lie for lie in LIES if lie != "silent"))
    yield from _table(
        "An authority that lies to the house", ((lie, "not believed; it is ended, nothing is sent") for lie in lies)
    )
    altered = (*(f"`{field}` altered" for field in test_lies.ALTERED), *test_lies.SPOILED)
    yield from _table("Answers altered on the way", ((name, "not believed") for name in altered))


if __name__ == "__main__":
    PAGE.write_text(page())
