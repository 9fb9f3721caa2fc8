"""Steps replayed from a recording are the steps: tried on a CPU by a stand-in for CUDA graphs."""

import sys
import warnings
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    GradientNormClipping,
    LRScheduler,
)

from sklearn_degu.augmentation import Augment, DinucleotideShuffle
from sklearn_degu.modules import MLP, DeepSTARR, ResidualBind
from sklearn_degu.nets import joint, recorded
from sklearn_degu.nets.configure import configure
from sklearn_degu.nets.data import Rows
from sklearn_degu.nets.member_stack import _is_told_of_batches
from sklearn_degu.nets.progress import EpochReporter
from sklearn_degu.nets.recorded import MIN_BATCHES, N_WARM_UP, StepRecorder
from sklearn_degu.nets.strategies import train_members
from tests.nets.tape import record
from tests.toys import tiny_net

N_MEMBERS = 3


def net(module=DeepSTARR, **params):
    small = {MLP: {"module__hidden": (8,)}, DeepSTARR: {"module__width": 0.05}, ResidualBind: {}}
    return tiny_net(module, **{"batch_size": 7, "lr": 0.01, **small[module], **params})


def rows(n=40, seed=0, weight=None):
    rng = np.random.default_rng(seed)
    X = np.eye(4, dtype=np.uint8)[rng.integers(0, 4, size=(n, 26))].transpose(0, 2, 1).copy()
    return Rows(X, rng.normal(size=(n, 2)), weight)


def tabular(n=40, seed=0):
    rng = np.random.default_rng(seed)
    return Rows(rng.normal(size=(n, 6)), rng.normal(size=(n, 2)))


def trained(net, train, valid=None, augment=None):
    shape = train.X.shape[1:]
    sized = [
        configure(net, n_outputs=2, input_shape=shape, validated=valid is not None)
        for _ in range(N_MEMBERS)
    ]
    return train_members(
        sized,
        train,
        valid,
        seeds=range(N_MEMBERS),
        dtype=torch.float64,
        strategy="joint",
        n_jobs=1,
        verbose=0,
        augment=augment,
    )


class TapeRecorder(StepRecorder):
    """Records on a CPU what would be recorded on a GPU."""

    taken = ()

    def _can_record(self, optimizers):
        return True

    def _recorded(self, step, generators, optimizers):
        @contextmanager
        def kept():
            with super(TapeRecorder, self)._recorded(step, generators, optimizers) as taken:
                self.taken.append(taken)
                yield taken

        return kept()

    def own_stream(self):
        return nullcontext()

    def watched(self, run):
        return run(), []

    def record(self, run, generators):
        return record(run)


@pytest.fixture
def tapes(monkeypatch):
    """Record on the CPU, however few the batches, and tell which steps were recorded."""
    monkeypatch.setattr(TapeRecorder, "taken", [])
    monkeypatch.setattr(joint, "StepRecorder", TapeRecorder)
    monkeypatch.setattr(recorded, "MIN_BATCHES", 0)
    # torch asserts that steps are counted on a GPU, if on a device at all.
    adam = sys.modules["torch.optim.adam"]
    monkeypatch.setattr(adam, "_get_capturable_supported_devices", lambda *args, **kwargs: ["cpu"])
    return TapeRecorder.taken


def assert_same(members, others, rel=1e-9):
    for one, other in zip(members, others, strict=True):
        for name in one.history[0]:
            if name.endswith("_loss") or name == "lr":
                assert one.history[:, name] == pytest.approx(other.history[:, name], rel=rel)
        for a, b in zip(one.module_.parameters(), other.module_.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=100 * rel, atol=100 * rel)


def assert_recorded(tapes):
    assert tapes
    assert all(step.recording is not None for step in tapes)


@pytest.mark.parametrize(
    ("optimizer", "params"),
    [
        (torch.optim.SGD, {"optimizer__momentum": 0.9}),
        (torch.optim.Adam, {}),
        (torch.optim.AdamW, {}),
    ],
    ids=["SGD", "Adam", "AdamW"],
)
@pytest.mark.parametrize(("module", "train"), [(MLP, tabular()), (DeepSTARR, rows())])
def test_replayed_steps_are_the_steps(request, module, train, optimizer, params):
    one_net = net(module, optimizer=optimizer, max_epochs=3, **params)
    valid = Rows(train.X[:10], train.y[:10])
    as_ever = trained(one_net, train, valid)
    tapes = request.getfixturevalue("tapes")
    assert_same(trained(one_net, train, valid), as_ever)
    assert_recorded(tapes)
    # Every epoch has a recording of its own: the learning rate is a number of Python in it.
    assert len(tapes) == 3


def test_optimisers_that_are_not_fused_count_on_the_device(request):
    unfused = net(MLP, optimizer=torch.optim.Adam, optimizer__fused=False)
    as_ever = trained(unfused, tabular())
    tapes = request.getfixturevalue("tapes")
    # There torch corrects the moments in single precision.
    assert_same(trained(unfused, tabular()), as_ever, rel=1e-5)
    assert_recorded(tapes)


