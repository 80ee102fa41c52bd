# SPDX-License-Identifier: Apache-2.0
"""The layout of the 7-Scenes dataset (Shotton et al., CVPR 2013).

``TrainSplit.txt`` and ``TestSplit.txt`` name the sequences; ``seq-XX/frame-NNNNNN`` has
``.color.png`` (or ``.jpg``), ``.depth.png`` (16 bit, millimetres, 0 and 65535 mean none) and
``.pose.txt`` (4 x 4, camera to world, metres) of the *depth* camera. Depth is not registered to
colour: here poses are moved to the colour camera, and depth is warped into it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dsac_core.data.pose_matrix import pose_matrix, read_pose_text
from dsac_core.data.register_depth import register_depth
from dsac_core.data.stored_frame import StoredFrame, StoredImage
from dsac_core.errors import DatasetError
from dsac_core.geometry.camera import Camera
from dsac_core.geometry.pose import invert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

COLOUR_CAMERA = Camera(width=640, height=480, fx=525.0, fy=525.0, cx=320.0, cy=240.0)
DEPTH_CAMERA = Camera(width=640, height=480, fx=585.0, fy=585.0, cx=320.0, cy=240.0)
# The published calibration of a Kinect that the field uses for this dataset.
COLOUR_T_DEPTH = np.array(
    [
        [0.99996518012567637, 0.0026765126468950343, -0.0079041012313000904, -0.025558943178152542],
        [
            -0.0027409311281316700,
            0.99996302803027592,
            -0.0081504520778013286,
            0.00010109636268061706,
        ],
        [0.0078819942130445332, 0.0081718328771890631, 0.99993554558014031, 0.0020318321729487039],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
FRAME_RATE = 30.0  # of the sensor, for stamps from frame numbers
NO_READING = (0, 65535)
_COLOUR_FILE = re.compile(r"frame-\d+\.color\.(png|jpg)$")
_SPLIT_FILES = {"train": "TrainSplit.txt", "test": "TestSplit.txt"}


class SevenScenes:
    """One scene in the 7-Scenes layout."""

    kind = "7-Scenes"

    def __init__(self, folder: Path) -> None:
        """Index the frames of both splits.

        Raises:
            DatasetError: A split names a missing sequence, or a frame lacks its pose.
        """
        self.name = folder.name
        self._frames = {
            split: _split_frames(folder, file)
            for split, file in _SPLIT_FILES.items()
            if (folder / file).is_file()
        }

    @staticmethod
    def recognises(folder: Path) -> bool:
        """Whether the folder has a split file of this layout."""
        return any((folder / file).is_file() for file in _SPLIT_FILES.values())

    def splits(self) -> tuple[str, ...]:
        """Those of train and test whose split file exists."""
        return tuple(self._frames)

    def count(self, split: str) -> int:
        """How many frames the split has."""
        return len(self._of(split))

    def poses(self, split: str) -> NDArray[np.float64]:
        """world_T_cam of each frame [N x 4 x 4]; no image is read for it."""
        return np.array([_pose_of(colour_file) for colour_file in self._of(split)])

    def has_depth(self) -> bool:
        """Whether images of depth lie beside those of colour."""
        files = (file for split in self._frames.values() for file in split)
        return any(_sibling(file, "depth.png").is_file() for file in files)

    def frames(
        self, split: str, *, indices: set[int] | None = None, with_depth: bool = False
    ) -> Iterator[StoredFrame]:
        """See ``Dataset.frames``."""
        for index, colour_file in enumerate(self._of(split)):
            if indices is None or index in indices:
                yield _read_frame(colour_file, with_depth=with_depth)

    def _of(self, split: str) -> list[Path]:
        if split not in self._frames:
            msg = f"{self.name} has no split '{split}', it has: {', '.join(self._frames)}"
            raise DatasetError(msg)
        return self._frames[split]


def _split_frames(folder: Path, split_file: str) -> list[Path]:
    colour_files: list[Path] = []
    for line in (folder / split_file).read_text().split():
        number = re.search(r"\d+$", line)
        if number is None:
            msg = f"{folder / split_file}: expected lines such as 'sequence1', got '{line}'"
            raise DatasetError(msg)
        sequence = folder / f"seq-{int(number.group()):02d}"
        found = sorted(file for file in sequence.glob("frame-*") if _COLOUR_FILE.match(file.name))
        if not found:
            msg = f"{folder / split_file} names {sequence.name}, which has no frame-*.color.png/jpg"
            raise DatasetError(msg)
        colour_files += found
    for colour_file in colour_files:
        if not _sibling(colour_file, "pose.txt").is_file():
            msg = (
                f"{colour_file} has no {_sibling(colour_file, 'pose.txt').name} beside it:"
                " mapping and evaluation need a pose for each image"
            )
            raise DatasetError(msg)
    return colour_files


def _sibling(colour_file: Path, ending: str) -> Path:
    return colour_file.with_name(f"{colour_file.name.split('.')[0]}.{ending}")


def _pose_of(colour_file: Path) -> NDArray[np.float64]:
    pose_file = _sibling(colour_file, "pose.txt")
    return pose_matrix(read_pose_text(pose_file), pose_file) @ invert(COLOUR_T_DEPTH)


def _read_frame(colour_file: Path, *, with_depth: bool) -> StoredFrame:
    image = cv2.imread(str(colour_file), cv2.IMREAD_COLOR)
    if image is None:
        msg = f"{colour_file} is not a readable image: replace or remove it"
        raise DatasetError(msg)
    height, width = image.shape[:2]
    if (width, height) != (COLOUR_CAMERA.width, COLOUR_CAMERA.height):
        msg = f"{colour_file} is {width}x{height}, but 7-Scenes images are 640x480"
        raise DatasetError(msg)
    sequence, name = colour_file.parent.name, colour_file.name.split(".")[0]
    return StoredFrame(
        name=f"{sequence}/{name}",
        stamp=int(name.split("-")[1]) / FRAME_RATE,
        image=np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8),
        camera=COLOUR_CAMERA,
        world_T_cam=_pose_of(colour_file),
        depth=_read_depth(_sibling(colour_file, "depth.png")) if with_depth else None,
        stored=StoredImage(colour_file.suffix, colour_file),
    )


def _read_depth(depth_file: Path) -> NDArray[np.float32]:
    millimetres = cv2.imread(str(depth_file), cv2.IMREAD_UNCHANGED)
    if millimetres is None or millimetres.dtype != np.uint16:
        msg = f"{depth_file} is not a readable 16 bit depth image"
        raise DatasetError(msg)
    depth = np.where(np.isin(millimetres, NO_READING), 0.0, millimetres / 1000.0)
    return register_depth(depth.astype(np.float32), DEPTH_CAMERA, COLOUR_CAMERA, COLOUR_T_DEPTH)
