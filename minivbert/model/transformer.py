"""The transformer: attention, feed-forward, block, encoder, decoder, for VideoBERT, ViT and captions alike.

Vaswani et al. 2017, sections 3.1 to 3.3; BERT is the post-norm encoder, ViT the pre-norm one.

    attention     softmax(q k' / sqrt(K) + mask) v, for H heads side by side
    feed-forward  gelu(x W1 + b1) W2 + b2, with the exact (erf) gelu
    post-norm     x <- LN(x + f(x))               BERT, Vaswani et al.
    pre-norm      x <- x + f(LN(x)), one more LN at the end     ViT

Axes: B rows, T tokens (queries), S tokens (keys), R positions wanted, D width, E = 1 to 3 D, H heads, K head
width, P parts (queries, keys, values).

Differs from, or not stated in, the paper: queries, keys, values come from one matrix, in this order.

    >>> encoder = Encoder(width=8, layers=2, heads=2, feed_forward=16)
    >>> encoder(torch.randn(3, 5, 8), keep_BS=torch.ones(3, 5, dtype=torch.bool)).shape
    torch.Size([3, 5, 8])
"""

import torch
import torch.nn.functional as F
from torch import nn

LONG = 96  # queries from which on the fused kernel is faster in training on a CPU, as measured


def mask_from_keep(keep_BS, dtype):
    """Turn keep (B, S) bool into the mask (B, 1, 1, S) added to scores: 0 for a token, -inf for padding."""
    zero_BS = torch.zeros(keep_BS.shape, dtype=dtype, device=keep_BS.device)
    return zero_BS.masked_fill(~keep_BS, -torch.inf)[:, None, None]


def causal_mask(T, dtype, device, past=0):
    """Make the mask (T, past + T) under which a token sees itself and what stands before it.

    >>> causal_mask(2, torch.float32, "cpu")
    tensor([[0., -inf],
            [0., 0.]])
    """
    return torch.full((T, past + T), -torch.inf, dtype=dtype, device=device).triu(1 + past)


def rows(x_BTD, at_BR):
    """Pick positions at (B, R) int64 out of x (B, T, D): (B, R, D); at None picks all.

    >>> rows(torch.tensor([[[0.0], [10.0], [20.0]]]), torch.tensor([[2, 2, 0]])).flatten()
    tensor([20., 20.,  0.])
    """
    return x_BTD if at_BR is None else x_BTD.gather(1, at_BR[..., None].expand(-1, -1, x_BTD.shape[-1]))


