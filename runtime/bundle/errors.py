"""Errors that several modules of this package raise."""

from __future__ import annotations

from ..errors import InputError
from ..text.display import shown

_COPY_AGAIN = "copy or export the bundle again"


def unreadable(given: str, *, required: str = "", next_step: str = _COPY_AGAIN) -> InputError:
    """The error for a bundle, or a file in it, that cannot be read."""
    return InputError("bundle-unreadable", given, required=required, next_step=next_step)


def too_large(given: str, allowed: str, next_step: str) -> InputError:
    """The error for a bundle with more or larger files than allowed."""
    return InputError("bundle-too-large", given, allowed, next_step)


def missing_file(source: str, name: str) -> InputError:
    """The error for a file that the manifest lists and the bundle does not contain."""
    return InputError(
        "bundle-file-missing",
        f"{source} has no {shown(name)}",
        required="all files that the manifest lists",
        next_step=_COPY_AGAIN,
    )


def not_a_bundle(
    source: str, hint: str = "check the path; a bundle is written by `punctum train` or `punctum export`"
) -> InputError:
    """The error for a folder or zip without a manifest. hint: the next step."""
    return InputError(
        "bundle-file-missing",
        f"{source} is not a bundle: it has no manifest.json",
        required="a bundle folder or zip",
        next_step=hint,
    )


def changed_file(given: str) -> InputError:
    """The error for a file that is not the one that was exported."""
    return InputError("bundle-file-changed", given, required="the files as exported", next_step=_COPY_AGAIN)


def unlisted_file(given: str) -> InputError:
    """The error for a file that is used and not listed in the manifest."""
    return InputError("bundle-file-unlisted", given, next_step="export the bundle again")


def invalid_field(source: str, problem: str) -> InputError:
    """The error for an invalid field of a manifest."""
    return InputError(
        "bundle-manifest-invalid", f"manifest.json in {source}: {problem}", next_step="export the bundle again"
    )
