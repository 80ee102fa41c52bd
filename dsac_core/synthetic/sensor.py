# SPDX-License-Identifier: Apache-2.0
"""What a real camera makes of an ideal view: blur, falloff, exposure, noise; a depth sensor too."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dsac_core.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsac_core.geometry.camera import Camera
    from dsac_core.synthetic.noise import FloatImage, Image

    Millimetres = NDArray[np.uint16]

BANK = 1 << 22  # numbers of noise drawn once; every frame reads them from another place


@dataclass(frozen=True)
class SensorOptions:
    """How good the camera and the depth sensor are. All zero is an ideal camera."""

    blur: float = 0.5  # sigma of the lens, pixels
    vignette: float = 0.22  # share of the light lost in the corners
    shot_noise: float = 0.035  # variance per grey level
    read_noise: float = 1.1  # standard deviation, grey levels
    auto_exposure: float = 0.35  # 0 keeps the exposure, 1 brings every frame to the same mean
    exposure_drift: float = 0.04  # slow change of brightness over the walk
    depth_noise: float = 0.0015  # standard deviation at 1 m, metres; it grows with z squared
    depth_nearest: float = 0.3  # metres, no depth before
    depth_furthest: float = 8.0  # metres, no depth beyond
    depth_grazing_deg: float = 80.0  # no depth from surfaces seen at a larger angle of incidence

    def __post_init__(self) -> None:
        """Refuse negative values."""
        for name, value in vars(self).items():
            if not value >= 0:
                msg = f"sensor: {name} must not be negative, got {value}"
                raise ConfigError(msg)


def expose(
    rgb: Image, camera: Camera, options: SensorOptions, rng: np.random.Generator, time: float
) -> Image:
    """The colour image [H x W x 3] that a sensor with noise returns at ``time`` (s) of the walk."""
    picture = rgb
    if options.blur > 0:
        picture = np.asarray(cv2.GaussianBlur(rgb, (3, 3), options.blur), np.uint8)
    mean = max(float(picture[::8, ::8].mean()), 1.0)
    exposure = float(np.clip((112.0 / mean) ** options.auto_exposure, 0.7, 1.5))
    exposure *= 1.0 + options.exposure_drift * float(
        np.sin(0.31 * time) + 0.5 * np.sin(0.83 * time)
    )
    falloff = np.float32(exposure) * _falloff(camera.width, camera.height, options.vignette)
    light = cv2.multiply(picture, falloff, dtype=cv2.CV_32F)
    levels = np.arange(256, dtype=np.float32) * np.float32(exposure)
    sigma = np.sqrt(options.read_noise**2 + options.shot_noise * levels, dtype=np.float32)
    noise = _noise(rng, light.size).reshape(light.shape) * cv2.LUT(picture, sigma)
    return np.asarray(cv2.add(light, noise, dtype=cv2.CV_8U), np.uint8)


def measure_depth(
    depth: FloatImage, camera: Camera, options: SensorOptions, rng: np.random.Generator
) -> Millimetres:
    """Depth [H x W] in whole millimetres, 0 for none, from the exact one in metres."""
    noise = _noise(rng, depth.size).reshape(depth.shape)
    measured = depth + np.float32(options.depth_noise) * noise * depth * depth
    steepest = np.float32(np.tan(np.radians(min(options.depth_grazing_deg, 89.9))))
    seen = (depth > options.depth_nearest) & (depth < options.depth_furthest)
    for dx, dy, focal in ((1, 0, camera.fx), (0, 1, camera.fy)):
        slope = cv2.Sobel(depth, cv2.CV_32F, dx, dy, ksize=1, scale=0.5 * focal)
        seen &= np.abs(slope) < steepest * depth
    measured *= np.float32(1000.0)
    measured += np.float32(0.5)
    measured *= seen
    return np.asarray(np.clip(measured, 0, 65535), np.uint16)


@lru_cache(maxsize=4)
def _falloff(width: int, height: int, strength: float) -> FloatImage:
    x = (np.arange(width) - (width - 1) / 2) / (width / 2)
    y = (np.arange(height) - (height - 1) / 2) / (height / 2)
    loss = 1.0 - strength * (x**2 + y[:, None] ** 2) / 2
    return np.ascontiguousarray(np.repeat(loss[..., None], 3, axis=2).astype(np.float32))


@lru_cache(maxsize=1)
def _bank() -> FloatImage:
    return np.random.default_rng(20).standard_normal(BANK, dtype=np.float32)


def _noise(rng: np.random.Generator, count: int) -> FloatImage:
    """Normal noise [count]; drawing it anew for every frame would take as long as the rays."""
    if count > BANK // 2:
        return np.asarray(rng.standard_normal(count, dtype=np.float32))
    start = int(rng.integers(BANK - count))
    return _bank()[start : start + count]
