"""Write what a video or a picture shows: python -m minivbert.downstream.caption --video FILE [--out FILE.vtt] | --image FILE | train | table

    video    each clip is captioned in a window of five clips around it; equal captions side by side become one cue of a .vtt
    image    one clip of one frame held for 1.5 s: a film in which nothing moves
    train    learn a captioner from the true steps of filmed shows, score it on held-out ones (`captioner.py`, `caption_scores.py`)
    table    the paper's Table 3 in miniature, mean and spread over seeds

VideoBERT, section 4.6. Differs from, or not stated in, the paper: it captions segments whose borders people drew; a file that comes without
them is cut where the caption changes.
"""
import json
import re
import sys
import textwrap
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from minivbert.config import DATA_SAMPLE
from minivbert.downstream.caption_scores import TABLE_SHOWS, filmed, labelled, made_by, row_features, scores, table, table_text, teach, written
from minivbert.downstream.captioner import KINDS, load_captioner, save_captioner, segment_features
from minivbert.downstream.filmstrip import save, tile
from minivbert.downstream.shared import add_run_options, open_run, tokens_of_clips, tokens_of_video
from minivbert.files import replace_file
from minivbert.options import Parser, fail
from minivbert.plot import plt
from minivbert.tokens.frames import CLIP_FRAMES

REACH = 2                     # clips to either side that a clip is captioned with
ACROSS, FRAMES = 2, 4         # cues side by side in the picture, frames of each


def as_written(words):
    """Join words as people write them.

    >>> as_written("now let ' s mash it , the potato .".split())
    "now let's mash it, the potato."
    """
    return re.sub(r" (?=[.,'])|(?<=') ", "", " ".join(words))


def runs(captions):
    """Cut a row of captions, one a clip, where they change: [(caption, first clip, clips)]; one that lasts a single clip joins those before it.

    >>> runs(["fry it", "fry it", "boil it", "fry it", "mash it", "mash it"])
    [('fry it', 0, 4), ('mash it', 4, 2)]
    """
    found = []
    for k, caption in enumerate(captions):
        lasts = caption in captions[k + 1:k + 2] or k == 0
        if found and (caption == found[-1][0] or not lasts):
            found[-1][2] += 1
        else:
            found.append([caption, k, 1])
    return [tuple(run) for run in found]


def caption_film(captioner, run, corpus, tree, tokens):
    """Caption a film: [(text, first clip, clips)]. run: (model, config); tokens (N,): its visual tokens."""
    windows = [tokens[max(k - REACH, 0):k + REACH + 1] for k in range(len(tokens))]
    feature_NF = segment_features(*run, corpus.vocab, tree, windows, captioner.about["kind"])
    return runs([as_written(words) for words in written(captioner, corpus.vocab, feature_NF)])


def clock(seconds):
    """Write a time as WebVTT does.

    >>> clock(3723.5)
    '01:02:03.500'
    """
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{milliseconds:03d}"


def vtt_of(cues, clip_seconds):
    """Write cues [(text, first clip, clips)] as WebVTT text."""
    times = [f"{clock(first * clip_seconds)} --> {clock((first + clips) * clip_seconds)}\n{text}\n" for text, first, clips in cues]
    return "\n".join(["WEBVTT\n", *times])


def still(path):
    """Read a picture as a clip in which nothing moves: (30, H, W, 3) uint8, upright. Raises ValueError if it is none."""
    try:
        with Image.open(path) as image:
            frame_HW3 = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except FileNotFoundError as error:
        raise ValueError(f"{path}: there is no such file; check the name and the folder") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not a picture that can be read ({str(error).splitlines()[0]}); give a .png or .jpg") from error
    return np.broadcast_to(frame_HW3, (CLIP_FRAMES, *frame_HW3.shape))


def true_steps(video):
    """Read what is done in each clip of a kitchen video from the .truth.json beside it; None where there is none."""
    path = Path(video).with_suffix(".truth.json")
    return json.loads(path.read_text(encoding="utf-8"))["action"] if path.is_file() else None


