# SPDX-License-Identifier: Apache-2.0
"""What is stored of landmarks comes back, and what cannot be is refused."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from dsac_core.landmarks.landmark_map import QUANTA, LandmarkMap, quantised


def small_map() -> LandmarkMap:
    """Five landmarks, three views, the second of which sees nothing; two words."""
    generator = torch.Generator().manual_seed(0)
    return LandmarkMap(
        points_L3=torch.randn(5, 3, generator=generator),
        descriptors_LC=torch.randint(-127, 128, (5, 8), generator=generator).to(torch.int8),
        words_WC=torch.randn(2, 8, generator=generator),
        places_VP=torch.randint(-127, 128, (3, 16), generator=generator).to(torch.int8),
        first_V=torch.tensor([0, 3, 3, 5], dtype=torch.int32),
        sighted_O=torch.tensor([0, 1, 4, 2, 3], dtype=torch.int32),
    )


def test_tensors_there_and_back() -> None:
    made = small_map()
    again = LandmarkMap.from_tensors({**made.tensors(), "of_another": torch.zeros(1)})
    assert len(again) == 5
    assert again.views == 3
    assert made.tensors().keys() == again.tensors().keys()
    for name, values in made.tensors().items():
        assert torch.equal(again.tensors()[name], values)


@pytest.mark.parametrize("name", small_map().tensors())
def test_a_missing_tensor_is_named(name: str) -> None:
    tensors = small_map().tensors()
    del tensors[name]
    with pytest.raises(ValueError, match=f"lack {name}"):
        LandmarkMap.from_tensors(tensors)


@pytest.mark.parametrize("name", ["points_L3", "descriptors_LC", "places_VP", "first_V"])
def test_another_shape_is_named(name: str) -> None:
    tensors = small_map().tensors()
    for wrong in (tensors[name].repeat(2, *[1] * (tensors[name].ndim - 1)), tensors[name][..., :2]):
        with pytest.raises(ValueError, match="should be"):
            LandmarkMap.from_tensors({**tensors, name: wrong})


def test_words_must_fit_descriptors_and_places() -> None:
    tensors = small_map().tensors()
    for wrong in (tensors["words_WC"][:1], tensors["words_WC"][:, :4]):
        with pytest.raises(ValueError, match="should be"):
            LandmarkMap.from_tensors({**tensors, "words_WC": wrong})


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("sighted_O", [0, 1, 5, 2, 3]),
        ("sighted_O", [0, 1, -1, 2, 3]),
        ("sighted_O", [0, 1, 4, 2]),
        ("first_V", [0, 4, 3, 5]),
        ("first_V", [1, 3, 3, 5]),
        ("first_V", [0, 3, 3, 6]),
    ],
)
def test_an_index_to_nowhere_is_refused(name: str, values: list[int]) -> None:
    tensors = {**small_map().tensors(), name: torch.tensor(values, dtype=torch.int32)}
    with pytest.raises(ValueError, match="where there are none"):
        LandmarkMap.from_tensors(tensors)


def test_quantised_vectors_are_nearly_the_same() -> None:
    vectors = functional.normalize(torch.randn(50, 64), dim=1)
    vectors[0] = -torch.eye(64)[3]
    stored = quantised(vectors)
    assert stored.dtype == torch.int8
    torch.testing.assert_close(stored.float() / QUANTA, vectors, atol=0.5001 / QUANTA, rtol=0)
