# SPDX-License-Identifier: Apache-2.0
"""A filter hands messages to callbacks; a Subscriber is the filter at a topic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class SimpleFilter:
    def __init__(self) -> None:
        self.callbacks: dict[int, tuple[Callable[..., Any], tuple[Any, ...]]] = {}

    def registerCallback(self, cb: Callable[..., Any], *args: Any) -> int:
        """cb(message, ..., *args) for every output; returns the number of the connection."""
        connection = len(self.callbacks)
        self.callbacks[connection] = (cb, args)
        return connection

    def signalMessage(self, *msg: Any) -> None:
        for cb, args in self.callbacks.values():
            cb(*msg, *args)


class Subscriber(SimpleFilter):
    """Takes what Node.create_subscription takes, after the node and without the callback."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.node, _, self.topic = args[:3]
        kwargs.setdefault("qos_profile", 10)
        self.sub = self.node.create_subscription(*args[1:], self.callback, **kwargs)

    def callback(self, msg: Any) -> None:
        self.signalMessage(msg)

    def getTopic(self) -> str:
        return str(self.topic)
