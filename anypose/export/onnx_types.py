"""ONNX graphs in float16 and int8. Inputs and outputs stay float32."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from anypose.export.onnx_graph import drop_unread, import_onnx

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# What may run in float16 between two products. Everything else (standardisation in pixels, say) stays float32.
BETWEEN = (
    "Add",
    "Clip",
    "Concat",
    "Elu",
    "MaxPool",
    "Pad",
    "Relu",
    "Reshape",
    "Slice",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
)


def to_half(model: Any) -> Any:
    """Products, and what lies between them, in float16; float32 elsewhere, with casts where the two meet.

    An operator between products runs in float16 only if everything it reads is there already, so nothing that enters
    the network as pixels is rounded before it was standardised.
    """
    onnx = import_onnx()
    graph = model.graph
    half_type, full_type = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    constants = {name for name, array in arrays.items() if array.dtype == np.float32}
    computed = {
        value.name for value in (*graph.value_info, *graph.input) if value.type.tensor_type.elem_type == full_type
    }
    halves: dict[str, str] = {}  # {tensor: its float16 twin}
    nodes: list[Any] = []

    def half(name: str) -> str:
        if name not in halves:
            halves[name] = f"{name}.half"
            if name in constants:
                graph.initializer.append(onnx.numpy_helper.from_array(arrays[name].astype(np.float16), halves[name]))
            else:
                nodes.append(onnx.helper.make_node("Cast", [name], [halves[name]], to=half_type))
        return halves[name]

    for node in list(graph.node):
        arriving = [name for name in node.input if name in computed]
        between = node.op_type in BETWEEN and arriving and all(name in halves for name in arriving)
        if node.op_type in PRODUCTS or between:
            lowered = [half(name) if name in computed or name in constants else name for name in node.input]
            twin = f"{node.output[0]}.half"
            result = onnx.helper.make_node(node.op_type, lowered, [twin], node.name)
            result.attribute.extend(node.attribute)
            nodes.append(result)
            halves[node.output[0]] = twin
            nodes.append(onnx.helper.make_node("Cast", [twin], [node.output[0]], to=full_type))
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unread(graph)
    del graph.value_info[:]
    return onnx.shape_inference.infer_shapes(model)


def quantise(model: Any, scratch: Path) -> Any:
    """Weights in int8 per output channel, activations quantised as they come, by ONNX Runtime's own tool.

    The first products and the last stay float32: they are little of the work, and 256 steps across a picture or
    across a body are what most of the error would come from.
    """
    import_onnx()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    onnx = import_onnx()
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
    source, target = scratch.with_suffix(".float.onnx"), scratch.with_suffix(".int8.onnx")
    onnx.save(model, source)
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it advises to fold batch norms first, which is done
    try:
        kept = outer_products(model.graph)
        kept += [f"{name}_MatMul" for name in kept]  # as the tool calls a Gemm that it has made a MatMul
        quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8, nodes_to_exclude=kept)
    finally:
        logging.disable(before)
    quantised = onnx.load(target)
    source.unlink()
    target.unlink()
    return quantised


def outer_products(graph: Any) -> list[str]:
    """The names of the products that nothing but simple operators part from an input or from an output."""
    found = set()
    inward = {value.name for value in graph.input}
    for node in graph.node:
        if inward & set(node.input):
            if node.op_type in PRODUCTS:
                found.add(node.name)
            else:
                inward |= set(node.output)
    outward = {value.name for value in graph.output}
    for node in reversed(graph.node):
        if outward & set(node.output):
            if node.op_type in PRODUCTS:
                found.add(node.name)
            else:
                outward |= set(node.input)
    return sorted(found)
