"""No sequence of approved orders, fills, partial fills and endings leaves the limits: shown step by step.

The state is an account as one instrument sees it, an arbitrary one: its own position and holds, and those of all others
together. Each step is one question: can it lead from inside the limits to outside? That all answers are no is the
induction. What the model leaves out, so that nobody reads more into it than there is:

* Marks and equity stand still while holds are filled: a fill is valued at its own price, which is no worse than the
  worst case that its hold reserved, and costs are left aside. A fill away from the market loses the difference at once:
  the docket counts that in the hold's risk (to the stop or to the market, whichever is farther), the model leaves it there. What the *market* does to a position afterwards no rule
  can forbid; a state that the market has taken outside is one in which nothing opens until it is inside again.
* The loss of an open position to its stop is no part of the day's loss (rule 6 counts open holds): it becomes part of
  it when it happens.
* Midnight, at which the day's loss begins anew, and splits are no steps of it.
* Amounts are exact rationals. The facts are whole micros and never below them (`docket` rounds up), which is all that
  is assumed of their rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from graveyard import smt
from graveyard.proofs.examples import in_words
from graveyard.proofs.questions import Acts, Numbers, Question, Stated, Subject
from graveyard.smt import Formula, Number, Request
from graveyard.words import Facts


class Account(NamedTuple):
    """Amounts in micros, all ≥ 0 but for `loss`. The numbers are the solver's, or plain fractions.

    Attributes:
        equity, day_start: as they stand; > 0.
        loss: of the day, realised and unrealised; < 0 is a gain.
        position, held, risk: of the instrument: |position| at its mark, holds at their worst case, their loss to stops.
        others, others_held, others_risk: the same of all other instruments together.
        busy: 1 where the instrument has a position or a hold.
        others_busy: how many other instruments have.
    """

    equity: Any
    day_start: Any
    loss: Any
    position: Any
    held: Any
    risk: Any
    others: Any
    others_held: Any
    others_risk: Any
    busy: Any
    others_busy: Any


Counted: TypeAlias = Callable[[Account], Account]
"""What of the account its facts count."""

_WHOLE = ("busy", "others_busy")


def everything(account: Account) -> Account:
    """As `mutable_core.docket` folds them."""
    return account


def without_holds(account: Account) -> Account:
    """A fold that forgets what approvals have reserved: the mistake that the proof must notice."""
    return account._replace(held=0, others_held=0)


def without_risk(account: Account) -> Account:
    """A fold that forgets what open holds could lose."""
    return account._replace(risk=0, others_risk=0)


def inside(account: Account) -> Any:
    """The four limits: a tenth in one instrument, twice in all, the day's twentieth, five instruments."""
    in_one = account.position + account.held
    return (
        (account.equity > 0)
        & (account.day_start > 0)
        & (in_one * 10 <= account.equity)
        & (in_one + account.others + account.others_held <= account.equity * 2)
        & ((account.loss + account.risk + account.others_risk) * 20 < account.day_start)
        & (account.busy + account.others_busy <= 5)
    )


def _sensible(account: Account) -> Any:
    """What an account can be at all."""
    return (
        (account.position >= 0) & (account.held >= 0) & (account.risk >= 0)
        & (account.others >= 0) & (account.others_held >= 0) & (account.others_risk >= 0)
        & (account.busy >= 0) & (account.busy <= 1) & (account.others_busy >= 0)
    )  # fmt: skip


class Order(NamedTuple):
    """An opening order: its notional at the worst case, and its loss to its stop; micros, ≥ 0."""

    notional: Any
    risk: Any


def _least(account: Account, order: Order) -> dict[str, Any]:
    """What the facts of an opening order in the instrument amount to at least: each is this, rounded up to a micro."""
    in_one = account.position + account.held
    return {
        "exposure_after_micros": in_one + order.notional,
        "gross_after_micros": in_one + account.others + account.others_held + order.notional,
        "day_loss_after_micros": account.loss + account.risk + account.others_risk + order.risk,
    }


