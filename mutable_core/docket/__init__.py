"""The docket: what is needed to vet an act, folded from the log, the facts it yields, and the answer that follows.

HRM keeps one to decide, Aletheia keeps another to check, the authority's process a third, and whoever reads the journal
later can keep a fourth: the same log gives the same answers. Nothing here is taken from the proposer's word.
"""

from mutable_core.docket.answers import ANSWERS, Answer, Answered, about, answer
from mutable_core.docket.evidence import find_observation
from mutable_core.docket.folding import HEARD, fold
from mutable_core.docket.state import APPROVAL_TERM_NS, BURST_NS, SIGNING_NS, Docket, Recent

__all__ = [
    "ANSWERS",
    "APPROVAL_TERM_NS",
    "BURST_NS",
    "HEARD",
    "SIGNING_NS",
    "Answer",
    "Answered",
    "Docket",
    "Recent",
    "about",
    "answer",
    "find_observation",
    "fold",
]
