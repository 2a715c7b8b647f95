"""The default preset's first 20 steps, and what it promises at the end.

golden_tiny.json holds the losses of 20 steps in float32; a commit that changes them writes them anew and says why:
PYTHONPATH=. python tests/test_golden.py
"""
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from minivbert.config import DATA_SAMPLE, PRESETS
from minivbert.tokens.corpus import Corpus
from minivbert.train import train

GOLDEN = Path(__file__).parent / "golden_tiny.json"
RECORDED = Path(__file__).parent.parent / "docs" / "results" / "tiny.json"


def first_losses():
    """Train 20 steps of `tiny` and give the losses of each."""
    tiny = PRESETS["tiny"]
    config = replace(tiny, train=replace(tiny.train, steps=20, warmup=0.5, log_every=1, eval_every=20, eval_batches=1, precision="float32"))
    lines = train(config, Corpus.open(DATA_SAMPLE / "corpus"), torch.device("cpu")).lines
    return [[line[f"{part}_nats"] for part in ("text", "video", "alignment")] for line in lines]


def test_the_first_20_steps_are_the_recorded_ones():
    for step, (now, then) in enumerate(zip(first_losses(), json.loads(GOLDEN.read_text()), strict=True)):
        assert now == pytest.approx(then, abs=0.02), f"step {step}"


@pytest.mark.slow
def test_tiny_keeps_its_promise():
    """A whole default run, another seed than the recorded one."""
    tiny = PRESETS["tiny"]
    summary = train(replace(tiny, train=replace(tiny.train, seed=1)), Corpus.open(DATA_SAMPLE / "corpus"), torch.device("cpu")).summary
    recorded = json.loads(RECORDED.read_text())
    for name in ("text", "video", "alignment"):
        assert summary[f"{name}_nats"] < recorded[f"{name}_nats"] + 0.05
    assert summary["text_nats"] < summary["text_unigram_nats"] and summary["video_nats"] < summary["video_unigram_nats"]
    assert summary["alignment_accuracy"] > 0.80


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps([[round(x, 4) for x in step] for step in first_losses()]) + "\n")