def _folded(account: Account, order: Order, values: Mapping[str, Any], exact: Callable[[Any], Any]) -> Any:
    """Whether these facts are those of this opening order in the instrument, on this account."""
    least = _least(account, order)
    return (
        (values["is_opening"] == 1)
        & (exact(values["equity_micros"]) == account.equity)
        & (exact(values["day_start_equity_micros"]) == account.day_start)
        & (exact(values["exposure_after_micros"]) >= least["exposure_after_micros"])
        & (exact(values["gross_after_micros"]) >= least["gross_after_micros"])
        & (exact(values["day_loss_after_micros"]) >= least["day_loss_after_micros"])
        & (exact(values["instruments_after"]) == account.others_busy + 1)
    )


_FOLDED = (
    "is_opening", "equity_micros", "day_start_equity_micros", "exposure_after_micros", "gross_after_micros",
    "day_loss_after_micros", "instruments_after",
)  # fmt: skip


def held(account: Account, order: Order) -> Account:
    """The account once the approval has reserved the order (I5)."""
    return account._replace(held=account.held + order.notional, risk=account.risk + order.risk, busy=1)


class Fill(NamedTuple):
    """A part of the holds that is used, and what it makes of the position; all of it may be nothing.

    Attributes:
        released, risk: what the holds lose.
        position: of the instrument afterwards; at most `released` more, less where it went the other way.
    """

    released: Any
    risk: Any
    position: Any


def filled(account: Account, fill: Fill) -> Account:
    return account._replace(held=account.held - fill.released, risk=account.risk - fill.risk, position=fill.position)


def _can_fill(account: Account, fill: Fill) -> Any:
    return (
        (fill.released >= 0) & (fill.released <= account.held)
        & (fill.risk >= 0) & (fill.risk <= account.risk)
        & (fill.position >= 0) & (fill.position <= account.position + fill.released)
    )  # fmt: skip


def seen_from_elsewhere(account: Account, position: Any, hold: Any, risk: Any, *, busy: Any) -> Account:
    """The same account from another instrument that holds this much: what is mine there is among the others here."""
    return account._replace(
        position=position,
        held=hold,
        risk=risk,
        busy=busy,
        others=account.position + account.others - position,
        others_held=account.held + account.others_held - hold,
        others_risk=account.risk + account.others_risk - risk,
        others_busy=account.busy + account.others_busy - busy,
    )


def _unknown_account(name: str = "account") -> tuple[Account, dict[str, Number]]:
    numbers = {
        field: (smt.integer if field in _WHOLE else smt.rational)(f"{name}.{field}") for field in Account._fields
    }
    return Account(**numbers), numbers


def _unknown(kind: type[Any], name: str) -> tuple[Any, dict[str, Number]]:
    numbers = {f"{name} {field}": smt.rational(f"{name}.{field}") for field in kind._fields}
    return kind(*numbers.values()), numbers


def _account(numbers: Numbers) -> Account:
    return Account(**{field: numbers[field] for field in Account._fields})


def _taken(kind: type[Any], name: str, numbers: Numbers) -> Any:
    return kind(*(numbers[f"{name} {field}"] for field in kind._fields))


def _is_folded(account: Account, order: Order, request: Request) -> Formula:
    known = (request.known[name] for name in _FOLDED)
    return smt.both(*known, _folded(account, order, request.value, smt.exact))


def _was_folded(account: Account, order: Order, facts: Facts) -> bool:
    values = {name: getattr(facts, name) for name in _FOLDED}
    return None not in values.values() and bool(_folded(account, order, values, Fraction))


def _possible(order: Order) -> Any:
    return (order.notional >= 0) & (order.risk >= 0)


def opening(subject: Subject, counted: Counted = everything) -> Question:
    """An opening order in the instrument is approved, and reserves what it may cost."""
    account, numbers = _unknown_account()
    order, more = _unknown(Order, "order")

    def replay(acts: Acts, found: Numbers) -> str | None:
        before, asked = _account(found), _taken(Order, "order", found)
        sound = inside(before) and _sensible(before) and _possible(asked)
        approved = _was_folded(counted(before), asked, acts["order"]) and subject.approves(acts["order"])
        after = held(before, asked)
        if not sound or not approved or inside(after):
            return None
        return f"{_stated(before)} Approved: {in_words(acts['order'], subject.bounds)} Afterwards: {_stated(after)}"

    formulas = (
        smt.both(inside(account), _sensible(account), _possible(order)),
        _is_folded(counted(account), order, subject.act),
        subject.approved,
        smt.negation(inside(held(account, order))),
    )
    return Question(formulas, {"order": subject.act}, replay, numbers | more, shown_last=frozenset(_FOLDED))


