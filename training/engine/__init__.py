"""The training engine: loop, state, stopping, selection, run folders."""
