"""What a distillation refuses, most of it before its teacher is trained."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNet
from torch import nn

from sklearn_degu._lessons import Plan, edited
from sklearn_degu._numbers import is_real, is_whole
from sklearn_degu._stored_rows import StoredRows
from sklearn_degu.ensemble import EnsembleRegressor
from sklearn_degu.nets.augmented import N_TRIED, check_augment
from sklearn_degu.nets.configure import check_net, configure
from sklearn_degu.nets.count_losses import predicts_rates
from sklearn_degu.nets.data import InMemoryBatches
from sklearn_degu.nets.fine_tuning import check_fine_tuning, check_first_stage
from sklearn_degu.nets.randomness import global_generator
from sklearn_degu.nets.training import warm_weights
from sklearn_degu.uncertainty import HEADS

if TYPE_CHECKING:
    from sklearn_degu.distillation import DistilledRegressor


def check_parameters(degu: DistilledRegressor) -> None:
    """Raise if a parameter is not usable, whatever the data are.

    Raises
    ------
    TypeError
        If the teacher is no ensemble, or the student no net.
    ValueError
        If another parameter is none of its values.
    """
    if not (degu.augment in ("auto", None) or callable(degu.augment)):
        raise ValueError(
            "augment must be 'auto', None or a callable that takes rows and a generator and "
            f"returns edited rows; got {degu.augment!r}."
        )
    for name, allowed in (("target", ("log_var", "std")), ("labels", ("teacher", "measured"))):
        if getattr(degu, name) not in allowed:
            raise ValueError(f"{name} must be one of {allowed}, got {getattr(degu, name)!r}.")
    _check_head_weights(degu.head_weights)
    _check_whole_number("copy_epochs", degu.copy_epochs)
    check_fine_tuning(degu.fine_tune_epochs, degu.fine_tune_lr)
    if isinstance(degu.augment, nn.Module):
        check_augment(degu.augment)
    for name in ("keep_originals", "warm_start_from_teacher"):
        if not isinstance(getattr(degu, name), (bool, np.bool_)):
            raise ValueError(f"{name} must be True or False, got {getattr(degu, name)!r}.")
    if degu.n_sampled_members is not None:
        _check_sampling(degu)
    if degu.student is not None:
        _check_student_net(degu.student)
    teacher = degu.teacher
    if isinstance(teacher, FrozenEstimator):
        teacher = teacher.estimator
    if teacher is not None and not isinstance(teacher, EnsembleRegressor):
        raise TypeError(
            "teacher must be an EnsembleRegressor, or a fitted one in a FrozenEstimator; got "
            f"{type(teacher).__name__}."
        )


def check_teacher(degu: DistilledRegressor, teacher: EnsembleRegressor, replicates: Any) -> None:
    """Raise if a teacher cannot be sampled as asked, or is frozen and not given replicates' use.

    Raises
    ------
    ValueError
        If there are fewer members than are to be sampled, or nobody to disagree with; or if a
        frozen teacher has not learned from replicates and will not.
    """
    frozen = isinstance(degu.teacher, FrozenEstimator)
    if frozen and replicates is not None and teacher.aleatoric != "replicates":
        raise ValueError(
            "The teacher is frozen and has learned no noise from replicates, so that these would "
            "not be used. Fit the ensemble with aleatoric='replicates' and its replicates, and "
            "then freeze it."
        )
    n_sampled = degu.n_sampled_members
    if n_sampled is None:
        return
    teacher.nets()
    n_members = len(teacher.estimators_) if frozen else teacher.n_estimators
    if not 1 < n_members >= n_sampled:
        raise ValueError(
            f"n_sampled_members={n_sampled} members cannot be drawn from "
            f"n_estimators={n_members}, of which there must be at least two. Set "
            "n_sampled_members=None, or raise n_estimators on the teacher."
        )


def check_frozen(degu: DistilledRegressor, teacher: EnsembleRegressor) -> None:
    """Raise if a frozen teacher was fitted on other features or targets.

    Raises
    ------
    ValueError
        If so.
    """
    here = (degu.input_shape_, degu.n_outputs_)
    teachers = (teacher.input_shape_, teacher.n_outputs_)
    if here != teachers:
        raise ValueError(
            f"The teacher was fitted on samples of shape {teachers[0]} with {teachers[1]} "
            f"targets, but got samples of shape {here[0]} with {here[1]} targets."
        )
    if degu._n_positions != teacher._n_positions:
        raise ValueError(
            "The teacher was fitted on profiles of another layout: with n_positions="
            f"{teacher._n_positions}, but got y with n_positions={degu._n_positions}. Pass y in "
            "the shape that the teacher was fitted on, (n_samples, n_targets, n_positions)."
        )


def check_plan(degu: DistilledRegressor, plan: Plan, X: Any, unlabeled: NDArray[Any]) -> None:
    """Raise if rows cannot be shown as planned; warn of what the plan has no use for.

    Raises
    ------
    ValueError
        If rows that stay in a file would have to be edited, or joined to others; or if there is
        no second stage to train on with.
    """
    check_first_stage(degu.fine_tune_epochs, augments=plan.augment is not None)
    if plan.augment is not None and not isinstance(X, StoredRows):
        # Before the teacher's training and not after it.
        edited(plan.augment, X[:N_TRIED], np.random.default_rng(0))
    if degu.keep_originals and plan.augment is None:
        warnings.warn(
            "keep_originals=True has no effect: the student learns on the training rows alone, "
            f"because augment={degu.augment!r} makes no copies of them.",
            UserWarning,
            stacklevel=4,
        )
    if degu.fine_tune_epochs and plan.samples_members:
        raise ValueError(
            "fine_tune_epochs has the student train on with one set of labels, which "
            "n_sampled_members would make noisy. Set n_sampled_members=None, or "
            "fine_tune_epochs=0."
        )
    if not isinstance(X, StoredRows):
        return
    if plan.changes:
        raise ValueError(
            "Edited copies of the rows, and labels of sampled members, are drawn in memory, but X "
            "stays in its file. Set augment=None and n_sampled_members=None, or pass "
            "np.asarray(X) if it fits into memory."
        )
    if len(unlabeled):
        raise ValueError(
            "X_unlabeled is joined to X in memory, but X stays in its file. Leave X_unlabeled "
            "out, or pass np.asarray(X) if it fits into memory."
        )


def check_labels(degu: DistilledRegressor, teacher: EnsembleRegressor, *, validated: bool) -> None:
    """Raise if the teacher's labels cannot be learned, or measured ones not be stopped on.

    Raises
    ------
    ValueError
        If so.
    """
    rates = predicts_rates(teacher.nets())
    if degu.labels == "measured" and rates:
        raise ValueError(
            "labels='measured' has the student stop on measured y, but this one learns "
            "logarithms of rates, and those of measured counts of 0 are not finite. Leave "
            "labels at 'teacher'."
        )
    if degu.n_sampled_members == 1 and rates:
        raise ValueError(
            "n_sampled_members=1 has the student's own errors stand for the disagreement of "
            "members, but it learns logarithms of rates, whose errors are none of rates. Set "
            "n_sampled_members to 2 or more."
        )
    if degu.labels == "measured" and not validated:
        raise ValueError(
            "labels='measured' says what the student is stopped on, but there are no validation "
            "rows. Set validation on the teacher or on the student."
        )


def check_student(
    degu: DistilledRegressor, student: NeuralNet, teacher: EnsembleRegressor, plan: Plan
) -> None:
    """Initialise a configured student, so that what would hinder its training shows now.

    Raises
    ------
    ValueError
        If its loader does not ask for new rows, if it cannot begin with a member's weights, or
        whatever its module and optimiser raise.
    """
    if plan.changes and student.iterator_train is not InMemoryBatches:
        raise ValueError(
            "The student's net has an iterator_train of its own, which does not ask for new rows "
            "and labels. Leave iterator_train out, or set augment=None and "
            "n_sampled_members=None, and pass X_unlabeled."
        )
    with global_generator(seed=0):
        student.initialize()
        if degu.warm_start_from_teacher:
            n_heads = 1 + len(components_of(teacher))
            # Of a net for profiles an output is one at all positions.
            n_outputs = student.get_params_for("module")["n_outputs"] // n_heads
            one = np.ones(n_outputs)
            warm_weights(student, _a_member(degu, teacher), factor=one, offset=one)


def components_of(teacher: EnsembleRegressor) -> list[str]:
    """Return the kinds of uncertainty that a teacher, fitted or not, has to teach."""
    learned = {"epistemic": teacher.n_estimators > 1, "aleatoric": teacher.aleatoric is not None}
    unfitted = tuple(kind for kind, is_learned in learned.items() if is_learned)
    kinds = getattr(teacher, "uncertainty_kinds_", unfitted)
    return [kind for kind in kinds if kind != "total"]


def _a_member(degu: DistilledRegressor, teacher: EnsembleRegressor) -> NeuralNet:
    """Return a net like the teacher's first member, initialised."""
    if hasattr(teacher, "estimators_"):
        return teacher.estimators_[0]
    member = configure(
        teacher.nets()[0],
        n_outputs=degu.n_outputs_,
        input_shape=degu.input_shape_,
        validated=True,
        n_positions=degu._n_positions,
    )
    return member.initialize()


