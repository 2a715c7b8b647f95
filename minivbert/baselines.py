"""Predictors that know no transformer: each token's share of the corpus, and its share after the token before it.

    unigram    p(token)                                what a model that looks at nothing can know
    bigram     p(token | the token to its left)        unseen pairs fall back on the unigram; so does a hidden neighbour

Both are counted on the inputs of training videos as they are drawn, joined and sub-sampled, so that they see what the model sees.
A count of 1, spread as the unigram, is added to each row of the bigram, and a count of 1/2 to each token of the unigram.

    >>> table = NGrams(np.array([0, 0, 1]), np.array([[0, 1], [0, 1], [0, 2]]), 3)
    >>> np.exp(table.log_unigram).round(2).tolist(), np.exp(table.log_bigram(np.array([0]))).round(2).tolist()
    ([0.56, 0.33, 0.11], [[0.14, 0.58, 0.28]])
"""
import numpy as np
import torch


class NGrams:
    """Counts of the tokens of one modality and of its neighbouring pairs."""

    def __init__(self, tokens_N, pairs_N2, size):
        """tokens (N,) int; pairs (N, 2) int: a token and the one to its right; size: tokens of the modality, V."""
        count = np.bincount(tokens_N, minlength=size) + 0.5
        self.log_unigram = np.log(count / count.sum())
        self.pairs = np.zeros((size, size))
        np.add.at(self.pairs, (pairs_N2[:, 0], pairs_N2[:, 1]), 1.0)

    def log_bigram(self, left_N):
        """Give log p(token | left) (N, V); where left is -1, not known, the unigram."""
        counts_NV = np.where(left_N[:, None] >= 0, self.pairs[left_N], 0.0)
        return np.log((counts_NV + np.exp(self.log_unigram)) / (counts_NV.sum(1, keepdims=True) + 1.0))


def unmasked(batch, video_from):
    """Put the labels back where they were masked: ids (B, T) numpy. video_from: the id of visual word 0."""
    ids = batch.ids.clone()
    for at, label, weight in ((batch.text_at, batch.text_label, batch.text_weight),
                              (batch.video_at, batch.video_label + video_from, batch.video_weight)):
        row, slot = torch.nonzero(weight, as_tuple=True)
        ids[row, at[row, slot]] = label[row, slot]
    return ids.numpy()


def fit_ngrams(stream, batches=64):
    """Count both modalities on the first batches of each regime of a `Batches`; return {"text": NGrams, "video": NGrams}.

    Text tokens are numbered by their ids, visual ones by their visual words.
    """
    tokens, pairs = {"text": [], "video": []}, {"text": [], "video": []}
    for regime in stream.regimes():
        for i in range(batches):
            batch = stream.get(regime, i)
            ids = np.where(batch.keep.numpy(), unmasked(batch, stream.video_range[0]), -1)
            for name, (low, high), first in (("text", stream.text_range, 0),
                                             ("video", stream.video_range, stream.video_range[0])):
                own = (ids >= low) & (ids < high)
                both = own[:, :-1] & own[:, 1:]
                tokens[name].append(ids[own] - first)
                pairs[name].append(np.stack([ids[:, :-1][both], ids[:, 1:][both]], 1) - first)
    sizes = {"text": stream.text_range[1], "video": stream.video_range[1] - stream.video_range[0]}
    return {name: NGrams(np.concatenate(tokens[name]), np.concatenate(pairs[name]), sizes[name]) for name in sizes}


def left_neighbours(batch, name, stream):
    """Give what stands to the left of each masked token (N,), -1 where that is hidden or of no modality; N in row order."""
    at, weight = getattr(batch, f"{name}_at").numpy(), getattr(batch, f"{name}_weight").numpy()
    row, slot = np.nonzero(weight)
    left = batch.ids.numpy()[row, at[row, slot] - 1]
    low, high = stream.text_range if name == "text" else stream.video_range
    return np.where((left >= low) & (left < high), left - (low if name == "video" else 0), -1)


def unigram_figures(batches, tables):
    """Score the unigram on held-out batches: {"text_unigram_nats", "text_unigram_accuracy", "video_unigram_nats", ...}."""
    out = {}
    for name, table in tables.items():
        labels = np.concatenate([getattr(b, f"{name}_label")[getattr(b, f"{name}_weight") > 0].numpy() for b in batches])
        if len(labels):
            out[f"{name}_unigram_nats"] = float(-table.log_unigram[labels].mean())
            out[f"{name}_unigram_accuracy"] = float((labels == table.log_unigram.argmax()).mean())
    return out
