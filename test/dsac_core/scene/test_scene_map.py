# SPDX-License-Identifier: Apache-2.0
"""The scene map on disk: round trip, damage, and what must never be lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dsac_core.errors import ConfigError, SceneMapError
from dsac_core.landmarks.landmark_map import LandmarkMap
from dsac_core.scene import scene_map as module
from dsac_core.scene.confidence import Confidence, Evidence
from dsac_core.scene.locate import known_scenes
from dsac_core.scene.scene_map import Calibration, SceneMap

# As maps had it before format version 3.
OLD_CALIBRATION = {"min_reliability": 0.05, "min_support": 0.21, "covariance_scale": 3.5}


@pytest.fixture
def folder(scene_map: SceneMap, tmp_path: Path) -> Path:
    scene_map.save(tmp_path / "lab")
    return tmp_path / "lab"


def change_header(folder: Path, **changes: Any) -> None:
    header = json.loads((folder / "scene.json").read_text())
    header.update(changes)
    (folder / "scene.json").write_text(json.dumps(header))


def error_of(folder: Path) -> str:
    with pytest.raises(SceneMapError) as caught:
        SceneMap.load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_everything_comes_back(scene_map: SceneMap, folder: Path) -> None:
    loaded = SceneMap.load(folder)
    for name in ("name", "frame_id", "camera", "calibration", "training"):
        assert getattr(loaded, name) == getattr(scene_map, name)
    np.testing.assert_array_equal(loaded.bounds, scene_map.bounds)
    np.testing.assert_allclose(loaded.map_T_scene, scene_map.map_T_scene, atol=1e-15)
    before, after = scene_map.regressor.state_dict(), loaded.regressor.state_dict()
    for name, tensor in before.items():
        assert after[name].dtype == torch.float32
        if name in ("centre", "feature_mean", "feature_std"):
            assert torch.equal(after[name], tensor)
        else:
            assert torch.equal(after[name], tensor.half().float())
    features = torch.randn(50, 128)
    expected = scene_map.regressor(features)
    torch.testing.assert_close(loaded.regressor(features), expected, atol=0.02, rtol=0)


def test_two_files_and_about_one_megabyte(folder: Path) -> None:
    assert sorted(file.name for file in folder.iterdir()) == ["map.safetensors", "scene.json"]
    assert sum(file.stat().st_size for file in folder.iterdir()) < 1_300_000
    assert [entry.name for entry in folder.parent.iterdir()] == ["lab"]


def test_a_new_map_replaces_the_old_one(scene_map: SceneMap, folder: Path) -> None:
    replace(scene_map, name="second").save(folder)
    assert SceneMap.load(folder).name == "second"
    assert [entry.name for entry in folder.parent.iterdir()] == ["lab"]


@pytest.mark.parametrize("step", ["save_file", "write_json"])
def test_a_failure_while_saving_leaves_the_old_map(
    step: str, scene_map: SceneMap, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        msg = "disk full"
        raise OSError(msg)

    monkeypatch.setattr(module, step, fail)
    with pytest.raises(OSError, match="disk full"):
        replace(scene_map, name="second").save(folder)
    assert SceneMap.load(folder).name == "lab"
    assert [entry.name for entry in folder.parent.iterdir()] == ["lab"]


def test_a_failing_rename_puts_the_old_map_back(
    scene_map: SceneMap, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if ".unfinished" in str(self):
            msg = "no space"
            raise OSError(msg)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="no space"):
        replace(scene_map, name="second").save(folder)
    monkeypatch.undo()
    assert SceneMap.load(folder).name == "lab"


def test_saving_into_the_working_folder(
    scene_map: SceneMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    scene_map.save(Path())
    assert SceneMap.load(tmp_path / "here").name == "lab"


@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_is_no_map_is_never_replaced(what: str, scene_map: SceneMap, tmp_path: Path) -> None:
    target = tmp_path / "thesis"
    if what == "folder":
        target.mkdir()
        (target / "chapter1.tex").write_text("years of work")
    else:
        target.write_text("years of work")
    with pytest.raises(SceneMapError, match="not a scene map"):
        scene_map.save(target)
    kept = target / "chapter1.tex" if what == "folder" else target
    assert kept.read_text() == "years of work"


def test_nan_in_the_record_is_refused_and_nothing_is_left(
    scene_map: SceneMap, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        replace(scene_map, training={"loss": float("nan")}).save(tmp_path / "lab")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kept", [0, 4, 100, 0.5, 0.999])
def test_truncated_weights(folder: Path, kept: float) -> None:
    file = folder / "map.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: int(kept if kept > 1 else kept * len(content))])
    assert "missing or truncated" in error_of(folder)


def test_missing_weights(folder: Path) -> None:
    (folder / "map.safetensors").unlink()
    assert "map.safetensors is missing" in error_of(folder)


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", "null", "{}", "\xff\xfe"])
def test_a_header_that_is_none(folder: Path, content: str) -> None:
    (folder / "scene.json").write_bytes(content.encode("latin-1"))
    assert "scene.json" in error_of(folder)


def test_a_newer_format(folder: Path) -> None:
    change_header(folder, format_version=99)
    message = error_of(folder)
    assert "format version 99" in message
    assert "update" in message


def test_another_encoder(folder: Path) -> None:
    change_header(folder, encoder="superpoint")
    assert "needs encoder 'superpoint'" in error_of(folder)


def test_weights_of_another_shape(folder: Path) -> None:
    change_header(folder, head={"in_channels": 128, "width": 64, "blocks": 2})
    message = error_of(folder)
    assert "enter.weight should be (64, 128), is (256, 128)" in message


def test_weights_with_a_tensor_missing(folder: Path) -> None:
    weights = load_file(folder / "map.safetensors")
    del weights["leave.bias"]
    save_file(weights, folder / "map.safetensors")
    assert "leave.bias should be (4,), is missing" in error_of(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"calibration": {"min_reliability": 0.1, "min_support": 2.0, "covariance_scale": 1}},
        {"calibration": {"min_reliability": 0.1}},
        {"calibration": None},
        {"calibration": {**OLD_CALIBRATION, "min_confidence": 1.0}},
        {"calibration": {**OLD_CALIBRATION, "min_confidence": "half"}},
        {"calibration": {**OLD_CALIBRATION, "translation_floor": -0.1}},
        {"calibration": {**OLD_CALIBRATION, "rotation_floor": "wide"}},
        {"calibration": {**OLD_CALIBRATION, "landmark_weight": 0.0}},
        {"calibration": {**OLD_CALIBRATION, "landmark_weight": "much"}},
        {"calibration": {**OLD_CALIBRATION, "confidence": 7}},
        {"calibration": {**OLD_CALIBRATION, "confidence": {"offset": 1.0}}},
        {"calibration": {**OLD_CALIBRATION, "confidence": {"offset": 1.0, "support": -1.0}}},
        {"calibration": {**OLD_CALIBRATION, "confidence": {"offset": 1, "support": 1, "luck": 1}}},
        {"camera": {"width": 640}},
        {"camera": []},
        {"head": {"in_channels": 0, "width": 256, "blocks": 2}},
        {"head": {"in_channels": 128, "width": "wide", "blocks": 2}},
        {"map_T_scene": [[1, 0], [0, 1]]},
        {"map_T_scene": [[float("nan")] * 4] * 4},
        {"bounds": {"min": [0, 0, 0]}},
        {"bounds": {"min": [0, 0, 0], "max": "far"}},
        {"training": 7},
    ],
)
def test_a_header_with_a_wrong_field(folder: Path, change: dict[str, Any]) -> None:
    change_header(folder, **change)
    assert "map the scene again" in error_of(folder)


@pytest.mark.parametrize("field", ["name", "frame_id", "camera", "bounds", "training", "head"])
def test_a_header_that_lacks_a_field(folder: Path, field: str) -> None:
    header = json.loads((folder / "scene.json").read_text())
    del header[field]
    (folder / "scene.json").write_text(json.dumps(header))
    assert f"lacks '{field}'" in error_of(folder)


@pytest.mark.parametrize(
    "values", [(1.0, 0.2, 1.0), (0.1, 0.0, 1.0), (0.1, 0.2, 0.0), (0.1, 0.2, float("nan"))]
)
def test_a_calibration_that_would_lie_is_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigError, match="calibration"):
        Calibration(*values)


@pytest.mark.parametrize(
    "change",
    [
        {"translation_floor": -1e-9},
        {"rotation_floor": float("nan")},
        {"translation_floor": float("inf")},
        {"min_confidence": 0.0},
        {"min_confidence": float("nan")},
        {"landmark_weight": 0.0},
        {"landmark_weight": -1.0},
        {"landmark_weight": float("inf")},
        {"landmark_weight": float("nan")},
        {"landmark_lead": 0.0},
        {"landmark_lead": float("inf")},
    ],
)
def test_what_confidence_floors_and_weight_cannot_be(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        Calibration(0.1, 0.2, 1.0, **change)  # type: ignore[arg-type]


def test_what_was_learned_comes_back(scene_map: SceneMap, tmp_path: Path) -> None:
    learned = Calibration(
        0.05, 0.07, 45.0, 0.01, 0.005, Confidence(1.5, 1.0, 0.8, 2.2), 0.6, 7.5, 1.4
    )
    replace(scene_map, calibration=learned).save(tmp_path / "lab")
    assert SceneMap.load(tmp_path / "lab").calibration == learned


def without(folder: Path, *fields: str) -> None:
    header = json.loads((folder / "scene.json").read_text())
    for name in fields:
        del header[name]
    (folder / "scene.json").write_text(json.dumps(header))


@pytest.mark.parametrize("version", [1, 2])
def test_an_old_map_localizes_what_it_did(folder: Path, version: int) -> None:
    """It has no confidence function: the share of agreeing cells alone decides, as before."""
    change_header(folder, format_version=version, calibration=OLD_CALIBRATION)
    without(folder, "landmarks", "regression", "depth_scale")
    loaded = SceneMap.load(folder)
    assert loaded.landmarks is None
    assert loaded.regression
    calibration = loaded.calibration
    assert calibration == Calibration(0.05, 0.21, 3.5)
    for support in (0.01, 0.2099, 0.21, 0.2101, 0.9):
        for spread, sigma in ((1.0, 0.01), (0.1, 5.0)):
            evidence = Evidence(support, spread, sigma)
            assert calibration.localizes(evidence) == (support >= 0.21)
            assert (calibration.confidence_in(evidence) >= 0.5) == (support >= 0.21)
    covariance = np.diag(np.arange(1.0, 7.0))
    np.testing.assert_array_equal(calibration.honest(covariance), 3.5 * covariance)


def test_a_map_of_version_3_has_no_landmarks(folder: Path) -> None:
    """And its calibration, which does not know their weight, is kept."""
    learned = {**OLD_CALIBRATION, "translation_floor": 0.01, "min_confidence": 0.6}
    change_header(folder, format_version=3, calibration=learned)
    without(folder, "landmarks", "regression")
    loaded = SceneMap.load(folder)
    assert loaded.landmarks is None
    assert loaded.regression
    assert loaded.calibration == Calibration(0.05, 0.21, 3.5, 0.01, min_confidence=0.6)


def test_the_format_with_landmarks_is_the_fourth(folder: Path) -> None:
    header = json.loads((folder / "scene.json").read_text())
    assert (header["format_version"], header["landmarks"], header["regression"]) == (5, 0, True)


def some_landmarks() -> LandmarkMap:
    """Five, of which two views see three and four."""
    generator = torch.Generator().manual_seed(0)

    def whole(*shape: int) -> torch.Tensor:
        return torch.randint(-127, 128, shape, generator=generator, dtype=torch.int8)

    return LandmarkMap(
        torch.randn(5, 3, generator=generator),
        whole(5, 64),
        torch.randn(32, 64, generator=generator),
        whole(2, 32 * 64),
        torch.tensor([0, 3, 7], dtype=torch.int32),
        torch.tensor([0, 1, 2, 1, 2, 3, 4], dtype=torch.int32),
    )


@pytest.fixture
def with_landmarks(scene_map: SceneMap, tmp_path: Path) -> Path:
    folder = tmp_path / "sparse"
    replace(scene_map, landmarks=some_landmarks(), regression=False).save(folder)
    return folder


def test_landmarks_come_back_to_the_last_bit(with_landmarks: Path, scene_map: SceneMap) -> None:
    loaded = SceneMap.load(with_landmarks)
    assert loaded.landmarks is not None
    stored = loaded.landmarks.tensors()
    assert len(stored) == 6
    for name, tensor in some_landmarks().tensors().items():
        assert stored[name].dtype == tensor.dtype
        assert torch.equal(stored[name], tensor), name
    assert not loaded.regression
    centre = loaded.regressor.state_dict()["centre"]
    assert torch.equal(centre, scene_map.regressor.state_dict()["centre"])
    assert json.loads((with_landmarks / "scene.json").read_text())["landmarks"] == 5
    assert sorted(file.name for file in with_landmarks.iterdir()) == [
        "map.safetensors",
        "scene.json",
    ]


def change_landmarks(folder: Path, **changes: torch.Tensor | None) -> None:
    """Other tensors in their place, or none."""
    weights = load_file(folder / "map.safetensors")
    for name, tensor in changes.items():
        del weights[f"landmarks.{name}"]
        if tensor is not None:
            weights[f"landmarks.{name}"] = tensor
    save_file(weights, folder / "map.safetensors")


@pytest.mark.parametrize(
    "changes",
    [
        {"first_V": torch.tensor([0, 3, 8])},  # beyond the list
        {"first_V": torch.tensor([0, 3, 6])},  # before its end
        {"first_V": torch.tensor([1, 3, 7])},
        {"first_V": torch.tensor([0, 8, 7])},
        {"first_V": torch.tensor([0, -1, 7])},
        {"first_V": torch.tensor([0, 7])},  # of one view
        {"first_V": torch.tensor([[0, 3, 7]])},
        {"sighted_O": torch.tensor([0, 1, 2, 1, 2, 3])},
        {"sighted_O": torch.tensor([0, 1, 2, 1, 2, 3, 5])},  # there is no such landmark
        {"sighted_O": torch.tensor([0, 1, 2, 1, 2, 3, -1])},
        {"points_L3": torch.zeros(4, 3)},
        {"points_L3": torch.zeros(5, 2)},
        {"descriptors_LC": torch.zeros(5, 63, dtype=torch.int8)},
        {"places_VP": torch.zeros(2, 64, dtype=torch.int8)},
        {"places_VP": torch.zeros(3, 2048, dtype=torch.int8)},
        {"words_WC": torch.zeros(31, 64)},
    ],
)
def test_an_index_of_landmarks_that_does_not_fit(
    changes: dict[str, torch.Tensor], with_landmarks: Path
) -> None:
    change_landmarks(with_landmarks, **changes)
    assert "map the scene again" in error_of(with_landmarks)


@pytest.mark.parametrize("name", list(some_landmarks().tensors()))
def test_landmarks_with_a_tensor_missing(name: str, with_landmarks: Path) -> None:
    change_landmarks(with_landmarks, **{name: None})
    message = error_of(with_landmarks)
    assert f"landmarks lack {name}" in message
    assert message.endswith("map the scene again")


def test_a_header_that_promises_landmarks_of_which_there_are_none(folder: Path) -> None:
    change_header(folder, landmarks=5)
    assert "landmarks lack points_L3, " in error_of(folder)


def test_a_header_that_counts_other_landmarks(with_landmarks: Path) -> None:
    change_header(with_landmarks, landmarks=6)
    assert "map the scene again" in error_of(with_landmarks)


@pytest.mark.parametrize("name", list(some_landmarks().tensors()))
def test_landmarks_of_another_type(name: str, with_landmarks: Path) -> None:
    change_landmarks(with_landmarks, **{name: torch.tensor(1.0)})
    assert "map the scene again" in error_of(with_landmarks)


def test_floors_are_those_of_standard_deviations() -> None:
    calibration = Calibration(0.05, 0.2, 2.0, translation_floor=0.1, rotation_floor=0.3)
    honest = calibration.honest(np.eye(6))
    np.testing.assert_allclose(honest, np.diag([2.01] * 3 + [2.09] * 3))


@pytest.fixture
def homes(scene_map: SceneMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Maps in two folders of DSAC_SCENES and in the user's home; 'lab' is in all of them."""
    for home in ("first", "second", "user/.ros/dsac/scenes"):
        for name in ("lab", home.split("/", maxsplit=1)[0]):
            replace(scene_map, name=name, frame_id=home).save(tmp_path / home / name)
    (tmp_path / "first" / "no_map").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    folders = [str(tmp_path / "first"), str(tmp_path / "absent"), str(tmp_path / "second")]
    monkeypatch.setenv("DSAC_SCENES", ":".join(folders))
    return tmp_path


def test_scenes_are_found_by_name_first_come_first_served(homes: Path) -> None:
    assert set(known_scenes()) >= {"lab", "first", "second", "user"}
    assert "no_map" not in known_scenes()
    assert SceneMap.load("lab").frame_id == "first"
    assert SceneMap.load("user").frame_id == "user/.ros/dsac/scenes"
    assert SceneMap.load(str(homes / "second" / "lab")).frame_id == "second"


def test_an_unknown_scene_lists_the_known_ones(homes: Path) -> None:
    with pytest.raises(SceneMapError) as caught:
        SceneMap.load("ofice")
    message = str(caught.value)
    assert "unknown scene 'ofice'" in message
    for known in ("lab", "first", "second", "user", str(homes / "second")):
        assert known in message


def test_a_folder_that_is_no_map(homes: Path) -> None:
    with pytest.raises(SceneMapError, match="no scene map"):
        SceneMap.load(homes / "first" / "no_map")
