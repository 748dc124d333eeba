"""Learn a locator and a center-score head from one click per action (PyTorch)."""
