"""Does a video network's motion matter? python -m minivbert.vision.motion [--quick] [--out runs/motion]

Four networks learn to tell the same clips of the kitchen apart by (action, phase); their features become visual words by the same k-means;
the words of other clips are compared with what is really on screen.

    mini       MiniS3D: ten frames in their order
    shuffled   MiniS3D, the frames of every clip in an order of its own: all that is seen, and no motion
    still      MiniS3D, ten times the clip's middle frame: what one moment shows
    vit        the mean over ten frames of a ViT that has learnt single frames (`clip_features.py`)

mini - shuffled is what motion is worth; shuffled - still what seeing more than one moment is worth; vit - shuffled what the ViT is worth.
Agreement is measured by NMI (`tokens/coherence.py`) with the moment (action, phase), the action, its verb and its ingredient. Cells are
kept, as those of `claims`; at the end OUT/motion.json and OUT/motion.png.

Axes: N clips, T frames, H height, W width, F features; 3 = red, green, blue.

Not stated in the paper, our choice: everything here.
"""
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from minivbert.kitchen.recipes import ACTIONS, PHASES
from minivbert.kitchen.sample import CELLS, CLUSTERS, LEVELS, film_cell, kept
from minivbert.options import Parser, fail
from minivbert.plot import plt
from minivbert.tokens.coherence import nmi
from minivbert.tokens.features import MiniS3D, fit_mini
from minivbert.tokens.hkmeans import fit
from minivbert.vision.cells import run_cells
from minivbert.vision.clip_features import FrameViT
from minivbert.vision.data import Images
from minivbert.vision.pictures import CNN, GREY, VIT, bare, save
from minivbert.vision.train import PRESETS, TrainingConfig, VisionConfig, train, write_json

KINDS = {"mini": ("MiniS3D", CNN), "shuffled": ("MiniS3D,\nframes out of order", "#E69F00"), "still": ("MiniS3D,\none frame", GREY),
         "vit": ("ViT,\nmean over frames", VIT)}
CLASSES = len(ACTIONS) * PHASES
CLIPS = 8                               # of each (action, phase, style): to learn from, to fit the tree on, and to test with


def film(path, clips, seed):
    """Film some clips of every (action, phase, style) as MiniS3D sees them, or read them: (cells * clips, 10, 48, 48, 3) uint8."""
    def draw():
        cells = tqdm(range(len(CELLS)), desc=path.stem, dynamic_ncols=True)
        return np.concatenate([film_cell(CELLS[i], clips, np.random.default_rng([seed, i])).numpy() for i in cells])
    return kept(path, draw)


