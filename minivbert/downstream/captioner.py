"""A captioner: the features of a segment go in, a sentence comes out, token by token.

VideoBERT, section 4.6: the model is frozen and only asked for features; a small transformer (2 layers, width 128) learns to caption
from them. The features of a segment with visual tokens v_1 .. v_N are read off

    [CLS] now let's [MASK] the [MASK] to the [MASK], and then [MASK] the [MASK]. [>] v_1 .. v_N [SEP]

    raw          mean of the centroids of v_1 .. v_N                                       F      "S3D" in Table 3
    videobert    mean hidden state of the N clips, mean hidden state of the 5 [MASK]s      2 D
    both         all three                                                                 2 D + F
    video        mean hidden state of the N clips of [CLS] [>] v_1 .. v_N [SEP]            D      for a model that never saw text

Decoder: x = word + position, causal self-attention, cross-attention to the features (one vector, projected to the width), and words scored by
the table they came from. It learns by teacher forcing and writes by beam search (`beam.py`).

Axes: B rows, T tokens, N clips, F features (of the tree, or all of a captioner's), D width, R references, V words.

Differs from, or not stated in, the paper: "raw" averages the centroids of the visual words, not S3D's own activations, for a corpus keeps
tokens only; so every row of the table knows the same of the video. With one vector there is nothing for an encoder to attend to: there
is only the decoder. Segments of more clips than an input holds are thinned out evenly.
"""
import json

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from minivbert.downstream.beam import beam_search
from minivbert.downstream.shared import lay_out
from minivbert.files import replace_file
from minivbert.model.transformer import Decoder, dropout, init_weights

TEMPLATE = "now let's [MASK] the [MASK] to the [MASK], and then [MASK] the [MASK]."
KINDS = ("raw", "videobert", "both", "video")
WIDTH, LAYERS, HEADS, FEED_FORWARD = 128, 2, 4, 256
LONGEST = 24                  # [tokens] of a caption, its end included
DROPOUT = 0.4                 # the paper's
ROWS = 64                     # a training step, and an encoding


