"""What is handed to somebody outside: rows of a journal with everything needed to check them."""

from deployment.export.bundle import Exported, export
from deployment.export.proofs import Inclusion, inclusion

__all__ = ["Exported", "Inclusion", "export", "inclusion"]
