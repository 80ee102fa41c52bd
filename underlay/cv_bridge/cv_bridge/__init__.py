# SPDX-License-Identifier: Apache-2.0
"""The part of cv_bridge that our node uses, for machines without ROS.

Names, signatures, exceptions and semantics are those of cv_bridge in ROS 2 Jazzy;
test/ros/test_underlay_cv_bridge.py says which, and runs against either.
"""

from cv_bridge.core import CvBridge, CvBridgeError

__all__ = ["CvBridge", "CvBridgeError"]
