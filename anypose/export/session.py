"""One way to run a network: arrays in, arrays out, whatever computes it.

    session = open_session("videopose3d.onnx", device="cpu")
    joints = session.run({"2d_poses": keypoints})["3d_preds"]

torch for checkpoints, ONNX Runtime for .onnx on the CPU, on CUDA or through its CANN provider, ais_bench for .om.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import nn

from anypose.engine.loading import load_task
from anypose.engine.place import typed
from anypose.export.foreign_onnx import bound_memory, described, told_of
from anypose.export.metadata import beside, describe_model
from anypose.kernels.blockwise import Blockwise
from anypose.kernels.swap import Kernels
from anypose.shapes import IO, PIXELS

Arrays = dict[str, np.ndarray]
METADATA_KEY = "anypose"  # where an ONNX file of ours carries its description

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "npu": "CANNExecutionProvider"}
RAISES = {"enable_fallback": 0}  # rather than to print what went wrong, and to try the same again
PACKAGES = {"cpu": "onnxruntime", "cuda": "onnxruntime-gpu", "npu": "onnxruntime-cann"}


@dataclass(frozen=True)
class Port:
    """One input or output: its name, its shape (None where free) and its numpy dtype."""

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype


class Session(Protocol):
    """A network that is ready to run.

    Attributes:
        inputs, outputs: its ports, in order.
        runtime: what really computes, e.g. "onnxruntime 1.23.0 CPUExecutionProvider".
        metadata: what the export wrote about the network, empty where the file does not carry it.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    runtime: str
    metadata: dict[str, Any]

    def run(self, arrays: Mapping[str, np.ndarray]) -> Arrays:
        """The outputs by name for the inputs by name. Waits until they are there."""
        ...


class TorchSession:
    """A torch module. Free letters of its `io` stay free.

    Args:
        model: the network; its `io` names its inputs and outputs. It is moved and set to evaluation.
        device: "cpu", "cuda", "npu:1", ...
        names: other names for inputs and outputs, {"keypoints": "2d_poses"}.
    """

    def __init__(self, model: nn.Module, device: str = "cpu", names: Mapping[str, str] | None = None) -> None:
        names = names or {}
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
        io = cast("IO", model.io)
        self.inputs, self.outputs = _ports(io.inputs, names), _ports(io.outputs, names)
        self.runtime = f"torch {torch.__version__} {self.device}"
        self.metadata: dict[str, Any] = describe_model(model)

    def run(self, arrays: Mapping[str, np.ndarray]) -> Arrays:
        with torch.inference_mode():
            outputs = self.model(*(torch.from_numpy(x).to(self.device) for x in checked(arrays, self.inputs)))
        tensors = outputs.values() if isinstance(outputs, dict) else outputs
        if isinstance(outputs, torch.Tensor):
            tensors = (outputs,)
        return {port.name: tensor.cpu().numpy() for port, tensor in zip(self.outputs, tensors, strict=True)}


