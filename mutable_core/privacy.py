"""What must not be written down in clear, or leave the house: people, accounts, keys. Found by form, not by promise.

Two questions are asked of every act: would its text put something private into the log (rule 17), or a credential
(rule 18), and would a field that leaves the house carry something private (rule 15)?
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from graveyard.words import Proposal
from mutable_core.messages.orders import OrderSpec

Class = Literal["public", "internal", "personal", "secret"]

LEAVING: dict[str, Class] = {
    "client_order_id": "public",
    "proposal_id": "internal",  # stays here: a venue gets the client order id alone
    "instrument": "public",
    "side": "public",
    "quantity": "public",
    "type": "public",
    "limit_price": "public",
    "time_in_force": "public",
    "stop_price": "public",
    "target_price": "public",
    "reduces": "public",
}
"""Every field of an order as the venue gets it, classified. One that is not listed counts as secret."""

_ADDRESS = re.compile(
    r"[\w.+-]{1,64}@[\w-]+\.[\w.-]+"
)  # RFC 5321: 64 before the @; without a bound a long text takes for ever
_NUMBER = re.compile(r"(?<![\w.,])\d{9,}(?![\w]|[.,]\d)")  # of an account, a card or a telephone
_TELEPHONE = re.compile(r"(?<![\w.])\+\d{1,3}[ -]?\d{2,4}[ -]\d{3,}")  # as people write it
_SOCIAL_SECURITY = re.compile(r"\b\d{3}-\d{2}-\d{4}\b")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}[A-Z0-9]{10,30}\b")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY")
_ACCESS_KEY = re.compile(
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\b(?:ghp|gho|ghs|glpat|xox[abp]|sk|pk|rk)[-_][A-Za-z0-9_-]{16,}"
    r"|\bPK[A-Z0-9]{16,}\b"
)
_WEB_TOKEN = re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*")
_ASSIGNED = re.compile(r"(?i:(?<![^\W_])(?:password|passwd|secret|token|api[_-]?key)\b\s*[=:]\s*\S+)")
_PLAIN_NUMBER = re.compile(r"[+-]?[\d.]{1,40}(?:[eE][+-]?\d{1,4})?")  # a price or a volume
_LONG_WORD = re.compile(r"[A-Za-z0-9_-]{14}")
_DIGITS = re.compile(r"\d{9}")

_PRIVATE = (_ADDRESS, _NUMBER, _TELEPHONE, _SOCIAL_SECURITY, _IBAN)
_CREDENTIAL = (_PRIVATE_KEY, _ACCESS_KEY, _WEB_TOKEN, _ASSIGNED)


class Findings(NamedTuple):
    """How many private things and credentials a text holds."""

    private: int
    credentials: int


NOTHING = Findings(0, 0)


@lru_cache(maxsize=1_024)  # everybody who vets an act asks about the same text
def findings(text: str) -> Findings:
    """What the text holds that must not be written down in clear."""
    return _found(text)


def _found(text: str) -> Findings:
    wanted = _possible(text)
    if not wanted:
        return NOTHING
    private = sum(len(one.findall(text)) for one in wanted if one in _PRIVATE)
    return Findings(private, sum(len(one.findall(text)) for one in wanted if one in _CREDENTIAL))


def _possible(text: str) -> list[re.Pattern[str]]:
    """The searches that could find something: plain looks first, for almost every text is a harmless reason."""
    wanted = []
    if "@" in text:
        wanted.append(_ADDRESS)
    if "+" in text:
        wanted.append(_TELEPHONE)
    if "-" in text:
        wanted += (_SOCIAL_SECURITY, _PRIVATE_KEY)
    if "=" in text or ":" in text:
        wanted.append(_ASSIGNED)
    if "eyJ" in text:
        wanted.append(_WEB_TOKEN)
    if _DIGITS.search(text):
        wanted.append(_NUMBER)
    if _LONG_WORD.search(text):
        wanted += (_IBAN, _ACCESS_KEY)
    return wanted


def act_findings(*texts: str) -> Findings:
    """The findings of all texts together."""
    return findings("\n".join(texts))


def holds_private(text: str) -> bool:
    """Whether anything at all is found; a text that is asked about once, and may be long, is not remembered."""
    return any(_found(text))


def holds_credential(text: str) -> bool:
    return _found(text).credentials > 0


def redacted(text: str) -> str:
    """The text with everything that was found replaced."""
    while _found(text) != NOTHING:  # what is taken out may uncover what it was glued to
        for one in _CREDENTIAL:
            text = one.sub("[credential]", text)
        for one in _PRIVATE:
            text = one.sub("[private]", text)
    return text


FREE_TEXT = frozenset({
    "account", "by", "detail", "filing", "instrument", "name", "owner", "person", "reason", "source", "subject", "symbol",
    "title",
})  # fmt: skip
"""Fields of messages into which people, venues and files may write what they like; the others are ours: ids, digests."""


def redacted_fields(body: Any) -> Any:
    """A message as plain data, fit to be shown: its free texts redacted, and what a file's row holds beside numbers."""
    if isinstance(body, dict):
        return {name: _redacted_field(name, value) for name, value in body.items()}
    return [redacted_fields(one) for one in body] if isinstance(body, list | tuple) else body


def redacted_value(value: Any) -> Any:
    """A value of the state store, fit to be shown: every text in it redacted, its numbers as they are."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, bytes):
        return b"[private]" if holds_private(value.decode(errors="replace")) else value
    if isinstance(value, list | tuple):
        return type(value)(redacted_value(one) for one in value)
    if isinstance(value, dict):
        return {redacted(key): redacted_value(one) for key, one in value.items()}
    return value


def _redacted_field(name: str, value: Any) -> Any:
    if name in FREE_TEXT and isinstance(value, str):
        return redacted(value)
    if name == "values" and isinstance(value, list | tuple):
        return [redacted(one) if isinstance(one, str) and not _PLAIN_NUMBER.fullmatch(one) else one for one in value]
    return redacted_fields(value)


_UNCLASSIFIED = sum(1 for name in OrderSpec.__struct_fields__ if LEAVING.get(name, "secret") in {"personal", "secret"})


@lru_cache(maxsize=4_096)
def _leaving_findings(instrument: str) -> int:
    private, credentials = findings(instrument)
    return private + credentials


def outgoing_private(proposal: Proposal) -> int:
    """Fields of the order that would follow which are personal or secret, by their class or by what they hold."""
    return _UNCLASSIFIED + _leaving_findings(proposal.instrument)
