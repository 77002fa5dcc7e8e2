"""What a person is about to sign, worked out here from the act's own bytes: the house's word counts for nothing.

The position is the house's word too. It does not matter: a signature for another position counts for nobody.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deployment.desk.words import Act, Sign, act_in
from graveyard.people import statement
from graveyard.words import Proposal
from mutable_core.errors import Broken
from mutable_core.messages import OperationAsked


class Seen(NamedTuple):
    """An act that was read here. `digest` was computed here, of the act's canonical bytes."""

    act_id: str
    act: Proposal | OperationAsked
    canonical: bytes
    digest: str
    position: int

    def statement(self, person: str) -> bytes:
        """The exact bytes that `person` signs."""
        return statement(act_id=self.act_id, digest=self.digest, position=self.position, person=person)

    def signed(self, person: str, key: Ed25519PrivateKey) -> Sign:
        """The signature over this act and no other."""
        return Sign(self.act_id, self.digest, self.position, person, key.sign(self.statement(person)).hex())


def seen(shown: Act) -> Seen:
    """The act as it is, whatever the house calls it.

    Raises:
        Broken: its bytes are no act, or have another id or digest than the house says.
    """
    canonical = shown.canonical.encode()
    act = act_in(shown.kind, canonical)
    if act is None:
        raise _lied("what it calls an act is none")
    act_id = act.proposal_id if isinstance(act, Proposal) else act.operation_id
    digest = sha256(canonical).hexdigest()
    if act_id != shown.act_id or digest != shown.digest:
        raise _lied(f"it calls the act `{act_id[:12]}` another than it is")
    return Seen(act_id, act, canonical, digest, shown.position)


def _lied(what: str) -> Broken:
    return Broken(f"the house shows what cannot be signed: {what}", to_do="sign nothing, halt, and keep the journal")
