# SPDX-License-Identifier: Apache-2.0
"""Visual relocalization by scene coordinate regression and differentiable RANSAC, without ROS.

The public names load on first use, so that ``dsac --help`` does not wait for PyTorch.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dsac_core.geometry.camera import Camera
    from dsac_core.ransac.correspondences import Correspondences
    from dsac_core.relocalizer import PoseEstimate, Relocalizer
    from dsac_core.scene.scene_map import SceneMap

# OpenMP reads it when PyTorch loads it. By default threads spin while they wait for each other; as
# soon as other programs want the cores too, that takes time from the thread that has the work: a
# pose on two threads then takes ten times as long. Asleep at once they take as long to wake up as a
# layer of a head takes to compute; so they spin for some hundredths of a millisecond (GNU's).
if os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE").upper() == "PASSIVE":
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")

__version__ = "0.1.0"
__all__ = ["Camera", "Correspondences", "PoseEstimate", "Relocalizer", "SceneMap", "__version__"]

_HOME = {
    "Camera": "dsac_core.geometry.camera",
    "Correspondences": "dsac_core.ransac.correspondences",
    "PoseEstimate": "dsac_core.relocalizer",
    "Relocalizer": "dsac_core.relocalizer",
    "SceneMap": "dsac_core.scene.scene_map",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        msg = f"module 'dsac_core' has no attribute '{name}'"
        raise AttributeError(msg)
    return getattr(import_module(_HOME[name]), name)