def _step(
    after: Callable[[Account, Any], Account], can: Callable[[Account, Any], Any], kind: type[Any], what: str
) -> Question:
    """A step that no rule is asked about."""
    account, numbers = _unknown_account()
    step, more = _unknown(kind, what)

    def replay(_acts: Acts, found: Numbers) -> str | None:
        before, taken = _account(found), _taken(kind, what, found)
        sound = inside(before) and _sensible(before) and can(before, taken)
        if not sound or inside(after(before, taken)):
            return None
        return f"{_stated(before)} After the {what}: {_stated(after(before, taken))}"

    formulas = (
        smt.both(inside(account), _sensible(account), can(account, step)),
        smt.negation(inside(after(account, step))),
    )
    return Question(formulas, {}, replay, numbers | more)


class Elsewhere(NamedTuple):
    """Another instrument: what it holds, and what it then does."""

    position: Any
    held: Any
    risk: Any
    busy: Any
    released: Any
    released_risk: Any
    position_after: Any


def _turned(account: Account, there: Elsewhere) -> Account:
    return seen_from_elsewhere(account, there.position, there.held, there.risk, busy=there.busy)


def _back(account: Account, there: Account) -> Account:
    """The account as our own instrument sees it, after something was done elsewhere."""
    return account._replace(
        others=there.position + there.others - account.position,
        others_held=there.held + there.others_held - account.held,
        others_risk=there.risk + there.others_risk - account.risk,
        others_busy=there.busy + there.others_busy - account.busy,
    )


def _exists_elsewhere(account: Account, there: Elsewhere) -> Any:
    turned = _turned(account, there)
    return (
        _sensible(turned)
        & (there.position <= account.others) & (there.held <= account.others_held)
        & (there.risk <= account.others_risk) & (there.busy <= account.others_busy)
        & ((there.busy == 0) | (there.busy == 1))
        & inside(turned)
    )  # fmt: skip


def _fill_elsewhere(account: Account, there: Elsewhere) -> Account:
    done = Fill(there.released, there.released_risk, there.position_after)
    return _back(account, filled(_turned(account, there), done))


def _can_fill_elsewhere(account: Account, there: Elsewhere) -> Any:
    done = Fill(there.released, there.released_risk, there.position_after)
    return _exists_elsewhere(account, there) & _can_fill(_turned(account, there), done)


def opening_elsewhere(subject: Subject, counted: Counted = everything) -> Question:
    """An opening order in another instrument is approved."""
    account, numbers = _unknown_account()
    there, more = _unknown(Elsewhere, "elsewhere")
    order, asked = _unknown(Order, "order")

    def replay(acts: Acts, found: Numbers) -> str | None:
        before, other, wanted = _account(found), _taken(Elsewhere, "elsewhere", found), _taken(Order, "order", found)
        sound = inside(before) and _sensible(before) and _exists_elsewhere(before, other) and _possible(wanted)
        turned = _turned(before, other)
        approved = _was_folded(counted(turned), wanted, acts["order"]) and subject.approves(acts["order"])
        after = _back(before, held(turned, wanted))
        if not sound or not approved or inside(after):
            return None
        return f"{_stated(before)} Approved elsewhere: {in_words(acts['order'], subject.bounds)} Then: {_stated(after)}"

    turned = _turned(account, there)
    formulas = (
        smt.both(inside(account), _sensible(account), _exists_elsewhere(account, there), _possible(order)),
        _is_folded(counted(turned), order, subject.act),
        subject.approved,
        smt.negation(inside(_back(account, held(turned, order)))),
    )
    return Question(formulas, {"order": subject.act}, replay, numbers | more | asked, shown_last=frozenset(_FOLDED))


