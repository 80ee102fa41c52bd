# SPDX-License-Identifier: Apache-2.0
"""The relocalization node. It only wires.

Callbacks put messages into a mailbox, the worker's thread does the work and publishes, a timer
repeats map -> odom.
"""

from __future__ import annotations

import gc
import sys
import traceback
from typing import TYPE_CHECKING

import rclpy
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.exceptions import NameValidationException
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

from dsac_core.errors import DsacError
from dsac_ros.executor import make_executor
from dsac_ros.lifecycle_requests import refuse_wrong_transitions
from dsac_ros.ros_init import ignore_signals, init_ros, note_signals
from dsac_ros.ros_parameters import NodeParameters
from dsac_ros.scene_loading import load_scenes
from dsac_ros.services import Services
from dsac_ros.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rclpy.lifecycle import LifecycleState
    from rclpy.time import TimeJump

    from dsac_ros.parameters import Settings
    from dsac_ros.scene_change import Loader

# Python lets a thread wait 5 ms for another one. The work on an image is a thousand short calls
# into PyTorch, each of which hands over to the executor's thread and has to come back.
THREAD_SWITCH_INTERVAL = 0.0002  # s
WAKE_PERIOD = 0.2  # s: Python handles a signal only when the executor comes back


class RelocalizerNode(LifecycleNode):
    """Camera images in, the robot's pose in the map out.

    Args:
        load: Opens the scenes that the settings name.

    Raises:
        ConfigError: A parameter has a value that cannot work.
    """

    def __init__(self, load: Loader = load_scenes) -> None:
        """Declare the parameters; everything else waits for ``configure``."""
        super().__init__("relocalizer")
        self._load = load
        self._session: Session | None = None
        self._settings_table = NodeParameters(self, self._on_settings)
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(
                min_forward=None, min_backward=Duration(seconds=-1), on_clock_change=True
            ),
            post_callback=self._on_clock_jump,
        )
        Services(self, lambda: self._session)
        refuse_wrong_transitions(self)

    @property
    def autostart(self) -> bool:
        """Whether to become active without being told."""
        return self._settings_table.settings.autostart

    def start(self) -> bool:
        """Configure and activate; False where that failed (the log says why)."""
        success = TransitionCallbackReturn.SUCCESS
        return bool(self.trigger_configure() == success and self.trigger_activate() == success)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the scene and subscribe; where that cannot work, log why and fail."""
        settings = self._settings_table.settings
        try:
            self._session = Session(self, settings, self._load)
        except DsacError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        except NameValidationException as error:  # of a topic; the last of three lines points at it
            self.get_logger().error(" ".join(str(error).split()[:-1]))
            return TransitionCallbackReturn.FAILURE
        except Exception:  # rclpy would swallow it
            self.get_logger().error(traceback.format_exc())
            raise
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to localize."""
        result = super().on_activate(state)
        if self._session is not None:
            self._session.activate()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Localize no more; TF stops."""
        if self._session is not None:
            self._session.deactivate()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give the scene and the topics back."""
        self.close()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """The same, for good."""
        self.close()
        return super().on_shutdown(state)

    def close(self) -> None:
        """Stop the worker and destroy what ``configure`` made."""
        session, self._session = self._session, None
        if session is not None:
            session.deactivate()
            session.close()

    def _on_settings(self, settings: Settings) -> None:
        if self._session is not None:
            self._session.apply(settings)

    def _on_clock_jump(self, _jump: TimeJump) -> None:
        if self._session is not None:
            self._session.reset("the clock jumped")


def run(arguments: Sequence[str], load: Loader = load_scenes) -> int:
    """Run the node until it is interrupted.

    Args:
        arguments: The command line, with the name of the program.
        load: Opens the scenes that the settings name.

    Returns:
        0 after SIGINT or SIGTERM, 2 where it cannot be configured (the log says why).
    """
    sys.setswitchinterval(THREAD_SWITCH_INTERVAL)
    try:
        return _run(arguments, load)
    finally:
        # The handles of a lifecycle node are in circles of references. Until Python finds those,
        # DDS lives on, and other nodes see this one.
        gc.collect()


def _run(arguments: Sequence[str], load: Loader) -> int:
    node: RelocalizerNode | None = None
    try:
        init_ros(arguments)
        node = RelocalizerNode(load)
        executor = make_executor()
        executor.add_node(node)
        if node.autostart and not node.start():
            return 2
        interrupted = note_signals()
        while rclpy.ok() and not interrupted():
            executor.spin_once(timeout_sec=WAKE_PERIOD)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except DsacError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    finally:
        ignore_signals()
        if node is not None:
            node.close()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
