"""Cut videos into segments: the span of a sentence where there is speech, 16 visual tokens where there is not.

VideoBERT, section 4.1: "when an ASR output is available, each sentence's time span cuts the visual token sequence; otherwise
16 tokens are treated as one segment". Neighbouring sentences may be joined into one longer segment (section 3.2), so a segment
here is *one sentence or two consecutive ones of the same video*; never across videos.

All segments of a corpus are a few flat integer arrays, so that whole batches are drawn by indexing.

Not stated in the paper, our choice: a sentence's tokens are all clips that its time span touches, so that a clip in which one
sentence ends and the next begins belongs to both; where the two are joined it stands once, with the first. What of a sentence
lies outside the video is cut off; a sentence without a word or without a clip gives no segment. The video-only regime cuts every
video, with or without speech, into windows of 16; at most two sentences are joined.

    >>> clip_span(np.array([0.15]), np.array([3.2]), 1.5)
    (array([0]), array([3]))
"""
from dataclasses import dataclass

import numpy as np


def clip_span(start_S, end_S, clip_seconds):
    """Give (first clip, one past the last clip) that each time span touches. Times in seconds."""
    return np.floor(start_S / clip_seconds).astype(int), np.ceil(end_S / clip_seconds).astype(int)


@dataclass(frozen=True)
class Sentences:
    """Segments that follow speech: A rows of one or two sentences; the second has length 0 where there is only one.

    video (A,); text_from, text_len (A, 2): ranges in corpus.text; clip_from, clip_len (A, 2): ranges in corpus.visual.
    """
    video: np.ndarray
    text_from: np.ndarray
    text_len: np.ndarray
    clip_from: np.ndarray
    clip_len: np.ndarray

    def __len__(self):
        return len(self.video)


@dataclass(frozen=True)
class Windows:
    """Segments of 16 clips: start (A,) in corpus.visual, room (A,): clips from there to the end of the video."""
    start: np.ndarray
    room: np.ndarray

    def __len__(self):
        return len(self.start)


def sentence_segments(corpus, videos, joined):
    """List the segments of single sentences (joined=False) or of two neighbours (joined=True) of the given videos.

    A sentence without a word, or without a clip of the video in its span, gives no segment; its neighbours are then each other's.
    Of two that share clips, the second has those after the first one's last, none if there are none.
    """
    at = np.flatnonzero(np.isin(corpus.sentence_video, videos))
    video = corpus.sentence_video[at].astype(int)
    text_from, text_len = corpus.sentence_offsets[at], np.diff(corpus.sentence_offsets)[at]
    begin, end = corpus.visual_offsets[video], corpus.visual_offsets[video + 1]
    seconds = corpus.meta["clip_frames"] / corpus.meta["fps"]
    first, last = clip_span(corpus.sentence_times[at, 0], corpus.sentence_times[at, 1], seconds)
    first, last = np.clip(begin + first, begin, end), np.clip(begin + last, begin, end)
    full = (text_len > 0) & (last > first)
    video, text_from, text_len, first, count = (x[full] for x in (video, text_from, text_len, first, last - first))
    if joined:
        pair = np.flatnonzero(video[1:] == video[:-1])
        couple = lambda x: np.stack([x[pair], x[pair + 1]], axis=1)
        clip_from, clip_len = couple(first), couple(count)
        shared = np.clip(clip_from[:, 0] + clip_len[:, 0] - clip_from[:, 1], 0, clip_len[:, 1])
        clip_from[:, 1] += shared
        clip_len[:, 1] -= shared
    else:
        pair = np.arange(len(video))
        couple = lambda x: np.stack([x, np.zeros_like(x)], axis=1)
        clip_from, clip_len = couple(first), couple(count)
    return Sentences(video[pair], couple(text_from), couple(text_len), clip_from, clip_len)


def window_segments(corpus, videos, length=16):
    """List the windows that start at clips 0, length, 2 length, ... of the given videos."""
    begin, end = corpus.visual_offsets[videos], corpus.visual_offsets[np.asarray(videos) + 1]
    count = -(-(end - begin) // length)
    start = np.repeat(begin, count) + length * (np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count))
    return Windows(start, np.repeat(end, count) - start)
