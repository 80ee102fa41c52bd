# SPDX-License-Identifier: Apache-2.0
"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dsac_core.data.formats import AUTO, FORMATS
from dsac_core.errors import ConfigError

if TYPE_CHECKING:
    from dsac_core.data.bag_topics import BagTopics
    from dsac_core.data.frame import Recording
    from dsac_core.regression import Sources

TOPIC_ROLES = {
    "image": "images: Image or CompressedImage",
    "camera_info": "CameraInfo of the images",
    "pose": "poses: Odometry, PoseStamped, PoseWithCovarianceStamped, or /tf",
    "depth": "depth registered to the images: 16UC1 or 32FC1",
}
FRAME_OPTIONS = {
    "world_frame": "poses from TF: of the camera in this frame; taken where no topic has poses, and"
    " map, odom or world is the root",
    "poses": "poses from a file instead: TUM's, 't x y z qx qy qz qw', of the clock of the images",
    "pose_frame": "whose poses they are, where the messages do not say it, and in a file (default:"
    " the camera's)",
}
_KEYFRAMES = {"fast": 1000}  # by method: the images that a fast map of the usual budget can take


def add_dataset_arguments(
    parser: argparse.ArgumentParser, default_split: str, *, several: bool = False
) -> None:
    """The recording, or one or more, its split, and topics where it is a bag."""
    kinds = "a rosbag2 or a folder of images with poses"
    if several:
        parser.add_argument("dataset", type=Path, nargs="+", help=f"{kinds}; or several of a place")
    else:
        parser.add_argument("dataset", type=Path, help=kinds)
    parser.add_argument("--split", default=default_split, help="of a recording that has splits")
    parser.add_argument(
        "--format",
        choices=(AUTO, *FORMATS),
        default=AUTO,
        help="of the recording; auto: by the files that are there",
    )
    parser.add_argument(
        "--keyframes",
        type=not_negative_int,
        metavar="N",
        default=argparse.SUPPRESS,
        help="where there are more images, N of them, equally far apart in motion; 0: all (default:"
        f" {_KEYFRAMES['fast']} for a fast map, else all)",
    )
    topics = parser.add_argument_group("topics of a bag (found by type where there is one choice)")
    for role, help_text in TOPIC_ROLES.items():
        topics.add_argument(
            f"--{role.replace('_', '-')}-topic",
            dest=f"{role}_topic",
            metavar="TOPIC",
            default=argparse.SUPPRESS,
            help=help_text,
        )
    for name, help_text in FRAME_OPTIONS.items():
        topics.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            metavar="FILE" if name == "poses" else "FRAME",
            default=argparse.SUPPRESS,
            help=help_text,
        )


def add_source_arguments(group: argparse._ActionsContainer, *, of: str) -> None:
    """Which correspondences: regressed cells, landmarks, or both."""
    group.add_argument(
        "--landmarks",
        choices=("on", "off", "only"),
        default=argparse.SUPPRESS,
        help=f"{of} landmarks beside regression (on), without (off), or landmarks alone (default:"
        " on)",
    )
    group.add_argument(
        "--regression",
        choices=("on", "off"),
        default=argparse.SUPPRESS,
        help="off is the same as --landmarks only",
    )


def sources_from_arguments(args: argparse.Namespace) -> Sources:
    """What ``--landmarks`` and ``--regression`` mean together.

    Raises:
        ConfigError: They leave nothing, or contradict each other.
    """
    landmarks, regression = getattr(args, "landmarks", "on"), getattr(args, "regression", None)
    if regression == "off" and landmarks == "off":
        msg = "--landmarks off and --regression off leave nothing to localize with"
        raise ConfigError(msg)
    if regression == "on" and landmarks == "only":
        msg = "--landmarks only means --regression off: leave one of them away"
        raise ConfigError(msg)
    if regression == "off" or landmarks == "only":
        return "landmarks"
    return "regression" if landmarks == "off" else "both"


def add_compute_arguments(parser: argparse.ArgumentParser) -> None:
    """Where and on how many threads to compute."""
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or auto")
    parser.add_argument(
        "--threads",
        type=positive_int,
        default=argparse.SUPPRESS,
        help="CPU threads (default: all cores, or OMP_NUM_THREADS)",
    )


def limit_threads(args: argparse.Namespace) -> None:
    """Apply ``--threads``."""
    import cv2
    import torch

    if "threads" in args:
        torch.set_num_threads(args.threads)
    cv2.setNumThreads(torch.get_num_threads())


def open_from_arguments(args: argparse.Namespace) -> Recording:
    """The recording that the arguments name."""
    from dsac_core.data.open_dataset import open_dataset

    return open_dataset(args.dataset, topics_from_arguments(args), args.format)


def topics_from_arguments(args: argparse.Namespace) -> BagTopics:
    """What to read of a recording, as the arguments say.

    Raises:
        ConfigError: They contradict each other.
    """
    from dsac_core.data.bag_topics import BagTopics

    topics = {role: getattr(args, f"{role}_topic", None) for role in TOPIC_ROLES}
    frames = {name: getattr(args, name, None) for name in FRAME_OPTIONS}
    if frames["poses"] is not None:
        frames["poses"] = str(Path(frames["poses"]).expanduser().resolve())
    usual = _KEYFRAMES.get(getattr(args, "method", ""), 0)
    return BagTopics(**topics, **frames, keyframes=getattr(args, "keyframes", usual) or None)


def not_negative_int(text: str) -> int:
    """For argparse: a whole number, zero or more."""
    value = int(text)
    if value < 0:
        msg = f"must not be negative, got {value}"
        raise argparse.ArgumentTypeError(msg)
    return value


def positive_int(text: str) -> int:
    """For argparse: a whole number above zero."""
    value = int(text)
    if value < 1:
        msg = f"must be at least 1, got {value}"
        raise argparse.ArgumentTypeError(msg)
    return value


def positive_float(text: str) -> float:
    """For argparse: a number above zero."""
    value = float(text)
    if not value > 0:
        msg = f"must be above zero, got {value}"
        raise argparse.ArgumentTypeError(msg)
    return value
