"""The cloze's masking: rates, fates, fixed shapes, nothing mutated."""
import numpy as np

from minivbert.pretraining.masking import mask, slots


def masked(rate=0.15, B=4000, T=40, seed=0, corrupt=True):
    rng = np.random.default_rng(seed)
    ids = rng.integers(5, 200, (B, T))
    candidate = np.arange(T)[None] < rng.integers(1, T + 1, (B, 1))
    ids[:, 0], candidate[:, 0] = 2, False
    out = mask(ids, candidate, rate, slots(rate, T), 4, (5, 200), rng, corrupt)
    return ids, candidate, out


def within_4_sigma(count, n, p):
    return abs(count - n * p) < 4 * np.sqrt(n * p * (1 - p))


def test_the_measured_rates_are_15_and_80_10_10():
    ids, candidate, (out, at, label, weight) = masked()
    rows, slot = np.nonzero(weight)
    n = len(rows)
    assert within_4_sigma(n, candidate.sum(), 0.15)
    now, was = out[rows, at[rows, slot]], ids[rows, at[rows, slot]]
    assert (label[rows, slot] == was).all()
    assert within_4_sigma((now == 4).sum(), n, 0.8)
    same = 0.1 + 0.1 / 195                      # left alone, or replaced by itself by chance
    assert within_4_sigma((now == was).sum(), n, same)
    assert within_4_sigma(((now != was) & (now != 4)).sum(), n, 0.1 * 194 / 195)


def test_only_candidates_are_masked_each_once_and_the_rest_stays():
    ids, candidate, (out, at, _, weight) = masked(rate=0.5)
    rows, slot = np.nonzero(weight)
    assert candidate[rows, at[rows, slot]].all()
    hit = np.zeros(ids.shape, int)
    np.add.at(hit, (rows, at[rows, slot]), 1)
    assert hit.max() == 1
    assert (out[hit == 0] == ids[hit == 0]).all()


def test_each_row_gets_its_share():
    _, candidate, (*_, weight) = masked(rate=0.3)
    share = candidate.sum(1) * 0.3
    assert (np.floor(share) <= weight.sum(1)).all() and (weight.sum(1) <= np.floor(share) + 1).all()


def test_inputs_are_not_mutated_and_a_seed_gives_the_same():
    ids, candidate, first = masked(seed=7)
    before = ids.copy()
    again = mask(ids, candidate, 0.15, slots(0.15, 40), 4, (5, 200), np.random.default_rng(1))
    twice = mask(ids, candidate, 0.15, slots(0.15, 40), 4, (5, 200), np.random.default_rng(1))
    assert (ids == before).all()
    assert all((a == b).all() for a, b in zip(again, twice))


def test_evaluation_always_shows_the_mask():
    _, _, (out, at, _, weight) = masked(corrupt=False)
    rows, slot = np.nonzero(weight)
    assert (out[rows, at[rows, slot]] == 4).all()


def test_random_tokens_are_of_the_modality_and_never_special():
    rng = np.random.default_rng(0)
    ids = rng.integers(300, 400, (2000, 16))            # visual ids
    out, *_ = mask(ids, np.ones_like(ids, bool), 0.5, 9, 4, (300, 400), rng)
    assert (((out >= 300) & (out < 400)) | (out == 4)).all()
