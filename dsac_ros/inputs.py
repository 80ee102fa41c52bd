# SPDX-License-Identifier: Apache-2.0
"""What the node receives, from one camera or several, in one mailbox."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from dsac_ros.camera_stream import CameraStream
from dsac_ros.mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.node import Node

    from dsac_ros.camera_diagnostics import CameraDiagnostics
    from dsac_ros.camera_stream import Arrival
    from dsac_ros.image_records import Frame
    from dsac_ros.parameters import Settings
    from dsac_ros.stamps import Verdict


class Inputs:
    """The subscriptions of one configured node.

    Args:
        node: Owns the subscriptions.
        settings: The node's parameters.
        on_reset: Called when the stamps jumped back, before the first image after the jump.
    """

    def __init__(self, node: Node, settings: Settings, on_reset: Callable[[], None]) -> None:
        """Subscribe, to all or to nothing; images are ignored until ``open``."""
        self._mailbox: Mailbox[Arrival] | None = None
        self._streams: dict[str, CameraStream] = {}
        try:
            for camera in settings.cameras or ("",):
                stream = CameraStream(node, settings, camera, self._keep, on_reset)
                self._streams[camera] = stream
        except Exception:
            self.close()
            raise
        streams = self._streams.values()
        self.image_topic = ", ".join(stream.image_topic for stream in streams)
        self.info_topic = ", ".join(stream.info_topic for stream in streams)

    def open(self) -> Mailbox[Arrival]:
        """From now on the newest image of each camera waits in the mailbox that this returns."""
        self._mailbox = Mailbox()
        for stream in self._streams.values():
            stream.open()
        return self._mailbox

    def apply(self, settings: Settings) -> None:
        """Go on with other settings."""
        for stream in self._streams.values():
            stream.apply(settings)

    def shut(self) -> None:
        """Ignore images again."""
        for stream in self._streams.values():
            stream.shut()
        self._mailbox = None

    def reset(self) -> None:
        """Forget what waits and which stamps were seen, as after a jump of the clock."""
        for stream in self._streams.values():
            stream.reset()
        if self._mailbox is not None:
            self._mailbox.clear()

    def close(self) -> None:
        """Unsubscribe."""
        self.shut()
        for stream in self._streams.values():
            stream.close()

    @property
    def cameras(self) -> list[CameraDiagnostics]:
        """What each camera sends."""
        return [stream.diagnostics for stream in self._streams.values()]

    @property
    def replaced(self) -> int:
        """Images since ``open`` that a newer one took the place of."""
        return self._mailbox.dropped if self._mailbox else 0

    def frame(self, arrival: Arrival) -> Frame:
        """What the pipeline needs of an image."""
        return self._streams[arrival.camera].frame(arrival)

    @property
    def verdicts(self) -> Counter[Verdict]:
        """Images since ``open``, by what their stamps said."""
        return sum((stream.stamps.counts for stream in self._streams.values()), Counter())

    @property
    def received(self) -> int:
        """Images since ``open``."""
        return self.verdicts.total()

    @property
    def dropped(self) -> int:
        """Those of them that nobody worked on."""
        stopped = sum(stream.stamps.dropped for stream in self._streams.values())
        return stopped + (self._mailbox.dropped if self._mailbox else 0)

    def _keep(self, arrival: Arrival) -> None:
        if self._mailbox is not None:
            self._mailbox.put(arrival, arrival.camera)
