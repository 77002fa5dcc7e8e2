"""Where people speak to the Watchdog: how its children are, isolate, release, restart, and drills."""
