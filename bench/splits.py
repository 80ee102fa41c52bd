# SPDX-License-Identifier: Apache-2.0
"""Which images a map is made from and which it is judged on, so that these are hard for it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.studies.recording import BETWEEN, Recording, Views, open_recording, view_beside
from bench.studies.settings import Settings
from dsac_core.data.frame import ALL, Dataset, Frame, spread_indices
from dsac_core.errors import DatasetError
from dsac_core.synthetic import office

_METRE = "a metre beside"
_ENDS_SHARE = 6  # of a walk, one in so many images is before the stretch, and one after it


@dataclass(frozen=True)
class Exposure:
    """What a camera with other settings makes of a gray value in [0, 1]."""

    gain: float
    gamma: float = 1.0

    def __call__(self, frame: Frame) -> Frame:
        """The frame with other gray values, clipped."""
        gray = self.gain * (np.arange(256) / 255.0) ** self.gamma
        table = np.rint(255.0 * gray.clip(0.0, 1.0)).astype(np.uint8)
        return replace(frame, image=table[frame.image])


EXPOSURES = {"darker": Exposure(0.5, 1.5), "brighter": Exposure(1.6)}


@dataclass
class Part:
    """Some frames of a split of a recording; it is a `Dataset`, and has depth only on demand."""

    name: str
    source: Dataset
    split: str
    indices: Sequence[int]  # in the split, ascending
    change: Callable[[Frame], Frame] | None = None

    def splits(self) -> tuple[str, ...]:
        return (ALL,)

    def count(self, split: str) -> int:
        assert split == ALL
        return len(self.indices)

    def frames(
        self, split: str, *, indices: set[int] | None = None, with_depth: bool = False
    ) -> Iterator[Frame]:
        assert split == ALL
        places = range(len(self.indices)) if indices is None else sorted(indices)
        wanted = {self.indices[place] for place in places if place < len(self.indices)}
        for frame in self.source.frames(self.split, indices=wanted, with_depth=with_depth):
            seen = frame if self.change is None else self.change(frame)
            yield seen if with_depth else replace(seen, depth=None)

    def only(self, indices: Sequence[int]) -> Part:
        """Those at these places of it."""
        return replace(self, indices=[self.indices[place] for place in indices])

    def changed(self, change: Callable[[Frame], Frame]) -> Part:
        """The same, seen otherwise."""
        return replace(self, change=change)


@dataclass(frozen=True)
class Split:
    """What to map, and what to judge the map on, by name: "" is all that there is."""

    mapped: Part
    judged: Mapping[str, Part]


@dataclass(frozen=True)
class Walks:
    """The images of a recording that are there to be mapped, and those that are not."""

    mapped: Part
    tests: Mapping[str, Part]


def open_walks(settings: Settings) -> Walks:
    """The recording that the settings name, else the office with views from farther off as well.

    Raises:
        DatasetError: It cannot be read, or leaves nothing to judge on.
    """
    recording = open_recording(settings)
    if settings.dataset is None:
        recording = replace(recording, tests=_of_office(recording, settings))
    name, split = recording.dataset.name, recording.split
    mapped = Part(name, recording.dataset, split, range(recording.dataset.count(split)))
    views = Views(name, dict(recording.tests))
    only = len(views.parts) == 1
    tests = {
        "" if only else part: Part(name, views, part, range(len(frames)))
        for part, frames in views.parts.items()
    }
    return Walks(mapped, tests)


def _of_office(recording: Recording, settings: Settings) -> dict[str, Sequence[Frame]]:
    """As many of each kind as there are training views."""
    room, rng = office(0), np.random.default_rng([settings.seed, 8])
    tests = dict(recording.tests)
    chosen = sorted(spread_indices(len(tests[BETWEEN]), settings.views))
    tests[BETWEEN] = [tests[BETWEEN][index] for index in chosen]
    tests[_METRE] = [
        view_beside(room, frame.camera, frame.world_T_cam, f"{frame.name}-metre", rng, (1.0, 1.0))
        for frame in tests[BETWEEN]
    ]
    return tests


def everything(walks: Walks) -> Split:
    """All of it."""
    return Split(walks.mapped, walks.tests)


def every(step: int) -> Callable[[Walks], Split]:
    """Few views: one of so many training images."""

    def split(walks: Walks) -> Split:
        return Split(walks.mapped.only(range(0, len(walks.mapped.indices), step)), walks.tests)

    return split


def stretch(walks: Walks) -> Split:
    """Views from elsewhere: two thirds of the walk, judged on its ends, every second image."""
    count = len(walks.mapped.indices)
    end = count // _ENDS_SHARE
    if end == 0:
        msg = f"{walks.mapped.name} has {count} images to map: too few to leave some out"
        raise DatasetError(msg)
    ends = [*range(0, end, 2), *range(count - end, count, 2)]
    return Split(walks.mapped.only(range(end, count - end)), {"": walks.mapped.only(ends)})


def exposure(walks: Walks) -> Split:
    """Another exposure than in the mapped images."""
    judged = {
        f"{test} {name}".strip(): part.changed(change)
        for test, part in walks.tests.items()
        for name, change in EXPOSURES.items()
    }
    return Split(walks.mapped, judged)


SPLITS: dict[str, Callable[[Walks], Split]] = {
    "all": everything,
    "quarter": every(4),
    "tenth": every(10),
    "stretch": stretch,
    "exposure": exposure,
}


def add_walk_arguments(parser: argparse.ArgumentParser) -> None:
    """What is mapped, what it is judged on, and with which seeds."""

    def splits(text: str) -> list[str]:
        return known_names(text, SPLITS)

    def numbers(text: str) -> list[int]:
        return [int(number) for number in text.split(",")]

    parser.add_argument("--dataset", type=Path, help="a rosbag2 or a folder of posed images")
    parser.add_argument("--test-dataset", type=Path, help="to judge on, if that has no split test")
    parser.add_argument("--max-test", type=int, default=200, help="images of it at most")
    names = ",".join(SPLITS)
    parser.add_argument("--splits", type=splits, default=list(SPLITS), help=f"of {names}")
    parser.add_argument("--seeds", type=numbers, default=[0], help="such as 0,1,2")
    parser.add_argument("--views", type=int, default=90, help="training views of the office")
    parser.add_argument("--image-height", type=int, default=480, help="of the office, px")
    parser.add_argument("--json", type=Path, help="write the figures here")


def known_names(text: str, known: Mapping[str, object]) -> list[str]:
    """Names between commas, for argparse."""
    unknown = [name for name in text.split(",") if name not in known]
    if unknown:
        msg = f"there is no '{unknown[0]}', there are: {', '.join(known)}"
        raise argparse.ArgumentTypeError(msg)
    return text.split(",")


def walks_from_arguments(args: argparse.Namespace) -> Walks:
    """The recording that the arguments name.

    Raises:
        DatasetError: As `open_walks`.
    """
    return open_walks(
        Settings(
            dataset=args.dataset,
            test_dataset=args.test_dataset,
            max_test=args.max_test,
            views=args.views,
            image_height=args.image_height,
        )
    )