def dropout(x, rate):
    """Zero each number of x with probability `rate`, scale the others by 1 / (1 - rate); rate 0: x itself.

    On a CPU torch's own dropout takes one random draw a number, and that is a large part of a training step.
    Here a 64-bit draw serves four numbers, 16 bits each: the rate is exact to 1 / 65,536.
    """
    if not rate:
        return x
    if not x.is_cpu:
        return F.dropout(x, rate)
    n, dropped = x.numel(), round(rate * 2**16)
    draws = torch.empty(-(-n // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    keep = torch.empty(x.shape, dtype=x.dtype)
    torch.ge(draws[:n].view(x.shape), dropped - 2**15, out=keep)
    return x * keep.mul_(2**16 / (2**16 - dropped))


def count_parameters(module):
    """Count the numbers in the parameters of a module and of all within it, frozen ones too: int.

    A tensor that two layers share counts once; buffers, which no training moves, do not count.

    >>> count_parameters(nn.Linear(3, 2))                       # 3 x 2 weights, 2 biases
    8
    """
    return sum(parameter.numel() for parameter in module.parameters())


def split_heads(x_BTE, heads, K):
    """Cut the last axis into parts of width heads K, each part into heads: (P, B, H, T, K), where P = E / (heads K).

    x (B, T, E): for each token its parts one after the other, and within a part its heads one after the other.

    >>> split_heads(torch.arange(8).reshape(1, 1, 8), heads=2, K=2).flatten(1)       # queries, then keys
    tensor([[0, 1, 2, 3],
            [4, 5, 6, 7]])
    """
    x_BTPHK = x_BTE.unflatten(-1, (-1, heads, K))
    return x_BTPHK.permute(2, 0, 3, 1, 4).contiguous()


def attention(q_BHTK, k_BHSK, v_BHSK, mask=None, rate=0.0):
    """Let every query gather the values, each weighted by how well its key fits: softmax(q k' / sqrt(K) + mask) v.

    q (B, H, T, K), k and v (B, H, S, K) float. mask: added to the scores, broadcast to (B, H, T, S), 0 for a key that is seen
    and -inf for one that is not, or None. rate: of the `dropout` of the weights.
    Returns what was gathered, (B, H, T, K), and the weights before dropout, (B, H, T, S), whose rows sum to 1.
    Source: Vaswani et al. 2017, equation 1.
    """
    scores_BHTS = q_BHTK * q_BHTK.shape[-1] ** -0.5 @ k_BHSK.mT
    if mask is not None:
        scores_BHTS = scores_BHTS + mask.to(scores_BHTS.dtype)
    weights_BHTS = scores_BHTS.softmax(-1)
    return dropout(weights_BHTS, rate) @ v_BHSK, weights_BHTS


class Attention(nn.Module):
    """Let every token gather from the tokens of its own sequence, or from those of another one."""

    def __init__(self, width, heads, dropout=0.0):
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of heads {heads}; choose heads that divide it")
        self.heads, self.dropout = heads, dropout
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x_BTD, mask=None, memory_BSD=None, taps=None, name="attention", cache=None):
        """Attend from x (B, T, D) to itself, or to memory (B, S, D); return (B, T, D).

        mask: added to the scores, broadcast to (B, H, T, S), or None.
        taps: dict that gets {name: weights (B, H, T, S)}. cache: dict that keeps {name: (keys, values)}, each
        (B, H, S, K); those of x are put behind those of the calls before, those of memory are made once.
        """
        B, T, D = x_BTD.shape
        if memory_BSD is None:
            q_BHTK, k_BHSK, v_BHSK = self._heads(self.qkv(x_BTD))
            if cache is not None and name in cache:
                k_BHSK, v_BHSK = (torch.cat(pair, 2) for pair in zip(cache[name], (k_BHSK, v_BHSK)))
        else:
            (q_BHTK,) = self._heads(F.linear(x_BTD, self.qkv.weight[:D], self.qkv.bias[:D]))
            if cache is not None and name in cache:
                k_BHSK, v_BHSK = cache[name]
            else:
                k_BHSK, v_BHSK = self._heads(F.linear(memory_BSD, self.qkv.weight[D:], self.qkv.bias[D:]))
        if cache is not None:
            cache[name] = k_BHSK, v_BHSK
        rate = self.dropout if self.training else 0.0
        # a CPU trains faster without the fused kernel, most of all in bfloat16, but for long rows without dropout
        long = T >= LONG and not rate and q_BHTK.dtype != torch.bfloat16
        if taps is None and (long or not (self.training and x_BTD.is_cpu)):
            out_BHTK = F.scaled_dot_product_attention(q_BHTK, k_BHSK, v_BHSK, mask, dropout_p=rate)
        else:
            out_BHTK, weights_BHTS = attention(q_BHTK, k_BHSK, v_BHSK, mask, rate)
            if taps is not None:
                taps[name] = weights_BHTS.detach()
        return self.proj(out_BHTK.transpose(1, 2).reshape(B, T, D))

    def _heads(self, x_BTE):
        return split_heads(x_BTE, self.heads, self.proj.in_features // self.heads)


class FeedForward(nn.Module):
    """Transform every token by itself."""

    def __init__(self, width, feed_forward):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, feed_forward), nn.Linear(feed_forward, width)

    def forward(self, x_BTD):
        """Map (B, T, D) to (B, T, D)."""
        return self.fc2(F.gelu(self.fc1(x_BTD)))


class Block(nn.Module):
    """One layer: self-attention, cross-attention if asked for, feed-forward; each with residual and norm."""

    def __init__(self, width, heads, feed_forward, norm="post", dropout=0.0, eps=1e-12, cross=False):
        super().__init__()
        if norm not in ("post", "pre"):
            raise ValueError(f"norm {norm!r}: expected 'post' (BERT) or 'pre' (ViT)")
        self.norm, self.dropout = norm, dropout
        self.attn, self.norm1 = Attention(width, heads, dropout), nn.LayerNorm(width, eps)
        if cross:
            self.cross, self.norm_cross = Attention(width, heads, dropout), nn.LayerNorm(width, eps)
        self.mlp, self.norm2 = FeedForward(width, feed_forward), nn.LayerNorm(width, eps)

    def forward(
        self, x_BTD, mask=None, memory_BSD=None, memory_mask=None, taps=None, name="", at_BR=None, cache=None
    ):
        """Map x (B, T, D) to (B, T, D), or to (B, R, D) if only the positions at (B, R) are wanted.

        Masks and cache as in `Attention`. taps, cache: get {name}self and {name}cross.
        """

        def look_around(y_BTD):
            memory_BTD = None if at_BR is None else y_BTD
            return self.attn(rows(y_BTD, at_BR), mask, memory_BTD, taps, name + "self", cache)

        def look_at_memory(y_BTD):
            return self.cross(y_BTD, memory_mask, memory_BSD, taps, name + "cross", cache)

        x_BRD = self._add(x_BTD, self.norm1, look_around, at_BR)
        if memory_BSD is not None:
            x_BRD = self._add(x_BRD, self.norm_cross, look_at_memory)
        return self._add(x_BRD, self.norm2, self.mlp)

    def _add(self, x_BTD, norm, f, at_BR=None):
        rate = self.dropout if self.training else 0.0
        if self.norm == "post":
            return norm(rows(x_BTD, at_BR) + dropout(f(x_BTD), rate))
        return rows(x_BTD, at_BR) + dropout(f(norm(x_BTD)), rate)


class Encoder(nn.Module):
    """Blocks in a row, every token seeing every other."""

    def __init__(self, width, layers, heads, feed_forward, norm="post", dropout=0.0, eps=1e-12):
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(width, heads, feed_forward, norm, dropout, eps) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width, eps) if norm == "pre" else nn.Identity()
        self.recompute = None  # a function that calls (block, *its arguments) and keeps no activations, see `device`

    def forward(self, x_BTD, keep_BS=None, taps=None, at_BR=None):
        """Map x (B, T, D) to (B, T, D). keep (B, T) bool: False at padding, which nobody sees.

        taps: dict that gets the attention weights (B, H, T, T) of block i as "i.self". at (B, R) int64: the
        positions wanted, if not all; the output is (B, R, D), and the last block, which nobody looks at from
        elsewhere, computes no others.
        """
        mask = None if keep_BS is None else mask_from_keep(keep_BS, x_BTD.dtype)
        last = len(self.blocks) - 1
        for i, block in enumerate(self.blocks):
            given = x_BTD, mask, None, None, taps, f"{i}.", at_BR if i == last else None
            x_BTD = self.recompute(block, *given) if self.recompute else block(*given)
        return self.norm(x_BTD)


