"""Purity and NMI against scikit-learn."""
import numpy as np
import pytest

from minivbert.tokens.coherence import nmi, purity


def test_nmi_equals_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    for clusters in (1, 4, 30):
        token, truth = rng.integers(clusters, size=500), rng.integers(7, size=500)
        truth = np.where(rng.random(500) < 0.5, token % 7, truth)
        assert nmi(token, truth) == pytest.approx(metrics.normalized_mutual_info_score(truth, token), abs=1e-12)


def test_purity_by_hand_and_at_its_ends():
    assert purity(np.array([0, 0, 0, 1]), np.array([2, 2, 3, 3])) == 0.75
    assert purity(np.arange(9), np.zeros(9, int)) == 1.0
    assert nmi(np.zeros(9, int), np.zeros(9, int)) == 1.0


def test_unequal_or_no_points_are_refused():
    for tokens, classes in ((np.zeros(3, int), np.zeros(1, int)), (np.zeros(0, int), np.zeros(0, int))):
        for measure in (purity, nmi):
            with pytest.raises(ValueError, match=f"{len(tokens)} tokens and {len(classes)} classes"):
                measure(tokens, classes)
