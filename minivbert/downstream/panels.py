"""Pictures of zero-shot classes, retrieval and questions: film beside words, and scores between chance and oracle.

Functions take arrays and write a PNG; colours are safe for the colour-blind (Okabe and Ito).
"""
import numpy as np

from minivbert.downstream.filmstrip import RIGHT, save, tile
from minivbert.plot import COLOURS, plt

PALE, DARK, PAPERS = "#BBBBBB", "#000000", "#E69F00"
ROW_COLOURS = {"cross-modal": COLOURS["text"], "supervised": "#56B4E9", "oracle": DARK, "oracle, in words": "#666666"}


def bars(ax, pairs, colour, marked=(), title=""):
    """Draw [(name, share)] as bars from the top down, percentages beside them; names in `marked` are drawn in green."""
    drawn = ax.barh(range(len(pairs)), [p for _, p in pairs], color=[RIGHT if name in marked else colour for name, _ in pairs], height=0.7)
    ax.bar_label(drawn, [f"{p:.0%}" for _, p in pairs], padding=3, fontsize=9)
    ax.set_yticks(range(len(pairs)), [name for name, _ in pairs], fontsize=10)
    ax.invert_yaxis()
    ax.set(xlim=(0, max(1.25 * max(p for _, p in pairs), 0.3)), xticks=[])
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    ax.set_title(title, fontsize=10)


def strip(grid_cell, figure, frames, most, name):
    """Draw up to `most` frames, evenly chosen, side by side under a name."""
    chosen = np.linspace(0, len(frames) - 1, min(most, len(frames))).round().astype(int)
    axes = grid_cell.subgridspec(1, most).subplots(squeeze=False)[0]
    for ax, k in zip(axes, chosen):
        tile(ax, frames[k])
    for ax in axes[len(chosen):]:
        ax.axis("off")
    axes[0].set_title(name, fontsize=10, loc="left")


def plot_named(examples, template, path):
    """Draw what the model calls stretches of film.

    examples: [(name, frames, verbs, objects, labels)]: lists of (word, probability); labels: the true words, if known.
    """
    figure = plt.figure(figsize=(11, 1.75 * len(examples) + 0.7), layout="constrained")
    grid = figure.add_gridspec(len(examples), 3, width_ratios=(2.6, 1, 1))
    for row, (name, frames, verbs, objects, labels) in enumerate(examples):
        strip(grid[row, 0], figure, frames, 5, name)
        bars(figure.add_subplot(grid[row, 1]), verbs, COLOURS["text"], labels, "verb" if row == 0 else "")
        bars(figure.add_subplot(grid[row, 2]), objects, COLOURS["video"], labels, "object" if row == 0 else "")
    known = ", the true label in green" if any(labels for *_, labels in examples) else ""
    figure.suptitle(f"What stands in the holes of “{template.replace('{V}', '____').replace('{I}', '____')}”{known}", fontsize=11)
    save(figure, path)


def plot_zero_shot(rows, paper, templates, path):
    """Draw zero-shot scores a row beside the paper's, and how far they move with the sentence.

    rows: {row: four figures [%]}, paper: the same with None where there is none, templates: {template: four figures}.
    """
    figure, axes = plt.subplots(1, 3, figsize=(14, 4.8), layout="constrained", width_ratios=(1, 1, 1.15))
    for ax, slot, name in zip(axes, (0, 2), ("verb", "object")):
        for y, (row, figures) in enumerate(rows.items()):
            colour = ROW_COLOURS.get(row, PALE)
            ax.barh(y, figures[slot + 1], 0.72, color=colour, alpha=0.35)
            ax.barh(y, figures[slot], 0.72, color=colour)
            ax.text(figures[slot + 1] + 1, y, f"{figures[slot]:.0f} / {figures[slot + 1]:.0f}", va="center", fontsize=9)
            for k, marker in ((slot, "D"), (slot + 1, "o")):
                if row in paper and paper[row][k] is not None:
                    ax.plot(paper[row][k], y, marker, color=PAPERS, markeredgecolor="black", markersize=6)
        ax.set_yticks(range(len(rows)), list(rows) if slot == 0 else [""] * len(rows))
        ax.invert_yaxis()
        ax.set(xlim=(0, 118), xticks=range(0, 101, 25), xlabel="% of steps (dark: top-1, pale: top-5)")
    cross = rows["cross-modal"]
    axes[0].set_title(f"Verbs: right at once {cross[0]:.0f} %, among five {cross[1]:.0f} %", fontsize=10)
    axes[1].set_title(f"Objects: right at once {cross[2]:.0f} %, among five {cross[3]:.0f} %", fontsize=10)
    axes[1].plot([], [], "D", color=PAPERS, markeredgecolor="black", label="the paper, top-1")
    axes[1].plot([], [], "o", color=PAPERS, markeredgecolor="black", label="the paper, top-5")
    figure.legend(frameon=False, fontsize=9, loc="outside lower center", ncols=4, handles=axes[1].get_legend_handles_labels()[0])
    ax = axes[2]
    for y, figures in enumerate(templates.values()):
        ax.plot(figures[0], y - 0.12, "s", color=COLOURS["text"], label="verb top-1" if y == 0 else None)
        ax.plot(figures[2], y + 0.12, "s", color=COLOURS["video"], label="object top-1" if y == 0 else None)
    ax.set_yticks(range(len(templates)), templates, fontsize=8)
    ax.invert_yaxis()
    ax.set(xlim=(0, 100), xlabel="% of steps")
    low, high = np.min(list(templates.values()), 0), np.max(list(templates.values()), 0)
    ax.set_title(f"By the sentence: verbs {low[0]:.0f} to {high[0]:.0f} %, objects {low[2]:.0f} to {high[2]:.0f} %", fontsize=10)
    ax.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1.0, 0.08))
    ax.grid(axis="x", color="#EEEEEE")
    ax.set_axisbelow(True)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    save(figure, path)


