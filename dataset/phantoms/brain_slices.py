"""Draws brain-like MRI slices with lesions: the pictures behind the built-in demo data.

Nothing here is anatomy to rely on. A slice has what makes segmentation non-trivial: a head of varying shape and pose,
tissue whose contrast changes from slice to slice, texture, a bias field, Rician noise, lesions with soft irregular
edges, and bright or dark structures that are not lesions.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.floating]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Tissue:
    """Intensities of one contrast weighting, 0 (air) to 1."""

    scalp: float
    bone: float
    fluid: float
    cortex: float
    white: float
    nuclei: float


T1 = Tissue(scalp=0.85, bone=0.12, fluid=0.14, cortex=0.42, white=0.60, nuclei=0.48)
FLAIR = Tissue(scalp=0.60, bone=0.10, fluid=0.12, cortex=0.52, white=0.42, nuclei=0.48)
T2 = Tissue(scalp=0.50, bone=0.08, fluid=0.80, cortex=0.52, white=0.36, nuclei=0.42)


@dataclass(frozen=True)
class Slice:
    """One picture and its true lesions.

    Attributes:
        image: uint8, (size, size).
        lesions: One mask per lesion, bool (size, size), in drawing order.
    """

    image: NDArray[np.uint8]
    lesions: list[Mask]


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> Image:
    """Draws noise that varies over about 1/`cells` of the picture: cubic interpolation of a coarse normal grid.

    Args:
        rng: Source of randomness.
        size: Side of the picture in pixels.
        cells: Coarse cells per side.

    Returns:
        float32 (size, size), mean about 0, standard deviation about 0.6.
    """
    grid = rng.standard_normal((cells + 3, cells + 3)).astype(np.float32)
    step = size / cells
    fine = cv2.resize(grid, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
    start = (fine.shape[0] - size) // 2
    return np.ascontiguousarray(fine[start : start + size, start : start + size])


def soft_step(distance: Image, width: float) -> Image:
    """Returns a smooth step from 0 to 1 where `distance` crosses zero, about 4 `width` wide: the edge of a tissue."""
    return 1.0 / (1.0 + np.exp(-np.clip(distance / width, -30.0, 30.0)))


def _head_coordinates(rng: np.random.Generator, size: int) -> tuple[Image, Image]:
    """Draws a pose and a smooth deformation; returns each pixel's head coordinates (scalp: about the unit circle)."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1
    x, y = np.meshgrid(axis, axis)
    angle = rng.normal(0.0, 0.14)
    shift_x, shift_y = rng.uniform(-0.06, 0.06, 2)
    scale = rng.uniform(0.82, 0.94)
    cos, sin = np.cos(angle), np.sin(angle)
    u = (cos * (x - shift_x) + sin * (y - shift_y)) / (scale * rng.uniform(0.80, 0.92))
    v = (-sin * (x - shift_x) + cos * (y - shift_y)) / scale
    u = u + 0.05 * smooth_noise(rng, size, 3) + 0.012 * smooth_noise(rng, size, 9)
    v = v + 0.05 * smooth_noise(rng, size, 3) + 0.012 * smooth_noise(rng, size, 9)
    return u, v


def _mix(image: Image, alpha: Image, value: float | Image) -> Image:
    """Lays `value` over the image with opacity `alpha`."""
    return image + alpha * (value - image)


def _ellipse(u: Image, v: Image, centre: tuple[float, float], radii: tuple[float, float], tilt: float) -> Image:
    """Returns about the signed distance to a tilted ellipse: positive inside."""
    cos, sin = np.cos(tilt), np.sin(tilt)
    du, dv = u - centre[0], v - centre[1]
    a = (cos * du + sin * dv) / radii[0]
    b = (-sin * du + cos * dv) / radii[1]
    return (1.0 - np.sqrt(a * a + b * b)) * min(radii)


def _draw_anatomy(rng: np.random.Generator, u: Image, v: Image, tissue: Tissue) -> tuple[Image, Image]:
    """Draws the healthy head.

    Args:
        rng: Source of randomness.
        u: Head coordinate left to right.
        v: Head coordinate front to back.
        tissue: Intensities.

    Returns:
        The image, and the depth below the brain's surface (positive inside the brain).
    """
    size = u.shape[0]
    radius = np.sqrt(u * u + v * v)
    folds = smooth_noise(rng, size, 18)
    depth = 0.80 - radius
    image = np.full_like(u, 0.02)
    image = _mix(image, soft_step(1.0 - radius, 0.012), tissue.scalp)
    image = _mix(image, soft_step(0.93 - radius, 0.010), tissue.bone)
    image = _mix(image, soft_step(0.85 - radius, 0.012), tissue.fluid)
    image = _mix(image, soft_step(depth + 0.012 * folds, 0.015), tissue.cortex)
    image = _mix(image, soft_step(depth - 0.11 + 0.065 * folds, 0.018), tissue.white)
    fissure = 0.014 + 0.004 * rng.standard_normal() - np.abs(u + 0.012 * smooth_noise(rng, size, 5))
    gap = soft_step(fissure, 0.006) * soft_step(np.abs(v) - 0.34, 0.03)
    image = _mix(image, gap * soft_step(depth, 0.02), tissue.fluid)
    width, length = rng.uniform(0.05, 0.11), rng.uniform(0.20, 0.34)
    offset = rng.uniform(-0.08, 0.08)
    for side in (-1.0, 1.0):
        nucleus = _ellipse(u, v, (side * 0.25, offset + 0.08), (0.10, 0.17), side * 0.25)
        image = _mix(image, soft_step(nucleus, 0.02), tissue.nuclei)
        unequal = width * rng.uniform(0.75, 1.25)
        bend = side * 0.10 * (v - offset) ** 2 * 4
        ventricle = _ellipse(u - bend, v, (side * (0.05 + unequal), offset), (unequal, length), side * -0.12)
        image = _mix(image, soft_step(ventricle, 0.014), tissue.fluid)
    return image, depth


