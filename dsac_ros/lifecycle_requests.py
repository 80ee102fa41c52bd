# SPDX-License-Identifier: Apache-2.0
"""Requests to the lifecycle that cannot be met."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle_msgs.srv import ChangeState
from rclpy._rclpy_pybind11 import RCLError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.lifecycle import LifecycleNode

    Answer = Callable[[ChangeState.Request, ChangeState.Response], ChangeState.Response]


def refuse_wrong_transitions(node: LifecycleNode) -> None:
    """Answer no to a transition that the state does not have, as to configure an active node.

    rclpy lets the error out of the executor, which ends the process.
    """
    for service in node.services:
        if service.srv_type is ChangeState:
            service.callback = _refusing(node, service.callback)


def _refusing(node: LifecycleNode, answer: Answer) -> Answer:
    def answer_or_refuse(
        request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        try:
            return answer(request, response)
        except RCLError:
            wanted = request.transition.label or f"transition {request.transition.id}"
            node.get_logger().warning(f"change_state: the node's state has no {wanted}")
            response.success = False
            return response

    return answer_or_refuse
