"""Pictures of the claims, one each, and of where a ViT looks. Titles say what was found, in the figures of the run itself.

Axes: as in `looking`.
"""
import numpy as np

from minivbert.plot import plt
from minivbert.vision.looking import attention_distance, even_distance, position_similarity, reach, rollout
from minivbert.vision.pictures import CNN, DEIT, GREY, VIT, bare, save

NETWORKS = {"convnet": ("ConvNet", CNN, "o-"), "vit": ("ViT", VIT, "s-")}
HELPS = [("neither", "vit", {}), ("distillation", "deit", {"distillation": "hard"}), ("augmentation", "vit", {"affine": True}),
         ("both", "deit", {"affine": True, "distillation": "hard"}),
         ("both, soft targets", "deit", {"affine": True, "distillation": "soft"}),           # this and the next: short training only
         ("distillation, and images\nthat only the teacher labels", "deit", {"distillation": "hard", "unlabelled": 0.75})]


def plot_data(table, path):
    """Draw accuracy against the number of training images for both networks: the gap at little data, and how it closes."""
    figure, ax = plt.subplots(figsize=(6.6, 4.2), layout="constrained")
    means = {}
    for model, (label, colour, style) in NETWORKS.items():
        found = np.array([table.get(model, n) for n in table.counts])
        means[model] = found.mean(1)
        ax.fill_between(table.counts, found.min(1), found.max(1), color=colour, alpha=0.2, linewidth=0)
        ax.plot(table.counts, means[model], style, color=colour, label=label)
        ax.annotate(label, (table.counts[0], means[model][0]), xytext=(0, 8 if model == "convnet" else -16), textcoords="offset points",
                    color=colour, fontweight="bold", ha="center")
    for n, top, bottom in zip(table.counts, means["convnet"], means["vit"]):
        ax.plot([n, n], [bottom, top], ":", color=GREY, linewidth=1)
        ax.annotate(f"{top - bottom:.1f}", (n, (top + bottom) / 2), xytext=(5, -3), textcoords="offset points", color=GREY, fontsize=9)
    chance_line(ax)
    ax.set(xscale="log", ylim=(0, 104), xlabel="training images (the same number of updates for each)", ylabel="test images right, %")
    ax.set_xlim(table.counts[0] / 1.35, table.counts[-1] * 1.4)
    ax.set_xticks(table.counts, [f"{n:,}" for n in table.counts])
    ax.minorticks_off()
    gap = means["convnet"] - means["vit"]
    ax.set_title(f"With {table.counts[0]:,} images the ConvNet is {gap[0]:.0f} points ahead,\nwith {table.counts[-1]:,} it is {gap[-1]:.0f} ahead "
                 f"({seeds_of(table)})", fontsize=11)
    bare(ax)
    save(figure, path)


def seeds_of(table):
    """Say what the bands or whiskers are."""
    return f"mean and range of {len(table.seeds)} seeds" if len(table.seeds) > 1 else "one seed"


def chance_line(ax, horizontal=True):
    """Draw the line of guessing, ten classes."""
    (ax.axhline if horizontal else ax.axvline)(10, color="black", linestyle=":", linewidth=1)
    if horizontal:
        ax.annotate("chance", (1, 10), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
    else:
        ax.annotate("chance", (10, 0), xycoords=("data", "axes fraction"), xytext=(3, 3), textcoords="offset points", fontsize=8)


def plot_shuffle(table, images, shuffle, path):
    """Draw what one fixed shuffle of the patches takes from each network. images: to show three, as they are and shuffled."""
    figure = plt.figure(figsize=(9, 4.3), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.9))
    pixels_NHWC = images.pixels_NHWC[:2]
    axes = left.subplots(2, 2)
    for row, (pixels, title) in enumerate(((pixels_NHWC, "as drawn"), (shuffle(pixels_NHWC), "shuffled"))):
        for ax, picture in zip(axes[row], pixels):
            ax.imshow(picture[..., 0], cmap="gray", vmin=0, vmax=255)
            ax.set(xticks=np.arange(3.5, 15, 4), yticks=np.arange(3.5, 15, 4), xticklabels=[], yticklabels=[])
            ax.tick_params(length=0)
            ax.grid(color="#E69F00", linewidth=0.7)
        axes[row][0].set_title(title, fontsize=10, loc="left")
    ax, ticks, lost = right.subplots(), [], {}
    for i, n in enumerate(table.shuffled):
        for j, (model, (label, colour, _)) in enumerate(NETWORKS.items()):
            x = 2.6 * i + 1.2 * j
            before, after = table.get(model, n), table.get(model, n, shuffled=True)
            lost[model, n] = (before - after).mean()
            for dx, found, hatch, alpha in ((-0.24, before, None, 1.0), (0.24, after, "///", 0.55)):
                ax.bar(x + dx, found.mean(), 0.44, color=colour, hatch=hatch, alpha=alpha, edgecolor="white")
                whisker(ax, x + dx, found)
                ax.annotate(f"{found.mean():.0f}", (x + dx, found.max()), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=9)
            ticks.append((x, f"{label}\n{n:,} images"))
    ax.set_xticks(*zip(*ticks))
    ax.set(ylim=(0, 108), ylabel="test images right, %")
    chance_line(ax)
    handles = [plt.Rectangle((0, 0), 1, 1, color=GREY), plt.Rectangle((0, 0), 1, 1, facecolor=GREY, hatch="///", alpha=0.55, edgecolor="white")]
    ax.legend(handles, ["as drawn", "patches shuffled"], frameon=False, fontsize=9, loc="upper right")
    bare(ax)
    n = table.shuffled[0]
    figure.suptitle(f"Shuffle the patches of all images alike: the ConvNet {lost_or_gained(lost['convnet', n])}, the ViT "
                    f"{lost_or_gained(lost['vit', n])}\n({n:,} images, {seeds_of(table)})", fontsize=11)
    save(figure, path)


