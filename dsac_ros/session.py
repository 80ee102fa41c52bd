# SPDX-License-Identifier: Apache-2.0
"""Everything that the node has between ``configure`` and ``cleanup``, wired together."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, cast

from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.clock import Clock, ClockType
from tf2_ros import Buffer, TransformListener

from dsac_core.errors import ConfigError, DsacError
from dsac_ros.health import Health
from dsac_ros.image_queries import localize_image
from dsac_ros.image_records import Outcome
from dsac_ros.inputs import Inputs
from dsac_ros.messages import said_pose
from dsac_ros.outputs import Outputs
from dsac_ros.pictures import Pictures
from dsac_ros.pipeline import Pipeline
from dsac_ros.pose_memory import PoseMemory
from dsac_ros.qos import checked_overrides, overridable
from dsac_ros.requests import Answer, ImageRequest, Requests, TriggerRequest
from dsac_ros.scene_change import SceneChange
from dsac_ros.scene_loading import check_frames
from dsac_ros.scene_set import SceneSet
from dsac_ros.state import State
from dsac_ros.state_log import StateLog
from dsac_ros.transforms import TfTransforms, close_buffer
from dsac_ros.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rclpy.lifecycle import LifecycleNode

    from dsac_ros.camera_stream import Arrival
    from dsac_ros.mailbox import Mailbox
    from dsac_ros.parameters import Settings
    from dsac_ros.scene_change import Loader
    from dsac_ros.scene_set import LoadedScene
    from dsac_ros.srv import LocalizeImage, TriggerLocalization

    Work = Arrival | ImageRequest

STOP_TIMEOUT = 2.0  # s that the work on one image may take to end
EXPIRY_PERIOD = 0.1  # s between looks for requests whose time is over
PAUSED = "the node is paused: call ~/resume"
INACTIVE = "the node is not active: activate it"
CLEANED_UP = "the node was cleaned up"


class Session:
    """One configured node.

    Args:
        node: Owns the topics.
        settings: Its parameters.
        load: Opens the scenes that settings name.

    Raises:
        DsacError: A scene, the device, or a QoS override cannot work.
    """

    def __init__(self, node: LifecycleNode, settings: Settings, load: Loader) -> None:
        """Load the scenes and subscribe; images are ignored until ``activate``."""
        self._node = node
        self._settings = settings
        scenes = load(settings)
        self.map_frame = check_frames(scenes, settings.map_frame_id)
        self.scenes = self._scene_set(scenes)
        self.requests = Requests()
        self._worker: Worker[Work] | None = None
        self._mailbox: Mailbox[Work] | None = None
        self._swapping = threading.Lock()
        self._change = SceneChange(load, self.map_frame, self._use)
        self._closed = False
        self._announce = StateLog(node.get_logger().info)
        self._buffer = Buffer(node=node)
        self._transforms = TfTransforms(self._buffer, settings.transform_timeout)
        self._pipeline = Pipeline(self.scenes, self._transforms, settings, self.map_frame)
        with ExitStack() as made:
            self._create(node, settings, made)
            self._made = made.pop_all()
        self._memory = PoseMemory(
            node.get_fully_qualified_name(),
            settings.saved_pose_dir,
            settings.save_pose_period,
            self.map_frame,
            settings.base_frame_id,
            node.get_logger().warning,
        )
        prior = self._memory.recall(self.scenes.names, node.get_clock().now().nanoseconds)
        if prior is not None:
            node.get_logger().info(f"searching from the last pose first: {self._memory.path}")
            self._pipeline.set_pose(prior)
        self._pipeline.state.pause()
        node.get_logger().info(
            f"{self.scenes} in frame '{self.map_frame}'; images from"
            f" {self._inputs.image_topic}, calibration from {self._inputs.info_topic};"
            f" TF {settings.resolved_tf_mode}; parameters: {settings.summary()}"
        )

    def _create(self, node: LifecycleNode, settings: Settings, made: ExitStack) -> None:
        """What talks to others; ``made`` takes it all away again, also where the rest fails."""
        made.callback(close_buffer, self._buffer, node)
        made.callback(TransformListener(self._buffer, node, spin_thread=False).unregister)
        with checked_overrides():
            stamps = "the stamps of the images jumped back"
            self._inputs = Inputs(node, settings, lambda: self.reset(stamps))
            made.callback(self._inputs.close)
            self._outputs = Outputs(node, settings, self.map_frame)
            made.callback(self._outputs.close)
            self._pictures = Pictures(node, self.map_frame)
            made.callback(self._pictures.close)
            initial_pose = node.create_subscription(
                PoseWithCovarianceStamped, "initialpose", self._on_initial_pose, 1, **overridable()
            )
            made.callback(node.destroy_subscription, initial_pose)
        state = self._pipeline.state
        scenes = self.scenes
        self._health = Health(
            node, self._inputs, lambda: state.current, scenes.device, scenes.names
        )
        made.callback(self._health.close)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        for timer in (
            node.create_timer(1.0 / settings.tf_rate, self._on_timer),
            node.create_timer(EXPIRY_PERIOD, self.requests.expire, clock=steady),
        ):
            made.callback(node.destroy_timer, timer)

    def activate(self) -> None:
        """Begin to localize."""
        self._mailbox = cast("Mailbox[Work]", self._inputs.open())
        self._pipeline.state.resume()
        self._announce(self._pipeline.state.current, "activated")
        self._worker = Worker(self._mailbox, self._work, self._on_error)
        self._worker.start()

    def deactivate(self) -> None:
        """Localize no more; whoever waits is told."""
        self._pipeline.state.pause()
        self._outputs.follow(State.PAUSED)
        self._announce(State.PAUSED, "deactivated")
        self._mailbox = None
        self.requests.end("the node was deactivated")
        worker, self._worker = self._worker, None
        if worker is not None and not worker.stop(STOP_TIMEOUT):
            self._node.get_logger().error("the work on an image does not end; going on without it")
        self._inputs.shut()
        self._memory.flush()

    def close(self) -> None:
        """Give the topics back."""
        with self._swapping:
            self._closed = True
        self._change.end(in_use=False, why=CLEANED_UP)
        self._made.close()

    def apply(self, settings: Settings) -> None:
        """Go on with other settings."""
        self._settings = settings
        self.scenes.scenes_per_image = settings.scenes_per_image
        self._transforms.timeout = settings.transform_timeout
        self._pipeline.apply(settings)
        self._inputs.apply(settings)
        self._outputs.settings = settings

    def reset(self, why: str) -> None:
        """Forget everything from before, as after a jump of the clock."""
        self._inputs.reset()
        self._pipeline.state.reset()
        self._outputs.follow(State.SEARCHING)
        self._buffer.clear()
        self._health.reset()
        self._announce(self._pipeline.state.current, why)

    @property
    def active(self) -> bool:
        """Whether it localizes, or would if it were not paused."""
        return self._mailbox is not None

    def pause(self) -> None:
        """Look at no image of the own camera until ``resume``; TF stops."""
        self._pipeline.state.pause()
        self._outputs.follow(State.PAUSED)
        self.requests.end(PAUSED, TriggerRequest)
        self._announce(State.PAUSED, "asked to")

    def resume(self) -> None:
        """Look again, and believe nothing from before."""
        self._pipeline.state.resume()
        self._announce(self._pipeline.state.current, "asked to resume")

    def set_pose(self, pose: PoseWithCovarianceStamped) -> None:
        """Start over from where somebody says that the robot is.

        Raises:
            DsacError: The message is not a pose with a covariance, or its frame is not known.
        """
        now = self._node.get_clock().now().nanoseconds
        said = said_pose(pose, now)
        if said.frame_id not in ("", self.map_frame):
            self._transforms.latest(self.map_frame, said.frame_id)
        self._node.get_logger().info(f"told to be at {said}")
        self._pipeline.set_pose(said)
        self._outputs.follow(self._pipeline.state.current)
        self._announce(self._pipeline.state.current, "searching from the pose that was set")

    def trigger(
        self, request: TriggerLocalization.Request, on_answer: Callable[[Answer], None]
    ) -> None:
        """Answer when one of the next images of the own camera was accepted."""
        if self._pipeline.state.current is State.PAUSED:
            on_answer(Answer(PAUSED if self.active else INACTIVE))
            return
        asked_to_agree = max(self._settings.gate_initial_fixes, self._settings.gate_jump_fixes)
        images, topic = request.images or asked_to_agree, self._inputs.image_topic
        self.requests.add(TriggerRequest(images, on_answer, request.timeout, topic))

    def localize(self, query: LocalizeImage.Request, on_answer: Callable[[Answer], None]) -> None:
        """Answer what the image of a request says, before the next of the own camera's."""
        request = ImageRequest(lambda: localize_image(query, self.scenes), on_answer, query.timeout)
        mailbox = self._mailbox
        if self.requests.add(request) and not (mailbox and mailbox.put_first(request)):
            request.answer(Answer(INACTIVE))

    def load_scene(self, scene: str, on_end: Callable[[tuple[bool, str]], None]) -> None:
        """Go on in other scenes once they are ready; then, or where that fails, say so."""
        self._change.start(self._settings.changed({"scene": scene}), on_end)

    def _use(self, scenes: Sequence[LoadedScene]) -> str:
        loaded = self._scene_set(scenes)
        with self._swapping:
            if self._closed:
                raise ConfigError(CLEANED_UP)
            self.scenes = self._pipeline.relocalizer = loaded
            self._health.reset(loaded.names)
            # In this order: a pose of the old scenes that is still to come is of an old epoch.
            self._pipeline.state.reset()
        self._outputs.follow(State.SEARCHING)
        self._announce(self._pipeline.state.current, f"loaded {loaded}", always=True)
        return str(loaded)

    def _scene_set(self, scenes: Sequence[LoadedScene]) -> SceneSet:
        return SceneSet(
            scenes,
            lambda: self._pipeline.state.current is State.LOCALIZED,
            self._settings.scenes_per_image,
        )

    def _on_initial_pose(self, pose: PoseWithCovarianceStamped) -> None:
        try:
            self.set_pose(pose)
        except DsacError as error:
            self._node.get_logger().warning(f"initialpose: {error}")

    def _work(self, work: Work) -> None:
        if isinstance(work, ImageRequest):
            work.run()
        elif self._pipeline.state.current is State.PAUSED:
            frame_id = work.message.header.frame_id
            self._publish(Outcome(work.stamp, frame_id, State.PAUSED, False, PAUSED), work)
        else:
            if self.requests.triggered:
                self._pipeline.ask()
            frame = self._inputs.frame(work)
            outcome = self._pipeline.process(frame, work.arrival)
            latency = time.monotonic() - work.steady
            self._publish(outcome, work)
            scenes = self.scenes
            self._pictures.show(
                frame, outcome, scene=scenes.answered, explain=scenes.explain, latency=latency
            )

    def _on_error(self, work: Work, error: Exception) -> None:
        if not self._node.context.ok():
            return  # the process is ending, and publishers with it
        reason = f"internal error: {type(error).__name__}: {error}"
        self._node.get_logger().error(reason, throttle_duration_sec=5.0)
        if isinstance(work, ImageRequest):
            work.answer(Answer(reason))
            return
        frame_id = work.message.header.frame_id
        state = self._pipeline.state.current
        self._publish(Outcome(work.stamp, frame_id, state, False, reason), work)

    def _publish(self, outcome: Outcome, arrival: Arrival) -> None:
        scene = self.scenes.answered
        self._outputs.publish(outcome, arrival.arrival)
        latency = time.monotonic() - arrival.steady
        self._outputs.publish_status(
            outcome,
            scene=scene,
            latency=latency,
            received=self._inputs.received,
            dropped=self._inputs.dropped,
        )
        self._health.record(outcome, latency)
        self._memory.keep(outcome, scene)
        if not outcome.skipped:
            base = self._settings.base_frame_id
            self.requests.offer(Answer.of_outcome(outcome, base, scene), arrival.steady)
        self._announce(outcome.state, outcome.reason)

    def _on_timer(self) -> None:
        now = self._node.get_clock().now().nanoseconds / 1e9
        state = self._pipeline.state.tick(now)
        self._outputs.follow(state)
        self._outputs.rebroadcast()
        if self._outputs.prediction_wanted and (fix := self._pipeline.predicted()) is not None:
            self._outputs.publish_prediction(fix)
        if state is State.LOST:
            self._announce(state, f"no accepted fix for {self._settings.lost_after:g} s")
