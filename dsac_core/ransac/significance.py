# SPDX-License-Identifier: Apache-2.0
"""Whether so many inliers can be chance."""

from __future__ import annotations

import torch

_FALSE_ALARMS = 1e-6  # expected per image without meaning


def is_significant(
    inliers_B: torch.Tensor, count_B: torch.Tensor, chance_B: torch.Tensor, set_size: int
) -> torch.Tensor:
    """Whether the inliers [B] of the best pose are more than meaningless data would give.

    The expected number of poses with k inliers among n correspondences, each an inlier by chance
    with probability p, is (n - s) C(n, k) C(k, s) p^(k - s) over all sets of s that determine a
    pose (Moisan & Stival, "A probabilistic criterion to detect rigid point matches", IJCV 2004).
    """
    k, n, p = inliers_B.double(), count_B.double(), chance_B.double().clamp(1e-300, 1.0)
    s = float(set_size)
    possible = k > s
    k = torch.where(possible, k, s + 1.0)
    n = torch.maximum(n, k)
    log_expected = (
        torch.log((n - s).clamp_min(1.0))
        + _log_binomial(n, k)
        + _log_binomial(k, torch.full_like(k, s))
        + (k - s) * torch.log(p)
    )
    expected: torch.Tensor = log_expected.exp()
    return possible & (expected < _FALSE_ALARMS)


def _log_binomial(n: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    return torch.lgamma(n + 1.0) - torch.lgamma(k + 1.0) - torch.lgamma(n - k + 1.0)
