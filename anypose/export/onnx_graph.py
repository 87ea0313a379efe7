"""ONNX graphs: tidied so that they hold arithmetic only, and checked to be what old compilers read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from anypose.settings import Misuse

HIGHEST_OPSET = 17  # ONNX 1.12, what Ascend's compiler and ONNX Runtime 1.14 read
HIGHEST_IR = 8

# What the project's networks are made of. Each has a kernel on Ascend and in every ONNX Runtime.
ALLOWED_OPERATORS = frozenset(
    """
    Add BatchNormalization Cast Clip Concat Constant ConstantOfShape Conv ConvTranspose Div Elu Erf Exp Expand Flatten
    Gather Gemm GlobalAveragePool Greater GreaterOrEqual Less Log LogSoftmax MatMul MaxPool Mul Neg Not Pad Pow
    Reciprocal ReduceL2 ReduceMax ReduceMean ReduceSum Relu Reshape Shape Sigmoid Slice Softmax Split Sqrt Squeeze Sub
    Tanh TopK Transpose Unsqueeze Where
    """.split()  # noqa: SIM905
)
QUANTISED_OPERATORS = frozenset(("ConvInteger", "DynamicQuantizeLinear", "MatMulInteger"))


def import_onnx() -> Any:
    """The module, or an error that names the extra."""
    try:
        import onnx
    except ImportError as error:
        raise ImportError(f"Writing .onnx files needs onnx ({error}): pip install 'anypose[export]'.") from error
    return onnx


def tidy(model: Any) -> Any:
    """The same function with batch norm folded, constants computed and copies dropped.

    torch's exporter folds a batch norm into a convolution but not into Linear or a transposed convolution, and leaves
    shape arithmetic behind that is constant where the shapes are.
    """
    onnx = import_onnx()
    model = onnx.shape_inference.infer_shapes(model)
    _drop_copies(model.graph)
    _fold_constants(model)
    _fold_batch_norms(model.graph)
    drop_unread(model.graph)
    del model.graph.value_info[:]  # shapes of what is no longer there
    return onnx.shape_inference.infer_shapes(model)


def check(model: Any, opset: int, source: str, quantised: bool = False) -> None:
    """Raise unless the graph is plain ONNX of version `opset` with IR 8 at most and allowed operators.

    Args:
        model: a ModelProto, as read back from the file.
        opset: the version asked for.
        source: the file's name, for messages.
        quantised: also allow the operators of int8 arithmetic, which Ascend's compiler does not take.

    Raises:
        ValueError: with everything that is wrong.
    """
    onnx = import_onnx()
    onnx.checker.check_model(model, full_check=True)
    domains = {item.domain or "ai.onnx": item.version for item in model.opset_import}
    operators = Counter(node.op_type for node in model.graph.node)
    wrong = []
    if domains != {"ai.onnx": opset}:
        wrong.append(f"opset {domains}, asked for {opset}")
    if model.ir_version > HIGHEST_IR:
        wrong.append(f"IR version {model.ir_version}, at most {HIGHEST_IR} is read everywhere")
    if model.functions:
        wrong.append(f"{len(model.functions)} local functions")
    allowed = ALLOWED_OPERATORS | QUANTISED_OPERATORS if quantised else ALLOWED_OPERATORS
    if foreign := sorted(set(operators) - allowed):
        wrong.append(f"operators {', '.join(foreign)}, which are not among those known to run everywhere")
    if wrong:
        raise ValueError(f"{source} cannot be shipped: {'; '.join(wrong)}. Nothing was kept.")


def check_opset(opset: int) -> None:
    """Raise where no file of this opset can be read by the compilers the export is for."""
    if not 9 <= opset <= HIGHEST_OPSET:
        raise Misuse(f"opset must lie in 9..{HIGHEST_OPSET} (ONNX 1.12, IR {HIGHEST_IR}), got {opset}.")


def _drop_copies(graph: Any) -> None:
    """The exporter shares equal weights through Identity nodes and casts what has the type already."""
    outputs = {output.name for output in graph.output}
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input)}
    source: dict[Any, Any] = {}
    for node in list(graph.node):
        cast = node.op_type == "Cast" and types.get(node.input[0]) == node.attribute[0].i
        if (cast or node.op_type == "Identity") and node.output[0] not in outputs:
            source[node.output[0]] = source.get(node.input[0], node.input[0])
            graph.node.remove(node)
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = source.get(name, name)


def _fold_constants(model: Any) -> None:
    """Replace what depends on constants alone, and the shape of what has a fixed shape, by its value."""
    onnx = import_onnx()
    from onnx.reference import ReferenceEvaluator

    graph = model.graph
    outputs = {output.name for output in graph.output}
    shapes = {value.name: _fixed_shape(value) for value in (*graph.value_info, *graph.input)}
    known = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kept, added = [], {}
    for node in graph.node:
        values = None
        if node.op_type == "Shape" and shapes.get(node.input[0]) is not None:
            values = [np.array(shapes[node.input[0]], dtype=np.int64)]
        elif all(name in known or not name for name in node.input):
            single = onnx.helper.make_model(
                onnx.helper.make_graph(
                    [node],
                    "constant",
                    [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in node.input if name],
                    [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in node.output],
                ),
                opset_imports=model.opset_import,
            )
            values = ReferenceEvaluator(single).run(None, {n: known[n] for n in node.input if n})
        if values is None or outputs & set(node.output):
            kept.append(node)
            continue
        added |= dict(zip(node.output, map(np.asarray, values), strict=True))
        known |= added
    del graph.node[:]
    graph.node.extend(kept)
    graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in added.items())


def _fixed_shape(value: Any) -> list[int] | None:
    dims = value.type.tensor_type.shape.dim
    known = value.type.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims)
    return [dim.dim_value for dim in dims] if known else None


def _fold_batch_norms(graph: Any) -> None:
    """Put every BatchNormalization into the Conv, ConvTranspose or Gemm whose only reader it is, in float64."""
    onnx = import_onnx()
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    producers = {name: node for node in graph.node for name in node.output}
    readers = Counter(name for node in graph.node for name in node.input)
    for node in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        producer = producers.get(node.input[0])
        if producer is None or producer.op_type not in ("Conv", "ConvTranspose", "Gemm"):
            continue
        if readers[node.input[0]] != 1 or any(
            name not in initializers for name in (*producer.input[1:], *node.input[1:])
        ):
            continue
        gamma, beta, mean, variance = (_array(initializers[name]) for name in node.input[1:5])
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        scale = gamma / np.sqrt(variance + epsilon)
        weight = _array(initializers[producer.input[1]])
        dtype = onnx.numpy_helper.to_array(initializers[producer.input[1]]).dtype
        bias = _array(initializers[producer.input[2]]) if len(producer.input) > 2 else np.zeros(len(scale))
        axis = _output_axis(producer)
        folded = {
            "weight": weight * scale.reshape([-1 if i == axis else 1 for i in range(weight.ndim)]),
            "bias": (bias - mean) * scale + beta,
        }
        names = []
        for kind, array in folded.items():
            names.append(f"{node.output[0]}.folded_{kind}")
            tensor = onnx.numpy_helper.from_array(array.astype(dtype), names[-1])
            graph.initializer.append(tensor)
            initializers[names[-1]] = tensor
        data = producer.input[0]
        del producer.input[:]
        producer.input.extend([data, *names])
        producer.output[0] = node.output[0]
        graph.node.remove(node)


def _output_axis(node: Any) -> int:
    """Which axis of its weight counts the output channels."""
    if node.op_type == "Conv":
        return 0
    if node.op_type == "Gemm":
        return 0 if any(a.name == "transB" and a.i for a in node.attribute) else 1
    if any(a.name == "group" and a.i != 1 for a in node.attribute):
        raise ValueError(f"{node.name} is a grouped transposed convolution; its batch norm cannot be folded.")
    return 1


def _array(tensor: Any) -> np.ndarray:
    return import_onnx().numpy_helper.to_array(tensor).astype(np.float64)


def drop_unread(graph: Any) -> None:
    """Without the nodes and the weights that nothing reads."""
    outputs = {output.name for output in graph.output}
    unread = True
    while unread:
        read = outputs | {name for node in graph.node for name in node.input}
        unread = [node for node in graph.node if not read & set(node.output)]
        for node in unread:
            graph.node.remove(node)
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in read]:
        graph.initializer.remove(tensor)


def say_shapes(values: Iterable[Any], shapes: Mapping[str, Sequence[int | str | None]]) -> None:
    """Write known axes into a graph's inputs or outputs: the exporter makes up names beside an axis that is free."""
    for value in values:
        axes = value.type.tensor_type.shape.dim
        for axis, size in zip(axes, shapes[value.name] if len(axes) else (), strict=True):
            if isinstance(size, int):
                axis.dim_value = size
            elif size is not None:
                axis.dim_param = size


def describe(values: Iterable[Any]) -> dict[str, list[int | str]]:
    """{name: shape} of a graph's inputs or outputs; a free axis by its name."""
    return {
        value.name: [dim.dim_value or dim.dim_param for dim in value.type.tensor_type.shape.dim] for value in values
    }
