"""Weights of the residual MLP trained by other code, renamed and turned into ours.

Two sources: TensorFlow checkpoints of 3d-pose-baseline and GMH-MDN, exported to npz with the variables' own names,

    reader = tf.train.load_checkpoint("checkpoint-4874200")
    np.savez("weights.npz", **{name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()})

and weigq's PyTorch port. Neither holds the statistics that standardise keypoints and joints: they come from the
training split (`Lifter.fit_statistics`), or from the files the other code keeps beside its data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

State = dict[str, Tensor]


def tensorflow_arrays(arrays: Mapping[str, np.ndarray]) -> State:
    """The variables as tensors, matrices turned from TensorFlow's (C_in, C_out) to (C_out, C_in)."""
    state = {}
    for name in arrays:
        value = np.asarray(arrays[name])
        if value.dtype == np.float32 and value.ndim in (1, 2):
            state[name.removesuffix(":0")] = torch.from_numpy(np.ascontiguousarray(value.T))
    return state


def tensorflow_trunk(state: State, batch_norm: bool = True) -> State:
    """The trunk's part of a checkpoint of 3d-pose-baseline or GMH-MDN, under our names."""
    trunk = {}
    for ours, scope, number, norm in _tensorflow_layers(state):
        trunk[f"{ours}.linear.weight"] = take(state, f"linear_model/{scope}w{number}")
        trunk[f"{ours}.linear.bias"] = take(state, f"linear_model/{scope}b{number}")
        if batch_norm:
            for mine, theirs in (
                ("weight", "gamma"),
                ("bias", "beta"),
                ("running_mean", "moving_mean"),
                ("running_var", "moving_variance"),
            ):
                trunk[f"{ours}.norm.{mine}"] = take(state, f"linear_model/{scope}{norm}/{theirs}")
            trunk[f"{ours}.norm.num_batches_tracked"] = torch.zeros((), dtype=torch.long)
    return trunk


def _tensorflow_layers(state: State) -> Iterator[tuple[str, str, str, str]]:
    """(our layer, scope, number of the matrix, name of its batch norm)."""
    yield "stem", "", "1", "batch_normalization"
    blocks = {name.split("/")[1] for name in state if name.startswith("linear_model/two_linear_")}
    for i in range(len(blocks)):
        yield f"blocks.{i}.0", f"two_linear_{i}/", f"2_{i}", f"batch_normalization1{i}"
        yield f"blocks.{i}.1", f"two_linear_{i}/", f"3_{i}", f"batch_normalization2{i}"


def weigq_trunk(state: State) -> State:
    """The trunk's part of a state dict of weigq's port, under our names."""
    trunk = {}
    blocks = len({name.split(".")[1] for name in state if name.startswith("linear_stages.")})
    layers = [("stem", "", "1")]
    layers += [(f"blocks.{i}.{j}", f"linear_stages.{i}.", str(j + 1)) for i in range(blocks) for j in (0, 1)]
    for ours, prefix, number in layers:
        for part in ("weight", "bias"):
            trunk[f"{ours}.linear.{part}"] = take(state, f"{prefix}w{number}.{part}")
        for part in ("weight", "bias", "running_mean", "running_var"):
            trunk[f"{ours}.norm.{part}"] = take(state, f"{prefix}batch_norm{number}.{part}")
        trunk[f"{ours}.norm.num_batches_tracked"] = torch.zeros((), dtype=torch.long)
    return trunk


def statistics_of(state: State) -> State:
    """The four buffers that neither source holds, out of the state of a model that was fitted."""
    names = [f"{what}_statistics.{part}" for what in ("keypoint", "joint") for part in ("mean", "std")]
    return {name: take(state, name) for name in names}


def take(state: State, name: str) -> Tensor:
    """The entry `name`, or an error that shows what there is."""
    if name not in state:
        raise ValueError(
            f"The weights have no '{name}'. They have {len(state)} entries: {', '.join(sorted(state)[:8])}, ... "
            "Is it a checkpoint of another model, or of one built with other options?"
        )
    return state[name]
