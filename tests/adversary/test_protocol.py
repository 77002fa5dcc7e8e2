"""From a connected peer: what the authority makes of a log that is none, and of questions that nobody should ask."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest

from agents.kenny.door import Door
from agents.kenny.orders import order_for
from deployment.authority.errors import LogForked
from deployment.authority.log import GENESIS, link
from graveyard.authority import BATCH_MAX, BatchSigner, PublicVerifier, Said
from graveyard.authority.wire import Alive, Answer, Ask, FrameReader, FrameRefused, Item, Probe, Rows, frame
from graveyard.words import Approval, Verdict, digest
from mutable_core.errors import ApprovalForged
from tests.adversary.embedded_attacks import Outside
from tests.adversary.makers import EXPIRES_NS, Desk, Log, a_numbered, approvals_in, raw
from tests.makers import DAY_1_NS

REQUEST = "0123456789abcdef" * 2
ONE, TWO = a_numbered(1), a_numbered(2)


class Case:
    """An authority that has read a log of ten rows; the tenth approves proposal one."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.log = Log()
        self.log.fill(9)
        self.position = self.log.approve(ONE)
        self.desk.tell(self.log.frame())

    def ask(self, *items: tuple[str, int]) -> Answer:
        answer = self.desk.tell(Ask(REQUEST, tuple(Item(*item) for item in items)))
        assert isinstance(answer, Answer)
        return answer

    def approval(self) -> Approval:
        (approval,) = approvals_in(self.ask((ONE.proposal_id, self.position)))
        return approval

    def door(self, verifier: PublicVerifier | None = None, durable: int = 10) -> tuple[Door, Outside]:
        outside = Outside()
        door = Door(outside, verifier or self.desk.verifier, lambda: durable, lambda: True)  # type: ignore[arg-type]
        return door, outside


def test_what_stands_in_the_log_is_signed() -> None:
    case = Case()
    approval = case.approval()
    assert case.desk.verifier.verify(approval)
    door, outside = case.door()
    assert door.place(order_for(ONE, reduces=False), ONE, approval, DAY_1_NS)
    assert len(outside.orders) == 1


# -- questions ----------------------------------------------------------------------------------------------------------


def refused(answer: Answer) -> str:
    """The reason for the first item; nothing is signed."""
    assert approvals_in(answer) == []
    assert (answer.signature, answer.batch) == ("", ())
    return answer.items[0].why  # type: ignore[union-attr]


NOT_APPROVED = Verdict(approved=False, heard=26, ruleset="", violations=())
QUESTIONS: dict[str, tuple[Callable[[Case], Answer], str]] = {
    "a position that is not in the log yet": (lambda case: case.ask((ONE.proposal_id, 11)), "not in the log"),
    "the position of another row": (lambda case: case.ask((ONE.proposal_id, 9)), "no approval of it stands"),
    "a proposal that nobody approved": (lambda case: case.ask((TWO.proposal_id, 10)), "no approval of it stands"),
    "one item twice": (lambda case: case.ask(*[(ONE.proposal_id, 10)] * 2), "twice"),
    "an approval under other rules": (lambda case: after(case, ruleset="0" * 64), "other rules"),
    "a verdict that says no": (lambda case: after(case, verdict=NOT_APPROVED), "do not let it pass"),
    "a verdict over no rule": (
        lambda case: after(case, verdict=Verdict(approved=True, heard=0, ruleset="", violations=())),
        "do not let it pass",
    ),
    "an opening order that would hold nothing": (lambda case: after(case, hold_micros=0), "cannot be signed"),
    "a digest that is none": (lambda case: after(case, digest="ab"), "cannot be signed"),
    "an expiry before all time": (lambda case: after(case, expires_ns=0), "cannot be signed"),
    "a hold of 400 digits": (lambda case: after(case, hold_micros=10**400), ""),
}


def after(case: Case, **changes: Any) -> Answer:
    """What is answered to another approval, with these words."""
    case.log.approve(TWO, **changes)
    case.desk.tell(case.log.frame(11))
    return case.ask((TWO.proposal_id, 11))


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_that_is_refused(question: str) -> None:
    case = Case()
    asked, reason = QUESTIONS[question]
    try:
        answer = asked(case)
    except LogForked:
        assert reason == ""  # no such row can be in a log
        return
    assert reason in refused(answer)
    assert case.desk.verifier.verify(case.approval())  # it still serves who asks rightly


