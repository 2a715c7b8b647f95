"""Losses are sums over masked positions divided by the counts of the whole step."""
import math

import torch

from minivbert.pretraining import objective
from minivbert.pretraining.inputs import Batch


def batch(regime="video-text", **kw):
    none = torch.zeros(2, 0, dtype=torch.long)
    fields = dict(ids=None, types=None, keep=None, text_at=none, text_label=none, text_weight=none.float(), video_at=none,
                  video_label=none, video_weight=none.float(), aligned=None, regime=regime)
    return Batch(**(fields | kw))


def test_cloze_by_hand():
    logits = torch.tensor([[[0.0, math.log(3.0)], [5.0, 0.0]]], requires_grad=True)      # p = 1/4, 3/4
    part = objective.cloze(logits, torch.tensor([[0, 1]]), torch.tensor([[1.0, 0.0]]))
    assert math.isclose(part.nats.item(), math.log(4.0), rel_tol=1e-6)
    assert part.count.item() == 1 and part.correct.item() == 0
    part.nats.backward()
    assert logits.grad[0, 1].abs().sum() == 0          # a slot of weight 0 teaches nothing
    assert torch.allclose(logits.grad[0, 0], torch.tensor([-0.75, 0.75]))


def test_alignment_by_hand():
    part = objective.alignment(torch.tensor([2.0, 2.0]), torch.tensor([1.0, 0.0]))
    assert math.isclose(part.nats.item(), math.log(1 + math.exp(-2)) + math.log(1 + math.exp(2)), rel_tol=1e-6)
    assert part.correct.item() == 1 and part.count.item() == 2


def test_counts_go_over_all_batches_of_the_step():
    one = batch(text_weight=torch.tensor([[1.0, 0.0], [1.0, 1.0]]), aligned=torch.ones(2))
    two = batch(text_weight=torch.tensor([[1.0, 0.0], [0.0, 0.0]]), aligned=torch.ones(3))
    total = objective.counts([one, two, batch("text", text_weight=torch.ones(2, 2))])
    assert total["video-text", "text"] == 4 and total["video-text", "alignment"] == 5 and total["text", "text"] == 4


def test_the_weighted_sum():
    part = lambda nats: objective.Part(torch.tensor(nats), torch.tensor(2.0), torch.tensor(0.0))
    total = {("video-text", "text"): 4.0, ("video-text", "video"): 2.0}
    loss = objective.weighted_loss({"text": part(6.0), "video": part(5.0)}, "video-text", total, {"video-text": 0.5})
    assert loss.item() == 0.5 * (6.0 / 4 + 5.0 / 2)
