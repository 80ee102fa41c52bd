# SPDX-License-Identifier: Apache-2.0
"""Encoding a recording: what is read, and how much is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from recordings import Recording
from stand_in import CAMERA, pose_near

from dsac_core.data.frame import ALL, Frame
from dsac_core.networks.image_encoder import ImageEncoder
from dsac_core.progress import silent
from dsac_core.training import encoded_recording
from dsac_core.training.encoded_recording import (
    EncodedRecording,
    Validation,
    encode_recording,
    storage_dtype,
)
from dsac_core.training.fast_map_config import FastMapConfig
from dsac_core.training.landmark_config import LandmarkConfig
from dsac_core.training.workers import Workers

CPU = torch.device("cpu")


class LongRecording(Recording):
    """Images of noise, made when they are asked for."""

    def __init__(self, count: int) -> None:
        self.size = count
        self.made = 0

    def count(self, split: str) -> int:
        return self.size

    def frames(
        self, split: str, *, indices: set[int] | None = None, with_depth: bool = False
    ) -> Iterator[Frame]:
        for index in sorted(range(self.size) if indices is None else indices):
            self.made += 1
            noise = np.random.default_rng(index).integers(0, 256, (48, 64, 3), dtype=np.uint8)
            yield Frame(f"{index}", index / 30, noise, CAMERA, pose_near(index))


@pytest.fixture(scope="module")
def encoder() -> ImageEncoder:
    return ImageEncoder(CPU, torch.float32)


def encode(
    recording: Recording, encoder: ImageEncoder, config: FastMapConfig, **options: object
) -> EncodedRecording:
    plain = replace(config, min_reliability=0.0)
    return encode_recording(recording, ALL, plain, encoder, CPU, silent, **options)  # type: ignore[arg-type]


def test_a_recording_of_twenty_thousand_images_stays_within_its_bounds(
    encoder: ImageEncoder,
) -> None:
    """The buffer, the images that are read, and those that are kept to check with."""
    config = FastMapConfig(
        buffer_cells=2_000, max_frames=100, max_held_out=5, iterations=1, vary_every=3
    )
    recording = LongRecording(20_000)
    encoded = encode(recording, encoder, config)
    assert recording.made == 100
    assert len(encoded.held_out) == 4
    assert encoded.cells.capacity == 2_000
    assert 0.9 * 2_000 < encoded.cells.size <= 2_000
    stored = [value for value in vars(encoded.cells).values() if isinstance(value, torch.Tensor)]
    assert sum(value.nbytes for value in stored) <= 280 * 2_000
    # Of all the images and their variations, each with a part of its cells.
    batch = encoded.cells.draw(20_000, torch.Generator().manual_seed(0))
    assert len(batch.cam_T_world_B34.flatten(1).unique(dim=0)) == 96 + 96 // 3


def test_features_are_stored_in_half_precision(encoder: ImageEncoder) -> None:
    """In the one of float16 and bfloat16 that loses less of them."""
    assert storage_dtype(encoder) == torch.float16
    assert storage_dtype(ImageEncoder(CPU, torch.bfloat16)) == torch.bfloat16
    image = torch.from_numpy(next(LongRecording(1).frames(ALL)).image[..., 0])
    features = encoder(image).features_NC
    lost = {
        dtype: (features.to(dtype).float() - features).square().mean()
        for dtype in (torch.float16, torch.bfloat16)
    }
    assert lost[torch.float16] < 0.1 * lost[torch.bfloat16]


def test_other_frames_to_check_with(encoder: ImageEncoder) -> None:
    config = FastMapConfig(max_held_out=3, iterations=1)
    validation = Validation(LongRecording(500), ALL)
    encoded = encode(LongRecording(12), encoder, config, validation=validation)
    assert encoded.encoded == list(range(12))
    assert [frame.name for frame in encoded.held_out] == ["83", "250", "416"]


class _OneOf(Workers):
    def __init__(self, rank: int, count: int) -> None:
        self.rank, self.count = rank, count


def test_workers_share_the_images(encoder: ImageEncoder) -> None:
    config = FastMapConfig(buffer_cells=100, iterations=1)
    alone = encode(LongRecording(20), encoder, config)
    shares = [
        encode(LongRecording(20), encoder, config, workers=_OneOf(rank, 3)) for rank in range(3)
    ]
    assert sorted(index for share in shares for index in share.encoded) == alone.encoded
    assert {len(share.encoded) for share in shares} <= {6, 7}
    assert [len(share.held_out) for share in shares] == [len(alone.held_out), 0, 0]
    assert [share.cells.capacity for share in shares] == [33, 33, 33]
    assert len({share.camera for share in shares}) == 1


def test_a_machine_that_cannot_keep_up_leaves_images_out(
    encoder: ImageEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evenly, and not when exactly those of before are wanted."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # several take some images ahead
    now = [0.0]
    add = encoded_recording._add_cells

    def slow(*arguments: object) -> None:
        now[0] += 2.0
        add(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(encoded_recording, "_add_cells", slow)
    monkeypatch.setattr(encoded_recording, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    config = FastMapConfig(budget_seconds=100.0)  # 40 of them to encode
    encoded = encode(LongRecording(80), encoder, config).encoded
    assert 18 <= len(encoded) <= 23
    assert max(np.diff(encoded)) <= 8
    again = encode(LongRecording(80), encoder, config, again=encoded)
    assert again.encoded == encoded
    by_iterations = replace(config, iterations=5)
    assert len(encode(LongRecording(80), encoder, by_iterations).encoded) > 70


@pytest.mark.parametrize("use_depth", [False, True])
def test_depth_is_taken_where_it_is_wanted_alone(encoder: ImageEncoder, use_depth: bool) -> None:
    """Whatever the recording gives."""

    class WithDepth(LongRecording):
        def frames(self, split: str, **options: Any) -> Iterator[Frame]:
            for frame in super().frames(split, **options):
                yield replace(frame, depth=np.full((48, 64), 1.5, dtype=np.float32))

    config = FastMapConfig(use_depth=use_depth, iterations=1)
    encoded = encode(WithDepth(20), encoder, config)
    depth = encoded.cells.draw(500, torch.Generator().manual_seed(0)).depth_B
    assert (depth > 0).any() == use_depth
    assert {frame.depth is not None for frame in encoded.held_out} == {use_depth}


def test_keypoints_are_those_of_the_images_that_were_taken(encoder: ImageEncoder) -> None:
    """One set for each, in the order of the cells, whether or not some were varied."""
    config = FastMapConfig(iterations=1, vary_every=2)
    encoded = encode(LongRecording(20), encoder, config)
    taken = encoded.cells.taken
    assert len(encoded.keypoints) == len(taken) == len(encoded.encoded)
    assert encoded.cells.images > len(taken)
    for view, number, index in zip(encoded.keypoints, taken, encoded.encoded, strict=True):
        cells = encoded.cells.image(number)
        torch.testing.assert_close(view.cam_T_world_34.float(), cells.cam_T_world_34)
        assert torch.equal(view.intrinsics_4, cells.intrinsics_4)
        pose = torch.from_numpy(np.linalg.inv(pose_near(index))[:3])
        torch.testing.assert_close(view.cam_T_world_34, pose)
        assert view.descriptors_KC.dtype == torch.float16
        assert not view.depth_K.any()


def test_keypoints_are_bounded_and_left_out_where_nobody_wants_them(
    encoder: ImageEncoder,
) -> None:
    config = FastMapConfig(iterations=1)
    plenty = encode(LongRecording(20), encoder, config)
    assert max(len(view.depth_K) for view in plenty.keypoints) > 3
    few = replace(config, landmarks=LandmarkConfig(keypoints=3))
    assert {len(view.depth_K) for view in encode(LongRecording(20), encoder, few).keypoints} == {3}
    memory = replace(config, landmarks=LandmarkConfig(most_keypoints=40))
    bounded = encode(LongRecording(20), encoder, memory).keypoints
    assert 0 < sum(len(view.depth_K) for view in bounded) <= 40
    assert encode(LongRecording(20), encoder, replace(config, landmarks=None)).keypoints == []


def test_measured_depth_of_keypoints(encoder: ImageEncoder) -> None:
    class WithDepth(LongRecording):
        def frames(self, split: str, **options: Any) -> Iterator[Frame]:
            for frame in super().frames(split, **options):
                depth = np.full((48, 64), 1.5, dtype=np.float32)
                depth[:, :32] = np.nan
                yield replace(frame, depth=depth)

    for use_depth in (False, True):
        config = FastMapConfig(use_depth=use_depth, iterations=1)
        for view in encode(WithDepth(12), encoder, config).keypoints:
            right = view.pixels_K2[:, 0] + view.intrinsics_4[2] > 31.5
            expected = torch.where(right, 1.5 if use_depth else 0.0, 0.0)
            assert torch.equal(view.depth_K, expected)
