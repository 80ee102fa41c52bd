# SPDX-License-Identifier: Apache-2.0
"""The diagnostics of one configured node: of its localization and of its cameras."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from dsac_ros.diagnostic_messages import DiagnosticPublisher
from dsac_ros.diagnostics import LocalizationDiagnostics, count_drops

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rclpy.node import Node

    from dsac_ros.camera_diagnostics import CameraDiagnostics
    from dsac_ros.diagnostics import Report
    from dsac_ros.image_records import Outcome
    from dsac_ros.stamps import Verdict
    from dsac_ros.state import State


class Sources(Protocol):
    """Where images come from: dsac_ros.inputs.Inputs."""

    @property
    def cameras(self) -> Sequence[CameraDiagnostics]:
        """What each camera sends."""

    @property
    def verdicts(self) -> Mapping[Verdict, int]:
        """Images since activation, by what their stamps said."""

    @property
    def replaced(self) -> int:
        """Images since activation that a newer one took the place of."""

    @property
    def received(self) -> int:
        """Images since activation."""


class Health:
    """Publishes /diagnostics for as long as it is open.

    Args:
        node: Owns the publisher.
        sources: Where images come from.
        state: The state now.
        device: Where the networks run.
        scenes: Names of the scene maps.
    """

    def __init__(
        self,
        node: Node,
        sources: Sources,
        state: Callable[[], State],
        device: str,
        scenes: Sequence[str],
    ) -> None:
        """Start at once."""
        self._node, self._sources, self._state = node, sources, state
        self._localization = LocalizationDiagnostics(", ".join(scenes), device)
        self._publisher = DiagnosticPublisher(node, self.reports)

    def record(self, outcome: Outcome, latency: float) -> None:
        """One image came to this, ``latency`` seconds after its arrival."""
        self._localization.record(outcome, latency, time.monotonic())

    def reset(self, scenes: Sequence[str] = ()) -> None:
        """Forget what was, as after a jump of the clock, or with other scenes."""
        if scenes:
            self._localization.scene = ", ".join(scenes)
        self._localization.reset()

    def reports(self) -> list[Report]:
        """Everything, as of now."""
        now, sources = time.monotonic(), self._sources
        localization = self._localization.report(
            now,
            self._state(),
            image_rate=sum(camera.rate(now) for camera in sources.cameras),
            received=sources.received,
            drops=count_drops(sources.verdicts, sources.replaced),
        )
        count = self._node.count_publishers
        cameras = [
            camera.report(now, {topic: count(topic) for topic in camera.topics})
            for camera in sources.cameras
        ]
        return [localization, *cameras]

    def close(self) -> None:
        """Stop."""
        self._publisher.close()