SEARCH_COLOURS = {"chance": PALE, "single stream": COLOURS["text"], "two streams": COLOURS["alignment"], "oracle": DARK}


def plot_retrieval(rows, cost, pool, path):
    """Draw R@k of both directions a kind of search, and what a query costs as the pool grows.

    rows: {row: {direction: {"R@1": share, ...}}}; cost: {row: {"encodings", "tokens", "ms"}} a query at this pool.
    """
    directions, keys = list(next(iter(rows.values()))), ("R@1", "R@5", "R@10")
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    for ax, direction in zip(axes, directions):
        for i, (name, row) in enumerate(rows.items()):
            x = np.arange(3) + 0.8 * ((i + 0.5) / len(rows) - 0.5)
            drawn = ax.bar(x, [100 * row[direction][key] for key in keys], 0.8 / len(rows), color=SEARCH_COLOURS[name], label=name)
            ax.bar_label(drawn, fmt="%.0f", fontsize=8, padding=1)
        ax.set_xticks(range(3), keys)
        ax.set(ylim=(0, 112), yticks=range(0, 101, 25), ylabel="% of queries")
        single, best = rows["single stream"][direction]["R@10"], rows.get("oracle", rows["single stream"])[direction]["R@10"]
        ax.set_title(f"{direction.capitalize()}: R@10 is {single / best:.0%} of the oracle's" if "oracle" in rows else direction.capitalize(),
                     fontsize=10)
    axes[0].legend(frameon=False, fontsize=8, loc="upper left")
    sizes = np.logspace(1, 6, 40)
    for name, one in cost.items():
        tokens = sizes * one["tokens"] / pool if one["encodings"] > 1 else np.full_like(sizes, one["tokens"])
        axes[2].loglog(sizes, tokens, color=SEARCH_COLOURS[name], linewidth=2)
        axes[2].annotate(name, (sizes[24], tokens[24]), textcoords="offset points", xytext=(-8, 8), color=SEARCH_COLOURS[name], fontsize=10,
                         ha="right" if one["encodings"] > 1 else "left")
    axes[2].axvline(pool, color=PALE, linestyle=":")
    axes[2].annotate("this pool", (pool, 2), textcoords="offset points", xytext=(4, 0), fontsize=9, color="#666666")
    axes[2].set(xlabel="films in the pool", ylabel="tokens encoded a query", ylim=(1, None))
    axes[2].set_title("What a query costs: a whole pool, or one sentence", fontsize=10)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def plot_found(title, found, path):
    """Draw films and the sentences that go with them: [(frames, probability of alignment, sentences)], best first."""
    most = min(max(len(frames) for frames, *_ in found), 6)
    figure = plt.figure(figsize=(4.3 + 1.25 * most, 1.35 * len(found) + 0.6), layout="constrained")
    grid = figure.add_gridspec(len(found), 2, width_ratios=(1.25 * most, 4.3))
    for row, (frames, p, sentences) in enumerate(found):
        strip(grid[row, 0], figure, frames, most, "")
        ax = figure.add_subplot(grid[row, 1])
        ax.axis("off")
        ax.text(0, 0.5, f"aligned: {p:.0%}\n" + "\n".join(sentences), va="center", fontsize=10, linespacing=1.5)
    figure.suptitle(title, fontsize=12)
    save(figure, path)


QUESTION_COLOURS = {"chance": PALE, "options only": "#CC79A7", "question only": PAPERS, "from scratch": "#56B4E9", "pretrained": COLOURS["text"],
                    "oracle": DARK}


