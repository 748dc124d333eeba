"""Fixtures that several test modules of this folder use."""

from tests.helpers.streams import features, offline  # noqa: F401
