"""The bundle: whole, and with everything at hand that it asks for."""

from __future__ import annotations

import importlib.util
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PunctumError
from ..machine.findings import KINDS, Facts
from ..machine.wheels import installed
from ..machine.world import World

if TYPE_CHECKING:
    from ..bundle.reader import Bundle


def examine_bundle(
    path: str | Path, facts: Facts, *, precision: str, world: World, sha256: str | None = None
) -> Bundle | None:
    """Load and verify it; None where that fails, with the reason as a finding."""
    from ..bundle.reader import Bundle

    try:
        bundle = Bundle.load(path, expect_sha256=sha256)
    except PunctumError as error:
        facts.add("Bundle", {"path": str(path), "whole": "no"})
        facts.problem("Bundle", error.given, error.next_step, devices=KINDS)
        return None
    manifest = bundle.manifest
    facts.add(
        "Bundle",
        {
            "path": str(path),
            "whole": "every file has the size and sha256 of the manifest",
            "id": bundle.id,
            "sha256": bundle.sha256 + (", as expected" if sha256 else ""),
            "classes": len(bundle.labels),
            "features": f"{manifest.features.dim} every {manifest.features.stride_s:g} s",
            "precisions": ", ".join(manifest.precisions),
            "takes video": "yes" if manifest.backbone else "no",
        },
    )
    try:
        manifest_precision(bundle, precision)
    except PunctumError as error:
        facts.problem("Bundle", error.given, f"--precision {error.allowed}", devices=KINDS)
    video = "av" in installed(world) or (world.live and importlib.util.find_spec("av") is not None)
    if manifest.backbone is not None and not video:
        facts.note("Bundle", "this bundle takes video, and PyAV is not installed", "pip install 'punctum[video]'")
    if manifest.post.gate == "video":
        facts.note("Bundle", "its gate needs whole recordings: a live run will refuse it", "export with gate 'none'")
    return bundle


def manifest_precision(bundle: Bundle, precision: str) -> None:
    """Raises InputError where the bundle has no such variant."""
    bundle.graph("locator", precision)


def trial_bundle() -> Bundle:
    """The smallest bundle that ships with punctum."""
    from ..bundle.reader import Bundle

    with resources.as_file(resources.files("punctum.runtime") / "assets" / "demo") as folder:
        return Bundle.load(folder)