class OnnxSession:
    """ONNX Runtime on one provider, the one asked for or none.

    ONNX Runtime goes on with the CPU where a provider does not start, and lists providers that cannot start. So the
    provider in use is looked up and compared.

    Args:
        path: the .onnx file.
        device: "cpu", "cuda" or "npu", ":1" for the second one.
        threads: CPU threads, 0 for all.
    """

    def __init__(self, path: Path, device: str = "cpu", threads: int = 0) -> None:
        ort = import_onnxruntime(device)
        kind, _, index = device.partition(":")
        wanted = PROVIDERS[kind]
        if wanted not in ort.get_available_providers():
            raise ValueError(
                f"device={device} needs ONNX Runtime's {wanted}, this build has "
                f"{', '.join(ort.get_available_providers())}. Install {PACKAGES[kind]} in place of onnxruntime, or use "
                "device=cpu."
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # what it warns about is checked below, what it raises is told
        settings = {} if kind == "cpu" else {"device_id": index or "0"}
        self._told = lambda doing: told_of(ort, path, doing)
        if kind == "cpu":
            bound_memory(ort, options)
        with self._told("cannot be read as an ONNX network"):
            self.session = ort.InferenceSession(
                str(_existing(path)), options, providers=[(wanted, settings)], **({} if kind != "cpu" else RAISES)
            )
        used = self.session.get_providers()[0]
        if used != wanted:
            raise ValueError(
                f"device={device} was asked for, but ONNX Runtime fell back to {used}: {wanted} could not be started. "
                f"See its own message above, and `{typed('doctor')}`."
            )
        self.runtime = f"onnxruntime {ort.__version__} {used}"
        with self._told("does not say what it takes and gives"):  # names that are no text
            inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
            self.inputs = tuple(_onnx_port(node, path) for node in inputs)
            self.outputs = tuple(_onnx_port(node, path) for node in outputs)
            carried = self.session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        self.metadata: dict[str, Any] = described(carried, path)

    def run(self, arrays: Mapping[str, np.ndarray]) -> Arrays:
        feeds = dict(zip([port.name for port in self.inputs], checked(arrays, self.inputs), strict=True))
        names = [port.name for port in self.outputs]
        with self._told("cannot be run"):
            results = dict(zip(names, self.session.run(names, feeds), strict=True))
            for port in self.outputs:
                if port.shape and not _fits(results[port.name], port):  # none of one whose rank is open
                    told = f"{port.name} came out as {results[port.name].dtype} {results[port.name].shape}"
                    raise RuntimeError(f"{told}, and the file says {port.dtype} {port.shape}")
        return results


class OmSession:
    """An .om file on an Ascend chip, through ais_bench.

    The file's shapes are those it was compiled for. The metadata is read from the .json beside it.
    """

    def __init__(self, path: Path, device: str = "npu:0") -> None:
        try:
            from ais_bench.infer.interface import InferSession  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ImportError(
                f"{path.name} needs ais_bench and aclruntime, and they cannot be imported ({error}). Both come as "
                "wheels from the vendor's tools repository (ais-bench_workload/tool/ais_bench), for this Python and "
                "this processor; they are not on the package index."
            ) from error
        index = int(device.partition(":")[2] or 0)
        self.session = InferSession(index, str(_existing(path)))
        self.inputs = tuple(_om_port(node) for node in self.session.get_inputs())
        self.outputs = tuple(_om_port(node) for node in self.session.get_outputs())
        self.runtime = f"ais_bench npu:{index}"
        file = beside(path, ".json")
        self.metadata: dict[str, Any] = described(file.read_text("utf-8", "replace") if file.is_file() else None, file)

    def run(self, arrays: Mapping[str, np.ndarray]) -> Arrays:
        # Bytes are copied as they are: neither dtype nor shape is looked at down there.
        feeds = [np.ascontiguousarray(array) for array in checked(arrays, self.inputs)]
        results = self.session.infer(feeds, mode="static")
        return {port.name: array for port, array in zip(self.outputs, results, strict=True)}

    def close(self) -> None:
        """Give the chip's memory back."""
        self.session.free_resource()


def load_model(path: Path) -> nn.Module:
    """The trained model of a checkpoint."""
    return load_task(path).model


def open_checkpoint(path: Path, device: str = "cpu", kernels: str = "auto") -> TorchSession:
    """The model of a checkpoint; on a CPU with quicker equal layers, and whole sequences in blocks of frames."""
    model = load_model(path)
    if kernels == "plain" or torch.device(device).type != "cpu":
        return TorchSession(model, device)
    streaming = getattr(model, "streaming", None)
    network = Blockwise(streaming()) if streaming else model
    session = TorchSession(network, device)
    Kernels(kernels, network)
    return session


OPENERS: dict[str, Callable[[Path, str], Session]] = {
    ".onnx": OnnxSession,
    ".om": OmSession,
    ".pt": open_checkpoint,
}


def open_session(path: str | Path, device: str = "cpu") -> Session:
    """The session for a file, by its suffix: .onnx, .om, or .pt for a checkpoint."""
    path = Path(path)
    if path.suffix not in OPENERS:
        raise ValueError(f"{path} must end in {' or '.join(OPENERS)}, got '{path.suffix}'.")
    return OPENERS[path.suffix](_existing(path), device)


def import_onnxruntime(device: str = "cpu") -> Any:
    """The module, or an error that names what to install."""
    kind = device.partition(":")[0]
    if kind not in PROVIDERS:
        raise ValueError(f"device must be one of {', '.join(PROVIDERS)} (with :1 for the second), got {device}.")
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            f"Running .onnx files needs ONNX Runtime ({error}): pip install 'anypose[export]'."
        ) from error
    return onnxruntime


def checked(arrays: Mapping[str, np.ndarray], ports: tuple[Port, ...]) -> list[np.ndarray]:
    """The arrays in the order of the ports, after a look at names, shapes and dtypes.

    Raises:
        ValueError: naming the input, what it must be and what was given.
    """
    names = [port.name for port in ports]
    if set(arrays) != set(names):
        raise ValueError(f"The network's inputs are {', '.join(names)}, got {', '.join(arrays) or 'nothing'}.")
    for port in ports:
        array = arrays[port.name]
        if not _fits(array, port):
            shape = ", ".join("any" if size is None else str(size) for size in port.shape)
            raise ValueError(
                f"Input {port.name} must be {port.dtype} of shape ({shape}), got {array.dtype} of shape {array.shape}."
            )
    return [arrays[name] for name in names]


def _fits(array: np.ndarray, port: Port) -> bool:
    """Whether an array is what a port takes or gives."""
    return (
        len(array.shape) == len(port.shape)
        and array.dtype == port.dtype
        and all(wanted in (None, found) for wanted, found in zip(port.shape, array.shape, strict=True))
    )


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(
            f"No network at {path}. `{typed('export')} model=... format={path.suffix[1:]}` makes one."
        )
    return path


def _ports(shapes: Mapping[str, tuple[int | str, ...]], names: Mapping[str, str]) -> tuple[Port, ...]:
    return tuple(
        Port(
            names.get(name, name),
            tuple(size if isinstance(size, int) else None for size in shape),
            np.dtype(np.uint8 if name == PIXELS else np.float32),
        )
        for name, shape in shapes.items()
    )


_WHOLE = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "bool")
_ONNX_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"} | {
    f"tensor({name})": name for name in _WHOLE
}


def _onnx_port(node: Any, path: Path) -> Port:
    if node.type not in _ONNX_TYPES:
        raise ValueError(f"{path}: a network must take and give arrays of numbers; its {node.name} is {node.type}.")
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return Port(node.name, shape, np.dtype(_ONNX_TYPES[node.type]))


def _om_port(node: Any) -> Port:
    """ais_bench's description of a tensor: its datatype prints as "dtype.float32" or "float32", by version."""
    name = str(getattr(node.datatype, "name", node.datatype)).rpartition(".")[2]
    return Port(node.name, tuple(int(size) for size in node.shape), np.dtype(name))