def seen_as(kind, seen_NTHW3, rng):
    """Give the clips as a kind of network is shown them.

    >>> clips = np.arange(6).reshape(1, 6, 1, 1, 1)
    >>> seen_as("still", clips, None).ravel().tolist()
    [3, 3, 3, 3, 3, 3]
    >>> sorted(seen_as("shuffled", clips, np.random.default_rng(0)).ravel().tolist())
    [0, 1, 2, 3, 4, 5]
    """
    T = seen_NTHW3.shape[1]
    if kind == "still":
        return seen_NTHW3[:, [T // 2] * T]
    if kind == "shuffled":
        order_NT = rng.permuted(np.tile(np.arange(T), (len(seen_NTHW3), 1)), axis=1)
        return np.take_along_axis(np.asarray(seen_NTHW3), order_NT[:, :, None, None, None], 1)
    return np.asarray(seen_NTHW3)


def fit_network(kind, seen_NTHW3, label_N, steps, seed):
    """Train a network on clips; return it, something with `embed`. steps: of 32 clips each, or of 64 frames for the ViT."""
    if kind != "vit":
        torch.manual_seed(seed)
        model = MiniS3D(CLASSES)
        fit_mini(model, torch.from_numpy(np.array(seen_NTHW3)), torch.from_numpy(label_N), steps, torch.Generator().manual_seed(seed))
        return model
    N, T = seen_NTHW3.shape[:2]
    frames = Images(seen_NTHW3.reshape(N * T, *seen_NTHW3.shape[2:]), label_N.repeat(T), tuple(map(str, range(CLASSES))))
    config = VisionConfig("vit", PRESETS["vit"].network, TrainingConfig(steps=steps, seed=seed, eval_every=steps, lr=1e-3))
    return FrameViT(train(config, frames, frames.first(500)).classifier)


def run_kind(settings, stem):
    """Train one network as a cell says and measure its visual words on clips that neither it nor the tree has seen."""
    s = settings
    clips = [np.load(stem.parent.parent / f"{name}.npy", mmap_mode="r") for name in ("learned", "fitted", "tested")]
    cell_N = np.repeat(np.arange(len(CELLS)), s["clips"])
    action_N, phase_N, _ = np.array(CELLS)[cell_N].T
    verbs = [verb for verb, _ in ACTIONS]
    labels = {"moment": action_N * PHASES + phase_N, "action": action_N, "verb": np.array([verbs.index(verbs[a]) for a in action_N]),
              "ingredient": np.unique([ACTIONS[a][1] for a in action_N], return_inverse=True)[1]}
    learned, fitted, tested = (seen_as(s["kind"], x, np.random.default_rng([s["seed"], i])) for i, x in enumerate(clips))
    network = fit_network(s["kind"], learned, labels["moment"], s["steps"], s["seed"])
    with torch.inference_mode():
        fitted_NF, tested_NF = (torch.cat([network.embed(part) for part in torch.from_numpy(np.array(x)).split(64)]).numpy() for x in (fitted, tested))
    tree = fit(fitted_NF, CLUSTERS, LEVELS, np.random.default_rng(s["seed"]))
    words_N = tree.encode(tested_NF)
    return {"words": len(np.unique(words_N))} | {name: nmi(words_N, label_N) for name, label_N in labels.items()}


def plan(quick):
    """List the cells: {name: settings}, clips a cell and seeds."""
    clips, seeds, steps = (1, (0,), 100) if quick else (CLIPS, (0, 1, 2), 3000)
    return {f"{kind}-seed{seed}": dict(kind=kind, clips=clips, steps=steps, seed=seed) for seed in seeds for kind in KINDS}, clips, seeds


def plot_motion(results, seeds, path):
    """Draw how well the visual words of each network agree with what is on screen."""
    asked = ("moment", "action", "verb", "ingredient")
    figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
    means = {}
    for i, (kind, (label, colour)) in enumerate(KINDS.items()):
        found = np.array([[results[f"{kind}-seed{seed}"][name] for seed in seeds] for name in asked])
        means[kind] = found.mean(1)
        at = np.arange(len(asked)) + 0.2 * (i - 1.5)
        ax.bar(at, found.mean(1), 0.19, color=colour, label=label.replace("\n", " "))
        for x, own in zip(at, found):
            ax.plot([x, x], [own.min(), own.max()], color="black", linewidth=1.2)
            ax.annotate(f"{own.mean():.2f}", (x, own.max()), xytext=(0, 2), textcoords="offset points", ha="center", fontsize=8)
    ax.set_xticks(range(len(asked)), ["(action, phase)", "action", "verb", "ingredient"])
    ax.set(ylim=(0, 1.05), ylabel="NMI of visual words with it")
    figure.legend(*ax.get_legend_handles_labels(), frameon=False, fontsize=9, ncols=4, loc="outside lower center")
    motion, vit = means["mini"][0] - means["shuffled"][0], means["vit"][0] - means["mini"][0]
    ax.set_title(f"For a visual word's (action, phase), motion is worth {motion:+.3f};\na ViT's mean over frames {vit:+.3f} against MiniS3D "
                 f"({'mean and range of ' + str(len(seeds)) + ' seeds' if len(seeds) > 1 else 'one seed'})", fontsize=11)
    bare(ax)
    save(figure, path)


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.vision.motion", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one seed, one clip of each (action, phase, style), 100 steps")
    parser.add_argument("--out", help="folder for clips, cells, motion.json and motion.png (default: runs/motion, or runs/motion-quick)")
    parser.add_argument("--processes", type=int, default=2, help="processes of one thread each")
    o = parser.parse_args(argv)
    out = Path(o.out or ("runs/motion-quick" if o.quick else "runs/motion"))
    cells, clips, seeds = plan(o.quick)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for seed, name in enumerate(("learned", "fitted", "tested"), 20):
            film(out / f"{name}.npy", clips, seed)
        results = run_cells(run_kind, cells, out / "cells", o.processes, "motion")
    except (ValueError, OSError) as error:
        fail(error)
    write_json(out / "motion.json", {"command": "python -m minivbert.vision.motion" + (" --quick" if o.quick else ""), "clips": clips,
                                     "seeds": list(seeds), "rows": results})
    plot_motion(results, seeds, out / "motion.png")
    print(f"{'NMI of visual words with':<26}" + "".join(f"{name:>12}" for name in ("moment", "action", "verb", "ingredient")))
    for kind in KINDS:
        row = [np.mean([results[f"{kind}-seed{seed}"][name] for seed in seeds]) for name in ("moment", "action", "verb", "ingredient")]
        print(f"{kind:<26}" + "".join(f"{x:12.3f}" for x in row))
    print(f"{out}/motion.json, {out}/motion.png")


if __name__ == "__main__":
    main()
