"""Training data: recordings, clicks, labels and proposals."""
