"""The estimators inside everything that scikit-learn builds from estimators."""

import numpy as np
import pytest
import sklearn
from mapie.regression import SplitConformalRegressor
from sklearn.base import clone
from sklearn.ensemble import BaggingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_degu import DistilledRegressor, EnsembleRegressor
from sklearn_degu.sequences import SequenceEncoder
from tests.noisy import replicates_of
from tests.toys import LENGTH, tiny_conv_net, tiny_ensemble, tiny_net


def tiny_degu(teacher=None, student=None, **params):
    teacher = tiny_ensemble() if teacher is None else teacher
    return DistilledRegressor(teacher, student, **{"random_state": 0, **params})


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.fixture
def member_fits(monkeypatch):
    """Return a list with an entry for every member that is trained."""
    trained, train = [], EnsembleRegressor._train

    def counting(self, nets, *args):
        trained.extend(nets)
        return train(self, nets, *args)

    monkeypatch.setattr(EnsembleRegressor, "_train", counting)
    return trained


BOTH = pytest.mark.parametrize(
    "make",
    [
        lambda **params: tiny_ensemble(tiny_conv_net(), **params),
        lambda **params: tiny_degu(tiny_ensemble(tiny_conv_net(), **params)),
    ],
    ids=["ensemble", "distilled"],
)


class TestPipeline:
    @BOTH
    def test_of_strings_equals_encoded_sequences(self, strings, sequences, make):
        X, y = sequences
        pipeline = make_pipeline(SequenceEncoder(), make()).fit(strings, y)
        mean, std = pipeline.predict(strings, return_std=True, kind="epistemic")
        alone = make().fit(X, y)
        np.testing.assert_array_equal(mean, alone.predict(X))
        np.testing.assert_array_equal(std, alone.predict_uncertainty(X))
        assert pipeline.score(strings, y) == alone.score(X, y)

    @BOTH
    def test_transforms_validation_strings_on_request(self, strings, sequences, make, routing):
        X, y = sequences
        model = make().set_fit_request(X_val=True, y_val=True)
        pipeline = make_pipeline(SequenceEncoder(), model, transform_input=["X_val"])
        pipeline.fit(strings[:30], y[:30], X_val=strings[30:], y_val=y[30:])
        alone = make().fit(X[:30], y[:30], X_val=X[30:], y_val=y[30:])
        np.testing.assert_array_equal(
            pipeline[-1].history_["valid_loss"], alone.history_["valid_loss"]
        )

    @BOTH
    def test_that_does_not_transform_validation_strings_is_told_to(
        self, strings, sequences, make, routing
    ):
        y = sequences[1]
        model = make().set_fit_request(X_val=True, y_val=True)
        pipeline = make_pipeline(SequenceEncoder(), model)
        with pytest.raises(ValueError, match=r"X_val cannot .* strings .* transform_input="):
            pipeline.fit(strings[:30], y[:30], X_val=strings[30:], y_val=y[30:])

    def test_passes_validation_rows_by_the_name_of_the_step(self, strings, sequences):
        X, y = sequences
        pipeline = make_pipeline(SequenceEncoder(), tiny_ensemble(tiny_conv_net()))
        given = {"ensembleregressor__X_val": X[30:], "ensembleregressor__y_val": y[30:]}
        pipeline.fit(strings[:30], y[:30], **given)
        assert np.isfinite(pipeline[-1].history_["valid_loss"]).all()

    def test_routes_uncertainty_without_a_request(self, table, routing):
        X, y = table
        pipeline = make_pipeline(StandardScaler(), tiny_ensemble()).fit(X, y)
        mean, std = pipeline.predict(X, return_std=True, kind="epistemic")
        assert mean.shape == std.shape == y.shape

    def test_routes_weights_and_groups_on_request(self, table, routing):
        X, y = table
        groups = np.repeat(np.arange(8), 5)
        model = tiny_ensemble(validation=GroupKFold(4)).set_fit_request(
            sample_weight=True, groups=True
        )
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model)
        pipeline.fit(X, y, sample_weight=np.ones(40), groups=groups)
        assert len(set(groups[pipeline[-1].validation_indices_])) == 2


