"""Weight gradients of 3x3 convolutions on the CPU, by matrix products in Winograd's domain.

oneDNN's own kernels for AVX2 compute them up to eight times slower in channels_last layout than the convolution itself,
which made them the larger part of a training step. Winograd's F(4x4, 3x3) (Lavin and Gray 2016, arXiv 1509.09308)
needs a quarter of the multiplications. With d a tile of 6x6 inputs and y the 4x4 output gradients that it leads to,

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

# The matrices of F(4x4, 3x3), for one axis.
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
# For both axes at once, on tiles that are flattened.
_INPUT_2D = torch.kron(_INPUT, _INPUT).float()  # (36, 36)
_KERNEL_2D = torch.kron(_KERNEL, _KERNEL).float()  # (36, 9)
_OUTPUT_2D = torch.kron(_OUTPUT, _OUTPUT).T.float().contiguous()  # (36, 16)

# Where the way pays, on AVX2: below, moving the tiles costs more than the products save.
CHANNELS_LEAST = 32
_FEWEST_PIXELS = 512
_CHUNK = 2**19  # values of a transformed chunk, 2 MB: it stays in the cache


class FastWeightGradients(TorchFunctionMode):
    """While it is entered, convolutions that profit compute their weight gradient by `weight_gradient`.

    The convolution itself and the gradient of its input stay torch's. It holds for float32 on the CPU; every other
    convolution is left as it is, so that entering it is never wrong.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is F.conv2d and not kwargs and _profits(*args):
            return _Convolution.apply(*args[:3])
        return func(*args, **(kwargs or {}))


def _profits(images: Tensor, weight: Tensor, *rest: Any) -> bool:
    """Whether arguments of `conv2d` are of a convolution that `weight_gradient` is for, and faster for."""
    if rest[1:] != ((1, 1), (1, 1), (1, 1), 1) or weight.shape[2:] != (3, 3) or images.ndim != 4:
        return False
    if images.device.type != "cpu" or images.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return False
    large = min(weight.shape[:2]) >= CHANNELS_LEAST and images.numel() >= _FEWEST_PIXELS * images.shape[1]
    return large and weight.requires_grad and torch.is_grad_enabled()


class _Convolution(torch.autograd.Function):
    """A 3x3 convolution of stride 1 that keeps height and width."""

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
        of_images = None
        if ctx.needs_input_grad[0]:
            wanted = [True, False, False]
            of_images = torch.ops.aten.convolution_backward(
                gradient, images, weight, None, one, one, one, False, [0, 0], 1, wanted
            )[0]
        of_weight = weight_gradient(images, gradient) if ctx.needs_input_grad[1] else None
        return of_images, of_weight, gradient.sum((0, 2, 3)) if ctx.bias else None


def weight_gradient(images: Tensor, gradient: Tensor) -> Tensor:
    """Computes the gradient of the weight of a 3x3 convolution with stride 1 and zero padding 1.

    Args:
        images: The convolution's input, float32 (N, C, H, W).
        gradient: The loss's gradient with respect to its output, float32 (N, O, H, W).

    Returns:
        float32 (O, C, 3, 3). Sums are taken in another order than torch does, and with larger factors: about 1e-5 of
        the largest value lies between the two.
    """
    height, width = images.shape[2:]
    rows, columns = -(-height // 4), -(-width // 4)
    channels, filters = images.shape[1], gradient.shape[1]
    # (H, W, C): the channels of neighbouring pixels lie side by side, and tiles are copied in long runs. The border
    # stays zero from image to image.
    inputs = torch.zeros(4 * rows + 2, 4 * columns + 2, channels)
    outputs = torch.zeros(4 * rows, 4 * columns, filters)
    total = torch.zeros(36, channels, filters)
    step = max(1, _CHUNK // (36 * columns * max(channels, filters)))
    for image, of_output in zip(images.permute(0, 2, 3, 1), gradient.permute(0, 2, 3, 1), strict=True):
        inputs[1 : height + 1, 1 : width + 1] = image
        outputs[:height, :width] = of_output
        for row in range(0, rows, step):
            end = min(rows, row + step)
            d = _tiles(inputs[4 * row : 4 * end + 2], 6)
            y = _tiles(outputs[4 * row : 4 * end], 4)
            transformed = torch.bmm(_INPUT_2D.expand(len(d), -1, -1), d)
            of_transformed = torch.bmm(_OUTPUT_2D.expand(len(y), -1, -1), y)
            total.baddbmm_(transformed.permute(1, 2, 0), of_transformed.transpose(0, 1))
    weight = (_KERNEL_2D.T @ total.view(36, -1)).view(3, 3, channels, filters)
    return weight.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)


def _tiles(image: Tensor, side: int) -> Tensor:
    """Cuts (H, W, C) into squares whose corners lie four pixels apart: (tiles, side * side, C)."""
    tiles = image.unfold(0, side, 4).unfold(1, side, 4)  # (rows, columns, C, side, side)
    return tiles.permute(0, 1, 3, 4, 2).reshape(-1, side * side, image.shape[2])
