# SPDX-License-Identifier: Apache-2.0
"""EuRoC MAV, as its paper and its files describe it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from image_files import HEIGHT, WIDTH, error_of, write_values

from dsac_core.data import euroc
from dsac_core.geometry.camera import Camera

START = 1403636579763555584  # ns: more than a float can hold
STEP = 50_000_000
SENSOR = """# General sensor definitions.
sensor_type: camera
comment: VI-Sensor cam0 (MT9M034)

# Sensor extrinsics wrt. the body-frame.
T_BS:
  cols: 4
  rows: 4
  data: [0.0, -1.0, 0.0, 0.1,
         1.0, 0.0, 0.0, 0.2,
         0.0, 0.0, 1.0, 0.3,
         0.0, 0.0, 0.0, 1.0]

# Camera specific definitions.
rate_hz: 20
resolution: [32, 24]
camera_model: pinhole
intrinsics: [45.8654, 45.7296, 16.7215, 11.8375] #fu, fv, cu, cv
distortion_model: radial-tangential
distortion_coefficients: [-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05]
"""
HEADER = "#timestamp, p_RS_R_x [m], p_RS_R_y [m], p_RS_R_z [m], q_RS_w [], q_RS_x [], q_RS_y [], "
HEADER += (
    "q_RS_z [], v_RS_R_x [m s^-1], v_RS_R_y [m s^-1], v_RS_R_z [m s^-1], b_w_RS_S_x [rad s^-1]"
)
REST = ",0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9"  # velocity and biases


def gray(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six images at 20 Hz; poses from the second on, with a gap at the fifth."""
    path = tmp_path / "MH_01_easy"
    camera = path / "mav0" / "cam0"
    stamps = [START + index * STEP for index in range(6)]
    for index, stamp in enumerate(stamps):
        write_values(camera / "data" / f"{stamp}.png", gray(index))
    rows = [f"{stamps[index]},{stamps[index]}.png" for index in (0, 2, 1, 3, 4, 5)]
    (camera / "data.csv").write_bytes("\r\n".join(["#timestamp [ns],filename", *rows, ""]).encode())
    (camera / "sensor.yaml").write_text(SENSOR)
    truth = path / "mav0" / "state_groundtruth_estimate0"
    truth.mkdir()
    poses = [
        (stamps[1], "1,2,3,1,0,0,0"),
        (stamps[2] - 10, "1,2,3,0.7071068,0.7071068,0,0"),  # 90 degrees about x
        (stamps[2] + 30, "5,2,3,0.7071068,0.7071068,0,0"),
        (stamps[3] + 1, "7,8,9,0,0,0,1"),  # 180 degrees about z
        (stamps[5] + 2, "7,8,9,0,0,0,1"),
        (stamps[4], "nan,nan,nan,nan,nan,nan,nan"),
    ]
    lines = [HEADER, *(f"{stamp},{pose}{REST}" for stamp, pose in poses), ""]
    (truth / "data.csv").write_bytes("\r\n".join(lines).encode())
    return path


def test_frames_with_poses_in_order_of_time(folder: Path) -> None:
    assert euroc.recognises(folder)
    dataset = euroc.open_euroc(folder)
    assert (dataset.name, dataset.kind, dataset.splits()) == ("MH_01_easy", "EuRoC", ("all",))
    frames = list(dataset.frames("all", with_depth=True))
    # The first is before the poses, the fifth and sixth in a gap of 100 ms and a nanosecond.
    stamps = [START + index * STEP for index in (1, 2, 3)]
    assert [frame.name for frame in frames] == [f"{stamp}.png" for stamp in stamps]
    assert [frame.stamp for frame in frames] == [float(f"{stamp}e-9") for stamp in stamps]
    for index, frame in enumerate(frames, 1):
        np.testing.assert_array_equal(frame.image, np.repeat(gray(index)[..., None], 3, axis=2))
        assert frame.depth is None


def test_the_camera(folder: Path) -> None:
    coefficients = (-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05)
    expected = Camera(32, 24, 45.8654, 45.7296, 16.7215, 11.8375, "plumb_bob", coefficients)
    assert next(iter(euroc.open_euroc(folder).frames("all"))).camera == expected


