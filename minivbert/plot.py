"""Pictures. Functions take arrays and an axes; titles state the finding, colours are safe for the colour-blind."""
from pathlib import Path

import matplotlib
import matplotlib.ticker
import numpy as np

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
        marks = {"alignment_ceiling": ("ceiling: exact Bayes", "-")} if name == "alignment" else {
            f"{name}_unigram_nats": ("unigram", ":"), f"{name}_floor_nats": ("floor: exact Bayes", "-")}
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
        ax.set_ylim(bottom=0.4 if name == "alignment" else 0)
        ax.set_ylabel("accuracy" if name == "alignment" else "nats a masked token")
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False, fontsize=8, loc="center right", bbox_to_anchor=(1, 0.35 if name == "alignment" else 0.6))
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
    left.legend(frameon=False, fontsize=8, loc="lower right")
    middle.plot([0, 1], [0, 1], ":", color="black", linewidth=1)
    for (part, name), (stated, true, _) in curves.items():
        middle.plot(stated, true, "o-" if name == "model" else "s--", color=COLOURS[part], markersize=4, linewidth=1.2,
                    alpha=1.0 if name == "model" else 0.5, label=f"{part}, {name}")
    middle.set(xlabel="stated probability of the best guess", ylabel="share that came true", aspect="equal")
    middle.set_title("Calibration: the diagonal is perfect", fontsize=10)
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


def plot_first_look(frames, visual, words, word_at, clip_at, word_guesses, clip_guesses, path):
    """Draw a film strip, its visual words and sentences with one of each hidden, and the model's guesses; write a PNG.

    frames: list of (H, W, 3) uint8; visual: their visual words; words: tokens; word_at, clip_at: what is hidden;
    word_guesses: [(word, probability)]; clip_guesses: [(visual word, exemplar frame, probability)].
    """
    n, guesses = len(frames), len(clip_guesses)
    figure = plt.figure(figsize=(11, 5.0), layout="constrained")
    strip, sentence, answers = figure.subfigures(3, 1, height_ratios=(1.35, 0.4, 1.9))
    for k, ax in enumerate(strip.subplots(1, n)):
        ax.imshow(np.full_like(frames[k], 225) if k == clip_at else frames[k])
        if k == clip_at:
            ax.text(0.5, 0.5, "?", transform=ax.transAxes, ha="center", va="center", fontsize=30, color=COLOURS["video"])
        ax.set_title("[MASK]" if k == clip_at else f"v{visual[k]}", fontsize=10, family="monospace",
                     color=COLOURS["video"] if k == clip_at else "black", fontweight="bold" if k == clip_at else "normal")
        ax.set(xticks=[], yticks=[])
    ax = sentence.subplots()
    ax.axis("off")
    shown = ["[MASK]" if i == word_at else word for i, word in enumerate(words)]
    width, x = sum(len(word) + 1 for word in shown), 0
    for i, word in enumerate(shown):
        ax.text((x + len(word) / 2) / width, 0.5, word, ha="center", va="center", family="monospace", fontsize=min(13, 1250 / width / 1.15),
                color=COLOURS["text"] if i == word_at else "black", fontweight="bold" if i == word_at else "normal")
        x += len(word) + 1
    left, *rights = answers.subplots(1, 1 + guesses, width_ratios=(1.8, *[1] * guesses))
    bars = left.barh([word for word, _ in word_guesses], [p for _, p in word_guesses], color=COLOURS["text"], height=0.6)
    left.bar_label(bars, [f"{p:.0%}" for _, p in word_guesses], padding=3)
    left.invert_yaxis()
    left.set(xlim=(0, 1.15), xticks=[])
    left.spines[["top", "right", "bottom"]].set_visible(False)
    left.set_title(f"the hidden word (said: {words[word_at]})", fontsize=10, color=COLOURS["text"])
    for ax, (word, frame, p) in zip(rights, clip_guesses):
        ax.imshow(frame)
        right = word == visual[clip_at]
        ax.set_xlabel(f"v{word}: {p:.0%}" + (", the one shown" if right else ""), fontsize=10, color=COLOURS["video"])
        ax.set(xticks=[], yticks=[])
        for spine in ax.spines.values():
            spine.set(color=COLOURS["video"], linewidth=2.5 if right else 0.5)
    rights[len(rights) // 2].set_title("the hidden moment: the model's three best visual words", fontsize=10, color=COLOURS["video"])
    replace_file(Path(path), lambda temporary: figure.savefig(temporary, dpi=130))
    plt.close(figure)


LEVEL_COLOURS = ("#0072B2", "#D55E00")


def plot_ablations(differences, path):
    """Draw what each change does to each figure, in points against the baseline: seeds as dots, mean and margin as a bar; write a PNG.

    differences: {(kind of input, part): {level: [(row, points of each seed, margin)]}}, at most two levels. What lies far outside is
    told at the edge.
    """
    kinds, parts = (list(dict.fromkeys(key[i] for key in differences)) for i in (0, 1))
    figure, axes = plt.subplots(len(kinds), len(parts), figsize=(12.5, 3.9 * len(kinds)), layout="constrained", sharey=True, squeeze=False)
    for (kind, part), levels in differences.items():
        ax = axes[kinds.index(kind), parts.index(part)]
        means = np.abs([np.mean(points) for rows in levels.values() for _, points, _ in rows])
        limit = max(2.0, 2.0 * float(np.quantile(means, 0.7)))
        for k, (level, rows) in enumerate(levels.items()):
            for y, (_, points, margin) in enumerate(rows):
                y, mean = y + 0.32 * (k - 0.5), float(np.mean(points))
                if abs(mean) > limit:
                    side = np.sign(mean)
                    ax.annotate(f"{mean:+.0f}", (side * limit * 0.98, y), ha="right" if side > 0 else "left", va="center", fontsize=8,
                                color=LEVEL_COLOURS[k])
                    continue
                ax.errorbar(mean, y, xerr=margin, color=LEVEL_COLOURS[k], fmt="s", markersize=4, linewidth=1.4)
                ax.plot(points, [y] * len(points), ".", color=LEVEL_COLOURS[k], alpha=0.5, markersize=4)
        ax.axvline(0, color="black", linewidth=0.8)
        ax.set(xlim=(-limit, limit), yticks=range(len(rows)), yticklabels=[name for name, *_ in rows])
        ax.set_title(f"{part.capitalize()}, {kind} inputs", fontsize=10)
        ax.set_xlabel("points of pairs told apart" if part == "alignment" else "points of the way to the floor")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0, 0].invert_yaxis()
    handles = [plt.Line2D([], [], color=colour, marker="s", markersize=4, label=f"narration {level}")
               for colour, level in zip(LEVEL_COLOURS, levels)]
    figure.legend(handles=handles, frameon=False, fontsize=9, loc="outside lower center", ncols=2)
    figure.suptitle("One change at a time against the baseline: left of the line is worse; a bar across the line is no difference", fontsize=11)
    replace_file(Path(path), lambda temporary: figure.savefig(temporary, dpi=130))
    plt.close(figure)


