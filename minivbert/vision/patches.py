"""The cloze on patches: hide half of an image's patches and let a ViT say what stood there. Pretraining without labels.

    python -m minivbert.vision.patches [--quick] [--out runs/patches]

Dosovitskiy et al. 2021, section 4.6 and appendix B.1.2: of half of the patches, 80 % become a learned [mask], 10 % another patch, 10 %
stay; the encoder's output at each must name the patch. It is the cloze of VideoBERT, whose visual words are clips: the same `masking.mask`
chooses and corrupts, the same `objective.cloze` counts. What is named is either

    mean    the patch's mean colour, 3 bits a channel: 8 classes for grey, 512 for colour                            the paper's
    words   its visual word: the leaf of a k-means tree of patches, fitted by the same `hkmeans.fit`, k = 8, d = 2    VideoBERT's

The command pretrains on many images without labels, goes on with few labelled ones, and compares that with starting from nothing: accuracy
on the same test images as `claims`, three seeds, OUT/patches.json and OUT/patches.png. Cells are kept, as those of `claims`.

Axes: B images, P patches, F numbers of a patch, D width, M masked positions, V words, H height, W width, C channels.

Differs from, or not stated in, the paper: "another patch" is one of the batch, out of any image. There: a million steps of batch 4,096;
here: `STEPS` steps of drawn shapes.
"""
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from minivbert.options import Parser, fail
from minivbert.plot import plt
from minivbert.pretraining.masking import mask, slots
from minivbert.pretraining.objective import cloze
from minivbert.tokens.hkmeans import fit
from minivbert.vision.cells import run_cells
from minivbert.vision.claims import LR, test_images
from minivbert.vision.data import open_data
from minivbert.vision.network import Classifier
from minivbert.vision.pictures import DEIT, GREY, VIT, bare, save
from minivbert.vision.train import PRESETS, build_optimizer, rows_of, share_of_peak, train, write_json

RATE = 0.5                              # of the patches are masked
CLUSTERS, LEVELS = 8, 2                 # of the tree of patches
UNLABELLED, STEPS, BATCH = 32000, 3000, 128


class MeanColour:
    """Name a patch by its mean colour, 3 bits a channel. levels: of the colour of pixels from low to high, as they are scaled."""

    def __init__(self, low_C, high_C):
        self.low_C, self.high_C, self.count = low_C, high_C, 8 ** len(low_C)

    def __call__(self, patch_NF):
        """Name patches (N, F), channel by channel: (N,) int64 in 0 .. count - 1.

        >>> MeanColour([0.0], [1.0])(np.array([[0.0, 0.0], [0.1, 0.2], [1.0, 1.0]])).tolist()
        [0, 1, 7]
        """
        C = len(self.low_C)
        mean_NC = patch_NF.reshape(len(patch_NF), C, -1).mean(2)
        level_NC = np.clip(8 * (mean_NC - self.low_C) / (np.asarray(self.high_C) - self.low_C), 0, 7).astype(np.int64)
        return level_NC @ 8 ** np.arange(C)


class PatchWords:
    """Name a patch by its leaf in a k-means tree of patches."""

    def __init__(self, patch_NF, rng):
        self.tree = fit(patch_NF, CLUSTERS, LEVELS, rng)
        self.count = CLUSTERS ** LEVELS

    def __call__(self, patch_NF):
        """Name patches (N, F): (N,) int64 in 0 .. count - 1."""
        return self.tree.encode(patch_NF)


class PatchCloze(nn.Module):
    """A ViT with what the cloze needs besides: the word [mask] and a head that names patches."""

    def __init__(self, vit, count, seed=0):
        super().__init__()
        self.vit, D = vit, vit.config.width
        generator = torch.Generator("cpu").manual_seed(seed)
        self.mask_word = nn.Parameter(torch.empty(D).normal_(0, 0.02, generator=generator))
        self.head = nn.Linear(D, count)
        nn.init.normal_(self.head.weight, std=0.02, generator=generator)
        nn.init.zeros_(self.head.bias)

    def forward(self, images_BCHW, name, rng, corrupt=True):
        """Hide patches of images and name them; return the `objective.Part` of the batch.

        name: from patches (N, F) to classes (N,). A patch's id is its number in the batch, that of [mask] is the next one, so that
        `mask` may put any patch of the batch in the place of any other.
        """
        patches_BPF, first = self.vit.patches(images_BCHW), self.vit.specials
        B, P, F = patches_BPF.shape
        ids_BP = np.arange(B * P).reshape(B, P)
        new_BP, at_BM, label_BM, weight_BM = mask(ids_BP, np.ones((B, P), bool), RATE, slots(RATE, P), B * P, (0, B * P), rng, corrupt)
        class_N = name(patches_BPF.reshape(B * P, F).cpu().numpy())
        words_ND = torch.cat([self.vit.patch(patches_BPF).flatten(0, 1), self.mask_word[None]])
        device = images_BCHW.device
        hidden_BMD = self.vit.encode(words_ND[torch.from_numpy(new_BP).to(device)], at_BR=torch.from_numpy(at_BM + first).to(device))
        return cloze(self.head(hidden_BMD), torch.from_numpy(class_N[label_BM]).to(device), torch.from_numpy(weight_BM).to(device))


