# SPDX-License-Identifier: Apache-2.0
"""The messages of a recording, as bytes, in the order of their times. Needs no ROS."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from rosbags.typesys import Stores, get_typestore

from dsac_core.geometry.pose import to_quaternion
from dsac_core.synthetic.walk import IMAGE_EVERY, base_T_link, link_T_cam

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from rosbags.typesys.store import Typestore

    from dsac_core.geometry.camera import Camera
    from dsac_core.synthetic.odometry import Odometry
    from dsac_core.synthetic.walk import Walk

    FloatArray = NDArray[np.float64]

MAP, ODOM, BASE, LINK, OPTICAL = (
    "map", "odom", "base_link", "camera_link", "camera_optical_frame",
)  # fmt: skip
IMAGE, INFO, DEPTH = "/camera/image_raw", "/camera/camera_info", "/camera/depth/image_raw"
ODOMETRY, TF, TF_STATIC, TRUTH = "/odom", "/tf", "/tf_static", "/ground_truth"
TYPES = {
    TF_STATIC: "tf2_msgs/msg/TFMessage",
    TF: "tf2_msgs/msg/TFMessage",
    ODOMETRY: "nav_msgs/msg/Odometry",
    TRUTH: "nav_msgs/msg/Odometry",
    INFO: "sensor_msgs/msg/CameraInfo",
    IMAGE: "sensor_msgs/msg/Image",
    DEPTH: "sensor_msgs/msg/Image",
}
# When a recorder gets a message, after its stamp: images come later than wheels (nanoseconds).
DELAYS = {
    TF_STATIC: 0, TF: 1_000_000, ODOMETRY: 1_000_000, TRUTH: 1_000_000, INFO: 12_000_000,
    IMAGE: 14_000_000, DEPTH: 16_000_000,
}  # fmt: skip


class Message(NamedTuple):
    """One serialized message."""

    received: int  # nanoseconds
    topic: str
    data: bytes


@lru_cache(maxsize=1)
def typestore() -> Typestore:
    """The message definitions of ROS 2 Jazzy."""
    return get_typestore(Stores.ROS2_JAZZY)


def nanoseconds(seconds: float) -> int:
    """Whole nanoseconds, rounded."""
    return round(seconds * 1e9)


def image_message(
    pixels: NDArray[np.uint8] | NDArray[np.uint16], stamp: int, topic: str
) -> Message:
    """sensor_msgs/Image: rgb8 from [H x W x 3] uint8, 16UC1 from [H x W] uint16."""
    colour = pixels.ndim == 3
    message = typestore().types["sensor_msgs/msg/Image"](
        header=_header(stamp, OPTICAL),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding="rgb8" if colour else "16UC1",
        is_bigendian=0,
        step=pixels.shape[1] * (3 if colour else 2),
        data=np.ascontiguousarray(pixels).reshape(-1).view(np.uint8),
    )
    return _message(message, stamp, topic)


def info_message(camera: Camera, stamp: int) -> Message:
    """sensor_msgs/CameraInfo of an ideal pinhole camera: plumb_bob with zeros."""
    types = typestore().types
    projection = np.zeros((3, 4))
    projection[:, :3] = camera.matrix
    roi = types["sensor_msgs/msg/RegionOfInterest"](
        x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
    )
    message = types["sensor_msgs/msg/CameraInfo"](
        header=_header(stamp, OPTICAL),
        height=camera.height,
        width=camera.width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=camera.matrix.reshape(-1),
        r=np.eye(3).reshape(-1),
        p=projection.reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )
    return _message(message, stamp, INFO)


def state_messages(walk: Walk, odometry: Odometry, camera: Camera, start: int) -> Iterator[Message]:
    """Everything but the images, sorted by time of reception; ``start`` is the first stamp (ns)."""
    origin = walk.times[0]
    yield _transforms(
        TF_STATIC,
        [(start, BASE, LINK, base_T_link(walk.options)), (start, LINK, OPTICAL, link_T_cam())],
        start,
    )
    exact = np.diag([1e-8] * 6)
    for index, time in enumerate(walk.times):
        stamp = start + nanoseconds(float(time - origin))
        pose = odometry.odom_T_base[index]
        yield _transforms(TF, [(stamp, ODOM, BASE, pose)], stamp)
        twist = odometry.twist[index]
        yield _odometry(ODOMETRY, stamp, ODOM, pose, odometry.covariance[index], twist,
                        odometry.twist_covariance)  # fmt: skip
        truth = walk.world_T_base[index]
        yield _odometry(TRUTH, stamp, MAP, truth, exact, true_twist(walk, index), exact)
        if index % IMAGE_EVERY == 0:
            yield info_message(camera, stamp)


def true_twist(walk: Walk, index: int) -> FloatArray:
    """Planar velocity (x, y, yaw) of base_link in its own frame, from neighbouring states."""
    before, after = max(index - 1, 0), min(index + 1, len(walk.times) - 1)
    if before == after:
        return np.zeros(3)
    poses = walk.world_T_base
    seconds = walk.times[after] - walk.times[before]
    moved = poses[index, :3, :3].T @ (poses[after, :3, 3] - poses[before, :3, 3])
    turned = poses[before, :2, :2].T @ poses[after, :2, :2]
    angle = np.arctan2(turned[1, 0], turned[0, 0])
    return np.asarray(np.array([moved[0], moved[1], angle]) / seconds)


def _message(message: Any, stamp: int, topic: str) -> Message:
    data = bytes(typestore().serialize_cdr(message, TYPES[topic]))
    return Message(stamp + DELAYS[topic], topic, data)


def _header(stamp: int, frame_id: str) -> Any:
    types = typestore().types
    time = types["builtin_interfaces/msg/Time"](sec=stamp // 10**9, nanosec=stamp % 10**9)
    return types["std_msgs/msg/Header"](stamp=time, frame_id=frame_id)


def _quaternion_and(kind: str, pose: FloatArray) -> tuple[Any, Any]:
    types = typestore().types
    xyz, xyzw = to_quaternion(pose)
    x, y, z = (float(value) for value in xyz)
    qx, qy, qz, qw = (float(value) for value in xyzw)
    place = types[f"geometry_msgs/msg/{kind}"](x=x, y=y, z=z)
    return place, types["geometry_msgs/msg/Quaternion"](x=qx, y=qy, z=qz, w=qw)


def _transforms(
    topic: str, transforms: list[tuple[int, str, str, FloatArray]], stamp: int
) -> Message:
    types = typestore().types
    stamped = []
    for time, parent, child, pose in transforms:
        place, turn = _quaternion_and("Vector3", pose)
        transform = types["geometry_msgs/msg/Transform"](translation=place, rotation=turn)
        stamped.append(types["geometry_msgs/msg/TransformStamped"](
            header=_header(time, parent), child_frame_id=child, transform=transform,
        ))  # fmt: skip
    return _message(types["tf2_msgs/msg/TFMessage"](transforms=stamped), stamp, topic)


def _odometry(
    topic: str, stamp: int, frame_id: str, pose: FloatArray, covariance: FloatArray,
    twist: FloatArray, twist_covariance: FloatArray,
) -> Message:  # fmt: skip
    types = typestore().types
    place, turn = _quaternion_and("Point", pose)
    linear = types["geometry_msgs/msg/Vector3"](x=float(twist[0]), y=float(twist[1]), z=0.0)
    angular = types["geometry_msgs/msg/Vector3"](x=0.0, y=0.0, z=float(twist[2]))
    message = types["nav_msgs/msg/Odometry"](
        header=_header(stamp, frame_id),
        child_frame_id=BASE,
        pose=types["geometry_msgs/msg/PoseWithCovariance"](
            pose=types["geometry_msgs/msg/Pose"](position=place, orientation=turn),
            covariance=covariance.reshape(-1),
        ),
        twist=types["geometry_msgs/msg/TwistWithCovariance"](
            twist=types["geometry_msgs/msg/Twist"](linear=linear, angular=angular),
            covariance=twist_covariance.reshape(-1),
        ),
    )
    return _message(message, stamp, topic)
