"""The authority inside one process: for tests, replay and paper runs. It says yes, and tells a real approval from a forged one.

Embedded mode is tamper-evident at best. Python in one process cannot be made read-only: code that runs
beside the authority can read its key, replace its rules or its methods. What holds here is that nothing is approved
by accident, by an altered message, by a message of another process or of an earlier run, and that changed rules are
noticed when somebody looks (`check_rules`). The authority in a process of its own takes the key out of reach.
"""

from __future__ import annotations

import hmac
import os
from hashlib import blake2b
from typing import Any

import msgspec

from graveyard.authority.signing import SAID_TYPES, are_exactly, fault_of
from graveyard.errors import MalformedRequest, RulesChanged
from graveyard.ethics import FACT_BOUNDS, RULES, ruleset_digest
from graveyard.judge import Judge
from graveyard.words import Approval, Facts, Verdict

_PERSON = b"ark.approval/1"  # domain separation: a digest by this key for anything else is no approval
_KEY_BYTES = 32
_TYPES = (*SAID_TYPES, str, tuple)  # of an approval's fields, in their order

_encode = msgspec.json.Encoder().encode
_fields_of = msgspec.structs.astuple


class EmbeddedAuthority:
    """Judges again, itself, and signs what the rules let pass, with a key that lives and dies with this object.

    Args:
        pinned: the digest of the rules that this process was started to keep, 64 hex digits.

    Raises:
        RulesChanged: the rules at hand are others.
    """

    __slots__ = ("_base", "_judge", "_pinned", "_rules_stand")

    def __init__(self, *, pinned: str) -> None:
        self._judge = Judge(RULES, FACT_BOUNDS)
        self._pinned = pinned
        self._rules_stand = False
        self._base = blake2b(key=os.urandom(_KEY_BYTES), person=_PERSON, digest_size=32)
        self.check_rules()

    @property
    def ruleset(self) -> str:
        """The digest of the rules that are kept, 64 hex digits."""
        return self._pinned

    def check_rules(self) -> None:
        """Compute the digest of the rules again. Once it differs, nothing is approved any more.

        Raises:
            RulesChanged: the rules at hand are not the pinned ones.
        """
        found = ruleset_digest(RULES, FACT_BOUNDS)
        self._rules_stand = found == self._pinned == self._judge.ruleset
        if not self._rules_stand:
            raise RulesChanged(pinned=self._pinned, found=found)

    def approve(
        self,
        proposal_digest: str,
        facts: Facts,
        *,
        proposal_id: str,
        account: str,
        position: int,
        hold_micros: int,
        expires_ns: int,
    ) -> Approval | Verdict:
        """An approval of exactly this proposal, or the verdict that refuses it.

        Args:
            proposal_digest: SHA-256 of the canonical proposal, 64 hex digits.
            facts: what the log shows; judged here, whatever the asker found.
            proposal_id: the decision's id, not empty.
            account: not empty.
            position: log position of the verdict, ≥ 1.
            hold_micros: notional at the worst-case price, > 0 for an opening order, ≥ 0 for a pure reduction.
            expires_ns: log time after which the approval is void, > 0.

        Raises:
            MalformedRequest: an argument is not of this form; nothing is signed.
            RulesChanged: `check_rules` has found other rules.
        """
        if not self._rules_stand:
            raise RulesChanged(pinned=self._pinned, found="other rules")
        verdict = self._judge.verdict(facts)
        if not verdict.approved:
            return verdict
        opening = facts.is_opening != 0
        said = (proposal_id, account, proposal_digest, position, opening, hold_micros, expires_ns, verdict.ruleset)
        fault = fault_of(said)
        if fault:
            raise MalformedRequest(f"an approval was asked for that cannot be signed, {fault}: `{said!r:.200}`")
        return Approval(*said, self._mac(said))

    def verify(self, approval: Approval) -> bool:
        """Whether this authority made exactly this approval; in constant time, never raises.

        Expiry, single use, account and durable position are for the venue door to check.
        """
        if type(approval) is not Approval:
            return False
        fields = _fields_of(approval)
        if not are_exactly(fields, _TYPES) or fields[-1]:
            return False
        try:
            return hmac.compare_digest(self._mac(fields[:-2]), fields[-2])
        except (TypeError, ValueError, OverflowError):  # not ASCII, a lone surrogate, an int that JSON cannot carry
            return False

    def _mac(self, said: tuple[Any, ...]) -> str:
        digest = self._base.copy()
        digest.update(_encode(said))
        return digest.hexdigest()
