"""Steps replayed from a recording are the steps: tried on a CPU by a stand-in for CUDA graphs."""

import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from skorch.callbacks import EarlyStopping, GradientNormClipping, LRScheduler

from sklearn_degu.augmentation import Augment
from sklearn_degu.modules import MLP, DeepSTARR, ResidualBind
from sklearn_degu.nets import member_stack, recorded
from sklearn_degu.nets.configure import configure
from sklearn_degu.nets.data import Rows
from sklearn_degu.nets.recorded import N_WARM_UP, RecordedStep
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


@pytest.fixture
def tapes(monkeypatch):
    """Record on the CPU, and tell what was recorded."""
    steps = []

    @contextmanager
    def on_tape(step, device, generators, optimizers):
        with recorded.counted_on(device, optimizers):
            steps.append(RecordedStep(step, record))
            yield steps[-1]

    monkeypatch.setattr(member_stack, "can_record", lambda device, optimizers: True)
    monkeypatch.setattr(member_stack, "recorded", on_tape)
    # torch asserts that steps are counted on a GPU, if on a device at all.
    adam = sys.modules["torch.optim.adam"]
    monkeypatch.setattr(adam, "_get_capturable_supported_devices", lambda *args, **kwargs: ["cpu"])
    return steps


def assert_same(members, others):
    for one, other in zip(members, others, strict=True):
        for name in one.history[0]:
            if name.endswith("_loss") or name == "lr":
                assert one.history[:, name] == pytest.approx(other.history[:, name], rel=1e-9)
        for a, b in zip(one.module_.parameters(), other.module_.parameters(), strict=True):
            torch.testing.assert_close(a, b)


def assert_recorded(tapes):
    assert tapes
    assert all(step._recording is not None for step in tapes)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
@pytest.mark.parametrize(("module", "train"), [(MLP, tabular()), (DeepSTARR, rows())])
def test_replayed_steps_are_the_steps(request, module, train, optimizer):
    kind = getattr(torch.optim, optimizer)
    momentum = {"optimizer__momentum": 0.9} if optimizer == "SGD" else {}
    one_net = net(module, optimizer=kind, max_epochs=3, **momentum)
    valid = Rows(train.X[:10], train.y[:10])
    as_ever = trained(one_net, train, valid)
    tapes = request.getfixturevalue("tapes")
    assert_same(trained(one_net, train, valid), as_ever)
    assert_recorded(tapes)
    # Every epoch has a recording of its own: the learning rate is a number of Python in it.
    assert len(tapes) == 3


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
    with pytest.warns(RuntimeWarning, match="one by one, which is slower: operation not permitted"):
        members = trained(net(MLP), tabular())
    assert_same(members, as_ever)


def test_a_step_that_asks_the_device_for_a_number_is_not_recorded():
    def step(X, target):
        return X * float(X.sum())

    recorded_step = RecordedStep(step, record)
    X = torch.ones(2)
    for _ in range(N_WARM_UP):
        recorded_step(X, X)
    with pytest.warns(RuntimeWarning, match="waits for the device"):
        result = recorded_step(X, X)
    assert result.tolist() == [2, 2]


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
    assert recorded.can_record(torch.device(device), [made]) is expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("module", [MLP, DeepSTARR, ResidualBind])
def test_on_a_gpu_replayed_steps_are_the_steps(module, monkeypatch):  # pragma: no cover
    train = tabular() if module is MLP else rows()
    on_gpu = net(module, device="cuda", max_epochs=3)
    members = trained(on_gpu, train)
    monkeypatch.setattr(member_stack, "can_record", lambda device, optimizers: False)
    assert_same(members, trained(on_gpu, train))


def test_generators_are_known_before_a_recording_on_a_stream_of_its_own(monkeypatch):
    """The calls of torch.cuda, in their order, where there is no GPU."""
    calls = []

    class Stream:
        def __init__(self, device):
            self.name = "own"

        def wait_stream(self, other):
            calls.append(f"{self.name} waits for {other.name}")

    class Graph:
        def register_generator_state(self, generator):
            calls.append("generator")

        def replay(self):
            calls.append("replay")

    @contextmanager
    def block(name, *args, **kwargs):
        calls.append(f"begin {name}")
        yield
        calls.append(f"end {name}")

    current = Stream(None)
    current.name = "current"
    fakes = {
        "Stream": Stream,
        "CUDAGraph": Graph,
        "current_stream": lambda device: current,
        "stream": lambda stream: block("stream"),
        "graph": lambda graph, stream, capture_error_mode: block("recording"),
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    generators = [torch.Generator(), torch.Generator()]
    X = torch.ones(2)
    with recorded.recorded(lambda X, y: X, torch.device("cpu"), generators, []) as step:
        for _ in range(N_WARM_UP + 1):
            step(X, X)
    assert calls == [
        "own waits for current",
        "begin stream",
        "generator",
        "generator",
        "begin recording",
        "end recording",
        "replay",
        "end stream",
        "current waits for own",
    ]
