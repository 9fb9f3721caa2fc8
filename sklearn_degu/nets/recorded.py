"""A training step that a GPU replays from a recording, instead of being told every kernel.

Telling a GPU one kernel takes the processor longer than the GPU needs for it at the sizes of these
nets. A CUDA graph holds all kernels of a step and is launched as one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

# What maps inputs, and targets or (targets, weights), to losses, and takes a step of training.
Step = Callable[[Tensor, Any], Tensor]

# Steps to take before one is recorded, in which libraries and optimisers allocate what they keep.
N_WARM_UP = 3


class RecordedStep:
    """A step that is recorded once it is warm, and replayed from then on.

    Batches of another size than that of the recording, such as the last of an epoch, are not
    replayed. If a step cannot be recorded, a warning says why and all steps are taken as ever.

    Parameters
    ----------
    step : callable
        Takes a step of training on a batch, and returns losses. It must ask the device for no
        number, and must find weights and the optimisers' state in the same memory every time.
    record : callable
        Called as ``record(run)``, returns what replays all that ``run()`` launches, without
        having run it.
    """

    def __init__(
        self, step: Step, record: Callable[[Callable[[], None]], Callable[[], None]]
    ) -> None:
        self._step = step
        self._record = record
        self._n_taken = 0
        self._recording: _Recording | None = None
        self._is_recordable = True

    def __call__(self, X: Tensor, target: Any) -> Tensor:
        """Take a step; the losses that are returned hold until the next one."""
        if self._is_recordable and self._recording is None and self._n_taken >= N_WARM_UP:
            self._try_to_record(X, target)
        if self._recording is not None and self._recording.suits(X):
            return self._recording.replay(X, target)
        self._n_taken += 1
        return self._step(X, target)

    def _try_to_record(self, X: Tensor, target: Any) -> None:
        try:
            self._recording = _Recording(self._step, self._record, X, target)
        except RuntimeError as error:
            self._is_recordable = False
            warnings.warn(
                "The training step cannot be recorded as a CUDA graph, so that its kernels are "
                f"launched one by one, which is slower: {error}",
                RuntimeWarning,
                stacklevel=2,
            )


class _Recording:
    """A recorded step, with the memory that it reads its batch from and writes its losses to."""

    def __init__(
        self,
        step: Step,
        record: Callable[[Callable[[], None]], Callable[[], None]],
        X: Tensor,
        target: Any,
    ) -> None:
        self._X = X.clone()
        self._target = tuple(map(torch.clone, target)) if _is_pair(target) else target.clone()

        def run() -> None:
            self._losses = step(self._X, self._target)

        self._replay = record(run)

    def suits(self, X: Tensor) -> bool:
        """Whether a batch has the shape of that which was recorded."""
        return X.shape == self._X.shape

    def replay(self, X: Tensor, target: Any) -> Tensor:
        """Take the step with a batch."""
        for memory, values in zip(_parts(self._X, self._target), _parts(X, target), strict=True):
            memory.copy_(values)
        self._replay()
        return self._losses


@contextmanager
def recorded(
    step: Step,
    device: torch.device,
    generators: Sequence[torch.Generator],
    optimizers: Sequence[torch.optim.Optimizer],
) -> Iterator[Step]:
    """Yield what takes a step on a GPU, replayed from a recording as soon as there is one.

    Parameters
    ----------
    step : callable
        As for :class:`RecordedStep`.
    device : torch.device
        The GPU.
    generators : sequence of torch.Generator
        The generators that a step draws from; they go on behind every replay.
    optimizers : sequence of torch.optim.Optimizer
        Those whose steps it takes, for which :func:`can_record` holds.
    """
    # One stream for all: a recording may not wait for work on another.
    stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))

    def record(run: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        for generator in generators:
            graph.register_generator_state(generator)
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            run()
        return graph.replay

    with torch.cuda.stream(stream), counted_on(device, optimizers):
        yield RecordedStep(step, record)
    torch.cuda.current_stream(device).wait_stream(stream)


def can_record(device: torch.device, optimizers: Sequence[torch.optim.Optimizer]) -> bool:
    """Whether steps of these optimisers can be recorded on a device."""
    return device.type == "cuda" and all(
        isinstance(optimizer, torch.optim.SGD) or "capturable" in optimizer.defaults
        for optimizer in optimizers
    )


@contextmanager
def counted_on(device: torch.device, optimizers: Sequence[torch.optim.Optimizer]) -> Iterator[None]:
    """Have optimisers count their steps on the device, where a recording can count on."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    before = [group.get("capturable") for group in groups]
    for optimizer in optimizers:
        # Said of those that count on the device and are never recorded.
        optimizer._warned_capturable_if_run_uncaptured = True
        for state in optimizer.state.values():
            if "step" in state:
                state["step"] = torch.as_tensor(state["step"], device=device)
    for group in groups:
        if "capturable" in group:
            group["capturable"] = True
    try:
        yield
    finally:
        for group, capturable in zip(groups, before, strict=True):
            if capturable is not None:
                group["capturable"] = capturable


def _is_pair(target: Any) -> bool:
    return isinstance(target, (tuple, list))


def _parts(X: Tensor, target: Any) -> tuple[Tensor, ...]:
    return (X, *target) if _is_pair(target) else (X, target)
