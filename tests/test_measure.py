"""The measured emission table: close to a known one, honest about how close; tokens drawn from it follow it."""
import numpy as np
import pytest

from minivbert.kitchen.measure import STRENGTHS, count, left_out, measure, sample_tokens, smooth
from minivbert.kitchen.recipes import Show

WORDS = 60


def known_table(styles_agree, rng, actions=20):
    """Draw a table (actions, 3, 6, WORDS) whose styles differ a lot (1) or little (50)."""
    base_V = rng.dirichlet(np.full(WORDS, 0.3))
    about_NV = rng.dirichlet(3 * base_V + 1e-3, size=3 * actions)
    table = np.stack([rng.dirichlet(styles_agree * row + 1e-4, size=6) for row in about_NV]) + 1e-12
    return (table / table.sum(-1, keepdims=True)).reshape(actions, 3, 6, WORDS)


def draw(table, N, rng):
    below = table.cumsum(-1)[..., :-1]
    return np.stack([(below <= rng.random(table.shape[:3] + (1,))).sum(-1) for _ in range(N)], -1)


def far(table, estimate):
    return float((table * np.log(table / estimate)).sum(-1).mean())


@pytest.mark.parametrize("styles_agree", [1, 5, 50])
@pytest.mark.parametrize("N", [40, 160])
def test_estimated_error_is_the_true_one(styles_agree, N):
    rng = np.random.default_rng(1)
    table = known_table(styles_agree, rng)
    token = draw(table, N, rng)
    emission, error = measure(token, WORDS)
    true = far(table, emission)
    assert emission.dtype == np.float64 and emission.min() > 0
    np.testing.assert_allclose(emission.sum(-1), 1, rtol=1e-12)
    assert 0.5 * true < error < 2 * true
    counts = count(token, WORDS)
    assert true < 1.1 * min(far(table, smooth(counts, m)) for m in STRENGTHS)  # about the best strength
    assert true < 0.5 * far(table, (counts + 1) / (N + WORDS))                  # not 1 more of each word


def test_more_clips_less_error():
    rng = np.random.default_rng(2)
    table = known_table(5, rng)
    errors = [measure(draw(table, N, rng), WORDS)[1] for N in (20, 80, 320)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2] > 0


def test_left_out_is_leaving_one_clip_out():
    token = np.random.default_rng(0).integers(4, size=(2, 3, 2, 5))
    nats = []
    for i in np.ndindex(token.shape):
        n = count(token, 4)
        n[i[:3] + (token[i],)] -= 1
        nats.append(-np.log(smooth(n, 2.0)[i[:3] + (token[i],)]))
    assert left_out(count(token, 4), 2.0) == pytest.approx(np.mean(nats), rel=1e-12)


def test_sampled_tokens_follow_the_table():
    rng = np.random.default_rng(3)
    table = known_table(1, rng, actions=2)
    show = Show(0, 4, np.tile([0, 1], 20000), np.tile([2, 2, 0, 0], 10000))
    token = sample_tokens(show, table.astype(np.float32), rng)
    assert token.shape == show.action.shape
    for a, p in ((0, 2), (1, 2), (0, 0), (1, 0)):
        drawn, expected = token[(show.action == a) & (show.phase == p)], table[a, p, 4]
        share = np.bincount(drawn, minlength=WORDS) / len(drawn)
        assert (abs(share - expected) <= 5 * np.sqrt(expected * (1 - expected) / len(drawn)) + 1e-4).all()


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least 8"):
        measure(np.zeros((2, 3, 6, 4), int), 3)
    with pytest.raises(ValueError, match="expected 0 to 2"):
        measure(np.full((2, 3, 6, 10), 3), 3)