class TestModelSelection:
    @BOTH
    def test_cross_validates_strings(self, strings, sequences, make):
        pipeline = make_pipeline(SequenceEncoder(), make(validation=0.2))
        scores = cross_validate(pipeline, strings, sequences[1], cv=2, error_score="raise")
        assert np.isfinite(scores["test_score"]).all()

    @pytest.mark.parametrize("make", [tiny_ensemble, tiny_degu])
    def test_a_fifth_of_y_may_be_missing(self, table, make):
        X, y = table
        Y = np.c_[y, -y, y**2]
        Y[np.random.default_rng(0).random(Y.shape) < 0.2] = np.nan
        some = ~np.isnan(Y).all(axis=1)
        scores = cross_validate(make(), X[some], Y[some], cv=2, error_score="raise")
        assert np.isfinite(scores["test_score"]).all()
        grid = {"net__lr": [0.01, 0.1]} if make is tiny_ensemble else {"teacher__net__lr": [0.1]}
        search = GridSearchCV(make(), grid, cv=2, error_score="raise").fit(X[some], Y[some])
        assert np.isfinite(search.predict(X)).all()

    def test_searches_parameters_of_net_and_module(self, sequences):
        X, y = sequences
        ensemble = tiny_ensemble(tiny_conv_net())
        grid = {"net__module__width": [2, 5], "net__lr": [1e-9, 0.01]}
        search = GridSearchCV(ensemble, grid, cv=2, error_score="raise").fit(X, y)
        best = search.best_estimator_
        assert search.best_params_["net__lr"] == 0.01
        assert (
            best.estimators_[0].module_.layers[0].out_channels
            == (search.best_params_["net__module__width"])
        )

    def test_searches_parameters_of_teacher_and_student(self, table):
        grid = {"teacher__net__lr": [1e-9, 0.1], "student__module__hidden": [(3,)]}
        degu = tiny_degu(tiny_ensemble(tiny_net(max_epochs=30)), tiny_net(max_epochs=40))
        search = GridSearchCV(degu, grid, cv=2, error_score="raise").fit(*table)
        assert search.best_params_["teacher__net__lr"] == 0.1
        assert search.best_estimator_.student_.module_.layers[1].out_features == 3

    def test_searches_named_nets_by_name(self, table):
        nets = [("wide", tiny_net()), ("narrow", tiny_net())]
        grid = {"wide__lr": [1e-9, 0.1], "narrow__module__hidden": [(2,)]}
        search = GridSearchCV(tiny_ensemble(nets), grid, cv=2, error_score="raise").fit(*table)
        assert search.best_params_["wide__lr"] == 0.1
        assert [net.lr for _, net in nets] == [0.05, 0.05]

    def test_searches_the_parts_themselves(self, table):
        nets = [tiny_net(module__hidden=(width,)) for width in (2, 3)]
        search = GridSearchCV(tiny_ensemble(), {"net": nets}, cv=2).fit(*table)
        assert search.best_params_["net"] in nets
        assert not any(net.initialized_ for net in nets)

    def test_memory_trains_each_teacher_once_a_fold(self, table, member_fits, tmp_path):
        grid = {"student__lr": [0.01, 0.02, 0.05]}
        search = GridSearchCV(
            tiny_degu(tiny_ensemble(n_estimators=3), tiny_net(), memory=str(tmp_path)),
            grid,
            cv=2,
            refit=False,
            error_score="raise",
        )
        search.fit(*table)
        assert len(member_fits) == 2 * 3

    def test_without_memory_every_point_trains_its_teachers(self, table, member_fits):
        grid = {"student__lr": [0.01, 0.02, 0.05]}
        degu = tiny_degu(tiny_ensemble(n_estimators=3), tiny_net())
        GridSearchCV(degu, grid, cv=2, refit=False).fit(*table)
        assert len(member_fits) == 6 * 3

    def test_cross_validation_slices_weights(self, table, routing):
        X, y = table
        ensemble = tiny_ensemble().set_fit_request(sample_weight=True)
        ensemble.set_score_request(sample_weight=False)
        params = {"sample_weight": np.arange(1.0, 41)}
        scores = cross_validate(ensemble, X, y, cv=KFold(2), params=params, error_score="raise")
        expected = tiny_ensemble().fit(X[20:], y[20:], sample_weight=np.arange(21.0, 41))
        assert scores["test_score"][0] == expected.score(X[:20], y[:20])


