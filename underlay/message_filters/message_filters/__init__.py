# SPDX-License-Identifier: Apache-2.0
"""The part of message_filters that our node uses, for machines without ROS.

Names, signatures and semantics are those of message_filters in ROS 2 Jazzy;
test/ros/test_underlay_message_filters.py says which, and runs against either.
"""

from message_filters.filters import SimpleFilter, Subscriber
from message_filters.synchronizers import ApproximateTimeSynchronizer, TimeSynchronizer

__all__ = ["ApproximateTimeSynchronizer", "SimpleFilter", "Subscriber", "TimeSynchronizer"]
