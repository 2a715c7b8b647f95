"""How near captions come to people's: BLEU, ROUGE-L and CIDEr-D, over a whole corpus, several references a clip.

VideoBERT, section 4.6 (Table 3). With c a candidate, R its references, count_n(.) its n-grams,

    BLEU-N    brevity * (p_1 ... p_N)^(1/N)     p_n = clipped matches / n-grams, each summed over the corpus first
    brevity   min(1, exp(1 - r / |c|))          r: the reference nearest in length, of two as near the shorter
    ROUGE-L   (1 + b^2) P Q / (Q + b^2 P)       P, Q = max over R of LCS(c, .) / |c| and LCS(c, .) / |.|, b = 1.2
    CIDEr-D   10 mean over n = 1..4, R of       exp(-(|c| - |r|)^2 / 72) <min(g_c, g_r), g_r> / (|g_c| |g_r|)
              g_n(.) = count_n(.) * ln(clips / clips with that n-gram in any reference)

BLEU: Papineni et al. 2002; ROUGE-L: Lin 2004, in the form of the COCO captioning server, which Table 3 goes back to; CIDEr-D:
Vedantam et al. 2015. Captions are lists of tokens; who makes the tokens decides the score, so both sides must come from one hand.

Differs from the paper: METEOR is left out (it needs WordNet or Java). Every score is a share from 0 to 1, CIDEr-D from 0 to 10; the
paper prints the first two times 100, and CIDEr-D as it is.

    >>> fried = [["fry", "the", "onion"]]
    >>> references = [[["fry", "the", "red", "onion"], ["brown", "the", "onion"]]]
    >>> round(bleu(fried, references, 2), 4), round(rouge_l(fried, references), 4)           # sqrt(3/3 2/2), P = 1, Q = 3/4
    (1.0, 0.8356)
"""
import math
from collections import Counter

import numpy as np

ROUGE_BETA = 1.2         # recall counts more than precision
CIDER_ORDER = 4
CIDER_SIGMA = 6.0        # [tokens] of difference in length


def ngrams(tokens, n):
    """Count the n-grams of a caption.

    >>> ngrams(["a", "b", "a", "b"], 2)
    Counter({('a', 'b'): 2, ('b', 'a'): 1})
    """
    return Counter(zip(*(tokens[i:] for i in range(n))))


def check(candidates, references):
    """Raise ValueError unless there is a candidate, and as many lists of references, none of them empty."""
    if not candidates or len(candidates) != len(references) or not all(references):
        raise ValueError(f"{len(candidates)} captions and {len(references)} lists of references, of which "
                         f"{sum(not r for r in references)} are empty; give at least one caption, and references for each")


def bleu(candidates, references, order=4):
    """Score captions by BLEU up to n-grams of `order`, without smoothing: 0 where no n-gram of some order matches.

    candidates: list of captions, each a list of tokens; references: list of lists of captions.
    """
    check(candidates, references)
    matched, all_of, length, nearest = np.zeros(order), np.zeros(order), 0, 0
    for caption, others in zip(candidates, references):
        length += len(caption)
        nearest += min((abs(len(other) - len(caption)), len(other)) for other in others)[1]
        for n in range(1, order + 1):
            own, most = ngrams(caption, n), Counter()
            for other in others:
                most |= ngrams(other, n)
            matched[n - 1] += (own & most).total()
            all_of[n - 1] += own.total()
    if not matched.all():
        return 0.0
    return float(min(1.0, math.exp(1 - nearest / length)) * np.exp(np.log(matched / all_of).mean()))


def longest_common(a, b):
    """Count the tokens of the longest common subsequence.

    >>> longest_common("peel the potato".split(), "now peel every potato".split())
    2
    """
    row = [0] * (len(b) + 1)
    for token in a:
        row = _next_row(row, token, b)
    return row[-1]


def _next_row(above, token, b):
    row = [0]
    for j, other in enumerate(b):
        row.append(above[j] + 1 if token == other else max(above[j + 1], row[-1]))
    return row


def rouge_l(candidates, references, beta=ROUGE_BETA):
    """Score captions by ROUGE-L, averaged over clips. Arguments as for `bleu`; beta 1 is the usual F1."""
    check(candidates, references)
    scores = []
    for caption, others in zip(candidates, references):
        common = [longest_common(caption, other) for other in others]
        if not any(common):
            scores.append(0.0)
            continue
        precision = max(common) / len(caption)
        recall = max(c / len(other) for c, other in zip(common, others) if other)
        scores.append((1 + beta ** 2) * precision * recall / (recall + beta ** 2 * precision))
    return float(np.mean(scores))


def cider_d(candidates, references):
    """Score captions by CIDEr-D, averaged over clips. Arguments as for `bleu`.

    An n-gram that every clip's references have weighs nothing; so with one clip, all weigh nothing and the score is 0.
    """
    check(candidates, references)
    clips_with = Counter()
    for others in references:
        clips_with.update({gram for other in others for n in range(1, CIDER_ORDER + 1) for gram in ngrams(other, n)})

    def weigh(caption, n):
        return {gram: count * math.log(len(references) / max(clips_with[gram], 1)) for gram, count in ngrams(caption, n).items()}

    norm = lambda weights: math.sqrt(sum(w * w for w in weights.values()))
    scores = []
    for caption, others in zip(candidates, references):
        total = 0.0
        own = [weigh(caption, n) for n in range(1, CIDER_ORDER + 1)]
        for other in others:
            near = math.exp(-(len(caption) - len(other)) ** 2 / (2 * CIDER_SIGMA ** 2))
            for n, own_n in enumerate(own, 1):
                theirs = weigh(other, n)
                both = norm(own_n) * norm(theirs)
                if both:
                    total += near * sum(min(w, theirs.get(gram, 0.0)) * theirs.get(gram, 0.0) for gram, w in own_n.items()) / both
        scores.append(10 * total / (CIDER_ORDER * len(others)))
    return float(np.mean(scores))


def caption_scores(candidates, references):
    """Score captions by every metric of Table 3 but METEOR: {"BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr"}."""
    return {"BLEU-3": bleu(candidates, references, 3), "BLEU-4": bleu(candidates, references, 4),
            "ROUGE-L": rouge_l(candidates, references), "CIDEr": cider_d(candidates, references)}
