"""What the notebooks share: the sentence and the four clips that all of them follow, and pictures that can also be read aloud.

    followed(corpus)     show 8 of the data sample, its second sentence: "now let me show you how to slice the bread." over four clips
    row_of(corpus, f)    that sentence and these clips as one input, [CLS] text [>] video [SEP]
    shapes(x=x, y=y)     a line an array: name, shape, kind
    keep(figure, ...)    a figure as a small PNG with a text for those who cannot see it, and one printed sentence under it

The notebooks import the package and show its source; none of its functions is written here again.

Axes: N clips, H height, W width, T tokens, S tokens looked at.
"""
import io
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from IPython.display import Image, display
from PIL import Image as Pillow

from minivbert.config import DATA_SAMPLE
from minivbert.plot import COLOURS, plt
from minivbert.tokens.captions import read_captions, sentences_of
from minivbert.tokens.frames import CLIP_FRAMES, FPS, clips_of

SHOW, SENTENCE = 8, 1                   # its four clips have four different visual words, all three phases of slicing
SHADES = {"special": "#DDDDDD", "text": "#CFE4F3", "video": "#F9DCC8", "hidden": "#F0E442"}


@dataclass(frozen=True)
class Followed:
    """One sentence of a show and its clips.

    video: path of the .mp4; text, start, end [s]: the sentence; first: number of the first clip in the show; clips (N, 30, H, W, 3)
    uint8; tokens (N,) int: their visual words in the corpus; ids: the sentence's WordPiece ids.
    """
    video: Path
    text: str
    start: float
    end: float
    first: int
    clips: np.ndarray
    tokens: np.ndarray
    ids: list


def followed(corpus):
    """Open the sentence and the clips that all notebooks follow; corpus: the data sample's."""
    path = DATA_SAMPLE / "videos" / f"show_{SHOW:03d}.mp4"
    text, start, end = sentences_of(read_captions(path.with_suffix(".vtt")))[SENTENCE]
    seconds = CLIP_FRAMES / FPS
    first, last = int(start // seconds), int(-(-end // seconds))
    clips = np.stack(list(clips_of(path))[first:last])
    return Followed(path, text, start, end, first, clips, corpus.video(SHOW)[first:last].astype(int), corpus.vocab.encode(text))


def row_of(corpus, f):
    """Lay out [CLS] text [>] video [SEP]: ids, types (1, T) int64, keep (1, T) bool, and a label for each token."""
    vocab, joint = corpus.vocab, len(corpus.vocab)
    ids = torch.tensor([[vocab.cls, *f.ids, joint, *(joint + 1 + f.tokens).tolist(), vocab.sep]])
    types = (torch.arange(ids.shape[1]) > 1 + len(f.ids)).long()[None]
    return ids, types, torch.ones_like(ids, dtype=torch.bool), names_of(corpus, ids[0])


def names_of(corpus, ids_T):
    """Name the tokens of a row: words, "[>]", "v127"."""
    joint = len(corpus.vocab)
    return [corpus.vocab.vocab[i] if i < joint else "[>]" if i == joint else f"v{i - joint - 1}" for i in map(int, ids_T)]


def shapes(**arrays):
    """Print a line an array: name, shape, kind of number."""
    wide = max(map(len, arrays))
    for name, x in arrays.items():
        print(f"{name:<{wide}}  {tuple(x.shape)!s:<24} {str(x.dtype).removeprefix('torch.')}")


def keep(figure, alt, finding, dpi=90):
    """Show a figure as a PNG of at most 256 colours, with `alt` for those who cannot see it, and print what it shows in one sentence."""
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, dpi=dpi)
    plt.close(figure)
    Pillow.open(drawn).convert("RGB").quantize(256, dither=Pillow.Dither.NONE).save(small, "png", optimize=True)
    display(Image(small.getvalue(), format="png", alt=alt))
    print(textwrap.fill(finding, 110))


def draw_tokens(ax, labels, shades=None, notes=None, size=9):
    """Draw a row of tokens as boxes; shades: a key of `SHADES` each, by default what the labels tell; notes: small text below each."""
    split = labels.index("[>]") if "[>]" in labels else len(labels)
    for t, label in enumerate(labels):
        kind = shades[t] if shades else "special" if label in ("[CLS]", "[>]", "[SEP]", "[PAD]") else "text" if t < split else "video"
        ax.add_patch(plt.Rectangle((t + 0.04, 0), 0.92, 1, facecolor=SHADES[kind], edgecolor="#888888", linewidth=0.8))
        ax.text(t + 0.5, 0.5, label, ha="center", va="center", fontsize=size, family="monospace")
        if notes:
            ax.text(t + 0.5, -0.12, notes[t], ha="center", va="top", fontsize=size - 2, color="#444444")
    ax.set(xlim=(0, len(labels)), ylim=(-0.8 if notes else -0.05, 1.05))
    ax.axis("off")


def draw_strip(figure, frames, above, below=None, size=9):
    """Draw frames (N, H, W, 3) side by side with a line above each, and one below if given."""
    for k, ax in enumerate(np.atleast_1d(figure.subplots(1, len(frames)))):
        ax.imshow(frames[k])
        ax.set(xticks=[], yticks=[])
        ax.set_title(above[k], fontsize=size)
        if below:
            ax.set_xlabel(below[k], fontsize=size)


def draw_attention(ax, weights_TS, labels, title, frames=None):
    """Draw attention weights (T, S), a row a token that looks, a column a token looked at; lines where the video begins.

    frames: (N, H, W, 3), drawn above the columns of the N video tokens.
    """
    T = len(weights_TS)
    ax.imshow(weights_TS, cmap="Blues", vmin=0, vmax=max(0.3, float(weights_TS.max())))
    ax.set_xticks(range(T), labels, rotation=90, fontsize=8, family="monospace")
    ax.set_yticks(range(T), labels, fontsize=8, family="monospace")
    video_from = labels.index("[>]") + 1
    for line in (ax.axhline, ax.axvline):
        line(video_from - 0.5, color=COLOURS["video"], linewidth=1)
    for n, frame in enumerate(() if frames is None else frames):
        small = ax.inset_axes((video_from + n - 0.46, -1.6, 0.92, 0.92), transform=ax.transData)
        small.imshow(frame)
        small.axis("off")
    ax.set_title(title, fontsize=10, pad=30 if frames is not None else 6)
