# SPDX-License-Identifier: Apache-2.0
"""The relocalizer's process: ``ros2 run dsac_ros relocalize --ros-args -p scene:=office``.

The node itself is in ``dsac_ros.node``. Importing it and PyTorch takes seconds, and taking PyTorch
apart again one more. A signal ends the process at once in all of that.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from dsac_ros.process_memory import keep_giving_back, keep_one_pool

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from dsac_ros.scene_change import Loader


def main(argv: Sequence[str] | None = None, load: Loader | None = None) -> NoReturn:
    """Run the node until it is interrupted, then end the process.

    It ends with 0 after SIGINT or SIGTERM, with 2 where the node cannot be configured.

    Args:
        argv: The command line, with the name of the program.
        load: Opens the scenes that the settings name (default: ``load_scenes``).
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)  # until ROS is up, see init_ros
    keep_one_pool()
    from dsac_ros.node import run

    if load is None:
        # Not later, when ROS is up: a KeyboardInterrupt in PyTorch's import may abort the process.
        import dsac_core.relocalizer  # noqa: F401
        from dsac_ros.scene_loading import load_scenes

        load = load_scenes
    keep_giving_back()
    code = run(sys.argv if argv is None else argv, load)
    # Node, worker and DDS are closed. Python's own end would bring nothing but a wait.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)


if __name__ == "__main__":
    main()
