"""Train VideoBERT with a student's functions in the place of the package's, and see what its losses make of them.

The small model learns from the sample corpus for some seconds with the student's functions and then, for as many steps, with the package's.
Both are scored on held-out videos whose inputs and losses are the package's, so that an answer cannot make its own examination easier.
Right answers give the same losses (but for other random draws, or sums in another order); a known mistake shows what it costs.

K-means: the corpus' 225 visual words are clustered again, to a tree of 6^2, in both runs, each with its own k-means. Where the student's words
differ from the reference's, the losses of video are of other words and cannot be compared; those of text and alignment can.
"""
import time
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from minivbert.config import PRESETS
from minivbert.model import transformer
from minivbert.pretraining import alignment, inputs, objective
from minivbert.pretraining.inputs import Batches
from minivbert.tokens import hkmeans, kmeans
from minivbert.train import add_up, build_model, build_optimizers, figures, held_out_batches, rows_of, train_step

MODEL = ("split_heads", "attention", "layer_norm")               # what the model is made of, at examinations too
CLUSTERING = ("assign_clusters", "kmeans_step")
PLACES = {"split_heads": (transformer, "split_heads"), "attention": (transformer, "attention"), "layer_norm": (nn.LayerNorm, "forward"),
          "assign_clusters": (kmeans, "assign_clusters"), "kmeans_step": (kmeans, "kmeans_step"),
          "join_text_video": (inputs, "join_text_video"), "mask_tokens": (inputs, "mask"), "alignment_pairs": (alignment, "alignment_pairs"),
          "masked_lm_loss": (objective, "cloze"), "pretraining_loss": (objective, "weighted_loss")}
EVERY = 50                    # steps between looks at the held-out videos
BRANCHES = 6                  # visual words of the clustering anew: a tree of 6^2


@contextmanager
def installed(functions):
    """Put functions {exercise name: function} into the package's places, and take them out again."""
    before = {name: getattr(*PLACES[name]) for name in functions}
    try:
        for name, function in functions.items():
            setattr(*PLACES[name], norm_method(function) if name == "layer_norm" else function)
        yield
    finally:
        for name, function in before.items():
            setattr(*PLACES[name], function)


def norm_method(layer_norm):
    """Turn a `layer_norm` function into the method of `torch.nn.LayerNorm`."""
    return lambda self, x_BTD: layer_norm(x_BTD, self.weight, self.bias, self.eps)


def cluster_anew(corpus, functions):
    """Give the corpus with its visual words clustered to BRANCHES^2, by a student's k-means or (functions {}) the package's."""
    tree = hkmeans.Tree.load(corpus.folder / "tree.npz")
    with installed({name: functions[name] for name in CLUSTERING if name in functions}):
        small = hkmeans.fit(tree.leaf_centroids[tree.leaf_used], BRANCHES, 2, np.random.default_rng(0))
        word_C = small.encode(tree.leaf_centroids)
    return replace(corpus, visual=word_C[corpus.visual].astype(np.uint16), meta=corpus.meta | {"visual_words": BRANCHES ** 2})


def small_config(seed):
    """Make the configuration of both runs: `tiny` with fewer rows, so that a step is short."""
    tiny = PRESETS["tiny"]
    return replace(tiny, inputs=replace(tiny.inputs, rows=(8, 24, 48)),
                   train=replace(tiny.train, seed=seed, centroids=False, precision="float32", warmup=0.0, eval_batches=2))


