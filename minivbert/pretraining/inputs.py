"""From segments to batches: [CLS] text [>] video [SEP], drawn anew for every batch, whole batches as array operations.

VideoBERT, sections 3.1 to 3.3. Three regimes:

    text         [CLS] a sentence . [SEP]                      videos with speech
    video        [CLS] [>] v v v v ... [SEP]                   all videos, windows of 16 tokens
    video-text   [CLS] a sentence . [>] v v v [SEP]            videos with speech; half of the pairs are false

Noise in time: neighbouring sentences are joined with probability `concat`; of the video tokens every r-th is shown, r uniform on
1 to 5 (`subsample`). In the video regime the window grows with r, so that the model sees up to 16 tokens of 16 r clips.

Axes: B rows, T positions, M masked slots a modality. Batches have few fixed shapes: a pool of 16 B rows is sorted by length
and cut into 16 batches, whose T is a multiple of `bucket`; the batches of a pool come in random order. Batch i is a pure
function of (seed, regime, i): resuming needs no state, and no batch is ever drawn twice. The corpus stays on disk: what is held is
the index of its segments, whatever is drawn of them.

Not stated in the paper, our choice: token types (0 text, 1 video); text is cut at `max_text` tokens and video at `max_video`, never
skipped; the probabilities of joining and sub-sampling.

    >>> batches = Batches(corpus, corpus.split()[0], InputConfig(), seed=0)          # doctest: +SKIP
    >>> batches.get("video-text", 0).ids.shape                                       # doctest: +SKIP
"""
from dataclasses import dataclass, replace

import numpy as np
import torch

from minivbert.pretraining.alignment import Partners
from minivbert.pretraining.masking import mask, slots
from minivbert.pretraining.segments import spoken_segments, window_segments
from minivbert.tokens.corpus import rows_of

REGIMES = ("text", "video", "video-text")
POOL = 16


@dataclass(frozen=True)
class Batch:
    """What the model sees and what it must answer.

    ids (B, T) int64 in the joint vocabulary; types (B, T) int64, 0 text, 1 video; keep (B, T) bool, False at padding;
    text_at (B, M) int64 masked positions, text_label (B, M) int64 text ids, text_weight (B, M) float32, 0 in unused slots;
    video_at, video_label (visual words from 0), video_weight: the same for video;
    aligned (B,) float32, 1 for a true pair, or None outside "video-text"; regime: str.
    """
    ids: torch.Tensor
    types: torch.Tensor
    keep: torch.Tensor
    text_at: torch.Tensor
    text_label: torch.Tensor
    text_weight: torch.Tensor
    video_at: torch.Tensor
    video_label: torch.Tensor
    video_weight: torch.Tensor
    aligned: torch.Tensor | None
    regime: str

    def map(self, f):
        """Replace every tensor x by f(x)."""
        return replace(self, **{k: f(v) for k, v in vars(self).items() if isinstance(v, torch.Tensor)})

    def to(self, device):
        """Move every tensor to a device."""
        return self.map(lambda x: x.to(device))


def ranges(start_BK, length_BK, width):
    """Lay the ranges start .. start + length of each row end to end: (B, width) indices; past the end, the last one repeated.

    >>> ranges(np.array([[10, 50]]), np.array([[2, 3]]), 6)
    array([[10, 11, 50, 51, 52, 52]])
    """
    total_B1 = length_BK.sum(1, keepdims=True)
    at_BW = np.minimum(np.arange(width), np.maximum(total_B1 - 1, 0))
    first_B1 = length_BK[:, :1]
    return np.where(at_BW < first_B1, start_BK[:, :1] + at_BW, start_BK[:, -1:] + at_BW - first_B1)


def join_text_video(vocab, T, text_BW, text_len, clip_BW=None, clip_len=None):
    """Lay out rows of T positions: [CLS] text [>] video [SEP] and padding, or [CLS] text [SEP] where clip is None.

    vocab: `WordPiece`, whose pad, cls, sep are ids; its length is the id of [>], and visual word v has the id length + 1 + v.
    text (B, W) int ids, clip (B, X) int visual words: row b holds text_len[b] (B,) and clip_len[b] (B,) of them, then anything.
    Returns ids (B, T) int, types (B, T) int: 1 from the first visual word to the last [SEP], 0 elsewhere; keep (B, T) bool: False at padding;
    is_text, is_video (B, T) bool: where the tokens of the text and of the video stand.
    """
    joint, at_T = len(vocab), np.arange(T)[None]
    text_end, video_from = 1 + text_len[:, None], 2 + text_len[:, None]
    end = text_end if clip_BW is None else video_from + clip_len[:, None]
    is_text, is_video = (at_T >= 1) & (at_T < text_end), (at_T >= video_from) & (at_T < end)
    rows = np.arange(len(text_len))[:, None]
    ids = np.full((len(text_len), T), vocab.pad)
    ids[:, 0] = vocab.cls
    ids = np.where(is_text, text_BW[rows, np.clip(at_T - 1, 0, text_BW.shape[1] - 1)], ids)
    if clip_BW is not None:
        ids = np.where(at_T == text_end, joint, ids)
        visual = clip_BW[rows, np.clip(at_T - video_from, 0, clip_BW.shape[1] - 1)].astype(int)
        ids = np.where(is_video, joint + 1 + visual, ids)
    ids = np.where(at_T == end, vocab.sep, ids)
    keep = at_T <= end
    types = ((at_T >= video_from) & keep).astype(int)
    return ids, types, keep, is_text, is_video


