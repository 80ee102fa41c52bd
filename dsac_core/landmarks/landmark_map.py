# SPDX-License-Identifier: Apache-2.0
"""The landmarks of a scene map, and which of its views sees which."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch

QUANTA = 127.0  # of a descriptor's entry: unit vectors as int8

_TYPES = {
    "points_L3": torch.float32,
    "descriptors_LC": torch.int8,
    "places_VP": torch.int8,
    "first_V": torch.int32,
    "sighted_O": torch.int32,
}


@dataclass(frozen=True)
class LandmarkMap:
    """Some megabytes, on the CPU."""

    points_L3: torch.Tensor  # metres, float32
    descriptors_LC: torch.Tensor  # int8, unit vectors times QUANTA
    words_WC: torch.Tensor  # float32, of the place descriptors
    places_VP: torch.Tensor  # int8, place descriptors of the views times QUANTA
    first_V: torch.Tensor  # int32 [V + 1]: where the landmarks of each view begin in the next
    sighted_O: torch.Tensor  # int32, landmarks of view after view

    def __len__(self) -> int:
        """Number of landmarks."""
        return len(self.points_L3)

    @property
    def views(self) -> int:
        """How many views it can be entered by."""
        return len(self.places_VP)

    def tensors(self) -> dict[str, torch.Tensor]:
        """What is stored, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: dict[str, torch.Tensor]) -> LandmarkMap:
        """The inverse of `tensors`.

        Raises:
            ValueError: Something is missing, of another shape, or points nowhere.
        """
        names = [field.name for field in fields(cls)]
        missing = [name for name in names if name not in tensors]
        if missing:
            msg = f"landmarks lack {', '.join(missing)}"
            raise ValueError(msg)
        known = cls(**{name: tensors[name] for name in names})
        if known.words_WC.dim() != 2:
            msg = f"words_WC should be a matrix, is {tuple(known.words_WC.shape)}"
            raise ValueError(msg)
        count, views = len(known.points_L3), len(known.places_VP)
        channels = known.words_WC.shape[-1]
        expected = {
            "points_L3": (count, 3),
            "descriptors_LC": (count, channels),
            "places_VP": (views, known.words_WC.numel()),
            "first_V": (views + 1,),
            "sighted_O": (known.sighted_O.numel(),),
        }
        for name, shape in expected.items():
            if tuple(tensors[name].shape) != shape:
                msg = f"{name} should be {shape}, is {tuple(tensors[name].shape)}"
                raise ValueError(msg)
            if tensors[name].dtype != _TYPES[name]:
                msg = f"{name} should be {_TYPES[name]}, is {tensors[name].dtype}"
                raise ValueError(msg)
        bounds = known.first_V.tolist()
        sighted = known.sighted_O
        rising = bounds == sorted(bounds) and bounds[0] == 0 and bounds[-1] == len(sighted)
        inside = len(sighted) == 0 or (int(sighted.min()) >= 0 and int(sighted.max()) < count)
        if not (rising and inside):
            msg = "the index of landmarks points to where there are none"
            raise ValueError(msg)
        return known


def quantised(unit_vectors: torch.Tensor) -> torch.Tensor:
    """Unit vectors as int8."""
    return (unit_vectors * QUANTA).round().to(torch.int8)
