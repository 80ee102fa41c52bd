# SPDX-License-Identifier: Apache-2.0
"""One walk through a room as one rosbag2 recording (MCAP), as a robot would have made it."""

from __future__ import annotations

import hashlib
import heapq
import shutil
import tempfile
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
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
from dsac_core.geometry.camera import Camera
from dsac_core.synthetic import messages
from dsac_core.synthetic.noise import stream
from dsac_core.synthetic.odometry import OdometryOptions, measure
from dsac_core.synthetic.render import render_view
from dsac_core.synthetic.room import Room
from dsac_core.synthetic.sensor import SensorOptions, expose, measure_depth
from dsac_core.synthetic.walk import IMAGE_EVERY, Walk, WalkOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START = 1_760_000_000 * 10**9  # stamp of the first image of a mapping walk, nanoseconds
LATER = 3600 * 10**9  # the other walks come an hour after
CAMERA = Camera(width=640, height=480, fx=525.0, fy=525.0, cx=319.5, cy=239.5)
RECIPE = "dsac_synthetic"  # key under which a recording keeps what it was made from
VERSION = 1  # counts up when the same options begin to give other images


@dataclass(frozen=True)
class BagOptions:
    """What a recording is made with, beside the room and the walk."""

    camera: Camera = CAMERA
    walk: WalkOptions = field(default_factory=WalkOptions)  # for the mounting of the camera
    sensor: SensorOptions = field(default_factory=SensorOptions)
    odometry: OdometryOptions = field(default_factory=OdometryOptions)
    processes: int = 1  # more than one renders in processes of their own


@dataclass(frozen=True)
class _Job:
    """Everything that decides about the images of a recording."""

    room: Room
    walk: Walk
    options: BagOptions
    start: int

    def frame(self, index: int) -> tuple[messages.Message, messages.Message]:
        """Colour and depth of image ``index``. Depends on nothing that was rendered before."""
        camera, sensor = self.options.camera, self.options.sensor
        rng = stream(self.room.options.seed, "sensor", self.walk.name, index)
        rgb, depth = render_view(self.room, camera, self.walk.world_T_cam[index])
        time = float(self.walk.image_times[index] - self.walk.times[0])
        stamp = self.start + messages.nanoseconds(time)
        colour = expose(rgb, camera, sensor, rng, float(self.walk.image_times[index]))
        ranges = measure_depth(depth, camera, sensor, rng)
        return (
            messages.image_message(colour, stamp, messages.IMAGE),
            messages.image_message(ranges, stamp, messages.DEPTH),
        )


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
    of images done and of all. With several processes, call this from a module that can be imported
    (multiprocessing starts fresh interpreters).

    Raises:
        DatasetError: Something else is at that place, or it cannot be written to.
    """
    options = options or BagOptions()
    target = Path(out_dir) / (name or f"office_{walk.name}")
    recipe = _recipe(room, walk, options)
    if target.exists() and not overwrite:
        _check_same(target, recipe)
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=target.parent) as folder:
            unfinished = Path(folder) / target.name
            start = START + (0 if walk.name == "mapping" else LATER)
            _write(unfinished, _Job(room, walk, options, start), recipe, progress)
            if target.exists():
                shutil.rmtree(target)
            unfinished.rename(target)
    except OSError as error:
        msg = f"cannot write the recording {target}: {error.strerror or error}"
        raise DatasetError(msg) from error
    return target


def _recipe(room: Room, walk: Walk, options: BagOptions) -> str:
    """A fingerprint of everything that decides about the content of a recording."""
    parts = (VERSION, room.options, walk.name, walk.times[[0, -1]].tolist(), options.camera,
             options.walk, options.sensor, options.odometry)  # fmt: skip
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


def _write(path: Path, job: _Job, recipe: str, progress: Callable[[int, int], None] | None) -> None:
    odometry = measure(job.walk, job.options.odometry)
    states = messages.state_messages(
        job.walk, odometry, job.options.camera, job.options.walk, job.start
    )
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
        images = _counted(_frames(job, count), progress, count)
        for message in heapq.merge(
            sorted(states, key=lambda m: m.received), images, key=lambda m: m.received
        ):
            writer.write(connections[message.topic], message.received, message.data)


def _counted(
    frames: Iterator[tuple[messages.Message, messages.Message]],
    progress: Callable[[int, int], None] | None,
    count: int,
) -> Iterator[messages.Message]:
    for done, pair in enumerate(frames, start=1):
        yield from pair
        if progress is not None:
            progress(done, count)


def _frames(job: _Job, count: int) -> Iterator[tuple[messages.Message, messages.Message]]:
    """The images in order; several processes work ahead, but never far."""
    processes = min(job.options.processes, count)
    if processes <= 1:
        yield from map(job.frame, range(count))
        return
    with ProcessPoolExecutor(
        processes, get_context("spawn"), initializer=_start_worker, initargs=(job,)
    ) as pool:
        waiting: deque[Future[tuple[messages.Message, messages.Message]]] = deque()
        for index in range(count):
            waiting.append(pool.submit(_work, index))
            if len(waiting) >= 4 * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


_job: _Job | None = None  # of this worker process


def _start_worker(job: _Job) -> None:
    global _job
    cv2.setNumThreads(1)
    _job = job


def _work(index: int) -> tuple[messages.Message, messages.Message]:
    assert _job is not None
    return _job.frame(index)


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
