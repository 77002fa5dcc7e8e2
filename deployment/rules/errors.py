"""What stops a release of the rules."""

from __future__ import annotations

from mutable_core.errors import Unacceptable


class ReleaseRefused(Unacceptable):
    """The rules cannot be released as they are: nothing was written."""

    exit_code = 1
