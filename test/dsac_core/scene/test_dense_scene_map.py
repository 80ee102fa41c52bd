# SPDX-License-Identifier: Apache-2.0
"""Scene maps of networks that see whole images: on disk they are what they were in memory."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from stand_in import CALIBRATION, CAMERA, known_scene, pose_near

from dsac_core.cli.main import main
from dsac_core.errors import SceneMapError
from dsac_core.networks.coordinate_networks import NETWORK_NAMES, make_coordinate_network
from dsac_core.networks.score_net import ScoreNet
from dsac_core.scene.confidence import Confidence
from dsac_core.scene.scene_map import SceneMap

TINY = "dsacstar-tiny"
DEPTH = replace(
    CALIBRATION,
    min_support=0.37,
    covariance_scale=2.5,
    translation_floor=0.02,
    confidence=Confidence(1.0, 2.0, 3.0, 4.0),
    min_confidence=0.7,
)
# Megabytes: those of the papers, where they say so.
SIZES = {"dsacstar": 28, "dsacstar-tiny": 4, "dsacstar-rf49": 28, "dsacstar-rf149": 28,
         "dsacpp": 104}  # fmt: skip


def dense_map(network: str = TINY, threshold: float | None = None, **options: Any) -> SceneMap:
    """With weights that half precision would change."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        regressor = make_coordinate_network(network)
        regressor.scene_mean.copy_(torch.tensor([123456.7, -3.3333, 0.1]))
        scorer = None if threshold is None else ScoreNet((6, 8), inlier_threshold=threshold)
    if scorer is not None:
        scorer = scorer.eval().requires_grad_(requires_grad=False)
    scene = known_scene(regressor, CAMERA, scorer=scorer, map_T_scene=pose_near(1), **options)
    return replace(scene, training={"images": 7, "init_loss": 1.25})


def error_of(folder: Path) -> str:
    with pytest.raises(SceneMapError) as caught:
        SceneMap.load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def header_of(folder: Path) -> dict[str, Any]:
    header: dict[str, Any] = json.loads((folder / "scene.json").read_text())
    return header


def change_header(folder: Path, **changes: Any) -> None:
    (folder / "scene.json").write_text(json.dumps({**header_of(folder), **changes}))


def same_weights(left: torch.nn.Module, right: torch.nn.Module) -> None:
    before, after = left.state_dict(), right.state_dict()
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert after[name].dtype == torch.float32
        assert torch.equal(after[name], tensor), name


@pytest.mark.parametrize("network", NETWORK_NAMES)
def test_every_network_comes_back_to_the_last_bit(network: str, tmp_path: Path) -> None:
    """End-to-end training goes on from it in steps of a millionth."""
    scene = dense_map(network)
    if network == TINY:  # as it comes from training in low precision
        scene.regressor.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    scene.save(tmp_path / "lab")
    loaded = SceneMap.load(tmp_path / "lab")
    same_weights(scene.regressor, loaded.regressor)
    assert getattr(loaded.regressor, "name", None) == network
    assert not loaded.regressor.training
    assert not any(weight.requires_grad for weight in loaded.regressor.parameters())
    assert loaded.scorer is None
    assert loaded.depth_calibration is None
    for name in ("name", "frame_id", "camera", "calibration", "training"):
        assert getattr(loaded, name) == getattr(scene, name)
    np.testing.assert_array_equal(loaded.bounds, scene.bounds)
    np.testing.assert_array_equal(loaded.map_T_scene, scene.map_T_scene)
    header = header_of(tmp_path / "lab")
    assert header["format_version"] == 5
    assert header["landmarks"] == 0
    assert "encoder" not in header
    assert "depth_calibration" not in header
    megabytes = sum(file.stat().st_size for file in (tmp_path / "lab").iterdir()) / 1e6
    if network in SIZES:
        assert megabytes == pytest.approx(SIZES[network], rel=0.08)
    gray = torch.randn(1, 1, 40, 48)
    torch.testing.assert_close(loaded.regressor(gray), scene.regressor(gray))


