"""Check a bundle: its integrity, its precision, and whether what it needs is installed."""

from __future__ import annotations

import importlib.util
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PunctumError
from ..machine.findings import KINDS, Facts
from ..machine.host import Host
from ..machine.wheels import installed

if TYPE_CHECKING:
    from ..bundle.reader import Bundle


def examine_bundle(
    path: str | Path, facts: Facts, *, precision: str, host: Host, sha256: str | None = None
) -> Bundle | None:
    """Load and verify a bundle.

    Args:
        path: The bundle.
        facts: Receives facts and findings.
        precision: The variant that is to run.
        host: The machine.
        sha256: The digest that the bundle must have.

    Returns:
        The bundle; None where it cannot be loaded, with the reason as a finding.
    """
    from ..bundle.reader import Bundle

    try:
        bundle = Bundle.load(path, expect_sha256=sha256)
    except PunctumError as error:
        facts.add("Bundle", {"path": str(path), "intact": "no"})
        facts.problem("Bundle", error.given, error.next_step, devices=KINDS)
        return None
    manifest = bundle.manifest
    facts.add(
        "Bundle",
        {
            "path": str(path),
            "intact": "every file has the size and SHA-256 listed in the manifest",
            "id": bundle.id,
            "sha256": bundle.sha256 + (", as expected" if sha256 else ""),
            "classes": len(bundle.labels),
            "features": f"{manifest.features.dim} every {manifest.features.stride_s:g} s",
            "precisions": ", ".join(manifest.precisions),
            "takes video": "yes" if manifest.backbone else "no",
        },
    )
    try:
        bundle.check_precision(precision)
    except PunctumError as error:
        facts.problem("Bundle", error.given, f"set `precision` to one of: {error.allowed}", devices=KINDS)
    video = "av" in installed(host) or (host.local and importlib.util.find_spec("av") is not None)
    if manifest.backbone is not None and not video:
        facts.note("Bundle", "This bundle takes video, but PyAV is not installed", "pip install 'punctum[video]'")
    if manifest.post.gate == "video":
        facts.note("Bundle", "Its gate needs whole recordings, so it cannot run live", "export it with gate 'none'")
    return bundle


def trial_bundle() -> Bundle:
    """The smallest bundle that ships with punctum."""
    from ..bundle.reader import Bundle

    with resources.as_file(resources.files("punctum.runtime") / "assets" / "demo") as folder:
        return Bundle.load(folder)
