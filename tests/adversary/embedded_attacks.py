"""Attacks from inside the process that holds everything: what embedded mode refuses, what it notices, what it cannot stop.

`python -m tests.adversary.embedded_attacks` runs each attack in a process of its own (forked from one that has loaded the
house) and prints what became of each. An attack tries to get an order out that the rules refuse, or that nobody approved.

* `refused`: no order left;
* `detected`: it left, and the process itself notices when it looks (`check_rules`, which the Watchdog calls);
* `not preventable in embedded mode`: it left, and nothing in the process can be trusted to notice.
"""

from __future__ import annotations

import builtins
import ctypes
import gc
import hmac
import json
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from hashlib import blake2b
from typing import Any

import msgspec

from agents.kenny.door import Door
from agents.kenny.orders import order_for
from graveyard import ethics
from graveyard.authority import EmbeddedAuthority, embedded
from graveyard.ethics import FACT_BOUNDS, RULES, Rule, ruleset_digest
from graveyard.expressions import Clause, Const
from graveyard.judge import Judge
from graveyard.words import Approval, Facts, Proposal, Verdict, digest
from mutable_core.clock import SECOND_NS
from mutable_core.messages import OrderSpec
from tests.graveyard.makers import good_facts
from tests.makers import DAY_1_NS, a_proposal

REFUSED, DETECTED, OPEN = "refused", "detected", "not preventable in embedded mode"
NOW = DAY_1_NS
EXPIRES_NS = NOW + 30 * SECOND_NS
PINNED = ruleset_digest()
HALTED = {"halt_level": 2}


class Outside:
    """Beyond the door: remembers what came out."""

    name = "outside"

    def __init__(self) -> None:
        self.orders: list[OrderSpec] = []

    def place(self, order: OrderSpec, ts_ns: int) -> None:
        del ts_ns
        self.orders.append(order)


class Stage:
    """One embedded authority and one door, in order; the log is durable up to row 7."""

    def __init__(self) -> None:
        self.authority = EmbeddedAuthority(pinned=PINNED)
        self.outside = Outside()
        durable = 7
        self.durable_seq = lambda: durable
        self.door = Door(self.outside, self.authority, self.durable_seq, lambda: True)  # type: ignore[arg-type]
        self.proposal = a_proposal()
        self.allowed = 0  # orders that were rightly approved

    def facts(self, **changes: Any) -> Facts:
        return good_facts(**changes)

    def ask(self, facts: Facts, proposal: Proposal | None = None, **changes: Any) -> Approval | Verdict:
        proposal = proposal or self.proposal
        asked: dict[str, Any] = {
            "proposal_id": proposal.proposal_id, "account": proposal.account, "position": 7, "hold_micros": 10**10,
            "expires_ns": EXPIRES_NS,
        }  # fmt: skip
        return self.authority.approve(digest(proposal), facts, **(asked | changes))

    def real(self) -> Approval:
        approval = self.ask(self.facts())
        assert isinstance(approval, Approval)
        return approval

    def out(
        self, approval: Any, proposal: Proposal | None = None, order: OrderSpec | None = None, now_ns: int = NOW
    ) -> None:
        proposal = proposal or self.proposal
        self.door.place(order or order_for(proposal, reduces=False), proposal, approval, now_ns)

    def through(self, **bad: Any) -> None:
        """Ask for what the rules refuse, and go out with the answer."""
        self.out(self.ask(self.facts(**(bad or HALTED))))

    def outcome(self) -> str:
        if len(self.outside.orders) <= self.allowed:
            return REFUSED
        try:
            self.authority.check_rules()
        except Exception:  # noqa: BLE001  # whatever the attack has left of it: it says that something is wrong
            return DETECTED
        return OPEN


Attack = Callable[[Stage], None]
ATTACKS: dict[str, tuple[Attack, str, str]] = {}
"""Name → the attack, what it tries, what must become of it."""


def attack(tries: str, expected: str) -> Callable[[Attack], Attack]:
    def noted(one: Attack) -> Attack:
        ATTACKS[one.__name__] = (one, tries, expected)
        return one

    return noted


def forged(stage: Stage, **changes: Any) -> Approval:
    proposal = stage.proposal
    values: dict[str, Any] = {
        "proposal_id": proposal.proposal_id, "account": proposal.account, "digest": digest(proposal), "position": 7,
        "opening": True, "hold_micros": 10**10, "expires_ns": EXPIRES_NS, "ruleset": PINNED, "signature": "0" * 64,
    }  # fmt: skip
    return Approval(**(values | changes))


def clause_on(fact: str) -> Clause:
    return next(clause for rule in RULES for clause in rule.clauses if getattr(clause.measured, "name", "") == fact)


# -- approvals made or altered ------------------------------------------------------------------------------------------