@pytest.mark.parametrize("depth", [None, DEPTH])
@pytest.mark.parametrize("threshold", [10.0, 0.1])
def test_the_scorer_and_the_calibration_of_depth_come_back(
    threshold: float, depth: Any, tmp_path: Path
) -> None:
    scene = dense_map(threshold=threshold, depth_calibration=depth)
    scene.save(tmp_path / "lab")
    loaded = SceneMap.load(tmp_path / "lab")
    assert loaded.depth_calibration == depth
    assert loaded.calibration == scene.calibration
    assert scene.scorer is not None
    assert loaded.scorer is not None
    same_weights(scene.scorer, loaded.scorer)
    same_weights(scene.regressor, loaded.regressor)
    assert loaded.scorer.inlier_threshold == threshold
    assert not loaded.scorer.training
    errors, weights = threshold * torch.rand(1, 3, 48), torch.ones(1, 48)
    assert torch.equal(
        loaded.scorer.on_grid((6, 8))(errors, weights), scene.scorer(errors, weights)
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    dense_map(threshold=10.0, depth_calibration=DEPTH).save(tmp_path / "lab")
    return tmp_path / "lab"


def test_a_network_that_there_is_not(folder: Path) -> None:
    change_header(folder, network="dsac-xxl")
    message = error_of(folder)
    assert "'dsac-xxl'" in message
    assert "dsacstar-tiny" in message


def test_weights_of_another_network(folder: Path) -> None:
    change_header(folder, network="dsacstar")
    assert "does not fit its header" in error_of(folder)


@pytest.mark.parametrize("name", ["leave.bias", "scene_mean", "scorer.layers.0.weight"])
def test_weights_that_lack_something(name: str, folder: Path) -> None:
    weights = load_file(folder / "map.safetensors")
    del weights[name]
    save_file(weights, folder / "map.safetensors")
    message = error_of(folder)
    assert f"{name} should be (" in message
    assert message.endswith("is missing")


def test_weights_without_the_whole_scorer(folder: Path) -> None:
    weights = load_file(folder / "map.safetensors")
    network = {name: value for name, value in weights.items() if not name.startswith("scorer.")}
    save_file(network, folder / "map.safetensors")
    assert "scorer." in error_of(folder)
    header = header_of(folder)
    del header["scorer"]
    (folder / "scene.json").write_text(json.dumps(header))
    assert SceneMap.load(folder).scorer is None


def test_missing_and_truncated_weights(folder: Path) -> None:
    file = folder / "map.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert "missing or truncated" in error_of(folder)
    file.unlink()
    assert "missing or truncated" in error_of(folder)


@pytest.mark.parametrize(
    "change",
    [{"scorer": None}, {"scorer": {}}, {"scorer": {"inlier_threshold": -1.0}},
     {"scorer": {"inlier_threshold": "ten"}}, {"network": None}, {"network": 7},
     {"depth_calibration": {}}, {"depth_calibration": 7}, {"depth_calibration": False},
     {"depth_calibration": {"min_reliability": 0.0, "min_support": 2.0, "covariance_scale": 1.0}}],
)  # fmt: skip
def test_a_header_with_a_wrong_field(change: dict[str, Any], folder: Path) -> None:
    change_header(folder, **change)
    assert "map the scene again" in error_of(folder)


def info(folder: Path, capfd: pytest.CaptureFixture[str]) -> dict[str, str]:
    assert main(["info", str(folder)]) == 0
    lines = capfd.readouterr().out.splitlines()
    return {line.split("  ")[0]: line.split("  ")[-1].strip() for line in lines}


def test_info_tells_of_network_and_depth(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = info(folder, capfd)
    assert rows["network"] == TINY
    assert rows["localized at"] == "50% of the cells agreeing"
    assert rows["localized at, with depth"] == "confidence 0.70 and 37% of the cells agreeing"
    assert rows["covariance, with depth"] == "scale 2.5, at least 2.0 cm and 0.00 deg"
    assert rows["init loss"] == "1.25"
    replace(SceneMap.load(folder), depth_calibration=None).save(folder)
    assert info(folder, capfd)["with depth"] == "not checked: RGB-D images are used as RGB"


def test_info_tells_what_a_map_was_made_from_and_believes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    learned = {
        "held_out_views": 18,
        "held_out_localized_10cm_5deg": 17,
        "held_out_median_cm": 0.9,
        "held_out_median_deg": 0.3,
        "held_out_localized": 16,
        "mirror_images_localized": 0,
        "held_out_normalised_error": 5.5,
    }
    with_depth = {f"{key}_with_depth": value for key, value in learned.items()}
    record = {
        "dataset": "walk",
        "split": "train",
        "images": 282,
        "cells": 1148866,
        "depth": True,
        "finished": "2026-11-21T10:00:00+00:00",
        "seed": 7,
        "precision": "bfloat16",
        **learned,
        **with_depth,
        "held_out_median_cm_with_depth": 0.7,
    }
    scene = replace(dense_map(depth_calibration=DEPTH), training=record)
    scene.save(tmp_path / "lab")
    rows = info(tmp_path / "lab", capfd)
    assert rows["made from"] == "walk, split train: 282 images, 1,148,866 cells, colour and depth"
    assert rows["made on"] == "2026-11-21T10:00:00+00:00"
    assert (rows["seed"], rows["precision"]) == ("7", "bfloat16")
    good = "17 of 18 views are within 10 cm and 5 deg, median"
    assert rows["held out"] == f"{good} 0.9 cm, 0.3 deg"
    assert rows["held out, with depth"] == f"{good} 0.7 cm, 0.3 deg"
    assert rows["localized at"].endswith("so 16 of 18 held-out views are, 0 of 18 in a mirror")
    assert "normalised error squared of held-out views 5.5" in rows["covariance"]
    assert not any("held_out" in label for label in rows)
