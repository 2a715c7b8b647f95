"""Distances to the tree: by hand, and a video of another world is told from one of the kitchen."""
import numpy as np
import pytest

from minivbert.tokens.domain import distances, is_foreign, ranks, read_distances, verdict, write_distances
from minivbert.tokens.hkmeans import fit


@pytest.fixture
def tree():
    return fit(np.array([[0.0, 0.0], [0.0, 2.0], [10.0, 0.0], [10.0, 2.0]], np.float32), 2, 1, np.random.default_rng(0))


def test_distances_and_ranks_by_hand(tree, tmp_path):
    points = np.array([[0.0, 1.0], [3.0, 5.0], [10.0, 0.0]], np.float32)              # centroids stand at (0, 1) and (10, 1)
    token_N, distance_N = distances(tree, points)
    assert token_N[0] == token_N[1] != token_N[2]
    assert distance_N == pytest.approx([0, 5, 1])
    write_distances(tmp_path, distances(tree, np.repeat([[0.0, 1.0], [0.0, 2.0], [0.0, 4.0]], [50, 49, 1], axis=0))[1])
    reference_Q = read_distances(tmp_path)
    assert reference_Q[[0, 400, 600, 1000]] == pytest.approx([0, 0, 1, 3])
    assert ranks(np.array([0.5, 3.0, 99.0]), reference_Q) == pytest.approx([0.5, 1, 1], abs=0.01)


def test_the_verdict_goes_by_the_middle_clip():
    reference_Q = np.linspace(0, 1, 1001)
    assert not is_foreign(np.array([0.1, 0.5, 7.0]), reference_Q) and is_foreign(np.array([0.1, 6.0, 7.0]), reference_Q)
    assert verdict(np.array([0.9]), reference_Q).startswith("in domain: its middle clip lies 1.8 times as far")
    assert "farther than 90.0% of the training clips" in verdict(np.array([0.9]), reference_Q)
    far = verdict(np.array([3.0]), reference_Q)
    assert far.startswith("out of domain: its middle clip lies 6.0 times as far") and "farther than every training clip" in far
    assert "not known" in verdict(np.array([3.0]), None)


def test_a_damaged_file_is_named(tmp_path):
    assert read_distances(tmp_path) is None
    np.save(tmp_path / "distances.npy", np.array([3.0, 1.0]))
    with pytest.raises(ValueError, match="distances.npy: shape .2,., expected ascending"):
        read_distances(tmp_path)
    (tmp_path / "distances.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match="distances.npy: not an array"):
        read_distances(tmp_path)
