# SPDX-License-Identifier: Apache-2.0
"""Replays a bag to a running relocalizer and compares its answers with the bag's ground truth.

``ros2 run dsac_ros replay office_test --clock --report report --min-recall 90``
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from dsac_core.errors import ConfigError, DsacError
from dsac_core.files import write_json
from dsac_ros.bag import Bag
from dsac_ros.bag_player import BagPlayer
from dsac_ros.pose_collector import PoseCollector
from dsac_ros.replay_report import compare, table
from dsac_ros.ros_init import init_ros, without_ros_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dsac_ros.replay_records import SentFrame

QUIET = 1.0  # s without news from the node after which it is done
PATIENCE = 10.0  # s to wait for its last answers at most


def main(argv: Sequence[str] | None = None) -> int:
    """Run the replay.

    Returns:
        0; 1 where the recall is below ``--min-recall``; 2 for input that cannot work.
    """
    arguments = list(sys.argv if argv is None else argv)
    try:
        options = _parser().parse_args(without_ros_arguments(arguments)[1:])
        _check(options)
        with Bag(options.bag) as bag:
            return _replay(options, bag, arguments)
    except DsacError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        print("interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="replay", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("bag", help="a rosbag2: its folder, or one MCAP file")
    add("--rate", type=float, default=1.0, help="times the recorded rate (default 1)")
    add("--loop", type=int, default=1, help="play the bag so many times (default 1)")
    add("--start", type=float, default=0.0, metavar="S", help="seconds of the bag to skip")
    add("--duration", type=float, metavar="S", help="seconds of the bag to play (default: all)")
    add(
        "--clock",
        type=float,
        nargs="?",
        const=100.0,
        default=0.0,
        metavar="HZ",
        help="publish /clock, for nodes with use_sim_time (100 Hz)",
    )
    add("--image-topic", help="images in the bag (default: its only colour image topic)")
    add("--truth-topic", default="/ground_truth", help="true poses in the bag (%(default)s)")
    add("--node", default="relocalizer", help="name of the running node (%(default)s)")
    add("--odom-frame", default="odom", help="child of the node's map -> odom (%(default)s)")
    add("--exclude", nargs="+", default=[], metavar="TOPIC", help="topics not to publish")
    add(
        "--wait-for-node",
        type=float,
        default=30.0,
        metavar="S",
        help="seconds to wait for the node (%(default)s)",
    )
    add(
        "--report",
        type=Path,
        metavar="DIR",
        help="write report.html, report.json, run.json (for dsac compare) and trajectory.png here",
    )
    add(
        "--min-recall",
        type=float,
        metavar="PCT",
        help="exit with 1 below this share of the processed frames within 10 cm and 5 deg",
    )
    return parser


def _check(options: argparse.Namespace) -> None:
    if options.rate <= 0 or options.loop < 1 or options.clock < 0:
        msg = (
            "--rate must be positive, --loop at least 1 and --clock not negative,"
            f" got {options.rate}, {options.loop}, {options.clock}"
        )
        raise ConfigError(msg)


def _replay(options: argparse.Namespace, bag: Bag, arguments: list[str]) -> int:
    image_topic = options.image_topic or bag.colour_topic()
    bag.require(image_topic, "images")
    track = bag.poses(options.truth_topic)
    truth = track.world_T_body
    odometry = bag.transforms(options.odom_frame, track.body_frame)
    sent: list[SentFrame] = []

    with _spinning_node(arguments) as node:
        collector = PoseCollector(node, options.node)
        without = {*options.exclude, options.truth_topic}
        player = BagPlayer(node, bag, image_topic, without, options.clock)
        _wait_for_node(options, node, player, collector, bag)
        seconds = options.duration or bag.seconds - options.start
        print(f"replaying {seconds:.0f} s of '{bag.path}' at {options.rate:g} x", flush=True)
        progress = _Progress(sent, collector)
        for _ in range(options.loop):
            heard = len(collector.collected.statuses)
            player.play(
                options.rate, progress.on_frame, start=options.start, duration=options.duration
            )
            _settle(sent, collector, heard)
        progress.finish()

    if not sent:
        msg = f"bag '{bag.path}': nothing was sent from '{image_topic}' in the chosen time"
        raise ConfigError(msg)
    comparison = compare(sent, collector.collected, truth, odometry, options.odom_frame)
    summary = comparison.summary()
    print(table(summary), flush=True)
    if options.report is not None:
        from dsac_core.evaluation.report.page import write_report
        from dsac_core.evaluation.run_file import write_run
        from dsac_ros.replay_picture import draw
        from dsac_ros.replay_run import as_run

        options.report.mkdir(parents=True, exist_ok=True)
        about_run = {"bag": str(bag.path), "rate": options.rate}
        write_json(options.report / "report.json", {**about_run, **summary})
        picture = options.report / "trajectory.png"
        title = (
            f"{bag.path.name}: {summary['recall']['10cm_5deg']:.1f} % of {summary['frames']} frames"
            f" within 10 cm and 5°"
        )
        draw(picture, comparison, collector.collected, truth, title)
        page = options.report / "report.html"
        about = {
            "scene": ", ".join(sorted({s.scene for s in collector.collected.statuses} - {""})),
            "dataset": bag.path.name,
            "split": "all",
            "poses_of": "robot" if track.body_frame else "camera",
            "how": f"live over DDS at {options.rate:g} x the recorded rate",
        }
        run = as_run(about, sent, comparison, collector.collected, truth)
        if run.frames:
            write_run(options.report / "run.json", run)
            write_report(page, run, [])
        print(f"  report: {page}, {options.report / 'report.json'}, {picture}", flush=True)
    # A machine that is slower than the camera skips images; the robot still knows where it is.
    recall = summary["recall_of_processed"]["10cm_5deg"]
    if options.min_recall is not None and recall < options.min_recall:
        print(
            f"recall {recall:.1f} % of the processed frames is below the required"
            f" {options.min_recall:g} %",
            file=sys.stderr,
        )
        return 1
    return 0


@contextmanager
def _spinning_node(arguments: list[str]) -> Iterator[Node]:
    """A node that listens in a thread of its own while the main thread publishes."""
    init_ros(arguments)
    node = Node("replay")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=_spin, args=(executor,), daemon=True)
    thread.start()
    try:
        yield node
    finally:
        executor.shutdown()
        thread.join(2.0)
        rclpy.try_shutdown()


def _spin(executor: SingleThreadedExecutor) -> None:
    with suppress(ExternalShutdownException):
        executor.spin()


def _wait_for_node(
    options: argparse.Namespace, node: Node, player: BagPlayer, collector: PoseCollector, bag: Bag
) -> None:
    """Until both directions are connected: then no image is sent to nobody."""
    deadline = time.monotonic() + options.wait_for_node
    player.publish_latched()
    while not (player.listeners and collector.connected):
        if not node.context.ok():
            raise KeyboardInterrupt
        if time.monotonic() > deadline:
            what = "publishes" if player.listeners else "subscribes to the images and publishes"
            msg = (
                f"no node {what} {collector.status_topic} after {options.wait_for_node:g} s:"
                " start relocalize, or check --node, topics and ROS_DOMAIN_ID"
            )
            raise ConfigError(msg)
        player.publish_clock(bag.start)
        time.sleep(0.1)
    time.sleep(0.5)  # the other side needs a moment to see us, too


def _settle(sent: list[SentFrame], collector: PoseCollector, heard: int) -> None:
    """Wait for the answer to the last image; give up when the node is quiet."""
    statuses = collector.collected.statuses
    give_up = time.monotonic() + PATIENCE
    before, since = heard, time.monotonic()
    while sent and time.monotonic() < give_up:
        if len(statuses) > before and statuses[-1].stamp >= sent[-1].stamp:
            time.sleep(0.2)  # the pose may come after the status
            return
        if len(statuses) != heard:
            heard, since = len(statuses), time.monotonic()
        elif time.monotonic() - since > QUIET:
            return
        time.sleep(0.05)


class _Progress:
    """A line that changes on a terminal, a line every few seconds elsewhere."""

    def __init__(self, sent: list[SentFrame], collector: PoseCollector) -> None:
        self._sent = sent
        self._collector = collector
        self._terminal = sys.stdout.isatty()
        self._period = 0.2 if self._terminal else 2.0
        self._next = 0.0

    def on_frame(self, frame: SentFrame) -> None:
        self._sent.append(frame)
        if frame.published >= self._next:
            self._next = frame.published + self._period
            self._print()

    def finish(self) -> None:
        self._print()
        if self._terminal:
            print()

    def _print(self) -> None:
        collected = self._collector.collected
        processed, localized = len(collected.statuses), len(collected.poses)
        line = f"  sent {len(self._sent)}, processed {processed}, localized {localized}"
        if collected.statuses and not collected.statuses[-1].localized:
            line += f" (last: {collected.statuses[-1].reason})"
        if self._terminal:
            print(f"\r\x1b[K{line[:150]}", end="", flush=True)
        else:
            print(line[:150], flush=True)


if __name__ == "__main__":
    sys.exit(main())