def namer(kind, classifier, images, rng, sample=4000):
    """Make the function that names patches, "mean" or "words", from a sample of the images."""
    x_BCHW = classifier.scaled(images.pixels_NHWC[:sample])
    if kind == "words":
        return PatchWords(classifier.network.patches(x_BCHW).flatten(0, 1).numpy(), rng)
    if kind != "mean":
        raise ValueError(f"patches named by {kind!r}: expected 'mean' or 'words'")
    flat_CN = x_BCHW.transpose(0, 1).flatten(1).numpy()
    return MeanColour(*np.quantile(flat_CN, (0.01, 0.99), axis=1))


def pretrain(classifier, images, kind, config, progress=False):
    """Train a ViT by the cloze on patches, in place; return (share named right, share of the commonest name, nats), held out.

    classifier: of a ViT, on the CPU; images: `Images`, whose labels nobody looks at; the last tenth is held out. config:
    `TrainingConfig`, of which steps, batch, lr, weight_decay, warmup, clip and seed count.
    """
    c, held = config, len(images) // 10
    name = namer(kind, classifier, images, np.random.default_rng([c.seed, 8]))
    model = PatchCloze(classifier.network, name.count, c.seed).train()
    optimizer = build_optimizer(model, c)
    for step in tqdm(range(c.steps), disable=not progress, unit="step", dynamic_ncols=True):
        rows = rows_of(step, c.batch, len(images) - held, c.seed)
        part = model(classifier.scaled(images.pixels_NHWC[rows]), name, np.random.default_rng([c.seed, 9, step]))
        optimizer.zero_grad(set_to_none=True)
        (part.nats / part.count).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), c.clip)
        for group in optimizer.param_groups:
            group["lr"] = share_of_peak(step, c) * c.lr
        optimizer.step()
    model.eval()
    x_BCHW = classifier.scaled(images.pixels_NHWC[-held:])
    with torch.no_grad():
        part = model(x_BCHW, name, np.random.default_rng([c.seed, 10]), corrupt=False)
        names_N = name(classifier.network.patches(x_BCHW).flatten(0, 1).numpy())
    return float(part.correct / part.count), float(np.bincount(names_N).max() / len(names_N)), float(part.nats / part.count)


def run_pretraining(settings, stem):
    """Pretrain one ViT as a cell says and keep its weights in stem.safetensors."""
    s, base = settings, PRESETS["vit"]
    images = open_data("shapes", UNLABELLED, s["seed"])[0].first(s["images"])
    classifier = Classifier.new("vit", base.network, images, s["seed"])
    training = replace(base.training, steps=s["steps"], batch=BATCH, lr=s["lr"], seed=s["seed"])
    right, commonest, nats = pretrain(classifier, images, s["kind"], training)
    classifier.save(f"{stem}.safetensors")
    return {"named_right": right, "commonest_name": commonest, "nats": nats}


def run_labelled(settings, stem):
    """Train one ViT on few labelled images, from a pretrained one or from nothing."""
    s, base = settings, PRESETS["vit"]
    images = open_data("shapes", UNLABELLED, s["seed"])[0].first(s["images"])
    start = Classifier.load(stem.parent / f"{s['start']}.safetensors") if s["start"] else None
    training = replace(base.training, steps=s["steps"], lr=s["lr"], seed=s["seed"], affine=False, eval_every=s["steps"])
    summary = train(replace(base, training=training), images, test_images(), start=start).summary
    return {"accuracy": summary["held_out_accuracy"], "seconds": summary["seconds"]}


def plan(quick):
    """List the cells: (pretraining {name: settings}, labelled {name: settings}, counts of labelled images, seeds).

    At the fewest labelled images the pretraining is also tried on those alone, and with the paper's own target.
    """
    counts, seeds, steps, labelled_steps = ((500,), (0,), 300, 300) if quick else ((500, 2000, 8000), (0, 1, 2), STEPS, 1500)
    first, then = {}, {}
    for seed in seeds:
        kinds = [("words", UNLABELLED), ("mean", UNLABELLED), ("words", counts[0])]
        for kind, images in kinds:
            first[f"cloze-{kind}-{images}-seed{seed}"] = dict(kind=kind, images=images, steps=steps, lr=LR["vit"], seed=seed)
        for n in counts:
            for kind, images in [("", 0), *(kinds if n == counts[0] else kinds[:1])]:
                start = f"cloze-{kind}-{images}-seed{seed}" if kind else ""
                name = f"labelled-{n}-{kind or 'nothing'}-{images}-seed{seed}"
                then[name] = dict(images=n, start=start, steps=labelled_steps, lr=LR["vit"], seed=seed,
                                  **({"pretraining": first[start]} if start else {}))
    return first, then, counts, seeds


