"""All dataclasses of the package, whatever they hold: a repr that fits on a screen, == that answers, a clear hash."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil

import numpy as np
import pytest
from punctum.runtime import Features, InputError, Session
from punctum.runtime.datasets.dataset import Truth
from punctum.runtime.datatypes import by_value
from punctum.runtime.session.buffer import RowBuffer

ARRAYS = ("NDArray", "ndarray", "F32", "F64", "I64", "U8", "Flags", "torch.Tensor", "Image")


def dataclasses_of(package: str) -> list[type]:
    try:
        root = importlib.import_module(package)
    except ImportError:
        return []
    found = []
    for module in pkgutil.walk_packages(root.__path__, package + "."):
        try:
            names = vars(importlib.import_module(module.name))
        except ImportError:  # an extra that is not installed
            continue
        found += [c for c in names.values() if inspect.isclass(c) and c.__module__ == module.name]
    return [c for c in dict.fromkeys(found) if dataclasses.is_dataclass(c)]


def sample(annotation: str) -> object:
    """A large value of about that type."""
    if annotation.startswith(("tuple[", "list[", "dict[")):
        kind, _, inner = annotation.partition("[")
        one = sample(inner.rpartition(",")[2].strip(" ]") if kind == "dict" else inner.split(",")[0].strip(" ]"))
        return {"dict": {f"k{i}": one for i in range(5)}, "list": [one] * 5, "tuple": (one,) * 5}[kind]
    if "Callable" in annotation:
        return len
    if "RowBuffer" in annotation:
        return RowBuffer(4)
    if any(word in annotation for word in ARRAYS):
        return np.full((300, 50), np.nan)
    if "bytes" in annotation:
        return b"x" * 10**6
    plain = {"str": "x" * 40, "int": 1, "float": 1.5, "bool": True}
    return plain.get(annotation.partition(" |")[0])


def made(cls: type) -> object:
    """An instance with a value in every field, whatever its constructor would say."""
    one = object.__new__(cls)
    for field in dataclasses.fields(cls):
        object.__setattr__(one, field.name, sample(str(field.type)))
    return one


def test_every_dataclass_can_be_shown_and_compared():
    classes = [c for p in ("runtime", "kernels", "training", "export") for c in dataclasses_of(f"punctum.{p}")]
    assert len(classes) > 90
    wrong = []
    for cls in classes:
        a, b = made(cls), made(cls)
        own = not cls.__dataclass_params__.repr and cls.__repr__.__module__ == cls.__module__  # asks for its own fields
        try:
            if not own and len(repr(a)) > 6000:
                wrong.append(f"{cls.__name__}: a repr of {len(repr(a))} characters ({cls.__module__})")
            if not isinstance(a == b, bool) or a != a:
                wrong.append(f"{cls.__name__}: == gives {a == b}")
        except Exception as error:  # noqa: BLE001 - any is a finding
            wrong.append(f"{cls.__name__}: {type(error).__name__} {error}")
        try:
            hash(a)
        except TypeError as error:
            if "unhashable type" not in str(error):
                wrong.append(f"{cls.__name__}: hash says {error}")
    assert not wrong, "\n".join(wrong)


def test_a_bundle_is_shown_in_a_line():
    from importlib import resources

    from punctum.runtime import Bundle

    with resources.as_file(resources.files("punctum.runtime") / "assets" / "default") as folder:
        bundle = Bundle.load(folder)
    assert len(repr(bundle)) < 400
    assert bundle.id in repr(bundle)


def test_features_are_equal_by_value():
    data = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert Features(data, 0.1) == Features(data.copy(), 0.1)
    assert Features(data, 0.1) != Features(data, 0.2)
    assert Features(data, 0.1) != Features(data[:2], 0.1)
    assert Features(data, 0.1) != Features(data.astype(np.float64), 0.1)
    assert Features(data, 0.1) != "features"
    assert len(repr(Features(np.zeros((10_000, 2048), np.float32), 0.1))) < 100
    with pytest.raises(TypeError, match="'Features', which holds arrays"):
        hash(Features(data, 0.1))
    with pytest.raises(InputError) as error:
        Features(data, 0.1, start_s=1.7e12)
    assert error.value.code == "time-out-of-range"


def test_truths_are_equal_by_value():
    def truth(end=2.0):
        return Truth(("v",), ("a",), np.zeros(1, np.int64), np.zeros(1, np.int64), np.array([[1.0, end]]))

    assert truth() == truth()
    assert truth() != truth(end=3.0)
    assert "float64 [1, 2]" in repr(truth())


def test_nested_values_are_compared_element_by_element():
    @by_value
    @dataclasses.dataclass(eq=False, repr=False)
    class Held:
        parts: list[np.ndarray]
        named: dict[str, np.ndarray]

    def held(x):
        return Held([np.array([1.0, np.nan]), np.array([x])], {"a": np.arange(3)})

    assert held(1.0) == held(1.0)
    assert held(1.0) != held(2.0)


def test_a_session_takes_public_arguments_alone():
    parameters = inspect.signature(Session).parameters
    assert list(parameters) == ["plan", "backend", "stream", "start_s", "offline", "live", "run_id", "degraded"]
    assert all(p.kind is p.KEYWORD_ONLY for name, p in parameters.items() if name not in ("plan", "backend"))


def test_a_session_is_shown_in_a_line():

    from tests.helpers import fakes

    session = fakes.localizer().session(stream="cam")
    session.push(fakes.recording(1, 50))
    assert repr(session) == "Session(stream='cam', bundle='fake-1', at 5.000 s)"
    assert session == session
    assert len({session, session}) == 1