def lost_or_gained(points):
    """Put a difference into words.

    >>> lost_or_gained(52.8), lost_or_gained(-1.9)
    ('loses 52.8 points', 'gains 1.9')
    """
    return f"loses {points:.1f} points" if points >= 0 else f"gains {-points:.1f}"


def whisker(ax, x, found):
    """Draw the range of the seeds over a bar."""
    if len(found) > 1:
        ax.plot([x, x], [found.min(), found.max()], color="black", linewidth=1.2)


def plot_help(table, path):
    """Draw what augmentation and distillation do for the ViT at little data, alone and together, short and long."""
    figure, axes = plt.subplots(1, len(table.lengths), figsize=(3.8 * len(table.lengths) + 2.8, 4.1), layout="constrained", sharey=True,
                                squeeze=False)
    for ax, steps in zip(axes[0], table.lengths):
        for y, (_, model, changes) in enumerate(HELPS if steps == table.lengths[0] else HELPS[:4]):
            found = table.get(model, steps=steps, **changes)
            ax.barh(y, found.mean(), 0.66, color=DEIT if model == "deit" else VIT)
            if len(found) > 1:
                ax.plot([found.min(), found.max()], [y, y], color="black", linewidth=1.2)
            ax.annotate(f"{found.mean():.1f}", (found.min(), y), xytext=(-4, 0), textcoords="offset points", ha="right", va="center",
                        color="white", fontsize=9)
        for changes, style, label in (({}, "--", "ConvNet"), ({"affine": True}, "-", "ConvNet, augmented")):
            ax.axvline(table.get("convnet", steps=steps, **changes).mean(), color=CNN, linestyle=style, linewidth=1.3, label=label)
        chance_line(ax, horizontal=False)
        ax.set(xlim=(0, 112), xlabel="test images right, %")
        ax.set_title(f"{steps:,} steps", fontsize=10)
        bare(ax)
    axes[0][0].set_yticks(range(len(HELPS)), [name for name, *_ in HELPS])
    axes[0][0].invert_yaxis()
    handles = [plt.Rectangle((0, 0), 1, 1, color=VIT), plt.Rectangle((0, 0), 1, 1, color=DEIT), *axes[0][0].get_legend_handles_labels()[0]]
    figure.legend(handles, ["ViT", "DeiT: the same and a teacher", "ConvNet", "ConvNet, augmented"], frameon=False, fontsize=9,
                  loc="outside lower center", ncols=2)
    long = table.lengths[-1]
    plain, helped = (table.get("vit", steps=long, affine=a).mean() for a in (False, True))
    both = table.get("deit", steps=long, affine=True, distillation="hard").mean()
    figure.suptitle(f"{table.counts[0]:,} images: augmentation gives the ViT {helped - plain:+.1f} points, a teacher on top of it "
                    f"{both - helped:+.1f}\n({long:,} steps, {seeds_of(table)})", fontsize=11)
    save(figure, path)


def plot_attention(classifier, images, path, count=8):
    """Draw the class token's attention, rolled out through all layers, over images, one of each of the first classes."""
    network, pixels_NHWC = classifier.network, images.pixels_NHWC
    rows = [int(np.flatnonzero(images.label_N == label)[0]) for label in range(min(count, len(images.names)))]
    x_BCHW = classifier.scaled(pixels_NHWC[rows])
    seen_BP = rollout(network.attention(x_BCHW), network.specials)
    guess_B = classifier.logits(pixels_NHWC[rows]).argmax(1)
    grid, p = network.config.grid, network.config.patch
    figure, axes = plt.subplots(2, len(rows), figsize=(1.35 * len(rows) + 0.3, 3.5), layout="constrained")
    top = float(seen_BP.max() * seen_BP.shape[1])
    for (above, below), row, seen_P, guess in zip(axes.T, rows, seen_BP, guess_B):
        for ax in (above, below):
            ax.imshow(pixels_NHWC[row].squeeze(), cmap="gray", vmin=0, vmax=255)
            ax.set(xticks=[], yticks=[])
        shares_YX = seen_P.reshape(grid).numpy() * len(seen_P)
        shown = below.imshow(np.kron(shares_YX, np.ones((p, p))), cmap="inferno", alpha=0.65, vmin=0, vmax=top)
        above.set_title(images.names[guess], fontsize=9, color="black" if guess == images.label_N[row] else CNN)
    figure.colorbar(shown, ax=axes[1], fraction=0.02, pad=0.01, label="times the mean")
    on, off = _on_and_off(classifier, images)
    figure.suptitle(f"The class token looks at the brightest quarter of the patches, the shape's mostly, {on / off:.1f} times as much as at "
                    "the others", fontsize=11)
    save(figure, path)


