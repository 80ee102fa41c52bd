# SPDX-License-Identifier: Apache-2.0
"""The relocalization node: ``ros2 run dsac_ros relocalize --ros-args -p scene:=office``.

It only wires. Callbacks put messages into a mailbox, the worker's thread does the work and
publishes, a timer repeats map -> odom.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

import rclpy
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from tf2_ros import Buffer, TransformListener

from dsac_core.errors import DsacError
from dsac_ros.inputs import Inputs
from dsac_ros.outputs import Outputs
from dsac_ros.pipeline import Outcome, Pipeline
from dsac_ros.ros_init import ignore_signals, init_ros
from dsac_ros.ros_parameters import NodeParameters
from dsac_ros.scene_loading import load_scene
from dsac_ros.state import State
from dsac_ros.transforms import TfTransforms
from dsac_ros.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rclpy.lifecycle import LifecycleState
    from rclpy.time import TimeJump

    from dsac_ros.inputs import Arrival
    from dsac_ros.parameters import Settings
    from dsac_ros.scene_loading import LoadedScene

# Python lets a thread wait 5 ms for another one. The work on an image is a thousand short calls
# into PyTorch, each of which hands over to the executor's thread and has to come back.
THREAD_SWITCH_INTERVAL = 0.0002  # s
STOP_TIMEOUT = 2.0  # s that the work on one image may take to end
WAKE_PERIOD = 0.2  # s between looks for a signal


class RelocalizerNode(LifecycleNode):
    """Camera images in, the robot's pose in the map out.

    Args:
        load: Opens the scene that the settings name.

    Raises:
        ConfigError: A parameter has a value that cannot work.
    """

    def __init__(self, load: Callable[[Settings], LoadedScene] = load_scene) -> None:
        """Declare the parameters; everything else waits for ``configure``."""
        super().__init__("relocalizer")
        self._load = load
        self._session: _Session | None = None
        self._settings_table = NodeParameters(self, self._on_settings)
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(
                min_forward=None, min_backward=Duration(seconds=-1), on_clock_change=True
            ),
            post_callback=self._on_clock_jump,
        )

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
            self._session = _Session(self, settings, self._load(settings))
        except DsacError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
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
            self._session.reset()


class _Session:
    """Everything that exists between ``configure`` and ``cleanup``."""

    def __init__(self, node: RelocalizerNode, settings: Settings, scene: LoadedScene) -> None:
        self._node = node
        self._settings = settings
        self._worker: Worker[Arrival] | None = None
        self._announced = State.SEARCHING
        self._announcing = threading.Lock()
        map_frame = settings.map_frame_id or scene.frame_id
        self._buffer = Buffer(node=node)
        self._listener = TransformListener(self._buffer, node, spin_thread=False)
        self._transforms = TfTransforms(self._buffer, settings.transform_timeout)
        self._pipeline = Pipeline(scene.relocalize, self._transforms, settings)
        self._inputs = Inputs(node, settings, self.reset)
        self._outputs = Outputs(node, settings, scene.name, map_frame)
        self._timer = node.create_timer(1.0 / settings.tf_rate, self._on_timer)
        self._pipeline.state.pause()
        node.get_logger().info(
            f"scene '{scene.name}' in frame '{map_frame}'; images from {self._inputs.image_topic},"
            f" calibration from {self._inputs.info_topic}; TF {settings.resolved_tf_mode};"
            f" parameters: {settings.summary()}"
        )

    def activate(self) -> None:
        mailbox = self._inputs.open()
        self._pipeline.state.resume()
        self._worker = Worker(mailbox, self._work, self._on_error)
        self._worker.start()

    def deactivate(self) -> None:
        self._pipeline.state.pause()
        self._outputs.follow(State.PAUSED)
        worker, self._worker = self._worker, None
        if worker is not None and not worker.stop(STOP_TIMEOUT):
            self._node.get_logger().error("the work on an image does not end; going on without it")
        self._inputs.shut()

    def close(self) -> None:
        self._node.destroy_timer(self._timer)
        self._inputs.close()
        self._outputs.close()
        self._listener.unregister()

    def apply(self, settings: Settings) -> None:
        self._settings = settings
        self._transforms.timeout = settings.transform_timeout
        self._pipeline.apply(settings)
        self._inputs.apply(settings)
        self._outputs.settings = settings

    def reset(self) -> None:
        """Forget everything from before a jump of the clock."""
        self._inputs.reset()
        self._pipeline.state.reset()
        self._outputs.follow(State.SEARCHING)
        self._buffer.clear()
        self._announce(self._pipeline.state.current, "the clock jumped")

    def _work(self, arrival: Arrival) -> None:
        outcome = self._pipeline.process(self._inputs.frame(arrival), arrival.arrival)
        self._publish(outcome, arrival)

    def _on_error(self, arrival: Arrival, error: Exception) -> None:
        if not self._node.context.ok():
            return  # the process is ending, and publishers with it
        reason = f"internal error: {type(error).__name__}: {error}"
        self._node.get_logger().error(reason, throttle_duration_sec=5.0)
        frame_id = arrival.message.header.frame_id
        state = self._pipeline.state.current
        self._publish(Outcome(arrival.stamp, frame_id, state, False, reason), arrival)

    def _publish(self, outcome: Outcome, arrival: Arrival) -> None:
        self._outputs.publish(outcome, arrival.arrival)
        self._outputs.publish_status(
            outcome,
            latency=time.monotonic() - arrival.steady,
            received=self._inputs.received,
            dropped=self._inputs.dropped,
        )
        self._announce(outcome.state, outcome.reason)

    def _on_timer(self) -> None:
        now = self._node.get_clock().now().nanoseconds / 1e9
        state = self._pipeline.state.tick(now)
        self._outputs.follow(state)
        self._outputs.rebroadcast()
        if state is State.LOST:
            self._announce(state, f"no accepted fix for {self._settings.lost_after:g} s")

    def _announce(self, state: State, reason: str) -> None:
        with self._announcing:
            before, self._announced = self._announced, state
        if state is not before:
            self._node.get_logger().info(f"{before.name} -> {state.name}: {reason}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until it is interrupted.

    Returns:
        0 after SIGINT or SIGTERM, 2 where it cannot be configured (the log says why).
    """
    node: RelocalizerNode | None = None
    sys.setswitchinterval(THREAD_SWITCH_INTERVAL)
    try:
        init_ros(sys.argv if argv is None else argv)
        node = RelocalizerNode()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        if node.autostart and not node.start():
            return 2
        while rclpy.ok():
            # Python handles a signal only when the executor comes back.
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


if __name__ == "__main__":
    sys.exit(main())
