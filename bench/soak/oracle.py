# SPDX-License-Identifier: Apache-2.0
"""Judges everything that the node says by what the robot sent. No ROS is needed here.

Times are seconds of one clock, at which a message came; stamps are nanoseconds of the images.
Different topics are not ordered among each other, so what depends on two of them is judged a little
later.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field

import numpy as np

from dsac_core.geometry.pose import pose_error
from dsac_ros.frames import is_honest
from dsac_ros.state import State

WRONG_METRES, WRONG_DEGREES = 0.25, 10.0
ODOMETRY_KEPT = 150  # positions of the robot; more than it has in lost_after
STAMPS_KEPT = 3000
EARLY = 0.5  # s that map -> odom may come before the status of the same image
MOST_TOLD = 50  # violations in words; the rest are counted
FORGETTING = 15.0  # s that a node may take to start over where it has to


@dataclass
class Interval:
    """From when to when the node said LOCALIZED."""

    start: float
    end: float
    closed: bool = False


@dataclass
class Oracle:
    """What the node may say now.

    Args:
        lost_after: The node's parameter, s.
        margin: How much later than that LOST may be told, s; a busy machine needs more.
    """

    lost_after: float
    margin: float = 2.0
    fault: str = "start"
    holding: bool = False  # the node may stay LOCALIZED without new fixes
    violations: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    errors: list[tuple[float, float]] = field(default_factory=list)  # m, degrees
    state: State = State.SEARCHING
    last_accept: float = -math.inf

    def __post_init__(self) -> None:
        self._truth: OrderedDict[int, np.ndarray | None] = OrderedDict()
        self._localized: OrderedDict[int, bool] = OrderedDict()
        self._robot: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=ODOMETRY_KEPT)
        self._intervals: deque[Interval] = deque(maxlen=50)
        self._waiting_poses: deque[tuple[float, int]] = deque()
        self._waiting_transforms: deque[float] = deque()
        self._searched = False  # since it was last not localized, an image did not count
        self._forgotten = -math.inf
        self._silent_since = math.inf

    def violate(self, what: str) -> None:
        self.counts["violations"] += 1
        if len(self.violations) < MOST_TOLD:
            self.violations.append(f"{self.fault}: {what}")

    def sent(self, stamp: int, map_T_base: np.ndarray | None) -> None:
        """An image with this stamp was sent; None where no pose of it can be right.

        One that is sent again is still of where it was taken.
        """
        self._truth.setdefault(stamp, map_T_base)
        _shorten(self._truth)

    def moved(self, map_T_base: np.ndarray, odom_T_base: np.ndarray) -> None:
        """The robot is here, and its odometry says so."""
        self._robot.append((map_T_base, odom_T_base))

    def forget(self, now: float) -> None:
        """Whatever state the node was in, it may have started over at ``now``."""
        self._forgotten = now

    def silence(self, now: float) -> None:
        """From now on the node is paused or not active: not one pose until ``listen``."""
        self._silent_since = now
        self._close(now)

    def listen(self, now: float) -> None:
        self._silent_since = math.inf
        self._searched = True  # a saved pose may be a prior, by which the first fix counts
        self.forget(now)

    def on_pose(
        self, stamp: int, map_T_base: np.ndarray, covariance: np.ndarray, now: float
    ) -> None:
        self.counts["poses"] += 1
        self._waiting_poses.append((now, stamp))
        if now > self._silent_since + self.margin:
            self.violate("a pose although the node is paused or not active")
        if not is_honest(covariance):
            self.violate(f"a pose with the covariance {np.diag(covariance)}")
        if stamp not in self._truth:
            self.violate(f"a pose of an image that was never sent, stamp {stamp}")
            return
        truth = self._truth[stamp]
        if truth is None:
            self.violate("a pose of an image that does not show the place")
            return
        metres, degrees = _error(map_T_base, truth)
        self.errors.append((metres, degrees))
        if _is_wrong(metres, degrees):
            self.violate(f"a pose that is wrong by {metres:.2f} m and {degrees:.1f} deg")

    def on_status(
        self, stamp: int, state: State, localized: bool, latency: float, now: float
    ) -> None:
        self.counts["statuses"] += 1
        self.counts[f"images {state.name}"] += 1
        self._localized[stamp] = localized or self._localized.get(stamp, False)
        _shorten(self._localized)
        if stamp not in self._truth:
            self.violate(f"a status of an image that was never sent, stamp {stamp}")
        if localized and state is not State.LOCALIZED:
            self.violate(f"an image is localized, and the state is {state.name}")
        since = now - self.last_accept
        too_long = since > self.lost_after + self.margin + latency
        if localized:
            self.latencies.append(latency)
            if too_long and not self._searched:
                self.violate("the first fix after a long time counts at once")
            self.last_accept = now - latency
            self._open(self.last_accept, now)
        elif state is State.LOCALIZED:
            if too_long and not self.holding:
                self.violate(f"still LOCALIZED {since:.1f} s after the last fix")
        else:
            self._searched = True
            self._close(now)
            early = since < self.lost_after - self.margin
            unasked = now - self._forgotten > FORGETTING
            if state is State.LOST and early and unasked:
                self.violate(f"LOST {since:.1f} s after a fix")
            if state is State.SEARCHING and self.state in (State.LOCALIZED, State.LOST) and unasked:
                self.violate(f"{self.state.name} -> SEARCHING without a reason")
        if localized:
            self._searched = False
        self.state = state

    def on_transform(self, map_T_odom: np.ndarray, now: float) -> None:
        self.counts["transforms"] += 1
        self._waiting_transforms.append(now)
        # The newest fits, unless the odometry has just jumped and the node does not know yet.
        for map_T_base, odom_T_base in reversed(self._robot):
            metres, degrees = _error(map_T_odom @ odom_T_base, map_T_base)
            if not _is_wrong(metres, degrees):
                return
        self.violate("map -> odom that is true for no time of the last seconds")

    def judge(self, now: float) -> None:
        """Judge what had to wait for other topics."""
        while self._waiting_poses and self._waiting_poses[0][0] < now - self.margin:
            _, stamp = self._waiting_poses.popleft()
            if stamp not in self._localized:
                self.counts["poses without a status"] += 1
            elif not self._localized[stamp]:
                self.violate("a pose of an image whose status says that it is not localized")
        while self._waiting_transforms and self._waiting_transforms[0] < now - self.margin:
            came = self._waiting_transforms.popleft()
            if not any(self._covers(interval, came) for interval in self._intervals):
                self.violate("map -> odom although the node is not LOCALIZED")

    def _covers(self, interval: Interval, time: float) -> bool:
        end = interval.end
        if not interval.closed:
            end = math.inf if self.holding else end + self.lost_after
        return interval.start - EARLY <= time <= end + self.margin

    def _open(self, start: float, now: float) -> None:
        if self._intervals and not self._intervals[-1].closed:
            self._intervals[-1].end = now
        else:
            self._intervals.append(Interval(start, now))

    def _close(self, now: float) -> None:
        if self._intervals and not self._intervals[-1].closed:
            interval = self._intervals[-1]
            interval.end = min(now, interval.end + self.lost_after + self.margin)
            interval.closed = True


def _is_wrong(metres: float, degrees: float) -> bool:
    return not (metres <= WRONG_METRES and degrees <= WRONG_DEGREES)


def _error(estimate: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    if not np.isfinite(estimate).all():
        return math.inf, math.inf
    metres, radians = pose_error(estimate, truth)
    return metres, math.degrees(radians)


def _shorten(table: OrderedDict[int, object]) -> None:
    while len(table) > STAMPS_KEPT:
        table.popitem(last=False)
