# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 side: the relocalization node and the replay of bags.

The logic is in plain classes that import no ROS. The path is extended because the interfaces,
generated as ``dsac_ros.msg``, may lie in another folder than these sources.
"""

__path__ = __import__("pkgutil").extend_path(__path__, __name__)
