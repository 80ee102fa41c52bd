# SPDX-License-Identifier: Apache-2.0
"""Which executor runs the node, and that services may answer later under each of them."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest


@pytest.mark.usefixtures("ros")
@pytest.mark.parametrize("events", [True, False])
def test_a_service_may_answer_later(monkeypatch: pytest.MonkeyPatch, events: bool) -> None:
    """From another thread; meanwhile others are answered."""
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.node import Node
    from std_srvs.srv import Trigger

    from dsac_ros.deferred import Deferred, allow_deferred
    from dsac_ros.executor import make_executor

    if not events:
        monkeypatch.setitem(sys.modules, "rclpy.experimental", None)
    executor: Any = make_executor()
    assert isinstance(executor, SingleThreadedExecutor) is not events
    later = [Deferred(), Deferred()]
    waiting = iter(later)

    def answer_later(_request: Trigger.Request, _response: Trigger.Response) -> Deferred:
        return next(waiting)

    def answer_now(_request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.message = "now"
        return response

    node = Node("server")
    for name, callback in (("later", answer_later), ("now", answer_now)):
        allow_deferred(node.create_service(Trigger, name, callback))
    clients = {name: node.create_client(Trigger, name) for name in ("later", "now")}
    executor.add_node(node)

    def spin_until(future: Any) -> Any:
        for _ in range(1000):
            if future.done():
                break
            executor.spin_once(timeout_sec=0.01)
        return future.result()

    try:
        for client in clients.values():
            assert client.wait_for_service(10.0)
        # There before it is asked for, and after.
        later[0].set_result(Trigger.Response(success=True, message="first"))
        assert spin_until(clients["later"].call_async(Trigger.Request())).message == "first"
        waits = clients["later"].call_async(Trigger.Request())
        assert spin_until(clients["now"].call_async(Trigger.Request())).message == "now"
        assert not waits.done()
        answered = Trigger.Response(success=True, message="second")
        thread = threading.Thread(target=later[1].set_result, args=(answered,))
        thread.start()
        assert spin_until(waits).message == "second"
        thread.join()
    finally:
        executor.shutdown()
        node.destroy_node()


@pytest.mark.usefixtures("ros")
def test_an_answer_to_a_service_that_is_gone_is_not_sent() -> None:
    from rclpy.node import Node
    from std_srvs.srv import Trigger

    from dsac_ros.deferred import Deferred, allow_deferred

    node, later = Node("server"), Deferred()
    service = node.create_service(Trigger, "later", lambda _request, response: response)
    allow_deferred(service)
    service.send_response(later, None)
    node.destroy_node()
    later.set_result(Trigger.Response())  # raises nothing