@attack("an `Approval` made by hand, with a guessed signature", REFUSED)
def forged_approval(stage: Stage) -> None:
    stage.out(forged(stage))


@attack("an `Approval` under a keyed digest with a key of its own", REFUSED)
def own_key(stage: Stage) -> None:
    made = forged(stage)
    said = msgspec.structs.astuple(made)[:-2]
    mac = blake2b(msgspec.json.encode(said), key=b"k" * 32, person=b"ark.approval/1", digest_size=32)
    stage.out(msgspec.structs.replace(made, signature=mac.hexdigest()))


@attack("the approval of another authority with the same rules", REFUSED)
def another_authority(stage: Stage) -> None:
    other = Stage()
    stage.out(other.real())


@attack("an approval copied with another account", REFUSED)
def copied_account(stage: Stage) -> None:
    stage.out(msgspec.structs.replace(stage.real(), account="live"))


@attack("an approval copied with a later expiry", REFUSED)
def copied_expiry(stage: Stage) -> None:
    late = msgspec.structs.replace(stage.real(), expires_ns=EXPIRES_NS * 2)
    stage.out(late, now_ns=EXPIRES_NS + 1)


@attack("an approval altered in a pickle and read again", REFUSED)
def altered_pickle(stage: Stage) -> None:
    data = pickle.dumps(stage.real()).replace(b"paper", b"other")
    stage.out(pickle.loads(data))


@attack("an approval altered in a deep copy, by `force_setattr`", REFUSED)
def altered_copy(stage: Stage) -> None:
    copy = deepcopy(stage.real())
    msgspec.structs.force_setattr(copy, "hold_micros", 1)
    stage.out(copy)


class _Friendly(Approval, frozen=True):
    """A subclass with the same words."""


@attack("a subclass of `Approval` with genuine words", REFUSED)
def subclass(stage: Stage) -> None:
    stage.out(_Friendly(*msgspec.structs.astuple(stage.real())))


class _AnyText(str):
    """A text that equals every text."""

    __slots__ = ()

    def __eq__(self, _other: object) -> bool:
        return True

    def __ne__(self, _other: object) -> bool:
        return False

    __hash__ = str.__hash__


class _AnyType(type):
    def __eq__(cls, _other: object) -> bool:
        return True

    __hash__ = type.__hash__


class _AnyTextOfAnyType(_AnyText, metaclass=_AnyType):
    """… whose class equals every class."""

    __slots__ = ()


def larger(stage: Stage) -> Proposal:
    return msgspec.structs.replace(stage.proposal, quantity=stage.proposal.quantity * 1_000)


@attack("a genuine approval whose digest is a `str` that equals every text, for a larger order", REFUSED)
def lying_text(stage: Stage) -> None:
    real = stage.real()
    stage.out(msgspec.structs.replace(real, digest=_AnyText(real.digest)), larger(stage))


@attack("the same, with a metaclass that makes the type equal `str` too", REFUSED)
def lying_type(stage: Stage) -> None:
    real = stage.real()
    stage.out(msgspec.structs.replace(real, digest=_AnyTextOfAnyType(real.digest)), larger(stage))


@attack("one approval for two orders", REFUSED)
def double_use(stage: Stage) -> None:
    real = stage.real()
    stage.allowed = 1
    stage.out(real)
    stage.out(real)


@attack("the approval of one order for another, larger one", REFUSED)
def another_order(stage: Stage) -> None:
    stage.out(stage.real(), stage.proposal, order_for(larger(stage), reduces=False))


@attack("an approval after its expiry", REFUSED)
def expired(stage: Stage) -> None:
    stage.out(stage.real(), now_ns=EXPIRES_NS + 1)


@attack("an approval whose verdict is not durable yet", REFUSED)
def not_durable(stage: Stage) -> None:
    stage.out(stage.ask(stage.facts(), position=8))


class _AnyOrder(OrderSpec, frozen=True, tag=None):
    """An order that equals every order."""

    def __eq__(self, _other: object) -> bool:
        return True

    def __ne__(self, _other: object) -> bool:
        return False

    __hash__ = OrderSpec.__hash__


@attack("a subclass of `OrderSpec` that equals every order, larger than approved", REFUSED)
def lying_order(stage: Stage) -> None:
    order = order_for(larger(stage), reduces=False)
    stage.out(stage.real(), stage.proposal, _AnyOrder(*msgspec.structs.astuple(order)))


class _TwoFaced(Proposal, frozen=True):
    """Written out, its small quantity; read by Python, a large one."""

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        return value * 1_000 if name == "quantity" else value


@attack("a subclass of `Proposal` that shows one quantity to the digest and another to the order", REFUSED)
def two_faced_proposal(stage: Stage) -> None:
    stage.out(stage.real(), _TwoFaced(*msgspec.structs.astuple(stage.proposal)))


