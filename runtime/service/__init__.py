"""A long-running command: the loop from sources to sinks, checkpoints, metrics and health."""