def found(results, count, kind, images, seeds):
    """Give the accuracies [percent] of one setting, one a seed: (seeds,)."""
    return np.array([100 * results[f"labelled-{count}-{kind or 'nothing'}-{images}-seed{seed}"]["accuracy"] for seed in seeds])


def plot_patches(results, counts, seeds, path):
    """Draw accuracy with and without the cloze first: against the number of labelled images, and by what was hidden and named."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", width_ratios=(1, 1.15))
    lines = [("words", UNLABELLED, "cloze first", DEIT, "o-"), ("", 0, "from nothing", VIT, "s-")]
    for kind, images, label, colour, style in lines:
        accuracies = np.array([found(results, n, kind, images, seeds) for n in counts])
        left.fill_between(counts, accuracies.min(1), accuracies.max(1), color=colour, alpha=0.2, linewidth=0)
        left.plot(counts, accuracies.mean(1), style, color=colour, label=label)
    left.set(xscale="log", ylim=(0, 104), xlabel="labelled images", ylabel="test images right, %")
    left.set_xticks(counts, [f"{n:,}" for n in counts])
    left.minorticks_off()
    left.legend(frameon=False, fontsize=9, loc="lower right")
    left.set_title(f"The cloze on {UNLABELLED:,} images without labels", fontsize=10)
    bars = [("from nothing", "", 0, VIT), (f"cloze on the {counts[0]:,} labelled\nimages alone, words", "words", counts[0], GREY),
            (f"cloze on {UNLABELLED:,},\nmean colour (the paper's)", "mean", UNLABELLED, DEIT),
            (f"cloze on {UNLABELLED:,},\nvisual words", "words", UNLABELLED, DEIT)]
    for y, (_, kind, images, colour) in enumerate(bars):
        accuracies = found(results, counts[0], kind, images, seeds)
        right.barh(y, accuracies.mean(), 0.62, color=colour)
        right.plot([accuracies.min(), accuracies.max()], [y, y], color="black", linewidth=1.2)
        right.annotate(f"{accuracies.mean():.1f}", (accuracies.max(), y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9)
    right.set_yticks(range(len(bars)), [name for name, *_ in bars], fontsize=9)
    right.invert_yaxis()
    right.set(xlim=(0, 108), xlabel="test images right, %")
    right.set_title(f"{counts[0]:,} labelled images", fontsize=10)
    for ax in (left, right):
        bare(ax)
    gain = found(results, counts[0], "words", UNLABELLED, seeds) - found(results, counts[0], "", 0, seeds)
    figure.suptitle(f"Naming hidden patches first gives a ViT {gain.mean():+.1f} points with {counts[0]:,} labelled images "
                    f"({'mean and range of ' + str(len(seeds)) + ' seeds' if len(seeds) > 1 else 'one seed'})", fontsize=11)
    save(figure, path)


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.vision.patches", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one seed, 300 steps of each kind, 500 labelled images")
    parser.add_argument("--out", help="folder for cells, patches.json and patches.png (default: runs/patches, or runs/patches-quick)")
    parser.add_argument("--processes", type=int, default=2, help="processes of one thread each")
    o = parser.parse_args(argv)
    out = Path(o.out or ("runs/patches-quick" if o.quick else "runs/patches"))
    first, then, counts, seeds = plan(o.quick)
    try:
        clozes = run_cells(run_pretraining, first, out / "cells", o.processes, "cloze")
        results = run_cells(run_labelled, then, out / "cells", o.processes, "labelled")
    except (ValueError, OSError) as error:
        fail(error)
    command = "python -m minivbert.vision.patches" + (" --quick" if o.quick else "")
    write_json(out / "patches.json", {"command": command, "seeds": list(seeds), "cloze": clozes, "labelled": results})
    plot_patches(results, counts, seeds, out / "patches.png")
    for n in counts:
        for kind, images in [("", 0), ("mean", UNLABELLED), ("words", counts[0]), ("words", UNLABELLED)]:
            if f"labelled-{n}-{kind or 'nothing'}-{images}-seed{seeds[0]}" in results:
                accuracies = found(results, n, kind, images, seeds)
                about = f"cloze on {images:,} images, {kind}" if kind else "from nothing"
                print(f"{n:6,} labelled images, {about:<34}{accuracies.mean():6.1f} % ({accuracies.min():.1f} to {accuracies.max():.1f})")
    print(f"{out}/patches.json, {out}/patches.png")


if __name__ == "__main__":
    main()
