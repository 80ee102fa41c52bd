# SPDX-License-Identifier: Apache-2.0
"""Poses, cameras, projection: pure functions that everything else stands on.

A pose ``a_T_b`` maps points of frame b into frame a. Lengths are metres, angles radians, image
positions pixels whose centre (0, 0) is that of the first pixel, as in ROS and OpenCV.
"""