def test_weighted_rows_and_missing_targets_are_replayed(request):
    train = rows(weight=np.random.default_rng(1).uniform(0.5, 2, size=40))
    train.y[::5, 1] = np.nan
    as_ever = trained(net(max_epochs=2), train)
    tapes = request.getfixturevalue("tapes")
    assert_same(trained(net(max_epochs=2), train), as_ever)
    assert_recorded(tapes)


def test_edited_batches_are_replayed(request):
    options = {"train": rows(), "augment": Augment()}
    as_ever = trained(net(max_epochs=2), **options)
    tapes = request.getfixturevalue("tapes")
    assert_same(trained(net(max_epochs=2), **options), as_ever)
    assert_recorded(tapes)


def test_members_stop_one_by_one_and_learn_at_rates_of_their_own(request):
    callbacks = [
        ("schedule", LRScheduler("ReduceLROnPlateau", monitor="valid_loss", patience=0)),
        ("stopping", EarlyStopping(patience=3, load_best=True)),
    ]
    stopping = net(MLP, callbacks=callbacks, max_epochs=20, lr=0.1)
    train, valid = tabular(), tabular(20, seed=1)
    as_ever = trained(stopping, train, valid)
    assert len({len(member.history) for member in as_ever}) > 1
    tapes = request.getfixturevalue("tapes")
    assert_same(trained(stopping, train, valid), as_ever)
    assert_recorded(tapes)


def test_callbacks_that_watch_batches_are_told_of_all(tapes):
    clipped = net(callbacks=[("clipping", GradientNormClipping(1e-3))], max_epochs=1)
    trained(clipped, rows())
    assert not tapes


def test_a_step_that_cannot_be_recorded_is_taken_as_ever(request, monkeypatch):
    as_ever = trained(net(MLP), tabular())
    request.getfixturevalue("tapes")

    def fails(run):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr("tests.nets.test_recorded.record", fails)
    with pytest.warns(RuntimeWarning, match="which is slower: operation not permitted") as caught:
        members = trained(net(MLP), tabular())
    assert_same(members, as_ever)
    # Said once, and not tried again in the epochs behind it.
    assert len(caught) == 1


def test_a_step_that_asks_the_device_for_a_number_is_not_recorded(tapes, monkeypatch):
    monkeypatch.setattr(TapeRecorder, "watched", lambda self, run: (run(), ["called item()"]))
    monkeypatch.setattr(TapeRecorder, "record", lambda *args: pytest.fail("recorded"))
    with pytest.warns(
        RuntimeWarning, match=r"asks the GPU for a number. called item\(\)"
    ) as caught:
        trained(net(MLP, max_epochs=3), tabular())
    assert len(caught) == 1
    assert len(tapes) == 1


def test_the_tape_knows_what_asks_the_device_for_a_number():
    X = torch.ones(2)
    with pytest.raises(RuntimeError, match="waits for the device"):
        record(lambda: X * float(X.sum()))


def test_an_epoch_of_few_batches_is_not_recorded(tapes, monkeypatch):
    monkeypatch.setattr(recorded, "MIN_BATCHES", 7)
    trained(net(MLP), tabular())
    assert not tapes


def test_steps_are_counted_on_the_device_for_the_time_of_a_recording():
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.Adam([weight])
    weight.grad = torch.ones(1)
    optimizer.step()
    [group] = optimizer.param_groups
    with recorded.counted_on(torch.device("meta"), [optimizer]):
        assert group["capturable"]
        assert optimizer.state[weight]["step"].device.type == "meta"
    assert not group["capturable"]


@pytest.mark.parametrize(
    ("device", "optimizer", "expected"),
    [
        ("cuda", torch.optim.Adam, True),
        ("cuda", torch.optim.SGD, True),
        ("cuda", torch.optim.Adagrad, False),
        ("cpu", torch.optim.Adam, False),
    ],
)
def test_steps_are_recorded_on_a_gpu_by_optimisers_that_can(device, optimizer, expected):
    made = optimizer([torch.nn.Parameter(torch.ones(1))])
    recorder = StepRecorder(torch.device(device))
    assert recorder._can_record([made]) is expected
    if not expected:
        with recorder.steps(torch.add, MIN_BATCHES, [], [made]) as step:
            assert step is torch.add


class FakeCuda:
    """Notes the calls of torch.cuda in their order, where there is no GPU."""

    def __init__(self, monkeypatch, fails=False):
        self.calls = calls = []
        self.fails = fails

        class Stream:
            def __init__(self, device, name="own"):
                self.name = name

            def wait_stream(self, other):
                calls.append(f"{self.name} waits for {other.name}")

        class Graph:
            def register_generator_state(self, generator):
                calls.append("generator")

            def replay(self):
                calls.append("replay")

        class Generator:
            def clone_state(self):
                return "state"

            def graphsafe_set_state(self, state):
                calls.append(f"back to {state}")

        self.generator = Generator()
        current = Stream(None, "current")
        fakes = {
            "Stream": Stream,
            "CUDAGraph": Graph,
            "current_stream": lambda device: current,
            "current_device": lambda: 0,
            "default_generators": [self.generator],
            "stream": lambda stream: self.block("stream"),
            "graph": lambda graph, **options: self.block("recording", fails),
            "get_sync_debug_mode": lambda: 0,
            "set_sync_debug_mode": lambda mode: None,
        }
        for name, fake in fakes.items():
            monkeypatch.setattr(torch.cuda, name, fake)
        monkeypatch.setattr(StepRecorder, "_can_record", lambda *args: True)

    @contextmanager
    def block(self, name, fails=False):
        self.calls.append(f"begin {name}")
        try:
            yield
        finally:
            self.calls.append(f"end {name}")
        if fails:
            raise RuntimeError("the recording failed")

    def epoch(self, recorder, step=lambda X, target: X, n_steps=N_WARM_UP + 1):
        X = torch.ones(2)
        with recorder.steps(step, MIN_BATCHES, [self.generator], []) as taken:
            for _ in range(n_steps):
                taken(X, X)


