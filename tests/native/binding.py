"""libpunctum through ctypes: a session with the methods of `punctum.runtime.Session`, and the kernels."""

from __future__ import annotations

import ctypes as c
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from punctum.runtime.events.event import Event
from punctum.runtime.live import LiveOptions
from punctum.runtime.session.dispatch import run_job
from punctum.runtime.session.jobs import LocateJob
from punctum.runtime.session.plan import Plan

OK, EMPTY = 0, 1
TRACKS, WINDOWS = 0, 1
LOCATE, SCORE = 1, 2
PHASES = ("open", "update", "final", "retracted")
F32P, F64P, I64P = c.POINTER(c.c_float), c.POINTER(c.c_double), c.POINTER(c.c_int64)


class NativeError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message


class Error(c.Structure):
    _fields_ = (("code", c.c_char * 48), ("message", c.c_char * 464))


class _Sized(c.Structure):
    def __init__(self, **values: Any) -> None:
        super().__init__(struct_size=c.sizeof(type(self)), **values)


class Options(_Sized):
    _fields_ = (
        ("struct_size", c.c_size_t),
        ("stream", c.c_char_p),
        ("start_s", c.c_double),
        ("mode", c.c_int32),
        ("keep_features", c.c_int32),
        ("max_delay_s", c.c_double),
        ("report_score", c.c_double),
        ("open_score", c.c_double),
        ("tick_s", c.c_double),
        ("run_id", c.c_char_p),
    )


class Loss(c.Structure):
    _fields_ = (("row", c.c_int64), ("frames", c.c_int64))


class Chunk(_Sized):
    _fields_ = (
        ("struct_size", c.c_size_t),
        ("count", c.c_size_t),
        ("features", F32P),
        ("tracks", F32P),
        ("has_at", c.c_int32),
        ("at_s", c.c_double),
        ("lost", c.POINTER(Loss)),
        ("lost_count", c.c_size_t),
    )


class Want(_Sized):
    _fields_ = (
        ("struct_size", c.c_size_t),
        ("kind", c.c_int32),
        ("inner", c.c_int32),
        ("first", c.c_int64),
        ("rows", c.c_size_t),
        ("features", F32P),
        ("tracks", F32P),
        ("count", c.c_size_t),
        ("segments", F32P),
        ("labels", I64P),
    )


class NativeEvent(_Sized):
    _fields_ = (
        ("struct_size", c.c_size_t),
        ("stream", c.c_char_p),
        ("id", c.c_char_p),
        ("label", c.c_char_p),
        ("bundle", c.c_char_p),
        ("label_index", c.c_int64),
        ("revision", c.c_int64),
        ("dropped", c.c_int64),
        ("phase", c.c_int32),
        ("ended", c.c_int32),
        ("interrupted", c.c_int32),
        ("degraded", c.c_int32),
        ("score", c.c_double),
        ("start", c.c_double),
        ("end", c.c_double),
        ("emitted_at", c.c_double),
        ("delay_s", c.c_double),
        ("start_utc", c.c_char_p),
        ("end_utc", c.c_char_p),
        ("raw_score", c.c_double),
        ("has_raw_score", c.c_int32),
    )


class Info(_Sized):
    _fields_ = (
        ("struct_size", c.c_size_t),
        ("now_s", c.c_double),
        ("look_ahead_s", c.c_double),
        ("keep_from", c.c_int64),
        ("pushed", c.c_int64),
        ("islands", c.c_int64),
        ("finals", c.c_int64),
        ("gaps", c.c_int64),
        ("dropped", c.c_int64),
        ("waiting_events", c.c_size_t),
        ("state_bytes", c.c_size_t),
        ("want", c.c_int32),
        ("closed", c.c_int32),
    )


def f32(array: np.ndarray | None) -> Any:
    return None if array is None else array.ctypes.data_as(F32P)


def f64(array: np.ndarray) -> Any:
    return array.ctypes.data_as(F64P)


def i64(array: np.ndarray) -> Any:
    return array.ctypes.data_as(I64P)


class Library:
    """The shared library at `path`."""

    def __init__(self, path: Path) -> None:
        self._lib = c.CDLL(str(path))
        self._lib.punctum_version.restype = c.c_char_p
        for name in ("punctum_session_free", "punctum_plan_free"):
            getattr(self._lib, name).restype = None
            getattr(self._lib, name).argtypes = [c.c_void_p]

    def call(self, name: str, *arguments: Any, allow: tuple[int, ...] = (OK, EMPTY)) -> int:
        """Call punctum_<name> with an error at the end; raises NativeError."""
        error = Error()
        status = int(getattr(self._lib, f"punctum_{name}")(*arguments, c.byref(error)))
        if status not in allow:
            raise NativeError(status, error.code.decode(), error.message.decode())
        return status

    @property
    def version(self) -> str:
        return str(self._lib.punctum_version().decode())

    def plan(self, manifest: dict[str, Any] | bytes) -> NativePlan:
        return NativePlan(self, manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode())


