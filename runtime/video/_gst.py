"""GStreamer through its Python bindings, PyGObject, which are imported when the first pipeline is opened."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from ..credentials.redact import Address
from ..errors import InputError
from ._faults import PLAYER, Fault
from ._raw import FORMATS, Layout, colors

SINK = "punctum_sink"
# Decoders of the platforms that the documentation names.
NOTABLE = (
    *("nvv4l2decoder", "nvh264dec", "nvh265dec", "vah264dec", "vah265dec", "vaapih264dec", "qsvh264dec"),
    *("v4l2h264dec", "v4l2slh264dec", "v4l2slh265dec", "mppvideodec", "vtdec", "d3d11h264dec", "avdec_h264"),
    *("openh264dec", "libde265dec", "vp9dec", "dav1ddec"),
)
_FILE_SOURCES = ("filesrc", "multifilesrc", "splitfilesrc", "pushfilesrc")
_INSTALL = (
    "install the packages python3-gi and gir1.2-gstreamer-1.0, and use the Python of the system in an environment that "
    "was created with --system-site-packages; or pip install PyGObject"
)


def load_gst() -> Any:
    """Import and start GStreamer. Raises InputError."""
    try:
        import gi
    except ImportError:
        raise _missing("The Python bindings of GStreamer (PyGObject) are not installed") from None
    try:
        gi.require_version("Gst", "1.0")
        from gi.repository import Gst
    except (ImportError, ValueError) as error:
        raise _missing(f"GStreamer is not available to Python ({error})") from None
    if not Gst.is_initialized() and not Gst.init_check(None)[0]:
        raise _missing("GStreamer cannot be started")
    return Gst


def _missing(given: str) -> InputError:
    return InputError("gst-missing", given, required="GStreamer 1 and PyGObject", next_step=_INSTALL)


def build(address: Address) -> tuple[Any, Any]:
    """Return the pipeline of an address, which ends in raw video, and the sink that was added. Raises InputError."""
    gst = load_gst()
    forms = ", ".join(FORMATS)
    tail = f"videoconvert ! video/x-raw, format=(string){{ {forms} }} ! appsink name={SINK} sync=false max-buffers=4"
    reason = ""
    try:
        pipeline = gst.parse_launch_full(f"{address.target} ! {tail}", None, gst.ParseFlags.FATAL_ERRORS)
    except Exception as error:  # noqa: BLE001 - GLib.Error, whose module need not exist here
        reason = address.clean(str(getattr(error, "message", error)))
    if reason:
        raise InputError(
            "gst-pipeline",
            f"The pipeline {address.shown} cannot be built ({reason})",
            required="elements that are installed, of which the last delivers video; punctum adds the sink",
            next_step="try it with: gst-launch-1.0 PIPELINE ! videoconvert ! fakesink",
        )
    return pipeline, pipeline.get_by_name(SINK)


def layout(caps: Any) -> Layout:
    """Return the arrangement of pictures with these caps."""
    fields = caps.get_structure(0)
    matrix, full = colors(fields.get_string("colorimetry"))
    return Layout(
        form=fields.get_string("format"),
        width=fields.get_int("width")[1],
        height=fields.get_int("height")[1],
        matrix=matrix,
        full=full,
        aspect=_fraction(fields, "pixel-aspect-ratio", 1.0),
        rate=_fraction(fields, "framerate", 0.0),
    )


def _fraction(fields: Any, name: str, default: float) -> float:
    there, above, below = fields.get_fraction(name)
    return float(Fraction(above, below)) if there and above and below else default


def fault(gst: Any, message: Any, address: Address, *, reading: bool, live: bool) -> Fault:
    """Return the fault that an error message of a pipeline describes. reading: whether it delivered frames before.

    A recording that is missing does not come back; a live source may.
    """
    error, _ = message.parse_error()
    name, text = address.shown, address.clean(error.message.rstrip("."))
    source = message.src.get_name() if message.src is not None else "an element"
    said = f"{source}: {text}"
    resource = {gst.ResourceError.NOT_FOUND: "video-missing", gst.ResourceError.NOT_AUTHORIZED: "video-login"}
    for code, kind in resource.items():
        if error.matches(gst.ResourceError.quark(), int(code)):
            passing = kind == "video-missing" and live
            step = "check user and password" if kind == "video-login" else "check the path or address in the pipeline"
            return Fault(kind, f"{name} cannot be opened ({said})", next_step=step, passing=passing)
    plugin = ((gst.CoreError, "MISSING_PLUGIN"), (gst.StreamError, "CODEC_NOT_FOUND"))
    if any(error.matches(domain.quark(), int(getattr(domain, code))) for domain, code in plugin):
        return Fault(
            "gst-pipeline",
            f"{name} needs a plugin of GStreamer that is not installed ({said})",
            next_step="install it, or change the pipeline",
        )
    if reading:
        return Fault("video-broken-off", f"{name} broke off ({said})", next_step="check its source", passing=live)
    return Fault("video-connection", f"{name} cannot be opened ({said})", next_step=PLAYER, passing=live)


def is_file(element: Any) -> bool:
    """Whether an element reads files of this machine."""
    factory = None if element is None else getattr(element, "get_factory", lambda: None)()
    return factory is not None and factory.get_name() in _FILE_SOURCES


def describe() -> tuple[str, tuple[str, ...]]:
    """Return the version of GStreamer and the notable decoders that are installed. Raises InputError."""
    gst = load_gst()
    found = tuple(name for name in NOTABLE if gst.ElementFactory.find(name) is not None)
    return ".".join(str(part) for part in gst.version()[:3]), found
