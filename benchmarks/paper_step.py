"""One optimizer step of the preset `paper`: python benchmarks/paper_step.py [--device cpu|cuda|xla] [--rows 1]

The model at its full size: 24 layers of width 1,024, BERT's 30,522 words and 20,736 visual words; its own train step on a batch of each
regime, at the preset's longest rows but few of them, of random tokens. Said: seconds of the first step and of another one, the highest
resident memory of the process, and beside them what `minivbert.plan` works out for as many rows. AdamW in float32, activations of
blocks computed anew in the backward pass, as the preset would run on small chips.

The last line is one JSON object {"bars": {name: [figure, bar]}}: parameters and FLOPs, the plan's over those counted; FLOPs on cpu and cuda only.
"""
import argparse
import json
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch.utils.flop_counter import FlopCounterMode

from minivbert import plan
from minivbert.config import PRESETS
from minivbert.device import open_device
from minivbert.model.videobert import VideoBERT
from minivbert.pretraining.inputs import REGIMES, Batch
from minivbert.train import build_optimizers, train_step

WORDS, VISUAL_WORDS = 30_522, 20_736


def random_batch(config, regime, rows, generator):
    """Draw a batch of a regime's longest rows, all of whose slots are used."""
    c, T = config.model, plan.lengths(config)[regime]
    M_text, M_video = plan.masked(config, regime, T)
    draw = lambda high, *shape: torch.randint(high, shape, generator=generator)
    return Batch(draw(c.text_vocab, rows, T), draw(2, rows, T), torch.ones(rows, T, dtype=torch.bool),
                 draw(T, rows, M_text), draw(c.text_vocab, rows, M_text), torch.ones(rows, M_text),
                 draw(T, rows, M_video), draw(c.visual_vocab, rows, M_video), torch.ones(rows, M_video),
                 torch.ones(rows) if regime == "video-text" else None, regime)


def main():
    """Take two steps, print a table and the bars."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cpu", help="cpu, cuda or xla")
    parser.add_argument("--rows", type=int, default=1, help="rows of each regime")
    o = parser.parse_args()
    config = PRESETS["paper"]
    config = replace(config, model=replace(config.model, text_vocab=WORDS, visual_vocab=VISUAL_WORDS),
                     inputs=replace(config.inputs, rows=(o.rows,) * 3))
    device, generator = open_device(o.device, recompute=True), torch.Generator().manual_seed(0)
    device.seed(0)
    model = device.prepare(VideoBERT(config.model)).train()
    optimizers = build_optimizers(model, config.train, device)
    device.settle(model, optimizers)
    batches = [random_batch(config, regime, o.rows, generator) for regime in REGIMES]
    counted = sum(p.numel() for p in model.parameters())
    print(f"{counted:,} parameters; rows of " + ", ".join(f"{regime} {batch.ids.shape[1]}" for regime, batch in zip(REGIMES, batches)), flush=True)
    seconds, flops = [], FlopCounterMode(display=False)
    for step in range(2):
        begin = time.perf_counter()
        if step or o.device == "xla":
            seen = train_step(model, optimizers, batches, 1.0, config.train, device)
        else:
            with flops:
                seen = train_step(model, optimizers, batches, 1.0, config.train, device)
        nats = {regime: float(sum(row[0] for (r, _), row in seen.items() if r == regime)) for regime in REGIMES}
        seconds.append(time.perf_counter() - begin)
        print(f"step {step + 1}: {seconds[-1]:.1f} s, nats " + ", ".join(f"{regime} {n:.1f}" for regime, n in nats.items()), flush=True)
    work, held = sum(plan.step_flops(config, recompute=True).values()), plan.memory(config, 1, recompute=True)
    print(f"the plan's {work / 1e12:.2f} TFLOP: {work / seconds[-1] / 1e9:.0f} GFLOP/s in the second step")
    print(f"resident memory at its highest: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB; the plan's "
          f"{sum(held.values()) / 1e9:.1f} GB: " + ", ".join(f"{name} {size / 1e9:.1f}" for name, size in held.items()))
    if device.about():
        print(device.about())
    bars = {"paper step, parameters planned over counted": [plan.parameters(config.model)[0] / counted, 1.0]}
    if o.device != "xla":
        bars["paper step, FLOPs planned over counted"] = [round(work / flops.get_total_flops(), 3), 0.97]
    print(json.dumps({"bars": bars}))


if __name__ == "__main__":
    main()
