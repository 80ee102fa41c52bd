# SPDX-License-Identifier: Apache-2.0
"""The health of the localization, in the terms of ROS's diagnostics."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from dsac_ros.rolling import RollingWindow
from dsac_ros.state import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from dsac_ros.image_records import Outcome
    from dsac_ros.stamps import Verdict

    FloatArray = NDArray[np.float64]


class Level(IntEnum):
    """The numbers of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True)
class Report:
    """One status of a DiagnosticArray."""

    task: str
    level: Level
    message: str
    values: dict[str, str] = field(default_factory=dict)
    hardware_id: str = "none"  # as with nodes that are no driver; it must never change


class _Seen:
    """What became of the images since the last reset."""

    def __init__(self, window: float) -> None:
        self.worked = RollingWindow(window)
        self.fixes = RollingWindow(window)
        self.stages: dict[str, RollingWindow] = {}
        self.skipped = 0
        self.last: Outcome | None = None
        self.fixed_at: float | None = None
        self.covariance: FloatArray | None = None


class LocalizationDiagnostics:
    """Remembers what became of the images of the last seconds. Safe to use from several threads.

    All times are seconds of one clock that does not go back, such as ``time.monotonic``.

    Args:
        scene: Name of the scene map; may be replaced.
        device: Where the network runs.
        window: Seconds over which rates and latencies are taken.
    """

    def __init__(self, scene: str, device: str, window: float = 10.0) -> None:
        """Nothing seen yet."""
        self.scene = scene
        self._device = device
        self._window = window
        self._lock = threading.Lock()
        self._seen = _Seen(window)

    def record(self, outcome: Outcome, latency: float, now: float) -> None:
        """One image was worked on, ``latency`` seconds from its arrival to its pose, or skipped."""
        with self._lock:
            seen = self._seen
            if outcome.skipped:
                seen.skipped += 1
                return
            seen.worked.add(now, latency)
            for stage, seconds in outcome.timings.items():
                seen.stages.setdefault(stage, RollingWindow(self._window)).add(now, seconds)
            seen.last = outcome
            if outcome.localized:
                seen.fixes.add(now)
                seen.fixed_at = now
                seen.covariance = outcome.covariance

    def reset(self) -> None:
        """Forget everything, as after a jump of the clock or with another scene."""
        with self._lock:
            self._seen = _Seen(self._window)

    def report(
        self,
        now: float,
        state: State,
        *,
        image_rate: float,
        received: int,
        drops: Mapping[str, int],
    ) -> Report:
        """The status ``localization``.

        Args:
            now: Seconds, as of ``record``.
            state: Of the node.
            image_rate: Images that arrive per second.
            received: Images since the node was activated.
            drops: How many of them were not looked at, by reason.
        """
        with self._lock:
            level, message = self._judge(now, state)
            values = {
                "state": state.name,
                "scene": self.scene,
                "device": self._device,
                "image rate (Hz)": f"{image_rate:.2f}",
                "processing rate (Hz)": f"{self._seen.worked.rate(now):.2f}",
                "localization rate (Hz)": f"{self._seen.fixes.rate(now):.2f}",
                "time since last fix (s)": _number(self._since_fix(now), ".1f"),
                **self._last_values(),
                **self._latencies(now),
                "images received": str(received),
                "images skipped": str(self._seen.skipped),
                "images dropped": str(sum(drops.values())),
                **{f"images dropped: {reason}": str(count) for reason, count in drops.items()},
            }
        return Report("localization", level, message, values)

    def _judge(self, now: float, state: State) -> tuple[Level, str]:
        reason = "no image was looked at yet" if self._seen.last is None else self._seen.last.reason
        if state is State.LOCALIZED:
            return Level.OK, "localized"
        if state is State.PAUSED:
            return Level.WARN, "paused: images are not looked at"
        if state is State.SEARCHING:
            return Level.WARN, f"searching: {reason}"
        age = self._since_fix(now)
        ago = "" if age is None else f", last fix {age:.0f} s ago"
        return Level.ERROR, f"lost{ago}: {reason}"

    def _since_fix(self, now: float) -> float | None:
        return None if self._seen.fixed_at is None else now - self._seen.fixed_at

    def _last_values(self) -> dict[str, str]:
        position, rotation = _deviations(self._seen.covariance)
        values = {
            "sigma of the last fix, position (m)": _number(position, ".3f"),
            "sigma of the last fix, rotation (deg)": _number(rotation, ".2f"),
        }
        if self._seen.last is None:
            return values
        values["reason"] = self._seen.last.reason
        estimate = self._seen.last.estimate
        if estimate is not None:
            values["inliers"] = str(estimate.inliers)
            values["correspondences"] = str(estimate.correspondences)
            values["score"] = f"{estimate.score:.3f}"
            values["confidence"] = _number(estimate.confidence, ".2f")
        return values

    def _latencies(self, now: float) -> dict[str, str]:
        values: dict[str, str] = {}
        for stage, window in {"total": self._seen.worked, **self._seen.stages}.items():
            for name, seconds in zip(
                ("p50", "p95"), window.percentiles(now, (50, 95)), strict=True
            ):
                values[f"latency {stage} {name} (ms)"] = _number(1000 * seconds, ".1f")
        return values


def count_drops(stamps: Mapping[Verdict, int], replaced: int) -> dict[str, int]:
    """Images that nobody looked at, by reason in words.

    Args:
        stamps: The counts of a StampFilter.
        replaced: How many a Mailbox dropped for newer ones.
    """
    refused = {v.value: count for v, count in stamps.items() if count and not v.usable}
    return {"a newer one came": replaced, **dict(sorted(refused.items()))}


def _deviations(covariance: FloatArray | None) -> tuple[float | None, float | None]:
    """Standard deviations along the least certain axes: position in m, rotation in degrees."""
    if covariance is None:
        return None, None
    position = math.sqrt(max(0.0, np.linalg.eigvalsh(covariance[:3, :3])[-1]))
    rotation = math.sqrt(max(0.0, np.linalg.eigvalsh(covariance[3:, 3:])[-1]))
    return position, math.degrees(rotation)


def _number(value: float | None, style: str) -> str:
    return "none" if value is None or not math.isfinite(value) else format(value, style)
