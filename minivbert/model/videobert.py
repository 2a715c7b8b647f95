"""VideoBERT: BERT over a joint vocabulary of word pieces and visual words, a cloze and an alignment head.

VideoBERT (arXiv 1904.01766), sections 3.1 to 3.3. Joint ids: text 0 .. Vt-1 in the vocabulary's order, `[>]`
= Vt, visual word v = Vt + 1 + v. With W the joint token table,

    input      x = LN(W[id] + position + type)           type 0: text, [CLS] and [>]; 1: video and its [SEP]
    hidden     h = encoder(x)
    cloze      W f(h) + b, f = LN(gelu(dense(h)))        text rows of W for text, visual rows for video
    alignment  u . tanh(P h[CLS]) + c                    one logit: are this text and video of the same time?

Axes: B rows, T tokens, M masked positions, R wanted positions, D width, Vt text ids, Vv visual words, C
centroids, U used ones, F features.

Differs from, or not stated in, the paper:
- `positions="part"` numbers the video's tokens from 2 on, as in an input without text, however long the text is:
  so what is learnt of neighbouring clips holds in every input. "row" is BERT's way.
- Token types: not stated; every reimplementation has them.
- Logits are computed at the M masked positions only, over the masked token's own modality, not over the joint
  vocabulary.
- Output rows are tied to input rows, as in BERT. So `frozen_embeddings` (the paper freezes its input
  embeddings) also freezes the matrix of the cloze's softmax; what adapts to it is f and the bias b.
  Positions, types and LayerNorms go on learning.

    >>> from minivbert.config import ModelConfig
    >>> model = VideoBERT(ModelConfig(width=8, layers=1, heads=2, text_vocab=10, visual_vocab=4)).eval()
    >>> ids = torch.tensor([[2, 7, 10, 11, 14, 3]])                    # [CLS] word [>] v0 v3 [SEP]
    >>> hidden_BTD = model.encode(ids, torch.tensor([[0, 0, 0, 1, 1, 1]]), torch.ones(1, 6, dtype=torch.bool))
    >>> model.text_logits(hidden_BTD, torch.tensor([[1]])).shape
    torch.Size([1, 1, 10])
    >>> model.video_logits(hidden_BTD, torch.tensor([[3, 4]])).shape
    torch.Size([1, 2, 4])
"""

import warnings
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

from minivbert.model.bert_weights import read_bert
from minivbert.model.transformer import Encoder, dropout, init_weights, rows


