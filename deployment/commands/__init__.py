"""The commands of `ark`. A command exists only if its line stands here.

What a command needs is imported when it runs, so that `ark why` does not wait for what `ark run` needs.
"""

from deployment.commands import (
    agents,
    approvals,
    at,
    backup,
    boots,
    consent,
    declare,
    downgrade,
    drill,
    export,
    halt,
    ledger,
    log,
    people,
    replay,
    resume,
    rules,
    run,
    snapshot,
    state,
    upgrade,
    verify,
    veto,
    why,
)
from deployment.commands.port import Command

COMMANDS: tuple[Command, ...] = (
    run.COMMAND,
    replay.COMMAND,
    verify.COMMAND,
    export.COMMAND,
    why.COMMAND,
    log.COMMAND,
    ledger.COMMAND,
    at.COMMAND,
    agents.COMMAND,
    rules.COMMAND,
    drill.COMMAND,
    boots.COMMAND,
    snapshot.COMMAND,
    halt.COMMAND,
    resume.COMMAND,
    veto.COMMAND,
    approvals.COMMAND,
    people.COMMAND,
    consent.COMMAND,
    declare.COMMAND,
    state.COMMAND,
    backup.COMMAND,
    upgrade.COMMAND,
    downgrade.COMMAND,
)
