"""What a child gives up before it works, asked of the kernel directly and read back from it."""

from watchdog.jail.entering import enter
from watchdog.jail.spec import FIRST_UID, MIB, NO_JAIL, USERS, Jail, JailOpen, JailSpec
from watchdog.jail.users import Users, claim_users

__all__ = ["FIRST_UID", "MIB", "NO_JAIL", "USERS", "Jail", "JailOpen", "JailSpec", "Users", "claim_users", "enter"]
