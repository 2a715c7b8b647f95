"""Time an optimizer step of VideoBERT and of Hugging Face's BERT: python benchmarks/train_step.py

The same batch, the same shape, the same AdamW, dropout 0.1 and precision on both sides, in one process,
taking turns; what is compared is the median of the steps. VideoBERT's loss: cloze over text and over video
plus alignment, logits at masked positions over the token's own modality. BERT's: masked-LM over the joint
vocabulary plus next sentence, sdpa attention, as the library computes it. Use: useful FLOP (3 x forward, only
what the loss needs) a second, over what a 1024 x 1024 matrix product reaches on this machine in the same
precision and in the same turns. The ratio grows with the vocabulary, for BERT scores every position over all
of it.

The last line is one JSON object {"bars": {name: [figure, bar]}}.
"""

import argparse
import json
import time
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from transformers import BertConfig, BertForPreTraining

from minivbert.config import PRESETS, ModelConfig, TrainConfig
from minivbert.model.videobert import VideoBERT
from minivbert.pretraining import objective
from minivbert.pretraining.inputs import Batch

BERT = dict(norm="post", dropout=0.1, eps=1e-12, frozen_embeddings=False)
TINY = replace(PRESETS["tiny"].model, text_vocab=300, visual_vocab=6**3, **BERT)  # words as in the sample
MIDDLE = ModelConfig(256, 4, 4, 1024, text_vocab=4_000, visual_vocab=12**3, max_positions=128, **BERT)
PAPER_VOCABULARY = replace(MIDDLE, text_vocab=30_522, visual_vocab=12**4 - 1)  # 51,258 rows with [>]
SHAPES = {
    "tiny": (TINY, 64, 40),
    "4x256": (MIDDLE, 32, 128),
    "4x256, 51,258 words": (PAPER_VOCABULARY, 16, 128),
}
SPEED_BARS = {"tiny": 1.8, "4x256": 1.9, "4x256, 51,258 words": 4.0}
USE_BARS = {"tiny": 0.55, "4x256": 0.70}
MASK, RATE = 4, 0.15


def make_batch(config, B, T, seed=0):
    """Draw a video-text batch: half text, half video, up to 3 positions of padding, 15 % masked."""
    rng = np.random.default_rng(seed)
    cut, at_T = T // 2, np.arange(T)
    keep = at_T < T - rng.integers(4, size=B)[:, None]
    types = np.broadcast_to(at_T >= cut, (B, T)).astype(int)
    ids = np.where(
        types,
        rng.integers(config.text_vocab + 1, config.text_vocab + 1 + config.visual_vocab, size=(B, T)),
        rng.integers(5, config.text_vocab, size=(B, T)),
    )
    ids[:, cut - 1] = config.text_vocab
    fields, M = {}, round(RATE * cut)
    for name, low, high, first in (("text", 1, cut - 1, 0), ("video", cut, T - 4, config.text_vocab + 1)):
        at = low + rng.permuted(np.broadcast_to(np.arange(high - low), (B, high - low)), axis=1)[:, :M]
        fields |= {
            f"{name}_at": at,
            f"{name}_label": np.take_along_axis(ids, at, 1) - first,
            f"{name}_weight": np.ones((B, M), np.float32),
        }
        np.put_along_axis(ids, at, MASK, 1)
    fields |= {
        "ids": ids * keep,
        "types": types,
        "keep": keep,
        "aligned": rng.integers(2, size=B).astype(np.float32),
    }
    return Batch(
        **{name: torch.from_numpy(np.ascontiguousarray(x)) for name, x in fields.items()}, regime="video-text"
    )


def optimizer_of(model):
    """AdamW as minivbert.train uses it, for either model."""
    return torch.optim.AdamW(model.parameters(), lr=TrainConfig.lr / 10, fused=True)


def our_step(config, batch, autocast):
    """Return a function that takes one step of VideoBERT and returns its loss."""
    model = VideoBERT(config).train()
    optimizer, total = optimizer_of(model), objective.counts([batch])

    def step():
        with autocast():
            parts = objective.forward(model, batch)
            loss = objective.weighted_loss(parts, batch.regime, total, {batch.regime: 1.0})
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss

    return step


