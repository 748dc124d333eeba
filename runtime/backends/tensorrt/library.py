"""One door to three libraries: `tensorrt` 10, `tensorrt` 11 and `tensorrt_rtx`. Where they differ, they differ here.

tensorrt 10 types a network strongly on request; 11 and RTX always do, and 11 dropped the flags for precision.
tensorrt builds for the device under it and keeps the timings of kernels between builds; RTX builds for compute
capabilities by name, without a device, and compiles kernels when it first runs them (its timing cache does nothing).
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any, Literal

from ...errors import InputError, PunctumError
from ..onnxruntime.runner import reason

Choice = Literal["auto", "tensorrt", "tensorrt_rtx"]
NAMES = ("tensorrt", "tensorrt_rtx")
MAJORS = {"tensorrt": (10, 11), "tensorrt_rtx": (1,)}
# The bindings look for libraries that another package holds; its import loads them. The last name is the API.
_MODULES = {
    "tensorrt": (("tensorrt",), ("tensorrt_libs", "tensorrt_bindings")),
    "tensorrt_rtx": (("tensorrt_rtx",), ("tensorrt_rtx_libs", "tensorrt_rtx_bindings")),
}
_INSTALL = {
    "tensorrt": "install TensorRT 10 or 11 as its vendor says (on a Jetson it comes with JetPack; a virtual "
    "environment sees it with --system-site-packages)",
    "tensorrt_rtx": "pip install tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings",
}
_LOGGED = 50  # messages kept; the last ones explain a failure


@dataclass(slots=True)
class Messages:
    """What the library said, oldest first. One a builder or runtime."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, text: str, *, error: bool) -> None:
        kept = self.errors if error else self.warnings
        if text not in kept:
            kept.append(text)
        del kept[:-_LOGGED]

    def last(self) -> str:
        """The errors in one line; "no reason given" without any."""
        return "; ".join(self.errors[-3:])[:600] or "no reason given"


@dataclass(frozen=True, slots=True)
class Library:
    """An imported library. name: one of `NAMES`; version as it says; api: its module."""

    name: str
    version: str
    api: Any

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def rtx(self) -> bool:
        return self.name == "tensorrt_rtx"

    @property
    def network_flags(self) -> int:
        """For `create_network`: strong typing where it has to be asked for."""
        if self.rtx or self.major >= 11:
            return 0
        return 1 << int(self.api.NetworkDefinitionCreationFlag.STRONGLY_TYPED)

    @property
    def capabilities(self) -> dict[str, Any]:
        """Compute capabilities that it builds for by name, "8.9" -> its word for it. Empty: the device's own only."""
        kinds = getattr(getattr(self.api, "ComputeCapability", None), "__members__", {}) if self.rtx else {}
        found = {f"{name[2:-1]}.{name[-1]}": kind for name, kind in kinds.items() if name[:2] == "SM"}
        return dict(sorted(found.items(), key=lambda item: tuple(map(int, item[0].split(".")))))

    @property
    def keeps_timings(self) -> bool:
        return not self.rtx

    def logger(self) -> tuple[Any, Messages]:
        """A logger for the library, and the place where its warnings and errors are kept."""
        messages = Messages()
        base: Any = self.api.ILogger
        severity = base.Severity

        class Log(base):  # type: ignore[misc]
            def __init__(self) -> None:
                base.__init__(self)

            def log(self, level: Any, text: str) -> None:
                if level in (severity.INTERNAL_ERROR, severity.ERROR):
                    messages.add(text, error=True)
                elif level == severity.WARNING:
                    messages.add(text, error=False)

        return Log(), messages


