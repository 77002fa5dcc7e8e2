"""Who may seal the rules: three pinned public keys, of which two must sign.

`ark rules release --pin FILE --pin FILE --pin FILE …` writes the list below anew: the first ceremony, which makes the
rules yours. The private halves are never in a repository; whoever holds two of them can change the rules.
"""

from __future__ import annotations

THRESHOLD = 2  # different pinned keys under one seal

PINNED: tuple[str, ...] = (
    "0edcb99f427ecec90e1140a402784dbddb700a6ad5f4759cdfb16cb4fa62526e",
    "2a726551b8abdea7a25d7882d31b24d8feb3f6b5149b7cd3409644c4c2701984",
    "d5422300c329227d90881445f1cf52e2aad801991e67690d6ed53a045bf2cd6c",
)
"""Ed25519 public keys, 64 hex digits each."""

EXAMPLE_KEYS = frozenset({
    "40f5eef14f101188810a08987c512ed0f5a338b28be11586e6111d4b0a01cf4d",
    "24d98eaaa9eb7c3ee274d3c14b5e6df8e5c3dbc84d045e6eee6ccc91c55899b8",
    "7de84b71da6c0b3adaf79d73a8ba0b78aabe987b5d41ab5bda48973344c9fe7b",
})  # fmt: skip
"""Keys of the examples in `tests/`: everybody can make their signatures, so no seal may bear one, pinned or not."""
