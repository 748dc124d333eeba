"""Pose networks: TensorFlow.js graph models as ONNX, key points in two passes, and columns of a pose."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
from punctum.export.parts.known import POSE_COLUMNS, find_known  # noqa: E402
from punctum.export.parts.movenet import HEIGHT, POINTS, WIDTH, Pose, find_twice  # noqa: E402
from punctum.export.parts.nodes import Nodes  # noqa: E402
from punctum.export.parts.pose import FRAMES, change_columns, pose_columns, pose_graph, read_body  # noqa: E402
from punctum.export.parts.tfjs import Picture, convert, read_graph_model  # noqa: E402
from punctum.runtime import InputError  # noqa: E402

from tests.helpers.tfjs_models import Model, brightness_movenet  # noqa: E402


def run(graph: bytes, **inputs: np.ndarray) -> list[np.ndarray]:
    return ort.InferenceSession(graph).run(None, {key: value.astype(np.float32) for key, value in inputs.items()})


# --- TensorFlow.js ----------------------------------------------------------------------------------------------------


def network(rng: np.random.Generator) -> Model:
    """Every operation that is known, on pictures of 15 x 12."""
    model = Model(15, 12)

    def random(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.5, shape)

    model.node("scaled", "Sub", "input", model.constant("mean", random(1, 1, 1, 3)))
    model.convolution("first", "scaled", random(3, 3, 3, 4), random(4), activation="Relu6", stride=2)
    model.convolution("deep", "first", random(3, 3, 4, 1), random(4), activation="Relu", deep=True)
    model.convolution("narrow", "deep", random(2, 2, 4, 5), padding="VALID")
    model.convolution("again", "narrow", random(3, 3, 5, 1), stride=2, deep=True)
    size = model.constant("size", np.array([7, 5]))
    model.node("wide", "ResizeBilinear", "again", size, half_pixel_centers={"b": True}, align_corners={"b": False})
    model.node("added", "AddV2", "wide", "narrow:0")
    model.node("times", "Mul", "added", model.constant("map", random(7, 5, 1)))
    model.node("same", "Identity", "times")
    model.node("given", "Sigmoid", "same")
    return model


def reference(model: Model, images: np.ndarray) -> np.ndarray:
    """`network` by torch, images [N, 3, H, W]."""
    torch = pytest.importorskip("torch")
    fn = torch.nn.functional
    at = {name: torch.from_numpy(values.astype(np.float32)) for name, values in model.weights.items()}

    def same(x, kernel: int, stride: int):
        for axis in (3, 2):
            size = x.shape[axis]
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads = [0, 0, 0, 0]
            pads[2 * (3 - axis)], pads[2 * (3 - axis) + 1] = total // 2, total - total // 2
            x = fn.pad(x, pads)
        return x

    def layer(x, name: str, *, stride: int = 1, deep: bool = False, valid: bool = False):
        weights = at[f"{name}/weights"].permute(2, 3, 0, 1) if deep else at[f"{name}/weights"].permute(3, 2, 0, 1)
        x = x if valid else same(x, weights.shape[-1], stride)
        return fn.conv2d(x, weights, at.get(f"{name}/bias"), stride=stride, groups=x.shape[1] if deep else 1)

    x = torch.from_numpy(images.astype(np.float32)) - at["mean"].permute(0, 3, 1, 2)
    x = fn.relu6(layer(x, "first", stride=2))
    x = fn.relu(layer(x, "deep", deep=True))
    narrow = layer(x, "narrow", valid=True)
    wide = fn.interpolate(layer(narrow, "again", stride=2, deep=True), size=(7, 5), mode="bilinear")
    x = (wide + narrow) * at["map"].permute(2, 0, 1)
    return torch.sigmoid(x).numpy()


def written(files: tuple[bytes, bytes], fed: str = "input", wanted: str = "given") -> bytes:
    model = read_graph_model(*files, "net")
    writer = Nodes()
    (made,) = convert(model, writer, {fed: Picture("images", 3, *model.input_shape[1:3])}, [wanted])
    shape = ["N", made.channels, made.height, made.width]
    return writer.graph("net", {"images": ["N", 3, *model.input_shape[1:3]]}, {"out": (made.tensor, shape)})


def test_a_graph_model_gives_what_torch_gives():
    model = network(np.random.default_rng(0))
    images = np.random.default_rng(1).normal(0, 1, (3, 3, 15, 12))
    (found,) = run(written(model.files()), images=images)
    assert found.shape == (3, 5, 7, 5)
    assert found == pytest.approx(reference(model, images), abs=2e-5)


def refused(*arguments) -> str:
    with pytest.raises(InputError) as caught:
        written(*arguments)
    assert caught.value.code == "part-weights"
    return str(caught.value)


def test_damaged_graph_models_are_refused():
    topology, weights = network(np.random.default_rng(0)).files()
    refused((b"{", weights))
    refused((b"[1]", weights))
    refused((topology, weights[:-1]))
    assert "bytes of weights" in refused((topology, weights + b"00"))
    record = json.loads(topology)
    record["weightsManifest"][0]["weights"][0]["quantization"] = {"dtype": "uint8", "scale": 1, "min": 0}
    assert "uint8" in refused((json.dumps(record).encode(), weights))
    assert "nowhere" in refused((topology, weights), "input", "nowhere")


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("given", {"op": "Softsign"}, "Softsign"),
        ("first", {"input": ["deep", "first/weights", "first/bias"]}, "needs itself"),
        ("first", {"attr": {}}, ""),
        ("wide", {"attr": {"align_corners": {"b": True}}}, "centers of pixels"),
    ],
)
def test_unknown_operations_are_refused(name, change, said):
    topology, weights = network(np.random.default_rng(0)).files()
    record = json.loads(topology)
    next(node for node in record["modelTopology"]["node"] if node["name"] == name).update(change)
    assert said in refused((json.dumps(record).encode(), weights))


# --- key points -------------------------------------------------------------------------------------------------------


def spot(y: float, x: float, radius: float = 12) -> np.ndarray:
    """A bright disc on a dark picture [3, HEIGHT, WIDTH]."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    bright = 255.0 * np.clip(radius + 0.5 - np.hypot(rows - y, columns - x), 0, 1)
    return np.repeat(bright[None], 3, axis=0)


