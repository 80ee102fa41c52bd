# SPDX-License-Identifier: Apache-2.0
"""Small images on disk, for the layouts that readers read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dsac_core.errors import DsacError

WIDTH, HEIGHT = 32, 24


def write_image(file: Path, seed: int = 0, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A colour image of noise, returned as RGB."""
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), image[..., ::-1])
    return image


def write_values(file: Path, values: np.ndarray) -> None:
    """An image of one channel: depth, or gray."""
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), values)


def error_of(act: Callable[[], Any]) -> str:
    """The one line that a user is told."""
    with pytest.raises(DsacError) as caught:
        act()
    message = str(caught.value)
    assert "\n" not in message
    return message
