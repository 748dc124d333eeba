"""Objectives of the locator (points, LACP) and of the center scorer (quality, center score learning)."""