def load_library(choice: str = "auto") -> Library:
    """Import a library by name; "auto" takes the first of `NAMES` that is installed.

    Raises InputError for a name that is none of these, a library that is absent, a shared library that it misses, and
    a version that this code was not written for.
    """
    if choice not in ("auto", *NAMES):
        raise InputError("engine-library", f"library {choice!r}", f"auto, {', '.join(NAMES)}", "set --library")
    failures: dict[str, str] = {}
    for name in NAMES if choice == "auto" else (choice,):
        found = _import(name, failures)
        if found is not None:
            return _checked(found)
    wanted = "TensorRT" if choice == "auto" else choice
    broken = [text for text in failures.values() if text]
    why = f"{wanted} cannot be loaded ({'; '.join(broken)})" if broken else f"{wanted} is not installed"
    steps = [_INSTALL[name] for name in failures]
    raise InputError("missing-dependency", why, "tensorrt 10 or 11, or tensorrt_rtx 1", ", or ".join(steps))


def installed_libraries() -> list[Library]:
    """All that can be imported here, in the order of `NAMES`, whatever their version."""
    failures: dict[str, str] = {}
    return [found for name in NAMES if (found := _import(name, failures)) is not None]


def _import(name: str, failures: dict[str, str]) -> Library | None:
    for modules in _MODULES[name]:
        try:
            for module in modules:
                api = importlib.import_module(module)
        except ModuleNotFoundError as error:
            failures.setdefault(name, "" if error.name in modules else str(error))
            continue
        except (ImportError, OSError, RuntimeError) as error:  # a shared library is missing or of another version
            failures[name] = f"{name}: {reason(error)}"
            continue
        version = str(getattr(api, "__version__", ""))
        if hasattr(api, "Builder") and version[:1].isdigit():
            return Library(name, version, api)
        failures[name] = f"{name} from {getattr(api, '__file__', 'somewhere')} is no TensorRT"
    return None


def _checked(library: Library) -> Library:
    allowed = MAJORS[library.name]
    if library.major not in allowed:
        raise InputError(
            "engine-library-version",
            f"{library.name} {library.version}",
            f"{library.name} {' or '.join(map(str, allowed))}",
            _INSTALL[library.name],
        )
    return library


def pick_capabilities(library: Library, wanted: tuple[str, ...], device: str | None) -> tuple[str, ...]:
    """What to build for, as "8.9": the capabilities asked for, or the device's own.

    device: the capability of the GPU here, None without one. Raises InputError for one that the library cannot build,
    naming those it can, where nothing was asked for and there is no device, and as `check_runs_on`.
    """
    able = library.capabilities
    for capability in wanted:
        if capability in able or (not able and capability == device):
            continue
        if able:
            given, allowed = f"{library.name} {library.version} cannot build for {capability}", ", ".join(able)
            step = "leave it out; for a Jetson run `punctum build --library tensorrt` on the Jetson itself"
        else:
            given = f"{library.name} builds for the GPU it runs on ({device or 'none here'}), not for {capability}"
            allowed = device or "a machine with that GPU"
            step = "run `punctum build` on the target, or use --library tensorrt_rtx"
        raise InputError("compute-capability", given, allowed, step)
    if wanted:
        return tuple(dict.fromkeys(wanted))
    if device is None:
        raise InputError(
            "compute-capability",
            f"no GPU here and no --compute-capability for {library.name}",
            ", ".join(able) or "a machine with a GPU",
            "name what to build for, such as --compute-capability 8.9"
            if able
            else "run `punctum build` on the target, or use --library tensorrt_rtx",
        )
    check_runs_on(library, device)
    return (device,)


def check_runs_on(library: Library, device: str) -> None:
    """Raises InputError for a GPU, by its compute capability, that no engine of the library runs on.

    RTX builds an engine there all the same when it is asked for "the current device", and then refuses to load it:
    seen with RTX 1.7 on an H200.
    """
    able = library.capabilities
    if able and device not in able:
        raise InputError(
            "compute-capability",
            f"{library.name} {library.version} does not run on the GPU here (compute capability {device})",
            ", ".join(able),
            "use --library tensorrt (10 or 11) or --device cuda; engines for another machine are built with "
            "--compute-capability",
        )


def failed(code: str, what: str, messages: Messages, *, allowed: str = "", step: str = "") -> PunctumError:
    """An error that quotes the library."""
    return PunctumError(code, f"{what}: {messages.last()}", allowed, step)
