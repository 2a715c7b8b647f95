"""The chapter's claims, tried: python -m minivbert.vision.claims [--quick] [--out runs/claims] [--processes 2]

    (a)  with little data a ConvNet beats a ViT                              Dosovitskiy et al. 2021, figures 3 and 4
    (b)  with more data the gap closes
    (c)  augmentation, then distillation, close it at little data            Touvron et al. 2021, tables 3 and 8
    why  the same fixed shuffle of the patches in every image: it takes from the ConvNet what it assumed, locality, and from the ViT nothing

Images are `shapes` (16 x 16, ten classes); every run takes the same number of steps, however many images it has; three seeds, each with
images, initial weights and batches of its own; accuracy on the same 4,000 other images. A verdict says what was found, whether it is what
was claimed or not. Beside every distilled row stands the same training without distillation.

Each run is kept in OUT/cells as soon as it is done, so a killed call goes on where it stopped. At the end: OUT/claims.json and one picture a
claim, three of where the ViT looks, one of what augmentation does.

Not stated in the papers, our choice: everything about the images; one learning rate a network for all runs, the better of two on seed 0 and other
test images.
"""
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from minivbert.options import Parser, fail
from minivbert.vision import claims_pictures as pictures
from minivbert.vision.cells import run_cells
from minivbert.vision.data import HELD_OUT, Images, open_data
from minivbert.vision.looking import token_cosine
from minivbert.vision.network import Classifier
from minivbert.vision.pictures import plot_changes
from minivbert.vision.shapes import NAMES, draw_shapes
from minivbert.vision.train import PRESETS, VisionConfig, train, write_json

PATCH = 4
SHORT, LONG = 1500, 4500               # steps
MANY = 8000                            # images with which the gap should have closed
STRANGERS = 32000                      # images without a label, for the student that is shown some
LR = {"vit": 2e-3, "deit": 2e-3, "convnet": 1e-2}


