# SPDX-License-Identifier: Apache-2.0
"""One descriptor for a whole image, to find the views of a map that show the same place.

VLAD (Jegou et al., "Aggregating local descriptors into a compact image representation", CVPR 2010):
keypoints vote for the nearest of a few words, and what counts is how they differ from it. The words
are those of the recording itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

WORDS = 32
_ROUNDS = 10  # of k-means
_MOST_SAMPLES = 20_000  # descriptors that the words are learned from


def learn_words(
    descriptors_of_views: Sequence[torch.Tensor], generator: torch.Generator
) -> torch.Tensor:
    """Words [W x C], unit vectors, by k-means on the sphere; fewer where there are few keypoints.

    Args:
        descriptors_of_views: Unit vectors [K x C] of each image.
        generator: On the CPU.
    """
    per_view = max(1, _MOST_SAMPLES // max(1, len(descriptors_of_views)))
    samples = torch.cat(
        [
            each[torch.randperm(len(each), generator=generator)[:per_view]].float()
            for each in descriptors_of_views
        ]
    )
    if len(samples) == 0:
        return samples
    words = samples[torch.randperm(len(samples), generator=generator)[:WORDS]]
    for _ in range(_ROUNDS):
        nearest = (samples @ words.T).argmax(dim=1)
        sums = torch.zeros_like(words).index_add_(0, nearest, samples)
        # A word that nothing is nearest to any more stays.
        words = torch.where(sums.any(dim=1, keepdim=True), functional.normalize(sums, dim=1), words)
    return words


def describe_place(descriptors_KC: torch.Tensor, words_WC: torch.Tensor) -> torch.Tensor:
    """The place descriptor [W * C] of an image, a unit vector, from those of its keypoints.

    It is zero where there are no keypoints.
    """
    if 0 in (len(descriptors_KC), len(words_WC)):
        return words_WC.new_zeros(words_WC.numel())
    nearest = (descriptors_KC @ words_WC.T).argmax(dim=1)
    beside = descriptors_KC - words_WC[nearest]
    sums = torch.zeros_like(words_WC).index_add_(0, nearest, beside)
    return functional.normalize(functional.normalize(sums, dim=1).flatten(), dim=0)
