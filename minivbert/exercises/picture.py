"""What each known mistake does to an attention map: the shipped model's first layer on a sentence and its clips, drawn right and wrong.

Only `attention` is changed, and only in that layer: queries, keys, values and mask are the same in every panel.

Axes: T queries, S keys.
"""
import matplotlib
import numpy as np
import torch

from minivbert import checkpoint
from minivbert.downstream.shared import DEFAULT_CORPUS, DEFAULT_RUN, lay_out
from minivbert.exercises.swap import installed
from minivbert.exercises.table import EXERCISES
from minivbert.files import replace_file
from minivbert.first_look import segment
from minivbert.tokens.corpus import Corpus

matplotlib.use("Agg")
import matplotlib.pyplot as plt          # noqa: E402  (the backend must be chosen first)

PADDING = 3                   # positions of padding in the row that is drawn


@torch.no_grad()
def first_layer(model, vocab, text, visual):
    """Give the arguments (q, k, v, mask) of the first layer's attention on one row, padded, and its tokens."""
    other = np.concatenate([text, text[:PADDING]])
    ids, types, keep, _ = lay_out(vocab, [text, other], [visual, visual])
    seen, reference = [], EXERCISES["attention"].reference

    def record(*args):
        seen.append(args)
        return reference(*args)

    with installed({"attention": record}):
        model.train().encode(ids, types, keep)          # in evaluation mode a fused kernel stands in for `attention`
    q, k, v, mask, *_ = seen[0]
    names = [vocab.vocab[i] if i < len(vocab) else "[>]" if i == len(vocab) else f"v{i - len(vocab) - 1}" for i in ids[0].tolist()]
    return (q, k, v, mask), names


def sharpest(weights_HTS):
    """Choose the head whose queries look at the fewest keys: its number."""
    return int(weights_HTS.square().sum(-1).mean(-1).argmax())


def draw(path, show=3, sentence=0):
    """Draw the map of one head without a mistake and with each; write a PNG. show, sentence: of the sample corpus."""
    model, _ = checkpoint.load_model(DEFAULT_RUN)
    corpus = Corpus.open(DEFAULT_CORPUS)
    text, clips = segment(corpus, show, sentence)
    arguments, names = first_layer(model, corpus.vocab, text[:8], corpus.video(show)[clips].astype(int)[:6])
    exercise = EXERCISES["attention"]
    right_HTS = exercise.correct()(*arguments)[1][0]
    head = sharpest(right_HTS)
    maps = [("right", right_HTS[head])]
    for mistake in exercise.mistakes:
        if mistake.name != "no-dropout":                # which changes no map
            torch.manual_seed(0)
            rate = 0.4 if mistake.name == "gives-dropped-weights" else 0.0
            maps.append((mistake.name, exercise.broken(mistake)(*arguments, rate)[1][0, head]))
    plot_maps(maps, names, path)


def plot_maps(maps, names, path, columns=4):
    """Draw attention maps [(title, (T, S))] as a grid; names: of the T tokens; the first map is the right one; write a PNG."""
    rows = -(-len(maps) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.3 * columns + 1, 3.3 * rows + 1), layout="constrained", sharex=True, sharey=True)
    figure.get_layout_engine().set(h_pad=0.12, hspace=0.05)
    for i, (ax, (title, map_TS)) in enumerate(zip(axes.flat, maps)):
        image = ax.imshow(map_TS.numpy(), vmin=0, vmax=1, cmap="viridis")
        sums = map_TS.sum(-1)
        whole = torch.allclose(sums, torch.ones_like(sums), atol=1e-3)
        told = "rows sum to 1" if whole else f"rows sum to {sums.min():.1f} to {sums.max():.1f}"
        told = "NaN where the key is padding" if sums.isnan().any() else told
        ax.set_title(f"{title}\n{told}", fontsize=11, color="#009E73" if i == 0 else "black" if whole else "#D55E00")
        ax.set_xticks(range(len(names)), names, rotation=90, fontsize=7.5)
        ax.set_yticks(range(len(names)), names, fontsize=7.5)
        ax.tick_params(length=0)
    for ax in axes.flat[len(maps):]:
        ax.axis("off")
    figure.suptitle("One head's attention, right and with each known mistake: a row is a query, a column the key it looks at", fontsize=13)
    figure.colorbar(image, ax=axes, shrink=0.5, label="attention weight")
    replace_file(path, lambda temporary: figure.savefig(temporary, dpi=110))
    plt.close(figure)
