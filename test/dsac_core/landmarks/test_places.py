# SPDX-License-Identifier: Apache-2.0
"""Place descriptors: views of one place are alike, and VLAD is what the paper says."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from dsac_core.landmarks import places
from dsac_core.landmarks.places import WORDS, describe_place, learn_words


def unit(count: int, seed: int = 0, channels: int = 16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, channels, generator=generator), dim=1)


def near(descriptors: torch.Tensor, noise: float, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    moved = descriptors + noise * torch.randn(descriptors.shape, generator=generator)
    return functional.normalize(moved, dim=1)


def random() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_words_are_the_centres_of_what_there_is() -> None:
    """As many clusters as words, each of very similar descriptors: most have a word to themselves.

    K-means does not find all of them, but never fewer than random samples would.
    """
    centres = unit(WORDS, channels=64)
    views = [near(centres.repeat(3, 1), 0.01, seed) for seed in range(6)]
    words = learn_words(views, random())
    assert words.shape == (WORDS, 64)
    torch.testing.assert_close(words.norm(dim=1), torch.ones(WORDS))
    similarity = words @ centres.T
    exact = similarity.amax(dim=1) > 0.999
    assert exact.sum() > WORDS / 2
    # A word between clusters is the mean of those that have none of their own.
    samples = torch.cat(views)
    nearest = (samples @ words.T).argmax(dim=1)
    for word in nearest.unique().tolist():
        mean = functional.normalize(samples[nearest == word].sum(dim=0), dim=0)
        torch.testing.assert_close(words[word], mean, atol=1e-3, rtol=0)


def test_views_share_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """One with very many keypoints does not drown the others, which are two thirds of the views."""
    monkeypatch.setattr(places, "_MOST_SAMPLES", 300)
    crowd, other = unit(1), unit(1, 5)
    views = [near(crowd.expand(5000, -1), 0.05, 1)]
    views += [near(other.expand(100, -1), 0.05, seed) for seed in (2, 3)]
    words = learn_words(views, random())
    assert len(words) == WORDS
    assert (words @ other[0] > 0.9).sum() > WORDS / 3
    assert (words @ crowd[0] > 0.9).sum() > 3


def test_half_precision_descriptors_make_words_in_single_precision() -> None:
    words = learn_words([unit(100).half(), unit(100, 1).half()], random())
    assert words.dtype == torch.float32


@pytest.mark.parametrize("counts", [(5, 0, 3), (1,), (0, 0)])
def test_with_few_keypoints_there_are_few_words(counts: tuple[int, ...]) -> None:
    words = learn_words([unit(count, count) for count in counts], random())
    assert words.shape == (sum(counts), 16)
    assert describe_place(unit(0), words).tolist() == [0.0] * (16 * sum(counts))
    assert describe_place(unit(4, 9), words).shape == (16 * sum(counts),)


def test_the_seed_decides_the_words() -> None:
    views = [unit(200, 1), unit(200, 2)]
    assert torch.equal(learn_words(views, random()), learn_words(views, random()))


def test_a_place_is_what_differs_from_the_words() -> None:
    """VLAD by hand: two descriptors of one word, one of the other, none of the third."""
    words = torch.eye(4)[:3]
    first = functional.normalize(torch.tensor([0.9, 0.3, 0.1, 0.0]), dim=0)
    second = functional.normalize(torch.tensor([0.8, 0.0, 0.0, 0.5]), dim=0)
    third = functional.normalize(torch.tensor([0.1, 0.0, 0.9, 0.2]), dim=0)
    place = describe_place(torch.stack([first, second, third]), words)
    one = functional.normalize(first + second - 2 * words[0], dim=0)
    other = functional.normalize(third - words[2], dim=0)
    expected = torch.cat([one, torch.zeros(4), other]) / 2**0.5
    torch.testing.assert_close(place, expected)
    assert float(place.norm()) == pytest.approx(1.0)


def test_the_order_of_keypoints_does_not_matter() -> None:
    words = learn_words([unit(300)], random())
    descriptors = unit(80, 4)
    turned = describe_place(descriptors.flip(0), words)
    torch.testing.assert_close(turned, describe_place(descriptors, words), atol=1e-5, rtol=0)


def test_views_of_one_place_are_most_alike() -> None:
    """Ten places of 80 keypoints; another view of each shows half of them and others."""
    rooms = [unit(80, 10 + room, 64) for room in range(10)]
    words = learn_words(rooms, random())
    known = torch.stack([describe_place(room, words) for room in rooms])
    for number, room in enumerate(rooms):
        seen = torch.cat([near(room[:40], 0.04, 50 + number), unit(40, 70 + number, 64)])
        assert int((known @ describe_place(seen, words)).argmax()) == number
