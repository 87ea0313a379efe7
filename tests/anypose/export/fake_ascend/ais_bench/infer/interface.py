"""Stands in for ais_bench: the real InferSession's signatures over ONNX Runtime, for .om files of the fake atc.

Like the real one it copies bytes: an array of another size is refused, an array of another dtype is misread.
"""

import time
from collections import namedtuple
from enum import Enum
from pathlib import Path

import numpy as np
import onnxruntime

TensorDesc = namedtuple("TensorDesc", "name datatype format shape size realsize")
Summary = namedtuple("Summary", "exec_time_list")


class dtype(Enum):
    """aclruntime's data types; they print as dtype.float32."""

    float32 = 0
    float16 = 1
    uint8 = 4


class InferSession:
    open_sessions = 0

    def __init__(self, device_id: int, model_path: str, acl_json_path=None, debug: bool = False, loop: int = 1):
        content = Path(model_path).read_bytes()
        self.header, _, network = content.partition(b"\n")
        self.session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
        self.device_id, self.loop = device_id, loop
        self.times = []
        InferSession.open_sessions += 1

    def get_inputs(self):
        return [self._describe(node) for node in self.session.get_inputs()]

    def get_outputs(self):
        return [self._describe(node) for node in self.session.get_outputs()]

    @staticmethod
    def _describe(node):
        size = int(np.prod(node.shape)) * 4
        return TensorDesc(node.name, dtype.float32, 2, node.shape, size, size)

    def infer(self, feeds, mode="static", custom_sizes=100000, out_array=True):
        if mode != "static":
            raise RuntimeError("[1][INVALID_ARGUMENT] mode")
        arrays = {}
        for array, description in zip(feeds, self.get_inputs(), strict=True):
            raw = np.ascontiguousarray(array).tobytes()
            if len(raw) != description.size:
                raise RuntimeError(f"[1][check i:0 name:{description.name}] size {len(raw)} != {description.size}")
            arrays[description.name] = np.frombuffer(raw, np.float32).reshape(description.shape)
        for _ in range(self.loop):
            start = time.perf_counter()
            outputs = self.session.run(None, arrays)
            self.times.append((time.perf_counter() - start) * 1000)
        return outputs

    def summary(self):
        return Summary(self.times)

    def reset_summaryinfo(self):
        self.times = []

    def free_resource(self):
        InferSession.open_sessions -= 1

    @staticmethod
    def finalize():
        pass
