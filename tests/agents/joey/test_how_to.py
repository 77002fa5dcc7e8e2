from __future__ import annotations

import re
from pathlib import Path

import pytest

from agents.joey import propose
from agents.joey.signals import Strategy
from tests.agents.joey.makers import Floor, a_mandate, proposals, reasons

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "add-a-strategy.md"


@pytest.fixture
def written() -> Strategy:
    """The strategy of the page, made from the page."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, str(PAGE), "exec", dont_inherit=True), names)
    (strategy,) = [value for value in names.values() if isinstance(value, Strategy)]
    return strategy


def test_the_example_of_the_page_trades(written: Strategy, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line in the register and one name in the mandate, and it is asked."""
    monkeypatch.setitem(propose.BY_NAME, written.name, written)
    floor = Floor(a_mandate(written.name))
    for _ in range(15):
        floor.bar(100)
    assert [reasons(floor.bar(close)) for close in (99, 98)] == [["no_signal"]] * 2
    made = proposals(floor.bar(97))[0]
    assert made.proposal.strategy == "three_lower_closes"
    assert "third lower close" in made.proposal.reason


def test_the_page_names_what_is_there(written: Strategy) -> None:
    page = PAGE.read_text(encoding="utf-8")
    for path in set(re.findall(r"`((?:agents|tests)/[\w/]+\.?\w*/?)`", page)) - {
        f"agents/joey/strategies/{written.name}.py"
    }:
        assert (PAGE.parents[2] / path).exists(), path
