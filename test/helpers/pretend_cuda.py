# SPDX-License-Identifier: Apache-2.0
"""A CUDA device for machines without one: tensors that say they are there, and compute on the CPU.

What a GPU would refuse is refused here too: tensors of two devices in one operation, a generator of
the CPU for draws on the device, NumPy without a copy. So code that passes has its tensors where
they belong. How fast it is, and in which last bit results differ, only a GPU can say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
_REAL_AUTOCAST = torch.autocast
_COPY = torch.ops.aten.copy_.default
_INDEXING = {
    torch.ops.aten.index.Tensor,
    torch.ops.aten.index_put_.default,
    torch.ops.aten.index_put.default,
    torch.ops.aten._index_put_impl_.default,
}


class PretendTensor(torch.Tensor):
    """Holds a tensor of the CPU, and says in Python that it is on a GPU."""

    held: torch.Tensor
    device = CUDA
    is_cuda = True
    is_cpu = False
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> PretendTensor:
        with torch.inference_mode(mode=False):  # views of what was there before have versions
            made: PretendTensor = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
                cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(),
                dtype=held.dtype, device=CPU, requires_grad=False,
            )  # fmt: skip
        made.held = held
        return made

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        del tensor_contents
        return f"PretendTensor({self.held!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> torch.Tensor:
        made: torch.Tensor = self.detach().clone().requires_grad_(self.requires_grad)
        if isinstance(self, torch.nn.Parameter):
            made = torch.nn.Parameter(made, self.requires_grad)
        memo[id(self)] = made
        return made

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.held.__reduce_ex__(protocol)  # loaded with map_location=cpu

    def new_tensor(self, data: Any, **options: Any) -> torch.Tensor:
        return torch.tensor(data, **{"dtype": self.dtype, "device": CUDA, **options})

    def tolist(self) -> Any:
        return self.held.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        if force:
            return self.held.numpy(force=True)
        msg = "can't convert cuda:0 device type tensor to numpy"
        raise TypeError(msg)

    def __array__(self, dtype: Any = None) -> Any:
        return self.numpy()

    @classmethod
    def __torch_dispatch__(
        cls,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        del types
        kwargs = kwargs or {}
        _refuse_what_cuda_refuses(func, args, kwargs)
        held_args, held_kwargs = tree_map_only(PretendTensor, lambda t: t.held, (args, kwargs))
        result = func(*held_args, **held_kwargs)
        if func is _COPY:  # between devices, too
            return args[0]
        result = tree_map_only(torch.Tensor, PretendTensor, result)
        return return_and_correct_aliasing(func, args, kwargs, result)


def _refuse_what_cuda_refuses(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    leaves = tree_leaves((args, kwargs))
    if any(isinstance(leaf, torch.Generator) for leaf in leaves):
        msg = f"{func}: expected a generator of cuda, got one of cpu"
        raise RuntimeError(msg)
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    if func is _COPY or (func in _INDEXING and isinstance(args[0], PretendTensor)):
        return
    astray = [t for t in tensors if not isinstance(t, PretendTensor) and t.dim() > 0]
    if astray or not isinstance(tensors[0], PretendTensor):
        msg = f"{func}: expected all tensors on one device, found cuda:0 and cpu"
        raise RuntimeError(msg)


class _Placing(TorchFunctionMode):
    """Does what asks for a device by name."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        del types
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name in ("cuda", "cpu"):
            return _moved(args[0], CUDA if name == "cuda" else CPU)
        if name == "to" and args and isinstance(args[0], torch.Tensor):
            return _to(*args, **kwargs)
        wanted = kwargs.get("device")
        if wanted is None or func is torch.Generator:
            return func(*args, **kwargs)
        device = torch.device(wanted)
        if device.type == "cuda" and kwargs.get("generator") is not None:
            msg = f"{func}: expected a generator of cuda, got one of cpu"
            raise RuntimeError(msg)
        with_grad = kwargs.pop("requires_grad", False)
        made = func(*args, **{**kwargs, "device": CPU})
        return _moved(made, device).requires_grad_(with_grad)


def _to(tensor: torch.Tensor, *where: Any, **options: Any) -> torch.Tensor:
    """`Tensor.to`, which takes a device, a dtype, or a tensor that has both."""
    device, dtype = options.pop("device", None), options.pop("dtype", None)
    for value in where:
        if isinstance(value, torch.Tensor):
            device, dtype = value.device, value.dtype
        elif isinstance(value, torch.dtype):
            dtype = value
        elif isinstance(value, str | torch.device):
            device = value
    moved = tensor if device is None else _moved(tensor, torch.device(device))
    return moved.to(moved.dtype if dtype is None else dtype, **options)


def _moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    there = isinstance(tensor, PretendTensor)
    if there == (device.type == "cuda"):
        return tensor
    moved: torch.Tensor = (_Fetch if there else _Send).apply(tensor)
    return moved


class _Send(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
        del ctx
        return PretendTensor(tensor.detach().clone())

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> torch.Tensor:
        del ctx
        held: torch.Tensor = gradients[0].held
        return held


class _Fetch(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Any) -> torch.Tensor:
        del ctx
        held: torch.Tensor = tensor.held
        return held.detach().clone()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        del ctx
        return PretendTensor(gradients[0])


def _autocast(device: str, dtype: torch.dtype | None = None, *, enabled: bool = True) -> Any:
    return _REAL_AUTOCAST("cpu" if device == "cuda" else device, dtype, enabled=enabled)


@contextmanager
def _new_parameters_for_moved_modules() -> Iterator[None]:
    """A parameter cannot become another kind of tensor in place."""
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)


@contextmanager
def pretend_cuda() -> Iterator[torch.device]:
    """Inside, ``cuda`` is a device that PyTorch has."""
    with (
        _new_parameters_for_moved_modules(),
        mock.patch("torch.cuda.is_available", return_value=True),
        mock.patch("torch.cuda.device_count", return_value=1),
        mock.patch("torch.cuda.get_device_name", return_value="a pretended one"),
        mock.patch("torch.autocast", _autocast),
        _Placing(),
    ):
        yield CUDA


@contextmanager
def some_cuda() -> Iterator[torch.device]:
    """A GPU, or a pretended one where there is none."""
    if torch.cuda.is_available():
        yield CUDA
        return
    with pretend_cuda() as device:
        yield device
