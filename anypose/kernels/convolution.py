"""Convolutions of images by products of matrices, where a CPU is quicker at those.

In bf16 they do the work where oneDNN's convolutions are slow at it: all of 1x1 convolutions, the gradients of those
with more channels than pixels, and those of weights that halve or double the size.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

AT_ONCE = 1 << 22  # numbers under a kernel on all pixels: 8 MiB, which still stay in a cache


class PointwiseByProducts(nn.Conv2d):
    """A 1x1 convolution.

    In fp32 torch hands those of fewer than 16 images to a plain matrix product on one thread, which takes almost twice
    as long as oneDNN. A row of pixels is an image of its own to such a convolution, and of those a batch has enough.
    """

    @classmethod
    def suits(cls, module: nn.Module) -> bool:
        """1x1 convolutions of all channels."""
        return type(module) is nn.Conv2d and _geometry(module, 1, (1, 2), 0)

    def takes(self, input: Tensor) -> bool:
        """Whether such pixels go this way."""
        return (self.bias is None and _in_bf16(input)) or (self.stride == (1, 1) and _left_to_a_plain_product(input))

    def forward(self, input: Tensor) -> Tensor:
        if not self.takes(input):
            return super().forward(input)
        if _in_bf16(input):
            rows, weight = input.permute(0, 2, 3, 1).bfloat16(), self.weight.flatten(1).bfloat16()
            return _Product.apply(rows, weight, self.stride[0]).permute(0, 3, 1, 2)  # pyright: ignore
        B, C, H, W = input.shape
        rows = input.permute(0, 2, 3, 1).reshape(B * H, 1, W, C).permute(0, 3, 1, 2)
        return super().forward(rows).permute(0, 2, 3, 1).reshape(B, H, W, -1).permute(0, 3, 1, 2)


class PlainConvByProducts(nn.Conv2d):
    """A 3x3 convolution without bias that keeps the size, or halves it with a stride of 2."""

    @classmethod
    def suits(cls, module: nn.Module) -> bool:
        """Those without a bias."""
        return type(module) is nn.Conv2d and module.bias is None and _geometry(module, 3, (1, 2), 1)

    def takes(self, input: Tensor) -> bool:
        """In bf16, where it halves the size or there are few pixels."""
        return _in_bf16(input) and (self.stride != (1, 1) or _few(input, self.weight))

    def forward(self, input: Tensor) -> Tensor:
        if not self.takes(input):
            return super().forward(input)
        return _Convolved.apply(input.bfloat16(), self.weight, self.stride[0])  # pyright: ignore


class UpsamplingByProducts(nn.ConvTranspose2d):
    """A 4x4 transposed convolution without bias that doubles the size."""

    @classmethod
    def suits(cls, module: nn.Module) -> bool:
        """Those without a bias."""
        if type(module) is not nn.ConvTranspose2d or module.bias is not None or module.output_padding != (0, 0):
            return False
        return _geometry(module, 4, (2,), 1)

    def takes(self, input: Tensor) -> bool:
        """In bf16."""
        return _in_bf16(input)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        if output_size is not None or not self.takes(input):
            return super().forward(input, output_size)
        return _Upsampled.apply(input.bfloat16(), self.weight)  # pyright: ignore


def _geometry(module: nn.Conv2d | nn.ConvTranspose2d, kernel: int, strides: tuple[int, ...], padding: int) -> bool:
    """Whether this is the convolution that a class here is for."""
    square = (module.kernel_size, module.padding, module.dilation) == ((kernel,) * 2, (padding,) * 2, (1, 1))
    in_steps = module.stride in [(stride, stride) for stride in strides]
    return square and in_steps and module.groups == 1 and module.padding_mode == "zeros"


class _Product(Function):
    """(B, H, W, C) pixels, every `stride`-th in both directions, times (O, C) weights."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.shape, ctx.stride = pixels.shape, stride
        picked = pixels[:, ::stride, ::stride]
        rows = _flat(picked)
        ctx.save_for_backward(rows, weight)
        return (rows @ weight.t()).view(*picked.shape[:3], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        rows, weight = ctx.saved_tensors
        flat = _flat(grad)
        of_pixels = of_weight = None
        if ctx.needs_input_grad[0]:
            of_pixels = (flat @ weight).view(*grad.shape[:3], -1)
            if ctx.stride > 1:
                picked, of_pixels = of_pixels, of_pixels.new_zeros(ctx.shape)
                of_pixels[:, :: ctx.stride, :: ctx.stride] = picked
        if ctx.needs_input_grad[1]:
            of_weight = _turned_product(flat, rows)
        return of_pixels, of_weight, None


class _Convolved(Function):
    """(B, C, H, W) times (O, C, 3, 3) fp32 weights, whose gradient is a product."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, weight: Tensor, stride: int) -> Tensor:
        lowered = weight.to(image.dtype, memory_format=torch.channels_last)
        ctx.save_for_backward(image, lowered)
        ctx.stride = stride
        if not _few(image, weight):
            return F.conv2d(image, lowered, None, stride, padding=1)
        (B, _, H, W), flat = image.shape, lowered.permute(0, 2, 3, 1).reshape(len(weight), -1)
        rows = _seen(image, 3, stride) @ flat.t()
        return rows.view(B, (H - 1) // stride + 1, (W - 1) // stride + 1, -1).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        image, weight = ctx.saved_tensors
        of_image = of_weight = None
        if ctx.needs_input_grad[0]:
            of_image = torch.ops.aten.convolution_backward(
                grad, image, weight, None, [ctx.stride] * 2, [1, 1], [1, 1], False, [0, 0], 1, [True, False, False]
            )[0]
        if ctx.needs_input_grad[1]:
            of_weight = _of_weight(_rows(grad), image, 3, ctx.stride)
        return of_image, of_weight, None


class _Upsampled(Function):
    """(B, C, h, w) to twice the size by (C, O, 4, 4) fp32 weights, whose gradient is a product."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, weight: Tensor) -> Tensor:
        lowered = weight.to(image.dtype, memory_format=torch.channels_last)
        ctx.save_for_backward(image, lowered)
        return F.conv_transpose2d(image, lowered, None, stride=2, padding=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        image, weight = ctx.saved_tensors
        B, C, h, w = image.shape
        of_image = of_weight = None
        if ctx.needs_input_grad[0] and _few(image, weight):
            flat = weight.permute(0, 2, 3, 1).reshape(C, -1)
            of_image = (_seen(grad, 4, 2) @ flat.t()).view(B, h, w, C).permute(0, 3, 1, 2)
        elif ctx.needs_input_grad[0]:
            of_image = F.conv2d(grad, weight, None, stride=2, padding=1)
        if ctx.needs_input_grad[1]:
            of_weight = _of_weight(_rows(image), grad, 4, 2)
        return of_image, of_weight


def _few(image: Tensor, weight: Tensor) -> bool:
    """Whether there are so few pixels beside channels that a product needs less time than oneDNN."""
    return image.shape[0] * image.shape[2] * image.shape[3] <= 4 * max(weight.shape)


def _flat(pixels: Tensor) -> Tensor:
    """(N, C) of (B, H, W, C)."""
    return pixels.reshape(-1, pixels.shape[3])


def _turned_product(one: Tensor, other: Tensor) -> Tensor:
    """(A, B) sum over pixels: (N, A) turned round, times (N, B)."""
    (N, A), B = one.shape, other.shape[1]
    # A factor is turned round first, which for many pixels is quicker the narrower it is.
    return (other.t() @ one).t().contiguous() if B < A <= N // 8 else one.t() @ other


def _rows(image: Tensor) -> Tensor:
    """(N, C) pixels of (B, C, H, W)."""
    return _flat(image.permute(0, 2, 3, 1))


def _seen(image: Tensor, kernel: int, stride: int) -> Tensor:
    """(N, kernel * kernel * C) pixels under each position of a kernel on (B, C, H, W) with a border of one added."""
    padded = F.pad(image.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).contiguous()
    B, H, W, C = padded.shape
    size = (B, (H - kernel) // stride + 1, (W - kernel) // stride + 1, kernel, kernel * C)
    return padded.as_strided(size, (H * W * C, stride * W * C, stride * C, W * C, 1)).reshape(-1, kernel * kernel * C)


def _of_weight(rows: Tensor, image: Tensor, kernel: int, stride: int) -> Tensor:
    """(A, B, kernel, kernel) fp32 gradient in channels_last order: (N, A) rows times what a kernel sees of the image.

    All of it at once where that is little, else what each place of the kernel sees by itself.
    """
    shape = rows.shape[1], kernel, kernel, image.shape[1]
    if kernel * kernel * len(rows) * image.shape[1] <= AT_ONCE:
        return (rows.t() @ _seen(image, kernel, stride)).view(shape).float().permute(0, 3, 1, 2)
    padded = F.pad(image.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    H, W = (size - kernel + 1 for size in padded.shape[1:3])
    product = torch.empty(shape)
    for y in range(kernel):
        for x in range(kernel):
            seen = padded[:, y : y + H : stride, x : x + W : stride]
            product[:, y, x] = rows.t() @ seen.reshape(-1, shape[3])
    return product.permute(0, 3, 1, 2)


def _as_read(x: Tensor) -> bool:
    """Whether torch computes with the CPU and as the code is read: neither traces nor compiles it."""
    return not torch.compiler.is_compiling() and not torch.jit.is_tracing() and x.device.type == "cpu"


def _in_bf16(x: Tensor) -> bool:
    """Whether a CPU is to multiply in bf16, under autocast."""
    return _as_read(x) and torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16


def _left_to_a_plain_product(x: Tensor) -> bool:
    """Whether torch would not use oneDNN, and the pixels of `x` (B, C, H, W) lie as rows of channels."""
    return (
        _as_read(x)
        and x.dtype == torch.float32
        and len(x) < 16 <= len(x) * x.shape[2]
        and torch.get_num_threads() == 1
        and not torch.is_autocast_enabled("cpu")
        and x.is_contiguous(memory_format=torch.channels_last)
        and not x.is_contiguous()
    )
