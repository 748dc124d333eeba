"""`tensorrt` 10 and 11 as documented, where punctum meets them, over ONNX Runtime and the stub driver.

Neither can be installed from the package index, so what differs from `tensorrt_rtx` is played here: strong typing on
request (10) or implied and ignored (11), no compute capabilities by name, a timing cache that works, contexts whose
profile must be chosen before a shape. A fake engine is the ONNX graph with its profiles; running one puts a function
into the driver's stream that computes it on the device's memory, so a run is late, capturable and replayable like a
real one.
"""

from __future__ import annotations

import ctypes
import enum
import json
from types import SimpleNamespace

import numpy as np
from punctum.runtime.backends.tensorrt.library import Library

MAGIC = b"fake-engine "
KINDS = {1: np.float32, 7: np.int64, 10: np.float16, 3: np.int8}


class Severity(enum.IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3


class ILogger:
    Severity = Severity


class TensorIOMode(enum.Enum):
    INPUT = 0
    OUTPUT = 1


class BuilderFlag(enum.IntEnum):
    TF32 = 7


class NetworkDefinitionCreationFlag(enum.IntEnum):
    EXPLICIT_BATCH = 0
    STRONGLY_TYPED = 1


class Tensor:
    def __init__(self, value):
        kind = value.type.tensor_type
        self.name, self.dtype = value.name, np.dtype(KINDS[kind.elem_type])
        self.shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in kind.shape.dim)


class Network:
    def __init__(self):
        self.graph, self.inputs = b"", []

    num_inputs = property(lambda self: len(self.inputs))
    num_layers = 7

    def get_input(self, k):
        return self.inputs[k]


class Parser:
    """Refuses the operators named in `refused`."""

    refused: tuple[str, ...] = ()

    def __init__(self, network, logger):
        self.network, self.errors = network, []

    def parse(self, graph):
        import onnx

        model = onnx.load_from_string(graph)
        self.errors = [node for node in model.graph.node if node.op_type in self.refused]
        self.network.graph, self.network.inputs = graph, [Tensor(i) for i in model.graph.input]
        return not self.errors

    num_errors = property(lambda self: len(self.errors))

    def get_error(self, k):
        node = self.errors[k]
        return SimpleNamespace(
            node=lambda: k,
            desc=lambda: f"No importer registered for op: {node.op_type}",
            node_name=lambda: node.name,
            node_operator=lambda: node.op_type,
        )


class TimingCache:
    def __init__(self, data):
        self.known = set(json.loads(data)) if data else set()

    def combine(self, other, ignore_mismatch):
        assert ignore_mismatch is False
        self.known |= other.known
        return True

    def serialize(self):
        return json.dumps(sorted(self.known)).encode()


class Config:
    def __init__(self):
        self.profiles, self.flags, self.cache = [], {BuilderFlag.TF32}, None

    def clear_flag(self, flag):
        self.flags.discard(flag)

    def add_optimization_profile(self, profile):
        self.profiles.append(profile.shapes)
        return len(self.profiles) - 1

    def create_timing_cache(self, data):
        return TimingCache(data)

    def set_timing_cache(self, cache, ignore_mismatch):
        self.cache = cache

    def get_timing_cache(self):
        return self.cache


class OptimizationProfile:
    def __init__(self):
        self.shapes = {}

    def set_shape(self, name, low, best, high):
        assert all(0 <= a <= b <= c for a, b, c in zip(low, best, high, strict=True))
        self.shapes[name] = [list(low), list(best), list(high)]


