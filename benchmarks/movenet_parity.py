"""Key points of MoveNet as an ONNX graph, beside those of TensorFlow.js, on frames of real videos.

    npm install --prefix MODULES @tensorflow/tfjs @tensorflow/tfjs-backend-wasm
    punctum backbones fetch movenet-thunder
    python benchmarks/movenet_parity.py VIDEOS --modules MODULES [--network movenet-lightning] [--frames 12]
                                        [--json FILE]

One frame from the middle of each of `--frames` videos, evenly spread over the folder, fitted into the network's square.
Places are relative to the side of the square. Sure: key points with a score above 0.3. The sharp graph takes the
strongest response, as the original does; the graph of the part takes a weighted mean. Needs node.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import av
import numpy as np
import onnxruntime as ort
from punctum.export.parts.known import find_known
from punctum.export.parts.movenet import POINTS, SHARPNESS, find_in_squares
from punctum.export.parts.nodes import Nodes
from punctum.export.parts.tfjs import GraphModel, read_graph_model
from punctum.export.parts.weights import cache_folder, read_files
from result_file import Row, add_json, save

SHARP = 2000.0
SURE = 0.3
PROGRAM = """
const [folder, size, count] = process.argv.slice(2);
const fs = require('fs');
const tf = require('@tensorflow/tfjs-core');
require('@tensorflow/tfjs-backend-wasm');
const {loadGraphModel} = require('@tensorflow/tfjs-converter');
(async () => {
  await tf.setBackend('wasm');
  const model = JSON.parse(fs.readFileSync(folder + '/net.json'));
  const data = fs.readFileSync(folder + '/net.bin');
  const weightData = data.buffer.slice(data.byteOffset, data.byteOffset + data.length);
  const artifacts = {...model, weightSpecs: model.weightsManifest[0].weights, weightData};
  const network = await loadGraphModel({load: async () => artifacts});
  const found = [];
  for (let i = 0; i < count; i++) {
    const pixels = new Int32Array(fs.readFileSync(folder + '/' + i + '.rgb'));
    found.push(Array.from(await network.execute(tf.tensor(pixels, [1, +size, +size, 3], 'int32')).data()));
  }
  fs.writeFileSync(folder + '/found.json', JSON.stringify(found));
})();
"""


def middle_square(video: Path, size: int) -> np.ndarray:
    """The middle frame [size, size, 3], uint8, with black borders."""
    with av.open(str(video)) as container:
        frames = list(container.decode(video=0))
    frame = frames[len(frames) // 2]
    scale = size / max(frame.width, frame.height)
    height, width = round(frame.height * scale), round(frame.width * scale)
    square = np.zeros((size, size, 3), np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    square[top : top + height, left : left + width] = frame.reformat(width, height, "rgb24").to_ndarray()
    return square


def original(files: list[bytes], squares: np.ndarray, modules: Path) -> np.ndarray:
    """Key points [N, 17, (y, x, score)] by TensorFlow.js."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, data in zip(("net.bin", "net.json"), files, strict=True):
            (folder / file).write_bytes(data)
        for i, square in enumerate(squares):
            (folder / f"{i}.rgb").write_bytes(square.tobytes())
        program = modules / "movenet_parity.cjs"  # where node looks for the modules
        program.write_text(PROGRAM)
        try:
            subprocess.run(["node", program, folder, str(squares.shape[1]), str(len(squares))], check=True)
        finally:
            program.unlink()
        return np.array(json.loads((folder / "found.json").read_text())).reshape(-1, POINTS, 3)


def converted(model: GraphModel, squares: np.ndarray, sharpness: float) -> np.ndarray:
    """The same by the ONNX graph."""
    writer, size = Nodes(), model.input_shape[1]
    pose = find_in_squares(model, writer, "squares", sharpness=sharpness)
    parts = [writer.reshape(each, -1, POINTS, 1) for each in (pose.y, pose.x, pose.score)]
    points = (writer.add("Concat", *parts, axis=2), ["N", POINTS, 3])
    graph = writer.graph("points", {"squares": ["N", 3, size, size]}, {"points": points})
    images = np.ascontiguousarray(squares.transpose(0, 3, 1, 2), np.float32)
    return np.asarray(ort.InferenceSession(graph).run(None, {"squares": images})[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--modules", type=Path, required=True)
    parser.add_argument("--network", default="movenet-thunder")
    parser.add_argument("--frames", type=int, default=12)
    add_json(parser)
    options = parser.parse_args()
    known = find_known(options.network)
    if known is None:
        parser.error(f"{options.network} is not known")
    files = read_files(known)
    model = read_graph_model(files[1], files[0], known.name)
    videos = sorted(options.videos.iterdir())
    chosen = [videos[k * len(videos) // options.frames] for k in range(options.frames)]
    squares = np.stack([middle_square(video, model.input_shape[1]) for video in chosen])
    expected = original(files, squares, options.modules)
    print(f"{known.name} from {cache_folder(known)}, {len(squares)} frames")
    sure = expected[..., 2] > SURE
    rows = []
    for name, sharpness in (("sharp", SHARP), ("of the part", SHARPNESS)):
        difference = converted(model, squares, sharpness) - expected
        apart = np.hypot(difference[..., 0], difference[..., 1])
        print(
            f"{name}: largest difference of {sure.sum()} sure places {apart[sure].max():.1e} (median "
            f"{np.median(apart[sure]):.1e}), of all {apart.size} places {apart.max():.1e}, of scores "
            f"{np.abs(difference[..., 2]).max():.1e}"
        )
        rows += [
            Row(f"{name}: largest difference of sure places", float(apart[sure].max()), ""),
            Row(f"{name}: largest difference of scores", float(np.abs(difference[..., 2]).max()), ""),
        ]
    save(options.json, rows)


if __name__ == "__main__":
    main()
