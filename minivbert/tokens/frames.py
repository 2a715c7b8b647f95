"""Video file -> frames at 20 a second -> clips of 30 frames: the first step from pixels to visual tokens.

VideoBERT (Sun et al., 2019, section 4.2) samples every video at 20 fps and cuts it into non-overlapping
windows of 30 frames, 1.5 seconds each. A file has a rate of its own, or none, so frame k of ours is *the
frame on screen at k/20 s*:

    frame(k) = the last decoded frame whose time, counted from the first frame's, is <= k/20;  0 <= k/20 < end

in exact fractions. Rounding to the nearest frame instead (a common default) picks another frame for most k of
a 29.97 fps file. Everything streams: a few decoded frames and one clip are alive at a time, however long the
video.

Axes: H height, W width, 3 = red, green, blue; a clip is (length, H, W, 3) uint8.

Differs from, or not stated in, the paper: that k = 0 is the first frame's time, that the tail shorter than a
clip is dropped, and that pixels which are not square stay as they are stored, are our choices. Damage that
the decoder can see raises `VideoError` when the stream reaches it; a Matroska, WebM or transport stream that
breaks off between two pictures looks like a short one and is read to where it ends.

    clips = clips_of("show.mp4")
    for clip in clips: print(clip.shape)                       # (30, 240, 320, 3)
    print(clips.dropped, "frames after the last whole clip")
"""
import os
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.stream import Disposition

FPS = 20
CLIP_FRAMES = 30
# swscale's bilinear + full chroma + accurate rounding: its default darkens every colour by 1.0 to 1.4 of 255
TRUE_COLOURS = 2 | 1 << 13 | 1 << 18


class VideoError(ValueError):
    """A video file that cannot be read: the message names the file, what was found and what to do."""


def frames_at(path: str | os.PathLike, fps: int = FPS) -> Iterator[np.ndarray]:
    """Yield the frame on screen at 0, 1/fps, 2/fps, ... seconds after the first frame, till the end.

    path: any file that PyAV opens; its rotation and mirroring (display matrix) are applied, sound ignored.
    Yields arrays (H, W, 3) uint8, RGB, each the caller's own; H and W are the first frame's throughout.
    Raises VideoError while iterating: at the first frame, or when the stream reaches the damage.
    """
    on_screen, end, k = None, Fraction(0), 0
    for frame, start, end in _timed(path):
        if on_screen is None:
            matrix, size = _display_matrix(frame), {"width": frame.width, "height": frame.height}
        while k < start * fps:
            yield _upright(on_screen.to_ndarray(format="rgb24", interpolation=TRUE_COLOURS, **size), matrix)
            k += 1
        on_screen = frame
    while k < end * fps:
        yield _upright(on_screen.to_ndarray(format="rgb24", interpolation=TRUE_COLOURS, **size), matrix)
        k += 1


def clips_of(path: str | os.PathLike, length: int = CLIP_FRAMES) -> "Clips":
    """Cut a video into non-overlapping clips of `length` frames at 20 fps (30 frames = 1.5 s).

    Returns an iterator of arrays (length, H, W, 3) uint8, each the caller's own. When it is exhausted, its
    `dropped` is the number of frames after the last whole clip, which no clip holds.
    Raises VideoError as `frames_at` does, while iterating.
    """
    return Clips(frames_at(path), length)


def frames_to_clips(frames: Iterator[np.ndarray], length: int = CLIP_FRAMES) -> Iterator[np.ndarray]:
    """Yield clips (length, H, W, 3) uint8: every `length` frames (H, W, 3) uint8, in their order, without overlap.

    A clip is yielded as soon as its last frame is there, and each is an array of its own. Frames after the last whole
    clip are in none.

    >>> [clip.ravel().tolist() for clip in frames_to_clips(np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1), 2)]
    [[0, 1], [2, 3]]
    """
    filled = 0
    for frame in frames:
        if filled == 0:
            clip = np.empty((length, *frame.shape), np.uint8)
        clip[filled] = frame
        filled += 1
        if filled == length:
            yield clip
            filled = 0


