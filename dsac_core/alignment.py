# SPDX-License-Identifier: Apache-2.0
"""The rigid motion from a scene's frame into a map's, from a few pairs of which some may be wrong.

A pair is one point in both frames, or a pose in both, which is four points: its position and the
tips of its axes, a metre long. Fits of all small sets of pairs (or of many) are compared by their
truncated squared residuals (MSAC, Torr and Zisserman, CVIU 2000); the best is refined on the pairs
that agree with it.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dsac_core.errors import ConfigError
from dsac_core.solvers.kabsch import solve_kabsch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

SCALE_TOLERANCE = 0.05  # of distances; beyond it the units differ, or one of the maps is wrong
_FITS = 500
_ROUNDS = 20
_LEAST_SPREAD = 0.05  # m, RMS: points nearer to a line, or to one place, determine no rotation
_LEAST_SHARE_OF_SPREAD = 0.02  # of that along the line
_AXIS = 1.0  # m


@dataclass(frozen=True)
class Alignment:
    """How a scene lies in a map."""

    map_T_scene: FloatArray  # [4 x 4]
    residuals_N: FloatArray  # m, of each pair: RMS over its points; without height where planar
    used_N: NDArray[np.bool_]  # pairs that agree, from which it was made
    scale: float  # distances in the map over those in the scene, by the median


def pose_points(poses_N44: FloatArray) -> FloatArray:
    """Position and tips of the axes [N x 4 x 3] of poses."""
    positions, axes = poses_N44[:, None, :3, 3], poses_N44[:, :3, :3].swapaxes(1, 2)
    return np.concatenate([positions, positions + _AXIS * axes], axis=1)


def align(
    scene_NP3: FloatArray,
    map_NP3: FloatArray,
    *,
    threshold: float = 0.3,
    height: float | None = None,
) -> Alignment:
    """map_T_scene from N pairs of P points (1, or 4 of a pose) in the scene and in the map, metres.

    Args:
        scene_NP3: Points in the scene's frame.
        map_NP3: The same points in the map's.
        threshold: Metres of residual up to which a pair agrees.
        height: Metres; planar: turn about z and move along x and y only, and put the scene's
            origin at this height.

    Raises:
        ConfigError: The pairs are too few, do not determine the alignment, or do not agree.
    """
    planar = height is not None
    pairs, points = scene_NP3.shape[:2]
    fewest = 1 if points > 1 else 2 if planar else 3
    if pairs < fewest:
        msg = f"an alignment takes at least {fewest} pairs, got {pairs}: add some"
        raise ConfigError(msg)
    if planar:
        scene_NP3, map_NP3 = scene_NP3 * [1.0, 1.0, 0.0], map_NP3 * [1.0, 1.0, 0.0]
    _check_spread(scene_NP3, planar=planar)
    scale = _scale(scene_NP3[:, 0], map_NP3[:, 0])

    subsets_KM = _subsets(pairs, fewest)
    weights_KN = np.zeros((len(subsets_KM), pairs))
    np.put_along_axis(weights_KN, subsets_KM, 1.0, axis=1)
    fits_K44 = _fit(scene_NP3, map_NP3, weights_KN, planar=planar)
    residuals_KN = np.stack([_residuals(fit, scene_NP3, map_NP3) for fit in fits_K44])
    best = int(np.argmin(np.minimum(residuals_KN, threshold) ** 2 @ np.ones(pairs)))
    pose, residuals_N = fits_K44[best], residuals_KN[best]
    used_N = residuals_N <= threshold
    for _ in range(_ROUNDS):
        if used_N.sum() < fewest:
            break
        pose = _fit(scene_NP3, map_NP3, used_N[None].astype(float), planar=planar)[0]
        residuals_N = _residuals(pose, scene_NP3, map_NP3)
        before, used_N = used_N, residuals_N <= threshold
        if (used_N == before).all():
            break
    if used_N.sum() < max(fewest, math.ceil(pairs / 2)):
        msg = f"only {used_N.sum()} of {pairs} pairs agree within {threshold:g} m"
        raise ConfigError(f"{msg}: {_suspicion(scale, poses=points > 1)}")
    _check_spread(scene_NP3[used_N], planar=planar)
    if height is not None:
        pose[2, 3] = height
    return Alignment(pose, residuals_N, used_N, scale)


def _suspicion(scale: float, *, poses: bool) -> str:
    if abs(scale - 1.0) > SCALE_TOLERANCE:
        return (
            f"distances in the map are {scale:.3g} times those in the scene, so one of them is not"
            " in metres, or the scene was mapped with wrong poses"
        )
    bodies = ", or the two files have poses of different bodies, camera and base" if poses else ""
    return f"check for pairs that are exchanged{bodies}, or allow more with --max-residual"


def _check_spread(scene_NP3: FloatArray, *, planar: bool) -> None:
    points = scene_NP3.reshape(-1, 3)
    along, across = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)[:2]
    along, across = np.array([along, across]) / math.sqrt(len(points))
    if along < _LEAST_SPREAD:
        msg = "the points that agree are all at one place: add pairs from metres away"
        raise ConfigError(msg)
    if not planar and across < max(_LEAST_SPREAD, _LEAST_SHARE_OF_SPREAD * along):
        msg = (
            "the points that agree lie on a line, about which the scene could turn: add a pair"
            " away from it, or use --planar where both frames have z up"
        )
        raise ConfigError(msg)


def _subsets(pairs: int, size: int) -> NDArray[np.int64]:
    """All of them [K x size], or where these are too many, some."""
    if math.comb(pairs, size) <= _FITS:
        return np.array(list(itertools.combinations(range(pairs), size)))
    rng = np.random.default_rng(0)
    return np.array([rng.choice(pairs, size, replace=False) for _ in range(_FITS)])


def _fit(
    scene_NP3: FloatArray, map_NP3: FloatArray, weights_KN: FloatArray, *, planar: bool
) -> FloatArray:
    """The best poses [K x 4 x 4] for some weights of the pairs."""
    weights_KM = np.repeat(weights_KN, scene_NP3.shape[1], axis=1)
    scene_M3, map_M3 = scene_NP3.reshape(-1, 3), map_NP3.reshape(-1, 3)
    poses_K44 = np.tile(np.eye(4), (len(weights_KN), 1, 1))
    if not planar:
        tensors = (torch.from_numpy(each)[None] for each in (map_M3, scene_M3, weights_KM))
        poses_K44[:, :3] = solve_kabsch(*tensors)[0].numpy()
        return poses_K44
    share_KM = weights_KM / weights_KM.sum(axis=1, keepdims=True)
    scene_K3, map_K3 = share_KM @ scene_M3, share_KM @ map_M3
    a = (scene_M3[None] - scene_K3[:, None])[..., :2]
    b = (map_M3[None] - map_K3[:, None])[..., :2]
    cross = (share_KM * (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])).sum(axis=1)
    dot = (share_KM * (a * b).sum(axis=2)).sum(axis=1)
    yaw = np.arctan2(cross, dot)
    poses_K44[:, 0, 0] = poses_K44[:, 1, 1] = np.cos(yaw)
    poses_K44[:, 1, 0] = np.sin(yaw)
    poses_K44[:, 0, 1] = -np.sin(yaw)
    turned_K3 = np.einsum("kij,kj->ki", poses_K44[:, :3, :3], scene_K3)
    poses_K44[:, :3, 3] = map_K3 - turned_K3
    return poses_K44


def _residuals(pose: FloatArray, scene_NP3: FloatArray, map_NP3: FloatArray) -> FloatArray:
    apart = scene_NP3 @ pose[:3, :3].T + pose[:3, 3] - map_NP3
    return np.asarray(np.sqrt((apart**2).sum(axis=2).mean(axis=1)))


def _scale(scene_N3: FloatArray, map_N3: FloatArray) -> float:
    """The median of the ratios of distances between pairs; 1 where all are at one place."""
    i, j = np.triu_indices(len(scene_N3), k=1)
    in_scene = np.linalg.norm(scene_N3[i] - scene_N3[j], axis=1)
    in_map = np.linalg.norm(map_N3[i] - map_N3[j], axis=1)
    apart = in_scene > _LEAST_SPREAD
    return float(np.median(in_map[apart] / in_scene[apart])) if apart.any() else 1.0