def test_poses_are_those_of_the_camera(folder: Path) -> None:
    """T_BS takes the camera's x to the body's y and y to -x, and stands at (0.1, 0.2, 0.3)."""
    first, second, third = (frame.world_T_cam for frame in euroc.open_euroc(folder).frames("all"))
    np.testing.assert_allclose(first[:3, 3], [1.1, 2.2, 3.3])
    np.testing.assert_allclose(first[:3, :3], [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)
    # A quarter of the way from 1 to 5; the turn about x takes y to z and z to -y.
    np.testing.assert_allclose(second[:3, 3], [2.1, 1.7, 3.2], atol=1e-6)
    np.testing.assert_allclose(second[:3, :3], [[0, -1, 0], [0, 0, -1], [1, 0, 0]], atol=1e-6)
    # Nearly at the half turn about z.
    np.testing.assert_allclose(third[:3, 3], [6.9, 7.8, 9.3], atol=1e-5)
    np.testing.assert_allclose(third[:3, :3], [[0, 1, 0], [-1, 0, 0], [0, 0, 1]], atol=1e-5)


@pytest.mark.parametrize("given", ["mav0", "mav0/."])
def test_mav0_itself_may_be_given(folder: Path, given: str) -> None:
    assert euroc.recognises(folder / given)
    assert euroc.open_euroc(folder / given).name == "MH_01_easy"


def sensor_with(folder: Path, old: str, new: str) -> None:
    assert old in SENSOR
    (folder / "mav0/cam0/sensor.yaml").write_text(SENSOR.replace(old, new))


@pytest.mark.parametrize(
    ("model", "coefficients", "expected"),
    [
        ("equidistant", "[0.1, 0.2, 0.3, 0.4]", ("equidistant", (0.1, 0.2, 0.3, 0.4))),
        ("radtan", "[0.1, 0.2, 0.3, 0.4]", ("plumb_bob", (0.1, 0.2, 0.3, 0.4))),
        ("none", "[]", ("none", ())),
        ("none", "[0, 0, 0, 0]", ("none", ())),
    ],
)
def test_models_of_distortion(
    folder: Path, model: str, coefficients: str, expected: tuple[str, tuple[float, ...]]
) -> None:
    old = SENSOR[SENSOR.index("distortion_model") :]
    sensor_with(folder, old, f"distortion_model: {model}\ndistortion_coefficients: {coefficients}")
    camera = next(iter(euroc.open_euroc(folder).frames("all"))).camera
    assert (camera.distortion_model, camera.distortion) == expected


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("radial-tangential", "omni", "'omni' is unknown"),
        ("pinhole", "ds", "'ds' with"),
        ("-0.28340811, ", "", "takes 4 or 5 coefficients, got 3"),
        ("resolution: [32, 24]", "", "resolution"),
        ("resolution: [32, 24]", "resolution: 32", "resolution"),
        ("[45.8654, ", "[0, ", "not calibrated"),
        ("[45.8654, ", "[", "intrinsics"),
        ("[0.0, -1.0, 0.0, 0.1,", "[0.0, 1.0, 0.0, 0.1,", "T_BS is not a rigid"),
        ("[0.0, -1.0, 0.0, 0.1,", "[", "T_BS: data"),
        ("T_BS:", "T_BC:", "T_BS: data"),
        ("1.76187114e-05]", "1.76187114e-05", "not readable as YAML"),
        (SENSOR, "", "not a sensor.yaml"),
        (SENSOR, "- 1\n", "not a sensor.yaml"),
    ],
)
def test_a_bad_calibration_is_named(folder: Path, old: str, new: str, said: str) -> None:
    sensor_with(folder, old, new)
    message = error_of(lambda: euroc.open_euroc(folder))
    assert str(folder / "mav0/cam0/sensor.yaml") in message
    assert said in message


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("cam0/data.csv", f",{START}.png", "", "line 2: expected 'stamp,file'"),
        ("cam0/data.csv", f",{START}.png", ",", "line 2: expected 'stamp,file'"),
        ("cam0/data.csv", f",{START}.png", ",gone.png", "gone.png is missing"),
        ("cam0/data.csv", f"{START},", "now,", "line 2: 'now' is not a stamp in nanoseconds"),
        ("state_groundtruth_estimate0/data.csv", "1,2,3,1,0,0,0", "1,2", "line 2: expected 'stamp"),
        ("state_groundtruth_estimate0/data.csv", "1,2,3,1,0", "1,2,3,a,0", "line 2: expected"),
        ("state_groundtruth_estimate0/data.csv", "1,2,3,1,0,0", "1,2,3,1,1,1", "line 2: the quat"),
    ],
)
def test_a_malformed_line_is_named(folder: Path, name: str, old: str, new: str, said: str) -> None:
    file = folder / "mav0" / name
    text = file.read_text()
    assert old in text
    rest = REST if new == "1,2" else ""
    file.write_text(text.replace(old + rest, new, 1))
    message = error_of(lambda: euroc.open_euroc(folder))
    assert str(file) in message
    assert said in message


@pytest.mark.parametrize(
    "name", ["cam0/sensor.yaml", "cam0/data.csv", "state_groundtruth_estimate0/data.csv"]
)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / "mav0" / name).unlink()
    assert str(folder / "mav0" / name) in error_of(lambda: euroc.open_euroc(folder))


def test_stamps_of_another_clock(folder: Path) -> None:
    file = folder / "mav0/state_groundtruth_estimate0/data.csv"
    file.write_text("100,0,0,0,1,0,0,0\n200,0,0,0,1,0,0,0\n")
    assert "one clock" in error_of(lambda: euroc.open_euroc(folder))
