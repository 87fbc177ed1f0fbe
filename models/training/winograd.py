"""Weight gradients of 3x3 convolutions on the CPU, as matrix products by Winograd's algorithm.

Why: on CPUs with AVX2, oneDNN computes the weight gradient of a convolution in channels_last layout up to eight times
slower than the convolution itself, which was the larger part of a training step. Winograd's F(4x4, 3x3) (Lavin and Gray
2016, arXiv 1509.09308) needs a quarter of the multiplications. With d a tile of 6x6 inputs and y the gradient of the
4x4 outputs computed from it,

    dW = G^T [ sum over tiles of (B^T d B) * (A y A^T) ] G

where * is elementwise over the 36 positions and an outer product over the channels: 36 matrix products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

# The matrices B^T, G and A of F(4x4, 3x3), for one axis.
_INPUT = torch.tensor(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    dtype=torch.float64,
)
_KERNEL = torch.tensor([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]).double() / 24
_OUTPUT = torch.tensor([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]).double()
# For both axes at once, applied to flattened tiles.
_INPUT_2D = torch.kron(_INPUT, _INPUT).float()  # (36, 36)
_KERNEL_2D = torch.kron(_KERNEL, _KERNEL).float()  # (36, 9)
_OUTPUT_2D = torch.kron(_OUTPUT, _OUTPUT).T.float().contiguous()  # (36, 16)

# Measured with AVX2: with fewer channels, or pixels in the batch, copying tiles takes longer than the products save.
MIN_CHANNELS = 32
MIN_PIXELS = 512
_CHUNK_VALUES = 2**19  # values of a transformed chunk: 2 MB, which stay in the processor's cache


class FastWeightGradients(TorchFunctionMode):
    """Within this context, convolutions get their weight gradient from `weight_gradient` where that is faster.

    These are convolutions with a kernel of 3x3, stride 1 and zero padding 1, in float32 on the CPU, from `MIN_CHANNELS`
    channels and `MIN_PIXELS` pixels on. All others are computed by torch, and so are output and input gradient of all.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is F.conv2d and not kwargs and _is_faster(*args):
            return _Convolution.apply(*args[:3])
        return func(*args, **(kwargs or {}))


def _is_faster(images: Tensor, weight: Tensor, *rest: Any) -> bool:
    """Whether `weight_gradient` can be used for these arguments of `conv2d`, and is faster than torch."""
    if rest[1:] != ((1, 1), (1, 1), (1, 1), 1) or weight.shape[2:] != (3, 3) or images.ndim != 4:
        return False
    if images.device.type != "cpu" or images.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return False
    large = min(weight.shape[:2]) >= MIN_CHANNELS and images.numel() >= MIN_PIXELS * images.shape[1]
    return large and weight.requires_grad and torch.is_grad_enabled()


class _Convolution(torch.autograd.Function):
    """A 3x3 convolution with stride 1 and zero padding 1."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Maps images (N, C, H, W) and weight (O, C, 3, 3) to (N, O, H, W)."""
        ctx.save_for_backward(images, weight)
        ctx.bias = bias is not None
        return F.conv2d(images, weight, bias, padding=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Returns the gradients of images, weight and bias."""
        images, weight = ctx.saved_tensors
        gradient = gradients[0]
        one = [1, 1]
        image_gradient = None
        if ctx.needs_input_grad[0]:
            wanted = [True, False, False]
            image_gradient = torch.ops.aten.convolution_backward(
                gradient, images, weight, None, one, one, one, False, [0, 0], 1, wanted
            )[0]
        of_weight = weight_gradient(images, gradient) if ctx.needs_input_grad[1] else None
        return image_gradient, of_weight, gradient.sum((0, 2, 3)) if ctx.bias else None


def weight_gradient(images: Tensor, gradient: Tensor) -> Tensor:
    """Computes the gradient of the weight of a 3x3 convolution with stride 1 and zero padding 1.

    Args:
        images: Input of the convolution, float32 (N, C, H, W).
        gradient: Gradient of the loss with respect to its output, float32 (N, O, H, W).

    Returns:
        float32 (O, C, 3, 3). It differs from torch's by rounding alone: by about 1e-5 of the largest value.
    """
    height, width = images.shape[2:]
    rows, columns = -(-height // 4), -(-width // 4)
    channels, filters = images.shape[1], gradient.shape[1]
    # Stored as (H, W, C), so that tiles are copied in long contiguous runs. The zero padding is never overwritten.
    inputs = torch.zeros(4 * rows + 2, 4 * columns + 2, channels)
    outputs = torch.zeros(4 * rows, 4 * columns, filters)
    total = torch.zeros(36, channels, filters)
    step = max(1, _CHUNK_VALUES // (36 * columns * max(channels, filters)))
    for image, output_gradient in zip(images.permute(0, 2, 3, 1), gradient.permute(0, 2, 3, 1), strict=True):
        inputs[1 : height + 1, 1 : width + 1] = image
        outputs[:height, :width] = output_gradient
        for row in range(0, rows, step):
            end = min(rows, row + step)
            d = _tiles(inputs[4 * row : 4 * end + 2], 6)
            y = _tiles(outputs[4 * row : 4 * end], 4)
            transformed_d = torch.bmm(_INPUT_2D.expand(len(d), -1, -1), d)
            transformed_y = torch.bmm(_OUTPUT_2D.expand(len(y), -1, -1), y)
            total.baddbmm_(transformed_d.permute(1, 2, 0), transformed_y.transpose(0, 1))
    weight = (_KERNEL_2D.T @ total.view(36, -1)).view(3, 3, channels, filters)
    return weight.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)


def _tiles(image: Tensor, side: int) -> Tensor:
    """Cuts (H, W, C) into square tiles at intervals of four pixels: (tiles, side * side, C)."""
    tiles = image.unfold(0, side, 4).unfold(1, side, 4)  # (rows, columns, C, side, side)
    return tiles.permute(0, 1, 3, 4, 2).reshape(-1, side * side, image.shape[2])
