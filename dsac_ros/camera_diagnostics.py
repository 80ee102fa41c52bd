# SPDX-License-Identifier: Apache-2.0
"""Whether images and their calibration come, and where to look when they do not."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsac_ros.diagnostics import Level, Report
from dsac_ros.rolling import RollingWindow

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass
class _Topic:
    """One subscription, as seen from here."""

    name: str
    parameter: str  # that names it
    what: str
    seen_at: float | None = None


class CameraDiagnostics:
    """Remembers when messages of one camera came. Safe to use from several threads.

    All times are seconds of one clock that does not go back, such as ``time.monotonic``.

    Args:
        image_topic: As it was resolved.
        info_topic: The same of its calibration.
        transport: ``raw`` or ``compressed``.
        depth_topic: Of the depth; empty where none is used.
        timeout: Seconds without a message until that is worth a warning.
        task: Name of the status.
    """

    def __init__(
        self,
        image_topic: str,
        info_topic: str,
        transport: str,
        depth_topic: str = "",
        timeout: float = 5.0,
        task: str = "camera",
    ) -> None:
        """Nothing came yet."""
        self._image = _Topic(image_topic, "image_topic", "image")
        self._info = _Topic(info_topic, "camera_info_topic", "camera_info")
        self._depth = _Topic(depth_topic, "depth_topic", "depth")
        self._topics = [self._image, self._info, *([self._depth] if depth_topic else [])]
        self._transport = transport
        self._timeout = timeout
        self._task = task
        self._frame_id = ""
        self._opened_at: float | None = None
        self._lock = threading.Lock()
        self._images = RollingWindow()

    def open(self, now: float) -> None:
        """Messages are looked at from now on."""
        with self._lock:
            self._opened_at = now
            self._images.clear()
            for topic in self._topics:
                topic.seen_at = None

    def shut(self) -> None:
        """Messages are not looked at any more."""
        with self._lock:
            self._opened_at = None

    def on_image(self, now: float, frame_id: str) -> None:
        """An image came."""
        with self._lock:
            self._images.add(now)
            self._image.seen_at = now
            self._frame_id = frame_id

    def on_camera_info(self, now: float) -> None:
        """A calibration came."""
        with self._lock:
            self._info.seen_at = now

    def on_depth(self, now: float) -> None:
        """Depth came."""
        with self._lock:
            self._depth.seen_at = now

    @property
    def topics(self) -> list[str]:
        """The topics that are watched."""
        return [topic.name for topic in self._topics]

    def rate(self, now: float) -> float:
        """Images per second."""
        with self._lock:
            return self._images.rate(now)

    def report(self, now: float, publishers: Mapping[str, int]) -> Report:
        """The status of the camera.

        Args:
            now: Seconds, as of the other calls.
            publishers: How many nodes publish on each of ``topics``.
        """
        with self._lock:
            level, message, hint = self._judge(now, publishers)
            values = {
                "image transport": self._transport,
                "image rate (Hz)": f"{self._images.rate(now):.2f}",
                "optical frame": self._frame_id or "none",
            }
            for topic in self._topics:
                values[f"{topic.what} topic"] = topic.name
                values[f"{topic.what} publishers"] = str(publishers[topic.name])
                values[f"time since last {topic.what} (s)"] = _age(topic.seen_at, now)
            if hint:
                values["hint"] = hint
            return Report(self._task, level, message, values)

    def _judge(self, now: float, publishers: Mapping[str, int]) -> tuple[Level, str, str]:
        if self._opened_at is None:
            return Level.STALE, "images are not looked at", ""
        for topic in self._topics:
            silent = now - max(self._opened_at, topic.seen_at or self._opened_at)
            if silent <= self._timeout:
                continue
            since = "yet" if topic.seen_at is None else f"for {silent:.0f} s"
            message = f"no {topic.what} {since} on {topic.name}"
            return Level.WARN, message, self._hint(topic, publishers[topic.name])
        if any(topic.seen_at is None for topic in self._topics):
            return Level.OK, "waiting for the camera", ""
        return Level.OK, f"images at {self._images.rate(now):.1f} Hz", ""

    def _hint(self, topic: _Topic, publishers: int) -> str:
        if publishers == 0:
            return (
                "nobody publishes on this topic: check that the camera runs, and the parameter"
                f" {topic.parameter} and the namespace with 'ros2 topic list'"
            )
        if topic is self._info:
            return "a publisher is there, but sends nothing: check the camera's driver"
        parameter = (
            f"image_transport {self._transport}" if topic is self._image else topic.parameter
        )
        return (
            "a publisher is there, but nothing arrives: check that it sends ('ros2 topic hz'), that"
            f" its type fits {parameter}, and that the middleware carries messages as large"
            " (config/fastdds.xml, or reliability by qos_overrides)"
        )


def _age(seen_at: float | None, now: float) -> str:
    return "none" if seen_at is None else f"{now - seen_at:.1f}"
