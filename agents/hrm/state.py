"""HRM's state is its docket."""

from mutable_core.docket import Docket

State = Docket
FIRST = Docket.empty()
