# SPDX-License-Identifier: Apache-2.0
"""Several processes that train one head, as ``torchrun`` starts them; or one, at no cost."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from dsac_core.relocalizer import choose_device

if TYPE_CHECKING:
    from collections.abc import Iterator


class Workers:
    """One process alone."""

    rank = 0  # of this process
    count = 1

    def average_gradients(self, module: torch.nn.Module) -> None:
        """Put the mean gradient of all workers in place of each one's own."""

    def copy_first(self, module: torch.nn.Module) -> None:
        """Give all workers the parameters and buffers of the first."""

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The mean over the workers."""
        return values

    def largest(self, *values: float) -> list[float]:
        """The largest value of any worker; this is how one of them decides for all."""
        return list(values)

    def gather(self, value: Any) -> list[Any]:
        """What each worker has, by rank."""
        return [value]


ALONE = Workers()


class DistributedWorkers(Workers):
    """The process group that ``torch.distributed`` has initialised."""

    def __init__(self, device: torch.device) -> None:
        """Take rank and count from the process group; ``device`` is where the module lives."""
        self.rank = torch.distributed.get_rank()
        self.count = torch.distributed.get_world_size()
        self._device = device

    def average_gradients(self, module: torch.nn.Module) -> None:
        """See ``Workers``; all gradients travel as one."""
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        parts = self.mean(flat).split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def copy_first(self, module: torch.nn.Module) -> None:
        """See ``Workers``."""
        for tensor in module.state_dict().values():
            torch.distributed.broadcast(tensor, src=0)

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """See ``Workers``."""
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total / self.count

    def largest(self, *values: float) -> list[float]:
        """See ``Workers``."""
        vector = torch.tensor(values, dtype=torch.float64)
        torch.distributed.all_reduce(vector, op=torch.distributed.ReduceOp.MAX)
        largest: list[float] = vector.tolist()
        return largest

    def gather(self, value: Any) -> list[Any]:
        """See ``Workers``."""
        gathered: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(gathered, value)
        return gathered


def started_by_torchrun() -> bool:
    """Whether this process is one of several of ``torchrun``."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "MASTER_ADDR" in os.environ


def local_device(name: str) -> torch.device:
    """The device of that name; each of several workers on a machine has a GPU of its own.

    Raises:
        ConfigError: The name is unknown, or the device is not to be had.
    """
    device = choose_device(name)
    if device.type == "cuda" and device.index is None and started_by_torchrun():
        return choose_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
    return device


@contextmanager
def joined_workers(device: torch.device) -> Iterator[Workers]:
    """All workers of ``torchrun``, connected: by gloo on CPUs, by NCCL between GPUs.

    Args:
        device: Where this one computes.
    """
    if not started_by_torchrun():
        yield ALONE
        return
    on_cuda = device.type == "cuda"
    if on_cuda:
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if on_cuda else "gloo")
    try:
        yield DistributedWorkers(device)
    finally:
        torch.distributed.destroy_process_group()
