"""`python -m deployment.authority`: the authority's process. The house starts it; nobody else can talk to it."""

from __future__ import annotations

import sys

from deployment.from_source import import_graveyard

if __name__ == "__main__":
    import_graveyard()  # before anything imports it

    from deployment.authority.folder import LogFolder
    from deployment.authority.process import main

    sys.exit(main(sys.argv[1:], LogFolder))