class Batches:
    """All batches that can be drawn from some videos of a corpus."""

    def __init__(self, corpus, videos, config, seed, training=True):
        """config: `InputConfig`. training=False: the evaluation's 15 % masked, every one of them replaced by [MASK]."""
        self.corpus, self.config, self.seed, self.training = corpus, config, seed, training
        self.rate = config.mask_rate if training else config.eval_mask_rate
        self.windows = window_segments(corpus, videos, config.window)
        self.segments = spoken_segments(corpus, videos)
        self.partners = [Partners(s.clips, s.video) for s in self.segments]
        vocab = corpus.vocab
        self.joint = len(vocab)                                   # the id of [>]
        special = max(vocab.pad, vocab.unk, vocab.cls, vocab.sep, vocab.mask) + 1
        self.text_range, self.video_range = (special, self.joint), (self.joint + 1, self.joint + 1 + corpus.visual_words)
        self._pool = {}

    def regimes(self):
        """List the regimes that these videos can feed: without speech, only "video"."""
        return REGIMES if len(self.segments[0]) else ("video",)

    def get(self, regime, i):
        """Give batch i of a regime."""
        pool = i // POOL
        if self._pool.get(regime, (None,))[0] != pool:
            rng = np.random.default_rng([self.seed, REGIMES.index(regime), pool, self.training])
            self._pool[regime] = (pool, self._draw_pool(regime, rng))
        return self._pool[regime][1][i % POOL]

    def _draw_pool(self, regime, rng):
        rows = self.config.rows[REGIMES.index(regime)]
        n = rows * POOL
        text_BW, text_len = np.zeros((n, 1), int), np.zeros(n, int)
        clip_BW, clip_len = np.zeros((n, 1), int), np.zeros(n, int)
        aligned = None
        if regime == "video":
            clip_BW, clip_len = self._draw_windows(n, rng)
        else:
            text_BW, text_len, clip_BW, clip_len, aligned = self._draw_sentences(n, rng)
        if regime == "text":
            clip_len, aligned = np.zeros(n, int), None
        length = 2 + text_len + (clip_len + 1) * (regime != "text")
        order = np.argsort(length, kind="stable")
        batches = []
        for part in rng.permutation(POOL):
            at = order[part * rows:(part + 1) * rows]
            T = -(-int(length[at].max()) // self.config.bucket) * self.config.bucket
            batches.append(self._assemble(regime, T, text_BW[at], text_len[at], clip_BW[at], clip_len[at],
                                          None if aligned is None else aligned[at], rng))
        return batches

    def _rate(self, n, rng):
        return rng.integers(1, self.config.subsample + 1, size=n)

    def _draw_windows(self, n, rng):
        pick, r = rng.integers(len(self.windows), size=n), self._rate(n, rng)
        room, width = self.windows.room[pick], self.config.window
        clip_len = np.minimum(width, -(-room // r))
        step = np.minimum(np.arange(width)[None] * r[:, None], room[:, None] - 1)
        return rows_of(self.corpus.visual, self.windows.start[pick][:, None] + step), clip_len

    def _draw_sentences(self, n, rng):
        c = self.config
        joined, r = rng.random(n) < c.concat * (len(self.segments[1]) > 0), self._rate(n, rng)
        aligned = rng.random(n) < 0.5
        fields = []
        for segments, partners, here in zip(self.segments, self.partners, (~joined, joined)):
            if not here.any():
                continue
            pick = rng.integers(len(segments), size=here.sum())
            shown, aligned[here] = partners.pairs(pick, aligned[here], rng)
            said, shown = segments.take(pick), segments.take(shown)
            fields.append((np.flatnonzero(here), said.text_from, said.text_len, shown.clip_from, shown.clip_len))
        back = np.argsort(np.concatenate([f[0] for f in fields]))
        text_from, text_len, clip_from, clip_len = (np.concatenate([f[k] for f in fields])[back] for k in (1, 2, 3, 4))
        text_BW = rows_of(self.corpus.text, ranges(text_from, text_len, c.max_text))
        shown_len = -(-clip_len.sum(1) // r)
        every = np.minimum(np.arange(c.max_video) * r[:, None], clip_len.sum(1)[:, None] - 1)
        clip_at = np.where(every < clip_len[:, :1], clip_from[:, :1] + every, clip_from[:, 1:] + every - clip_len[:, :1])
        return (text_BW, np.minimum(text_len.sum(1), c.max_text), rows_of(self.corpus.visual, clip_at),
                np.minimum(shown_len, c.max_video), aligned)

    def _assemble(self, regime, T, text_BW, text_len, clip_BW, clip_len, aligned, rng):
        vocab, video = self.corpus.vocab, () if regime == "text" else (clip_BW, clip_len)
        ids, types, keep, is_text, is_video = join_text_video(vocab, T, text_BW, text_len, *video)
        masked = {}
        for name, candidate, wanted, most, span in (
                ("text", is_text, regime != "video", self.config.max_text, self.text_range),
                ("video", is_video, regime != "text", self.config.max_video, self.video_range)):
            M = slots(self.rate, min(T - 2, most)) if wanted else 0
            ids, at, label, weight = mask(ids, candidate, self.rate, M, vocab.mask, span, rng, corrupt=self.training and self.config.corrupt)
            masked |= {f"{name}_at": at, f"{name}_label": label - (span[0] if name == "video" else 0),
                       f"{name}_weight": weight}
        tensors = {k: torch.from_numpy(np.ascontiguousarray(v))
                   for k, v in {"ids": ids, "types": types, "keep": keep, **masked}.items()}
        tensors["aligned"] = None if aligned is None else torch.from_numpy(aligned.astype(np.float32))
        return Batch(**tensors, regime=regime)
