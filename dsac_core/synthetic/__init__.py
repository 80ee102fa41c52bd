# SPDX-License-Identifier: Apache-2.0
"""A synthetic office: views with exact depth and poses, and walks as rosbag2 recordings."""

from __future__ import annotations

from dsac_core.synthetic.bags import is_written, write_walk
from dsac_core.synthetic.frames import CAMERA, BagOptions
from dsac_core.synthetic.odometry import OdometryOptions
from dsac_core.synthetic.options import RoomOptions
from dsac_core.synthetic.render import render_view
from dsac_core.synthetic.room import Room, make_room, office
from dsac_core.synthetic.sensor import SensorOptions
from dsac_core.synthetic.walk import WALKS, Walk, WalkOptions, walk_poses

__all__ = [
    "CAMERA",
    "WALKS",
    "BagOptions",
    "OdometryOptions",
    "Room",
    "RoomOptions",
    "SensorOptions",
    "Walk",
    "WalkOptions",
    "is_written",
    "make_room",
    "office",
    "render_view",
    "walk_poses",
    "write_walk",
]