def together(subject: Subject, counted: Counted = everything) -> Question:
    """Two opening orders in one instrument are approved one after the other, the first partly filled in between."""
    account, numbers = _unknown_account()
    first, more = _unknown(Order, "first")
    fill, most = _unknown(Fill, "fill")
    second, all_of_it = _unknown(Order, "second")
    later = Request(subject.bounds, "later")

    def replay(acts: Acts, found: Numbers) -> str | None:
        start = _account(found)
        one, two = _taken(Order, "first", found), _taken(Order, "second", found)
        part = _taken(Fill, "fill", found)
        between = filled(held(start, one), part)
        sound = inside(start) and _sensible(start) and _possible(one) and _possible(two)
        if not sound or not _can_fill(held(start, one), part) or inside(held(between, two)):
            return None
        for name, at, order in (("first", start, one), ("second", between, two)):
            if not _was_folded(counted(at), order, acts[name]) or not subject.approves(acts[name]):
                return None
        return (
            f"{_stated(start)} First approved: {in_words(acts['first'], subject.bounds)} Then, with "
            f"{_amount(part.released)} of it filled: {in_words(acts['second'], subject.bounds)} "
            f"Together: {_stated(held(between, two))}"
        )

    between = filled(held(account, first), fill)
    formulas = (
        smt.both(inside(account), _sensible(account), _possible(first), _possible(second)),
        _can_fill(held(account, first), fill),
        _is_folded(counted(account), first, subject.act),
        _is_folded(counted(between), second, later),
        subject.approved,
        smt.approved(subject.rules, later),
        smt.negation(inside(held(between, second))),
    )
    acts = {"first": subject.act, "second": later}
    return Question(formulas, acts, replay, numbers | more | most | all_of_it, shown_last=frozenset(_FOLDED))


class Units(NamedTuple):
    """A position in units, and reductions of it; the sign is that of the position before.

    Attributes:
        position: ≠ 0.
        under_way: units of earlier reductions that may still fill, ≥ 0.
        filled: units that fill of all reductions afterwards, ≥ 0.
    """

    position: Any
    under_way: Any
    filled: Any


def _is_reduction(units: Units, values: Mapping[str, Any], *, under_way: bool) -> Any:
    """The fold says pure reduction: the other side, and no more than what is left of the position."""
    left = units.position - (units.under_way if under_way else 0)
    bought, sold = values["is_buy"] == 1, values["is_buy"] == 0
    quantity = values["quantity_atoms"]
    from_long = sold & (units.position > 0) & (quantity <= left)
    from_short = bought & (units.position < 0) & (quantity <= -units.position - (units.under_way if under_way else 0))
    return (values["is_order"] == 1) & (values["is_opening"] == 0) & (from_long | from_short)


def _can_reduce(units: Units, quantity: Any) -> Any:
    """Earlier reductions fit into the position, and no more fills than was asked for."""
    fits = ((units.position > 0) & (units.under_way <= units.position)) | (
        (units.position < 0) & (units.under_way <= -units.position)
    )
    return fits & (units.under_way >= 0) & (units.filled >= 0) & (units.filled <= units.under_way + quantity)


def _keeps_its_sign(units: Units) -> Any:
    return ((units.position > 0) & (units.position - units.filled >= 0)) | (
        (units.position < 0) & (units.position + units.filled <= 0)
    )


_REDUCTION = ("is_order", "is_opening", "is_buy", "quantity_atoms")


def reduction(subject: Subject, *, under_way: bool = True) -> Question:
    """A pure reduction is approved beside others that are under way, and any part of them all fills."""
    numbers = {name: smt.integer(f"units.{name}") for name in Units._fields}
    units, act = Units(**numbers), subject.act

    def replay(acts: Acts, found: Numbers) -> str | None:
        facts, counted = acts["reduction"], Units(**{name: found[name] for name in Units._fields})
        values = {name: getattr(facts, name) for name in _REDUCTION}
        if None in values.values() or not _is_reduction(counted, values, under_way=under_way):
            return None
        sound = _can_reduce(counted, values["quantity_atoms"]) and subject.approves(facts)
        if not sound or _keeps_its_sign(counted):
            return None
        return (
            f"A position of {counted.position} atoms with reductions of {counted.under_way} under way. Approved: "
            f"{in_words(facts, subject.bounds)} When {counted.filled} have filled, the position has changed its sign."
        )

    formulas = (
        smt.both(*(act.known[name] for name in _REDUCTION), _is_reduction(units, act.value, under_way=under_way)),
        subject.approved,
        _can_reduce(units, act.value["quantity_atoms"]),
        smt.negation(_keeps_its_sign(units)),
    )
    return Question(formulas, {"reduction": act}, replay, numbers, shown_last=frozenset(_REDUCTION))


