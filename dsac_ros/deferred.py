# SPDX-License-Identifier: Apache-2.0
"""Services that answer later, from any thread.

A coroutine would be rclpy's own way, but only some of its executors wait for one.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rclpy._rclpy_pybind11 import InvalidHandle, RCLError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.service import Service


class Deferred:
    """What a service's callback returns whose response comes later."""

    def __init__(self) -> None:
        """No response yet, and nobody to send it to."""
        self._lock = threading.Lock()
        self._response: Any = None
        self._send: Callable[[Any], None] | None = None

    def set_result(self, response: Any) -> None:
        """The response, once, from any thread."""
        with self._lock:
            self._response, send = response, self._send
        if send is not None:
            send(response)

    def send_by(self, send: Callable[[Any], None]) -> None:
        """How to send it: at once where it is there already."""
        with self._lock:
            self._send, response = send, self._response
        if response is not None:
            send(response)


def allow_deferred(service: Service) -> None:
    """Let the callback of a service return a ``Deferred`` in place of its response."""
    send_now = service.send_response

    def send_late(response: Any, header: Any) -> None:
        # The node may be gone by then, and whoever asked knows that from its absence.
        with suppress(InvalidHandle, RCLError):
            send_now(response, header)

    def send(response: Any, header: Any) -> None:
        if isinstance(response, Deferred):
            response.send_by(lambda later: send_late(later, header))
        else:
            send_now(response, header)

    service.send_response = send
