"""The supervisor of a site: starts, watches and restarts its processes, and passes what they say to each other."""
