"""Check a bundle: its integrity, its precision, and whether what it needs is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PunctumError
from ..machine.findings import KINDS, Facts
from ..machine.host import Host
from ..machine.wheels import installed
from ..text.display import amount, counted

if TYPE_CHECKING:
    from ..bundle.backbone_spec import BackboneSpec
    from ..bundle.manifest import Manifest
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
            **scores_of(manifest, bundle.labels),
            **_parts(manifest.backbone),
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


def scores_of(manifest: Manifest, labels: Sequence[str]) -> dict[str, str]:
    """What the scores of a bundle are worth, by name."""
    from ..bundle.chosen import choice_at, choose_minimum, footage_of
    from ..bundle.operating_point import OperatingPoint

    calibration = manifest.calibration
    if calibration is None:
        return {"calibrated": "no: scores only rank events, and by default every event counts"}
    chosen = choose_minimum(OperatingPoint(), manifest, labels)
    facts = {"calibrated": "yes: scores are probabilities", "default minimum": chosen.number}
    if (choice := choice_at(calibration, chosen.min_score)) is not None:
        size = ""
        if calibration.clicks is not None and calibration.hours is not None:
            size = f" ({counted(calibration.clicks, 'click')} in {calibration.hours:.2g} h)"
        facts["measured there"] = (
            f"precision {choice.precision:.2f}, recall {choice.recall:.2f}, "
            f"{amount(choice.false_alarms_per_hour)} false alarms per hour on {footage_of(manifest)}{size}"
        )
    return facts


def _parts(backbone: BackboneSpec | None) -> dict[str, str]:
    """One fact for each part of a composed backbone: columns, license, publisher."""
    facts = {}
    for part in () if backbone is None else backbone.parts:
        words = [f"columns {part.columns[0]} to {part.columns[1] - 1}", part.settings, part.license, part.publisher]
        words.append(f"source {part.source_sha256[:12]}")
        if part.ms_per_frame is not None:
            words.append(f"{part.ms_per_frame:.3g} ms per frame where it was composed")
        facts[f"part {part.name}"] = ", ".join(word for word in words if word)
    return facts


def trial_bundle() -> Bundle:
    """The smallest bundle that ships with punctum."""
    from ..bundle.reader import Bundle

    with resources.as_file(resources.files("punctum.runtime") / "assets" / "demo") as folder:
        return Bundle.load(folder)
