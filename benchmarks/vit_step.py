"""Time an optimizer step of our ViT and of timm's: python benchmarks/vit_step.py

The same images, shape, weights, AdamW and precision on both sides, in one process, taking turns; what is compared is
the median of the steps. timm's runs as it comes, with fused attention. At the tiny shape, that of the experiments on
drawn shapes, much of the gain is the last layer: the head reads the class token, so ours computes no other there.

The last line is one JSON object {"bars": {name: [figure, bar]}}.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from train_step import take_turns

from minivbert.vision.timm_weights import from_timm_names
from minivbert.vision.vit import CONFIGS, ViT, ViTConfig

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from peers import import_timm  # noqa: E402

TINY = ViTConfig(16, 4, channels=1, width=64, layers=4, heads=4, feed_forward=256, classes=10)
SHAPES = {"tiny": (TINY, 64), "Ti/16 224": (CONFIGS["ti16"], 8)}  # and images a step
BARS = {"tiny": 1.2, "Ti/16 224": 1.0}


def timm_model(timm, c):
    """Build timm's ViT of a configuration."""
    return timm.models.VisionTransformer(
        img_size=c.image,
        patch_size=c.patch,
        in_chans=c.channels,
        num_classes=c.classes,
        embed_dim=c.width,
        depth=c.layers,
        num_heads=c.heads,
        mlp_ratio=c.feed_forward / c.width,
    )


def step_of(model, images_BCHW, labels_B, autocast):
    """Return a function that takes one step of a model and returns its loss."""
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-4, fused=True)

    def step():
        with autocast():
            loss = F.cross_entropy(model(images_BCHW), labels_B)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss

    return step


def main():
    """Run all shapes in both precisions and print a table and the bars."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=20, help="seconds a shape and precision")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads")
    parser.add_argument("--only", help="shapes whose name begins so")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    timm, bars, generator = import_timm(), {}, torch.Generator().manual_seed(0)
    print(f"{options.threads} threads, timm {timm.__version__}")
    print(f"{'shape':<12}{'images':>7}  {'precision':<9}{'our ms':>9}{'their ms':>10}{'ratio':>7}")
    for shape, (config, B) in SHAPES.items():
        if options.only and not shape.startswith(options.only):
            continue
        images = torch.randn(B, config.channels, *config.image, generator=generator)
        labels = torch.randint(config.classes, (B,), generator=generator)
        for precision in ("float32", "bf16"):
            autocast = partial(torch.autocast, "cpu", torch.bfloat16, enabled=precision == "bf16")
            theirs, ours = timm_model(timm, config), ViT(config)
            ours.load_state_dict(from_timm_names(theirs.state_dict(), config.layers, ours.specials))
            steps = [step_of(model, images, labels, autocast) for model in (ours, theirs)]
            our_time, their_time = take_turns(steps, options.seconds)
            ratio = their_time / our_time
            times = f"{our_time * 1e3:>9.1f}{their_time * 1e3:>10.1f}{ratio:>7.2f}"
            print(f"{shape:<12}{B:>7}  {precision:<9}{times}", flush=True)
            bars[f"step vs timm, {shape}, {precision}"] = [round(ratio, 3), BARS[shape]]
    print(json.dumps({"bars": bars}))


if __name__ == "__main__":
    main()