def _check_student_net(student: Any) -> None:
    check_net(student)
    if predicts_rates([student]):
        raise ValueError(
            f"The student has the criterion {student.criterion.__name__}, a likelihood of "
            "counts, but learns what the teacher says: of one that predicts rates their "
            "logarithms. Leave the student's criterion at MSELoss."
        )


def _check_sampling(degu: DistilledRegressor) -> None:
    _check_whole_number("n_sampled_members", degu.n_sampled_members)
    if degu.target != "log_var":
        raise ValueError(
            "n_sampled_members has variances of a few members learned by their likelihood: set "
            f"target='log_var', not {degu.target!r}. The mean of their roots is no deviation of "
            "the ensemble."
        )


def _check_head_weights(head_weights: Any) -> None:
    if not isinstance(head_weights, (Mapping, NoneType)):
        raise ValueError(
            "head_weights must be a dict of the heads' names and weights, such as "
            f"{{'aleatoric': 0.5}}; got {head_weights!r}."
        )
    for name, weight in (head_weights or {}).items():
        if name not in HEADS:
            raise ValueError(
                f"head_weights has a weight for {name!r}, but the heads are {', '.join(HEADS)}."
            )
        if not (is_real(weight) and 0 < weight < np.inf):
            raise ValueError(
                f"The weight of the head {name!r} must be a positive number, got {weight!r}."
            )


def _check_whole_number(name: str, value: Any) -> None:
    if not is_whole(value) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}.")
