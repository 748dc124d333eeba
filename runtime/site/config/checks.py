"""Checks of a configuration that concern several fields, or what is outside the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...text.display import some
from .addresses import is_loopback, parse_listen
from .models import CameraConfig, Secret, SiteConfig
from .paths import state_check, unfit_source
from .problems import Location, Problem, suggestion
from .secrets import Environment, read_secret
from .sink_checks import sink_checks

_TARGETS = ("target_precision", "target_recall", "false_alarms_per_hour")


def cross_checks(config: SiteConfig, folder: Path, environment: Environment) -> tuple[list[Problem], list[Problem]]:
    """What is wrong, and what is only worth a warning."""
    found = [*_secrets(config, folder, environment), *_http(config), *sink_checks(config, folder)]
    found += state_check(config, folder)
    for name, camera in config.cameras.items():
        found += _camera(config, name, camera, folder)
    problems, warnings = _shared_sources(config, folder)
    warnings += _passwords(config)
    unused = config.bundles.keys() - {bundle for camera in config.cameras.values() for bundle in camera.bundles}
    warnings += [Problem(("bundles", name), "is used by no camera") for name in config.bundles if name in unused]
    return found + problems, warnings


def secrets_of(config: SiteConfig) -> Iterator[tuple[Location, Secret]]:
    """Every secret of a configuration with its place."""
    for name in ("read", "operate"):
        yield from _one(("http", "tokens", name), getattr(config.http.tokens, name))
    for name, camera in config.cameras.items():
        yield from _one(("cameras", name, "password"), camera.password)
        yield from _one(("cameras", name, "token"), camera.token)
    for name, sink in config.sinks.items():
        for field in ("password", "secret"):
            yield from _one(("sinks", name, field), getattr(sink, field, None))


def _one(where: Location, secret: Secret | None) -> Iterator[tuple[Location, Secret]]:
    if secret is not None:
        yield where, secret


def _secrets(config: SiteConfig, folder: Path, environment: Environment) -> Iterator[Problem]:
    for where, secret in secrets_of(config):
        try:
            read_secret(secret, folder, environment)
        except InputError as error:
            yield Problem(where, error.given, error.allowed, error.next_step, error.required)


def _http(config: SiteConfig) -> Iterator[Problem]:
    listen = parse_listen(config.http.listen)
    if listen is None:
        yield Problem(
            ("http", "listen"),
            f"is {config.http.listen[:80]!r}",
            "HOST:PORT with a port from 0 to 65535, [ADDRESS]:PORT for IPv6",
            "correct it",
        )
        return
    tokens = config.http.tokens
    if not is_loopback(listen[0]) and (tokens.read is None and tokens.operate is None):
        yield Problem(
            ("http", "listen"),
            f"accepts requests from other machines ({listen[0]}) without tokens",
            next_step="add http.tokens with read and operate, or listen on 127.0.0.1",
            required="tokens",
        )


def _camera(config: SiteConfig, name: str, camera: CameraConfig, folder: Path) -> Iterator[Problem]:
    at: Location = ("cameras", name)
    for index, bundle in enumerate(camera.bundles):
        if bundle not in config.bundles:
            yield _unknown((*at, "bundles", index), "bundle", bundle, list(config.bundles))
    if len(set(camera.bundles)) < len(camera.bundles):
        yield Problem((*at, "bundles"), "names a bundle twice", required="each once", next_step="remove one")
    for index, sink in enumerate(camera.sinks or ()):
        if sink not in config.sinks:
            yield _unknown((*at, "sinks", index), "sink", sink, list(config.sinks))
    given = [field for field in ("min_score", *_TARGETS) if getattr(camera, field) is not None]
    if len(given) > 1:
        yield Problem(
            (*at, given[-1]),
            f"cannot be combined with {given[0]}",
            required="one of them",
            next_step="remove the other",
        )
    if isinstance(camera.min_score, dict) and camera.labels:
        for label in [label for label in camera.min_score if label not in camera.labels]:
            yield Problem(
                (*at, "min_score", label),
                "has no effect: the class is not in labels",
                some(camera.labels),
                "correct it",
            )
    for index, period in enumerate(camera.schedule):
        if period.start == period.end:
            yield Problem((*at, "schedule", index), "starts and ends at the same time", next_step="correct it")
    region = camera.region
    if region.left + region.width > 1 + 1e-9 or region.top + region.height > 1 + 1e-9:
        yield Problem(
            (*at, "region"), "reaches beyond the picture", "left + width and top + height up to 1", "reduce it"
        )
    yield from _source(at, camera, folder)


def unknown_names(values: Any) -> list[Problem]:
    """Bundles and sinks that cameras name and that do not exist, in the plain values of a file with other problems."""
    if not isinstance(values, dict) or not isinstance(values.get("cameras"), dict):
        return []
    found = []
    for name, camera in values["cameras"].items():
        for field in ("bundles", "sinks"):
            named = camera.get(field) if isinstance(camera, dict) else None
            there = values.get(field, {})
            if not isinstance(named, list | tuple) or not isinstance(there, dict):
                continue
            for index, one in enumerate(named):
                if isinstance(one, str) and one not in there:
                    known = [key for key in there if isinstance(key, str)]
                    found.append(_unknown(("cameras", name, field, index), field[:-1], one, known))
    return found


def _unknown(where: Location, what: str, name: str, known: list[str]) -> Problem:
    advice = suggestion(name, known) or f"add it to {what}s, or correct the name"
    return Problem(where, f"is {name!r}, and there is no {what} of that name", some(known) or "none is defined", advice)


def source_path(source: str, folder: Path) -> Path | None:
    """The path of a source that is a file or folder; None for an address."""
    from ...sources.media import is_address

    return None if is_address(source) or "://" in source else folder / Path(source).expanduser()


def _source(at: Location, camera: CameraConfig, folder: Path) -> Iterator[Problem]:
    from ...credentials.redact import Address
    from ...sources.media import check_present, is_address, is_video_input
    from ...sources.unfit import refuse_options

    path = source_path(camera.source, folder)
    source = camera.source if path is None else str(path)
    where = (*at, "source")
    if problem := unfit_source(where, camera.source, path):
        yield problem
        return
    if camera.source == "-":
        yield Problem(where, "is standard input, which a service does not have", next_step="use a socket or a file")
        return
    if path is not None and not path.exists():
        return  # a drive that is not there yet must not keep the other cameras from starting; `check_site` says it
    socket = source.lower().startswith(("tcp://", "unix://"))
    try:
        if is_address(source) or (path is None and not socket):
            Address.parse(source)
        check_present(source)
    except InputError as error:
        yield Problem(where, error.given, error.allowed, error.next_step, error.required)
        return
    video = is_video_input(source)
    used = {
        "transport": camera.transport != "tcp",
        "decoder": camera.decoder != "software",
        "allow_hosts": bool(camera.allow_hosts),
        "overflow": camera.overflow is not None,
    }
    for field in [name for name, is_set in used.items() if is_set]:
        try:
            refuse_options(source, [field])
        except InputError as error:
            yield Problem((*at, field), error.given, next_step=error.next_step.replace("`", ""))
    yield from _unfit(at, camera, video=video, socket=socket, live=path is None)


def _unfit(at: Location, camera: CameraConfig, *, video: bool, socket: bool, live: bool) -> Iterator[Problem]:
    remote = camera.source.lower().startswith(("rtsp", "http"))
    reasons = (
        ("token", camera.token is not None and not socket, "is for sources tcp:// and unix://"),
        ("loop", camera.loop and live, "is for files: this source does not end"),
        ("loop", camera.loop and not live and not video, "is for video files"),
        ("fps", camera.fps is not None and not video, "is for video"),
        ("masks", bool(camera.masks) and not video, "is for video: this source has features, and no picture"),
        ("region", "region" in camera.model_fields_set and not video, "is for video: this source has no picture"),
        ("user", camera.user is not None and not remote, "is for sources rtsp:// and http(s)://"),
        ("password", camera.password is not None and not remote, "is for sources rtsp:// and http(s)://"),
    )
    for field, wrong, why in reasons:
        if wrong:
            yield Problem((*at, field), f"has no effect: it {why}", next_step=f"remove {field}")
    if camera.password is not None and camera.user is None and remote:
        yield Problem((*at, "password"), "is given without user", required="user", next_step="add user")
    if socket and camera.token is None and camera.source.lower().startswith("tcp://"):
        host = (parse_listen(camera.source[6:].rstrip("/")) or ("", 0))[0]
        if not is_loopback(host):
            yield Problem(
                (*at, "source"),
                "accepts features from other machines without a token",
                required="token",
                next_step="add token, or use tcp://127.0.0.1:PORT",
            )


def _shared_sources(config: SiteConfig, folder: Path) -> tuple[list[Problem], list[Problem]]:
    """Cameras with the same source: an error for sockets, which have one reader, else worth a warning."""
    first: dict[str, str] = {}
    problems, warnings = [], []
    for name, camera in config.cameras.items():
        path = source_path(camera.source, folder)
        key = camera.source.rstrip("/") if path is None else str(path)
        other = first.setdefault(key, name)
        if other == name:
            continue
        where: Location = ("cameras", name, "source")
        if camera.source.lower().startswith(("tcp://", "unix://", "camera:")):
            given = f"is also the source of camera {other}"
            problems.append(
                Problem(where, given, required="one camera for each socket or device", next_step="join them")
            )
        else:
            text = f"is also the source of camera {other}; one camera with several bundles decodes it once"
            warnings.append(Problem(where, text))
    return problems, warnings


def _passwords(config: SiteConfig) -> Iterator[Problem]:
    """Cameras whose address has a password, which everybody sees who may read the file."""
    from ...credentials.redact import Address
    from ...sources.media import is_address

    for name, camera in config.cameras.items():
        try:
            secret = is_address(camera.source) and Address.parse(camera.source).secret
        except InputError:
            continue
        if secret:
            text = "contains what looks like a password; user and password keep it out of the file"
            yield Problem(("cameras", name, "source"), text)
