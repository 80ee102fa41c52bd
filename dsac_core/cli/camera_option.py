# SPDX-License-Identifier: Apache-2.0
"""``--camera``: a calibration from a file, from numbers, or from the map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dsac_core.data.corner_camera import centred_camera
from dsac_core.errors import CameraError, ConfigError
from dsac_core.geometry.camera import NO_DISTORTION, Camera
from dsac_core.geometry.camera_yaml import camera_from_yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

_COUNTS = (1, 4, 8, 9)
_SAME_RATIO = 0.01  # relative, as a size is rounded to whole pixels


@dataclass(frozen=True)
class CameraOption:
    """The camera of images of any size, as far as it is known for them."""

    words: str  # where it comes from
    calibrated: Camera | None = None  # for one size
    numbers: Sequence[float] = ()  # for the size of the image, whatever it is
    resized: bool = False

    def of(self, width: int, height: int) -> Camera:
        """The camera of an image of so many pixels.

        Raises:
            CameraError: The calibration is for another size, or is none.
        """
        if self.calibrated is None:
            return _of_numbers(self.numbers, width, height)
        camera = self.calibrated
        if (width, height) == (camera.width, camera.height):
            return camera
        sizes = f"the image is {width}x{height}, {self.words} is for {camera.width}x{camera.height}"
        ratio = (width * camera.height) / (height * camera.width)
        if abs(ratio - 1) > _SAME_RATIO:
            msg = f"{sizes}, of another aspect ratio: name its own calibration with --camera"
            raise CameraError(msg)
        if not self.resized:
            msg = (
                f"{sizes}: name its own calibration with --camera, or say --resized if it is the"
                " whole image in another size"
            )
            raise CameraError(msg)
        return camera.scaled(width, height)


def camera_option(text: str | None, of_map: Camera, *, resized: bool) -> CameraOption:
    """What ``--camera`` says; the map's camera where it says nothing.

    Raises:
        ConfigError: It is neither a file nor a list of numbers that is as long as one.
        CameraError: The file is no calibration, or the numbers cannot be one.
    """
    if text is None:
        return CameraOption("the camera of the map", of_map, resized=resized)
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        return CameraOption(text, camera_from_yaml(Path(text).expanduser()), resized=resized)
    if len(numbers) not in _COUNTS:
        msg = (
            f"--camera '{text}' has {len(numbers)} numbers: expected a focal length 'f', or"
            " 'fx,fy,cx,cy', or 'fx,fy,cx,cy,k1,k2,p1,p2[,k3]', or a YAML file"
        )
        raise ConfigError(msg)
    if resized:
        msg = "--resized needs the size that was calibrated: name a YAML file with --camera"
        raise ConfigError(msg)
    option = CameraOption(f"--camera {text}", numbers=numbers)
    option.of(640, 480)  # refused now, if no image could have it
    return option


def _of_numbers(numbers: Sequence[float], width: int, height: int) -> Camera:
    if len(numbers) == 1:
        return centred_camera(width, height, numbers[0])
    fx, fy, cx, cy, *distortion = numbers
    model = "plumb_bob" if any(distortion) else NO_DISTORTION
    coefficients = tuple(distortion) if any(distortion) else ()
    return Camera(width, height, fx, fy, cx, cy, model, coefficients)
