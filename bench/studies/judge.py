# SPDX-License-Identifier: Apache-2.0
"""A map's poses against the truth, whatever the map itself thinks of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dsac_core.data.frame import Frame
from dsac_core.evaluation.metrics import FrameResult, Summary, summarize
from dsac_core.geometry.pose import invert, pose_error
from dsac_core.ransac.config import RGB_RANSAC, RGBD_RANSAC
from dsac_core.ransac.estimate import estimate_poses
from dsac_core.ransac.selection import Selection
from dsac_core.regression import make_regressor
from dsac_core.scene.scene_map import SceneMap
from dsac_core.training.init_loss import Setting

Row = dict[str, object]
RECALLS = ("recall_10cm_5deg", "recall_5cm_5deg", "recall_2cm_2deg", "recall_1cm_1deg")
RECALL_TITLES = {
    "recall_10cm_5deg": "10 cm, 5°",
    "recall_5cm_5deg": "5 cm, 5°",
    "recall_2cm_2deg": "2 cm, 2°",
    "recall_1cm_1deg": "1 cm, 1°",
}
_MAX_CELLS = 2500  # of a fast map, as the relocalizer has it


@dataclass(frozen=True)
class Judge:
    """Judges maps on one device."""

    device: torch.device

    def __call__(
        self,
        scene: SceneMap,
        frames: Sequence[Frame],
        setting: Setting,
        selection: Selection = "argmax",
    ) -> Row:
        """Recall and medians over frames; a frame without a pose is infinitely wrong.

        RANSAC is as in training. With the setting RGB-D, poses are
        from the frames' depth, else from their images alone.
        """
        regressor = make_regressor(scene, self.device, _MAX_CELLS)
        with_depth = setting == "rgbd"
        results = []
        for index, frame in enumerate(frames):
            depth = frame.depth if with_depth else None
            regressed = regressor(frame.image, frame.camera, depth)
            result = estimate_poses(
                regressed.correspondences(with_depth=with_depth),
                RGBD_RANSAC if with_depth else RGB_RANSAC.at_height(regressed.camera.height),
                torch.Generator().manual_seed(index),
                scorer=regressed.scorer,
                selection=selection,
            )
            distance, angle = math.inf, math.inf
            if result.found_B[0]:
                cam_T_world = np.eye(4)
                cam_T_world[:3] = result.cam_T_world_B34[0].double().cpu().numpy()
                distance, angle = pose_error(invert(cam_T_world), frame.world_T_cam)
            results.append(FrameResult(frame.name, True, distance, angle, 0.0))
        return figures(summarize(results))


def figures(summary: Summary) -> Row:
    """As the tables and plots have them."""
    return {
        "frames": summary.frames,
        **{f"recall_{name}": share for name, share in summary.recall.items()},
        "median_cm": summary.median_translation_cm,
        "median_deg": summary.median_rotation_deg,
    }
