"""Beam search: the likeliest sentences under a model that says, token by token, what may come next.

    score(w_1 .. w_n) = log p(w_1) + log p(w_2 | w_1) + ... + log p(w_n | w_1 .. w_(n-1)),      w_n = end

There are V^n sentences and no time to score them all. So K are kept: at each step every one of them is continued by every token,
and of these K V continuations (with the ended ones, which stay as they are) the K best are kept. K = 1 is the greedy search; a K
as large as the number of sentences is the exhaustive one. Rows are searched side by side, as one batch of B K sentences.

A sentence's past does not change when a token is added, so its keys and values are kept (`cache` of `model/transformer.py`); when the
beam drops one sentence and continues another twice, their rows are picked anew. `step` does so by the `parent` that it is told.

Axes: B rows, K kept sentences of a row, N = B K, V tokens, T tokens of a sentence.

Differs from, or not stated in, the paper: it searches with a beam, width not stated. No length bonus: sentences compete by probability.

    >>> table = torch.tensor([[0.1, 0.5, 0.4], [0.0, 0.1, 0.9], [0.6, 0.4, 0.0]]).log()      # p(next | last); 2 begins and ends
    >>> bigram = lambda token_N, parent_N, state: (table[token_N], state)
    >>> tokens, score = beam_search(bigram, rows=1, beam=2, start=2, end=2, most=4)
    >>> tokens.tolist(), [round(p, 2) for p in score[0].exp().tolist()]                      # greedy finds the second only
    ([[[1, 2, 2], [0, 1, 2]]], [0.36, 0.27])
"""
import torch


@torch.no_grad()
def beam_search(step, rows, beam, start, end, most, device="cpu"):
    """Find the best sentences of each row.

    step: (token (N,) int64, parent (N,) int64, state) -> (log p (N, V), state): append token i to the sentence `parent[i]` of the call
    before and say what may follow; at first N = rows, every token is `start`, parent[i] = i, state is None.
    rows B; beam K; start, end: ids; most: tokens of the longest sentence, its end included.
    Returns tokens (B, K', T) int64, best first, filled up with `end`, and score (B, K') float [nats]; K' <= K, T <= most; score -inf
    where there are fewer sentences than that.
    """
    token_N, parent_N = torch.full((rows,), start, device=device), torch.arange(rows, device=device)
    tokens_BKT, score_BK = torch.empty(rows, 1, 0, dtype=torch.int64, device=device), torch.zeros(rows, 1, device=device)
    ended_BK, state = torch.zeros_like(score_BK, dtype=torch.bool), None
    for t in range(most):
        log_p_NV, state = step(token_N, parent_N, state)
        K, V = score_BK.shape[1], log_p_NV.shape[1]
        after_BKV = log_p_NV.view(rows, K, V).clone()
        other_V = torch.arange(V, device=device) != end
        after_BKV[ended_BK] = torch.where(other_V, -torch.inf, 0.0).to(after_BKV)       # only its end follows the end, for nothing
        if t == most - 1:
            after_BKV[:, :, other_V] = -torch.inf
        score_BK, best_BK = (score_BK[:, :, None] + after_BKV).flatten(1).topk(min(beam, K * V))
        parent_BK, token_BK = best_BK // V, best_BK % V
        tokens_BKT = torch.cat([tokens_BKT.gather(1, parent_BK[..., None].expand(-1, -1, t)), token_BK[..., None]], 2)
        ended_BK = token_BK == end
        if ended_BK.all():
            break
        token_N, parent_N = token_BK.flatten(), (parent_BK + K * torch.arange(rows, device=device)[:, None]).flatten()
    return tokens_BKT, score_BK
