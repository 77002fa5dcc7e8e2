"""The authority as a process of its own: the only holder of the key that approvals are signed with.

It reads the log itself, folds the facts itself, judges itself, and signs nothing else. `python -m deployment.authority`
is the process; `client.AuthorityProcess` starts it and is what the house asks.
"""
