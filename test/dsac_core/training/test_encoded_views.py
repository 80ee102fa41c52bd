# SPDX-License-Identifier: Apache-2.0
"""What a view is, and where a head thinks that it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from known_cells import LENS, Knowing, scene_cells
from stand_in import CAMERA

from dsac_core.data.frame import Frame
from dsac_core.geometry.images import to_gray
from dsac_core.networks.image_encoder import ImageEncoder
from dsac_core.relocalizer import DEFAULT_MAX_CELLS
from dsac_core.training.encoded_views import EncodedView, encode_view, view_errors


def test_the_pose_of_a_view_is_right_off_or_not_to_be_had() -> None:
    points, pixels, pose = scene_cells(5)
    view = EncodedView(points, pixels, LENS, pose)
    shuffled = pixels[torch.randperm(768, generator=torch.manual_seed(0))]
    elsewhere = pose.copy()
    elsewhere[0, 3] += 0.2
    views = [view, view._replace(world_T_cam=elsewhere), view._replace(pixels_N2=shuffled)]
    errors = view_errors(Knowing(), views, torch.float32)
    assert (errors[0] < 1e-3).all()
    assert errors[1, 0] == pytest.approx(0.2, abs=1e-3)
    assert np.isinf(errors[2]).all()


def test_a_view_has_the_most_reliable_cells_without_distortion() -> None:
    lens = (0.1, 0.0, 0.0, 0.0, 0.0)
    camera = replace(CAMERA.scaled(640, 480), distortion_model="plumb_bob", distortion=lens)
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    encoder = ImageEncoder(torch.device("cpu"), torch.float32)
    view = encode_view(Frame("", 0.0, image, camera, np.eye(4)), camera, encoder, 0.0)
    encoded = encoder(torch.from_numpy(to_gray(image)))
    best = encoded.reliability_N.argsort(descending=True, stable=True)[:DEFAULT_MAX_CELLS]
    assert torch.equal(view.features_NC, encoded.features_NC[best])
    ideal = camera.undistort(encoded.pixels_N2[best].double().numpy())
    np.testing.assert_allclose(view.pixels_N2.numpy(), ideal, atol=1e-3)
    least = float(encoded.reliability_N[best[99]])
    few = encode_view(Frame("", 0.0, image, camera, np.eye(4)), camera, encoder, least)
    assert len(few.features_NC) == 100