def plot_captions(cues, frames, clip_seconds, truth, path):
    """Draw a film as a strip, its captions under it; write a PNG.

    cues: [(text, first clip, clips)]; frames: one a clip; truth: the true action of each clip, or None.
    """
    across = min(ACROSS, len(cues))
    figure = plt.figure(figsize=(6.2 * across, 2.45 * -(-len(cues) // across)), layout="constrained")
    for cell, (text, first, clips) in zip(figure.subfigures(-(-len(cues) // across), across, squeeze=False, hspace=0.02).flat, cues):
        shown = np.unique(np.linspace(first, first + clips - 1, min(FRAMES, clips)).round().astype(int))
        axes = cell.subplots(1, FRAMES)
        for ax in axes:
            ax.axis("off")
        for ax, k in zip(axes, shown):
            ax.axis("on")
            tile(ax, frames[k])
        seen = f", shown: {', '.join(dict.fromkeys(truth[first:first + clips]))}" if truth else ""
        cell.suptitle(f"{first * clip_seconds:g} to {(first + clips) * clip_seconds:g} s{seen}", x=0.01, ha="left", fontsize=10, color="#555555")
        cell.supxlabel(textwrap.fill(text, 58), fontsize=13, fontweight="bold")
    save(figure, path)


def train(o):
    """Learn a captioner and score it."""
    model, config, corpus, tree = open_run(o.run, o.corpus)
    training, held_out = filmed(corpus)
    (segments, films, told), (asked, shown, true) = labelled(corpus, training[:o.shows]), labelled(corpus, held_out)
    feature_SF = row_features(corpus, tree, (model, config), o.features, segments, films)
    captioner, loss = teach(corpus, o.features, feature_SF, told, o.steps, o.seed, made_by(o.run, corpus),
                            lambda steps: tqdm(steps, unit="step", dynamic_ncols=True))
    save_captioner(captioner, o.captioner)
    said = written(captioner, corpus.vocab, row_features(corpus, tree, (model, config), o.features, asked, shown))
    found = scores(said, true, asked.route[:, 0], corpus.vocab)
    print(f"{len(films)} steps of {len(training[:o.shows])} shows, {loss:.3f} nats a token; on {len(shown)} steps of {len(held_out)} held-out "
          "shows: " + ", ".join(f"{name} {value:.3f}" for name, value in found.items()))
    print(f"captioner: {o.captioner}")


def score_table(o):
    """Score the rows of Table 3 and print them."""
    model, config, corpus, tree = open_run(o.run, o.corpus)
    video_run = open_run(o.video_run, o.corpus)[:2] if o.video_run else None
    figures = table(corpus, tree, (model, config), video_run, o.seeds, o.steps, o.shows or TABLE_SHOWS,
                    lambda rows: tqdm(rows, unit="captioner", dynamic_ncols=True))
    print(table_text(figures))
    if o.out:
        about = {"command": f"python -m minivbert.downstream.caption {' '.join(o.said)}", "rows": figures}
        replace_file(o.out, lambda path: path.write_text(json.dumps(about, indent=1) + "\n"))


def show(o):
    """Caption a video or a picture."""
    model, config, corpus, tree = open_run(o.run, o.corpus)
    captioner = load_captioner(o.captioner, made_by(o.run, corpus), len(corpus.vocab))
    seconds = corpus.meta["clip_frames"] / corpus.meta["fps"]
    if o.image:
        footage, truth = tokens_of_clips([still(o.image)], corpus, tree, o.weights, o.image), None
    else:
        footage, truth = tokens_of_video(o.video, corpus, tree, o.weights, progress=True), true_steps(o.video)
    cues = caption_film(captioner, (model, config), corpus, tree, footage.tokens)
    print(footage.verdict)
    for text, first, clips in cues:
        print(text if o.image else f"{clock(first * seconds)} --> {clock((first + clips) * seconds)}  {text}")
    if not o.image:
        out = Path(o.out or "captions.vtt")
        replace_file(out, lambda path: path.write_text(vtt_of(cues, seconds), encoding="utf-8"))
        print(f"captions: {out}")
    if o.picture:
        plot_captions(cues, footage.frames, seconds, truth, Path(o.picture))
        print(f"picture: {o.picture}")


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.downstream.caption", description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="?", choices=("train", "table"), help="train a captioner, or score the rows of the paper's Table 3")
    parser.add_argument("--video", help="a video file: caption it, write a .vtt")
    parser.add_argument("--image", help="a picture: caption it")
    parser.add_argument("--out", help="with --video: the .vtt to write (default: captions.vtt); with table: a .json (default: none)")
    parser.add_argument("--picture", help="with --video and --image: draw the film and its captions into this .png")
    parser.add_argument("--captioner", default=DATA_SAMPLE / "weights" / "captioner.safetensors", type=Path,
                        help="the captioner's file: read, or, with train, written (default: the shipped one)")
    parser.add_argument("--features", choices=KINDS, default="both", help="what train shows to the captioner (default: both)")
    parser.add_argument("--steps", type=int, default=600, help="optimizer steps of a captioner (default: 600)")
    parser.add_argument("--shows", type=int, help=f"filmed shows to learn from (default: all with train, {TABLE_SHOWS} with table)")
    parser.add_argument("--seed", type=int, default=0, help="seed of train")
    parser.add_argument("--seeds", type=int, default=3, help="captioners a row of table")
    parser.add_argument("--video-run", help="with table: a run pretrained on video alone, for the row of that name")
    add_run_options(parser)
    o = parser.parse_args(argv)
    o.said = sys.argv[1:] if argv is None else argv
    if sum(map(bool, (o.what, o.video, o.image))) != 1:
        parser.error("say one of train, table, --video FILE, --image FILE")
    if o.steps < 1 or o.seeds < 1 or (o.shows is not None and o.shows < 1):
        parser.error(f"--steps {o.steps}, --seeds {o.seeds}, --shows {o.shows}: each must be at least 1")
    try:
        {"train": train, "table": score_table, None: show}[o.what](o)
    except (ValueError, OSError) as error:
        fail(error)


if __name__ == "__main__":
    main()
