"""Ids: random where the world enters, derived everywhere after."""

from __future__ import annotations

import re
import time

from hypothesis import given
from hypothesis import strategies as st

from mutable_core.ids import derived_id, uuid7

PARTS = st.lists(
    st.text(st.characters(blacklist_characters="\x1f", blacklist_categories=["Cs"])), min_size=1, max_size=3
)


def test_a_derived_id_is_the_same_for_ever() -> None:
    """A golden sample: the same intent has the same client order id in any process, in ten years."""
    assert derived_id("client_order", "1" * 32) == "deb300a0702fad1695d64e7b3b2eeb95"


@given(PARTS, PARTS)
def test_other_parts_give_another_id(one, other) -> None:
    assert (derived_id(*one) == derived_id(*other)) is (one == other)
    assert re.fullmatch("[0-9a-f]{32}", derived_id(*one))


def test_a_fresh_id_is_a_uuid_of_version_7_that_sorts_by_birth() -> None:
    before = time.time_ns() // 10**6
    ids = [uuid7() for _ in range(100)]
    after = time.time_ns() // 10**6
    assert len(set(ids)) == 100
    for one in ids:
        assert re.fullmatch("[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", one)
        assert before <= int(one[:12], 16) <= after