def test_a_batch_signs_what_stands_and_refuses_the_rest() -> None:
    case = Case()
    answer = case.ask((TWO.proposal_id, 3), (ONE.proposal_id, 10), ("f" * 32, 10))
    (approval,) = approvals_in(answer)
    assert case.desk.verifier.verify(approval)
    assert len(answer.batch) == 1
    assert [hasattr(item, "why") for item in answer.items] == [True, False, True]


def test_a_folder_that_raises_refuses() -> None:
    """Deny on any exception, a bottomless recursion too."""

    class Bottomless:
        def fold(self, envelope: Any) -> None: ...

        def granted(self, proposal_id: str, position: int) -> Any:
            return self.granted(proposal_id, position)

    case = Case()
    case.desk.answering._folder = Bottomless()
    assert "RecursionError" in refused(case.ask((ONE.proposal_id, 10)))


def test_the_authority_says_where_it_stands() -> None:
    case = Case()
    assert case.desk.tell(Probe(REQUEST)) == Alive(REQUEST, 10, case.log.head)


# -- logs ---------------------------------------------------------------------------------------------------------------


def spoiled(row: bytes) -> bytes:
    return row.replace(b'"depth":0', b'"depth":1')


def with_head(first: int, rows: list[bytes], previous: bytes) -> Rows:
    """Rows with a chain that fits them: the sender can compute it as well as anybody."""
    for row in rows:
        previous = link(previous, row)
    return Rows(first, tuple(rows), previous)


LOGS: dict[str, Callable[[Log], Rows]] = {
    "a gap": lambda log: log.frame(12),
    "a gap under a chain that fits": lambda log: with_head(12, [log.rows[11]], log.heads[10]),
    "a row again under a chain that fits": lambda log: with_head(10, [log.rows[9]], log.heads[10]),
    "the same rows again": lambda log: log.frame(10),
    "the log from its beginning": lambda log: log.frame(1),
    "a rewritten row with its own chain": lambda log: with_head(10, [spoiled(log.rows[9])], log.heads[9]),
    "a row altered under the true chain": lambda log: Rows(11, (spoiled(log.rows[10]), log.rows[11]), log.head),
    "a chain that begins anew": lambda log: with_head(11, log.rows[10:], GENESIS),
    "a chain with one bit flipped": lambda log: Rows(11, tuple(log.rows[10:]), bytes([log.head[0] ^ 1]) + log.head[1:]),
    "rows in another order": lambda log: with_head(11, log.rows[10:][::-1], log.heads[10]),
    "a fork: other rows with a fitting chain, numbered as before": lambda log: with_head(
        11, [log.rows[3]], log.heads[10]
    ),
    "a row that is no message": lambda log: with_head(11, [b"{}"], log.heads[10]),
    "a row with a field too many": lambda log: with_head(
        11, [log.rows[10].replace(b'"depth":0', b'"depth":0,"x":1')], log.heads[10]
    ),
    "a row in another spelling": lambda log: with_head(11, [log.rows[10].replace(b":", b": ", 1)], log.heads[10]),
    "a row of 3 000 brackets": lambda log: with_head(11, [b"[" * 3_000], log.heads[10]),
    "an empty row": lambda log: with_head(11, [b""], log.heads[10]),
    "two rows in one": lambda log: with_head(11, [log.rows[10] + b"\n" + log.rows[11]], log.heads[10]),
}


@pytest.mark.parametrize("log", LOGS)
def test_a_log_that_is_none_ends_the_authority(log: str) -> None:
    """Every way to give it another past: whoever serves it must end, and nothing of the frame was folded."""
    case = Case()
    case.log.approve(TWO)
    case.log.fill(1)
    with pytest.raises(LogForked):
        case.desk.tell(LOGS[log](case.log))
    assert case.desk.tell(Probe(REQUEST)) == Alive(REQUEST, 10, case.log.heads[10])


def test_a_message_that_cannot_be_folded_ends_the_authority() -> None:
    class Choking:
        def fold(self, envelope: Any) -> None:
            raise KeyError(envelope.seq)

        def granted(self, proposal_id: str, position: int) -> str:
            return ""

    case = Case()
    case.desk.answering._folder = Choking()
    case.log.fill(1)
    with pytest.raises(LogForked):
        case.desk.tell(case.log.frame(11))


