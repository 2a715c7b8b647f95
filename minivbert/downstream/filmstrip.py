"""Pictures of the downstream commands: filmstrips of frames and exemplars, scores by steps ahead.

Functions take arrays and write a PNG; colours are safe for the colour-blind (Okabe and Ito).
"""
import numpy as np

from minivbert.files import replace_file
from minivbert.plot import COLOURS, PREDICTOR_COLOURS, plt

STYLES = {"unigram": ":", "bigram": "--", "trigram": "-.", "model": "-", "oracle": "-"}
SHADES = PREDICTOR_COLOURS | {"trigram": "#CC79A7"}
RIGHT = "#009E73"


def save(figure, path, dpi=130):
    """Write a figure beside its place, rename it, close it."""
    replace_file(path, lambda temporary: figure.savefig(temporary, dpi=dpi))
    plt.close(figure)


def tile(ax, frame, below="", colour="black", frame_colour=None, size=9):
    """Show one frame without ticks, a line of text below it, and a coloured border if asked."""
    ax.imshow(frame)
    ax.set(xticks=[], yticks=[])
    ax.set_xlabel(below, fontsize=size, color=colour, labelpad=2)
    for spine in ax.spines.values():
        spine.set(visible=frame_colour is not None, color=frame_colour, linewidth=3)


