"""Three losses and their weighted sum: cloze on text, cloze on video, linguistic-visual alignment, over three regimes.

VideoBERT, sections 3.1 to 3.3. With a masked position's hidden state h and W the rows of the token table,

    cloze      -log softmax(W f(h) + b)[token]     text tokens are scored over text ids, visual tokens over visual words
    alignment  -log sigmoid(+-a), a from [CLS]     + for true pairs, - for false ones
    loss       = sum over regimes r of weight_r * (text_r + video_r + alignment_r)

Each part is a *sum* over masked positions (or rows) divided by their *count over the whole step*, never a mean of means: one
batch of 8 and four accumulated batches of 2 give the same gradient.

Not stated in the paper, our choice: the weights (1 each); false pairs take part in the cloze, as they do in BERT.
"""
from dataclasses import dataclass

import torch
import torch.nn.functional as F

PARTS = ("text", "video", "alignment")


@dataclass
class Part:
    """One loss over one batch: summed nats, the count that they are summed over, how many answers were right."""
    nats: torch.Tensor
    count: torch.Tensor
    correct: torch.Tensor


def cloze(logits_BMV, label_BM, weight_BM):
    """Sum the cross-entropy of masked positions; slots of weight 0 count for nothing.

    logits (B, M, V) float; label (B, M) int64: the token that stood there; weight (B, M) float: 1, or 0 in unused slots.
    Returns a `Part`: the sum in nats, with its gradient; the sum of the weights; how many likeliest tokens are the label.

    >>> part = cloze(torch.zeros(1, 2, 4), torch.tensor([[1, 3]]), torch.tensor([[1.0, 0.0]]))
    >>> round(part.nats.item(), 4), part.count.item()          # ln 4, one position
    (1.3863, 1.0)
    """
    nll = F.cross_entropy(logits_BMV.flatten(0, 1).float(), label_BM.flatten(), reduction="none")
    weight = weight_BM.flatten()
    right = logits_BMV.detach().flatten(0, 1).argmax(1) == label_BM.flatten()
    return Part((nll * weight).sum(), weight.sum(), (right * weight).sum())


def alignment(logit_B, aligned_B):
    """Sum the binary cross-entropy of true (1) and false (0) pairs.

    >>> part = alignment(torch.tensor([0.0, 3.0]), torch.tensor([1.0, 1.0]))
    >>> part.count.item(), part.correct.item()                 # a tie is no answer
    (2, 1)
    """
    nll = F.binary_cross_entropy_with_logits(logit_B.float(), aligned_B, reduction="sum")
    right = (logit_B.detach() > 0) & (aligned_B == 1) | (logit_B.detach() < 0) & (aligned_B == 0)
    return Part(nll, torch.tensor(len(aligned_B), device=nll.device), right.sum())


def forward(model, batch):
    """Run the model on a batch; return {part name: `Part`} for the parts that the regime has.

    Only [CLS] and the masked positions are asked for, so the last block computes no others.
    """
    M = batch.text_at.shape[1]
    at_BR = torch.cat([torch.zeros_like(batch.ids[:, :1]), batch.text_at, batch.video_at], 1)
    hidden_BRD = model.encode(batch.ids, batch.types, batch.keep, at_BR=at_BR)
    parts = {}
    if M:
        parts["text"] = cloze(model.text_logits(hidden_BRD[:, 1:1 + M]), batch.text_label, batch.text_weight)
    if batch.video_at.shape[1]:
        parts["video"] = cloze(model.video_logits(hidden_BRD[:, 1 + M:]), batch.video_label, batch.video_weight)
    if batch.aligned is not None:
        parts["alignment"] = alignment(model.align_logit(hidden_BRD), batch.aligned)
    return parts


def counts(batches):
    """Count what the losses of a step are divided by: {(regime, part): count}, known before any forward pass."""
    total = {}
    for batch in batches:
        for part, count in (("text", batch.text_weight.sum()), ("video", batch.video_weight.sum()),
                            ("alignment", 0 if batch.aligned is None else len(batch.aligned))):
            total[batch.regime, part] = total.get((batch.regime, part), 0.0) + float(count)
    return total


def weighted_loss(parts, regime, total, weights):
    """Weigh the parts of one batch: sum of nats / count of the step, times the weight of the regime.

    parts: {name: `Part`} of one batch; regime: its name; total: {(regime, name): count over the whole step}, from `counts`, where a
    count below 1 is taken for 1; weights: {regime: float}. Returns a number with its gradient.
    """
    return weights[regime] * sum(part.nats / max(total[regime, name], 1.0) for name, part in parts.items())
