"""torch_npu's autocast lists as kernels of the stand-in: what runs low, what in fp32, what follows its widest input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from tests.npu_fake.tensors import DEVICE

_LOW = """_convolution conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d.input
conv_transpose3d.input convolution prelu addmm addmv addr matmul einsum mm mv linear addbmm baddbmm bmm chain_matmul
linalg_multi_dot lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell scaled_dot_product_attention"""
_FP32 = """acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow.Tensor_Scalar
pow.Tensor_Tensor pow.Scalar softplus layer_norm native_layer_norm group_norm cosine_similarity poisson_nll_loss
cosine_embedding_loss nll_loss nll_loss2d hinge_embedding_loss kl_div l1_loss smooth_l1_loss huber_loss mse_loss
margin_ranking_loss multilabel_margin_loss soft_margin_loss triplet_margin_loss multi_margin_loss
binary_cross_entropy_with_logits dist pdist cdist renorm logsumexp"""
_FP32_UNLESS_ASKED = """prod prod.dim_int softmax.int log_softmax.int cumprod cumsum linalg_vector_norm
linalg_matrix_norm linalg_matrix_norm.str_ord sum sum.dim_IntList"""
_WIDEST = "addcdiv addcmul atan2 bilinear cross dot grid_sampler index_put tensordot scatter_add"


def aten(name: str) -> Any:
    base, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, base), overload or "default")


def _castable(value: Any) -> bool:
    floating = isinstance(value, Tensor) and value.is_floating_point() and value.dtype is not torch.float64
    return floating and value.device.type == DEVICE


def _cast(tree: Any, dtype: torch.dtype) -> Any:
    return pytree.tree_map(lambda value: value.to(dtype) if _castable(value) else value, tree)


def _kernel(name: str, policy: str) -> Callable[..., Any]:
    operator = aten(name)
    names = [argument.name for argument in operator._schema.arguments]
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def kernel(*arguments: Any, **keywords: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(keys):
            if policy == "low":
                arguments, keywords = _cast((arguments, keywords), torch.get_autocast_dtype(DEVICE))
            elif policy == "fp32":
                arguments, keywords = _cast((arguments, keywords), torch.float32)
            elif policy == "widest":
                kinds = [v.dtype for v in pytree.tree_leaves((arguments, keywords)) if _castable(v)]
                if kinds:
                    widest = max(kinds, key=lambda kind: torch.finfo(kind).bits)
                    arguments, keywords = _cast((arguments, keywords), widest)
            elif "dtype" in names and keywords.get("dtype") is None and _castable(arguments[0]):
                place = names.index("dtype")
                if len(arguments) <= place or arguments[place] is None:
                    arguments, keywords = arguments[:place], {**keywords, "dtype": torch.float32}
            return operator(*arguments, **keywords)

    return kernel


def _banned(*_arguments: Any, **_keywords: Any) -> Any:
    raise RuntimeError("binary_cross_entropy is unsafe to autocast on npu; use the _with_logits form")


def install(library: torch.library.Library) -> None:
    lists = {"low": _LOW, "fp32": _FP32, "unless asked": _FP32_UNLESS_ASKED, "widest": _WIDEST}
    for policy, names in lists.items():
        for name in names.split():
            library.impl(name, _kernel(name, policy), "AutocastPrivateUse1")
    library.impl("binary_cross_entropy", _banned, "AutocastPrivateUse1")
