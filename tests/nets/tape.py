"""A stand-in for CUDA graphs on a CPU: it replays the operations of a recording, not its Python."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

ASKS_THE_DEVICE = {"aten::_local_scalar_dense", "aten::nonzero", "aten::equal"}


class Tape(TorchDispatchMode):
    """The operations within its block, and what undoes them.

    As in a CUDA graph every tensor stays at its place in memory, numbers of Python stay what they
    were, and nothing may ask for a number that a tensor holds.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[Callable[[], None]] = []
        self.overwritten: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.generators: dict[torch.Generator, torch.Tensor] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func._schema.name in ASKS_THE_DEVICE:
            raise RuntimeError(f"{func} waits for the device")
        for tensor in written(func, args, kwargs):
            self.overwritten.append((tensor, tensor.clone()))
        for value in kwargs.values():
            if isinstance(value, torch.Generator):
                self.generators.setdefault(value, value.get_state())
        results = func(*args, **kwargs)

        def again() -> None:
            news = tree_flatten(func(*args, **kwargs))[0]
            for old, new in zip(tree_flatten(results)[0], news, strict=True):
                if isinstance(old, torch.Tensor) and not func.is_view and old is not new:
                    old.copy_(new)

        self.operations.append(again)
        return results

    @torch.no_grad()
    def undo(self) -> None:
        for tensor, before in reversed(self.overwritten):
            tensor.copy_(before)
        for generator, state in self.generators.items():
            generator.set_state(state)

    @torch.no_grad()
    def replay(self) -> None:
        for operation in self.operations:
            operation()


def written(func: Any, args: Any, kwargs: Any) -> list[torch.Tensor]:
    """Return the tensors that an operation changes in place."""
    found = []
    for i, argument in enumerate(func._schema.arguments):
        # Schemas do not say that batch norm updates its running statistics.
        writes = argument.alias_info is not None and argument.alias_info.is_write
        if writes or argument.name.startswith("running_"):
            value = args[i] if i < len(args) else kwargs.get(argument.name)
            found += [part for part in tree_flatten(value)[0] if isinstance(part, torch.Tensor)]
    return found


def record(run: Callable[[], None]) -> Callable[[], None]:
    """Record what run does without leaving a trace of it; return what replays it."""
    with Tape() as tape:
        run()
    tape.undo()
    return tape.replay