def noisy(make):
    """Return an estimator of this kind that learns the noise of replicates."""
    teacher = tiny_ensemble(aleatoric="replicates")
    return teacher if make is tiny_ensemble else tiny_degu(teacher)


MAKES = pytest.mark.parametrize("make", [tiny_ensemble, tiny_degu])


class TestReplicates:
    def halves(self, table, make, replicates):
        """Return what two folds must predict, for the rows in order."""
        X, y = table
        parts = [slice(20, 40), slice(0, 20)]
        fitted = [noisy(make).fit(X[rows], y[rows], replicates=replicates[rows]) for rows in parts]
        return np.concatenate(
            [
                model.predict_uncertainty(X[rows], kind="total")
                for model, rows in zip(fitted, reversed(parts), strict=True)
            ]
        )

    def cross_validated(self, table, estimator, params):
        X, y = table
        found = cross_validate(
            estimator,
            X,
            y,
            cv=KFold(2),
            params=params,
            error_score="raise",
            return_estimator=True,
            return_indices=True,
        )
        return np.concatenate(
            [
                model.predict_uncertainty(X[rows], kind="total")
                for model, rows in zip(found["estimator"], found["indices"]["test"], strict=True)
            ]
        )

    @MAKES
    @pytest.mark.parametrize("several", [False, True])
    def test_are_sliced_by_cross_validation(self, table, make, several):
        X, y = table
        y = np.c_[y, -y] if several else y
        replicates = replicates_of(y, np.abs(y) + 0.1)
        found = self.cross_validated((X, y), noisy(make), {"replicates": replicates})
        np.testing.assert_array_equal(found, self.halves((X, y), make, replicates))

    @MAKES
    def test_are_routed_by_cross_validation_on_request(self, table, make, routing):
        replicates = replicates_of(table[1])
        estimator = noisy(make).set_fit_request(replicates=True)
        found = self.cross_validated(table, estimator, {"replicates": replicates})
        np.testing.assert_array_equal(found, self.halves(table, make, replicates))

    @MAKES
    def test_without_a_request_are_not_dropped_in_silence(self, table, make, routing):
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="replicates"):
            self.cross_validated(table, noisy(make), {"replicates": replicates_of(table[1])})

    @MAKES
    def test_reach_the_last_step_of_a_pipeline(self, table, make):
        X, y = table
        pipeline = make_pipeline(StandardScaler(), noisy(make))
        name = pipeline.steps[-1][0]
        pipeline.fit(X, y, **{f"{name}__replicates": replicates_of(y)})
        mean, std = pipeline.predict(X, return_std=True, kind="aleatoric")
        assert mean.shape == std.shape == y.shape

    def test_are_routed_through_a_pipeline_with_their_validation_rows(self, table, routing):
        X, y = table
        replicates = replicates_of(y)
        names = ("replicates", "X_val", "y_val", "replicates_val")
        model = noisy(tiny_ensemble).set_fit_request(**dict.fromkeys(names, True))
        pipeline = make_pipeline(StandardScaler(), model, transform_input=["X_val"])
        given = dict(zip(names, (replicates[:30], X[30:], y[30:], replicates[30:]), strict=True))
        pipeline.fit(X[:30], y[:30], **given)
        assert np.isfinite(pipeline[-1].history_["valid_loss"]).all()

    def test_are_sliced_by_a_search(self, table):
        X, y = table
        grid = {"noise_of": ["mean", "replicate"], "net__lr": [0.05]}
        search = GridSearchCV(noisy(tiny_ensemble), grid, cv=2, error_score="raise")
        search.fit(X, y, replicates=replicates_of(y))
        expected = noisy(tiny_ensemble).set_params(noise_of="mean")
        expected.fit(X, y, replicates=replicates_of(y))
        np.testing.assert_array_equal(
            search.best_estimator_.predict_uncertainty(X), expected.predict_uncertainty(X)
        )


