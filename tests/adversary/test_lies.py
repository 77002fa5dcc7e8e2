"""An authority that lies: the house believes nothing that is not signed, asked for, and in time."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from deployment.authority.belief import believed
from deployment.authority.client import AuthorityProcess
from deployment.authority.errors import AuthoritySilent
from graveyard.authority import BatchSigner, PublicVerifier, Said
from graveyard.authority.wire import Answer, FrameRefused, Grant, Item, Refusal
from graveyard.ethics import ruleset_digest
from graveyard.words import Approval
from tests.adversary.lying_authority import LIES
from tests.adversary.makers import EXPIRES_NS, started

ASKED = [("0" * 32, 9)]


def lying(lie: str) -> tuple[str, ...]:
    return ("-m", "tests.adversary.lying_authority", lie)


FROM_THE_START = (
    "hello of another pid",
    "hello of another uid",
    "hello with other rules",
    "another process says hello",
)


@pytest.mark.parametrize("lie", FROM_THE_START)
def test_a_process_that_is_not_what_was_started_is_not_asked(lie: str) -> None:
    with pytest.raises(AuthoritySilent):
        AuthorityProcess.start(ruleset=ruleset_digest(), seal="stated", program=lying(lie))


def test_a_process_that_keeps_the_powers_of_root_is_not_asked() -> None:
    """The kernel says who sent the hello; what it says of itself does not count."""
    if os.geteuid() != 0:
        pytest.skip("only root has powers to keep")
    with pytest.raises(AuthoritySilent):
        AuthorityProcess.start(ruleset=ruleset_digest(), seal="stated", program=lying("keeps the powers of the house"))


BELIEVED = {"silent", "replayed answer"}


@pytest.mark.parametrize("lie", [lie for lie in LIES if lie not in BELIEVED])
def test_a_lie_is_not_believed_and_nobody_is_asked_again(lie: str) -> None:
    with started(program=lying(lie)) as authority:
        with pytest.raises(AuthoritySilent):
            authority.approve(ASKED, deadline_ms=10_000)
        assert not authority.is_alive
        with pytest.raises(AuthoritySilent):
            authority.approve(ASKED, deadline_ms=10_000)


def test_a_true_answer_given_again_is_not_believed() -> None:
    """It bears the request that it answered, and that request is over."""
    with started(program=lying("replayed answer")) as authority:
        (approval,) = authority.approve(ASKED, deadline_ms=10_000)
        assert isinstance(approval, Approval)  # who does not lie is believed
        with pytest.raises(AuthoritySilent):
            authority.approve(ASKED, deadline_ms=10_000)


def test_an_answer_that_nobody_asked_for_ends_it() -> None:
    with started(program=lying("an answer that nobody asked for")) as authority:
        with pytest.raises(AuthoritySilent):
            authority.approve(ASKED, deadline_ms=10_000)
        assert not authority.is_alive


def test_silence_is_waited_for_until_the_deadline_and_no_longer_a_reason_to_trust() -> None:
    with started(program=lying("silent")) as authority:
        with pytest.raises(AuthoritySilent):
            authority.approve(ASKED, deadline_ms=30)
        assert authority.is_alive  # it may be slow: the next request is asked
        assert authority.probe(deadline_ms=10_000).seq == 1


# -- what is believed of an answer, without a process -------------------------------------------------------------------

RULESET = ruleset_digest()
ITEMS = (Item("0" * 32, 9), Item("1" * 32, 10), Item("2" * 32, 11))
REQUEST = "0" * 32


def words(item: Item, **changes: Any) -> Said:
    return Said(item.proposal_id, "paper", "ab" * 32, item.position, True, 10**10, EXPIRES_NS, RULESET)._replace(
        **changes
    )


def an_answer(signer: BatchSigner, **changes: Any) -> Answer:
    """The first and the last item are granted, the second is refused."""
    said = [words(ITEMS[0], **changes), words(ITEMS[2], **changes)]
    signed = signer.sign(said)[0]
    items = (Grant(*said[0]), Refusal(ITEMS[1].proposal_id, 10, "no"), Grant(*said[1]))
    return Answer(REQUEST, items, signed.signature, signed.batch)


def taken(signer: BatchSigner, answer: Answer) -> tuple[Approval | Refusal, ...]:
    return believed(ITEMS, answer, PublicVerifier(signer.public_key), RULESET)


def test_a_true_answer_is_believed() -> None:
    signer = BatchSigner()
    found = taken(signer, an_answer(signer))
    assert [type(one) for one in found] == [Approval, Refusal, Approval]


ALTERED: dict[str, Any] = {
    "proposal_id": "f" * 32, "account": "live", "digest": "f" * 64, "position": 7, "opening": False, "hold_micros": 1,
    "expires_ns": EXPIRES_NS + 1, "ruleset": "f" * 64,
}  # fmt: skip


@pytest.mark.parametrize("field", Said._fields)
def test_an_answer_with_one_field_altered_is_not_believed(field: str) -> None:
    signer = BatchSigner()
    true = an_answer(signer)
    first = replace(true.items[0], **{field: ALTERED[field]})
    with pytest.raises(FrameRefused):
        taken(signer, replace(true, items=(first, *true.items[1:])))


def flipped(signature: str) -> str:
    return f"{int(signature[0], 16) ^ 1:x}{signature[1:]}"


def granted_after_all(true: Answer) -> Answer:
    """The refusal becomes a grant."""
    grant = Grant(*words(ITEMS[1]))
    return replace(true, items=(true.items[0], grant, true.items[2]))


SPOILED: dict[str, Callable[[Answer], Answer]] = {
    "no signature": lambda true: replace(true, signature=""),
    "a signature with one bit flipped": lambda true: replace(true, signature=flipped(true.signature)),
    "signed by another key": lambda _true: an_answer(BatchSigner()),
    "signed by another key, the batch kept": lambda true: replace(true, signature=an_answer(BatchSigner()).signature),
    "no batch": lambda true: replace(true, batch=()),
    "a batch cut short": lambda true: replace(true, batch=true.batch[:1]),
    "a batch in another order": lambda true: replace(true, batch=true.batch[::-1]),
    "a batch with a digest more": lambda true: replace(true, batch=(*true.batch, "0" * 64)),
    "a refusal turned into a grant": granted_after_all,
    "a refusal turned into a grant, with its digest in the batch": lambda true: replace(
        granted_after_all(true), batch=(true.batch[0], "0" * 64, true.batch[1])
    ),
    "an item too few": lambda true: replace(true, items=true.items[:2]),
    "an item too many": lambda true: replace(true, items=(*true.items, true.items[1])),
    "items in another order": lambda true: replace(true, items=true.items[::-1]),
    "one grant twice": lambda true: replace(true, items=(true.items[0], true.items[1], true.items[0])),
    "refusals only, with a batch": lambda true: replace(
        true, items=tuple(Refusal(one.proposal_id, one.position, "no") for one in ITEMS)
    ),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_answer_is_not_believed(how: str) -> None:
    signer = BatchSigner()
    with pytest.raises(FrameRefused):
        taken(signer, SPOILED[how](an_answer(signer)))


def test_an_answer_by_other_rules_is_not_believed_however_it_is_signed() -> None:
    signer = BatchSigner()
    with pytest.raises(FrameRefused):
        taken(signer, an_answer(signer, ruleset="f" * 64))
