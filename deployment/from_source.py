"""The Graveyard is imported from its source, whatever bytecode lies beside it: the seal covers source, not caches.

To be called before anything imports `graveyard`. Python would believe a cached file that bears the source's time and
size, and whoever may write there could put other rules into it.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

MODULES = (
    "errors", "words", "expressions", "ethics", "linear", "interpret", "compile", "nearest", "judge", "people", "ruleset",
    "signers", "sealed_files", "seal", "authority", "authority.embedded", "authority.signing", "authority.wire",
)  # fmt: skip
"""What judges, seals and signs; a test holds it against what a house loads."""

_REST_ON = (
    "ast", "bisect", "datetime", "decimal", "hashlib", "hmac", "json", "pathlib", "re", "stat", "msgspec",
    "cryptography.exceptions", "cryptography.hazmat.primitives.asymmetric.ed25519",
)  # fmt: skip
"""What those import in turn: not ours to compile again each time."""

_NOWHERE = os.path.join(os.devnull, "none")  # noqa: PTH118  # no folder can be there, so no cache is found or written


def import_graveyard() -> None:
    """Import what judges, seals and signs from its source. Costs some tens of milliseconds."""
    for name in _REST_ON:
        import_module(name)
    prefix, sys.pycache_prefix = sys.pycache_prefix, _NOWHERE
    try:
        for name in MODULES:
            import_module(f"graveyard.{name}")
    finally:
        sys.pycache_prefix = prefix
