"""Two streams: a text encoder and a video encoder that meet only in one number, trained by contrast (CLIP's way, the survey's other family).

    score(text, video) = exp(s) <u(text), w(video)>        u, w: mean hidden state, projected, of length 1; s learned
    loss = -1/2 mean log softmax over the batch's videos - 1/2 mean log softmax over the batch's texts     (InfoNCE)

The best possible score is log P(text, video) / (P(text) P(video)), up to a constant: what the alignment head's logit tends to as well, so
the two kinds of model are asked the same question. Half of VideoBERT's blocks each, one table, no cloze: equal parameters to 1 %.

All pairs of a batch have the same number of clips, as true and false pairs have in pretraining, so that counting tells nothing; pairs with
the same caption are no negatives of each other.

Axes: B pairs, T tokens, D width, Vt words, Vv visual words.

Not stated in the paper, our choice: everything here; the paper has one stream only.

    >>> from minivbert.config import ModelConfig
    >>> dual = DualEncoder(ModelConfig(width=8, layers=2, heads=2, feed_forward=16, text_vocab=10, visual_vocab=4, max_positions=8))
    >>> dual.texts([[5, 6], [7]]).shape, dual.videos([[0, 3, 1]]).shape
    (torch.Size([2, 8]), torch.Size([1, 8]))
"""
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm import tqdm

from minivbert.device import autocast
from minivbert.files import replace_file
from minivbert.model.transformer import Encoder, init_weights
from minivbert.pretraining.segments import sentence_segments
from minivbert.train import build_optimizers, groups_of, schedule

FILE = "dual.safetensors"
HOTTEST = math.log(100.0)            # s is kept below it, as in CLIP


class DualEncoder(nn.Module):
    """Two encoders of half the blocks each."""

    def __init__(self, config, seed=0):
        """config: the `ModelConfig` of the VideoBERT that it stands beside."""
        super().__init__()
        c, first = config, config.layers // 2
        self.config = c
        self.words, self.visual = nn.Embedding(c.text_vocab, c.width), nn.Embedding(c.visual_vocab, c.width)
        self.positions, self.norm = nn.Embedding(c.max_positions, c.width), nn.LayerNorm(c.width, c.eps)
        self.encoder = nn.ModuleDict({"text": Encoder(c.width, first, c.heads, c.feed_forward, c.norm, c.dropout, c.eps),
                                      "video": Encoder(c.width, c.layers - first, c.heads, c.feed_forward, c.norm, c.dropout, c.eps)})
        self.project = nn.ModuleDict({name: nn.Linear(c.width, c.width) for name in ("text", "video")})
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        init_weights(self, c.init_std, torch.Generator().manual_seed(seed))

    def texts(self, rows):
        """Encode lists of text ids: (B, D), each of length 1."""
        return self._encode("text", self.words, rows)

    def videos(self, rows):
        """Encode lists of visual tokens: (B, D), each of length 1."""
        return self._encode("video", self.visual, rows)

    def _encode(self, stream, table, rows):
        T = max(map(len, rows))
        ids_BT = torch.tensor([[*map(int, row)] + [0] * (T - len(row)) for row in rows])
        keep_BT = torch.arange(T) < torch.tensor([[len(row)] for row in rows])
        x_BTD = self.norm(table(ids_BT) + self.positions.weight[:T])
        hidden_BTD = self.encoder[stream](x_BTD, keep_BT)
        mean_BD = (hidden_BTD * keep_BT[..., None]).sum(1) / keep_BT.sum(1, keepdim=True)
        return F.normalize(self.project[stream](mean_BD).float(), dim=-1)

    def scores(self, text_BD, video_CD):
        """Score every text with every video: (B, C)."""
        return self.log_scale.clamp(max=HOTTEST).exp() * text_BD @ video_CD.T


def contrast(scores_BB, same_BB):
    """Give InfoNCE's loss over a batch whose pairs stand on the diagonal; same (B, B) bool: equal captions, no negatives.

    >>> round(contrast(torch.zeros(4, 4), torch.eye(4, dtype=torch.bool)).item(), 4)         # ln 4
    1.3863
    """
    other_BB = same_BB & ~torch.eye(len(same_BB), dtype=torch.bool)
    s_BB, own_B = scores_BB.masked_fill(other_BB, -torch.inf), torch.arange(len(same_BB))
    return 0.5 * (F.cross_entropy(s_BB, own_B) + F.cross_entropy(s_BB.T, own_B))


