"""Fixtures that several test modules of this folder use."""

from tests.helpers.reports import bundle, recording  # noqa: F401
