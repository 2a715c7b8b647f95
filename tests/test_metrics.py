"""Caption metrics: by hand, by property, against sacrebleu, rouge-score and pycocoevalcap."""
import math

import numpy as np
import pytest

from minivbert.downstream.metrics import bleu, caption_scores, cider_d, longest_common, rouge_l

WORDS = "fry boil the a onion egg in pan pot now until golden .".split()


def captions(seed, clips=40, most=6):
    """Captions with 1 to `most` references each: copies of a reference with words changed, lost and put in, so that all orders match."""
    rng = np.random.default_rng(seed)
    references, candidates = [], []
    for _ in range(clips):
        first = list(rng.choice(WORDS, rng.integers(3, 12)))
        others = [[str(w) if rng.random() < 0.8 else str(rng.choice(WORDS)) for w in first if rng.random() < 0.9] or ["the"]
                  for _ in range(rng.integers(1, most + 1))]
        references.append(others)
        candidates.append([str(w) for w in first if rng.random() < 0.9] or ["now"])
    return candidates, references


def joined(candidates, references):
    return [" ".join(c) for c in candidates], [[" ".join(r) for r in others] for others in references]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("order", [1, 3, 4])
def test_bleu_is_sacrebleu_s(seed, order):
    peer = pytest.importorskip("sacrebleu").metrics.BLEU(tokenize="none", smooth_method="none", max_ngram_order=order)
    candidates, references = captions(seed)
    said, told = joined(candidates, references)
    most = max(map(len, told))
    streams = [[others[i] if i < len(others) else None for others in told] for i in range(most)]
    assert bleu(candidates, references, order) == pytest.approx(peer.corpus_score(said, streams).score / 100, abs=1e-12)


def test_bleu_by_hand():
    candidate, references = "the the the the".split(), ["the egg in the pan".split(), "the egg".split()]
    # two of four unigrams count; as near in length: five (one more) and ... three would be; here 5 is nearer than 2
    assert bleu([candidate], [references], 1) == pytest.approx(math.exp(1 - 5 / 4) * 2 / 4)
    # lengths 3 and 5 are as near to 4: the shorter one counts, so nothing is taken off
    assert bleu(["fry the egg now".split()], [["fry the egg".split(), "fry the egg right now".split()]], 1) == 1.0
    # a corpus is summed before it is divided: (1 + 4) / (1 + 4 + 3), not the mean of shares
    assert bleu([["a"], list("abcd"), list("xyz")], [[["a"]], [list("abcd")], [list("uvw")]], 1) == pytest.approx(5 / 8)
    assert bleu(["fry the egg".split()], [["fry the egg".split()]], 4) == 0.0          # no four-gram at all


@pytest.mark.parametrize("seed", range(5))
def test_rouge_is_the_coco_server_s(seed):
    peer = pytest.importorskip("pycocoevalcap.rouge.rouge").Rouge()
    candidates, references = captions(seed)
    said, told = joined(candidates, references)
    theirs, _ = peer.compute_score(dict(enumerate(told)), {i: [s] for i, s in enumerate(said)})
    assert rouge_l(candidates, references) == pytest.approx(theirs, abs=1e-12)


def test_rouge_with_one_reference_is_rouge_score_s():
    peer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"])
    for seed in range(3):
        candidates, references = captions(seed, most=1)
        candidates = [[w.replace(".", "stop") for w in c] for c in candidates]          # rouge-score drops full stops
        references = [[[w.replace(".", "stop") for w in r] for r in others] for others in references]
        for candidate, others in zip(candidates, references):
            theirs = peer.score(" ".join(others[0]), " ".join(candidate))["rougeL"].fmeasure
            assert rouge_l([candidate], [others], beta=1.0) == pytest.approx(theirs, abs=1e-12)


def test_rouge_by_hand():
    assert longest_common(list("abcbdab"), list("bdcaba")) == 4
    # P = 2/3 from the first reference, Q = 1/1 from the second
    got = rouge_l([["a", "b", "x"]], [[["a", "b", "c", "d"], ["a"]]])
    assert got == pytest.approx((1 + 1.44) * (2 / 3) / (1 + 1.44 * 2 / 3))
    assert rouge_l([["a"], []], [[["b"]], [["b"]]]) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_cider_is_pycocoevalcap_s(seed):
    peer = pytest.importorskip("pycocoevalcap.cider.cider").Cider()
    candidates, references = captions(seed)
    candidates[3] = candidates[3] * 3                    # clipping and length count
    said, told = joined(candidates, references)
    theirs, _ = peer.compute_score(dict(enumerate(told)), {i: [s] for i, s in enumerate(said)})
    assert theirs > 0.5
    assert cider_d(candidates, references) == pytest.approx(theirs, abs=1e-10)


def test_cider_by_hand():
    """Two clips; "the" is in both, so it weighs nothing; "egg" and "the egg" weigh ln 2."""
    got = cider_d([["the", "egg"], ["the"]], [[["the", "egg", "egg"]], [["the", "pot"]]])
    # order 1: min(1, 2) 2 / (1 2); order 2: <the egg> 1 1 / (1 sqrt 2), the reference has "egg egg" too; no order 3 and 4 in the candidate
    first = (1 + 1 / math.sqrt(2)) / 4 * math.exp(-1 / 72)
    assert got == pytest.approx(10 * (first + 0) / 2)
    assert cider_d([["the", "egg"]], [[["the", "egg"]]]) == 0.0                        # one clip: nothing tells it from others


def test_scores_rise_with_truth_and_do_not_depend_on_order():
    candidates, references = captions(7)
    some = caption_scores(candidates, references)
    perfect = caption_scores([others[0] for others in references], references)
    wrong = caption_scores(candidates[1:] + candidates[:1], references)
    for name in ("BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr"):
        assert wrong[name] < some[name] < perfect[name]
    assert perfect["BLEU-4"] == perfect["ROUGE-L"] == 1.0
    rows = np.random.default_rng(0).permutation(len(candidates))
    turned = caption_scores([candidates[i] for i in rows], [references[i][::-1] for i in rows])
    assert turned == pytest.approx(some, abs=1e-12)


@pytest.mark.parametrize("score", [bleu, rouge_l, cider_d])
def test_what_cannot_be_scored_is_refused(score):
    with pytest.raises(ValueError, match="2 captions and 1 lists of references"):
        score([["a"], ["b"]], [[["a"]]])
    with pytest.raises(ValueError, match="of which 1 are empty"):
        score([["a"]], [[]])