class VideoBERT(nn.Module):
    """The whole model; state_dict names follow the attributes below."""

    def __init__(self, config, seed=0):
        """Build and initialise. config: `ModelConfig`; seed: of the initial weights, N(0, init_std)."""
        super().__init__()
        self.config, c = config, config
        if c.positions not in ("row", "part"):
            raise ValueError(f"positions {c.positions!r}: choose 'row' or 'part'")
        self.token_table = nn.Embedding(c.text_vocab + 1 + c.visual_vocab, c.width)
        self.position_table = nn.Embedding(c.max_positions, c.width)
        self.type_table = nn.Embedding(2, c.width)
        self.norm = nn.LayerNorm(c.width, c.eps)
        self.encoder = Encoder(c.width, c.layers, c.heads, c.feed_forward, c.norm, c.dropout, c.eps)
        self.transform, self.transform_norm = nn.Linear(c.width, c.width), nn.LayerNorm(c.width, c.eps)
        self.bias = nn.Parameter(torch.zeros(c.text_vocab + 1 + c.visual_vocab))
        self.pooler, self.align = nn.Linear(c.width, c.width), nn.Linear(c.width, 1)
        init_weights(self, c.init_std, torch.Generator("cpu").manual_seed(seed))
        self.token_table.weight.requires_grad_(not c.frozen_embeddings)

    def encode(self, ids_BT, types_BT, keep_BT, taps=None, at_BR=None):
        """Run the encoder; return hidden states (B, T, D).

        ids, types (B, T) int64; keep (B, T) bool, False at padding; taps: as `Encoder`;
        at (B, R) int64: the positions wanted, if not all, which is faster and returns (B, R, D).
        Raises ValueError for inputs longer than the model's positions.
        """
        return self.encoder(self.embed(ids_BT, types_BT), keep_BT, taps, at_BR)

    def embed(self, ids_BT, types_BT):
        """Add up token, type and position rows and normalise: (B, T, D); ValueError for too long an input."""
        T = ids_BT.shape[1]
        if T > self.config.max_positions:
            raise ValueError(
                f"got {T} tokens, expected at most {self.config.max_positions} (max_positions); cut the input"
            )
        position_TD = self.position_table.weight[:T]
        if self.config.positions == "part":
            at_T = torch.arange(T, device=ids_BT.device)
            position_TD = self.position_table(torch.where(types_BT == 1, types_BT.cumsum(1) + 1, at_T))
        x_BTD = self.token_table(ids_BT) + self.type_table(types_BT) + position_TD
        return dropout(self.norm(x_BTD), self.config.dropout if self.training else 0.0)

    def text_logits(self, hidden_BTD, at_BM=None):
        """Score masked text positions at (B, M), or all, over text ids; return (B, M, Vt)."""
        return self._cloze(rows(hidden_BTD, at_BM), slice(0, self.config.text_vocab))

    def video_logits(self, hidden_BTD, at_BM=None):
        """Score masked video positions at (B, M), or all, over visual words; return (B, M, Vv)."""
        return self._cloze(rows(hidden_BTD, at_BM), slice(self.config.text_vocab + 1, None))

    def _cloze(self, hidden_BMD, span):
        f_BMD = self.transform_norm(F.gelu(self.transform(hidden_BMD)))
        return F.linear(f_BMD, self.token_table.weight[span], self.bias[span])

    def pooled(self, hidden_BTD):
        """Summarise an input by its first hidden state, [CLS]: BERT's pooler, (B, D)."""
        return torch.tanh(self.pooler(hidden_BTD[:, 0]))

    def align_logit(self, hidden_BTD):
        """Score text and video as aligned (> 0) or not (< 0): (B,)."""
        return self.align(self.pooled(hidden_BTD)).squeeze(-1)

    @torch.no_grad()
    def init_visual_rows(self, centroids_CF, used_C, generator):
        """Fill the visual rows of the table from cluster centroids (VideoBERT, section 4.3), in place.

        centroids (C, F) float with C = visual_vocab; used (C,) bool: clusters that hold any clip. generator:
        `torch.Generator`. Used centroids are centred on their mean, projected by a random matrix if F is not
        the width, and scaled by one number: so their geometry survives, and their standard deviation is that
        of the text rows. Unused rows are drawn at random. Raises ValueError if shapes do not fit.
        """
        c = self.config
        if centroids_CF.shape[0] != c.visual_vocab or used_C.shape != (c.visual_vocab,):
            raise ValueError(
                f"got centroids {tuple(centroids_CF.shape)} and used {tuple(used_C.shape)}, "
                f"expected {c.visual_vocab} of each; use the tree that made the corpus"
            )
        std = self.token_table.weight[: c.text_vocab].std().item()
        rows_VD = self.token_table.weight[c.text_vocab + 1 :].normal_(0.0, std, generator=generator)
        seen_UF = centroids_CF[used_C].double()
        new_UD = seen_UF - seen_UF.mean(0)
        if new_UD.shape[1] != c.width:
            shape = new_UD.shape[1], c.width
            new_UD = new_UD @ torch.randn(shape, generator=generator, dtype=torch.float64)
        if new_UD.any():
            rows_VD[used_C] = (new_UD * std / new_UD.square().mean().sqrt()).to(rows_VD)

    @classmethod
    def from_bert(cls, folder, visual_vocab, centroids=None, used=None, seed=0, frozen_embeddings=False):
        """Build a VideoBERT on a pretrained BERT: its text rows, blocks, heads; new `[>]` and visual rows.

        folder: see `bert_weights`; centroids (C, F), used (C,) bool or None for all: see `init_visual_rows`;
        seed: of what is new. Warns, in one line, of heads that the file lacks and that therefore start at
        random. Raises ValueError as `read_bert`.
        """
        config, state, absent = read_bert(folder, visual_vocab)
        model = cls(replace(config, frozen_embeddings=frozen_embeddings), seed)
        ours = model.state_dict()
        for name, tensor in state.items():
            own = ours[name][: config.text_vocab] if name in ("token_table.weight", "bias") else ours[name]
            if own.shape != tensor.shape:
                raise ValueError(
                    f"{folder}: {name} has shape {tuple(tensor.shape)}, config.json says {tuple(own.shape)}; "
                    "the two files are of different models"
                )
            own.copy_(tensor)
        if absent:
            heads = ", ".join(sorted({name.split(".")[0] for name in absent}))
            warnings.warn(f"{folder}: has no weights for {heads}; they start at random", stacklevel=2)
        if centroids is not None:
            used = torch.ones(len(centroids), dtype=torch.bool) if used is None else used
            model.init_visual_rows(centroids, used, torch.Generator("cpu").manual_seed(seed))
        return model
