# SPDX-License-Identifier: Apache-2.0
"""A recording whose depth comes from a 3D model: the setting "RGB + 3D model" of DSAC*, Eq. 15."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.data.render_depth import render_depth
from dsac_core.errors import DatasetError
from dsac_core.geometry.camera import NO_DISTORTION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dsac_core.data.frame import Dataset, Frame
    from dsac_core.data.scene_model import SceneModel
    from dsac_core.geometry.camera import Camera

CHECKED_FRAMES = 20  # at the start of a split: do they see the model, and near by?
FURTHEST_MEDIAN = 500.0  # metres: a scene whose frames see it from further is not in metres
# Beyond a margin as wide as the image itself, the ideal image of a wide lens is left out.
WIDEST_MARGIN = 1.0
SMOOTH = 1.05  # neighbouring depths in this ratio are taken for one surface


class ModelledDataset:
    """A dataset whose frames have the depth of a model where they are asked for depth."""

    def __init__(self, dataset: Dataset, model: SceneModel) -> None:
        """Take the poses and images of ``dataset``, and the depth of ``model`` in their frame."""
        self.name = dataset.name
        self._dataset = dataset
        self._model = model
        self._views: dict[Camera, _View] = {}

    def splits(self) -> tuple[str, ...]:
        """Those of the recording."""
        return self._dataset.splits()

    def count(self, split: str) -> int:
        """How many frames the split has."""
        return self._dataset.count(split)

    def frames(
        self, split: str, *, indices: set[int] | None = None, with_depth: bool = False
    ) -> Iterator[Frame]:
        """See ``Dataset.frames``; depth is the model's, at the pixels of the (distorted) image.

        Raises:
            DatasetError: As the recording does; or the first 20 frames (all, where a split has
                fewer) see nothing of the model, or see it from further than half a kilometre.
        """
        found = self._dataset.frames(split, indices=indices)
        if not with_depth:
            yield from found
            return
        checked = min(CHECKED_FRAMES, self.count(split))
        medians: list[float] = []  # of the first frames; nan where one sees nothing
        for frame in found:
            depth_HW = self._depth(frame)
            if len(medians) < checked:
                seen = depth_HW[depth_HW > 0]
                medians.append(float(np.median(seen)) if seen.size else np.nan)
                if len(medians) == checked:
                    self._check(np.array(medians))
            yield replace(frame, depth=depth_HW)

    def _depth(self, frame: Frame) -> NDArray[np.float32]:
        if not frame.camera.is_distorted:
            return render_depth(self._model, frame.camera, frame.world_T_cam)
        if frame.camera not in self._views:
            self._views[frame.camera] = _view(frame.camera)
        view = self._views[frame.camera]
        return view.look_up(render_depth(self._model, view.ideal, frame.world_T_cam))

    def _check(self, medians: NDArray[np.float64]) -> None:
        seen = medians[~np.isnan(medians)]
        if seen.size == 0:
            msg = (
                f"{self.name}: the first {len(medians)} frames see nothing of the 3D model; model"
                " and poses do not seem to be in the same frame or unit (both must be in metres):"
                " move or scale the model"
            )
            raise DatasetError(msg)
        if np.median(seen) > FURTHEST_MEDIAN:
            msg = (
                f"{self.name}: the first {len(medians)} frames see the 3D model"
                f" {np.median(seen):.0f} m away; model and poses do not seem to be in the same"
                " unit (both must be in metres, is one in millimetres?): scale it"
            )
            raise DatasetError(msg)


@dataclass(frozen=True)
class _View:
    """Where the pixels of a distorted image lie in an ideal image that is large enough for them."""

    ideal: Camera
    row_HW: NDArray[np.int64]  # of the pixel of the ideal image up and left of the place
    column_HW: NDArray[np.int64]
    down_HW: NDArray[np.float64]  # from that pixel to the place, 0 to 1
    right_HW: NDArray[np.float64]
    inside_HW: NDArray[np.bool_]  # whether there is such a place in the ideal image

    def look_up(self, depth_IJ: NDArray[np.float32]) -> NDArray[np.float32]:
        """Depth [H x W] of the distorted image from that [I x J] of the ideal one.

        On a plane 1/z is affine in the image, so there it is interpolated; between surfaces, and
        where nothing is seen beside the place, the nearest pixel of the ideal image counts.
        """
        row, column, down, right = self.row_HW, self.column_HW, self.down_HW, self.right_HW
        four_4HW = np.stack([depth_IJ[row + i, column + j] for i in (0, 1) for j in (0, 1)])
        nearest = np.where(
            down < 0.5,
            np.where(right < 0.5, four_4HW[0], four_4HW[1]),
            np.where(right < 0.5, four_4HW[2], four_4HW[3]),
        )
        smooth = (four_4HW.min(axis=0) > 0) & (four_4HW.max(axis=0) < SMOOTH * four_4HW.min(axis=0))
        inverse_4HW = 1.0 / np.where(smooth, four_4HW, 1.0)
        upper = inverse_4HW[0] + right * (inverse_4HW[1] - inverse_4HW[0])
        lower = inverse_4HW[2] + right * (inverse_4HW[3] - inverse_4HW[2])
        depth = np.where(smooth, 1.0 / (upper + down * (lower - upper)), nearest)
        return np.where(self.inside_HW, depth, 0.0).astype(np.float32)


def _view(camera: Camera) -> _View:
    """The ideal camera of the same K and no distortion, with the margins that the image needs."""
    width, height = camera.width, camera.height
    y, x = np.mgrid[0:height, 0:width]
    pixels_N2 = np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float64)
    u_HW, v_HW = camera.undistort(pixels_N2).T.reshape(2, height, width)
    margin_x, margin_y = WIDEST_MARGIN * width, WIDEST_MARGIN * height
    with np.errstate(invalid="ignore"):
        inside = (u_HW >= -margin_x) & (u_HW <= width - 1 + margin_x)
        inside &= (v_HW >= -margin_y) & (v_HW <= height - 1 + margin_y)
    u_HW, v_HW = np.where(inside, u_HW, camera.cx), np.where(inside, v_HW, camera.cy)
    left, top = int(np.floor(u_HW.min())), int(np.floor(v_HW.min()))
    ideal = replace(
        camera,
        width=int(np.floor(u_HW.max())) - left + 2,
        height=int(np.floor(v_HW.max())) - top + 2,
        cx=camera.cx - left,
        cy=camera.cy - top,
        distortion_model=NO_DISTORTION,
        distortion=(),
    )
    column, row = np.floor(u_HW).astype(np.int64), np.floor(v_HW).astype(np.int64)
    return _View(ideal, row - top, column - left, v_HW - row, u_HW - column, inside)
