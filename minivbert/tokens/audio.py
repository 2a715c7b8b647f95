"""Video file -> its sound at 16 kHz, one channel: the first step from speech to language tokens.

VideoBERT (arXiv 1904.01766, section 4.1) takes the speech of a video from an automatic recogniser. Recognisers of today
hear 16,000 samples a second of one channel, so any track becomes that; sample n of ours is *what sounds at n/16000 s*:

    n = 0 is the video's first frame (as in `frames.py`), or the first sample where there is no video
    stereo becomes the mean of both sides, surround a weighted one; 44.1, 48, ... kHz are resampled
    a track that starts late, or pauses, is filled with zeros; what sounds before the first frame is cut off

Everything streams: `blocks_of` holds one block at a time and `parts_of` one part, however long the video.

Axes: N samples, float32, -1 to 1.

Not stated in the paper, our choice: everything above; the track is the one that FFmpeg calls the best. A part ends at the
quietest half second of its last 30, so that hardly a word is cut in two.

    for first, part_N in parts_of("show.mp4"): print(first / RATE, len(part_N) / RATE)      # seconds: starts at, lasts
"""
import os
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.stream import Disposition

from minivbert.tokens.frames import VideoError

RATE = 16_000                   # samples a second
BLOCK = 10 * RATE               # samples a block
JITTER = Fraction(1, 10)        # [s] a stamp may be so far ahead of the samples before it: Matroska rounds to 1 ms, clocks drift
PAUSE = 3600                    # [s] a longer hole in a track is a broken clock
PART, LAST, QUIET = 300 * RATE, 30 * RATE, RATE // 2          # samples: a part, its end in which to cut, a pause


def blocks_of(path: str | os.PathLike) -> Iterator[np.ndarray]:
    """Yield the sound of a file in blocks (160000,) float32, the last one shorter; no block where there is no sound track.

    Raises VideoError while iterating, for a file that is missing, broken or cut short.
    """
    held, count = [], 0
    for sound_N in _sound(path):
        held.append(sound_N)
        count += len(sound_N)
        while count >= BLOCK:
            joined_N = np.concatenate(held)
            yield joined_N[:BLOCK].copy()
            held, count = [joined_N[BLOCK:]], count - BLOCK
    if count:
        yield np.concatenate(held)


def parts_of(path: str | os.PathLike) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first sample, its sound (N,) float32) of parts of at most 5 minutes, cut where it is quiet. Raises as `blocks_of`."""
    held_N, first = np.zeros(0, np.float32), 0
    for block_N in blocks_of(path):
        held_N = np.concatenate([held_N, block_N])
        if len(held_N) >= PART:
            cut = quietest(held_N, PART - LAST, PART)
            yield first, held_N[:cut]
            held_N, first = held_N[cut:], first + cut
    if len(held_N):
        yield first, held_N


def quietest(sound_N: np.ndarray, start: int, stop: int) -> int:
    """Find the middle of the half second with the least power between two samples.

    >>> sound = np.ones(40_000); sound[20_000:30_000] = 0
    >>> 24_000 <= quietest(sound, 0, 40_000) <= 26_000
    True
    """
    power_N = np.concatenate([[0.0], np.cumsum(sound_N[start:stop].astype(np.float64) ** 2)])
    return start + int(np.argmin(power_N[QUIET:] - power_N[:-QUIET])) + QUIET // 2


def _sound(path: str | os.PathLike) -> Iterator[np.ndarray]:
    """Yield arrays (N,) float32 at 16 kHz that follow each other without a gap; the first sample is at the first frame."""
    at = 0
    for first, sound_N in _stamped(path):
        if first - at > PAUSE * RATE:
            raise VideoError(f"{path}: its sound jumps from {at / RATE:.1f} s to {first / RATE:.1f} s, which no recording does; "
                             "encode it again (ffmpeg -i IN OUT.mp4) and give that")
        for hole in range(at, first, BLOCK):
            yield np.zeros(min(BLOCK, first - hole), np.float32)
        at = max(at, first)
        yield sound_N[at - first:]
        at = max(at, first + len(sound_N))


def _stamped(path: str | os.PathLike) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (the number of its first sample, sound (N,) float32) at 16 kHz; what follows on its stamps has no hole between."""
    resampler, shape, first, end = None, None, 0, Fraction(0)
    for frame, start in _decoded(path):
        start = end if start is None else start
        now = (frame.sample_rate, frame.format.name, frame.layout.name)
        if now != shape or start > end + JITTER:
            for sound_N in _resampled(resampler, None):
                yield first, sound_N
            resampler, shape, first = av.AudioResampler("s16", "mono", RATE), now, round(start * RATE)
        for sound_N in _resampled(resampler, frame):
            yield first, sound_N
            first += len(sound_N)
        end = start + Fraction(frame.samples, frame.sample_rate)
    for sound_N in _resampled(resampler, None):
        yield first, sound_N


def _resampled(resampler: av.AudioResampler | None, frame: av.AudioFrame | None) -> Iterator[np.ndarray]:
    """Yield what a resampler gives for one more frame, or at the end (None), as arrays (N,) float32."""
    if resampler is not None:
        for made in resampler.resample(frame):
            yield made.to_ndarray()[0].astype(np.float32) / 32768


def _decoded(path: str | os.PathLike) -> Iterator[tuple[av.AudioFrame, Fraction | None]]:
    """Yield (frame, its start [s] after the first picture, None if it has no stamp); whatever fails is a VideoError."""
    if not os.path.isfile(path):
        raise VideoError(f"{path}: there is no such file; check the name and the folder")
    size = os.path.getsize(path)
    try:
        with av.open(f"file:{os.fspath(path)}", metadata_errors="replace") as container:
            stream = container.streams.best("audio")
            if stream is None:
                return
            index = stream.index_entries
            if len(index) and index[-1].pos + index[-1].size > size:
                raise VideoError(f"{path}: is cut short, {size:,} bytes of at least {index[-1].pos + index[-1].size:,}; "
                                 "fetch the file again")
            zero = _first_picture(container)
            for frame in container.decode(stream):
                start = None if frame.pts is None else frame.pts * frame.time_base
                zero = start if zero is None else zero
                yield frame, None if start is None else start - zero
    except av.FFmpegError as error:
        raise VideoError(f"{path}: its sound cannot be read ({error.strerror}, {size:,} bytes); fetch the file again, "
                         "or encode it again (ffmpeg -i IN OUT.mp4)") from error


def _first_picture(container: av.container.InputContainer) -> Fraction | None:
    """Give the stamp [s] of the first picture of the video stream that `frames.py` reads, or None where there is none."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic and stream.start_time is not None:
            return stream.start_time * stream.time_base
    return None