class Less(NamedTuple):
    """What is left of the position after a pure reduction has filled in part."""

    position: Any


def _ended(account: Account, fill: Fill) -> Account:
    return filled(account, fill._replace(position=account.position))


def _reduced(account: Account, less: Less) -> Account:
    return account._replace(position=less.position)


def _can_be_reduced(account: Account, less: Less) -> Any:
    return (less.position >= 0) & (less.position <= account.position)


def _stated(account: Account) -> str:
    """The account in words."""
    a = account
    return (
        f"Equity {_amount(a.equity)}, the day began with {_amount(a.day_start)} and lost {_amount(a.loss)}; in the "
        f"instrument {_amount(a.position)} and {_amount(a.held)} held (to stops: {_amount(a.risk)}), in {a.others_busy} "
        f"others {_amount(a.others)} and {_amount(a.others_held)} held (to stops: {_amount(a.others_risk)})."
    )


def _amount(micros: Fraction) -> str:
    """Micros as money; a fraction of a micro is shown, not rounded."""
    whole, rest = divmod(abs(micros), 10**6)
    decimals = f"{int(rest):06d}".rstrip("0")
    odd = f" and {rest - int(rest)} micros" if rest != int(rest) else ""
    return f"{'-' if micros < 0 else ''}{whole:_}{'.' + decimals if decimals else ''}{odd}".replace("_", " ")


INDUCTION: tuple[Stated, ...] = (
    Stated(
        "an_opening_stays_inside",
        "From inside the limits, approving an opening order leads inside: 10 % in one instrument, gross 2 ×, the day's "
        "5 %, five instruments, with the order and all holds at their worst case.",
        opening,
    ),
    Stated(
        "an_opening_elsewhere_stays_inside",
        "From inside the limits, approving an opening order in any other instrument leads inside.",
        opening_elsewhere,
    ),
    Stated(
        "a_fill_stays_inside",
        "From inside the limits, any partial or full fill at no worse than the worst case leads inside.",
        lambda _: _step(filled, _can_fill, Fill, "fill"),
    ),
    Stated(
        "a_fill_elsewhere_stays_inside",
        "From inside the limits, any fill in any other instrument leads inside.",
        lambda _: _step(_fill_elsewhere, _can_fill_elsewhere, Elsewhere, "fill elsewhere"),
    ),
    Stated(
        "an_ending_stays_inside",
        "From inside the limits, the cancellation, rejection or expiry of any part of an order leads inside.",
        lambda _: _step(_ended, lambda a, f: _can_fill(a, f._replace(position=a.position)), Fill, "ending"),
    ),
    Stated(
        "a_reduction_stays_inside",
        "From inside the limits, a pure reduction and any partial fill of it leads inside.",
        lambda _: _step(_reduced, _can_be_reduced, Less, "reduction"),
    ),
    Stated(
        "a_reduction_never_flips",
        "However much of an approved pure reduction and of those under way fills, the position does not change its sign, "
        "unless something else has reduced it meanwhile (then the venue's own limit on reductions holds it).",
        reduction,
    ),
    Stated(
        "together_as_alone",
        "Two opening orders that are approved one after the other, whatever fills in between, are inside together.",
        together,
    ),
)

PLANTED: tuple[Stated, ...] = (
    Stated("an_opening_stays_inside", "… with holds left out of the facts", partial(opening, counted=without_holds)),
    Stated(
        "an_opening_elsewhere_stays_inside",
        "… with holds left out of the facts",
        partial(opening_elsewhere, counted=without_holds),
    ),
    Stated("together_as_alone", "… with holds left out of the facts", partial(together, counted=without_holds)),
    Stated("together_as_alone", "… with the risk of holds left out", partial(together, counted=without_risk)),
    Stated("a_reduction_never_flips", "… with reductions under way left out", partial(reduction, under_way=False)),
)
"""Mistakes that must be refuted, or the proofs above show nothing."""
