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
    "pose": "poses: Odometry, PoseStamped or PoseWithCovarianceStamped",
    "depth": "depth registered to the images: 16UC1 or 32FC1",
}


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
    topics = parser.add_argument_group("topics of a bag (found by type where there is one choice)")
    for role, help_text in TOPIC_ROLES.items():
        topics.add_argument(
            f"--{role.replace('_', '-')}-topic",
            dest=f"{role}_topic",
            metavar="TOPIC",
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
    """The topics that the arguments name."""
    from dsac_core.data.bag_topics import BagTopics

    return BagTopics(**{role: getattr(args, f"{role}_topic", None) for role in TOPIC_ROLES})


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
