"""Training data: features, clicks, labels, proposals and pseudo segments."""
