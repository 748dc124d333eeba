"""Checks of a configuration against what it names: bundles with their classes, dimensions and backbones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...bundle.operating_point import OperatingPoint
from ...bundle.reader import Bundle
from ...errors import InputError
from ...text.display import some
from ..source_kind import no_video
from .checks import source_path
from .load import LoadedSite
from .models import CameraConfig
from .problems import Location, Problem, SiteConfigError, suggestion


@dataclass(frozen=True, slots=True)
class BundleFacts:
    """What a bundle is, for messages.

    Attributes:
        name: Its name in the configuration.
        id: Its id.
        labels: Its classes.
        video: Whether it takes video.
        cameras: Cameras that use it.
    """

    name: str
    id: str
    labels: tuple[str, ...]
    video: bool
    cameras: tuple[str, ...]


def check_site(site: LoadedSite, warn: Callable[[str], None] = lambda text: None) -> list[BundleFacts]:
    """Open the bundles of a configuration, and check that its cameras fit them. Runs no inference.

    Args:
        site: The configuration.
        warn: Called with what is allowed and probably not meant.

    Raises:
        SiteConfigError: Something does not fit. `problems` has an error for each.
    """
    problems: list[Problem] = []
    bundles: dict[str, Bundle] = {}
    for name, config in site.config.bundles.items():
        at: Location = ("bundles", name)
        try:
            bundles[name] = Bundle.load(site.bundle_path(name))
            if config.precision is not None:
                bundles[name].check_precision(config.precision)
        except InputError as error:
            field = "precision" if error.code == "precision-missing" else "path"
            problems.append(_about((*at, field), error))
    for name, camera in site.config.cameras.items():
        known = {bundle: bundles[bundle] for bundle in camera.bundles if bundle in bundles}
        problems += _camera(("cameras", name), camera, known, site)
    if len(bundles) == len(site.config.bundles):  # else the missing bundle may have the class
        problems += _retention(site, bundles, warn)
    if problems:
        raise SiteConfigError.of(problems, site.places)
    return [
        BundleFacts(
            name,
            bundle.id,
            bundle.labels,
            bundle.manifest.backbone is not None,
            tuple(camera for camera, config in site.config.cameras.items() if name in config.bundles),
        )
        for name, bundle in bundles.items()
    ]


def _retention(site: LoadedSite, bundles: dict[str, Bundle], warn: Callable[[str], None]) -> Iterator[Problem]:
    """Classes that no bundle has. Events of earlier bundles may have them, but not ones in nearly the same spelling."""
    labels = tuple(dict.fromkeys(label for bundle in bundles.values() for label in bundle.labels))
    for label in site.config.retention.labels:
        if label in labels:
            continue
        at: Location = ("retention", "labels", label)
        given = f"is no class of {some(bundles)}"
        if advice := suggestion(label, labels):
            yield Problem(at, given, some(labels), advice)
        else:
            warn(f"{site.places.of(at)} {given}: it applies to events of earlier bundles only")


def _about(where: Location, error: InputError) -> Problem:
    return Problem(where, error.given, error.allowed, error.next_step, error.required)


def _camera(at: Location, camera: CameraConfig, bundles: dict[str, Bundle], site: LoadedSite) -> Iterator[Problem]:
    labels = tuple(dict.fromkeys(label for bundle in bundles.values() for label in bundle.labels))
    if len(bundles) == len(camera.bundles):  # else the missing bundle may have the class
        chosen = camera.min_score if isinstance(camera.min_score, dict) else {}
        for where, label in [(("labels", n), label) for n, label in enumerate(camera.labels)] + [
            (("min_score", label), label) for label in chosen
        ]:
            if label not in labels:
                given = f"is {label!r}, which is no class of {some(bundles)}"
                advice = suggestion(label, labels) or "correct it"
                yield Problem((*at, *where), given, some(labels), advice)
    yield from _operating_point(at, camera, bundles)
    from ...sources.media import check_present, is_video_input

    source = site.source(str(at[1]))
    try:
        check_present(source)
    except InputError as error:
        yield Problem((*at, "source"), error.given, error.allowed, error.next_step, error.required)
        return
    if is_video_input(source):
        for name, bundle in bundles.items():
            if bundle.manifest.backbone is None:
                yield Problem(
                    (*at, "source"),
                    f"is video, and the bundle {name} takes features of {bundle.manifest.features.dim} columns only",
                    next_step=f"export {name} with its backbone, or give a source of features",
                    required="a bundle with a backbone",
                )
        return
    for name, bundle in bundles.items():
        if bundle.manifest.backbone is not None:
            what, next_step = no_video(source)
            given = f"{what}, and the bundle {name} takes video"
            yield Problem((*at, "source"), given, next_step=next_step, required="a video")
    yield from _features(at, camera, bundles, site)


def _operating_point(at: Location, camera: CameraConfig, bundles: dict[str, Bundle]) -> Iterator[Problem]:
    targets = {
        name: getattr(camera, name)
        for name in ("target_precision", "target_recall", "false_alarms_per_hour")
        if getattr(camera, name) is not None
    }
    for target, value in targets.items():
        for bundle in bundles.values():
            try:
                OperatingPoint(**{target: value}).of(bundle.manifest.calibration, bundle.labels)
            except InputError as error:
                yield _about((*at, target), error)


def _features(at: Location, camera: CameraConfig, bundles: dict[str, Bundle], site: LoadedSite) -> Iterator[Problem]:
    forms = {name: (b.manifest.features.dim, b.manifest.features.stride_s) for name, b in bundles.items()}
    if len(set(forms.values())) > 1:
        each = ", ".join(f"{name} {dim} columns every {stride:g} s" for name, (dim, stride) in forms.items())
        yield Problem((*at, "bundles"), f"take different features: {each}", next_step="use a camera for each bundle")
        return
    path = source_path(camera.source, site.folder)
    if path is None or not forms:
        return
    found = _columns(path)
    dim = next(iter(forms.values()))[0]
    if found not in (0, dim):
        given = f"has features of {found} columns"
        yield Problem((*at, "source"), given, next_step="use the features or the bundle that fits", required=f"{dim}")


def _columns(path: Path) -> int:
    """Columns of the features in a file or folder; 0 where they cannot be told before it is read."""
    import numpy as np

    file = path
    if path.is_dir():
        file = next(iter(sorted(path.glob("*.npy"))), path)
    if file.suffix != ".npy" or not file.is_file():
        return 0
    try:
        shape = np.load(file, mmap_mode="r", allow_pickle=False).shape
    except (OSError, ValueError, EOFError):
        return 0
    return int(shape[1]) if len(shape) == 2 else 0
