"""Motifs that a simulator planted are found again."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from skorch.callbacks import LRScheduler

from sklearn_degu import DistilledRegressor, EnsembleRegressor
from sklearn_degu.attribution import deep_lift_shap, saliency
from sklearn_degu.datasets import make_mpra
from sklearn_degu.recipes import deepstarr_net
from sklearn_degu.sequences import SequenceEncoder

N_EPOCHS = 10


@pytest.mark.slow
def test_maps_of_a_student_find_the_planted_motif():
    pytest.importorskip("tangermeme")
    train, new = (
        make_mpra(n, seq_len=80, n_motifs=1, r2=0.9, random_state=seed)
        for seed, n in enumerate((8000, 3000))
    )
    encoder = SequenceEncoder()
    net = deepstarr_net(
        module__width=0.25,
        lr=4e-3,
        max_epochs=N_EPOCHS,
        callbacks__lr_schedule=LRScheduler("CosineAnnealingLR", T_max=N_EPOCHS),
        callbacks__early_stopping__patience=N_EPOCHS,
    )
    teacher = EnsembleRegressor(net, 3, validation=0.1, n_jobs=2)
    X = encoder.fit_transform(train.sequences)
    student = DistilledRegressor(teacher, random_state=0).fit(X, train.y)

    is_motif = np.zeros((3000, 80), dtype=bool)
    for site in new.sites[new.sites["motif"] == 0]:
        is_motif[site["row"], site["start"] : site["stop"]] = True
    rows = np.argsort(-new.mean)[:200]
    active = encoder.transform(new.sequences[rows])
    for maps in (saliency(student, active), deep_lift_shap(student, active, random_state=0)):
        importance = np.linalg.norm(maps, axis=1)
        assert roc_auc_score(is_motif[rows].ravel(), importance.ravel()) > 0.95
