# SPDX-License-Identifier: Apache-2.0
"""Where the camera of a bag was: by a track of some frame of the robot, or by TF alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.data.bag_poses import PoseTrack, TrackBuilder
from dsac_core.data.bag_reader import messages, sort_messages
from dsac_core.data.bag_topics import TF
from dsac_core.data.bag_transforms import TransformTree, plain
from dsac_core.data.stamped_text import TUM, read_stamped_poses
from dsac_core.errors import DatasetError
from dsac_core.geometry.trajectory import MAX_GAP

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from numpy.typing import NDArray
    from rosbags.highlevel import AnyReader

    from dsac_core.data.bag_topics import BagTopics, TopicChooser
    from dsac_core.data.bag_transforms import TransformChain
    from dsac_core.geometry.trajectory import Trajectory

WORLD_FRAMES = ("map", "odom", "world")  # REP-105, and what SLAM calls it


@dataclass(frozen=True)
class CameraPoses:
    """world_T_cam over time."""

    words: str  # where it comes from
    chain: TransformChain  # body_T_cam; world_T_cam where there is no track
    track: Trajectory | None = None  # world_T_body

    def at(self, stamp: int) -> NDArray[np.float64] | None:
        """The pose [4 x 4] at a time in nanoseconds; None where it is not known."""
        body_T_cam = self.chain.at(stamp)
        if self.track is None or body_T_cam is None:
            return body_T_cam
        world_T_body = self.track.at(stamp)
        return None if world_T_body is None else np.asarray(world_T_body @ body_T_cam)


def read_camera_poses(
    reader: AnyReader,
    chooser: TopicChooser,
    topics: BagTopics,
    camera_frame: str,
    takers: Mapping[str, Callable[[Any], None]],
    stamped: str,
) -> tuple[CameraPoses, list[int]]:
    """The poses, and the stamps of the images, from one pass through the bag.

    Args:
        reader: Of the open bag.
        chooser: Of its topics.
        topics: What the user said.
        camera_frame: Of the images.
        takers: Of messages on other topics, called in the same pass.
        stamped: The topic of the images.

    Raises:
        DatasetError: There are no poses, or nothing joins them to the camera.
    """
    tree = TransformTree()
    if topics.poses is not None:
        static = {f"{TF}_static": tree.add_static}
        stamps = sort_messages(reader, {**takers, **static}, stamped)
        track = PoseTrack(read_stamped_poses(Path(topics.poses), TUM).with_max_gap(MAX_GAP), "")
        return _of_track(reader, track, topics.poses, topics, tree, camera_frame), stamps
    topic = chooser.pose()
    if chooser.is_tf(topic):
        both = {topic: tree.add, f"{topic}_static": tree.add_static}
        stamps = sort_messages(reader, {**takers, **both}, stamped)
        return _of_tree(tree, topic, topics, camera_frame), stamps
    builder = TrackBuilder(topic)
    own = {topic: builder.add, f"{TF}_static": tree.add_static}
    stamps = sort_messages(reader, {**takers, **own}, stamped)
    return _of_track(reader, builder.track(), topic, topics, tree, camera_frame), stamps


def _of_track(
    reader: AnyReader,
    track: PoseTrack,
    source: str,
    topics: BagTopics,
    tree: TransformTree,
    camera_frame: str,
) -> CameraPoses:
    body = plain(topics.pose_frame or track.body_frame or camera_frame)
    words = f"poses of '{body}' from {source}"
    try:
        return CameraPoses(words, tree.chain(body, camera_frame), track.world_T_body)
    except DatasetError:
        pass  # a head that turns is in /tf, which is large
    for message in messages(reader, TF):
        tree.add(message)
    try:
        return CameraPoses(words, tree.chain(body, camera_frame), track.world_T_body)
    except DatasetError as error:
        msg = (
            f"{error}, the frames of the poses and of the images: record /tf_static (and /tf where"
            " the camera turns), or name the frame of the poses with --pose-frame"
        )
        raise DatasetError(msg) from None


def _of_tree(tree: TransformTree, topic: str, topics: BagTopics, camera_frame: str) -> CameraPoses:
    above = tree.ancestors(camera_frame)
    listed = ", ".join(f"'{frame}'" for frame in above)
    world = plain(topics.world_frame or above[-1])
    if topics.world_frame is None and world.rsplit("/", 1)[-1] not in WORLD_FRAMES:
        msg = (
            f"the root of the images' frames on {topic}, '{world}', is none of"
            f" {', '.join(WORLD_FRAMES)}: choose one of {listed} with --world-frame, or name poses"
            " with --pose-topic"
        )
        raise DatasetError(msg)
    try:
        chain = tree.chain(world, camera_frame)
    except DatasetError as error:
        msg = f"{error}, the frame of the images: choose one of {listed} with --world-frame"
        raise DatasetError(msg) from None
    if not chain.moves:
        msg = (
            f"no transform on {topic} moves '{camera_frame}', the frame of the images, in"
            f" '{world}': record {topic}, or name poses with --pose-topic"
        )
        raise DatasetError(msg)
    return CameraPoses(f"poses of the camera in '{world}' from {topic}", chain)
