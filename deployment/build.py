"""Which build speaks: a digest over the source of the six packages."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("agents", "deployment", "graveyard", "monitoring", "mutable_core", "watchdog")


@cache
def build_digest() -> str:
    """SHA-256 over names and bytes of every Python file of the packages, 64 hex digits."""
    total = sha256()
    for package in PACKAGES:
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        root = Path(spec.origin).parent
        for path in sorted(root.rglob("*.py")):
            data = path.read_bytes()
            total.update(f"{package}/{path.relative_to(root).as_posix()}\0{len(data)}\0".encode())
            total.update(data)
    return total.hexdigest()
