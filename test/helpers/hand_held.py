# SPDX-License-Identifier: Apache-2.0
"""A camera that is moved about by hand in the synthetic office: it turns and moves every way."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from recordings import Recording
from scipy.spatial.transform import Rotation

from dsac_core.data.frame import Frame
from dsac_core.synthetic import CAMERA, office, render_view, walk_poses

RATE = 10.0  # images per second


@lru_cache(maxsize=1)
def hand_held_frames(count: int = 32, size: tuple[int, int] = (320, 240)) -> tuple[Frame, ...]:
    """Views with exact poses and depth; neighbours overlap, and the way is not even."""
    room = office()
    begin = walk_poses("mapping", room.options).world_T_cam[0]
    camera = CAMERA.scaled(*size)
    frames = []
    for index, t in enumerate(np.linspace(0.0, 2.0 * np.pi, count)):
        offset = [0.5 * np.sin(t), 0.25 * np.sin(2.0 * t), 0.3 * np.sin(3.0 * t)]
        turn = [0.2 * np.sin(2.0 * t + 1.0), 0.3 * np.sin(t + 0.5), 0.25 * np.cos(3.0 * t)]
        moved = np.eye(4)
        moved[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
        moved[:3, 3] = offset
        world_T_cam = begin @ moved
        image, depth = render_view(room, camera, world_T_cam)
        frames.append(Frame(f"{index}", index / RATE, image, camera, world_T_cam, depth))
    return tuple(frames)


def hand_held_recording() -> Recording:
    """All of them."""
    return Recording(list(hand_held_frames()))
