"""The site as a whole, its cameras, bundles and outputs, and the operations on them."""

from __future__ import annotations

import time
from collections import Counter

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ...credentials.redact import clean
from ..config.models import BundleConfig, CameraConfig
from .context import BundleName, CameraName, body_form, body_of, context, refusals
from .models import BundlesForm, CameraForm, CamerasForm, SinksForm, SiteForm, TracksForm
from .problems import refusal
from .records import answer, bundle_record, camera_record, dumped, plain, sink_record, tracks_record

router = APIRouter()
_NAME = "letters, digits, _ and -, beginning with a letter or digit, at most 63"


@router.get("/site", response_model=SiteForm, responses=refusals(401), tags=["site"], summary="The site as a whole")
def site(request: Request) -> Response:
    """Name, version, time since the start, what does not work as configured, what runs differently from the file, and
    what was lost."""
    shared = context(request)
    info, now, role = shared.view.site(), time.time(), request.scope["punctum.role"]
    labels = dict.fromkeys(label for bundle in shared.view.bundles() for label in bundle.labels)
    record = {
        **{"name": info.name, "version": info.version, "boot": shared.boot},
        **{"role": role, "now_unix": now, "started_unix": info.started_unix},
        **{"uptime_s": now - info.started_unix, "degraded": [clean(text) for text in info.degraded]},
        "changed_over_api": list(info.changed_over_api),
        "losses": plain(info.losses),
        "cameras": dict(Counter(camera.state for camera in shared.view.cameras())),
        "labels": list(labels),
        "last_report": shared.hub.last,
        "reviews": str(shared.view.store.folder.absolute() / "reviews") if role == "operate" else "",
    }
    return Response(dumped(record), media_type="application/json")


@router.post(
    "/site/reload", status_code=204, responses=refusals(401, 403, 422), tags=["site"], summary="Read the configuration"
)
def reload(request: Request) -> Response:
    """Read the configuration file again. Only what changed is restarted; with an error in it, nothing changes. Changes
    of `state` and `http` wait for the next start of the service."""
    context(request).view.reload()
    return Response(status_code=204)


@router.get("/cameras", response_model=CamerasForm, responses=refusals(401), tags=["cameras"], summary="All cameras")
def cameras(request: Request) -> Response:
    """All cameras with state, reason, measurements and losses."""
    view = context(request).view
    cameras = [camera_record(camera) for camera in view.cameras()]
    return answer(request, {"cameras": cameras, "removed_over_api": list(view.removed_cameras())})


@router.get(
    "/cameras/{name}", response_model=CameraForm, responses=refusals(401, 404), tags=["cameras"], summary="One camera"
)
def camera(request: Request, name: CameraName) -> Response:
    """State, reason, measurements and losses of a camera."""
    return answer(request, camera_record(context(request).camera(name)))


@router.put(
    "/cameras/{name}",
    response_model=CameraForm,
    responses={201: {"model": CameraForm, "description": "Added."}, **refusals(401, 403, 422)},
    openapi_extra=body_form(CameraConfig, "#/components/schemas/CameraConfig"),
    tags=["cameras"],
    summary="Add or change a camera",
)
async def put_camera(request: Request, name: CameraName) -> Response:
    """The body is what stands below the name of a camera in the configuration file. It is kept in the state folder, and
    counts until the file changes the same camera."""
    body = await body_of(request, CameraConfig)
    return await run_in_threadpool(_put_camera, request, _checked(name), body)


def _put_camera(request: Request, name: str, body: CameraConfig) -> Response:
    shared = context(request)
    known = any(camera.name == name for camera in shared.view.cameras())
    shared.view.put_camera(name, body)
    record = camera_record(shared.camera(name))
    return Response(dumped(record), 200 if known else 201, media_type="application/json")


@router.delete(
    "/cameras/{name}", status_code=204, responses=refusals(401, 403, 404), tags=["cameras"], summary="Remove a camera"
)
def delete_camera(request: Request, name: CameraName) -> Response:
    """Its events, clips and pictures stay."""
    shared = context(request)
    shared.view.delete_camera(shared.camera(name).name)
    return Response(status_code=204)