def train_with(functions, corpus, config, seconds=None, steps=None, label=""):
    """Train with functions installed, for some seconds or steps: [(step, {"text_nats", "video_nats", "alignment_nats"} of held-out videos)]."""
    held = held_out_batches(config, corpus)
    model = build_model(config, corpus).train()
    optimizers = build_optimizers(model, config.train)
    rows, begun, step = [(0, examine(model, held, functions))], time.time(), 0
    bar = tqdm(total=seconds or steps, desc=label, unit="s" if seconds else "step", dynamic_ncols=True, leave=False, bar_format="{l_bar}{bar}")
    with installed(functions):
        stream = Batches(corpus, corpus.split()[0], config.inputs, config.train.seed)
        while step < (steps or 1) or (not steps and time.time() - begun < seconds):          # one step at least
            train_step(model, optimizers, [stream.get(regime, step) for regime in stream.regimes()], min(1.0, (step + 1) / 50), config.train)
            step += 1
            bar.update(min(time.time() - begun if seconds else step, bar.total) - bar.n)
            if step % EVERY == 0:
                rows.append((step, examine(model, held, functions)))
    bar.close()
    return rows if rows[-1][0] == step else [*rows, (step, examine(model, held, functions))]


@torch.no_grad()
def examine(model, held, functions):
    """Score a model that contains a student's functions on batches and with losses that do not: {"text_nats": nats, ...}."""
    plain = {name: original for name, original in ORIGINALS.items() if name not in MODEL}
    with installed(plain | {name: functions[name] for name in MODEL if name in functions}):
        # in training mode: in evaluation mode a fused kernel stands in for `attention`
        seen = add_up([rows_of(batch.regime, objective.forward(model, batch)) for batch in held])
    return {key: value for key, value in figures(seen).items() if "nats" in key}


ORIGINALS = {name: getattr(*place) for name, place in PLACES.items()}


def swap(functions, corpus, seconds, seed=0):
    """Train with a student's functions and with the package's, for as many steps.

    functions: {exercise name: function}. Returns (rows of the student's run, rows of the reference's, as `train_with` gives them; the share of
    clips that both k-means give the same visual word, or None where k-means is not swapped).
    """
    config, mine, theirs, agreement = small_config(seed), corpus, corpus, None
    if set(CLUSTERING) & set(functions):
        mine, theirs = cluster_anew(corpus, functions), cluster_anew(corpus, {})
        agreement = float((mine.visual == theirs.visual).mean())
    yours = train_with(functions, mine, config, seconds=seconds, label="with yours")
    reference = train_with({}, theirs, config, steps=yours[-1][0], label="with the package's")
    return yours, reference, agreement


def table_of(yours, reference, agreement):
    """Lay both runs out as text."""
    lines = [f"{'held-out nats':>15}{'text':>19}{'video':>19}{'alignment':>19}", f"{'step':>15}" + f"{'yours':>10}{'package':>9}" * 3]
    rows = list(zip(yours, reference))
    for (step, mine), (_, theirs) in rows[::max(1, len(rows) // 6)][:-1] + rows[-1:]:
        lines.append(f"{step:>15}" + "".join(f"{mine[f'{part}_nats']:>10.3f}{theirs[f'{part}_nats']:>9.3f}" for part in objective.PARTS))
    if agreement is not None:
        lines.append(f"k-means: {agreement:.1%} of the clips have the same visual word in both runs"
                     + ("" if agreement == 1 else "; the losses of video are of other words and cannot be compared"))
    (step, mine), (_, theirs) = rows[-1]
    parts = [f"{part}_nats" for part in objective.PARTS if part != "video" or agreement in (None, 1.0)]
    # other random draws make other losses, most where they fall fast
    lacks = {key: mine[key] - theirs[key] for key in parts
             if not mine[key] - theirs[key] < max(0.05, 0.1 * (reference[0][1][key] - theirs[key]))}
    if not all(np.isfinite(list(mine.values()))):
        lines.append("with yours the model's losses are no longer numbers")
    elif lacks:
        worst = max(lacks, key=lacks.get)
        lines.append(f"after {step} steps the model lacks {lacks[worst]:.2f} nats of {worst.removesuffix('_nats')} with yours")
    else:
        lines.append(f"after {step} steps the model has learned as much with yours as with the package's")
    return "\n".join(lines)