@torch.no_grad()
def segment_features(model, config, vocab, tree, films, kind):
    """Describe segments: features (B, F) float32 of one of the KINDS.

    model, config: a run's; vocab: WordPiece; tree: `hkmeans.Tree`, needed for "raw" and "both"; films: a list of visual tokens each.
    Raises ValueError for another kind, or where the tree is missing.
    """
    if kind not in KINDS:
        raise ValueError(f"features {kind!r} are not known; choose {', '.join(KINDS)}")
    if tree is None and kind in ("raw", "both"):
        raise ValueError(f"features {kind!r} need the tree of the visual words (tree.npz beside the corpus); choose videobert")
    parts = []
    if kind in ("raw", "both"):
        parts.append(torch.from_numpy(np.stack([tree.leaf_centroids[film].mean(0) for film in films])).float())
    if kind != "raw":
        shown = [film[::-(-len(film) // config.inputs.max_video)] for film in films]
        parts.append(hidden_means(model, vocab, [] if kind == "video" else vocab.encode(TEMPLATE), shown))
    return torch.cat(parts, 1)


def hidden_means(model, vocab, text, films):
    """Average a model's last hidden states: over the clips of each film, and over the [MASK]s of the text if it has any; (B, D or 2 D)."""
    masks = torch.tensor([1 + i for i, token in enumerate(text) if token == vocab.mask], dtype=torch.int64)
    out = []
    for first in range(0, len(films), ROWS):
        some = films[first:first + ROWS]
        ids, types, keep, clip_at = lay_out(vocab, [text] * len(some), some)
        hidden_BTD = model.encode(ids, types, keep)
        shown_BT = torch.zeros(ids.shape).scatter_(1, clip_at, 1.0)
        shown_BT[:, 0] = 0.0                                        # where short rows point past their end
        video_BD = (shown_BT / shown_BT.sum(1, keepdim=True))[:, None] @ hidden_BTD
        out.append(torch.cat([video_BD[:, 0], *([hidden_BTD[:, masks].mean(1)] if len(masks) else [])], 1))
    return torch.cat(out)


class Captioner(nn.Module):
    """The decoder and what it needs to know of its features: their mean and spread over the training segments."""

    def __init__(self, features, words, start, end, kind="both", made_by=""):
        """features: numbers a segment; words: vocabulary size; start, end: ids ([CLS], [SEP]); kind: of the features; made_by: hash of
        the weights that they come from."""
        super().__init__()
        self.about = {"features": features, "words": words, "start": start, "end": end, "kind": kind, "made_by": made_by}
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.project = nn.Linear(features, WIDTH)
        self.word_table, self.position_table = nn.Embedding(words, WIDTH), nn.Embedding(LONGEST, WIDTH)
        self.decoder = Decoder(WIDTH, LAYERS, HEADS, FEED_FORWARD, "pre", DROPOUT)

    def forward(self, feature_BF, tokens_BT):
        """Score what follows each token: logits (B, T, V)."""
        return self._next(self._memory(feature_BF), tokens_BT, None)

    def _memory(self, feature_BF):
        memory_BD = self.project((feature_BF - self.mean) / self.spread)
        return dropout(memory_BD, DROPOUT if self.training else 0.0)[:, None]

    def _next(self, memory_BSD, tokens_BT, cache):
        past = cache["0.self"][0].shape[2] if cache else 0
        x_BTD = self.word_table(tokens_BT) + self.position_table.weight[past:past + tokens_BT.shape[1]]
        x_BTD = dropout(x_BTD, DROPOUT if self.training else 0.0)
        return F.linear(self.decoder(x_BTD, memory_BSD, cache=cache), self.word_table.weight)

    def step(self, feature_BF):
        """Make the step of a beam search, see `beam_search`."""
        memory_BSD = self._memory(feature_BF)

        def step(token_N, parent_N, state):
            cache, memory_NSD = ({}, memory_BSD) if state is None else state
            cache = {name: tuple(x[parent_N] for x in pair) for name, pair in cache.items()}
            memory_NSD = memory_NSD[parent_N]
            return self._next(memory_NSD, token_N[:, None], cache)[:, -1].log_softmax(-1), (cache, memory_NSD)

        return step

    @torch.no_grad()
    def log_p(self, feature_BF, captions):
        """Score every caption (a list of C lists of ids) on every row: log p (B, C) [nats]."""
        columns = []
        for caption in captions:
            tokens_BT = torch.tensor([self.about["start"], *caption, self.about["end"]]).expand(len(feature_BF), -1)
            log_p_BTV = self(feature_BF, tokens_BT[:, :-1]).log_softmax(-1)
            columns.append(log_p_BTV.gather(2, tokens_BT[:, 1:, None]).sum((1, 2)))
        return torch.stack(columns, 1)

    @torch.no_grad()
    def write(self, feature_BF, beam):
        """Write a caption a row: a list of B lists of ids, start and end left out."""
        captions, a = [], self.about
        for part in feature_BF.split(512):
            tokens_BKT, _ = beam_search(self.step(part), len(part), beam, a["start"], a["end"], LONGEST)
            captions += [[i for i in row if i != a["end"]] for row in tokens_BKT[:, 0].tolist()]
        return captions


def fit(captioner, feature_BF, references, steps, seed, lr=2e-3, progress=None):
    """Train a captioner in place: AdamW, the rate up over a tenth of the steps and down to 0, a random reference of a random row each time.

    feature (B, F); references: for each row a list of captions, each a list of ids. progress: wraps the range of steps, e.g. tqdm.
    Returns the mean loss of the last tenth of the steps [nats a token].
    """
    a, generator = captioner.about, torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)                                              # dropout's
    init_weights(captioner, 0.05, generator)
    captioner.mean.copy_(feature_BF.mean(0))
    captioner.spread.copy_(feature_BF.std(0).clamp_min(1e-4))
    told = nn.utils.rnn.pad_sequence([torch.tensor([a["start"], *caption[:LONGEST - 1], a["end"]]) for captions in references
                                      for caption in captions], batch_first=True, padding_value=-100)
    first = torch.tensor(np.cumsum([0] + [len(captions) for captions in references]))
    groups = [{"params": [p for p in captioner.parameters() if p.dim() > 1], "weight_decay": 0.01},
              {"params": [p for p in captioner.parameters() if p.dim() < 2], "weight_decay": 0.0}]
    optimizer, losses = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.99), fused=True), []
    captioner.train()
    for step in (progress or (lambda x: x))(range(steps)):
        rows = torch.randint(len(feature_BF), (ROWS,), generator=generator)
        count = first[rows + 1] - first[rows]
        some_BT = told[first[rows] + (torch.rand(ROWS, generator=generator) * count).long()]
        some_BT = some_BT[:, :int((some_BT != -100).sum(1).max())]
        logits_BTV = captioner(feature_BF[rows], some_BT[:, :-1].clamp_min(0))
        loss = F.cross_entropy(logits_BTV.flatten(0, 1), some_BT[:, 1:].flatten(), ignore_index=-100)
        loss.backward()
        nn.utils.clip_grad_norm_(captioner.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = lr * min((step + 1) / max(1, steps // 10), (steps - step) / (steps - steps // 10))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    captioner.eval()
    return float(np.mean(losses[-max(1, steps // 10):]))


def save_captioner(captioner, path):
    """Write a captioner as .safetensors, its numbers in half precision; what it is made for stands in the metadata."""
    tensors = {name: tensor.detach().half().contiguous() for name, tensor in captioner.state_dict().items()}
    about = {key: json.dumps(value) for key, value in captioner.about.items()}
    replace_file(path, lambda temporary: save_file(tensors, temporary, about))


def load_captioner(path, made_by, words):
    """Read a captioner, in eval mode, for features of the weights with hash `made_by` and a vocabulary of so many words.

    Raises ValueError if the file is missing, damaged, or made for others.
    """
    again = f"make one with: python -m minivbert.downstream.caption train --captioner {path}"
    try:
        with safe_open(path, "pt") as file:
            about = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}
        captioner = Captioner(**about)
        captioner.load_state_dict(tensors)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: there is no such captioner; {again}") from error
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"{path}: no captioner ({str(error).splitlines()[0]}); {again}") from error
    if about["made_by"] != made_by or about["words"] != words:
        raise ValueError(f"{path}: learned from features of other weights (hash {str(about['made_by'])[:12]}, not {made_by[:12]}); {again}, and "
                         "the same --run and --corpus")
    return captioner.eval()
