"""The commands of `ark`. A command exists only if its line stands here."""

from deployment.commands import agents, replay, rules, run, verify, why
from deployment.commands.port import Command

COMMANDS: tuple[Command, ...] = (
    run.COMMAND,
    replay.COMMAND,
    verify.COMMAND,
    why.COMMAND,
    agents.COMMAND,
    rules.COMMAND,
)
