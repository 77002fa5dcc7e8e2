"""What the kill switch is shown before it lifts: the resume and its signatures, as they stand in the journal."""

from __future__ import annotations

from deployment.kill_switch.words import Lift, Signature
from mutable_core.journal import Journal
from mutable_core.messages import OperationApproved, OperationAsked, PersonSigned, decode_trusted, encode


def evidence(journal: Journal, approved: OperationApproved) -> Lift:
    """Of a resume whose rows are durable.

    Raises:
        ValueError: the journal does not hold them.
    """
    wanted = {approved.position, *approved.grounds.people}
    asked: OperationAsked | None = None
    signed: list[PersonSigned] = []
    for seq, row in zip(range(journal.durable_seq, 0, -1), journal.rows_backwards(), strict=False):
        if seq in wanted:
            wanted.discard(seq)
            body = decode_trusted(row).body
            if isinstance(body, OperationAsked):
                asked = body
            elif isinstance(body, PersonSigned):
                signed.append(body)
        if not wanted:
            break
    if asked is None or not signed:
        raise ValueError("the journal does not hold the resume and its signatures")
    signatures = tuple(Signature(one.person, one.signature) for one in signed)
    return Lift(encode(asked).decode(), signed[0].position, signatures)
