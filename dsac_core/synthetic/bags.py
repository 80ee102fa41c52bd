# SPDX-License-Identifier: Apache-2.0
"""One walk through a room as one rosbag2 recording (MCAP), as a robot would have made it."""

from __future__ import annotations

import hashlib
import heapq
from pathlib import Path
from typing import TYPE_CHECKING

from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import Reader, ReaderError, StoragePlugin, Writer

from dsac_core.errors import DatasetError
from dsac_core.files import replacing_directory
from dsac_core.synthetic import messages
from dsac_core.synthetic.frames import BagOptions, Job, frames
from dsac_core.synthetic.odometry import measure
from dsac_core.synthetic.walk import IMAGE_EVERY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dsac_core.synthetic.options import RoomOptions
    from dsac_core.synthetic.room import Room
    from dsac_core.synthetic.walk import Walk

START = 1_760_000_000 * 10**9  # stamp of the first image of a mapping walk, nanoseconds
LATER = 3600 * 10**9  # the other walks come an hour after
RECIPE = "dsac_synthetic"  # key under which a recording keeps what it was made from
VERSION = 1  # counts up when the same options begin to give other images


def write_walk(
    out_dir: Path | str,
    room: Room,
    walk: Walk,
    options: BagOptions | None = None,
    *,
    name: str | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write ``out_dir/office_<walk>`` (or ``out_dir/name``) and return its path.

    A recording that is there whole, made from the same options, is left as it is. The new one is
    written beside it and moved into place when it is whole. ``progress`` is called with the number
    of images done and of all.

    Raises:
        DatasetError: Something else is at that place, or it cannot be written to.
    """
    options = options or BagOptions()
    target = Path(out_dir) / (name or f"office_{walk.name}")
    recipe = _recipe(room.options, walk, options)
    if not overwrite and is_written(out_dir, room.options, walk, options, name=name):
        return target
    try:
        with replacing_directory(target, make=False) as unfinished:
            start = START + (0 if walk.name == "mapping" else LATER)
            _write(unfinished, Job(room, walk, options, start), recipe, progress)
    except OSError as error:
        msg = f"cannot write the recording {target}: {error.strerror or error}"
        raise DatasetError(msg) from error
    return target


def is_written(
    out_dir: Path | str, room: RoomOptions, walk: Walk, options: BagOptions, *,
    name: str | None = None,
) -> bool:  # fmt: skip
    """Whether `write_walk` would find its work done, to be asked before a room is built for it.

    Raises:
        DatasetError: Something else is at that place.
    """
    target = Path(out_dir) / (name or f"office_{walk.name}")
    if not target.exists():
        return False
    _check_same(target, _recipe(room, walk, options))
    return True


def _recipe(room: RoomOptions, walk: Walk, options: BagOptions) -> str:
    """A fingerprint of everything that decides about the content of a recording."""
    parts = (VERSION, room, walk.name, walk.times[[0, -1]].tolist(), options.camera,
             walk.options, options.sensor, options.odometry)  # fmt: skip
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _check_same(target: Path, recipe: str) -> None:
    try:
        with Reader(target):
            metadata = (target / "metadata.yaml").read_text()
    except (ReaderError, OSError, AssertionError):
        msg = f"{target} is there but is no whole recording; remove it or pass --overwrite"
        raise DatasetError(msg) from None
    if f"{RECIPE}: {recipe}" not in metadata:
        msg = f"{target} was made with other settings; choose another folder or pass --overwrite"
        raise DatasetError(msg)


def _write(path: Path, job: Job, recipe: str, progress: Callable[[int, int], None] | None) -> None:
    odometry = measure(job.walk, job.options.odometry)
    states = messages.state_messages(job.walk, odometry, job.options.camera, job.start)
    count = (len(job.walk.times) + IMAGE_EVERY - 1) // IMAGE_EVERY
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        writer.set_custom_data(RECIPE, recipe)
        connections = {
            topic: writer.add_connection(
                topic, kind, typestore=messages.typestore(),
                offered_qos_profiles=[_qos(topic == messages.TF_STATIC)],
            )
            for topic, kind in messages.TYPES.items()
        }  # fmt: skip
        images = _counted(frames(job, count), progress, count)
        for message in heapq.merge(
            sorted(states, key=lambda m: m.received), images, key=lambda m: m.received
        ):
            writer.write(connections[message.topic], message.received, message.data)


def _counted(
    pairs: Iterator[tuple[messages.Message, messages.Message]],
    progress: Callable[[int, int], None] | None,
    count: int,
) -> Iterator[messages.Message]:
    for done, pair in enumerate(pairs, start=1):
        yield from pair
        if progress is not None:
            progress(done, count)


def _qos(latched: bool) -> Qos:
    never = QosTime(9223372036, 854775807)
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1 if latched else 10,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=never,
        lifespan=never,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=never,
        avoid_ros_namespace_conventions=False,
    )
