"""From the story of a show to files: drawn clips, an .mp4 with the cook's voice, captions, and the truth.

    stem.mp4          H.264 (96 x 96, 20 fps, 30 frames a clip) and AAC (16 kHz, mono; silence between words)
    stem.vtt          what is said, one cue a sentence; only for shows with speech
    stem.truth.json   dish, style, steps, action and phase a clip, lag, sentences, when each word sounds

Show i of seed S is the same whoever makes it and however many are made: its story and its picture each have a
generator grown from (S, i), and every clip of the picture has its own, so clip k looks the same whatever was
drawn of the clips before it.

Not stated in the paper, our choice: everything here; the paper films nothing.

Try: write_show(make_show(World(), 0, 0), "show", show_rngs(0, 0)[1])
"""
import io
import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from minivbert.files import replace_file
from minivbert.kitchen.draw import draw_clip
from minivbert.kitchen.narrate import narrate
from minivbert.kitchen.recipes import ACTIONS, CLIP_SECONDS, DISHES
from minivbert.kitchen.voice import RATE, speak
from minivbert.tokens.frames import CLIP_FRAMES, FPS, TRUE_COLOURS

CLIP_SAMPLES = round(CLIP_SECONDS * RATE)
# Each clip is a group of pictures of its own at a constant quantizer, so that what a player shows of it depends on it alone.
# One thread and plain C: x264's fast routines write other bytes from one run to the next for the same frames.
X264 = {"qp": "25", "preset": "superfast", "threads": "1", "x264-params": "no-asm=1:scenecut=0:bframes=0"}
AAC_BITS = 24_000


def show_rngs(seed, i):
    """Grow the np.random.Generators of show i of a seed, always from the start: (story, picture)."""
    return tuple(np.random.default_rng([seed, i]).spawn(2))


def make_show(world, seed, i):
    """Draw show i of a seed: its story, narrated or not (`world.speech`). Returns a `recipes.Show`."""
    story, _ = show_rngs(seed, i)
    return narrate(world.sample(story), world, story)


def clips_of_show(show, rng, at=range(CLIP_FRAMES)):
    """Draw the clips of a show one after the other.

    rng: np.random.Generator, the picture's; each clip draws from a child of its own. The same generator used
    again draws other pictures of the same story: for the same ones begin with a new `show_rngs(seed, i)`.
    at: which frames (0 to 29) of each clip to draw. Yields arrays (len(at), 96, 96, 3) uint8.
    """
    for action, phase, child in zip(show.action, show.phase, rng.spawn(len(show.action))):
        verb, ingredient = ACTIONS[action]
        yield draw_clip(verb, ingredient, int(phase), show.style, child, at)


def develop(clips, at=range(CLIP_FRAMES)):
    """Send clips (T, H, W, 3) uint8, all of one length T, through H.264 in memory, as `write_show` does.

    Yields what a player shows of each: its frames `at`, (len(at), H, W, 3) uint8, the very pixels that the .mp4 holds.
    """
    clips = list(clips)
    file, at = io.BytesIO(), set(at)
    _encode(file, clips)
    file.seek(0)
    shown = []
    with av.open(file) as film:
        for n, frame in enumerate(film.decode(video=0)):
            if n % len(clips[0]) in at:
                shown.append(frame.to_ndarray(format="rgb24", interpolation=TRUE_COLOURS))
            if len(shown) == len(at):
                yield np.stack(shown)
                shown = []


def soundtrack(show, voice=speak):
    """Speak the sentences of a show at their times, in silence otherwise.

    voice: (text, seconds) -> pcm (n,) int16 at 16 kHz and words ((word, start, end), ...), as `speak` does.
    Returns pcm (24000 L,) int16 and for each sentence a list of its words [word, start, end] in seconds.
    """
    pcm, words = np.zeros(CLIP_SAMPLES * len(show.action), np.int16), []
    for sentence in show.sentences:
        start, end = sentence.span
        said, times = voice(sentence.text, end - start)
        first = round(start * RATE)
        pcm[first:first + len(said)] = said
        words.append([[word, round(start + a, 3), round(start + b, 3)] for word, a, b in times])
    return pcm, words


def captions(show):
    """Write what is said as WebVTT text, one cue a sentence."""
    cues = [f"{_clock(s.span[0])} --> {_clock(s.span[1])}\n{s.text}\n" for s in show.sentences]
    return "\n".join(["WEBVTT\n", *cues])


def truth_of(show, dishes=tuple(DISHES)):
    """Put the story of a show into plain lists and names, as in the truth file (but no times of words)."""
    names = [" ".join(pair) for pair in ACTIONS]
    return {
        "dish": dishes[show.dish], "style": show.style, "lag": show.lag, "clip_seconds": CLIP_SECONDS,
        "steps": [{"action": names[a], "first_clip": k, "clips": n} for k, n, a in show.steps()],
        "action": [names[a] for a in show.action], "phase": [int(p) for p in show.phase],
        "sentences": [{"text": s.text, "clip": s.clip, "clips": s.clips, "start": s.span[0], "end": s.span[1],
                       "topic": names[s.topic] if s.topic >= 0 else None} for s in show.sentences],
    }


def write_show(show, path_stem, rng, voice=speak, dishes=tuple(DISHES), **about):
    """Film a show: write `path_stem`.mp4, .vtt (with speech) and .truth.json, the truth last.

    rng: np.random.Generator, the picture's. voice: see `soundtrack`. dishes: `world.dishes`, for its name.
    about: more for the truth file, such as seed and index.
    Each file is written beside its place and renamed. Returns the truth, a dict.
    """
    pcm, words = soundtrack(show, voice)
    truth = {**about, **truth_of(show, dishes), "audible": bool(pcm.any())}
    for sentence, times in zip(truth["sentences"], words):
        sentence["words"] = times
    lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in truth.items())
    text = f"{{\n{lines}\n}}\n"
    replace_file(f"{path_stem}.mp4", lambda path: _encode(str(path), clips_of_show(show, rng), pcm))
    if show.sentences:
        replace_file(f"{path_stem}.vtt", lambda path: path.write_text(captions(show), encoding="utf-8"))
    else:
        Path(f"{path_stem}.vtt").unlink(missing_ok=True)
    replace_file(f"{path_stem}.truth.json", lambda path: path.write_text(text, encoding="utf-8"))
    return truth


def _encode(file, clips, pcm=None):
    """Write clips (T, H, W, 3) and, if given, their sound, 1.5 s of it after each clip, as one .mp4."""
    with av.open(file, "w", format="mp4") as out:
        video, audio = None, None
        for k, clip in enumerate(clips):
            if not video:
                T, height, width, _ = clip.shape
                video = out.add_stream("libx264", rate=FPS, options=X264 | {"g": str(T)}, width=width, height=height, pix_fmt="yuv420p")
                audio = None if pcm is None else out.add_stream("aac", rate=RATE, layout="mono", bit_rate=AAC_BITS)
            for n, image in enumerate(clip):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
                frame.pts, frame.time_base = k * T + n, Fraction(1, FPS)
                out.mux(video.encode(frame))
            if not audio:
                continue
            first = k * CLIP_SAMPLES
            sound = av.AudioFrame.from_ndarray(pcm[None, first:first + CLIP_SAMPLES], "s16", "mono")
            sound.pts, sound.sample_rate, sound.time_base = first, RATE, Fraction(1, RATE)
            out.mux(audio.encode(sound))
        out.mux(video.encode())
        if audio:
            out.mux(audio.encode())


def _clock(seconds):
    minutes, ms = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{ms // 1000:02d}.{ms % 1000:03d}"
