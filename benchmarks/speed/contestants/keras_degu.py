"""The official procedure, re-stated: Keras nets trained one after another, then distilled.

Each member is built, compiled and fitted with validation every epoch, the learning rate lowered
on a plateau, the best weights restored and saved. To predict, the weights of one member after
another are loaded into one model. The student has a second linear head for the logarithm of the
variance; it is validated, as the official one, on the measured activities and the ensemble's
log-variance.

One departure: each member starts from weights of its own. The official code re-initialises one
model in place, so that all members start alike, which costs the same time.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
from keras import layers

from benchmarks.speed.contestants import Moments
from benchmarks.speed.work import N_TARGETS, Data, Work

PREDICTION_BATCH = 512
SMALLEST_VARIANCE = 1e-10


class KerasDegu:
    """Trains on the CPU build of TensorFlow."""

    def __init__(self, work: Work) -> None:
        if work.device != "cpu":
            raise ValueError(f"The Keras rival runs on the CPU alone, got device={work.device!r}.")
        self.work = work
        self.timer = EpochTimer()
        self.folder = tempfile.TemporaryDirectory()

    @property
    def epoch_seconds(self) -> list[float]:
        return self.timer.seconds

    def prepare(self, data: Data) -> Data:
        return data.converted(
            lambda X: np.ascontiguousarray(X.transpose(0, 2, 1), dtype=np.float32)
        )

    def train(self, data: Data) -> None:
        for member in range(self.work.members):
            keras.utils.set_random_seed(self.work.seed * 1000 + member)
            self.model = deepstarr(N_TARGETS, self.work.length)
            self._fit(self.model, data)
            self.model.save_weights(self._weights(member))

    def distil(self, data: Data) -> None:
        mean, log_var = self._labels(data.X_train)
        _, valid_log_var = self._labels(data.X_val)
        taught = data._replace(
            y_train=np.hstack([mean, log_var]), y_val=np.hstack([data.y_val, valid_log_var])
        )
        self.student = deepstarr(2 * N_TARGETS, self.work.length)
        self._fit(self.student, taught)

    def predict_ensemble(self, X: np.ndarray) -> Moments:
        predicted = []
        for member in range(self.work.members):
            self.model.load_weights(self._weights(member))
            predicted.append(self.model.predict(X, batch_size=PREDICTION_BATCH, verbose=0))
        return np.mean(predicted, axis=0), np.std(predicted, axis=0)

    def predict_student(self, X: np.ndarray) -> Moments:
        predicted = self.student.predict(X, batch_size=PREDICTION_BATCH, verbose=0)
        mean, log_var = np.split(predicted, 2, axis=1)
        return mean, np.exp(log_var / 2)

    def _labels(self, X: np.ndarray) -> Moments:
        mean, std = self.predict_ensemble(X)
        return mean, np.log(np.maximum(std**2, SMALLEST_VARIANCE))

    def _weights(self, member: int) -> str:
        return str(Path(self.folder.name) / f"member{member}.weights.h5")

    def _fit(self, model: Any, data: Data) -> None:
        watched = [
            keras.callbacks.EarlyStopping("val_loss", patience=10, restore_best_weights=True),
            keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.1, patience=5, min_lr=1e-7),
            self.timer,
        ]
        model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse")
        model.fit(
            data.X_train,
            data.y_train,
            batch_size=self.work.batch,
            epochs=self.work.epochs,
            validation_data=(data.X_val, data.y_val),
            callbacks=watched,
            verbose=0,
        )


class EpochTimer(keras.callbacks.Callback):  # type: ignore[misc]
    """Records the seconds of every epoch but the first, validation included."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch > 0:
            self.seconds.append(time.perf_counter() - self.start)


def _channels_last(X: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(X.transpose(0, 2, 1), dtype=np.float32)


def deepstarr(n_outputs: int, length: int) -> Any:
    """Return DeepSTARR as published."""
    model = keras.Sequential([keras.Input((length, 4))])
    for filters, kernel in ((256, 7), (60, 3), (60, 5), (120, 3)):
        model.add(layers.Conv1D(filters, kernel, padding="same"))
        model.add(layers.BatchNormalization())
        model.add(layers.Activation("relu"))
        model.add(layers.MaxPooling1D(2))
    model.add(layers.Flatten())
    for _ in range(2):
        model.add(layers.Dense(256))
        model.add(layers.BatchNormalization())
        model.add(layers.Activation("relu"))
        model.add(layers.Dropout(0.4))
    model.add(layers.Dense(n_outputs))
    return model