# -- facts that lie -----------------------------------------------------------------------------------------------------


class _Zero(int):
    """2, which says that it is at most anything."""

    def __le__(self, _other: object) -> bool:
        return True

    def __eq__(self, _other: object) -> bool:
        return True

    __hash__ = int.__hash__


@attack("facts with an `int` that lies about comparisons", REFUSED)
def lying_int(stage: Stage) -> None:
    stage.through(halt_level=_Zero(2))


class _GoodFacts(Facts, frozen=True):
    """A subclass of `Facts`."""


@attack("facts of a subclass", REFUSED)
def lying_facts(stage: Stage) -> None:
    stage.out(stage.ask(_GoodFacts(*msgspec.structs.astuple(stage.facts(**HALTED)))))


@attack("facts with `True` for a number", REFUSED)
def bool_fact(stage: Stage) -> None:
    stage.through(is_order=True)


@attack("facts with NaN, a float, an int of 400 digits", REFUSED)
def absurd_facts(stage: Stage) -> None:
    for absurd in (float("nan"), 0.0, 10**400, -(10**400)):
        with suppress(Exception):
            stage.through(equity_micros=absurd)


# -- rules bent ---------------------------------------------------------------------------------------------------------


@attack("`object.__setattr__` on a clause of the rules", REFUSED)
def object_setattr(stage: Stage) -> None:
    object.__setattr__(clause_on("halt_level"), "limit", Const(9))
    stage.authority = EmbeddedAuthority(pinned=PINNED)
    stage.through()


@attack("`msgspec.structs.force_setattr` on a clause, before the authority begins", REFUSED)
def force_setattr_before(stage: Stage) -> None:
    msgspec.structs.force_setattr(clause_on("halt_level"), "limit", Const(9))
    stage.authority = EmbeddedAuthority(pinned=PINNED)
    stage.through()


@attack("`force_setattr` on a clause while it runs: the compiled rules do not follow", REFUSED)
def force_setattr_while(stage: Stage) -> None:
    msgspec.structs.force_setattr(clause_on("halt_level"), "limit", Const(9))
    stage.through()


@attack("`force_setattr` on a clause, and the rules compiled again", DETECTED)
def force_setattr_recompiled(stage: Stage) -> None:
    for rule in RULES:
        for clause in rule.clauses:
            if getattr(clause.measured, "name", "") == "halt_level":
                msgspec.structs.force_setattr(clause, "limit", Const(9))
                msgspec.structs.force_setattr(clause, "relation", "<=")
    stage.authority._judge = Judge()
    stage.through()


@attack("the dictionary behind a `mappingproxy`, reached by `gc.get_referents`", REFUSED)
def mapping_proxy(stage: Stage) -> None:
    (behind,) = [one for one in gc.get_referents(FACT_BOUNDS) if isinstance(one, dict)]
    behind["halt_level"] = behind["kill_path_age_ns"]
    stage.through()


def _loose() -> tuple[Rule, ...]:
    """The first rule alone, which a halt does not concern."""
    return RULES[:1]


@attack("items of the tuple `RULES` replaced by ctypes, and the rules compiled again", DETECTED)
def ctypes_tuple(stage: Stage) -> None:
    items = ctypes.cast(id(RULES) + tuple.__basicsize__, ctypes.POINTER(ctypes.py_object))
    harmless = RULES[0]
    for index in range(1, len(RULES)):
        items[index] = msgspec.structs.replace(harmless, id=RULES[index].id)
    stage.authority._judge = Judge()
    stage.through()


@attack("a number inside the rules overwritten by ctypes: compiled rules and data share it", DETECTED)
def ctypes_int(stage: Stage) -> None:
    clause = clause_on("day_traded_micros")
    assert isinstance(clause.limit, Const)
    digits = ctypes.c_uint32.from_address(id(clause.limit.value) + int.__basicsize__)
    digits.value = 1
    size = ctypes.c_ssize_t.from_address(id(clause.limit.value) + object.__basicsize__)
    size.value = 1  # of its digits only the first counts
    stage.through(day_traded_micros=clause.limit.value)


@attack("the module's `RULES` replaced before the authority begins", REFUSED)
def module_attribute(stage: Stage) -> None:
    embedded.RULES = _loose()
    stage.authority = EmbeddedAuthority(pinned=PINNED)
    stage.through()


@attack("`__defaults__` of `ruleset_digest` replaced: nobody who checks relies on them", REFUSED)
def defaults(stage: Stage) -> None:
    ethics.ruleset_digest.__defaults__ = (_loose(), FACT_BOUNDS)
    stage.through()


@attack("the module's `RULES`, the judge and the function that computes their digest replaced", DETECTED)
def module_and_digest(stage: Stage) -> None:
    embedded.RULES = _loose()
    embedded.ruleset_digest = lambda *_: PINNED
    stage.authority._judge = Judge(_loose())
    stage.through()


