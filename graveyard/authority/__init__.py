"""Who may say yes: the only makers of an `Approval`, and how a real one is told from a forged one."""

from graveyard.authority.embedded import EmbeddedAuthority
from graveyard.authority.signing import BATCH_MAX, BatchSigner, PublicVerifier, Said

__all__ = ["BATCH_MAX", "BatchSigner", "EmbeddedAuthority", "PublicVerifier", "Said"]
