"""The venue door: it lets through exactly the order that was approved, once, while it is fresh; nothing else (I1)."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from agents.kenny.door import _BURNED_MAX, Door
from agents.kenny.orders import order_for
from agents.kenny.venues.simulated import SimulatedVenue
from graveyard.words import Approval, Proposal, digest
from mutable_core.clock import SECOND_NS
from mutable_core.errors import ApprovalForged
from mutable_core.messages import OrderSpec
from tests.agents.kenny.makers import EXPIRES_NS, a_numbered, an_approval, an_authority
from tests.graveyard.makers import reduction_facts
from tests.makers import DAY_1_NS, a_fill, a_proposal, a_run, an_observation, an_order

NOW = DAY_1_NS


class House:
    """A door with everything in order: what a test spoils is an attribute."""

    def __init__(self) -> None:
        self.authority = an_authority()
        run = a_run()
        self.venue = SimulatedVenue.open(None, cash_micros=run.cash_micros, instruments=run.instruments)
        self.venue.show(an_observation(), NOW)
        self.durable_seq = 7
        self.lease_is_fresh = True
        self.door = Door(self.venue, self.authority, lambda: self.durable_seq, lambda: self.lease_is_fresh)
        self.proposal = a_proposal()
        self.order = order_for(self.proposal, reduces=False)
        self.approval = an_approval(self.authority, self.proposal)
        self.now_ns = NOW

    def place(self) -> bool:
        return self.door.place(self.order, self.proposal, self.approval, self.now_ns)

    def reduction(self) -> House:
        """Holds 100 A and asks to sell them."""
        entry = an_order(stop_price=None, target_price=None)
        self.venue.place(entry, NOW)
        self.venue.show(an_observation(row=2), NOW)
        self.proposal = a_proposal(side="sell", stop_price=None, target_price=None)
        self.order = order_for(self.proposal, reduces=True)
        self.approval = an_approval(self.authority, self.proposal, reduction_facts())
        return self

    @property
    def let_out(self) -> bool:
        return self.venue.knows(self.order.client_order_id)


def refused(house: House) -> str:
    with pytest.raises(ApprovalForged) as raised:
        house.place()
    assert not house.let_out
    return raised.value.what


def test_the_approved_order_reaches_the_venue() -> None:
    house = House()
    assert house.place() is True
    assert house.let_out


def resigned(house: House, **changes) -> Approval:
    """An approval with other words, signed by the authority itself."""
    return an_approval(house.authority, house.proposal, **changes)


APPROVAL_FIELDS = {
    "proposal_id": "f" * 32,
    "account": "other",
    "digest": "f" * 64,
    "position": 6,
    "opening": False,
    "hold_micros": 1,
    "expires_ns": EXPIRES_NS + 1,
    "ruleset": "f" * 64,
    "signature": "f" * 64,
    "batch": ("f" * 64,),
}


@pytest.mark.parametrize("field", Approval.__struct_fields__)
def test_an_approval_altered_in_any_field_is_forged(field: str) -> None:
    house = House()
    house.approval = msgspec.structs.replace(house.approval, **{field: APPROVAL_FIELDS[field]})
    assert "not made by the authority" in refused(house)


def test_an_approval_by_another_authority_is_forged() -> None:
    """Also one of an earlier run: each authority has a key of its own."""
    house = House()
    house.approval = an_approval(an_authority(), house.proposal)
    assert "not made by the authority" in refused(house)


@pytest.mark.parametrize(
    "changes",
    [{"proposal_id": "f" * 32}, {"digest": "f" * 64}, {"digest": digest(a_proposal(quantity=Decimal(99)))}],
)
def test_a_real_approval_of_another_proposal_opens_nothing(changes) -> None:
    house = House()
    house.approval = resigned(house, **changes)
    assert "another proposal" in refused(house)


def test_a_real_approval_for_another_account_opens_nothing() -> None:
    """The authority leaves the account to the door."""
    house = House()
    house.approval = resigned(house, account="somebody-else")
    refused(house)


PROPOSAL_FIELDS = {
    "proposal_id": "f" * 32,
    "account": "other",
    "strategy": "other",
    "instrument": "B",
    "side": "sell",
    "quantity": Decimal(101),
    "limit_price": Decimal("100.01"),
    "stop_price": None,
    "target_price": None,
    "reason": "another reason",
    "evidence": (),
}


@pytest.mark.parametrize("field", Proposal.__struct_fields__)
def test_a_proposal_altered_after_its_approval_opens_nothing(field: str) -> None:
    house = House()
    house.proposal = msgspec.structs.replace(house.proposal, **{field: PROPOSAL_FIELDS[field]})
    house.order = order_for(house.proposal, reduces=False)
    assert "another proposal" in refused(house)


ORDER_FIELDS = {
    "client_order_id": "f" * 32,
    "proposal_id": "f" * 32,
    "instrument": "B",
    "side": "sell",
    "quantity": Decimal(101),
    "type": "market",
    "limit_price": Decimal("100.01"),
    "time_in_force": "gtc",
    "stop_price": None,
    "target_price": None,
    "reduces": True,
}


@pytest.mark.parametrize("field", OrderSpec.__struct_fields__)
def test_an_order_altered_in_any_field_does_not_leave(field: str) -> None:
    house = House()
    house.order = msgspec.structs.replace(house.order, **{field: ORDER_FIELDS[field]})
    assert "not the one that was approved" in refused(house)


@pytest.mark.parametrize(("durable_seq", "leaves"), [(0, False), (6, False), (7, True), (8, True)])
def test_no_order_leaves_before_its_verdict_is_durable(durable_seq: int, leaves: bool) -> None:
    """I3"""
    house = House()
    house.durable_seq = durable_seq
    if leaves:
        assert house.place()
    else:
        assert "not durable" in refused(house)


@pytest.mark.parametrize(("now_ns", "leaves"), [(EXPIRES_NS, True), (EXPIRES_NS + 1, False)])
def test_an_approval_opens_until_it_expires(now_ns: int, leaves: bool) -> None:
    house = House()
    house.now_ns = now_ns
    if leaves:
        assert house.place()
    else:
        assert "expired" in refused(house)


def test_an_approval_opens_once() -> None:
    house = House()
    house.place()
    with pytest.raises(ApprovalForged, match="used before"):
        house.place()
    house.approval = resigned(house, position=8)
    house.durable_seq = 8
    with pytest.raises(ApprovalForged, match="used before"):
        house.place()


def test_a_stale_lease_keeps_an_opening_order_in_the_house() -> None:
    """I9: not an alarm, a False: the house reports it as blocked."""
    house = House()
    house.lease_is_fresh = False
    assert house.place() is False
    assert not house.let_out


def test_a_reduction_needs_no_lease() -> None:
    house = House().reduction()
    house.lease_is_fresh = False
    assert house.place() is True
    assert house.let_out


def test_an_order_that_claims_to_reduce_under_an_approval_to_open_stays() -> None:
    """Otherwise a stale lease could be walked around."""
    house = House()
    house.lease_is_fresh = False
    house.order = order_for(house.proposal, reduces=True)
    assert "not the one that was approved" in refused(house)


def test_a_stale_lease_does_not_use_the_approval_up() -> None:
    house = House()
    house.lease_is_fresh = False
    assert house.place() is False
    house.lease_is_fresh = True
    assert house.place() is True


@pytest.mark.parametrize(
    ("spoil", "say"),
    [
        (lambda house: setattr(house, "durable_seq", 6), "not durable"),
        (lambda house: setattr(house, "now_ns", EXPIRES_NS + 1), "expired"),
    ],
)
def test_a_fault_is_said_even_under_a_stale_lease(spoil, say: str) -> None:
    house = House()
    house.lease_is_fresh = False
    spoil(house)
    assert say in refused(house)


def test_many_used_approvals_are_remembered_as_long_as_they_could_be_used_again() -> None:
    """What is forgotten to bound the memory must have expired: an approval that still stands was used once."""
    house = House()
    house.durable_seq = 10**9
    early = a_numbered(0)
    first = an_approval(house.authority, early, expires_ns=NOW + 30 * SECOND_NS)
    house.door.place(order_for(early, reduces=False), early, first, NOW)
    for number in range(1, _BURNED_MAX + 1):
        later = a_numbered(number)
        approval = an_approval(house.authority, later, expires_ns=NOW + 31 * SECOND_NS)
        house.door.place(order_for(later, reduces=False), later, approval, NOW)
    with pytest.raises(ApprovalForged, match="used before"):
        house.door.place(order_for(early, reduces=False), early, first, NOW)


def test_the_memory_of_used_approvals_is_bounded() -> None:
    house = House()
    for number in range(_BURNED_MAX + 100):
        now_ns = NOW + number * 40 * SECOND_NS
        proposal = a_numbered(number)
        approval = an_approval(house.authority, proposal, expires_ns=now_ns + 30 * SECOND_NS)
        house.door.place(order_for(proposal, reduces=False), proposal, approval, now_ns)
    assert len(house.door._burned) <= _BURNED_MAX


def test_a_fill_needs_no_door() -> None:
    """The only door is `place`: cancels and statements go to the venue itself, and open nothing."""
    doors = [name for name in vars(Door) if not name.startswith("_")]
    assert doors == ["place"]
    assert a_fill(an_order()).IS_INPUT