class Clips:
    """An iterator over clips (length, H, W, 3) that counts in `dropped` the frames in no clip so far."""

    def __init__(self, frames: Iterator[np.ndarray], length: int):
        self.clips, self.length, self.dropped = frames_to_clips(self._counted(frames), length), length, 0

    def __iter__(self) -> "Clips":
        return self

    def __next__(self) -> np.ndarray:
        clip = next(self.clips)
        self.dropped -= self.length
        return clip

    def _counted(self, frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        for frame in frames:
            self.dropped += 1
            yield frame


def _timed(path: str | os.PathLike) -> Iterator[tuple[av.VideoFrame, Fraction, Fraction]]:
    """Yield (frame, start, end) in the order of display; exact seconds after the first frame's start."""
    frame, first, start, end = None, None, Fraction(0), Fraction(0)
    for frame, stamp in _decoded(path):
        before = start
        if stamp is None:                                   # no time of its own: it follows the frame before
            start = end
        else:
            first = stamp if first is None else first
            start = (stamp - first) * frame.time_base
        if start < before:
            raise VideoError(f"{path}: its clock runs backwards, from {float(before):.3f} s to "
                             f"{float(start):.3f} s; encode it again (ffmpeg -i IN OUT.mp4) and give that")
        end = start + (frame.duration or 0) * frame.time_base
        yield frame, start, end
    if frame is None:
        raise VideoError(f"{path}: has a video stream, but not one picture of it can be decoded; "
                         "fetch the file again or leave it out")


def _decoded(path: str | os.PathLike) -> Iterator[tuple[av.VideoFrame, int | None]]:
    """Yield (frame, its stamp in units of frame.time_base or None); whatever fails is a VideoError."""
    if not os.path.isfile(path):
        raise VideoError(f"{path}: there is no such file; check the name and the folder")
    size, pictures = os.path.getsize(path), 0
    try:
        with av.open(f"file:{os.fspath(path)}", metadata_errors="replace") as container:
            stream = _video_stream(path, container)
            stream.thread_type = "AUTO"
            index = stream.index_entries              # mp4 and avi say beforehand where each picture lies
            if len(index) and index[-1].pos + index[-1].size > size:
                raise VideoError(f"{path}: is cut short, {size:,} bytes of at least "
                                 f"{index[-1].pos + index[-1].size:,}; fetch the file again")
            keeps_pts = container.format.name != "avi"       # avi has no times of display
            for packet in container.demux(stream):
                for frame in packet.decode():
                    if packet.is_corrupt or frame.is_corrupt:
                        raise VideoError(_damaged(path, pictures, "a picture is incomplete"))
                    pictures += 1
                    yield frame, frame.pts if keeps_pts else frame.dts
    except av.FFmpegError as error:
        if pictures:
            raise VideoError(_damaged(path, pictures, error.strerror)) from error
        with open(path, "rb") as file:
            is_mp4 = file.read(8)[4:] == b"ftyp"
        found = ("an mp4 that cannot be read, as when its end is missing (with the index, moov) or damaged"
                 if is_mp4 else "not a video in any known format")
        raise VideoError(f"{path}: {found} ({error.strerror}, {size:,} bytes); "
                         "fetch the file again") from error


def _video_stream(path: str | os.PathLike, container: av.container.InputContainer) -> av.VideoStream:
    """Return the first video stream that is not a cover picture."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    found = ["a cover picture" if stream.type == "video" else stream.type for stream in container.streams]
    raise VideoError(f"{path}: holds no video stream (found: {', '.join(found) or 'nothing'}); "
                     "give a file with moving pictures")


def _damaged(path: str | os.PathLike, pictures: int, why: str) -> str:
    return (f"{path}: is damaged after picture {pictures} ({why}); "
            "fetch the file again, or encode it again without the end")


def _display_matrix(frame: av.VideoFrame) -> np.ndarray:
    """Return the numbers a, b, c, d that send a stored pixel (x, y) to (a x + c y, b x + d y), y downwards.

    Asked of the first frame only: PyAV ties a frame and its side data into a circle, so that every frame
    asked stays in memory until the garbage collector passes by.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return np.array([1, 0, 0, 1]) if matrix is None else np.frombuffer(matrix, np.int32)[[0, 1, 3, 4]]


def _upright(image_HW3: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Turn and mirror stored pixels (H, W, 3) as they are to be shown; other angles count as the nearest.

    >>> corner = np.array([[7, 0, 0], [0, 0, 0]])[:, :, None]
    >>> _upright(corner, (0, 1, -1, 0))[:, :, 0].tolist()          # a quarter turn clockwise
    [[0, 7], [0, 0], [0, 0]]
    """
    a, b, c, d = matrix
    if abs(b) > abs(a):
        image_HW3, mirror_x, mirror_y = image_HW3.transpose(1, 0, 2), c < 0, b < 0
    else:
        mirror_x, mirror_y = a < 0, d < 0
    return np.ascontiguousarray(image_HW3[::-1 if mirror_y else 1, ::-1 if mirror_x else 1])
