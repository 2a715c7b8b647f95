"""The predictor that looks at nothing: each token's share of the training videos. A model must beat it to have learned anything."""
import numpy as np


def unigram(tokens, size):
    """Give -log p (size,) nats of each token, one added to every count so that no token is impossible.

    >>> np.exp(-unigram(np.array([0, 0, 1]), 3)).round(3).tolist()
    [0.5, 0.333, 0.167]
    """
    count = np.bincount(tokens, minlength=size) + 1.0
    return -np.log(count / count.sum())


def baselines(corpus, videos, batches):
    """Score the unigram predictor, counted on `videos`, on the masked tokens of `batches`.

    Returns {"text_unigram_nats", "video_unigram_nats", "text_unigram_accuracy", "video_unigram_accuracy"}.
    """
    clip_video = np.repeat(np.arange(corpus.videos), np.diff(corpus.visual_offsets))
    word_video = np.repeat(corpus.sentence_video, np.diff(corpus.sentence_offsets))
    tables = {"text": unigram(corpus.text[np.isin(word_video, videos)], len(corpus.vocab)),
              "video": unigram(corpus.visual[np.isin(clip_video, videos)], corpus.visual_words)}
    out = {}
    for name, table in tables.items():
        label = np.concatenate([getattr(b, f"{name}_label")[getattr(b, f"{name}_weight") > 0].numpy() for b in batches])
        if len(label):
            out[f"{name}_unigram_nats"] = float(table[label].mean())
            out[f"{name}_unigram_accuracy"] = float((label == table.argmin()).mean())
    return out
