# SPDX-License-Identifier: Apache-2.0
"""The poses of encoded views."""

from __future__ import annotations

import numpy as np
import torch
from known_cells import LENS, Knowing, scene_cells

from dsac_core.geometry.pose import invert
from dsac_core.training.encoded_views import EncodedView, view_errors


def test_the_pose_of_a_view_by_colour_and_by_depth() -> None:
    """The depth of a view counts only where it is asked for."""
    points, pixels, pose = scene_cells(5)
    depth = (points @ torch.from_numpy(invert(pose)[:3, :3]).float().T)[:, 2] + invert(pose)[2, 3]
    view = EncodedView(points, pixels, LENS, pose, depth.float())
    deeper = view._replace(depth_N=1.1 * depth.float())
    none = view._replace(pixels_N2=pixels[torch.randperm(768, generator=torch.manual_seed(0))])
    head = Knowing()
    errors = view_errors(head, [view, deeper, none], torch.float32)
    assert (errors[:2] < 1e-3).all()
    assert np.isinf(errors[2]).all()
    with_depth = view_errors(head, [view, deeper], torch.float32, with_depth=True)
    assert (with_depth[0] < 1e-3).all()
    assert with_depth[1, 0] > 0.05