class NativePlan:
    def __init__(self, library: Library, text: bytes) -> None:
        self.library = library
        self.handle = c.c_void_p()
        library.call("plan_from_manifest", text, c.c_size_t(len(text)), c.byref(self.handle))

    def __del__(self) -> None:
        self.library._lib.punctum_plan_free(self.handle)


def manifest_of(plan: Plan) -> dict[str, Any]:
    """The parts of a manifest that a native plan reads, for any Python plan. `center` is named if it is needed."""
    manifest: dict[str, Any] = {
        "schema": "1.0",
        "id": plan.bundle_id,
        "labels": list(plan.labels),
        "features": {"dim": plan.dim, "stride_s": plan.stride_s},
        "locator": {"file": "locator.onnx", "left": plan.left, "right": plan.right},
        "center": {"file": "center.onnx"} if plan.post.fusion.needs_head else None,
        "post": plan.post.model_dump(mode="json"),
    }
    if plan.calibration is not None:
        manifest["calibration"] = plan.calibration.model_dump(mode="json")
    if plan.overhang_s:
        manifest["backbone"] = {"fps": 1 / plan.overhang_s, "right_frames": 1}
    return manifest


class NativeSession:
    """The twin of `Session`: push, gap, flush, reset, snapshot. backend: who answers its wants."""

    def __init__(
        self,
        plan: NativePlan,
        python: Plan,
        backend: Any,
        *,
        mode: int = WINDOWS,
        stream: str = "",
        start_s: float = 0.0,
        live: LiveOptions | None = None,
        keep_features: bool = True,
        frozen: bytes | None = None,
        run_id: str = "",
    ) -> None:
        self.library, self.plan, self.python, self.backend = plan.library, plan, python, backend
        self.mode, self.keep = mode, keep_features
        self.wants: list[dict[str, Any]] = []
        self.rows: list[np.ndarray] = []  # features pushed so far, where the session does not keep them
        self.handle = c.c_void_p()
        live = live or LiveOptions()
        if frozen is not None:
            size = c.c_size_t(len(frozen))
            self.library.call("session_restore", plan.handle, frozen, size, c.byref(self.handle))
            return
        options = Options(
            stream=stream.encode(),
            start_s=start_s,
            mode=mode,
            keep_features=int(keep_features),
            max_delay_s=live.max_delay_s or 0.0,
            report_score=-1.0 if live.report_score is None else live.report_score,
            open_score=live.open_score,
            tick_s=live.tick_s or 0.0,
            run_id=run_id.encode(),
        )
        self.library.call("session_create", plan.handle, c.byref(options), c.byref(self.handle))

    def __del__(self) -> None:
        self.library._lib.punctum_session_free(self.handle)

    def push(
        self,
        features: np.ndarray,
        *,
        tracks: np.ndarray | None = None,
        at: float | None = None,
        lost: Sequence[tuple[int, int]] = (),
    ) -> list[Event]:
        features = np.ascontiguousarray(features, np.float32)
        losses = (Loss * len(lost))(*[Loss(row, frames) for row, frames in lost])
        chunk = Chunk(
            count=len(features), has_at=int(at is not None), at_s=at or 0.0, lost=losses, lost_count=len(lost)
        )
        chunk.features = f32(features) if self.keep else None
        if self.mode == TRACKS and tracks is not None:
            tracks = np.ascontiguousarray(tracks, np.float32)
            chunk.tracks = f32(tracks)
        self.library.call("push", self.handle, c.byref(chunk))
        if not self.keep:
            self.rows.append(features)
        return self.serve()

    def gap(self, at: float) -> list[Event]:
        self.library.call("gap", self.handle, c.c_double(at))
        return self.serve()

    def flush(self) -> list[Event]:
        self.library.call("flush", self.handle)
        return self.serve()

    def reset(self, *, start_s: float = 0.0) -> None:
        self.library.call("reset", self.handle, c.c_double(start_s))
        self.rows = []

    def abandon(self) -> list[Event]:
        self.library.call("abandon", self.handle)
        return self.serve()

    def degrade(self, on: bool) -> None:
        self.library.call("set_degraded", self.handle, c.c_int32(on))

    def snapshot(self) -> bytes:
        needed = c.c_size_t()
        self.library.call("snapshot", self.handle, None, c.c_size_t(0), c.byref(needed), allow=(-4,))
        data = c.create_string_buffer(needed.value)
        self.library.call("snapshot", self.handle, data, needed, c.byref(needed))
        return data.raw

    def describe(self) -> Info:
        info = Info()
        self.library.call("session_describe", self.handle, c.byref(info))
        return info

    def want(self) -> Want:
        want = Want()
        self.library.call("next_want", self.handle, c.byref(want))
        return want

    def serve(self) -> list[Event]:
        """Answer all wants from the backend, then poll."""
        classes, dim = len(self.python.labels), self.python.dim
        while (want := self.want()).kind:
            features = _array(want.features, want.rows, dim) if self.keep else self._own(want, dim)
            self.wants.append({"kind": want.kind, "inner": want.inner, "first": want.first, "rows": want.rows})
            if want.kind == LOCATE:
                rows = np.ascontiguousarray(run_job(LocateJob(features, bool(want.inner)), self.backend))
                self.library.call(
                    "answer_locate", self.handle, f32(rows), c.c_size_t(len(rows)), c.c_size_t(rows.shape[1])
                )
            else:
                segments = _array(want.segments, want.count, 2)
                labels = np.array(want.labels[: want.count], np.int64)
                self.wants[-1] |= {"segments": segments, "labels": labels}
                tracks = _array(want.tracks, want.rows, classes + 1)
                head = [
                    np.ascontiguousarray(p, np.float32) for p in self.backend.score(features, tracks, segments, labels)
                ]
                sizes = c.c_size_t(len(labels)), c.c_size_t(classes)
                self.library.call("answer_score", self.handle, *(f32(part) for part in head), *sizes)
        return self.poll()

    def _own(self, want: Want, dim: int) -> np.ndarray:
        """The window's features from the caller's own buffer; the session has said how far back it can ask."""
        if want.first < self.describe().keep_from:
            raise AssertionError(f"a want from {want.first}, but keep_from is {self.describe().keep_from}")
        rows = np.concatenate([np.zeros((0, dim), np.float32), *self.rows])
        return rows[want.first : want.first + want.rows].copy()

    def poll(self) -> list[Event]:
        events, event = [], NativeEvent()
        while self.library.call("poll", self.handle, c.byref(event)) == OK:
            events.append(
                Event(
                    stream=event.stream.decode(),
                    id=event.id.decode(),
                    revision=event.revision,
                    phase=PHASES[event.phase],  # type: ignore[arg-type]
                    label=event.label.decode(),
                    score=event.score,
                    start=event.start,
                    end=event.end,
                    emitted_at=event.emitted_at,
                    delay_s=event.delay_s,
                    bundle=event.bundle.decode(),
                    ended=bool(event.ended),
                    dropped=event.dropped,
                    interrupted=bool(event.interrupted),
                    degraded=bool(event.degraded),
                    raw_score=event.raw_score if event.has_raw_score else None,
                )
            )
            needed = c.c_size_t()
            text = c.create_string_buffer(4096)
            self.library.call("event_to_json", c.byref(event), text, c.c_size_t(4096), c.byref(needed))
            if text.value.decode() != events[-1].to_json():
                raise AssertionError(f"{text.value.decode()} != {events[-1].to_json()}")
        return events