@attack("the method `Judge.verdict` replaced on the class", OPEN)
def class_patch(stage: Stage) -> None:
    yes = Verdict(approved=True, heard=26, ruleset=PINNED, violations=())
    Judge.verdict = lambda _self, _facts: yes  # type: ignore[method-assign]
    stage.through()


@attack("the `__code__` of the compiled rules replaced", OPEN)
def code_object(stage: Stage) -> None:
    stage.authority._judge._mask.__code__ = (lambda facts: 0).__code__
    stage.through()


@attack("the compiled rules replaced on the judge", OPEN)
def mask_replaced(stage: Stage) -> None:
    stage.authority._judge._mask = lambda _facts: 0
    stage.through()


@attack("a local variable of the compiled rules rewritten by `sys.settrace`", OPEN)
def settrace(stage: Stage) -> None:
    code = stage.authority._judge._mask.__code__

    def tracer(frame: Any, _event: str, _argument: Any) -> Any:
        if frame.f_code is code:
            frame.f_trace_opcodes = True
            if "violated" in frame.f_locals:
                frame.f_locals["violated"] = 0
        return tracer

    facts = stage.facts(**HALTED)
    sys.settrace(tracer)
    try:
        approval = stage.ask(facts)
    finally:
        sys.settrace(None)
    stage.out(approval)


# -- the check bent -----------------------------------------------------------------------------------------------------


@attack("`hmac.compare_digest` replaced", OPEN)
def compare_patched(stage: Stage) -> None:
    hmac.compare_digest = lambda _one, _other: True
    stage.out(forged(stage))


@attack("`hashlib.blake2b` replaced after the start: the keyed state is there already", REFUSED)
def hashlib_patched(stage: Stage) -> None:
    embedded.blake2b = lambda *_args, **_kwargs: blake2b(b"", digest_size=32)
    stage.out(forged(stage, signature=blake2b(b"", digest_size=32).hexdigest()))


@attack("the encoder of what is signed replaced by a constant", OPEN)
def encoder_patched(stage: Stage) -> None:
    embedded._encode = lambda _said: b""
    real = stage.real()
    stage.out(msgspec.structs.replace(real, digest=digest(larger(stage))), larger(stage))


@attack("`builtins.all` replaced, and a text that equals every text: it cannot be written, so not signed", REFUSED)
def builtins_patched(stage: Stage) -> None:
    real = stage.real()
    builtins.all = lambda _values: True
    stage.out(msgspec.structs.replace(real, digest=_AnyText(real.digest)), larger(stage))


@attack("`EmbeddedAuthority.verify` replaced on the class", OPEN)
def verify_patched(stage: Stage) -> None:
    EmbeddedAuthority.verify = lambda _self, _approval: True  # type: ignore[method-assign]
    stage.out(forged(stage))


@attack("the key's state read from the authority, and an approval signed with it", OPEN)
def stolen_key(stage: Stage) -> None:
    made = forged(stage)
    state = stage.authority._base.copy()
    state.update(msgspec.json.encode(msgspec.structs.astuple(made)[:-2]))
    stage.out(msgspec.structs.replace(made, signature=state.hexdigest()))


@attack("a closure cell of the door rewritten: nothing has to be durable", OPEN)
def closure_cell(stage: Stage) -> None:
    (cell,) = stage.durable_seq.__closure__ or ()
    cell.cell_contents = 10**9
    stage.out(stage.ask(stage.facts(), position=10**6))


@attack("the door's memory of used approvals emptied", OPEN)
def memory_emptied(stage: Stage) -> None:
    real = stage.real()
    stage.allowed = 1
    stage.out(real)
    stage.door._burned.clear()
    stage.out(real)


@attack("the door walked around: the venue called directly", OPEN)
def around_the_door(stage: Stage) -> None:
    stage.door._venue.place(order_for(stage.proposal, reduces=False), NOW)


# -- running them -------------------------------------------------------------------------------------------------------


def outcome_of(name: str) -> str:
    """What became of one attack, tried in a process of its own."""
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiving)
        os.write(sending, _tried(name).encode())
        os._exit(0)
    os.close(sending)
    said = os.read(receiving, 1_024).decode()
    os.close(receiving)
    os.waitpid(child, 0)
    return said or "the process died"


def _tried(name: str) -> str:
    stage = Stage()
    with suppress(Exception):  # an error is a refusal; what counts is whether an order is outside
        ATTACKS[name][0](stage)
    return stage.outcome()


def outcomes() -> Iterator[tuple[str, str]]:
    for name in ATTACKS:
        yield name, outcome_of(name)


if __name__ == "__main__":
    print(json.dumps(dict(outcomes())))
