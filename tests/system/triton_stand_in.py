"""Triton's ONNX Runtime backend, stood in for by a Python one: the server around it is the real one.

The wheel that brings a server here brings no backend for ONNX. This one does what that does with the models of these
tests: takes requests that the server joined, stacks them along the batch, runs the graph, and splits the answer.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the library is loaded
import onnxruntime as ort
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"]) / args["model_version"]
        options = ort.SessionOptions()
        options.intra_op_num_threads = int(config["parameters"]["intra_op_thread_count"]["string_value"])
        self.session = ort.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
        self.batches = config["max_batch_size"] > 0
        self.inputs = [i.name for i in self.session.get_inputs()]
        self.outputs = [o.name for o in self.session.get_outputs()]

    def execute(self, requests):
        feeds = [{name: self._array(request, name) for name in self.inputs} for request in requests]
        if not self.batches:
            return [self._response(self.session.run(self.outputs, feed)) for feed in feeds]
        joined = {name: np.concatenate([feed[name] for feed in feeds]) for name in self.inputs}
        made = self.session.run(self.outputs, joined)
        ends = np.cumsum([len(feed[self.inputs[0]]) for feed in feeds])
        parts = zip(*(np.split(array, ends[:-1]) for array in made), strict=True)
        return [self._response(arrays) for arrays in parts]

    # By DLPack both ways: this server was compiled against NumPy 1, and misreads arrays of NumPy 2.
    def _array(self, request, name):
        return np.array(np.from_dlpack(pb_utils.get_input_tensor_by_name(request, name)))

    def _response(self, arrays):
        named = zip(self.outputs, map(np.ascontiguousarray, arrays), strict=True)
        return pb_utils.InferenceResponse([pb_utils.Tensor.from_dlpack(name, array) for name, array in named])
