"""From a question to what is appended to the log, or to a sentence of why it is not: pure, over what the log shows."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias, assert_never

from deployment.desk import words
from deployment.desk.words import Denied, covered
from mutable_core.docket import Docket
from mutable_core.docket.answers import is_valid
from mutable_core.docket.state import Pending
from mutable_core.messages import (
    BroadcastPublished,
    CatalystFiled,
    ConsentRecorded,
    HaltOrdered,
    OperationAsked,
    PersonSigned,
    RunStarted,
    SignalDeclared,
    SnapshotTaken,
    VetoLifted,
    VetoSet,
)
from mutable_core.privacy import findings, redacted

SIGNERS = 2  # of an operation (rule 26)

Order: TypeAlias = (
    HaltOrdered
    | VetoSet
    | VetoLifted
    | ConsentRecorded
    | BroadcastPublished
    | CatalystFiled
    | SignalDeclared
    | SnapshotTaken
    | OperationAsked
    | PersonSigned
)
Command: TypeAlias = (
    words.Halt
    | words.Resume
    | words.SetVeto
    | words.LiftVeto
    | words.Consent
    | words.DeclareBroadcast
    | words.DeclareFiling
    | words.DeclareSignal
    | words.TakeSnapshot
    | words.Sign
)


class Shown(NamedTuple):
    """What the log shows at this moment."""

    started: RunStarted
    docket: Docket


def order_for(command: Command, shown: Shown, operation_id: str) -> Order | Denied:
    """What the command appends. `operation_id` names the operation, where it asks for one."""
    match command:
        case words.Halt(scope, name, level, by, reason):
            return _unknown(scope, name, shown) or HaltOrdered(scope, name, level, by, redacted(reason))
        case words.SetVeto(scope, name, by, reason):
            return _unknown(scope, name, shown) or VetoSet(scope, name, by, redacted(reason))
        case words.LiftVeto(scope, name, by):
            return _no_veto(scope, name, shown) or VetoLifted(scope, name, by)
        case words.Resume(scope, name, by, reason):
            asked = OperationAsked(operation_id, "resume", scope, name, by, redacted(reason))
            return _not_resumable(asked, shown) or asked
        case words.Consent(person, purpose, until_ns):
            return _no_purpose(purpose) or ConsentRecorded(person, purpose, until_ns)
        case words.DeclareBroadcast(instrument, title):
            return _unknown("instrument", instrument, shown) or BroadcastPublished(instrument, redacted(title))
        case words.DeclareFiling(instrument, filing):
            return _unknown("instrument", instrument, shown) or CatalystFiled(instrument, redacted(filing))
        case words.DeclareSignal(profile, instrument, side):
            return _unknown("instrument", instrument, shown) or SignalDeclared(profile, instrument, side)
        case words.TakeSnapshot(name, by):
            return SnapshotTaken(f"{name} by {by}")
        case words.Sign(act_id, digest, position, person, signature):
            signed = PersonSigned(act_id, digest, position, person, signature)
            return _unsigned(signed, shown) or signed
        case _:
            assert_never(command)


def _known(scope: str, shown: Shown) -> tuple[str, ...]:
    started = shown.started
    match scope:
        case "account":
            return (started.account,)
        case "strategy":
            return started.mandate.strategies
        case "instrument":
            return tuple(one.instrument for one in started.instruments)
        case _:
            return ("",)


def _unknown(scope: str, name: str, shown: Shown) -> Denied | None:
    """A name that nothing answers to would forbid nothing, and nobody would notice."""
    known = _known(scope, shown)
    if name in known:
        return None
    if scope == "global":
        return Denied("the scope `global` has no name", "leave `--name` away")
    return Denied(f"no {scope} of this run is called `{name}`", f"choose from {', '.join(known[:20])}")


def _no_veto(scope: str, name: str, shown: Shown) -> Denied | None:
    if (scope, name) in shown.docket.standing.vetoes:
        return None
    return Denied(f"no veto stands on {covered(scope, name)}", "see `ark approvals list` for those that do")


def _not_resumable(asked: OperationAsked, shown: Shown) -> Denied | None:
    if (asked.scope, asked.name) not in shown.docket.standing.halts:
        return Denied(
            f"no halt stands on {covered(asked.scope, asked.name)}", "see `ark approvals list` for those that do"
        )
    others = sum(1 for person in shown.started.people if person.name != asked.by)
    if others < SIGNERS:
        return Denied(
            f"two people other than `{asked.by}` must sign, and this run knows {others}",
            "`ARK_PEOPLE` names the people of a run from its start; see docs/runbooks/halt-and-resume.md",
        )
    if any(findings(asked.name)):
        return Denied("the name looks like something private")
    return None


def _no_purpose(purpose: str) -> Denied | None:
    return (
        None
        if purpose in words.PURPOSES
        else Denied(f"`{purpose}` is no purpose", f"choose from {', '.join(words.PURPOSES)}")
    )


def _unsigned(signed: PersonSigned, shown: Shown) -> Denied | None:
    """Why this signature would count for nobody; None where it counts."""
    pending = shown.docket.pending.get(signed.act_id)
    if pending is None:
        return Denied("no act of this id waits", "see `ark approvals list`; it may have been decided, or have expired")
    return _not_the_act(signed, pending) or _not_a_signer(signed, pending, shown)


def _not_the_act(signed: PersonSigned, pending: Pending) -> Denied | None:
    if signed.digest != pending.digest:
        return Denied("the digest is another act's", "show the act again, and sign what is shown")
    if signed.position != pending.awaited_at:
        return Denied(f"the act waits since position {pending.awaited_at}, not {signed.position}", "show it again")
    return None


def _not_a_signer(signed: PersonSigned, pending: Pending, shown: Shown) -> Denied | None:
    person = signed.person
    if person not in [one.name for one in shown.started.people]:
        return Denied(
            f"this run knows nobody called `{person}`", "use a name of the file that `ARK_PEOPLE` named at its start"
        )
    if isinstance(pending.act, OperationAsked) and pending.act.by == person:
        return Denied(f"`{person}` has asked for it, and cannot sign it too", "another person must")
    if person in [one.person for one in pending.signatures]:
        return Denied(f"`{person}` has signed it already", "another person must")
    if not is_valid(shown.docket, pending, signed):
        return Denied(
            f"the signature is not one by the key of `{person}` over this act", "sign with the key of that person"
        )
    return None