@router.post(
    "/cameras/{name}/enable",
    response_model=CameraForm,
    responses=refusals(401, 403, 404),
    tags=["cameras"],
    summary="Enable a camera",
)
def enable(request: Request, name: CameraName) -> Response:
    """Start it, within its schedule."""
    return _enabled(request, name, True)


@router.post(
    "/cameras/{name}/disable",
    response_model=CameraForm,
    responses=refusals(401, 403, 404),
    tags=["cameras"],
    summary="Disable a camera",
)
def disable(request: Request, name: CameraName) -> Response:
    """Stop it until it is enabled."""
    return _enabled(request, name, False)


def _enabled(request: Request, name: str, on: bool) -> Response:
    shared = context(request)
    shared.view.enable_camera(shared.camera(name).name, on)
    return Response(dumped(camera_record(shared.camera(name))), media_type="application/json")


@router.post(
    "/cameras/{name}/restart",
    response_model=CameraForm,
    responses=refusals(401, 403, 404),
    tags=["cameras"],
    summary="Restart a camera",
)
def restart(request: Request, name: CameraName) -> Response:
    """End its process and start another one."""
    shared = context(request)
    shared.view.restart_camera(shared.camera(name).name)
    return Response(dumped(camera_record(shared.camera(name))), media_type="application/json")


@router.get(
    "/cameras/{name}/tracks",
    response_model=TracksForm,
    responses={204: {"description": "There are none now."}, **refusals(401, 404)},
    tags=["cameras"],
    summary="Latest tracks of a camera",
)
def tracks(request: Request, name: CameraName) -> Response:
    """How much each snippet looks like an action, and like each class, from 0 to 1."""
    shared = context(request)
    found = shared.view.tracks(shared.camera(name).name)
    return Response(status_code=204) if found is None else answer(request, tracks_record(found))


@router.get("/bundles", response_model=BundlesForm, responses=refusals(401), tags=["bundles"], summary="All bundles")
def bundles(request: Request) -> Response:
    """Bundles with their versions; while one replaces another, both."""
    return answer(request, {"bundles": [bundle_record(bundle) for bundle in context(request).view.bundles()]})


@router.put(
    "/bundles/{name}",
    response_model=BundlesForm,
    responses=refusals(401, 403, 404, 422),
    openapi_extra=body_form(BundleConfig, "#/components/schemas/BundleConfig"),
    tags=["bundles"],
    summary="Replace a bundle",
)
async def put_bundle(request: Request, name: BundleName) -> Response:
    """Another version takes over on each camera at the next moment without an event. It is kept in the state folder,
    and counts until the file changes the same bundle. A bundle that cannot be read is refused, and the running one
    stays."""
    body = await body_of(request, BundleConfig)
    return await run_in_threadpool(_put_bundle, request, _checked(name), body)


def _put_bundle(request: Request, name: str, body: BundleConfig) -> Response:
    view = context(request).view
    if not any(bundle.name == name for bundle in view.bundles()):
        raise refusal(404, "site-api-bundle", "There is no such bundle", "", "list the bundles with api/v1/bundles")
    view.put_bundle(name, body)
    record = {"bundles": [bundle_record(bundle) for bundle in view.bundles()]}
    return Response(dumped(record), media_type="application/json")


@router.get("/sinks", response_model=SinksForm, responses=refusals(401), tags=["sinks"], summary="All outputs")
def sinks(request: Request) -> Response:
    """Outputs with what was delivered, what waits, and the latest error."""
    return answer(request, {"sinks": [sink_record(sink) for sink in context(request).view.sinks()]})


def _checked(name: str) -> str:
    plain_name = name.replace("_", "").replace("-", "")
    if not (name.isascii() and plain_name.isalnum() and name[0].isalnum() and len(name) <= 63):
        raise refusal(422, "site-api-name", "The name is not possible", _NAME, "choose another name")
    return name