JOINED = ["end stream", "current waits for own"]
BEGUN = ["own waits for current", "begin stream"]


class TestCallsOfTorch:
    def test_are_on_one_stream_and_register_generators_first(self, monkeypatch):
        cuda = FakeCuda(monkeypatch)
        recorder = StepRecorder(torch.device("cuda"))
        cuda.epoch(recorder)
        stream = recorder._stream
        cuda.epoch(recorder)
        assert recorder._stream is stream
        registered = ["generator"] if torch.__version__ < "2.14" else []
        recording = [*registered, "begin recording", "end recording", "replay"]
        assert cuda.calls == 2 * [*BEGUN, *recording, *JOINED]

    def test_join_the_streams_after_an_error(self, monkeypatch):
        cuda = FakeCuda(monkeypatch)

        def fails(X, target):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            cuda.epoch(StepRecorder(torch.device("cuda")), fails)
        assert cuda.calls == [*BEGUN, *JOINED]

    def test_bring_generators_back_from_a_recording_that_failed(self, monkeypatch):
        cuda = FakeCuda(monkeypatch, fails=True)
        recorder = StepRecorder(torch.device("cuda"))
        with pytest.warns(RuntimeWarning, match="slower: the recording failed"):
            cuda.epoch(recorder)
        assert cuda.calls[-4:] == ["back to state", "back to state", *JOINED]
        cuda.calls.clear()
        cuda.epoch(recorder)
        assert cuda.calls == []

    def test_tell_of_a_step_that_waits(self, monkeypatch):
        cuda = FakeCuda(monkeypatch)

        def warns(X, target):
            for message in ("something else", "called a synchronizing CUDA operation"):
                warnings.warn(message, UserWarning, stacklevel=1)
            return X

        with pytest.warns(UserWarning, match="something else") as caught:
            cuda.epoch(StepRecorder(torch.device("cuda")), warns)
        said = [str(warning.message) for warning in caught]
        assert sum("something else" in one for one in said) == N_WARM_UP + 1
        assert sum("asks the GPU for a number" in one for one in said) == 1
        assert "begin recording" not in cuda.calls


def test_callbacks_with_methods_of_their_own_are_told_of_batches():
    class OwnMethod(LRScheduler):
        def on_batch_end(self, net, **kwargs):
            """Do something."""

    by_hand = Callback()
    by_hand.on_batch_begin = print
    told = [OwnMethod(step_every="epoch"), by_hand, LRScheduler(step_every="batch")]
    assert all(map(_is_told_of_batches, told))
    others = [Callback(), LRScheduler(), EarlyStopping(), EpochReporter()]
    assert not any(map(_is_told_of_batches, others))


gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@gpu
@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("module", [MLP, DeepSTARR, ResidualBind])
def test_on_a_gpu_replayed_steps_are_the_steps(module, precision, monkeypatch):  # pragma: no cover
    train = tabular(200) if module is MLP else rows(200)
    on_gpu = net(module, device="cuda", max_epochs=3, precision=precision)
    replays, replay = [], torch.cuda.CUDAGraph.replay
    counted = lambda graph: replays.append(graph) or replay(graph)  # noqa: E731
    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", counted)
    members = trained(on_gpu, train)
    tolerance = 1e-9 if precision == "float32" else 1e-2
    assert len(replays) == 3 * (200 // 7 - N_WARM_UP)
    monkeypatch.setattr(StepRecorder, "_can_record", lambda *args: False)
    assert_same(members, trained(on_gpu, train), tolerance)


@gpu
def test_on_a_gpu_edits_that_ask_it_for_a_number_are_made_as_ever():  # pragma: no cover
    on_gpu = net(device="cuda", max_epochs=2)
    with pytest.warns(RuntimeWarning, match="asks the GPU for a number"):
        trained(on_gpu, rows(200), augment=DinucleotideShuffle())
    torch.rand(1, device="cuda")


@gpu
def test_on_a_gpu_epochs_take_no_memory_away():  # pragma: no cover
    trained(net(MLP, device="cuda", max_epochs=3), tabular(200))
    before = torch.cuda.memory_reserved()
    trained(net(MLP, device="cuda", max_epochs=40), tabular(200))
    assert torch.cuda.memory_reserved() <= before + 2**26
