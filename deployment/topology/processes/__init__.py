"""The topology `processes`: the Watchdog is the parent; each agent, the core, the venue and the metrics are processes."""