class Pairs:
    """All true pairs of some videos, drawn a batch at a time: one or two sentences, as pretraining joins them, with their clips."""

    def __init__(self, corpus, videos, config, seed):
        """config: `InputConfig`."""
        self.corpus, self.config, self.seed = corpus, config, seed
        self.segments = [sentence_segments(corpus, videos, joined) for joined in (False, True)]
        if not len(self.segments[0]):
            raise ValueError(f"{corpus.folder}: no sentence in its training videos, so no pair to learn from; give a corpus with speech")
        self.clips = [s.clip_len.sum(1) for s in self.segments]

    def get(self, i, rows):
        """Give batch i: (texts, films), lists of ids and of visual tokens, all films equally long."""
        rng, c = np.random.default_rng([self.seed, i]), self.config
        kind = int(rng.random() < c.concat and len(self.segments[1]) > 0)
        s, clips = self.segments[kind], self.clips[kind]
        same = np.flatnonzero(clips == clips[rng.integers(len(clips))])
        at, rate = rng.choice(same, min(rows, len(same)), replace=False), rng.integers(1, c.subsample + 1)
        return [text_of(self.corpus, s, a)[:c.max_text] for a in at], [film_of(self.corpus, s, a)[::rate][:c.max_video] for a in at]


def text_of(corpus, segments, a):
    """Give the text ids of segment a of a `Sentences`."""
    return np.concatenate([corpus.text[f:f + n] for f, n in zip(segments.text_from[a], segments.text_len[a])]).astype(int)


def film_of(corpus, segments, a):
    """Give the visual tokens of segment a of a `Sentences`."""
    return np.concatenate([corpus.visual[f:f + n] for f, n in zip(segments.clip_from[a], segments.clip_len[a])]).astype(int)


def equal(texts):
    """Tell which texts are the same: (B, B) bool numpy.

    >>> equal([[1, 2], [3], [1, 2]])[0].tolist()
    [True, False, True]
    """
    number = {key: i for i, key in enumerate(dict.fromkeys(tuple(map(int, t)) for t in texts))}
    name_B = np.array([number[tuple(map(int, t))] for t in texts])
    return name_B[:, None] == name_B


def train_dual(config, corpus, steps=None, progress=False):
    """Train a `DualEncoder` beside a run: its corpus, optimizer, schedule, updates and rows a step.

    config: the run's `Config`. Returns (dual in eval mode, mean loss [nats] of the last tenth).
    """
    c = replace(config.train, steps=steps or config.train.steps)
    dual = DualEncoder(config.model, c.seed).train()
    optimizers, losses = build_optimizers(dual, c), []
    pairs = Pairs(corpus, corpus.split()[0], config.inputs, c.seed)
    for step in tqdm(range(c.steps), desc="two streams", unit="step", disable=not progress, dynamic_ncols=True):
        texts, films = pairs.get(step, config.inputs.rows[2])
        with autocast(torch.device("cpu"), c.precision):
            u_BD, w_BD = dual.texts(texts), dual.videos(films)
        loss = contrast(dual.scores(u_BD, w_BD), torch.from_numpy(equal(texts)))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(dual.parameters(), c.clip)
        for group in groups_of(optimizers):
            group["lr"] = schedule(step, c) * group["peak"]
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    return dual.eval(), float(np.mean(losses[-max(1, len(losses) // 10):]))


def save_dual(run, dual):
    """Write the weights into a run folder, in half precision."""
    tensors = {name: tensor.half().contiguous() for name, tensor in dual.state_dict().items()}
    replace_file(Path(run) / FILE, lambda path: save_file(tensors, path))


def load_dual(run, config):
    """Read the weights that `save_dual` wrote; None where there are none. Raises ValueError if they are another model's."""
    path = Path(run) / FILE
    if not path.is_file():
        return None
    dual = DualEncoder(config.model)
    try:
        dual.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
    except Exception as error:
        raise ValueError(f"{path}: no two-stream model of this run's size ({str(error).splitlines()[0]}); train it again with: "
                         f"python -m minivbert.downstream.retrieval --train --run {run}") from error
    return dual.eval()