def plot_forecast(name, first, at, tokens, frames, ahead, exemplars, names, path, note=""):
    """Draw a forecast in the manner of VideoBERT's Fig. 2: the past, and a column a step ahead with what came and the best guesses.

    first, at: the past is clips first .. at - 1; tokens, frames: of the whole video; ahead: [(step, [(visual word, p)])];
    exemplars (C, H, W, 3) uint8; names: what each visual word shows, a list of C str, empty where that is not known; note: a warning to
    stand below.
    """
    rows, shown = 1 + len(ahead[0][1]), list(range(first, at))
    across = max(3, -(-len(shown) // rows))
    figure = plt.figure(figsize=(1.32 * (across + len(ahead)) + 0.9, 1.62 * rows + 0.8 + 0.3 * bool(note)), layout="constrained")
    if note:
        figure.supxlabel(note, fontsize=11, color="#D55E00", fontweight="bold")
    left, right = figure.subfigures(1, 2, width_ratios=(across, len(ahead) + 0.45))
    left.suptitle(f"{name}: the last {len(shown)} clips", fontsize=11)
    right.suptitle("what comes next?", fontsize=11)
    for k, ax in enumerate(left.subplots(rows, across, squeeze=False).flat):
        if k < len(shown):
            clip = shown[k]
            tile(ax, frames[clip], f"v{tokens[clip]} {names[tokens[clip]]}", size=8)
            ax.set_title(f"{1.5 * (clip - at + 1):.1f} s" if clip < at - 1 else "now", fontsize=9)
        else:
            ax.axis("off")
    axes = right.subplots(rows, len(ahead), squeeze=False)
    for column, (h, words) in enumerate(ahead):
        clip = at + h - 1
        came = int(tokens[clip]) if clip < len(tokens) else None
        if came is None:
            tile(axes[0, column], np.full_like(exemplars[0], 235), "not filmed yet", colour="#666666", size=8)
        else:
            tile(axes[0, column], frames[clip], f"v{came} {names[came]}", size=8)
        axes[0, column].set_title(f"+{1.5 * h:.1f} s", fontsize=9)
        for ax, (v, p) in zip(axes[1:, column], words):
            tile(ax, exemplars[v], f"v{v} {names[v]}", frame_colour=RIGHT if v == came else None, size=8)
            ax.set_title(f"{p:.0%}", fontsize=10, color=RIGHT if v == came else COLOURS["video"], fontweight="bold", pad=3)
    for ax, label in zip(axes[:, 0], ("what came", "best guess", "second", "third")):
        ax.set_ylabel(label, fontsize=10)
    save(figure, path, dpi=100)


def plot_forecast_scores(found, path):
    """Draw top-3 accuracy and nats against clips ahead, a line a predictor. found: what `forecast.score` returns.

    Where the oracle is known, nats are drawn as what each predictor loses to it, without the unigram, who loses most.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    names, least = [name for name in STYLES if name in found], np.array(found.get("oracle", {"nats": 0.0})["nats"])
    for name in names:
        look = dict(color=SHADES[name], marker="o", markersize=4, linewidth=2.4 if name == "model" else 1.5,
                    label={"oracle": "oracle: exact Bayes"}.get(name, name))
        left.plot(found["steps"], found[name]["top3"], STYLES[name], **look)
        if name not in ("unigram", "oracle"):
            right.plot(found["steps"], np.array(found[name]["nats"]) - least, STYLES[name], **look)
    for ax in (left, right):
        ax.set(xlabel="clips ahead (1.5 s each)", xticks=found["steps"])
        ax.spines[["top", "right"]].set_visible(False)
    left.set(ylim=(0, 1), ylabel="truth among the three best")
    left.yaxis.set_major_formatter("{x:.0%}")
    right.set_ylim(0)
    right.set_ylabel("nats above the oracle (less is better)" if "oracle" in found else "nats (less is better)")
    shares = [f"{found[name]['top3'][0]:.0%} {name}" for name in names if name != "unigram"]
    left.set_title("One clip ahead: " + ", ".join(shares), fontsize=10)
    right.set_title(f"The last of 16 clips: {found['windows']} windows of held-out videos", fontsize=10)
    left.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(0, 0.3))
    save(figure, path)


def plot_film(sentences, takes, exemplars, names, path):
    """Draw films of sentences, a block a sentence, the ways of filling them side by side.

    takes: {way: [(visual words (N,), confidences (N,)) a sentence]}; exemplars (C, H, W, 3) uint8; names: C str, what a word shows.
    """
    most = max(len(film) for own in takes.values() for film, _ in own)
    wide = max(most, 2)
    width = 1.32 * wide * len(takes) + 0.4
    figure = plt.figure(figsize=(width, 2.2 * len(sentences)), layout="constrained")
    blocks = figure.subfigures(len(sentences), 1, squeeze=False)[:, 0]
    for k, (block, sentence) in enumerate(zip(blocks, sentences)):
        block.suptitle(sentence, fontsize=min(13, 72 * width / (0.68 * len(sentence))), fontweight="bold", color=COLOURS["text"])
        for part, (way, own) in zip(block.subfigures(1, len(takes), squeeze=False)[0], takes.items()):
            film, sure = own[k]
            for n, ax in enumerate(part.subplots(1, wide, squeeze=False)[0]):
                if n < len(film):
                    tile(ax, exemplars[film[n]], f"v{film[n]} {names[film[n]]}", size=8)
                    ax.set_title(f"{sure[n]:.0%}", fontsize=9, color=COLOURS["video"], pad=3)
                else:
                    ax.axis("off")
            part.suptitle(way, fontsize=10, color="#555555")
    save(figure, path)


def plot_film_scores(found, path):
    """Draw how far films show what is said, and how well the real clips are guessed. found: what `text_to_video.score` returns."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained", width_ratios=(1.5, 1))
    names = sorted(found["films"], key=lambda name: found["films"][name]["purity"])
    purity = [found["films"][name]["purity"] for name in names]
    shades = [SHADES["model"] if name.startswith("model, ") and "other" not in name else SHADES["oracle"] if name.startswith("oracle")
              else SHADES["unigram"] for name in names]
    left.bar_label(left.barh(names, purity, color=shades, height=0.65), [f"{p:.0%}" for p in purity], padding=3, fontsize=9)
    left.set(xlim=(0, 1.08), xlabel="purity: share of a word's clips that show the action said")
    best = {who: max(p for n, p in zip(names, purity) if n.startswith(who) and "other" not in n) for who in ("model", "oracle")}
    left.set_title(f"Films show the action said: model {best['model']:.0%}, oracle {best['oracle']:.0%}", fontsize=10)
    for i, name in enumerate(n for n in ("unigram", "model", "oracle") if n in found["clips guessed"]):
        own = found["clips guessed"][name]
        right.bar([k + 0.27 * (i - 1) for k in range(3)], [own[f"top{t}"] for t in (1, 3, 5)], 0.27, color=SHADES[name], label=name)
    right.set_xticks(range(3), ["top-1", "top-3", "top-5"])
    right.set(ylim=(0, 1), ylabel="share of the real clips")
    right.yaxis.set_major_formatter("{x:.0%}")
    right.set_title("The real clip guessed from the text alone", fontsize=10)
    right.legend(frameon=False, fontsize=9, loc="upper left")
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
    save(figure, path)