def _array(pointer: Any, rows: int, columns: int) -> np.ndarray:
    """A copy of what a want points at; zeros where the session keeps nothing."""
    if not pointer or rows == 0:
        return np.zeros((rows, columns), np.float32)
    return np.ctypeslib.as_array(pointer, shape=(rows, columns)).copy()


def difference(a: Sequence[Event], b: Sequence[Event]) -> str:
    """Empty where events agree: labels, phases, ids and counts exactly, times and scores within 1e-6."""
    for k, (x, y) in enumerate(zip(a, b, strict=False)):
        exact = ("stream", "id", "revision", "phase", "label", "bundle", "ended", "dropped", "interrupted", "degraded")
        if any(getattr(x, name) != getattr(y, name) for name in exact):
            return f"event {k}:\n  {x}\n  {y}"
        if (x.raw_score is None) != (y.raw_score is None) or abs((x.raw_score or 0.0) - (y.raw_score or 0.0)) > 1e-6:
            return f"event {k}:\n  {x}\n  {y}"
        close = ("score", "start", "end", "emitted_at", "delay_s")
        if any(abs(getattr(x, name) - getattr(y, name)) > 1e-6 for name in close):
            return f"event {k}:\n  {x}\n  {y}"
    return "" if len(a) == len(b) else f"{len(a)} events against {len(b)}: {[*a, *b][min(len(a), len(b)) :][:1]}"