def their_step(c, batch, autocast):
    """Return a function that takes one step of BertForPreTraining and returns its loss."""
    model = BertForPreTraining(
        BertConfig(
            vocab_size=c.text_vocab + 1 + c.visual_vocab,
            hidden_size=c.width,
            num_hidden_layers=c.layers,
            num_attention_heads=c.heads,
            intermediate_size=c.feed_forward,
            max_position_embeddings=c.max_positions,
            hidden_dropout_prob=c.dropout,
            attention_probs_dropout_prob=c.dropout,
            attn_implementation="sdpa",
        )
    ).train()
    optimizer, labels = optimizer_of(model), torch.full_like(batch.ids, -100)
    labels.scatter_(1, batch.text_at, batch.text_label)
    labels.scatter_(1, batch.video_at, batch.video_label + c.text_vocab + 1)
    given = dict(
        input_ids=batch.ids,
        token_type_ids=batch.types,
        attention_mask=batch.keep.long(),
        labels=labels,
        next_sentence_label=batch.aligned.long(),
    )

    def step():
        with autocast():
            loss = model(**given).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss

    return step


def matmul_step(dtype):
    """Return a function that multiplies two 1024 x 1024 matrices: 2 x 1024^3 FLOP."""
    a, b = (torch.randn(1024, 1024, dtype=dtype) for _ in range(2))
    return lambda: a @ b


def useful_flop(c, batch):
    """Count the multiplications and additions of a step that the loss needs, forward and backward.

    Padding needs none. In the last block all but keys and values is needed at [CLS] and masked positions
    only.
    """
    length, read = batch.keep.sum(1), 1 + batch.text_weight.sum(1) + batch.video_weight.sum(1)
    flop = 0
    for layer in range(c.layers):
        query = length if layer < c.layers - 1 else read
        keys_and_values, the_rest = length * 4 * c.width**2, query * 4 * c.width * (c.width + c.feed_forward)
        flop += (keys_and_values + the_rest + query * 4 * length * c.width).sum().item()
    for weight, V in ((batch.text_weight, c.text_vocab), (batch.video_weight, c.visual_vocab)):
        flop += weight.sum().item() * 2 * (c.width**2 + c.width * V)
    return 3 * (flop + len(batch.ids) * 2 * c.width**2)


def take_turns(steps, seconds):
    """Time functions in turns for so many seconds; return the median of each [s] after two turns."""
    times, end = [], time.perf_counter() + seconds
    while len(times) < 7 or time.perf_counter() < end:
        turn = []
        for step in steps:
            start = time.perf_counter()
            step()
            turn.append(time.perf_counter() - start)
        times.append(turn)
    return np.median(times[2:], axis=0)


def main():
    """Run all shapes in both precisions and print a table and the bars."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=20, help="seconds a shape and precision")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads")
    parser.add_argument("--only", help="shapes whose name begins so")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    bars = {}
    print(f"{options.threads} threads")
    print(f"{'shape':<22}{'words':>6}  {'precision':<9}{'our ms':>9}{'their ms':>12}{'ratio':>7}{'use':>6}")
    for shape, (config, B, T) in SHAPES.items():
        if options.only and not shape.startswith(options.only):
            continue
        batch, words = make_batch(config, B, T), config.text_vocab + 1 + config.visual_vocab
        for precision, dtype in (("float32", torch.float32), ("bf16", torch.bfloat16)):
            autocast = partial(torch.autocast, "cpu", torch.bfloat16, enabled=precision == "bf16")
            steps = our_step(config, batch, autocast), their_step(config, batch, autocast), matmul_step(dtype)
            ours, theirs, matmul = take_turns(steps, options.seconds)
            ratio, use = theirs / ours, useful_flop(config, batch) / ours / (2 * 1024**3 / matmul)
            times = f"{ours * 1e3:>9.1f}{theirs * 1e3:>12.1f}{ratio:>7.2f}{use:>6.2f}"
            print(f"{shape:<22}{words:>6}  {precision:<9}{times}", flush=True)
            bars[f"step vs Hugging Face, {shape}, {precision}"] = [round(ratio, 3), SPEED_BARS[shape]]
            if shape in USE_BARS:
                bars[f"share of matmul speed, {shape}, {precision}"] = [round(use, 3), USE_BARS[shape]]
    print(json.dumps({"bars": bars}))


if __name__ == "__main__":
    main()
