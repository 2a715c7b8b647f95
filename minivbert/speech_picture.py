"""Draw the way from sound to segments on one time axis: waveform, words, sentences, and the clips that each sentence takes.

VideoBERT, section 4.1: a sentence's time span cuts the sequence of visual tokens. One clip is 1.5 s.

    >>> draw_speech("show.mp4", words, sentences, "speech.png")          # doctest: +SKIP
"""
import textwrap
from itertools import islice
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt          # noqa: E402  (the backend must be chosen first)
from matplotlib.colors import to_rgb          # noqa: E402

from minivbert.files import replace_file          # noqa: E402
from minivbert.pretraining.segments import clip_span          # noqa: E402
from minivbert.tokens.audio import RATE, parts_of          # noqa: E402
from minivbert.tokens.frames import CLIP_FRAMES, FPS, VideoError, clips_of          # noqa: E402
from minivbert.tokens.punctuate import bare          # noqa: E402

CLIP_SECONDS = CLIP_FRAMES / FPS
CLIPS = 12                                                   # shown: 18 s
HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")          # Okabe and Ito; neighbouring sentences differ


def draw_speech(video, words, sentences, path):
    """Draw 18 seconds of a video from the clip of its first word on; write a PNG.

    words, sentences: [(text, start, end)] in seconds, in order. A sound file has no pictures; its clips are drawn empty.
    """
    first = int(words[0][1] // CLIP_SECONDS)
    start, end = first * CLIP_SECONDS, (first + CLIPS) * CLIP_SECONDS
    figure, (ax_clips, ax_sentences, ax_words, ax_sound) = plt.subplots(
        4, 1, figsize=(13, 6.4), sharex=True, layout="constrained", height_ratios=(1.3, 0.7, 0.75, 1))
    shown = [s for s in sentences if s[2] > start and s[1] < end]
    last = _draw_clips(ax_clips, video, first)
    for n, (text, begin, until) in enumerate(shown):
        hue = HUES[n % len(HUES)]
        a, b = (int(x) for x in clip_span(np.array(begin), np.array(until), CLIP_SECONDS))
        a, b = max(a, first), min(b, last)
        lift = -0.13 * (n % 2)                    # neighbours may share a clip
        ax_clips.plot([a * CLIP_SECONDS + 0.05, b * CLIP_SECONDS - 0.05], [-0.12 + lift] * 2, color=hue, linewidth=4, solid_capstyle="butt")
        ax_sentences.barh(0, until - begin, left=begin, height=0.9, color=_tint(hue, 0.25), edgecolor=hue)
        room = max(int((min(until, end) - max(begin, start)) * 8.5), 8)
        ax_sentences.text((max(begin, start) + min(until, end)) / 2, 0, textwrap.fill(text, room), ha="center", va="center", fontsize=9.5,
                          linespacing=1.05)
        for ax in (ax_words, ax_sound):          # opaque: no line between clips runs through a word
            ax.axvspan(begin, until, color=_tint(hue, 0.10), linewidth=0)
        for word, w_begin, w_until in words:
            if begin <= w_begin < until and start <= (w_begin + w_until) / 2 < end - 0.1:
                ax_words.plot([w_begin + 0.02, w_until - 0.02], [0.08, 0.08], color=hue, linewidth=4, solid_capstyle="butt")
                ax_words.text((w_begin + w_until) / 2, 0.2, bare(word), rotation=90, ha="center", va="bottom", fontsize=9.5)
    time_N, low_N, high_N = _envelope(video, start, end)
    ax_sound.fill_between(time_N, low_N, high_N, color="#444444", linewidth=0)
    top = max(np.abs(low_N).max(initial=0.01), high_N.max(initial=0.01))
    ax_clips.set(ylim=(-0.4, 1), yticks=[], ylabel="clips of the\nsentences")
    ax_sentences.set(ylim=(-0.55, 0.55), yticks=[], ylabel="sentences\nrestored")
    ax_words.set(ylim=(0, 1), yticks=[], ylabel="words\nrecognised")
    ax_sound.set(ylim=(-1.05 * top, 1.05 * top), yticks=[], ylabel="sound\n16 kHz", xlabel="time [s]", xlim=(start, end))
    ax_sound.set_xticks(np.arange(first, first + CLIPS + 1, 2) * CLIP_SECONDS)
    for ax in (ax_clips, ax_sentences, ax_words, ax_sound):
        ax.spines[["top", "right", "left", "bottom"]].set_visible(ax is ax_sound)
        for k in range(first, first + CLIPS + 1):
            ax.axvline(k * CLIP_SECONDS, color="#bfbfbf", linewidth=0.7, zorder=0)
        ax.tick_params(bottom=ax is ax_sound)
        ax.yaxis.label.set(rotation=0, ha="right", va="center")
    ax_sound.spines[["top", "right", "left"]].set_visible(False)
    figure.suptitle(f"{Path(video).name}: a sentence takes the clips of {CLIP_SECONDS:g} s that its time span touches", fontsize=12)
    replace_file(Path(path), lambda temporary: figure.savefig(temporary, dpi=150))
    plt.close(figure)


def _tint(hue, share):
    """Mix a share of a colour with white."""
    return 1 - share * (1 - np.array(to_rgb(hue)))


def _draw_clips(ax, video, first):
    """Draw the middle frames of the clips from `first` on; return one past the last clip that there is."""
    count = 0
    try:
        for count, clip in enumerate(islice(clips_of(video), first + CLIPS), start=1):
            if count > first:
                k = count - 1
                ax.imshow(clip[len(clip) // 2], extent=(k * CLIP_SECONDS + 0.04, (k + 1) * CLIP_SECONDS - 0.04, 0, 1), aspect="auto")
    except VideoError:                    # a sound file; its words have been recognised
        count = first + CLIPS
    return count


def _envelope(video, start, end, points=2600):
    """Give the lowest and highest sample in each of many short stretches between two times: times, low, high, each (points,)."""
    first, stop = round(start * RATE), round(end * RATE)
    sound_N = np.zeros(stop - first, np.float32)
    for at, part_N in parts_of(video):
        a, b = max(at, first), min(at + len(part_N), stop)
        if a < b:
            sound_N[a - first:b - first] = part_N[a - at:b - at]
        if at + len(part_N) >= stop:
            break
    pieces = np.array_split(sound_N, points)
    middle = start + (np.arange(points) + 0.5) * (end - start) / points
    return middle, np.array([p.min() for p in pieces]), np.array([p.max() for p in pieces])