def _lesion_shape(rng: np.random.Generator, u: Image, v: Image, depth: Image) -> Image:
    """Draws the signed distance to an irregular blob somewhere in the brain: positive inside."""
    reach, direction = 0.58 * np.sqrt(rng.uniform(0.15, 1.0)), rng.uniform(0, 2 * np.pi)
    centre = (reach * np.cos(direction), reach * np.sin(direction))
    size = rng.uniform(0.18, 0.34)
    stretch = rng.uniform(0.72, 1.0)
    tilt = rng.uniform(0, np.pi)
    du, dv = u - centre[0], v - centre[1]
    a = np.cos(tilt) * du + np.sin(tilt) * dv
    b = (-np.sin(tilt) * du + np.cos(tilt) * dv) / stretch
    theta = np.arctan2(b, a)
    outline = np.full_like(u, size)
    for order in range(2, 6):
        outline += size * rng.normal(0.0, 0.16 / order) * np.cos(order * theta + rng.uniform(0, 2 * np.pi))
    outline += 0.012 * smooth_noise(rng, u.shape[0], 10)
    return np.minimum(outline - np.sqrt(a * a + b * b), depth - 0.02)


def _draw_lesion(rng: np.random.Generator, image: Image, distance: Image, tissue: Tissue) -> Image:
    """Paints a lesion: bright or dark, sometimes faint, sometimes with a dark core; edges are soft."""
    bright = rng.uniform() < 0.94
    strength = rng.uniform(0.32, 0.55)
    target = tissue.white + strength if bright else max(tissue.white - strength, 0.04)
    texture = 0.05 * smooth_noise(rng, image.shape[0], 16)
    alpha = soft_step(distance, rng.uniform(0.010, 0.030))
    image = _mix(image, rng.uniform(0.75, 0.95) * alpha, target + texture)
    if bright and rng.uniform() < 0.25:
        core = soft_step(distance - 0.45 * float(distance.max()), 0.02)
        image = _mix(image, 0.7 * core, tissue.white * rng.uniform(0.5, 0.9))
    return image


def _draw_distractors(rng: np.random.Generator, image: Image, u: Image, v: Image, depth: Image) -> Image:
    """Paints what looks like a lesion but is not: vessels, calcifications, a streak along the surface."""
    for _ in range(rng.integers(1, 5)):
        reach, direction = 0.70 * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
        centre = (reach * np.cos(direction), reach * np.sin(direction))
        spot = _ellipse(u, v, centre, (rng.uniform(0.02, 0.045), rng.uniform(0.02, 0.06)), rng.uniform(0, np.pi))
        image = _mix(image, soft_step(spot, 0.010), float(rng.choice([0.06, 0.85, 0.95])))
    if rng.uniform() < 0.4:
        towards = np.cos(np.arctan2(v, u) - rng.uniform(0, 2 * np.pi))
        streak = soft_step(0.03 - np.abs(depth - 0.03), 0.01) * soft_step(towards - 0.75, 0.06)
        image = _mix(image, 0.8 * streak, 0.85)
    return image


def _acquire(rng: np.random.Generator, image: Image) -> NDArray[np.uint8]:
    """Adds what the scanner adds: texture, bias field, Rician noise, an arbitrary gray scale."""
    size = image.shape[0]
    texture = 0.030 * smooth_noise(rng, size, 8) + 0.030 * smooth_noise(rng, size, 24)
    bias = np.exp(0.16 * smooth_noise(rng, size, 2))
    signal = np.clip(image * (1.0 + texture) * bias, 0.0, None)
    sigma = rng.uniform(0.015, 0.05)
    real = signal + sigma * rng.standard_normal(signal.shape)
    imaginary = sigma * rng.standard_normal(signal.shape)
    magnitude = np.sqrt(real * real + imaginary * imaginary)
    gain = rng.uniform(0.85, 1.1) / np.percentile(magnitude, 99.5)
    return np.clip(np.rint(255.0 * gain * magnitude), 0, 255).astype(np.uint8)


def draw_slice(rng: np.random.Generator, size: int) -> Slice:
    """Draws one slice: about 10 % have no lesion, 15 % have two.

    Args:
        rng: Source of all randomness; the same state draws the same slice.
        size: Side in pixels.

    Returns:
        The picture and its lesion masks; lesions too small to see at this size are not drawn.
    """
    u, v = _head_coordinates(rng, size)
    weighting = (T1, FLAIR, T2)[rng.choice(3, p=[0.5, 0.45, 0.05])]
    tissue = Tissue(*(float(rng.normal(1.0, 0.06)) * value for value in vars(weighting).values()))
    image, depth = _draw_anatomy(rng, u, v, tissue)
    image = _draw_distractors(rng, image, u, v, depth)
    lesions: list[Mask] = []
    for _ in range(rng.choice(3, p=[0.10, 0.75, 0.15])):
        distance = _lesion_shape(rng, u, v, depth)
        if np.count_nonzero(distance > 0) >= 0.002 * size * size:
            image = _draw_lesion(rng, image, distance, tissue)
            lesions.append(distance > 0)
    return Slice(image=_acquire(rng, image), lesions=lesions)
