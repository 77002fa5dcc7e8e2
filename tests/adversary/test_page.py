"""The page of attacks says what the tests show."""

from __future__ import annotations

from tests.adversary import test_lies, test_protocol
from tests.adversary.embedded_attacks import ATTACKS as INSIDE
from tests.adversary.lying_authority import LIES
from tests.adversary.outside_attacks import ATTACKS as OUTSIDE
from tests.adversary.page import PAGE, page


def test_the_page_is_what_the_tables_say() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.adversary.page`"


def test_every_attack_has_a_name_of_its_own_and_there_are_many() -> None:
    tables = (
        INSIDE,
        OUTSIDE,
        LIES,
        test_protocol.FRAMES,
        test_protocol.LOGS,
        test_protocol.QUESTIONS,
        test_lies.SPOILED,
    )
    assert sum(map(len, tables)) >= 150
