"""Who may write what: an author has a namespace of its own name, and the operator may turn others back."""

from __future__ import annotations

from mutable_core.errors import CapabilityExceeded

AGENTS = frozenset({"aletheia", "hrm", "id", "joey", "kenny", "kyle"})
AUTHORS = AGENTS | {"house", "operator"}
NAMESPACES = AUTHORS
"""One for each author, of the author's name."""

SNAPSHOTS, PRUNES = "#snapshot", "#prune"
"""Where the store keeps rows about itself; no author can name them."""

_OF_THE_STORE = frozenset({"house", "operator"})


def may(author: str, namespace: str, kind: str) -> bool:
    """Whether the author may write a row of this kind there."""
    if namespace in {SNAPSHOTS, PRUNES}:
        return author in _OF_THE_STORE and f"#{kind}" == namespace
    if kind in {"rollback", "reseal"} and author == "operator":
        return namespace in NAMESPACES
    return author == namespace and author in AUTHORS and kind in {"put", "delete", "rollback"}


def demand(author: str, namespace: str, kind: str) -> None:
    """Nothing, where it may.

    Raises:
        CapabilityExceeded: it may not.
    """
    if not may(author, namespace, kind):
        raise CapabilityExceeded(
            f"`{author[:40]}` may not {kind} in the namespace `{namespace[:40]}`",
            where="state",
            to_do=f"an author writes in the namespace of its own name: {', '.join(sorted(NAMESPACES))}",
        )
