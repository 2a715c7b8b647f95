"""Pictures. Functions take arrays and an axes; titles state the finding, colours are safe for the colour-blind."""
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt          # noqa: E402  (the backend must be chosen first)

from minivbert.files import replace_file          # noqa: E402

COLOURS = {"text": "#0072B2", "video": "#D55E00", "alignment": "#009E73"}       # Okabe and Ito


def curve(ax, lines, key, colour, label, style="-"):
    """Draw one figure of the log against the step, where the log has it."""
    points = [(line["step"], line[key]) for line in lines if key in line]
    if points:
        ax.plot(*zip(*points), style, color=colour, label=label, linewidth=1.8 if style == "-" else 1.0,
                marker="o" if len(points) < 30 and style == "-" else None, markersize=3.5)


def plot_curves(lines, summary, path):
    """Draw the training and held-out curves of a run: text nats, video nats, alignment accuracy; write a PNG.

    lines: the log; summary: what is known of unigram and floor ("text_unigram_nats", "text_floor_nats", "alignment_ceiling", ...).
    """
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
    for ax, name in zip(axes, ("text", "video", "alignment")):
        key = f"{name}_accuracy" if name == "alignment" else f"{name}_nats"
        curve(ax, lines, key, COLOURS[name], "training (its own masking)", "--")
        curve(ax, lines, f"held_out_{key}", COLOURS[name], "held-out videos")
        marks = {f"{name}_unigram_nats": ("unigram", ":"), f"{name}_floor_nats": ("floor: exact Bayes", "-"),
                 f"{name}_ceiling": ("ceiling: exact Bayes", "-")}
        for mark, (label, style) in marks.items():
            if mark in summary:
                ax.axhline(summary[mark], color="black", linestyle=style, linewidth=1)
                ax.annotate(label, (1, summary[mark]), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
        last = next((line[f"held_out_{key}"] for line in reversed(lines) if f"held_out_{key}" in line), None)
        if name == "alignment":
            ax.axhline(0.5, color="black", linestyle=":", linewidth=1)
            ax.annotate("chance", (1, 0.5), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
            ax.set_title("Alignment" + (f": {last:.1%} right" if last is not None else ""), fontsize=10)
        else:
            ax.set_title(f"{name.capitalize()} cloze" + (f": {last:.2f} nats" if last is not None else ""), fontsize=10)
        ax.set_xlabel("step")
        ax.set_ylabel("accuracy" if name == "alignment" else "nats a masked token")
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False, fontsize=8, loc="center right")
    replace_file(Path(path), lambda temporary: figure.savefig(temporary, dpi=150))
    plt.close(figure)


def plot_visual_words(words, path, columns=12):
    """Draw visual words as their exemplars' frames in a grid; write a PNG.

    words: [(word, number of clips, frame (H, W, 3) uint8)].
    """
    rows = -(-len(words) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(columns, 1.25 * rows + 0.5), layout="constrained", squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, (word, count, frame) in zip(axes.flat, words):
        ax.imshow(frame)
        ax.set_title(f"v{word}: {count}", fontsize=7)
    figure.suptitle(f"The {len(words)} commonest visual words, each as the clip nearest its centroid, and how many clips have it",
                    fontsize=10)
    replace_file(Path(path), lambda temporary: figure.savefig(temporary, dpi=120))
    plt.close(figure)


PREDICTOR_COLOURS = {"unigram": "#BBBBBB", "bigram": "#E69F00", "model": "#0072B2", "oracle": "#000000"}


def plot_evaluation(summary, curves, gaps, path):
    """Draw an evaluation: nats a regime for each predictor, calibration, where the gap to the oracle sits; write a PNG.

    summary: {key: {predictor: [nats, accuracy]}}; curves: {(part, predictor): (stated, true, count)};
    gaps: {part: [(kind, share, excess nats)]}.
    """
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained", width_ratios=(1.3, 1, 1.1))
    keys = [key for key in summary if " in " in key and "alignment" not in key]
    for i, (name, colour) in enumerate(PREDICTOR_COLOURS.items()):
        rows = [(k, summary[key][name][0]) for k, key in enumerate(keys) if name in summary[key]]
        if rows:
            left.barh([k + 0.2 * (i - 1.5) for k, _ in rows], [nats for _, nats in rows], 0.2, color=colour, label=name)
    left.set_yticks(range(len(keys)), keys)
    left.invert_yaxis()
    left.set_xlabel("nats a masked token (less is better)")
    closed = [f"{part} {summary[part]['closed']:.0%}" for part in ("text", "video") if "closed" in summary.get(part, {})]
    left.set_title("Of the way from unigram to oracle the model went: " + ", ".join(closed) if closed else "Held-out losses",
                   fontsize=10)
    left.legend(frameon=False, fontsize=8)
    middle.plot([0, 1], [0, 1], ":", color="black", linewidth=1)
    for (part, name), (stated, true, _) in curves.items():
        middle.plot(stated, true, "o-" if name == "model" else "s--", color=COLOURS[part], markersize=4, linewidth=1.2,
                    alpha=1.0 if name == "model" else 0.5, label=f"{part}, {name}")
    middle.set(xlabel="stated probability of the best guess", ylabel="share that came true", aspect="equal")
    middle.set_title("A stated 70 % comes true in 70 %", fontsize=10)
    middle.legend(frameon=False, fontsize=8)
    for part, kinds in gaps.items():
        for kind, _, excess in kinds[:7]:
            right.barh(f"{part}: {kind}", excess, color=COLOURS[part])
    right.invert_yaxis()
    right.axvline(0, color="black", linewidth=0.8)
    right.set_xlabel("nats above the oracle, a token of the modality")
    right.set_title("Where the rest of the gap sits" if gaps else "No oracle: not a kitchen corpus", fontsize=10)
    for ax in (left, middle, right):
        ax.spines[["top", "right"]].set_visible(False)
    replace_file(Path(path), lambda temporary: figure.savefig(temporary, dpi=130))
    plt.close(figure)