class Decoder(nn.Module):
    """Blocks in a row, every token seeing itself, the tokens before it, and all of a memory."""

    def __init__(self, width, layers, heads, feed_forward, norm="post", dropout=0.0, eps=1e-12):
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(width, heads, feed_forward, norm, dropout, eps, cross=True) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width, eps) if norm == "pre" else nn.Identity()

    def forward(self, x_BTD, memory_BSD, keep_BS=None, taps=None, cache=None):
        """Map x (B, T, D) to (B, T, D), looking at memory (B, S, D), an encoder's output.

        keep (B, S) bool: False at the memory's padding. Padding in x stands at the end, where nothing that
        counts sees it. taps: as in `Encoder`, and "i.cross". cache: a dict, empty at first, so that x need hold
        no more than the tokens after those of the calls before; keys as in taps, see `Attention`.
        """
        past = cache["0.self"][0].shape[2] if cache else 0
        mask = causal_mask(x_BTD.shape[1], x_BTD.dtype, x_BTD.device, past)
        memory_mask = None if keep_BS is None else mask_from_keep(keep_BS, x_BTD.dtype)
        for i, block in enumerate(self.blocks):
            x_BTD = block(x_BTD, mask, memory_BSD, memory_mask, taps, f"{i}.", cache=cache)
        return self.norm(x_BTD)


@torch.no_grad()
def init_weights(module, std, generator):
    """Fill a module in place, as BERT does: matrices and tables N(0, std), biases 0, LayerNorms identity."""
    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.Embedding)):
            part.weight.normal_(0.0, std, generator=generator)
        if isinstance(part, nn.LayerNorm):
            part.weight.fill_(1.0)
        if isinstance(part, (nn.Linear, nn.LayerNorm)) and part.bias is not None:
            part.bias.zero_()