# -- frames -------------------------------------------------------------------------------------------------------------

PROBE = b'{"frame":"probe","request":"%s"}' % REQUEST.encode()
ITEM = b'{"proposal_id":"%s","position":%s}'


def an_ask(position: bytes, proposal_id: bytes = b"0" * 32) -> bytes:
    return b'{"frame":"ask","request":"%s","items":[%s]}' % (REQUEST.encode(), ITEM % (proposal_id, position))


FRAMES: dict[str, bytes] = {
    "nothing": b"",
    "white space": b" ",
    "no JSON": b"approve",
    "null": b"null",
    "an unknown tag": b'{"frame":"approve","request":"%s"}' % REQUEST.encode(),
    "no tag": b'{"request":"%s"}' % REQUEST.encode(),
    "a frame of the authority": frame(Alive(REQUEST, 0, bytes(32)))[4:],
    "an extra key": PROBE[:-1] + b',"x":1}',
    "a doubled key": PROBE[:-1] + b',"request":"%s"}' % REQUEST.encode(),
    "a doubled tag": b'{"frame":"probe","frame":"probe","request":"%s"}' % REQUEST.encode(),
    "a missing key": b'{"frame":"probe"}',
    "trailing bytes": PROBE + b" ",
    "two values": PROBE + PROBE,
    "white space inside": PROBE.replace(b":", b": "),
    "keys in another order": b'{"request":"%s","frame":"probe"}' % REQUEST.encode(),
    "an escape where none is needed": PROBE.replace(b"probe", b"prob\\u0065"),
    "a byte order mark": b"\xef\xbb\xbf" + PROBE,
    "bad UTF-8": PROBE.replace(b"0123", b"\xff\xfe23"),
    "a lone surrogate": an_ask(b"1", b"\\ud800"),
    "NaN": an_ask(b"NaN"),
    "infinity": an_ask(b"1e999"),
    "a float": an_ask(b"1.0"),
    "an exponent": an_ask(b"1e1"),
    "a bool for an int": an_ask(b"true"),
    "a text for an int": an_ask(b'"1"'),
    "null for an int": an_ask(b"null"),
    "an int of 400 digits": an_ask(b"9" * 400),
    "an int beyond 63 bits": an_ask(b"9223372036854775808"),
    "a negative int": an_ask(b"-1"),
    "position 0": an_ask(b"0"),
    "an int with a leading zero": an_ask(b"01"),
    "3 000 brackets": b"[" * 3_000,
    "100 000 brackets": b"[" * 100_000,
    "3 000 objects": b'{"frame":' * 3_000,
    "3 000 brackets in a field": PROBE[:-1] + b',"x":' + b"[" * 3_000 + b"]" * 3_000 + b"}",
    "no item": b'{"frame":"ask","request":"%s","items":[]}' % REQUEST.encode(),
    "65 items": frame(Ask(REQUEST, tuple(Item("a", n + 1) for n in range(BATCH_MAX + 1))))[4:],
    "an empty proposal id": an_ask(b"1", b""),
    "a request that can be guessed": b'{"frame":"probe","request":"1"}',
    "a request in capitals": PROBE.replace(b"abcdef", b"ABCDEF"),
    "no rows": b'{"frame":"rows","first":1,"rows":[],"head":"%s"}' % (b"A" * 43 + b"="),
    "a short head": b'{"frame":"rows","first":1,"rows":["AA=="],"head":"AA=="}',
    "base64 in another spelling": b'{"frame":"rows","first":1,"rows":["AB=="],"head":"%s"}' % (b"A" * 43 + b"="),
    "base64 without padding": b'{"frame":"rows","first":1,"rows":["AA"],"head":"%s"}' % (b"A" * 43 + b"="),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMES)
def test_what_is_no_frame_is_refused(name: str) -> None:
    """Refused as `FrameRefused`, which ends the connection; nothing else may come out of reading."""
    with pytest.raises(FrameRefused):
        Case().desk.give(FRAMES[name])


def test_the_frames_of_these_tests_would_be_read_if_they_were_not_spoiled() -> None:
    desk = Case().desk
    assert isinstance(desk.give(PROBE), Alive)
    assert isinstance(desk.give(an_ask(b"1")), Answer)


