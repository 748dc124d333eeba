"""The HTTP API of `punctum serve`, and the server of its page."""
