"""The commands of `ark`. A command exists only if its line stands here.

What a command needs is imported when it runs, so that `ark why` does not wait for what `ark run` needs.
"""

from deployment.commands import (
    agents,
    approvals,
    consent,
    declare,
    halt,
    log,
    people,
    replay,
    resume,
    rules,
    run,
    verify,
    veto,
    why,
)
from deployment.commands.port import Command

COMMANDS: tuple[Command, ...] = (
    run.COMMAND,
    replay.COMMAND,
    verify.COMMAND,
    why.COMMAND,
    log.COMMAND,
    agents.COMMAND,
    rules.COMMAND,
    halt.COMMAND,
    resume.COMMAND,
    veto.COMMAND,
    approvals.COMMAND,
    people.COMMAND,
    consent.COMMAND,
    declare.COMMAND,
)