def plot_time_to_floor(runs, closed, below, path):
    """Draw how runs come to the floor: what is left of the way, on a logarithmic scale, and alignment accuracy, against seconds; write a PNG.

    runs: a dict each, {"text", "video": [(seconds, share of the way)], "alignment": [(seconds, accuracy)], "ceiling": accuracy};
    closed: the bar for the share; below: the bar for alignment, below the ceiling.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained", width_ratios=(1.25, 1))
    for n, curves in enumerate(runs):
        for part in ("text", "video"):
            seconds, share = np.array(curves[part]).T
            left.plot(seconds, np.clip(1 - share, 1e-3, 1), "-o", color=COLOURS[part], markersize=3, linewidth=1.2, alpha=0.8,
                      label=None if n else part)
        right.plot(*zip(*curves["alignment"]), "-o", color=COLOURS["alignment"], markersize=3, linewidth=1.2, alpha=0.8)
    left.axhline(1 - closed, color="black", linestyle="--", linewidth=1)
    left.annotate(f"bar: {closed:.0%}", (0.01, 1 - closed), xycoords=("axes fraction", "data"), va="bottom", fontsize=9)
    left.set_yscale("log")
    ticks = [share for share in (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99) if 1 - share >= left.get_ylim()[0]]
    left.set_yticks([1 - share for share in ticks], [f"{share:.0%}" for share in ticks])
    left.minorticks_off()
    left.invert_yaxis()
    left.set_ylabel("of the way from unigram to floor")
    last = {part: [curves[part][-1][1] for curves in runs] for part in ("text", "video", "alignment")}
    told = ", ".join(f"{part} {np.mean(last[part]):.1%}" for part in ("text", "video"))
    seeds = f"{len(runs)} seed{'s' * (len(runs) > 1)}"
    left.set_title(f"Cloze: {told} of the way in {max(c['text'][-1][0] for c in runs):.0f} s ({seeds})", fontsize=10)
    left.legend(frameon=False, fontsize=9, loc="lower right")
    ceiling = np.mean([curves["ceiling"] for curves in runs])
    for value, style, label, side, x in ((ceiling, "-", "ceiling: exact Bayes", "bottom", 0.01),
                                         (ceiling - below, "--", "bar: 1 point below", "top", 0.01), (0.5, ":", "chance", "bottom", 0.9)):
        right.axhline(value, color="black", linestyle=style, linewidth=1)
        right.annotate(label, (x, value), xycoords=("axes fraction", "data"), va=side, fontsize=9)
    right.set(ylabel="pairs told apart", ylim=(0.45, min(1.0, ceiling + 0.05)))
    right.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0, decimals=0))
    right.set_title(f"Alignment: {np.mean(last['alignment']):.1%} where {ceiling:.1%} is possible", fontsize=10)
    for ax in (left, right):
        ax.set_xlabel("seconds of training")
        ax.set_xlim(left=0)
        ax.spines[["top", "right"]].set_visible(False)
    replace_file(Path(path), lambda temporary: figure.savefig(temporary, dpi=150))
    plt.close(figure)
