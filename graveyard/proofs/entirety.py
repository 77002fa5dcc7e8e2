"""What holds of the rules as a whole: a way out always exists, more rules never approve more, nor do larger orders.

*Liveness*: wherever the house itself stands (`HOUSE_STANDS`, the complete list of what is assumed), a pure reduction
is approved, whatever equity, exposure, losses, leverage, stops, lease and venue are, and even where they are not known.
*Monotone*: taking one rule away never refuses what all approve; and what passes as a larger opening order passes as a
smaller one. *Not vacuous*: the rules do approve something of each kind.
"""

from __future__ import annotations

from functools import partial

from graveyard import smt
from graveyard.judge import Judge
from graveyard.proofs.examples import in_words
from graveyard.proofs.properties import MINUTE, SECOND, Said, is_shown
from graveyard.proofs.questions import Acts, Numbers, Question, Stated, Subject, is_true
from graveyard.smt import Request

HOUSE_STANDS: tuple[tuple[str, Said], ...] = (
    (
        "it is an order, of some size and price, to buy or to sell",
        lambda f: (f.quantity_atoms > 0) & (f.entry_price_atoms > 0) & (f.is_buy >= 0),
    ),
    ("the order only reduces, and can be undone", lambda f: (f.is_order == 1) & (f.is_opening + f.is_irreversible == 0)),
    (
        "the seal is whole and was inspected within a minute",
        lambda f: (f.ruleset_matches == 1) & (f.seal_signatures > 1) & (f.seal_faults == 0)
        & (f.seal_age_ns <= MINUTE),
    ),
    ("no full halt is in force", lambda f: f.halt_level <= 1),
    ("no operator's veto stands", lambda f: f.vetoes_standing == 0),
    ("it takes nothing from operators", lambda f: f.disables_override == 0),
    ("it stands in the log", lambda f: f.log_position >= 1),
    (
        "its approval is its first, for at most 30 s",
        lambda f: (f.approvals_before == 0) & (f.approval_term_ns > 0) & (f.approval_term_ns <= 30 * SECOND),
    ),
    ("no private field leaves the house", lambda f: f.outgoing_private == 0),
    ("no consent is missing", lambda f: f.consents_missing == 0),
    ("its text names nobody and no key", lambda f: f.text_unredacted + f.credentials_in_clear == 0),
    ("the key store is closed", lambda f: f.keystore_exposed == 0),
    (
        "it is explained",
        lambda f: (f.reason_chars >= 10) & (f.reason_chars <= 2_000) & (f.evidence_count >= 1)
        & (f.evidence_unresolved + f.evidence_mismatched == 0),
    ),
    (
        "its data is attested, undisputed and fresh",
        lambda f: (f.evidence_unattested + f.evidence_malformed == 0) & (f.sources_apart_bp <= 50)
        & (f.evidence_age_ns >= 0) & (f.evidence_age_ns <= f.evidence_age_max_ns)
        & (f.market_age_ns <= f.evidence_age_max_ns),
    ),
    (
        "no market abuse bars it (rules 1 to 4)",
        lambda f: f.instrument_restricted + f.evidence_not_public + f.evidence_embargoed + f.own_orders_crossed
        + f.own_broadcasts + f.others_signals == 0,
    ),
    (
        "no rate limit is reached",
        lambda f: (f.actions_last_minute <= 60) & (f.burst_tokens >= 1) & (f.burst_tokens <= 10)
        & (f.causal_depth <= 32) & (f.repeats_last_minute <= 3),
    ),
    (
        "the owner's mandate names instrument and strategy",
        lambda f: (f.instrument_in_mandate == 1) & (f.strategy_in_mandate == 1),
    ),
    (
        "people's signatures, where there are any, are at most 5 minutes old",
        lambda f: (f.people >= 0) & ((f.people == 0) | (f.people_age_ns <= 5 * MINUTE)),
    ),
)  # fmt: skip
"""Everything that liveness assumes, each with its sentence. What is not here may be anything, or unknown."""

SIZES = (
    "quantity_atoms",
    "order_notional_micros",
    "exposure_after_micros",
    "gross_after_micros",
    "day_loss_after_micros",
    "day_notional_after_micros",
    "instruments_after",
)
"""The facts that grow with an opening order."""


