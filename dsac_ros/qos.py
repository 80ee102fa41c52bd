# SPDX-License-Identifier: Apache-2.0
"""QoS that users may override by parameters: ``qos_overrides./image.subscription.reliability``."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rclpy.exceptions import InvalidParameterTypeException
from rclpy.qos import qos_profile_sensor_data
from rclpy.qos_overriding_options import InvalidQosOverridesError, QoSOverridingOptions

from dsac_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rclpy.node import Node
    from rclpy.subscription import Subscription


def overridable() -> dict[str, Any]:
    """For ``create_publisher`` and ``create_subscription``: history, depth, and reliability."""
    return {"qos_overriding_options": QoSOverridingOptions.with_default_policies()}


def subscribe_to_sensor(
    node: Node, kind: type, topic: str, callback: Callable[[Any], None]
) -> Subscription:
    """A best-effort subscription with QoS that may be overridden."""
    # A copy: rclpy writes the overrides of one topic into the profile that it is given.
    qos = copy.copy(qos_profile_sensor_data)
    return node.create_subscription(kind, topic, callback, qos, **overridable())


@contextmanager
def checked_overrides() -> Iterator[None]:
    """While publishers and subscriptions are made.

    Raises:
        ConfigError: An override has a value that there is not.
    """
    try:
        yield
    except (InvalidQosOverridesError, InvalidParameterTypeException) as error:
        msg = f"qos_overrides: {error}"
        raise ConfigError(msg) from error
    except RuntimeError as error:  # rclpy's, for a policy that it does not know
        if "QoS" not in str(error):
            raise
        msg = f"qos_overrides: {error}"
        raise ConfigError(msg) from error