@pytest.mark.parametrize("size", [0, (4 << 20) + 1, 0xFFFFFFFF])
def test_a_length_is_refused_before_anything_is_read_for_it(size: int) -> None:
    with pytest.raises(FrameRefused):
        list(FrameReader().feed(size.to_bytes(4, "big")))


def test_frames_may_come_in_any_pieces() -> None:
    data = raw(PROBE) * 3
    for size in (1, 3, 4, 5, 50, len(data)):
        reader = FrameReader()
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert [payload for piece in pieces for payload in reader.feed(piece)] == [PROBE] * 3


# -- approvals at the door ----------------------------------------------------------------------------------------------


class Tried(NamedTuple):
    """What is brought to the door: an approval, and for which proposal."""

    approval: Approval
    proposal: Any
    now_ns: int = DAY_1_NS


def self_signed(_case: Case) -> Tried:
    signer = BatchSigner()
    case = Case()
    said = Said(*msgspec.structs.astuple(case.approval())[:-2])
    return Tried(signer.sign([said])[0], ONE)


def spliced(case: Case) -> Tried:
    """The digest of another approval in the list of a genuine batch."""
    genuine = case.approval()
    other = BatchSigner().sign([Said(*msgspec.structs.astuple(genuine)[:-2])._replace(digest=digest(TWO))])[0]
    return Tried(msgspec.structs.replace(other, signature=genuine.signature, batch=(*genuine.batch, *other.batch)), TWO)


DOOR: dict[str, Callable[[Case], Tried]] = {
    "signed by a key of the attacker": self_signed,
    "of another run": lambda _case: Tried(Case().approval(), ONE),
    "spliced into a genuine batch": spliced,
    "for another proposal": lambda case: Tried(case.approval(), TWO),
    "for another account": lambda case: Tried(case.approval(), msgspec.structs.replace(ONE, account="live")),
    "for a larger order": lambda case: Tried(case.approval(), msgspec.structs.replace(ONE, quantity=ONE.quantity * 9)),
    "late": lambda case: Tried(case.approval(), ONE, EXPIRES_NS + 1),
    "with the signature of a person": lambda case: Tried(msgspec.structs.replace(case.approval(), batch=()), ONE),
}


@pytest.mark.parametrize("name", DOOR)
def test_an_approval_that_does_not_open_the_door(name: str) -> None:
    case = Case()
    tried = DOOR[name](case)
    door, outside = case.door()
    with pytest.raises(ApprovalForged):
        door.place(order_for(tried.proposal, reduces=False), tried.proposal, tried.approval, tried.now_ns)
    assert outside.orders == []


def test_an_approval_opens_once_however_often_it_is_signed() -> None:
    case = Case()
    door, outside = case.door()
    door.place(order_for(ONE, reduces=False), ONE, case.approval(), DAY_1_NS)
    with pytest.raises(ApprovalForged):
        door.place(order_for(ONE, reduces=False), ONE, case.approval(), DAY_1_NS)
    assert len(outside.orders) == 1


def test_an_approval_that_the_disk_does_not_hold_yet_opens_nothing() -> None:
    case = Case()
    door, outside = case.door(durable=9)
    with pytest.raises(ApprovalForged):
        door.place(order_for(ONE, reduces=False), ONE, case.approval(), DAY_1_NS)
    assert outside.orders == []


ANSWER_FIELDS: dict[str, Any] = {
    "proposal_id": "f" * 32, "account": "live", "digest": "f" * 64, "position": 9, "opening": False, "hold_micros": 1,
    "expires_ns": EXPIRES_NS + 1, "ruleset": "f" * 64, "signature": "f" * 128, "batch": ("f" * 64,),
}  # fmt: skip


@pytest.mark.parametrize("field", Approval.__struct_fields__)
def test_an_approval_altered_on_the_way_is_none(field: str) -> None:
    case = Case()
    altered = msgspec.structs.replace(case.approval(), **{field: ANSWER_FIELDS[field]})
    assert not case.desk.verifier.verify(altered)


def test_the_table_of_frames_is_json_where_it_says_so() -> None:
    """So that it is the strictness that refuses them, not a slip of the table."""
    for name in ("an extra key", "a doubled key", "keys in another order", "a float", "a bool for an int"):
        assert isinstance(json.loads(FRAMES[name]), dict)
