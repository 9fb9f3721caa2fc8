"""A training step that a GPU replays from a recording, instead of being told every kernel.

Telling a GPU one kernel takes the processor longer than the GPU needs for it at the sizes of these
nets. A CUDA graph holds all kernels of a step and is launched as one.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from sklearn_degu.nets.data import mapped

# What maps inputs, and targets or (targets, weights), to losses, and takes a step of training.
Step = Callable[[Tensor, Any], Tensor]

# Steps to take before one is recorded, in which libraries and optimisers allocate what they keep.
N_WARM_UP = 3

# A recording costs about as much as so many steps save.
MIN_BATCHES = 20

# Of all threads of a process one may record at a time.
_RECORDING = threading.Lock()


class StepRecorder:
    """Takes the steps of a training on a GPU: the first of an epoch as ever, the others replayed.

    Parameters
    ----------
    device : torch.device
        Where the training is.

    Attributes
    ----------
    has_failed : bool
        Whether a step could not be recorded, after which none is.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream: Any = None
        self.has_failed = False

    def steps(
        self,
        step: Step,
        n_batches: int,
        generators: Sequence[torch.Generator],
        optimizers: Sequence[torch.optim.Optimizer],
    ) -> AbstractContextManager[Step]:
        """Return the context of an epoch: in it is what takes a step.

        Parameters
        ----------
        step : callable
            Takes a step of training on a batch, and returns losses. To be recorded it must ask the
            device for no number, and must find weights and the optimisers' state in the same
            memory throughout the epoch.
        n_batches : int
            How many there are in the epoch.
        generators : sequence of torch.Generator
            The generators on the device that a step draws from; they go on behind every replay.
        optimizers : sequence of torch.optim.Optimizer
            Those whose steps it takes.
        """
        if self.has_failed or n_batches < MIN_BATCHES or not self._can_record(optimizers):
            return nullcontext(step)
        return self._recorded(step, generators, optimizers)

    def _can_record(self, optimizers: Sequence[torch.optim.Optimizer]) -> bool:
        return self.device.type == "cuda" and all(map(is_recordable, optimizers))

    @contextmanager
    def _recorded(
        self,
        step: Step,
        generators: Sequence[torch.Generator],
        optimizers: Sequence[torch.optim.Optimizer],
    ) -> Iterator[Step]:
        with self.own_stream(), counted_on(self.device, optimizers):
            yield _RecordedStep(step, self, generators)

    @contextmanager
    def own_stream(self) -> Iterator[None]:
        """Put work on a stream of its own, the same in every epoch.

        A recording may not wait for work on another stream, and each has memory of its own.
        """
        if self._stream is None:
            self._stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        self._stream.wait_stream(torch.cuda.current_stream(self.device))
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:
            # Also after an error: what is freed then must not be written to any more.
            torch.cuda.current_stream(self.device).wait_stream(self._stream)

    def watched(self, run: Callable[[], Tensor]) -> tuple[Tensor, list[str]]:
        """Return the losses of a step, and what in it waited for the device."""
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                losses = run()
        finally:
            torch.cuda.set_sync_debug_mode(before)
        waits = [w for w in caught if "synchronizing" in str(w.message)]
        for other in (w for w in caught if w not in waits):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
        return losses, [str(w.message) for w in waits]

    def record(
        self, run: Callable[[], None], generators: Sequence[torch.Generator]
    ) -> Callable[[], None]:
        """Return what replays all that ``run()`` launches, without having run it."""
        graph = torch.cuda.CUDAGraph()
        if torch.__version__ < "2.14":
            # Later versions find them by themselves.
            for generator in generators:
                graph.register_generator_state(generator)
        # Other threads may use the GPU meanwhile.
        recording = torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local")
        with _RECORDING, _restored_on_error(generators), recording:
            run()
        return graph.replay

    def give_up(self, reason: object) -> None:
        """Take all further steps of the training as ever."""
        self.has_failed = True
        warnings.warn(
            "The training step cannot be recorded as a CUDA graph, so that its kernels are "
            f"launched one by one, which is slower: {reason}",
            RuntimeWarning,
            stacklevel=2,
        )


def is_recordable(optimizer: torch.optim.Optimizer) -> bool:
    """Whether the steps of an optimiser can be recorded."""
    return isinstance(optimizer, torch.optim.SGD) or "capturable" in optimizer.defaults


class _RecordedStep:
    """A step that is recorded once it is warm, and replayed from then on.

    Batches of another size than that of the recording, such as the last of an epoch, are not
    replayed.
    """

    def __init__(
        self, step: Step, recorder: StepRecorder, generators: Sequence[torch.Generator]
    ) -> None:
        self._step = step
        self._recorder = recorder
        self._generators = generators
        self._n_taken = 0
        self.recording: _Recording | None = None

    def __call__(self, X: Tensor, target: Any) -> Tensor:
        """Take a step; the losses that are returned hold until the next one."""
        self._n_taken += 1
        if self._n_taken == N_WARM_UP:
            return self._watched(X, target)
        if self._n_taken == N_WARM_UP + 1 and not self._recorder.has_failed:
            self._try_to_record(X, target)
        if self.recording is not None and self.recording.suits(X):
            return self.recording.replay(X, target)
        return self._step(X, target)

    def _watched(self, X: Tensor, target: Any) -> Tensor:
        losses, waits = self._recorder.watched(lambda: self._step(X, target))
        if waits:
            self._recorder.give_up(f"it asks the GPU for a number. {waits[0]}")
        return losses

    def _try_to_record(self, X: Tensor, target: Any) -> None:
        def record(run: Callable[[], None]) -> Callable[[], None]:
            return self._recorder.record(run, self._generators)

        try:
            self.recording = _Recording(self._step, record, X, target)
        except RuntimeError as error:
            # At its end a failed recording has an error of its own, which hides the first.
            self._recorder.give_up(error.__context__ or error)


class _Recording:
    """A recorded step, with the memory that it reads its batch from and writes its losses to."""

    def __init__(
        self,
        step: Step,
        record: Callable[[Callable[[], None]], Callable[[], None]],
        X: Tensor,
        target: Any,
    ) -> None:
        self._X, self._target = mapped(torch.clone, X, target)

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
def counted_on(device: torch.device, optimizers: Sequence[torch.optim.Optimizer]) -> Iterator[None]:
    """Have optimisers count their steps on the device, where a recording can count on."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    before = [group.get("capturable") for group in groups]
    for optimizer in optimizers:
        for state in optimizer.state.values():
            if "step" in state:
                state["step"] = torch.as_tensor(state["step"], device=device)
    for group in groups:
        if "capturable" in group:
            group["capturable"] = True
    try:
        with warnings.catch_warnings():
            # Said of those that count on the device and are never recorded.
            warnings.filterwarnings("ignore", message=".*constructed with capturable=True")
            yield
    finally:
        for group, capturable in zip(groups, before, strict=True):
            if capturable is not None:
                group["capturable"] = capturable


@contextmanager
def _restored_on_error(generators: Sequence[torch.Generator]) -> Iterator[None]:
    """Free generators from a recording that failed, which some versions of torch leave in it."""
    device = torch.cuda.current_device()
    all_ = [*generators, torch.cuda.default_generators[device]]
    states = [generator.clone_state() for generator in all_]
    try:
        yield
    except RuntimeError:
        for generator, state in zip(all_, states, strict=True):
            generator.graphsafe_set_state(state)
        raise


def _parts(X: Tensor, target: Any) -> tuple[Tensor, ...]:
    return (X, *target) if isinstance(target, (tuple, list)) else (X, target)
