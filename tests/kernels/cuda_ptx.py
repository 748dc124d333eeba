"""The kernels for GPUs as PTX, on a machine without one. Run as a program, in a process without the simulator."""

from __future__ import annotations

import json
import os
import sys
import types

KERNELS = ("adapt", "pick", "gather", "weigh", "fuse", "inspect_segments", "inspect_scores", "inspect_labels")


def signatures(real, whole):
    """Argument types of every kernel; real, whole: types of the arrays of numbers and integers that a caller gives."""
    import numba

    f8, i8 = numba.float64, numba.int64
    doubles, integers, given, table = f8[::1], i8[::1], real[::1], real[:, ::1]
    return {
        "adapt": (table, given, whole[::1], f8, f8[:, ::1], numba.int8[::1], f8[:, ::1]),
        "pick": (table, given, whole[::1], f8, f8, f8, f8[:, ::1], integers, doubles, integers),
        "gather": (integers, doubles, whole[::1], integers, integers, doubles),
        "weigh": (table, given, given, f8[:, ::1]),
        "fuse": (given, given, whole[::1], table, given, given, doubles, doubles),
        "inspect_segments": (table, given, integers),
        "inspect_scores": (doubles, integers),
        "inspect_labels": (whole[::1], i8, integers),
    }


def wanted() -> list[tuple[tuple[int, int], bool]]:
    """Capabilities, and whether arrays are float64: the oldest and the newest, or all with PUNCTUM_EXHAUSTIVE=1."""
    every = [((8, 7), True), ((8, 9), True), ((9, 0), True), ((8, 7), False)]
    return every if os.environ.get("PUNCTUM_EXHAUSTIVE", "") not in ("", "0") else [((8, 7), False), ((9, 0), True)]


def compile_all(capability: tuple[int, int], *, double: bool) -> dict[str, str]:
    import numba
    from numba import cuda
    from numba.cuda import dispatcher
    from punctum.kernels.cuda import _inspect, _kernels

    # Functions that a kernel calls are compiled for the current device, and here is none.
    dispatcher.get_current_device = lambda: types.SimpleNamespace(compute_capability=capability)
    kinds = (numba.float64, numba.int64) if double else (numba.float32, numba.int32)
    wanted = signatures(*kinds)
    found = {**vars(_kernels), **vars(_inspect)}
    return {name: cuda.compile_ptx(found[name].py_func, wanted[name], cc=capability)[0] for name in KERNELS}


if __name__ == "__main__":
    try:
        from numba.cuda.cudadrv import nvvm

        nvvm.NVVM()
    except Exception as error:  # noqa: BLE001 - whatever the toolkit's absence raises
        print(error, file=sys.stderr)
        raise SystemExit(3) from None
    made = {
        f"sm_{a}{b}-{'f64' if double else 'f32'}": compile_all((a, b), double=double) for (a, b), double in wanted()
    }
    json.dump(made, sys.stdout)
