"""What the authority answers to each frame. No socket and no clock: the process around it brings the bytes."""

from __future__ import annotations

from deployment.authority.errors import LogForked
from deployment.authority.log import LogReader
from deployment.authority.port import Folder, Granted
from deployment.authority.rules import RulesKept
from graveyard.authority.signing import BatchSigner, Said, fault_of
from graveyard.authority.wire import Alive, Answer, Ask, Grant, Item, Probe, Refusal, Rows, frame, read_from_house

_WHY_CHARS = 300
_PLAIN = str.maketrans("[{", "((")  # frames bound their brackets


class Answering:
    """Reads the log, vets what is asked for, signs what stands.

    Args:
        folder: folds the log and says which approvals stand.
        signer: holds the key.
        rules: looked at before a signature, now and then.
        log: where in the log the folder stands.
    """

    def __init__(self, folder: Folder, signer: BatchSigner, rules: RulesKept, log: LogReader | None = None) -> None:
        self._folder = folder
        self._signer = signer
        self._rules = rules
        self._log = log or LogReader()

    def heard(self, payload: bytes) -> bytes | None:
        """The frame that answers a frame of the house; None where none is due.

        Raises:
            FrameRefused: it is no frame of the house: the connection is over.
            LogForked: the log cannot be followed: nothing is answered any more.
            RulesChanged: likewise.
        """
        match read_from_house(payload):
            case Rows() as rows:
                self._fold(rows)
                return None
            case Probe(request=request):
                self._rules.check_memory()
                self._rules.check_files(all_of_them=True)
                return frame(Alive(request, self._log.seq, self._log.head))
            case Ask() as ask:
                self._rules.check_now_and_then()
                return frame(self._answer(ask))

    def _fold(self, rows: Rows) -> None:
        for envelope in self._log.take(rows):
            try:
                self._folder.fold(envelope)
            except Exception as error:
                what = f"a message cannot be folded: {type(error).__name__}: {error}"
                raise LogForked(what, row=envelope.seq) from error

    def _answer(self, ask: Ask) -> Answer:
        if len(set(ask.items)) < len(ask.items):
            return Answer(ask.request, tuple(_refusal(item, "it is asked for twice") for item in ask.items), "", ())
        found = [(item, self._said(item)) for item in ask.items]
        granted = [said for _, said in found if isinstance(said, Said)]
        if not granted:
            return Answer(ask.request, tuple(_answered(item, said) for item, said in found), "", ())
        signed = self._signer.sign(granted)[0]
        return Answer(ask.request, tuple(_answered(item, said) for item, said in found), signed.signature, signed.batch)

    def _said(self, item: Item) -> Said | str:
        """What may be signed for one item, or why nothing."""
        if item.position > self._log.seq:
            return f"position {item.position} is not in the log, which ends at {self._log.seq}"
        try:
            granted = self._folder.granted(item.proposal_id, item.position)
            return granted if isinstance(granted, str) else self._checked(item, granted)
        except Exception as error:  # noqa: BLE001  # error = refusal, whatever it is
            return f"it could not be decided: it raised `{type(error).__name__}`"

    def _checked(self, item: Item, granted: Granted) -> Said | str:
        if granted.verdict.approved is not True or granted.verdict.violations or not granted.verdict.heard:
            return "the rules do not let it pass"
        if granted.ruleset != self._rules.pinned or granted.verdict.ruleset != self._rules.pinned:
            return "it was judged by other rules"
        said = Said(
            item.proposal_id,
            granted.account,
            granted.digest,
            item.position,
            granted.opening,
            granted.hold_micros,
            granted.expires_ns,
            granted.ruleset,
        )
        fault = fault_of(said)
        return f"it cannot be signed: {fault}" if fault else said


def _answered(item: Item, said: Said | str) -> Grant | Refusal:
    return Grant(*said) if isinstance(said, Said) else _refusal(item, said)


def _refusal(item: Item, why: str) -> Refusal:
    plain = why.encode("utf-8", "backslashreplace").decode().translate(_PLAIN)
    return Refusal(item.proposal_id, item.position, plain[:_WHY_CHARS])
