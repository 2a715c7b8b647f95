"""Film cooking shows: python -m minivbert.kitchen --videos 24 --seed 0 --out shows

Writes show_000.mp4, show_000.vtt (if somebody speaks), show_000.truth.json and so on (`film.py`), and a
contact sheet, shows.png. Show i depends on the seed, i and the share of shows with speech, never on how many
are made: called again with more videos, or after a crash, the command keeps the finished shows it would make.

Not stated in the paper, our choice: everything here; the paper films nothing.
"""
import json
import os
import sys
import textwrap
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from minivbert.files import replace_file
from minivbert.kitchen.film import make_show, show_rngs, truth_of, write_show
from minivbert.kitchen.recipes import CLIP_SECONDS, World
from minivbert.kitchen.voice import find_flite
from minivbert.options import Parser
from minivbert.tokens.frames import CLIP_FRAMES, clips_of

SHEET_SHOWS = 8
SHEET_FRAMES = 10        # a show
TEXT_WIDTH = 210         # characters


def options(arguments):
    """Read the command line; leaves with one sentence on stderr and exit code 2 where it is wrong."""
    parser = Parser(prog="python -m minivbert.kitchen", description="Film cooking shows of known truth.")
    parser.add_argument("--videos", type=int, default=24, metavar="N", help="number of shows (default 24)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed of all shows (default 0)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder, made if need be")
    parser.add_argument("--speech-share", type=float, default=World.speech, metavar="P",
                        help=f"share of shows with speech (default {World.speech}: the paper's 120K of 312K)")
    given = parser.parse_args(arguments)
    if given.videos < 1:
        parser.error(f"--videos is {given.videos}, expected at least 1")
    if given.seed < 0:
        parser.error(f"--seed is {given.seed}, expected 0 or more")
    if not 0.0 <= given.speech_share <= 1.0:
        parser.error(f"--speech-share is {given.speech_share}, expected a share from 0 to 1, such as 0.38")
    try:
        given.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out {given.out} cannot be used as a folder ({error.strerror}): name another one")
    if not os.access(given.out, os.W_OK):
        parser.error(f"--out {given.out} may not be written to: name another folder")
    return given


def finished(stem, show, about, dishes):
    """Tell whether the files of this very show stand: the truth's dict if so, otherwise None.

    A show filmed without a voice is not finished once there is one.
    """
    try:
        truth = json.loads(Path(f"{stem}.truth.json").read_text(encoding="utf-8"))
        story = json.loads(json.dumps({**about, **truth_of(show, dishes)}))
        told = {key: truth[key] for key in story}
        told["sentences"] = [{k: v for k, v in s.items() if k != "words"} for s in told["sentences"]]
        silent = show.sentences and not truth["audible"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    there = Path(f"{stem}.mp4").exists() and Path(f"{stem}.vtt").exists() == bool(show.sentences)
    return truth if told == story and there and not (silent and find_flite()) else None


def contact_sheet(path, stems, truths):
    """Draw shows, a row each, into a .png: the dish, ten frames from the film, and what is said."""
    said = ["  ".join(f"({s['start']:.0f} s) {s['text']}" for s in truth["sentences"]) for truth in truths]
    texts = [textwrap.wrap(line or "(nobody speaks)", TEXT_WIDTH) for line in said]
    heights = [1.75 + 0.19 * len(lines) for lines in texts]
    figure = Figure(figsize=(12, sum(heights)), facecolor="white")
    top = sum(heights)
    for stem, truth, lines, height in zip(stems, truths, texts, heights):
        clips = [clip[CLIP_FRAMES // 2] for clip in clips_of(f"{stem}.mp4")]
        shown = np.linspace(0, len(clips) - 1, SHEET_FRAMES).round().astype(int)
        def at(inches, top=top): return (top - inches) / sum(heights)
        figure.text(0.01, at(0.26), truth["dish"], size=12, weight="bold")
        figure.text(0.99, at(0.26), f"{stem.name}, style {truth['style']}, {len(clips) * CLIP_SECONDS:.0f} s",
                    size=8, color="0.4", ha="right")
        for column, k in enumerate(shown):
            left = 0.01 + 0.98 * column / SHEET_FRAMES
            axes = figure.add_axes([left, at(1.38), 0.98 / SHEET_FRAMES - 0.004, 1.06 / sum(heights)])
            axes.imshow(clips[k])
            axes.axis("off")
            label = f"{k * CLIP_SECONDS:.0f} s  {truth['action'][k]}"
            figure.text(left, at(1.5), label, size=7, color="0.25")
        for row, line in enumerate(lines):
            figure.text(0.01, at(1.7 + 0.17 * row), line, size=8, style="italic", color="0.15")
        top -= height
    replace_file(path, lambda temporary: figure.savefig(temporary, dpi=110))


def main(arguments=None):
    """Film the shows, draw the contact sheet, print one line about them."""
    given = options(arguments)
    world = World(speech=given.speech_share)
    if not find_flite():
        print("flite is not installed, so the cooks speak without a sound: "
              "install it with `apt install flite` and run this again.", file=sys.stderr)
    stems, truths, kept = [], [], 0
    for i in tqdm(range(given.videos), desc="filming", unit="show"):
        show, stem = make_show(world, given.seed, i), given.out / f"show_{i:03d}"
        about = {"seed": given.seed, "index": i}
        truth = finished(stem, show, about, world.dishes)
        kept += truth is not None
        picture = show_rngs(given.seed, i)[1]
        truths.append(truth or write_show(show, stem, picture, dishes=world.dishes, **about))
        stems.append(stem)
    contact_sheet(given.out / "shows.png", stems[:SHEET_SHOWS], truths[:SHEET_SHOWS])
    clips = sum(len(truth["action"]) for truth in truths)
    spoken = sum(bool(truth["sentences"]) for truth in truths)
    size = sum(path.stat().st_size for stem in stems for path in given.out.glob(f"{stem.name}.*"))
    print(f"{len(stems)} show{'s' * (len(stems) > 1)} ({kept} kept), {clips} clips, "
          f"{clips * CLIP_SECONDS / 60:.1f} minutes, {spoken} with speech, "
          f"{size / 1e6:.1f} MB in {given.out}")


if __name__ == "__main__":
    main()