def _a_way_out(subject: Subject, assumed: tuple[tuple[str, Said], ...] = HOUSE_STANDS) -> Question:
    def replay(acts: Acts, _numbers: Numbers) -> str | None:
        facts = acts["reduction"]
        stands = all(is_shown(said, facts, subject.bounds) for _, said in assumed)
        if not stands or subject.approves(facts):
            return None
        barred = ", ".join(subject.violated(facts))
        return f"Refused by {barred or 'having no rules'}: {in_words(facts, subject.bounds)}"

    stands = (is_true(said, subject.act) for _, said in assumed)
    return Question((*stands, smt.negation(subject.approved)), {"reduction": subject.act}, replay)


def a_way_out_without(index: int) -> Stated:
    """Liveness without one of its assumptions: refuted, for none of them is idle."""
    assumed = HOUSE_STANDS[:index] + HOUSE_STANDS[index + 1 :]
    return Stated("a_way_out", f"… without: {HOUSE_STANDS[index][0]}", partial(_a_way_out, assumed=assumed))


def _fewer_rules(subject: Subject) -> Question:
    def without(index: int) -> smt.Formula:
        rest = subject.keeps[:index] + subject.keeps[index + 1 :]
        return smt.both(bool(rest), *rest)

    def replay(acts: Acts, _numbers: Numbers) -> str | None:
        facts = acts["act"]
        if not subject.approves(facts):
            return None
        for index, rule in enumerate(subject.rules):
            rest = subject.rules[:index] + subject.rules[index + 1 :]
            if not rest or not Judge(rest, subject.bounds).verdict(facts).approved:
                return f"Approved by all rules, and refused without rule {rule.id}: {in_words(facts, subject.bounds)}"
        return None

    each = [smt.negation(without(index)) for index in range(len(subject.rules))]
    return Question((subject.approved, smt.either(*each)), {"act": subject.act}, replay)


def _smaller_orders(subject: Subject) -> Question:
    larger = subject.act
    smaller = Request(subject.bounds, "smaller", like=larger, apart=SIZES)
    sizes = [
        smt.both(smaller.known[name], smaller.value[name] <= larger.value[name])
        for name in SIZES
        if name in subject.bounds
    ]

    def replay(acts: Acts, _numbers: Numbers) -> str | None:
        big, small = acts["larger"], acts["smaller"]
        is_smaller = all(getattr(small, name) <= getattr(big, name) for name in SIZES)
        if not is_smaller or not subject.approves(big) or subject.approves(small):
            return None
        barred = ", ".join(subject.violated(small))
        return f"Refused by {barred}: {in_words(small, subject.bounds)} Approved: {in_words(big, subject.bounds)}"

    opens = smt.both(larger.known["is_opening"], larger.value["is_opening"] == 1)
    some = smaller.value["quantity_atoms"] >= 1
    return Question(
        (opens, some, *sizes, subject.approved, smt.negation(smt.approved(subject.rules, smaller))),
        {"larger": larger, "smaller": smaller},
        replay,
        shown_last=frozenset(SIZES),
    )


def _some(subject: Subject, *, kind: Said) -> Question:
    def replay(acts: Acts, _numbers: Numbers) -> str | None:
        facts = acts["act"]
        if not subject.approves(facts) or not is_shown(kind, facts, subject.bounds):
            return None
        return f"Approved: {in_words(facts, subject.bounds)}"

    return Question((subject.approved, is_true(kind, subject.act)), {"act": subject.act}, replay, expects="sat")


ENTIRETY: tuple[Stated, ...] = (
    Stated(
        "a_way_out",
        "Wherever the house itself stands, a pure reduction is approved, whatever equity, exposure, losses, leverage, "
        "lease and venue are, known or not.",
        _a_way_out,
    ),
    Stated(
        "more_rules_never_approve_more", "What all rules approve is approved without any one of them.", _fewer_rules
    ),
    Stated(
        "larger_orders_never_pass_before_smaller_ones",
        "An opening order that passes would pass with any smaller size, and all else as it is.",
        _smaller_orders,
    ),
    Stated(
        "some_order_opens",
        "Not vacuous: some opening order is approved.",
        partial(_some, kind=lambda f: f.is_opening == 1),
    ),
    Stated(
        "some_order_reduces",
        "Not vacuous: some pure reduction is approved.",
        partial(_some, kind=lambda f: (f.is_order == 1) & (f.is_opening == 0)),
    ),
    Stated(
        "some_operation_passes",
        "Not vacuous: some operation is approved.",
        partial(_some, kind=lambda f: f.is_order == 0),
    ),
)