def _on_and_off(classifier, images, count=256):
    """Give the mean attention of the brightest quarter of the patches, most often the shape's, and of the rest."""
    network = classifier.network
    x_BCHW = classifier.scaled(images.pixels_NHWC[:count])
    seen_BP = rollout(network.attention(x_BCHW), network.specials)
    light_BP = network.patches(x_BCHW).mean(2)
    shape_BP = light_BP >= light_BP.quantile(0.75, dim=1, keepdim=True)
    return float(seen_BP[shape_BP].mean()), float(seen_BP[~shape_BP].mean())


def plot_distance(vit, convnet, images, path, count=256):
    """Draw how far each head of each layer looks, against what a convolution of the same depth can reach at most."""
    network = vit.network
    grid, p = network.config.grid, network.config.patch
    layers = network.attention(vit.scaled(images.pixels_NHWC[:count]))
    found = [attention_distance(w_BNTT, grid, p, network.specials) for w_BNTT in layers]
    fields = convnet.network.receptive_fields()
    figure, ax = plt.subplots(figsize=(6.6, 4.2), layout="constrained")
    for i, heads in enumerate(found, 1):
        ax.plot(np.full(len(heads), i), heads, "s", color=VIT, alpha=0.75, markersize=7, label="ViT: a head" if i == 1 else None)
    ax.plot(range(1, len(fields) + 1), [reach(side, vit.image) for side in fields], "o-", color=CNN,
            label="ConvNet: its whole receptive field")
    for i, side in enumerate(fields, 1):
        ax.annotate(f"{side} x {side}", (i, reach(side, vit.image)), xytext=(9, -12), textcoords="offset points", color=CNN, fontsize=9)
    even = even_distance(grid, p)
    ax.axhline(even, color="black", linestyle=":", linewidth=1, label="looking at all patches alike")
    ax.set(xlabel="layer", ylabel="mean distance of what is looked at, pixels", xticks=range(1, len(found) + 1),
           xlim=(0.6, len(found) + 0.6), ylim=(0, None))
    ax.legend(frameon=False, fontsize=9, loc="lower right")
    ax.set_title(f"In its first layer the ViT looks {float(found[0].min()):.1f} to {float(found[0].max()):.1f} pixels far,\nthe ConvNet "
                 f"{reach(fields[0], vit.image):.1f} at most", fontsize=11)
    bare(ax)
    save(figure, path)


def plot_positions(vit, path):
    """Draw, for each patch, how like its position is to that of every other patch."""
    network = vit.network
    rows, columns = network.config.grid
    alike_PP = position_similarity(network.positions, network.specials).numpy()
    figure, axes = plt.subplots(rows, columns, figsize=(1.05 * columns + 1.2, 1.05 * rows + 0.8), layout="constrained", squeeze=False)
    top = np.abs(alike_PP - np.eye(len(alike_PP))).max()
    for ax, alike_P, at in zip(axes.flat, alike_PP, range(len(alike_PP))):
        shown = ax.imshow(alike_P.reshape(rows, columns), cmap="RdBu_r", vmin=-top, vmax=top)
        ax.plot(at % columns, at // columns, "x", color="black", markersize=5)
        ax.set(xticks=[], yticks=[])
    figure.colorbar(shown, ax=axes, fraction=0.04, pad=0.02, label="cosine")
    near, far = neighbours_alike(alike_PP, rows, columns)
    figure.suptitle(f"Positions of neighbours: cosine {near:+.2f},\nof all other pairs: {far:+.2f}", fontsize=11)
    save(figure, path)


def neighbours_alike(alike_PP, rows, columns):
    """Give the mean similarity of patches that touch by a side, and of all other pairs.

    >>> neighbours_alike(np.array([[1, 2, 3], [2, 1, 2], [3, 2, 1]]), 1, 3)
    (2.0, 3.0)
    """
    y, x = np.divmod(np.arange(rows * columns), columns)
    steps_PP = abs(y[:, None] - y) + abs(x[:, None] - x)
    return float(alike_PP[steps_PP == 1].mean()), float(alike_PP[steps_PP > 1].mean())
