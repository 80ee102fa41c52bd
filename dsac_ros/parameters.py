# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: one table, from which everything else follows.

A field of ``Settings`` is a parameter: its name, type and default, and with ``setting`` its
description, range or choices, and whether it may change while the node runs.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dsac_core.errors import ConfigError
from dsac_ros.gate import GateLimits
from dsac_ros.parameter_row import Row, setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TF_MODES = ("auto", "map_to_odom", "map_to_base", "none")
MODES = ("continuous", "once")
DEPTH_TRANSPORTS = ("raw", "compressedDepth")
IMAGE_TRANSPORTS = ("raw", "compressed")
IMAGE_GEOMETRIES = ("auto", "raw", "rectified")


@dataclass(frozen=True)
class Settings:
    """All parameters of the node, checked."""

    scene: str = setting(
        "",
        "Scene map: a path, or a name in $DSAC_SCENES or ~/.ros/dsac/scenes; several with commas;"
        " auto: all that have a name there",
        fixed=True,
    )
    scenes_per_image: int = setting(
        4,
        "Of several scenes, try at most so many on one image; the rest take turns",
        between=(2, 100),
    )
    device: str = setting(
        "auto", "Where the network runs: cpu, cuda, cuda:<n>, or auto", fixed=True
    )
    threads: int = setting(
        2,
        "CPU threads of the network: two take three quarters of the time of one; more gain little",
        between=(1, 256),
        fixed=True,
    )
    autostart: bool = setting(
        True, "Configure and activate at the start, without a lifecycle manager", fixed=True
    )

    image_topic: str = setting(
        "image", "Topic of the images; relative to the namespace", fixed=True
    )
    cameras: tuple[str, ...] = setting(
        (),
        "Names of several cameras on the robot, which the topics of each begin with:"
        ' <camera>/<image_topic>; [""]: one camera',
        fixed=True,
    )
    camera_info_topic: str = setting(
        "", "Topic of their calibration; empty: camera_info beside the images", fixed=True
    )
    image_transport: str = setting(
        "raw",
        "raw: Image on image_topic; compressed: CompressedImage on <image_topic>/compressed",
        choices=IMAGE_TRANSPORTS,
        fixed=True,
    )
    image_geometry: str = setting(
        "auto",
        "raw: the images are distorted (K and D count); rectified: they are not (P counts);"
        " auto: rectified where the last part of the topic begins with image_rect",
        choices=IMAGE_GEOMETRIES,
        fixed=True,
    )

    rgbd: bool = setting(False, "Use depth, with scene maps that were made with it", fixed=True)
    depth_topic: str = setting(
        "depth", "Topic of the depth, registered to the images; 16UC1 or 32FC1", fixed=True
    )
    depth_transport: str = setting(
        "raw",
        "raw: Image on depth_topic; compressedDepth: CompressedImage on"
        " <depth_topic>/compressedDepth",
        choices=DEPTH_TRANSPORTS,
        fixed=True,
    )
    depth_slop: float = setting(
        0.02,
        "s between the stamps of an image and of the depth that goes with it",
        between=(0.0, 1.0),
    )
    depth_timeout: float = setting(
        0.1,
        "s to wait for the depth of an image; after that colour alone is used",
        between=(0.0, 10.0),
    )

    map_frame_id: str = setting(
        "", "Frame in which poses are given; empty: the frame that the scene map names", fixed=True
    )
    odom_frame_id: str = setting(
        "", "Frame of the odometry; empty: there is none, and no map -> odom", fixed=True
    )
    base_frame_id: str = setting(
        "",
        "Frame whose pose is published, with TF from it to the camera; empty: the camera itself",
        fixed=True,
    )
    tf_mode: str = setting(
        "auto",
        "map_to_odom (REP-105), map_to_base, none; auto: map_to_odom if odom_frame_id is named",
        choices=TF_MODES,
        fixed=True,
    )
    tf_rate: float = setting(
        20.0,
        "Hz at which map -> odom is sent again while LOCALIZED",
        between=(0.1, 200.0),
        fixed=True,
    )
    transform_tolerance: float = setting(
        0.2,
        "s by which map -> odom is post-dated, so that it holds until the next",
        between=(0.0, 10.0),
    )
    transform_timeout: float = setting(
        0.2, "s to wait for a transform at the stamp of the image", between=(0.0, 10.0)
    )

    mode: str = setting(
        "continuous",
        "continuous: every image; once: until the first fix, and again when triggered",
        choices=MODES,
    )
    max_rate: float = setting(
        0.0,
        "Hz; while LOCALIZED no more images than this are looked at; 0: all",
        between=(0.0, 1000.0),
    )
    min_translation: float = setting(
        0.0,
        "m; while LOCALIZED an image is looked at only if odometry moved so far since the last"
        " fix, or turned by min_rotation; 0 and 0: always",
        between=(0.0, 100.0),
    )
    min_rotation: float = setting(0.0, "rad; see min_translation", between=(0.0, 3.2))
    save_pose_period: float = setting(
        10.0,
        "s between writes of the last pose, which a node that starts again searches from; 0: none",
        between=(0.0, 3600.0),
        fixed=True,
    )
    saved_pose_dir: str = setting(
        "", "Folder of the last pose; empty: ~/.ros/dsac/last_pose", fixed=True
    )
    use_prior: bool = setting(
        True, "Let the last fix, carried forward by odometry, shorten the search"
    )

    lost_after: float = setting(
        5.0, "s without an accepted fix until the state is LOST and TF stops", between=(0.1, 3600.0)
    )
    lost_after_frames: int = setting(
        0,
        "Images without an accepted fix until LOST; 0: time alone decides",
        between=(0, 1_000_000),
    )
    max_age: float = setting(
        0.0,
        "s; an image older than this on arrival is dropped; 0: any age will do",
        between=(0.0, 3600.0),
    )

    gate_probability: float = setting(
        0.999,
        "Probability of a true fix to pass the gate (chi-square test)",
        between=(0.5, 0.999999),
    )
    gate_initial_fixes: int = setting(
        2, "Agreeing fixes that make the first pose; 1 trusts every fix", between=(1, 100)
    )
    gate_jump_fixes: int = setting(
        3, "Agreeing fixes that confirm a jump; 1 trusts every jump", between=(1, 100)
    )
    gate_floor_translation: float = setting(
        0.03, "m; the gate takes no fix for more exact than this", between=(1e-4, 10.0)
    )
    gate_floor_rotation: float = setting(0.015, "rad; the same for rotation", between=(1e-4, 3.0))
    gate_odometry_translation: float = setting(
        0.1, "m of odometry error (standard deviation) per metre travelled", between=(0.0, 10.0)
    )
    gate_odometry_rotation: float = setting(
        0.1, "rad of odometry error (standard deviation) per radian turned", between=(0.0, 10.0)
    )
    gate_speed: float = setting(
        1.0, "m/s of motion (standard deviation) allowed without odometry", between=(0.0, 100.0)
    )
    gate_turn_rate: float = setting(
        1.0, "rad/s of turning (standard deviation) allowed without odometry", between=(0.0, 100.0)
    )

    def __post_init__(self) -> None:
        """Check every value by its row, and then what only holds for several together."""
        for row in table():
            row.check(getattr(self, row.name))
        if self.tf_mode == "map_to_odom" and not self.odom_frame_id:
            msg = "tf_mode map_to_odom needs odom_frame_id: name the frame of the odometry"
            raise ConfigError(msg)
        if self.tf_mode == "map_to_base" and not self.base_frame_id:
            msg = "tf_mode map_to_base needs base_frame_id: name the frame to place in the map"
            raise ConfigError(msg)
        if self.cameras and not self.base_frame_id:
            msg = (
                "several cameras need base_frame_id: name the frame of the robot that carries them"
            )
            raise ConfigError(msg)
        if len(set(self.cameras)) < len(self.cameras) or "" in self.cameras:
            msg = f"cameras must be different names, got {', '.join(map(repr, self.cameras))}"
            raise ConfigError(msg)
        for name in ("image_topic", "camera_info_topic", "depth_topic") if self.cameras else ():
            if getattr(self, name).startswith(("/", "~")):
                msg = (
                    f"with cameras, {name} must be relative, as each camera's is <camera>/<{name}>,"
                    f" got {getattr(self, name)!r}"
                )
                raise ConfigError(msg)
        frames = [f for f in (self.map_frame_id, self.odom_frame_id, self.base_frame_id) if f]
        if len(set(frames)) < len(frames):
            msg = f"map, odom and base must be different frames, got {', '.join(frames)}"
            raise ConfigError(msg)

    @property
    def still_counts(self) -> bool:
        """Whether images of a robot that has not moved are left out."""
        return self.min_translation > 0 or self.min_rotation > 0

    @property
    def resolved_tf_mode(self) -> str:
        """``tf_mode`` with ``auto`` replaced by what it means here."""
        if self.tf_mode != "auto":
            return self.tf_mode
        return "map_to_odom" if self.odom_frame_id else "none"

    def gate_limits(self) -> GateLimits:
        """The part that the gate needs."""
        return GateLimits(
            probability=self.gate_probability,
            initial_fixes=self.gate_initial_fixes,
            jump_fixes=self.gate_jump_fixes,
            agree_within=self.lost_after,
            floor_translation=self.gate_floor_translation,
            floor_rotation=self.gate_floor_rotation,
            odometry_translation=self.gate_odometry_translation,
            odometry_rotation=self.gate_odometry_rotation,
            speed=self.gate_speed,
            turn_rate=self.gate_turn_rate,
        )

    def changed(self, values: Mapping[str, Any]) -> Settings:
        """These settings with some values replaced, all checked again.

        Raises:
            ConfigError: A value is out of its range, or several do not go together.
        """
        known = {row.name for row in table()}
        return dataclasses.replace(self, **{k: v for k, v in values.items() if k in known})

    def summary(self) -> str:
        """Every parameter in one line, for the log."""
        return ", ".join(f"{row.name}={getattr(self, row.name)!r}" for row in table())


def table() -> Iterator[Row]:
    """The rows, in the order of ``Settings``."""
    for field in dataclasses.fields(Settings):
        default: Any = field.default
        yield Row(name=field.name, default=default, **field.metadata)
