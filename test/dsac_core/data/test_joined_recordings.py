# SPDX-License-Identifier: Apache-2.0
"""Several recordings as one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recordings import Recording
from stand_in import CAMERA, pose_near

from dsac_core.data.bag_topics import BagTopics
from dsac_core.data.frame import ALL, Frame
from dsac_core.data.joined_recordings import JoinedRecordings, RecordingSource, joined_or_alone
from dsac_core.errors import DatasetError
from dsac_core.training.fast_map_config import FastMapConfig
from dsac_core.training.held_out import choose_frames, reserved_indices


def part(name: str, count: int) -> tuple[RecordingSource, Recording]:
    image = np.zeros((48, 64, 3), dtype=np.uint8)
    frame = Frame("", 0.0, image, CAMERA, pose_near(0), np.ones((48, 64), dtype=np.float32))
    recording = Recording([replace(frame, name=f"{name}{index}") for index in range(count)])
    recording.name = name
    return RecordingSource(Path(f"/bags/{name}"), ALL), recording


def names(joined: JoinedRecordings, indices: set[int] | None) -> list[str]:
    return [frame.name for frame in joined.frames(ALL, indices=indices)]


def test_frames_come_one_recording_after_another() -> None:
    joined = JoinedRecordings([part("a", 3), part("b", 2), part("c", 2)])
    assert joined.name == "a + b + c"
    assert joined.count(ALL) == 7
    assert names(joined, None) == ["a0", "a1", "a2", "b0", "b1", "c0", "c1"]
    assert names(joined, {2, 3, 6}) == ["a2", "b0", "c1"]
    assert names(joined, {5}) == ["c0"]
    assert all(frame.depth is not None for frame in joined.frames(ALL, with_depth=True))
    with pytest.raises(DatasetError, match="no split 'test'"):
        joined.count("test")


def test_one_stays_alone() -> None:
    one = part("a", 3)
    assert joined_or_alone([one]) == (one[1], ALL)
    dataset, split = joined_or_alone([one, part("b", 2)])
    assert dataset.count(split) == 5


def test_the_record_leads_back_to_the_source() -> None:
    source = RecordingSource(Path("/bags/a"), "train", BagTopics(pose="/odom"))
    record = source.record(7)
    assert record["images"] == 7
    assert record["topics"] == {"pose": "/odom"}
    assert RecordingSource.from_record(record) == source


@pytest.mark.parametrize("counts", [(60, 40), (100, 20), (900, 700), (50, 5)])
@pytest.mark.parametrize("max_frames", [2000, 700])
def test_what_is_held_out_does_not_depend_on_other_recordings(
    counts: tuple[int, int], max_frames: int
) -> None:
    config = FastMapConfig(max_frames=max_frames)
    joined = JoinedRecordings([part("a", counts[0]), part("b", counts[1])])
    chosen, positions = choose_frames(joined, ALL, config)
    held_out = {sorted(chosen)[position] for position in positions}
    reserved = reserved_indices(counts[0], config)
    if counts[1] >= 10:
        reserved |= {counts[0] + index for index in reserved_indices(counts[1], config)}
    assert held_out <= reserved
    assert not (chosen - held_out) & reserved
    assert 0 < len(held_out) <= config.max_held_out
    assert len(chosen) <= max_frames
    for start, count in ((0, counts[0]), (counts[0], counts[1])):
        inside = {index for index in held_out if start <= index < start + count}
        assert bool(inside) is (count >= 10)


@pytest.mark.parametrize("count", [10, 37, 700, 701, 1999, 20_000])
def test_reserved_are_the_held_out_of_what_is_read(count: int) -> None:
    config = FastMapConfig(max_frames=700)
    _, recording = part("a", count)
    chosen, positions = choose_frames(recording, ALL, config)
    held_out = {sorted(chosen)[position] for position in positions}
    assert held_out == chosen & reserved_indices(count, config)
    assert len(chosen) == min(count, 700)
    assert len(held_out) <= config.max_held_out
