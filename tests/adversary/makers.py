"""A log with approvals in it, an authority that reads it, and the house's tree copied to where it may be spoiled."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from deployment.authority.answering import Answering
from deployment.authority.belief import _approval
from deployment.authority.client import AuthorityProcess
from deployment.authority.log import GENESIS, link
from deployment.authority.rules import RulesKept
from graveyard.authority import BatchSigner, PublicVerifier
from graveyard.authority.wire import Answer, FromAuthority, FromHouse, Rows, frame, read_from_authority
from graveyard.ethics import RULES, ruleset_digest
from graveyard.words import Approval, Proposal, Verdict, digest
from mutable_core.clock import SECOND_NS
from mutable_core.messages import Approved, Envelope, Grounds, NothingProposed, encode
from tests.adversary.plain_authority import PlainFolder
from tests.graveyard.makers import good_facts
from tests.makers import DAY_1_NS, a_proposal, an_envelope

TOP = Path(__file__).parents[2]
PLAIN = ("-m", "tests.adversary.plain_authority")
EXPIRES_NS = DAY_1_NS + 30 * SECOND_NS
_NOWHERE: dict[str, Any] = {"proofs": "0" * 64, "evidence": (), "people": ()}
NO_GROUNDS = Grounds(**{name: _NOWHERE.get(name, 0) for name in Grounds.__struct_fields__})


def a_numbered(number: int, **changes: Any) -> Proposal:
    return a_proposal(proposal_id=f"{number:032x}", **changes)


def an_approved(proposal: Proposal, **changes: Any) -> Approved:
    ruleset = changes.pop("ruleset", ruleset_digest())
    values: dict[str, Any] = {
        "proposal_id": proposal.proposal_id,
        "instrument": proposal.instrument,
        "digest": digest(proposal),
        "position": 1,
        "facts": good_facts(),
        "verdict": Verdict(approved=True, heard=len(RULES), ruleset=ruleset, violations=()),
        "grounds": NO_GROUNDS,
        "hold_micros": 10**10,
        "hold_risk_micros": 10**8,
        "expires_ns": EXPIRES_NS,
    }
    return Approved(**(values | changes))


class Log:
    """Rows of a journal, and the chain over them."""

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self.heads = [GENESIS]

    def add(self, body: Any, **changes: Any) -> int:
        """The position of the row."""
        envelope: Envelope = an_envelope(body, seq=len(self.rows) + 1, author="hrm", **changes)
        self.rows.append(encode(envelope))
        self.heads.append(link(self.heads[-1], self.rows[-1]))
        return len(self.rows)

    def fill(self, count: int = 9) -> None:
        """Rows that approve nothing."""
        for _ in range(count):
            self.add(NothingProposed("A", "no_signal"))

    def approve(self, proposal: Proposal, **changes: Any) -> int:
        return self.add(an_approved(proposal, **changes))

    @property
    def head(self) -> bytes:
        return self.heads[-1]

    def frame(self, first: int = 1, last: int | None = None) -> Rows:
        """Rows `first`…`last` as the house sends them."""
        last = len(self.rows) if last is None else last
        return Rows(first, tuple(self.rows[first - 1 : last]), self.heads[last])


class Desk:
    """What the process runs, without the process: bytes in, bytes out."""

    def __init__(self) -> None:
        self.signer = BatchSigner()
        self.verifier = PublicVerifier(self.signer.public_key)
        self.answering = Answering(PlainFolder(), self.signer, RulesKept(ruleset_digest()))

    def tell(self, message: FromHouse) -> FromAuthority | None:
        return self.give(frame(message)[4:])

    def give(self, payload: bytes) -> FromAuthority | None:
        said = self.answering.heard(payload)
        return None if said is None else read_from_authority(said[4:])


def approvals_in(answer: FromAuthority | None) -> list[Approval]:
    """What a client makes of an answer."""
    assert isinstance(answer, Answer)
    return [_approval(one, answer) for one in answer.items if not hasattr(one, "why")]


def raw(payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + payload


@contextmanager
def started(**changes: Any) -> Iterator[AuthorityProcess]:
    """A live authority with the plain folder; it does not outlive the block."""
    authority = AuthorityProcess.start(**({"ruleset": ruleset_digest(), "seal": "stated", "program": PLAIN} | changes))
    try:
        yield authority
    finally:
        authority.close()


@contextmanager
def a_copy_of_the_house() -> Iterator[Path]:
    """What the process needs, where a test may spoil it and where other users may read it.

    Not below pytest's own folder: each session of pytest closes that to everybody else.
    """
    with TemporaryDirectory(prefix="ark-house-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        for name in ("graveyard", "mutable_core", "deployment/authority", "tests/adversary", "tests/graveyard"):
            shutil.copytree(TOP / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("deployment/__init__.py", "deployment/from_source.py", "tests/makers.py"):
            shutil.copyfile(TOP / name, folder / name)
        yield folder
