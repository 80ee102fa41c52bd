# SPDX-License-Identifier: Apache-2.0
"""The node's services, called while images flow at 15 Hz and the network takes 0.3 s for each."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dsac_core.geometry.camera import Camera
from dsac_ros.state import State

CAMERA = Camera(64, 48, 50.0, 50.0, 31.5, 23.5)
BRIGHT, DARK = (np.full((48, 64, 3), value, np.uint8) for value in (250, 5))
RATE = 15.0  # Hz
SECONDS_PER_IMAGE = 0.3  # of the stub


class Client:
    """A robot whose camera never stops, and somebody who calls services."""

    def __init__(self, robot: Any) -> None:
        self.robot = robot
        self.view: np.ndarray | None = BRIGHT
        self._next = 0.0
        self._clients: dict[str, Any] = {}

    def spin_until(self, done: Callable[[], bool], what: str) -> None:
        def step() -> bool:
            now = time.monotonic()
            if self.view is not None and now >= self._next:
                self._next = now + 1.0 / RATE
                stamp = time.time_ns()
                self.robot.send_info(CAMERA, stamp)
                self.robot.send_image(self.view, stamp)
            return done()

        self.robot.wait(step, what)

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.spin_until(lambda: time.monotonic() > end, "time")

    def ask(self, kind: Any, name: str, **request: Any) -> Any:
        """A future of the answer."""
        if name not in self._clients:
            client = self.robot.node.create_client(kind, f"relocalizer/{name}")
            self.spin_until(client.service_is_ready, name)
            self._clients[name] = client
        return self._clients[name].call_async(kind.Request(**request))

    def call(self, kind: Any, name: str, **request: Any) -> Any:
        future = self.ask(kind, name, **request)
        self.spin_until(future.done, f"the answer of {name}")
        return future.result()

    def images_seen(self, count: int = 1) -> list[Any]:
        """The status of the next images."""
        before = len(self.robot.statuses)
        self.spin_until(lambda: len(self.robot.statuses) >= before + count, "images")
        return list(self.robot.statuses[before:])


@pytest.fixture
def client(robot: Any) -> Client:
    return Client(robot)


def image_message(pixels: np.ndarray, stamp: int = 7) -> Any:
    from sensor_msgs.msg import Image

    from dsac_ros.messages import time_message

    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding="rgb8")
    message.step = 3 * pixels.shape[1]
    message.header.frame_id, message.header.stamp = "other_camera", time_message(stamp)
    message.data = pixels.tobytes()
    return message


def depth_message(metres: float) -> Any:
    from sensor_msgs.msg import Image

    message = Image(height=48, width=64, encoding="32FC1", step=4 * 64)
    message.data = np.full((48, 64), metres, np.float32).tobytes()
    return message


def calibration(focal: float) -> Any:
    from sensor_msgs.msg import CameraInfo

    info = CameraInfo(width=64, height=48, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = [focal, 0.0, 31.5, 0.0, focal, 23.5, 0.0, 0.0, 1.0]
    return info


def test_services_answer_while_the_network_runs(start_stub: Any, client: Client) -> None:
    from dsac_ros.srv import ListScenes, LocalizeImage, TriggerLocalization
    from std_srvs.srv import Trigger

    node = start_stub("-p", "scene:=bright", "-p", "gate_initial_fixes:=3")
    client.robot.connect()
    client.images_seen()

    # One that needs no image does not wait for the network, which is always at work.
    at_work = []
    for _ in range(5):
        images = len(client.images_seen() and client.robot.statuses)
        listed = client.call(ListScenes, "list_scenes")
        at_work.append(len(client.robot.statuses) == images)
    assert any(at_work)
    assert (list(listed.loaded), listed.names) == (["bright"], [])

    # trigger: as many images as the gate wants, and then the pose.
    assert client.call(Trigger, "reset").success
    result = client.call(TriggerLocalization, "trigger").result
    assert result.localized, result.reason
    assert "3 agreeing fixes" in result.reason
    assert (result.scene, result.child_frame_id) == ("bright", "optical")
    assert (result.pose.header.frame_id, result.pose.pose.pose.position.x) == ("map", 1.0)
    assert result.pose.pose.covariance[0] > 0
    assert result.confidence == pytest.approx(0.9)
    assert (result.inliers, result.correspondences) == (80, 100)
    # It is the very pose that was published.
    client.spin(0.2)
    assert result.pose in client.robot.poses

    # localize: several at once, none is dropped, and each gets its own answer.
    client.robot.poses.clear()
    queries = [
        client.ask(
            LocalizeImage,
            "localize",
            image=image_message(pixels, stamp),
            camera_info=calibration(40.0 + stamp),
            depth=depth_message(2.5),
        )
        for stamp, pixels in enumerate([BRIGHT, DARK, BRIGHT], start=1)
    ]
    client.spin_until(lambda: all(q.done() for q in queries), "three answers")
    answers = [q.result().result for q in queries]
    assert [answer.localized for answer in answers] == [True, False, True]
    assert [answer.pose.header.stamp.nanosec for answer in answers] == [1, 2, 3]
    assert {answer.child_frame_id for answer in answers} == {"other_camera"}
    assert "a bright image with fx 43 and depth of 2.50 m" in answers[2].reason
    assert answers[2].pose.pose.pose.position.x == 1.0
    # Who overlooks that it is not localized does not get a place in the map.
    assert answers[1].pose.header.frame_id == ""
    lost = answers[1].pose.pose
    assert math.isnan(lost.pose.position.x)
    assert math.isnan(lost.pose.orientation.w)
    assert math.isnan(lost.covariance[0])
    # They left no trace in what the node knows of its own camera.
    assert client.images_seen()[-1].state == State.LOCALIZED
    assert all(p.header.stamp.sec > 0 for p in client.robot.poses)

    # What cannot be localized is told.
    for query, reason in (
        ({}, "the request has no image"),
        ({"image": image_message(BRIGHT)}, "not calibrated"),
        (
            {
                "image": image_message(BRIGHT),
                "camera_info": calibration(50.0),
                "scene": "attic",
            },
            "scene 'attic' is not loaded; loaded scenes: bright",
        ),
    ):
        result = client.call(LocalizeImage, "localize", **query).result
        assert not result.localized
        assert reason in result.reason

    # Without images: the end of its time.
    client.view = None
    client.spin(2 * SECONDS_PER_IMAGE)
    result = client.call(TriggerLocalization, "trigger", timeout=0.5).result
    assert not result.localized
    assert result.reason == "no answer within 0.5 s: waited for an image on /image"
    assert node.stop() == 0
    assert "Traceback" not in node.output


def test_pause_resume_reset_and_set_pose(start_stub: Any, client: Client) -> None:
    from dsac_ros.srv import LocalizeImage, SetPose, TriggerLocalization
    from geometry_msgs.msg import PoseWithCovarianceStamped
    from std_srvs.srv import Trigger

    node = start_stub("-p", "scene:=bright_fast", "-p", "gate_initial_fixes:=100")
    robot = client.robot
    robot.connect()
    assert client.images_seen()[-1].state == State.SEARCHING

    # A pose that is known needs no agreeing fixes.
    known = PoseWithCovarianceStamped()
    known.header.frame_id, known.pose.pose.position.x = "map", 1.2
    assert client.call(SetPose, "set_pose", pose=known).success
    assert client.images_seen(2)[-1].state == State.LOCALIZED
    known.pose.covariance[0] = -1.0
    refused = client.call(SetPose, "set_pose", pose=known)
    assert not refused.success
    assert "negative variance" in refused.message
    known.pose.covariance[0] = 0.0
    known.header.frame_id = "nowhere"
    refused = client.call(SetPose, "set_pose", pose=known)
    assert not refused.success
    assert "no transform from nowhere to map" in refused.message
    known.header.frame_id = "map"
    assert client.images_seen()[-1].state == State.LOCALIZED

    client.view = DARK  # nothing is accepted
    paused = client.ask(TriggerLocalization, "trigger", images=1000)
    client.spin(0.2)
    assert client.call(Trigger, "pause").success
    client.spin_until(paused.done, "the trigger's end")
    client.view = BRIGHT
    assert "call ~/resume" in paused.result().result.reason
    client.spin(0.3)
    poses = len(robot.poses)
    status = client.images_seen(3)[-1]
    assert (status.state, status.localized) == (State.PAUSED, False)
    assert "call ~/resume" in status.reason
    assert len(robot.poses) == poses
    assert "paused" in client.call(TriggerLocalization, "trigger").result.reason
    # It still serves others.
    query = {"image": image_message(BRIGHT), "camera_info": calibration(50.0)}
    assert client.call(LocalizeImage, "localize", **query).result.localized

    assert client.call(Trigger, "resume").success
    client.spin(0.2)
    assert client.images_seen()[-1].state == State.SEARCHING  # nothing from before is believed
    assert client.call(SetPose, "set_pose", pose=known).success
    client.spin(0.2)
    assert client.images_seen()[-1].state == State.LOCALIZED
    assert client.call(Trigger, "reset").success
    client.spin(0.2)
    assert client.images_seen()[-1].state == State.SEARCHING
    assert node.stop() == 0
    assert "Traceback" not in node.output


def test_other_scenes_are_loaded_while_the_old_one_works(start_stub: Any, client: Client) -> None:
    from dsac_ros.srv import ListScenes, LoadScene

    node = start_stub("-p", "scene:=bright_fast", "-p", "gate_initial_fixes:=1")
    robot = client.robot
    robot.connect()
    assert client.images_seen(2)[-1].localized  # the first may come before its calibration

    # Broken ones change nothing.
    for scene, message in (
        ("broken", "scene 'broken' is damaged"),
        ("dark,broken", "is damaged"),
        ("other", "in frame 'other', this node gives poses in 'map'"),
        ("dark,dark", "two scenes are called 'dark'"),
    ):
        answer = client.call(LoadScene, "load_scene", scene=scene)
        assert not answer.success
        assert "nothing has changed" in answer.message
        assert message in answer.message
        status = client.images_seen(2)[-1]
        assert (status.localized, status.scene) == (True, "bright_fast")

    # The old one localizes until the new ones are there.
    before = len(robot.statuses)
    loading = client.ask(LoadScene, "load_scene", scene="dark_fast,bright_late_fast")
    client.spin(0.5)
    assert "being loaded" in client.call(LoadScene, "load_scene", scene="blind").message
    client.spin_until(loading.done, "the new scenes")
    assert loading.result().success, loading.result().message
    # Nothing that the old one said is believed in the new ones.
    node.wait_for("LOCALIZED -> SEARCHING: loaded scenes 'dark_fast', 'bright_late_fast'")
    meanwhile = [s for s in robot.statuses[before:] if s.scene == "bright_fast"]
    assert len(meanwhile) > 10
    assert all(status.localized for status in meanwhile)

    # The place is recognised among the new ones; in another place it is found again.
    status = client.images_seen(3)[-1]
    assert (status.localized, status.scene) == (True, "bright_late_fast")
    listed = client.call(ListScenes, "list_scenes")
    assert list(listed.loaded) == ["dark_fast", "bright_late_fast"]
    assert listed.current == "bright_late_fast"
    client.view = DARK
    client.spin_until(
        lambda: robot.statuses[-1].scene == "dark_fast" and robot.statuses[-1].localized,
        "the other scene",
    )
    assert robot.poses[-1].pose.pose.position.x == 2.0
    assert node.stop() == 0
    assert "Traceback" not in node.output


def test_services_of_a_node_that_is_not_active(start_stub: Any, client: Client) -> None:
    from dsac_ros.srv import LoadScene, LocalizeImage, SetPose, TriggerLocalization
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState
    from std_srvs.srv import Trigger

    start_stub("-p", "scene:=bright", "-p", "autostart:=false", ready=False)

    def change(transition: int) -> None:
        request = Transition(id=transition)
        assert client.call(ChangeState, "change_state", transition=request).success

    query = {"image": image_message(BRIGHT), "camera_info": calibration(50.0)}
    for missing in ("configure", "activate"):
        asked = [
            client.call(TriggerLocalization, "trigger").result.reason,
            client.call(LocalizeImage, "localize", **query).result.reason,
            client.call(Trigger, "pause").message,
        ]
        if missing == "configure":
            asked += [
                client.call(LoadScene, "load_scene", scene="dark").message,
                client.call(SetPose, "set_pose").message,
            ]
        assert all(f"{missing} " in reason for reason in asked), asked
        change(Transition.TRANSITION_CONFIGURE if missing == "configure" else 3)
    # Whoever waits when it is deactivated is told.
    client.view = None
    waiting = client.ask(TriggerLocalization, "trigger", timeout=20.0)
    client.spin(0.3)
    change(Transition.TRANSITION_DEACTIVATE)
    client.spin_until(waiting.done, "the answer")
    assert "deactivated" in waiting.result().result.reason


def test_a_signal_ends_it_while_calls_wait(start_stub: Any, client: Client) -> None:
    from dsac_ros.srv import LoadScene, LocalizeImage, TriggerLocalization

    node = start_stub("-p", "scene:=bright")
    client.robot.connect()
    client.images_seen()
    waiting = [
        client.ask(TriggerLocalization, "trigger", images=1000, timeout=20.0),
        client.ask(LoadScene, "load_scene", scene="late"),
        *(
            client.ask(
                LocalizeImage,
                "localize",
                image=image_message(BRIGHT),
                camera_info=calibration(50.0),
                timeout=20.0,
            )
            for _ in range(5)
        ),
    ]
    client.spin(0.4)
    assert node.stop() == 0
    assert "Traceback" not in node.output
    assert "rror" not in node.output
    # They are told, as far as a process that ends can make sure of it.
    client.view = None

    def told() -> bool:
        answers = [future.result() for future in waiting if future.done()]
        whys = {a.message if hasattr(a, "message") else a.result.reason for a in answers}
        return bool(whys & {"the node was deactivated", "the node was cleaned up"})

    client.spin_until(told, "an answer")


def test_quality_of_service_can_be_overridden(start_stub: Any, client: Client) -> None:
    from rclpy.qos import ReliabilityPolicy

    start_stub(
        "-p", "scene:=bright",
        "-p", "qos_overrides./image.subscription.reliability:=reliable",
        "-p", "qos_overrides./relocalizer/status.publisher.reliability:=best_effort",
    )  # fmt: skip
    robot = client.robot

    def reliability(of: Callable[[str], list[Any]], topic: str) -> Any:
        def found() -> list[Any]:
            return [info for info in of(topic) if info.node_name == "relocalizer"]

        robot.wait(lambda: bool(found()), topic)
        return found()[0].qos_profile.reliability

    subscribed = robot.node.get_subscriptions_info_by_topic
    published = robot.node.get_publishers_info_by_topic
    assert reliability(subscribed, "/image") == ReliabilityPolicy.RELIABLE
    assert reliability(published, "/relocalizer/status") == ReliabilityPolicy.BEST_EFFORT
    # Others keep theirs.
    assert reliability(subscribed, "/camera_info") == ReliabilityPolicy.BEST_EFFORT
    assert reliability(published, "/relocalizer/pose") == ReliabilityPolicy.RELIABLE


def test_an_override_that_there_is_not_is_refused(start_stub: Any) -> None:
    key = "qos_overrides./image.subscription.reliability"
    node = start_stub("-p", "scene:=bright", "-p", f"{key}:=sometimes", ready=False)
    assert node.process.wait(30.0) == 2
    assert "qos_overrides" in node.output
    assert "sometimes" in node.output
    assert "Traceback" not in node.output


def test_nothing_stays_of_a_camera_when_another_one_cannot_be(
    start_stub: Any, client: Client
) -> None:
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState

    robot = client.robot
    start_stub(
        "-p", "scene:=bright", "-p", "autostart:=false", "-p", "cameras:=[left,right]",
        "-p", "base_frame_id:=base",
        "-p", "qos_overrides./right/camera_info.subscription.reliability:=sometimes",
        ready=False,
    )  # fmt: skip
    configure = Transition(id=Transition.TRANSITION_CONFIGURE)
    assert not client.call(ChangeState, "change_state", transition=configure).success

    def subscribed() -> list[str]:
        topics = ("/left/image", "/left/camera_info", "/right/image")
        return [topic for topic in topics if robot.node.get_subscriptions_info_by_topic(topic)]

    robot.wait(lambda: not subscribed(), "no subscription")
