# SPDX-License-Identifier: Apache-2.0
"""Matches between views whose keypoints are known, and the epipolar line against a plain one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from landmark_room import landmark_room
from scipy.spatial.transform import Rotation
from torch.nn import functional

from dsac_core.training.epipolar_matches import epipolar_matches
from dsac_core.training.keypoint_view import KeypointView


def one_look(view: KeypointView) -> KeypointView:
    """Its keypoints, which all look the same."""
    looks = functional.normalize(torch.ones_like(view.descriptors_KC), dim=1)
    return replace(view, descriptors_KC=looks)


def distance_to_line(first: KeypointView, second: KeypointView) -> np.ndarray:
    """Px [A x B], from a line through the images of two points of the first keypoint's ray."""
    pose_1, pose_2 = (view.cam_T_world_34.numpy() for view in (first, second))
    focal_1, focal_2 = (view.intrinsics_4[:2].double().numpy() for view in (first, second))
    ends = []
    for depth in (1.5, 5.0):
        rays = np.column_stack([first.pixels_K2.numpy() / focal_1, np.ones(len(first.pixels_K2))])
        world = (depth * rays - pose_1[:, 3]) @ pose_1[:, :3]
        in_second = world @ pose_2[:, :3].T + pose_2[:, 3]
        ends.append(in_second[:, :2] / in_second[:, 2:] * focal_2)
    along = ends[1] - ends[0]
    normal = np.column_stack([along[:, 1], -along[:, 0]])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    offset = second.pixels_K2.double().numpy()[None] - ends[0][:, None]
    return np.asarray(np.abs((offset * normal[:, None]).sum(axis=2)))


@pytest.mark.parametrize("pair", [(0, 1), (2, 5), (7, 3)])
def test_matches_show_the_same_point(pair: tuple[int, int]) -> None:
    room = landmark_room()
    one, other = pair
    rows, columns = epipolar_matches(
        room.views[one], room.views[other], max_error=1.5, min_similarity=0.8
    )
    shown_one, shown_other = room.shown[one], room.shown[other]
    common = set(shown_one.tolist()) & set(shown_other.tolist()) - {-1}
    assert torch.equal(shown_one[rows], shown_other[columns])
    assert (shown_one[rows] >= 0).all()
    assert len(rows) > 0.95 * len(common)


def test_of_points_that_look_the_same_the_line_decides() -> None:
    room = landmark_room(repeated=100, clutter=0, noise=0.0)
    first, second = room.views[1], room.views[4]
    found = epipolar_matches(first, second, max_error=0.5, min_similarity=0.8)
    same = room.shown[1][found[0]] == room.shown[4][found[1]]
    blind = epipolar_matches(first, second, max_error=1e4, min_similarity=0.8)
    guessed = room.shown[1][blind[0]] == room.shown[4][blind[1]]
    assert same.float().mean() > 0.97
    assert guessed.float().mean() < 0.9


def test_what_is_farther_from_the_line_than_allowed_is_no_match() -> None:
    """Of keypoints that all look the same, all and only those near the line are compared.

    The cameras differ in their focal lengths and turn.
    """
    room = landmark_room(points=60)
    first = one_look(room.views[0])
    turned = np.eye(4)
    turned[:3] = room.views[3].cam_T_world_34
    turned[:3] = Rotation.from_rotvec([0.1, 0.0, 0.4]).as_matrix() @ turned[:3]
    second = one_look(replace(room.views[3], cam_T_world_34=torch.from_numpy(turned[:3])))
    second = replace(second, intrinsics_4=torch.tensor([300.0, 210.0, 150.0, 120.0]))
    distance = distance_to_line(first, second)
    for row in range(0, len(first.pixels_K2), 7):
        alone = replace(
            first,
            pixels_K2=first.pixels_K2[row : row + 1],
            descriptors_KC=first.descriptors_KC[row : row + 1],
        )
        order = distance[row].argsort()
        nearest, beyond = distance[row][order[:2]]
        between = float(nearest + beyond) / 2
        if beyond - nearest < 0.01:
            continue
        found = epipolar_matches(alone, second, max_error=between, min_similarity=0.8)
        assert (found[0].tolist(), found[1].tolist()) == ([0], [order[0]])
        none = epipolar_matches(alone, second, max_error=float(nearest) - 0.005, min_similarity=0.8)
        assert len(none[0]) == 0


def test_matches_are_at_least_so_similar() -> None:
    room = landmark_room()
    first, second = room.views[0], room.views[1]
    counts = []
    for least in (0.5, 0.9, 0.93, 1.01):
        rows, columns = epipolar_matches(first, second, max_error=1.5, min_similarity=least)
        cosine = (first.descriptors_KC[rows].float() * second.descriptors_KC[columns].float()).sum(
            1
        )
        assert (cosine >= least - 1e-5).all()
        counts.append(len(rows))
    assert counts[0] > counts[1] > counts[2] > counts[3] == 0


def test_the_inputs_stay_as_they_are() -> None:
    room, same = landmark_room(), landmark_room()
    epipolar_matches(room.views[0], room.views[1], max_error=1.5, min_similarity=0.8)
    for number in (0, 1):
        for name, values in vars(room.views[number]).items():
            assert torch.equal(values, getattr(same.views[number], name))


def test_a_view_that_sees_nothing_matches_nothing() -> None:
    room = landmark_room().with_view_empty(1)
    for pair in ((0, 1), (1, 0), (1, 1)):
        rows, columns = epipolar_matches(
            room.views[pair[0]], room.views[pair[1]], max_error=1.5, min_similarity=0.8
        )
        assert len(rows) == len(columns) == 0
