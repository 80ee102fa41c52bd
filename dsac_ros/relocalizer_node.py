# SPDX-License-Identifier: Apache-2.0
"""The relocalizer's process: ``ros2 run dsac_ros relocalize --ros-args -p scene:=office``.

The node itself is in ``dsac_ros.node``. Importing it and PyTorch takes seconds, and taking PyTorch
apart again one more. A signal ends the process at once in all of that.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from dsac_ros.scene_change import Loader

_M_ARENA_MAX = -8  # of malloc.h
_SECONDS_BETWEEN_TRIMS = 60.0


def main(argv: Sequence[str] | None = None, load: Loader | None = None) -> NoReturn:
    """Run the node until it is interrupted, then end the process.

    It ends with 0 after SIGINT or SIGTERM, with 2 where the node cannot be configured.

    Args:
        argv: The command line, with the name of the program.
        load: Opens the scenes that the settings name (default: ``load_scenes``).
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)  # until ROS is up, see init_ros
    _keep_little_memory()
    from dsac_ros.node import run

    if load is None:
        # Not later, when ROS is up: a KeyboardInterrupt in PyTorch's import may abort the process.
        import dsac_core.relocalizer  # noqa: F401
        from dsac_ros.scene_loading import load_scenes

        load = load_scenes
    code = run(sys.argv if argv is None else argv, load)
    # Node, worker and DDS are closed. Python's own end would bring nothing but a wait.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _keep_little_memory() -> None:
    """Let glibc have two pools of memory, and give back once a minute what is free in them.

    By default every thread that loads a scene, with those that PyTorch starts for it, leaves a pool
    behind that hardly anything uses, and free memory between what is in use stays for ever:
    hundreds of megabytes, until they level off.
    """
    with suppress(OSError, AttributeError):  # not glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, 2)
        trim = libc.malloc_trim
        threading.Thread(target=_give_back, args=(trim,), name="memory", daemon=True).start()


def _give_back(trim: Callable[[int], int]) -> None:
    while True:
        time.sleep(_SECONDS_BETWEEN_TRIMS)
        trim(0)  # some milliseconds


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)


if __name__ == "__main__":
    main()