class Builder:
    """fails: a message to log in place of building."""

    major, fails = 10, ""

    def __init__(self, logger):
        self.logger = logger

    def create_network(self, flags=0):
        asked = bool(flags & 1 << int(NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        assert asked == (self.major < 11), "10 types strongly on request; 11 needs no flag"
        return Network()

    def create_builder_config(self):
        return Config()

    def create_optimization_profile(self):
        return OptimizationProfile()

    def build_serialized_network(self, network, config):
        if self.fails:
            self.logger.log(Severity.ERROR, self.fails)
            return None
        assert BuilderFlag.TF32 not in config.flags
        config.cache.known.add(f"kernels of {len(network.graph)} bytes")
        return MAGIC + json.dumps(config.profiles).encode() + b"\n" + network.graph


class Context:
    def __init__(self, engine, stub):
        self.engine, self.stub = engine, stub
        self.profile, self.shapes, self.addresses = 0, {}, {}
        self.kept, self.given = [], ()  # callbacks live as long as graphs that hold them

    def set_optimization_profile_async(self, index, stream):
        assert stream
        self.profile, self.shapes = index, {}
        return 0 <= index < len(self.engine.profiles)

    def set_input_shape(self, name, shape):
        low, _, high = self.engine.profiles[self.profile][name]
        if not all(a <= n <= b for a, n, b in zip(low, shape, high, strict=True)):
            return False
        self.shapes[name] = tuple(shape)
        return True

    def infer_shapes(self):
        missing = [name for name in self.engine.inputs if name not in self.shapes]
        if not missing:
            zeros = {n: np.zeros(self.shapes[n], t.dtype) for n, t in self.engine.inputs.items()}
            outputs = self.engine.session.run(None, zeros)
            for name, value in zip(self.engine.outputs, outputs, strict=True):
                self.shapes[name] = value.shape
        return missing

    def get_tensor_shape(self, name):
        return self.shapes[name]

    def set_tensor_address(self, name, address):
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream):
        assert set(self.addresses) == {*self.engine.inputs, *self.engine.outputs}
        shapes, addresses = dict(self.shapes), dict(self.addresses)

        def work(_):
            def view(name, kind):
                size = int(np.prod(shapes[name])) * kind.itemsize
                raw = (ctypes.c_char * size).from_address(self.stub.stub_host(addresses[name]))
                return np.frombuffer(raw, kind).reshape(shapes[name])

            feeds = {name: view(name, t.dtype).copy() for name, t in self.engine.inputs.items()}
            outputs = self.engine.session.run(None, feeds)
            for (name, tensor), value in zip(self.engine.outputs.items(), outputs, strict=True):
                view(name, tensor.dtype)[...] = value

        call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(work)
        self.kept.append(call)
        return self.stub.cuLaunchHostFunc(ctypes.c_void_p(stream), call, None) == 0


class Engine:
    def __init__(self, data, stub):
        import onnx
        import onnxruntime as ort

        head, graph = data[len(MAGIC) :].split(b"\n", 1)
        model = onnx.load_from_string(graph)
        self.profiles, self.stub = json.loads(head), stub
        self.inputs = {i.name: Tensor(i) for i in model.graph.input}
        self.outputs = {o.name: Tensor(o) for o in model.graph.output}
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        self.session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._all = {**self.inputs, **self.outputs}
        self.num_io_tensors, self.num_layers = len(self._all), 7
        self.num_optimization_profiles = len(self.profiles)

    def get_tensor_name(self, k):
        return list(self._all)[k]

    def get_tensor_mode(self, name):
        return TensorIOMode.INPUT if name in self.inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name):
        return self._all[name].dtype

    def get_tensor_shape(self, name):
        return self._all[name].shape

    def get_tensor_profile_shape(self, name, k):
        return self.profiles[k][name]

    def create_execution_context(self):
        return Context(self, self.stub)


def fake_library(stub, version="10.13.3.9", *, refused=(), fails=""):
    """A library as `load_library` gives it. stub: the loaded stub driver, which runs its engines."""

    class Runtime:
        def __init__(self, logger):
            self.logger = logger

        def deserialize_cuda_engine(self, data):
            if not data.startswith(MAGIC):
                self.logger.log(Severity.ERROR, "Serialization assertion failed: magic tag does not match")
                return None
            return Engine(data, stub)

    major = int(version.split(".")[0])
    api = SimpleNamespace(
        __version__=version,
        ILogger=ILogger,
        Builder=type("Builder", (Builder,), {"major": major, "fails": fails}),
        OnnxParser=type("OnnxParser", (Parser,), {"refused": tuple(refused)}),
        BuilderFlag=BuilderFlag,
        NetworkDefinitionCreationFlag=NetworkDefinitionCreationFlag,
        TensorIOMode=TensorIOMode,
        Runtime=Runtime,
        nptype=lambda kind: kind.type,
    )
    return Library("tensorrt", version, api)
