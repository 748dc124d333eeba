"""The `punctum` command."""