def plot_questions(rows, columns, path):
    """Draw what share of questions each kind of model answers right: {row: figures [%]}, one a column."""
    figure, ax = plt.subplots(figsize=(10, 4.4), layout="constrained")
    for i, (name, row) in enumerate(rows.items()):
        x = np.arange(len(columns)) + 0.86 * ((i + 0.5) / len(rows) - 0.5)
        drawn = ax.bar(x, row, 0.86 / len(rows), color=QUESTION_COLOURS.get(name, PALE), label=name)
        ax.bar_label(drawn, fmt="%.0f", fontsize=8, padding=1)
    ax.set_xticks(range(len(columns)), [column.replace("->", "→") for column in columns], fontsize=11)
    ax.set(ylim=(0, 112), yticks=range(0, 101, 25), ylabel="% right, held-out shows")
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=len(rows), frameon=False, fontsize=9)
    if {"pretrained", "from scratch"} <= set(rows):
        ax.set_title(f"Open questions: {rows['pretrained'][0]:.0f} % right after pretraining, {rows['from scratch'][0]:.0f} % from scratch; "
                     f"without the film {rows.get('question only', [0])[0]:.0f} %", fontsize=11)
    save(figure, path)


def plot_answer(name, question, seconds, frames, best, path):
    """Draw what was seen, the question and the best answers [(word, probability)]."""
    figure = plt.figure(figsize=(11, 2.6), layout="constrained")
    grid = figure.add_gridspec(1, 2, width_ratios=(3, 1))
    strip(grid[0, 0], figure, frames, 6, f"{name}, {seconds[0]:g} to {seconds[1]:g} s")
    bars(figure.add_subplot(grid[0, 1]), best, COLOURS["text"])
    figure.suptitle(question, fontsize=13)
    save(figure, path)


def seeds_bar(ax, y, values, colour, **how):
    """Draw the mean of some seeds as a dot and their range as a line."""
    ax.plot([min(values), max(values)], [y, y], color=colour, linewidth=2.5, alpha=0.5)
    ax.plot(np.mean(values), y, "o", color=colour, markersize=6, **how)


def plot_tables(figures, paper, paper_sizes, path):
    """Draw the paper's three tables in miniature: zero-shot rows, the amount of data, captions; dots are means, lines the seeds' range.

    figures: as `tables.py` gathers them; paper: {row: four figures [%]}; paper_sizes: {"10K": four figures [%], ...}.
    """
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 4.8), layout="constrained", width_ratios=(1.15, 1, 1))
    rows = [row for row in ("majority class", "language prior, text only", "language prior", "shuffled video", "cross-modal", "supervised",
                            "oracle, in words", "oracle") if row in figures["zero-shot"]]
    for y, row in enumerate(rows):
        for k, name, shift in ((1, "verb", -0.16), (3, "object", 0.16)):
            colour = COLOURS["text"] if name == "verb" else COLOURS["video"]
            seeds_bar(left, y + shift, [seed[k] for seed in figures["zero-shot"][row]], colour, label=f"{name}, ours" if y == 0 else None)
            if paper.get(row, (None,) * 4)[k] is not None:
                left.plot(paper[row][k], y + shift, "D", color="white", markeredgecolor=colour, markersize=6,
                          label=f"{name}, the paper" if row == "majority class" else None)
    left.set_yticks(range(len(rows)), rows)
    left.invert_yaxis()
    left.set(xlim=(-3, 103), xlabel="top-5, % of steps")
    left.set_title("Table 1: zero-shot classes", fontsize=11)
    left.legend(frameon=False, fontsize=8, loc="upper right")
    sizes = [*paper_sizes, "all"]
    mean = lambda row: [float(np.mean(seed)) for seed in figures["zero-shot"][row]]
    for kind, colour in (("epochs", COLOURS["video"]), ("updates", COLOURS["text"])):
        found = [mean(f"{size} videos, equal {kind}") for size in paper_sizes] + [mean("cross-modal")]
        middle.plot(range(len(sizes)), [np.mean(x) for x in found], "o-", color=colour, label=f"ours, equal {kind}")
        middle.fill_between(range(len(sizes)), [min(x) for x in found], [max(x) for x in found], color=colour, alpha=0.2)
    middle.plot(range(len(sizes)), [np.mean(row) for row in (*paper_sizes.values(), paper["cross-modal"])], "D--", color=PAPERS,
                markeredgecolor="black", label="the paper (equal epochs)")
    middle.set_xticks(range(len(sizes)), [f"{size} of 312K" if size != "all" else "all" for size in sizes])
    middle.set(ylim=(0, None), xlabel="share of the training videos", ylabel="mean of the four columns, %")
    middle.set_title("Table 2: the amount of data", fontsize=11)
    middle.legend(frameon=False, fontsize=8)
    names = [row for row in ("no video", "shuffled", "raw", "video", "videobert", "both", "oracle", "truth") if row in figures["captions"]]
    for y, row in enumerate(names):
        seeds_bar(right, y, figures["captions"][row]["CIDEr"], COLOURS["alignment"])
    right.set_yticks(range(len(names)), names)
    right.invert_yaxis()
    right.set(xlim=(0, None), xlabel="CIDEr-D")
    right.set_title("Table 3: captions by their features", fontsize=11)
    for ax in (left, middle, right):
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="x" if ax is not middle else "y", color="#EEEEEE")
        ax.set_axisbelow(True)
    save(figure, path)