def shuffle_patches(pixels_NHWC, patch, order_P):
    """Put the patches of every image into another order, the same for all: patch i of the result is patch order[i] of the image.

    >>> shuffle_patches(np.arange(4, dtype=np.uint8).reshape(1, 2, 2, 1), 1, [3, 2, 1, 0]).ravel().tolist()
    [3, 2, 1, 0]
    """
    N, H, W, C = pixels_NHWC.shape
    x_NPyxC = pixels_NHWC.reshape(N, H // patch, patch, W // patch, patch, C).swapaxes(2, 3).reshape(N, -1, patch, patch, C)
    x_NYXyxC = x_NPyxC[:, order_P].reshape(N, H // patch, W // patch, patch, patch, C)
    return x_NYXyxC.swapaxes(2, 3).reshape(N, H, W, C)


def fixed_order():
    """Give the one shuffle of the 16 patches that all runs share."""
    return np.random.default_rng(7).permutation(16)


def cell_of(model, images, steps, seed, **changes):
    """Name a run and give its settings; changes: what differs from plain training."""
    settings = dict(model=model, images=images, steps=steps, seed=seed, affine=False, shuffled=False, distillation="", unlabelled=0.0) | changes
    marks = [key if value is True else f"{value}" for key, value in changes.items() if value]
    return "-".join([model, str(images), str(steps), *marks, f"seed{seed}"]), settings | {"lr": LR[model]}


def test_images():
    """Draw the 4,000 images that all runs are scored on; the learning rates were chosen on others."""
    return Images(*draw_shapes(HELD_OUT, np.random.default_rng([0, 6])), NAMES)


def run_cell(settings, stem):
    """Train one network as a cell says, keep its weights in stem.safetensors, return its figures."""
    s = settings
    everything, held_out = open_data("shapes", max(s["images"], STRANGERS), s["seed"])[0], test_images()
    if s["shuffled"]:
        everything, held_out = (replace(x, pixels_NHWC=shuffle_patches(x.pixels_NHWC, PATCH, fixed_order())) for x in (everything, held_out))
    images = everything.first(s["images"])
    base = PRESETS[s["model"]]
    training = replace(base.training, steps=s["steps"], seed=s["seed"], lr=s["lr"], affine=s["affine"], eval_every=s["steps"],
                       distillation=s["distillation"] or "hard", unlabelled=s["unlabelled"])
    teacher, about = None, {}
    if s["model"] == "deit":
        own = VisionConfig("convnet", base.network, replace(training, lr=LR["convnet"], unlabelled=0.0))
        taught = train(own, images, held_out)
        teacher, about = taught.classifier, {"teacher_accuracy": taught.summary["held_out_accuracy"]}
    history = train(replace(base, training=training), images, held_out, teacher=teacher, unlabelled=everything)
    classifier = history.classifier
    if s["model"] == "deit":
        about["token_cosine"] = _cosine(classifier, held_out)
    classifier.save(f"{stem}.safetensors")
    return about | {"accuracy": history.summary["held_out_accuracy"], "training_accuracy": history.lines[-1]["accuracy"],
                    "parameters": history.summary["parameters"], "seconds": history.summary["seconds"]}


def _cosine(classifier, images: Images):
    with torch.no_grad():
        return token_cosine(classifier.network.hidden(classifier.scaled(images.pixels_NHWC[:256])))


def plan(quick):
    """List the cells: {name: settings}, and the sizes they stand for: (counts of images, counts shuffled, steps, seeds)."""
    counts, shuffled, lengths, seeds = ((500, 2000), (500,), (300,), (0,)) if quick else (
        (500, 2000, MANY, 32000), (500, 2000), (SHORT, LONG), (0, 1, 2))
    first, cells = lengths[0], []
    for seed in seeds:
        for model in ("convnet", "vit"):
            cells += [cell_of(model, n, first, seed) for n in counts]
            cells += [cell_of(model, n, first, seed, shuffled=True) for n in shuffled]
        for steps in lengths:
            for affine in (False, True):
                cells += [cell_of("convnet", counts[0], steps, seed, affine=affine), cell_of("vit", counts[0], steps, seed, affine=affine),
                          cell_of("deit", counts[0], steps, seed, affine=affine, distillation="hard")]
        cells.append(cell_of("deit", counts[0], first, seed, affine=True, distillation="soft"))
        cells.append(cell_of("deit", counts[0], first, seed, distillation="hard", unlabelled=0.75))
    return dict(cells), (counts, shuffled, lengths, seeds)


class Table:
    """The figures of all cells, looked up by what a cell is, over the seeds [percent]."""

    def __init__(self, results, sizes):
        self.results, (self.counts, self.shuffled, self.lengths, self.seeds) = results, sizes

    def get(self, model, images=None, steps=None, key="accuracy", **changes):
        """Give one figure a seed: (seeds,)."""
        names = [cell_of(model, images or self.counts[0], steps or self.lengths[0], seed, **changes)[0] for seed in self.seeds]
        return np.array([self.results[name][key] for name in names]) * (100 if "accuracy" in key else 1)

    def rows(self):
        """List a dict a setting, its seeds together: name, accuracies [percent], mean, spread (largest less smallest)."""
        out = {}
        for name, result in self.results.items():
            out.setdefault(name.rsplit("-", 1)[0], []).append(result)
        return [{"name": name, "accuracy": [round(100 * r["accuracy"], 2) for r in rs], "mean": round(100 * np.mean([r["accuracy"] for r in rs]), 2),
                 "spread": round(100 * np.ptp([r["accuracy"] for r in rs]), 2), "seconds": round(float(np.mean([r["seconds"] for r in rs])), 1)}
                | {key: round(float(np.mean([r[key] for r in rs])), 3) for key in ("teacher_accuracy", "token_cosine") if key in rs[0]}
                for name, rs in out.items()]


def verdicts(table):
    """Say of each claim what was asked for, what was found, and whether it holds: a list of dicts.

    Differences are of the same seed; "gained" and "lost" in points of accuracy, mean over the seeds (least to greatest).
    """
    few, long, out = table.counts[0], table.lengths[-1], []

    def say(claim, bar, points, holds):
        points = np.atleast_1d(points)
        out.append({"claim": claim, "bar": bar, "mean": round(float(points.mean()), 2), "least": round(float(points.min()), 2),
                    "greatest": round(float(points.max()), 2), "holds": bool(holds(points))})
    gap = lambda n: table.get("convnet", n) - table.get("vit", n)
    say(f"(a) with {few:,} images the ConvNet is ahead of the ViT", "over 30 points", gap(few), lambda x: x.mean() > 30)
    say(f"(b) with {table.counts[-1]:,} images the gap is smaller by", "more than the seeds differ", gap(few) - gap(table.counts[-1]),
        _beyond_seeds)
    if MANY in table.counts:
        say(f"(b) with {MANY:,} images the ConvNet is ahead", "under 10 points", gap(MANY), lambda x: x.mean() < 10)
    for n in table.shuffled:
        lost = {m: table.get(m, n) - table.get(m, n, shuffled=True) for m in ("convnet", "vit")}
        say(f"why: the shuffle takes from the ConvNet, {n:,} images", "over 30 points", lost["convnet"], lambda x: x.mean() > 30)
        say(f"why: the shuffle takes from the ViT, {n:,} images", "under 5 points", lost["vit"], lambda x: abs(x.mean()) < 5)
    for steps in table.lengths:
        plain, changed = table.get("vit", steps=steps), table.get("vit", steps=steps, affine=True)
        say(f"(c) augmentation gives the ViT, {few:,} images, {steps:,} steps", "more than the seeds differ", changed - plain, _beyond_seeds)
        say(f"(c) distillation alone gives it, {steps:,} steps", "more than the seeds differ",
            table.get("deit", steps=steps, distillation="hard") - plain, _beyond_seeds)
        say(f"(c) distillation gives it on top of augmentation, {steps:,} steps", "more than the seeds differ",
            table.get("deit", steps=steps, affine=True, distillation="hard") - changed, _beyond_seeds)
    if long == LONG:
        say(f"(c) left of the gap with both, {long:,} steps, the ConvNet augmented too", "under 5 points",
            table.get("convnet", steps=long, affine=True) - table.get("deit", steps=long, affine=True, distillation="hard"),
            lambda x: x.mean() < 5)
    say("(c) distillation alone, three quarters of each batch images that only the teacher labels, gives it", "more than the seeds differ",
        table.get("deit", distillation="hard", unlabelled=0.75) - table.get("vit"), _beyond_seeds)
    return out


def _beyond_seeds(points):
    """Tell whether a mean gain is more than two standard errors above 0 (one seed: more than 2 points)."""
    if len(points) == 1:
        return points[0] > 2
    return points.mean() > 2 * points.std(ddof=1) / len(points) ** 0.5


def report(results, sizes, out, command):
    """Write claims.json and the pictures into a folder; return the verdicts."""
    table, out = Table(results, sizes), Path(out)
    found = verdicts(table)
    write_json(out / "claims.json", {"command": command, "images": list(sizes[0]), "steps": list(sizes[2]), "seeds": list(sizes[3]),
                                     "lr": LR, "verdicts": found, "rows": table.rows()})
    pictures.plot_data(table, out / "claims_data.png")
    pictures.plot_shuffle(table, open_data("shapes", 10)[0], lambda x: shuffle_patches(x, PATCH, fixed_order()), out / "claims_shuffle.png")
    pictures.plot_help(table, out / "claims_help.png")
    most, held_out = cell_of("vit", sizes[0][-1], sizes[2][0], sizes[3][0])[0], test_images()
    vit = Classifier.load(out / "cells" / f"{most}.safetensors")
    convnet = Classifier.load(out / "cells" / f"{most.replace('vit', 'convnet')}.safetensors")
    plot_changes(vit.scaled(held_out.pixels_NHWC[:7]), held_out.label_N[:7], held_out.names, out / "augment.png")
    pictures.plot_attention(vit, held_out, out / "attention.png")
    pictures.plot_distance(vit, convnet, held_out, out / "attention_distance.png")
    pictures.plot_positions(vit, out / "positions.png")
    return found


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.vision.claims", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one seed, 300 steps, 500 and 2,000 images: under 3 minutes on two cores")
    parser.add_argument("--out", help="folder for cells, claims.json and pictures (default: runs/claims, or runs/claims-quick)")
    parser.add_argument("--processes", type=int, default=2, help="processes of one thread each")
    o = parser.parse_args(argv)
    out = Path(o.out or ("runs/claims-quick" if o.quick else "runs/claims"))
    command = "python -m minivbert.vision.claims" + (" --quick" if o.quick else "")
    try:
        cells, sizes = plan(o.quick)
        found = report(run_cells(run_cell, cells, out / "cells", o.processes, "claims"), sizes, out, command)
    except (ValueError, OSError) as error:
        fail(error)
    for v in found:
        span = f"{v['mean']:6.1f} points" + (f" ({v['least']:.1f} to {v['greatest']:.1f})" if len(sizes[3]) > 1 else "")
        print(f"{'holds ' if v['holds'] else 'FAILS '} {v['claim']}: {span}; bar: {v['bar']}")
    print(f"{len(cells)} runs; {out}/claims.json and pictures beside it")


if __name__ == "__main__":
    main()
