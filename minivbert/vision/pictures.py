"""Pictures of the vision half. Functions take arrays and write a PNG; titles state the finding, colours are safe for the colour-blind."""
from pathlib import Path

import numpy as np
import torch

from minivbert.files import replace_file
from minivbert.plot import curve, plt
from minivbert.vision.augment import affine, cutmix, erase, mixup

VIT, CNN, DEIT, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"          # Okabe and Ito


def save(figure, path, dpi=130):
    """Write a figure as a PNG and close it."""
    replace_file(Path(path), lambda temporary: figure.savefig(temporary, dpi=dpi))
    plt.close(figure)


def bare(ax):
    """Take away the frame's upper and right side."""
    ax.spines[["top", "right"]].set_visible(False)


def plot_training(lines, chance, path):
    """Draw loss and accuracy of a run against the step. lines: the log; chance: accuracy of guessing."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for ax, key, unit in ((left, "loss", "nats an image"), (right, "accuracy", "share of images right")):
        curve(ax, lines, key, VIT, "training, images as changed", "--")
        curve(ax, lines, f"held_out_{key}", VIT, "held-out images")
        ax.set(xlabel="step", ylabel=unit)
        ax.set_ylim(bottom=0)
        bare(ax)
    right.axhline(chance, color="black", linestyle=":", linewidth=1)
    right.annotate("chance", (1, chance), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
    right.set_ylim(0, 1.02)
    last = [line["held_out_accuracy"] for line in lines if "held_out_accuracy" in line]
    left.set_title("Loss", fontsize=10)
    right.set_title(f"{last[-1]:.1%} of the held-out images right" if last else "Accuracy", fontsize=10)
    left.legend(frameon=False, fontsize=8)
    save(figure, path)


def plot_confusion(confusion_KK, names, path):
    """Draw which class is taken for which. confusion (K, K) int: rows the truth, columns the guess."""
    K = len(names)
    share_KK = confusion_KK / np.maximum(confusion_KK.sum(1, keepdims=True), 1)
    size = 2.2 + max(0.42 * K, 2.5) if K <= 30 else 0.17 * K + 2.5
    figure, ax = plt.subplots(figsize=(size, size * 0.92), layout="constrained")
    ax.imshow(share_KK, cmap="Blues", vmin=0, vmax=1)
    if K <= 30:
        for i, j in zip(*np.nonzero(confusion_KK)):
            if share_KK[i, j] >= 0.005:
                ax.text(j, i, f"{share_KK[i, j]:.0%}".rstrip("%"), ha="center", va="center", fontsize=8,
                        color="white" if share_KK[i, j] > 0.5 else "black")
    ax.set_xticks(range(K), names, rotation=90, fontsize=9 if K <= 30 else 6)
    ax.set_yticks(range(K), names, fontsize=9 if K <= 30 else 6)
    ax.set(xlabel="guess", ylabel="truth")
    off = confusion_KK * (1 - np.eye(K, dtype=int))
    i, j = np.unravel_index(off.argmax(), off.shape)
    right = np.trace(confusion_KK) / max(confusion_KK.sum(), 1)
    worst = f";\nmost often wrong: {names[i]} for {names[j]}, {share_KK[i, j]:.0%}" if off.any() else ""
    ax.set_title(f"{right:.1%} right, % of a row{worst}".replace(f"{names[i]} for", f"{names[i]} taken for"), fontsize=10)
    save(figure, path)


def plot_changes(x_BCHW, label_B, names, path):
    """Draw grey images as they are and after each change, with the targets that they then have.

    x (B, 1, H, W) float32, scaled to mean 0 and standard deviation 1; label (B,) int; names: of the classes.
    """
    target_BK = torch.nn.functional.one_hot(torch.as_tensor(label_B), len(names)).float()
    rng = np.random.default_rng(1)
    rows = [("as drawn", x_BCHW, target_BK), ("affine: turned,\nscaled, shifted", affine(x_BCHW, rng), target_BK),
            ("Mixup", *mixup(x_BCHW, target_BK, rng)), ("CutMix", *cutmix(x_BCHW, target_BK, rng)),
            ("erasing", erase(x_BCHW, rng, share=1.0), target_BK)]
    B = len(x_BCHW)
    figure, axes = plt.subplots(len(rows), B, figsize=(1.35 * B + 1.3, 1.62 * len(rows) + 0.4), layout="constrained", squeeze=False)
    for row, (name, changed_BCHW, shares_BK) in zip(axes, rows):
        for ax, picture, share_K in zip(row, changed_BCHW, shares_BK):
            ax.imshow(picture[0].numpy(), cmap="gray", vmin=-2, vmax=3)
            ax.set(xticks=[], yticks=[])
            best = [k for k in share_K.argsort(descending=True)[:2].tolist() if share_K[k] >= 0.005]
            ax.set_xlabel("\n".join(names[k] + ("" if share_K[k] > 0.995 else f" {share_K[k]:.0%}") for k in best), fontsize=8)
        row[0].set_ylabel(name, fontsize=10)
    figure.suptitle("What is done to images, and what they are then called", fontsize=11)
    save(figure, path)
