# SPDX-License-Identifier: Apache-2.0
"""The tree of frames: who is whose parent, and the transform between any two at a time."""

from __future__ import annotations

from tf2_ros.exceptions import (
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
)
from tf2_ros.rigid import IDENTITY, Rigid, compose, invert
from tf2_ros.timeline import MovingTimeline, Sample, StaticTimeline

MAX_DEPTH = 1000


class Tree:
    """Frames and their timelines. Not thread-safe: Buffer holds the lock."""

    def __init__(self, cache_time: int) -> None:
        self._cache_time = cache_time
        self._timelines: dict[str, StaticTimeline | MovingTimeline] = {}
        self._frames: set[str] = set()

    def insert(self, child: str, sample: Sample, *, static: bool) -> bool:
        timeline = self._timelines.get(child)
        if timeline is None or isinstance(timeline, StaticTimeline) != static:
            timeline = StaticTimeline() if static else MovingTimeline(self._cache_time)
            self._timelines[child] = timeline
        self._frames.update((child, sample.parent))
        return timeline.insert(sample)

    def clear(self) -> None:
        """Forget what moves. Frame names and static transforms stay."""
        for timeline in self._timelines.values():
            timeline.clear()

    def lookup(self, target: str, source: str, time: int) -> tuple[Rigid, int]:
        """target_T_source and the time it holds for; a TransformException when there is none."""
        if target == source:
            return IDENTITY, time or self._latest_stamp(target)
        for argument, frame in (("target_frame", target), ("source_frame", source)):
            self._check(argument, frame)
        if time == 0:
            time = self._latest_common_time(target, source)
        return self._walk(target, source, time), time

    def _check(self, argument: str, frame: str) -> None:
        if not frame or frame.startswith("/"):
            rule = "start with a '/'" if frame else "be empty"
            raise InvalidArgumentException(
                f'Invalid argument "{frame}" passed to lookupTransform argument {argument} - '
                f"in tf2 frame_ids cannot {rule}"
            )
        if frame not in self._frames:
            raise LookupException(
                f'"{frame}" passed to lookupTransform argument {argument} does not exist. '
            )

    def _latest_stamp(self, frame: str) -> int:
        timeline = self._timelines.get(frame)
        latest = timeline.latest() if timeline else None
        return latest.stamp if latest else 0

    def _chain(self, frame: str, stop: str) -> list[tuple[str, int]]:
        """(frame, stamp of its latest transform) from a frame up to stop or the root.

        The last entry is stop or the root itself, with stamp 0.
        """
        chain: list[tuple[str, int]] = []
        while frame != stop:
            timeline = self._timelines.get(frame)
            latest = timeline.latest() if timeline else None
            if latest is None:
                break
            chain.append((frame, latest.stamp))
            frame = latest.parent
            if len(chain) > MAX_DEPTH:
                raise LookupException("The tf tree is invalid because it contains a loop.")
        chain.append((frame, 0))
        return chain

    def _latest_common_time(self, target: str, source: str) -> int:
        """The newest time for which every transform between the two frames is known."""
        from_source = self._chain(source, target)
        if from_source[-1][0] == target:
            return min((stamp for _, stamp in from_source if stamp), default=0)
        from_target = self._chain(target, source)
        if from_target[-1][0] == source:
            return min((stamp for _, stamp in from_target if stamp), default=0)
        on_source_side = {frame for frame, _ in from_source}
        meeting = next((frame for frame, _ in from_target if frame in on_source_side), None)
        if meeting is None:
            raise _unconnected(target, source)
        stamps = []
        for chain in (from_source, from_target):
            for frame, stamp in chain:
                if frame == meeting:
                    break
                stamps.append(stamp)
        return min((stamp for stamp in stamps if stamp), default=0)

    def _walk(self, target: str, source: str, time: int) -> Rigid:
        """Both frames up to their first common ancestor, at one time."""
        top_T_source, missing = self._climb(source, target, time)
        if target in top_T_source:
            return top_T_source[target]
        top_T_target, target_missing = self._climb(target, None, time, top_T_source)
        top = next(reversed(top_T_target))
        if top in top_T_source:
            return compose(invert(top_T_target[top]), top_T_source[top])
        # The paths did not meet: for lack of data at that time, or of a connection.
        missing = target_missing or missing
        if missing is None:
            raise _unconnected(target, source)
        raise ExtrapolationException(
            f"{missing}, when looking up transform from frame [{source}] to frame [{target}]"
        )

    def _climb(
        self, frame: str, stop: str | None, time: int, meet: dict[str, Rigid] | None = None
    ) -> tuple[dict[str, Rigid], ExtrapolationException | None]:
        """ancestor_T_frame for every ancestor up to stop, to one in meet, or to the root.

        Also says why it ended early, when a transform had no data for that time.
        """
        ancestor_T_frame = {frame: IDENTITY}
        here = frame
        while here != stop and not (meet and here in meet):
            timeline = self._timelines.get(here)
            if timeline is None:
                break
            try:
                sample = timeline.at(time)
            except ExtrapolationException as error:
                return ancestor_T_frame, error
            if sample.parent in ancestor_T_frame:
                raise LookupException("The tf tree is invalid because it contains a loop.")
            moved = compose(sample.parent_T_child, ancestor_T_frame[here])
            here = sample.parent
            ancestor_T_frame[here] = moved
        return ancestor_T_frame, None


def _unconnected(target: str, source: str) -> ConnectivityException:
    return ConnectivityException(
        f"Could not find a connection between '{target}' and '{source}' because they are not part "
        "of the same tree.Tf has two or more unconnected trees."
    )
