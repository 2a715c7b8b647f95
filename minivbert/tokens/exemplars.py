"""Visual words as something to look at: each drawn as its exemplar, the training clip nearest its centroid.

VideoBERT, section 4.1 and the captions of its figures: "each visual word is represented by the clip nearest its centroid". A corpus keeps

    exemplars.npz      frames (C, H, W, 3) uint8: the middle frame of each, for filmstrips; black where no clip has the word
    exemplars.mp4      the clips one after the other, word v's being frames 30 v .. 30 v + 29, for films; a keyframe each 30, so that one
                       clip is found without decoding those before it

The second is not needed for the first: where it is missing, a clip is its middle frame held for 1.5 s.

Axes: C visual words, N clips, H height, W width.

Not stated in the paper, our choice: how they are kept.

Try: write_film("film.mp4", exemplar_clips("data_sample/corpus", [7, 7, 12]))
"""
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps

from minivbert.files import replace_file
from minivbert.tokens.frames import CLIP_FRAMES, FPS, TRUE_COLOURS

KEPT = (160, 120)        # pixels, width and height, of the frames that are kept of videos of any shape

# one thread and plain C: other settings write other bytes from one run to the next
X264 = {"crf": "23", "preset": "veryfast", "g": str(CLIP_FRAMES), "threads": "1", "x264-params": "no-asm=1:scenecut=0"}


def read_frames(folder: str | os.PathLike) -> np.ndarray:
    """Read the exemplars' middle frames (C, H, W, 3) uint8 of a corpus folder; raise ValueError where it has none."""
    path = Path(folder) / "exemplars.npz"
    if not path.is_file():
        raise ValueError(f"{path}: not there, so visual words cannot be drawn; give a corpus that has it, such as data_sample/corpus")
    with np.load(path, allow_pickle=False) as file:
        return file["frames"]


def write_frames(folder: str | os.PathLike, frames: dict[int, np.ndarray], words: int) -> None:
    """Write exemplars.npz into a corpus folder from the middle frames {word: (H, W, 3) uint8} of videos of any shape, `words` of them in all.

    Each frame is fitted into 160 x 120 pixels, with black beside it where its shape is another.
    """
    kept = np.zeros((words, KEPT[1], KEPT[0], 3), np.uint8)
    for word, frame in frames.items():
        kept[word] = np.asarray(ImageOps.pad(Image.fromarray(frame), KEPT))
    replace_file(Path(folder) / "exemplars.npz", lambda path: np.savez_compressed(path, frames=kept))


def exemplar_clips(folder: str | os.PathLike, words: Iterable[int]) -> Iterator[np.ndarray]:
    """Yield the exemplar (30, H, W, 3) uint8 of each visual word, in order, from exemplars.mp4, or the frame of exemplars.npz held."""
    path, words = Path(folder) / "exemplars.mp4", list(words)
    if path.is_file():
        found = {word: read_clip(path, word) for word in dict.fromkeys(words)}
    else:
        frames = read_frames(folder)
        found = {word: np.repeat(frames[word][None], CLIP_FRAMES, 0) for word in dict.fromkeys(words)}
    for word in words:
        yield found[word]


def read_clip(path: str | os.PathLike, k: int) -> np.ndarray:
    """Read clip k, frames 30 k .. 30 k + 29, of a film by `write_film`: (30, H, W, 3) uint8. Raises ValueError where it ends before."""
    first, frames = Fraction(k * CLIP_FRAMES, FPS), []
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        film.seek(int(first / stream.time_base), stream=stream)
        for frame in film.decode(stream):
            if frame.pts * stream.time_base >= first:
                frames.append(frame.to_ndarray(format="rgb24", interpolation=TRUE_COLOURS))
            if len(frames) == CLIP_FRAMES:
                return np.stack(frames)
    raise ValueError(f"{path}: ends before clip {k}; build the corpus again")


def write_film(path: str | os.PathLike, clips: Iterable[np.ndarray]) -> None:
    """Write clips (30, H, W, 3) uint8, all of one even size, one after the other as an .mp4 (H.264, 20 fps, no sound)."""
    def write(temporary):
        with av.open(str(temporary), "w", format="mp4") as out:
            stream = None
            for k, clip_THW3 in enumerate(clips):
                if stream is None:
                    _, height, width, _ = clip_THW3.shape
                    stream = out.add_stream("libx264", rate=FPS, options=X264, width=width, height=height, pix_fmt="yuv420p")
                for n, image in enumerate(clip_THW3):
                    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
                    frame.pts, frame.time_base = k * CLIP_FRAMES + n, Fraction(1, FPS)
                    out.mux(stream.encode(frame))
            if stream is None:
                raise ValueError(f"{path}: no clip to write; give at least one")
            out.mux(stream.encode())

    replace_file(path, write)