class TestNoise:
    def test_is_searched_by_its_likelihood_and_the_weights_of_the_heads(self, table):
        grid = {
            "teacher__likelihood": ["gaussian", "beta"],
            "head_weights": [None, {"aleatoric": 2.0}],
        }
        degu = tiny_degu(tiny_ensemble(aleatoric="heteroscedastic"))
        search = GridSearchCV(degu, grid, cv=2, error_score="raise").fit(*table)
        assert search.predict(table[0]).shape == table[1].shape
        assert len(search.cv_results_["params"]) == 4

    @MAKES
    def test_is_part_of_what_mapie_normalises_by(self, table, make):
        X, y = table
        fitted = noisy(make).fit(X[:20], y[:20], replicates=replicates_of(y[:20]))
        conformal = SplitConformalRegressor(
            fitted, prefit=True, confidence_level=0.8, conformity_score="std_normalized"
        )
        conformal.conformalize(X[20:], y[20:])
        interval = conformal.predict_interval(X)[1]
        width = interval[:, 1, 0] - interval[:, 0, 0]
        total = fitted.predict_uncertainty(X, kind="total")
        np.testing.assert_allclose(width / width[0], total / total[0], rtol=1e-6)

    @BOTH
    def test_is_learned_from_strings(self, strings, sequences, make):
        y = sequences[1]
        pipeline = make_pipeline(SequenceEncoder(), make(aleatoric="heteroscedastic"))
        mean, std = pipeline.fit(strings, y).predict(strings, return_std=True, kind="total")
        assert mean.shape == std.shape == y.shape


class TestMetaEstimators:
    @BOTH
    def test_bagging_reads_the_flattened_view(self, sequences, make):
        X, y = sequences
        flat = X.reshape(40, -1)
        bagging = BaggingRegressor(make(), n_estimators=2, random_state=0).fit(flat, y[:, 0])
        assert bagging.predict(flat).shape == (40,)
        assert bagging.estimators_[0].input_shape_ == (4, LENGTH)

    def test_a_frozen_ensemble_predicts_as_it_does(self, table):
        X, y = table
        ensemble = tiny_ensemble().fit(X, y)
        frozen = clone(FrozenEstimator(ensemble)).fit(X, -y)
        np.testing.assert_array_equal(frozen.predict(X), ensemble.predict(X))


class TestClone:
    @pytest.mark.parametrize("make", [tiny_ensemble, tiny_degu])
    def test_has_equal_parameters_and_no_memory_of_fit(self, table, make):
        fitted = make().fit(*table)
        twin = clone(fitted)
        assert twin.get_params().keys() == fitted.get_params().keys()
        assert not hasattr(twin, "input_shape_")
        np.testing.assert_array_equal(twin.fit(*table).predict(table[0]), fitted.predict(table[0]))

    def test_shares_no_net(self):
        degu = tiny_degu(student=tiny_net())
        twin = clone(degu).set_params(teacher__net__lr=0.5, student__lr=0.5)
        assert degu.teacher.net.lr == degu.student.lr == 0.05
        assert twin.teacher.net.lr == twin.student.lr == 0.5
