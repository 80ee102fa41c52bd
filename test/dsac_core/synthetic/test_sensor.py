# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from dsac_core.errors import ConfigError
from dsac_core.synthetic import CAMERA, SensorOptions
from dsac_core.synthetic.sensor import expose, measure_depth

SILENT = SensorOptions(blur=0, vignette=0, shot_noise=0, read_noise=0, auto_exposure=0,
                       exposure_drift=0, depth_noise=0)  # fmt: skip


def flat(value):
    return np.full((CAMERA.height, CAMERA.width, 3), value, np.uint8)


def test_an_ideal_sensor_changes_nothing():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (CAMERA.height, CAMERA.width, 3), np.uint8)
    np.testing.assert_array_equal(expose(picture, CAMERA, SILENT, rng, 3.0), picture)


def test_noise_grows_with_light_as_the_options_say():
    options = SensorOptions(blur=0, vignette=0, auto_exposure=0, exposure_drift=0)
    for value in (30, 120, 200):
        picture = expose(flat(value), CAMERA, options, np.random.default_rng(1), 0.0)
        expected = np.sqrt(options.read_noise**2 + options.shot_noise * value + 1 / 12)
        assert picture.std() == pytest.approx(expected, rel=0.03)
        assert picture.mean() == pytest.approx(value, abs=0.1)


def test_corners_are_darker_and_dark_scenes_are_exposed_longer():
    options = SensorOptions(shot_noise=0, read_noise=0, exposure_drift=0)
    picture = expose(flat(60), CAMERA, options, np.random.default_rng(1), 0.0)
    assert picture[0, 0, 0] < 0.85 * picture[240, 320, 0]
    assert picture[240, 320, 0] > 65


def test_frames_have_different_noise_and_the_same_generator_the_same():
    options = SensorOptions(vignette=0)
    one = expose(flat(90), CAMERA, options, np.random.default_rng(1), 0.0)
    same = expose(flat(90), CAMERA, options, np.random.default_rng(1), 0.0)
    other = expose(flat(90), CAMERA, options, np.random.default_rng(2), 0.0)
    np.testing.assert_array_equal(one, same)
    correlation = np.corrcoef(one[100:200, 100:200].ravel(), other[100:200, 100:200].ravel())
    assert abs(correlation[0, 1]) < 0.05


def test_depth_noise_grows_with_the_square_and_is_in_millimetres():
    for metres in (1.0, 2.0, 4.0):
        depth = np.full((CAMERA.height, CAMERA.width), metres, np.float32)
        measured = measure_depth(depth, CAMERA, SensorOptions(), np.random.default_rng(1))
        assert measured.dtype == np.uint16
        expected = 1000 * SensorOptions().depth_noise * metres**2
        assert measured.std() == pytest.approx(expected, rel=0.08, abs=0.3)
        assert measured.mean() == pytest.approx(1000 * metres, abs=0.2)


def test_depth_has_holes_beyond_its_range_and_at_grazing_surfaces():
    depth = np.full((CAMERA.height, CAMERA.width), 2.0, np.float32)
    depth[:100] = 9.0
    depth[200:220] = 0.1
    depth[300:] = 2.0 * 1.06 ** np.arange(CAMERA.height - 300, dtype=np.float32)[:, None] ** 0.9
    measured = measure_depth(depth, CAMERA, SILENT, np.random.default_rng(1))
    assert not measured[:100].any()
    assert not measured[200:220].any()
    assert not measured[310:].any()
    np.testing.assert_array_equal(measured[110:190], 2000)


def test_negative_settings_are_refused():
    with pytest.raises(ConfigError, match="read_noise must not be negative, got -1"):
        SensorOptions(read_noise=-1.0)