def find(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Key points [N, 17, (y, x, score)] of both passes."""
    model = read_graph_model(*brightness_movenet(), "net")
    writer = Nodes()
    outputs = {}
    for name, pose in zip(("first", "second"), find_twice(model, writer, "images"), strict=True):
        places = [writer.reshape(each, -1, POINTS, 1) for each in (pose.y, pose.x, pose.score)]
        outputs[name] = (writer.add("Concat", *places, axis=2), ["N", POINTS, 3])
    first, second = run(writer.graph("net", {"images": ["N", 3, HEIGHT, WIDTH]}, outputs), images=pictures)
    return first, second


def test_the_second_pass_sees_the_person_closer():
    places = [(63.0, 247.0), (201.0, 44.0), (21.0, 23.0)]
    first, second = find(np.stack([spot(*place) for place in places]))
    for k, place in enumerate(places):
        errors = [np.hypot(*(found[k, :, :2] - place).T).max() for found in (first, second)]
        assert errors[1] < 1
        assert errors[0] < 6
        assert (second[k, :, 2] >= first[k, :, 2] - 1e-3).all()


def test_without_a_person_the_second_pass_sees_the_whole_picture():
    first, second = find(np.zeros((1, 3, HEIGHT, WIDTH)))
    assert first == pytest.approx(second, abs=0.05)
    assert (first[..., 2] < 0.1).all()


def test_dark_pictures_are_brightened():
    lit = np.minimum(spot(63, 247) + 60, 255)
    bright, dark = find(np.stack([lit, 0.1 * lit]))[1]
    assert dark[:, :2] == pytest.approx(bright[:, :2], abs=2)
    assert (dark[:, 2] > 0.5).all()


def test_pictures_do_not_depend_on_the_batch():
    pictures = np.stack([spot(60, 250), spot(200, 40), np.zeros((3, HEIGHT, WIDTH))])
    together = find(pictures)[1]
    alone = np.concatenate([find(picture[None])[1] for picture in pictures])
    assert together == pytest.approx(alone, abs=1e-3)


def test_the_features_are_those_of_the_last_frame_and_its_change():
    model = read_graph_model(*brightness_movenet(), "net")
    before, now = np.stack([spot(60, 250), spot(200, 40)]), np.stack([spot(90, 250), spot(200, 60)])
    clips = np.zeros((2, FRAMES, 3, HEIGHT, WIDTH), np.float32)
    clips[:, 0], clips[:, -1] = before, now
    (features,) = run(pose_graph(model), clips=clips)
    names, expected = columns(find(now)[1])
    assert features.shape == (2, POSE_COLUMNS)
    assert features[:, : len(names)] == pytest.approx(expected, abs=1e-3)
    changed, moved = changes(find(before)[1], find(now)[1])
    assert features[:, len(names) :] == pytest.approx(moved, abs=1e-3)
    down, across = moved[:, changed.index("hips down")], moved[:, changed.index("hips across")]
    assert down[0] > 1
    assert down[1] == pytest.approx(0, abs=0.1)
    assert across[1] > 1


# --- columns ----------------------------------------------------------------------------------------------------------

UPRIGHT = np.array(
    [
        *[(50, 160), (48, 157), (48, 163), (50, 153), (50, 167)],  # head
        *[(75, 145), (75, 175), (100, 140), (100, 180), (122, 138), (122, 182)],  # shoulders, elbows, wrists
        *[(125, 150), (125, 170), (165, 149), (165, 171), (205, 148), (205, 172)],  # hips, knees, ankles
    ],
    np.float32,
)


def columns(points: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Names and values [N, D] for key points [N, 17, (y, x, score)]."""
    writer = Nodes()
    of = pose_columns(writer, read_body(writer, Pose(*(writer.take("points", k, 2) for k in range(3)))))
    made = writer.add("Concat", *of.values(), axis=1)
    graph = writer.graph("net", {"points": ["N", POINTS, 3]}, {"out": (made, ["N", len(of)])})
    return list(of), run(graph, points=points)[0]


def changes(before: np.ndarray, now: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The same for the change between two poses."""
    writer = Nodes()
    bodies = [read_body(writer, Pose(*(writer.take(name, k, 2) for k in range(3)))) for name in ("before", "now")]
    of = change_columns(writer, *bodies)
    made = writer.add("Concat", *of.values(), axis=1)
    inputs = {name: ["N", POINTS, 3] for name in ("before", "now")}
    graph = writer.graph("net", inputs, {"out": (made, ["N", len(of)])})
    return list(of), run(graph, before=before, now=now)[0]


def described(places: np.ndarray, score: float = 0.9) -> dict[str, float]:
    points = np.concatenate([places, np.full((POINTS, 1), score)], axis=1)[None]
    names, values = columns(points)
    return dict(zip(names, values[0].tolist(), strict=True))


def test_columns_tell_standing_from_lying():
    standing = described(UPRIGHT)
    lying = described(UPRIGHT[:, ::-1] + np.array([40, 60]))
    for line in ("body", "torso", "thighs", "shanks"):
        assert standing[f"{line} upright"] > 0.9
        assert abs(lying[f"{line} upright"]) < 0.2
        assert lying[f"{line} aside"] > 0.9
    assert standing["tall"] > 0.5 > -0.5 > lying["tall"]
    assert standing["head above hips"] > 0.5 > lying["head above hips"]


PLACES = ("head low", "hips low", "ankles low", "off center")


def test_few_columns_depend_on_the_place_and_none_on_the_side():
    standing = described(UPRIGHT)
    moved = described(UPRIGHT + np.array([20, -90]))
    assert moved["hips low"] == pytest.approx(standing["hips low"] + 20 / HEIGHT, abs=1e-3)
    mirrored = np.stack([UPRIGHT[:, 0], WIDTH - UPRIGHT[:, 1]], axis=1)
    assert described(mirrored) == pytest.approx(standing, abs=1e-4)
    for name in PLACES:
        del moved[name], standing[name]
    assert moved == pytest.approx(standing, abs=1e-4)


def test_distance_changes_little_but_the_size():
    near, far = described(UPRIGHT), described(UPRIGHT / 2 + np.array([60, 80]))
    size = near.pop("size") - far.pop("size")
    assert size == pytest.approx(np.log(2), abs=0.05)
    for name in PLACES:
        del near[name], far[name]
    assert far == pytest.approx(near, abs=0.06)


def test_falling_is_a_change():
    def posed(places):
        return np.concatenate([places, np.full((POINTS, 1), 0.9)], axis=1)[None]

    names, values = changes(posed(UPRIGHT), posed(UPRIGHT + np.array([40, -30])))
    fallen = dict(zip(names, values[0].tolist(), strict=True))
    assert fallen["head down"] == pytest.approx(40 / (HEIGHT * 0.222), rel=0.2)
    assert fallen["head across"] == pytest.approx(fallen["head down"] * 3 / 4, rel=0.01)
    assert fallen["grown"] == pytest.approx(0, abs=1e-4)


def test_the_record_of_the_network_is_that_of_the_graph():
    spec = find_known("movenet-thunder").spec
    assert (spec["clip_frames"], spec["height"], spec["width"]) == (FRAMES, HEIGHT, WIDTH)


def test_uncertain_key_points_say_nothing():
    unsure = described(UPRIGHT, 0.05)
    assert all(value == pytest.approx(0, abs=1e-6) for name, value in unsure.items() if "score" not in name)
    assert unsure["all score"] == pytest.approx(0.05, abs=1e-4)
