# SPDX-License-Identifier: Apache-2.0
"""The images of a recording, in order, rendered here or by several processes side by side.

A process is a fresh interpreter that runs `dsac_core.synthetic.worker` and renders every n-th pair.
(multiprocessing would import the caller's main script again, which is not safe for scripts such as
those that `ros2 run` starts.)
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import dsac_core
from dsac_core.errors import ConfigError, DatasetError
from dsac_core.geometry.camera import Camera
from dsac_core.synthetic import messages
from dsac_core.synthetic.noise import stream
from dsac_core.synthetic.odometry import OdometryOptions
from dsac_core.synthetic.render import render_view
from dsac_core.synthetic.room import Room
from dsac_core.synthetic.sensor import SensorOptions, expose, measure_depth
from dsac_core.synthetic.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    Pair = tuple[messages.Message, messages.Message]

CAMERA = Camera(width=640, height=480, fx=525.0, fy=525.0, cx=319.5, cy=239.5)
_ENDED = "a process that renders ended early (out of memory?); try fewer with --processes"


@dataclass(frozen=True)
class BagOptions:
    """What a recording is made with, beside the room and the walk."""

    camera: Camera = CAMERA
    sensor: SensorOptions = field(default_factory=SensorOptions)
    odometry: OdometryOptions = field(default_factory=OdometryOptions)
    processes: int = 1  # more than one render side by side, in processes of their own

    def __post_init__(self) -> None:
        """Refuse less than one process."""
        if self.processes < 1:
            msg = f"processes must be at least 1, got {self.processes}"
            raise ConfigError(msg)


@dataclass(frozen=True)
class Job:
    """Everything that decides about the images of a recording."""

    room: Room
    walk: Walk
    options: BagOptions
    start: int  # stamp of the first image, nanoseconds

    def pair(self, index: int) -> Pair:
        """Colour and depth of image ``index``. Depends on nothing that was rendered before."""
        camera, sensor = self.options.camera, self.options.sensor
        rng = stream(self.room.options.seed, "sensor", self.walk.name, index)
        rgb, depth = render_view(self.room, camera, self.walk.world_T_cam[index])
        time = float(self.walk.image_times[index])
        stamp = self.start + messages.nanoseconds(time - float(self.walk.times[0]))
        colour = expose(rgb, camera, sensor, rng, time)
        ranges = measure_depth(depth, camera, sensor, rng)
        return (
            messages.image_message(colour, stamp, messages.IMAGE),
            messages.image_message(ranges, stamp, messages.DEPTH),
        )


def frames(job: Job, count: int) -> Iterator[Pair]:
    """The first ``count`` pairs of images, in order.

    Raises:
        DatasetError: A worker ended before its work was done.
    """
    processes = min(job.options.processes, count)
    if processes <= 1:
        yield from map(job.pair, range(count))
        return
    whole = pickle.dumps(job, protocol=pickle.HIGHEST_PROTOCOL)
    with ExitStack() as stack:
        workers = [stack.enter_context(_Worker()) for _ in range(processes)]
        # All are started before the first is given its job: they load their modules meanwhile.
        for number, worker in enumerate(workers):
            worker.begin(whole, range(number, count, processes))
        for index in range(count):
            yield workers[index % processes].receive()


class _Worker:
    """One process that renders; it is ended when the context is left."""

    def __enter__(self) -> _Worker:
        environment = dict(os.environ)
        here = str(Path(dsac_core.__file__).parents[1])
        rest = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = here + (os.pathsep + rest if rest else "")
        for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            environment[threads] = "1"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dsac_core.synthetic.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):  # what was not sent yet goes nowhere
                cast("BinaryIO", pipe).close()

    def begin(self, job: bytes, indices: range) -> None:
        try:
            entrance = cast("BinaryIO", self.process.stdin)
            entrance.write(job)
            pickle.dump(indices, entrance)
            entrance.flush()
        except OSError as error:
            raise DatasetError(_ENDED) from error

    def receive(self) -> Pair:
        try:
            return cast("Pair", pickle.load(cast("BinaryIO", self.process.stdout)))
        except (EOFError, pickle.UnpicklingError) as error:
            raise DatasetError(_ENDED) from error
