"""Cut videos into segments: the span of a sentence where there is speech, 16 visual tokens where there is not.

VideoBERT, section 4.1: "when an ASR output is available, each sentence's time span cuts the visual token sequence; otherwise
16 tokens are treated as one segment". Neighbouring sentences may be joined into one longer segment (section 3.2), so a segment
here is *one sentence or two consecutive ones of the same video*; never across videos.

Whole batches are drawn by indexing: `Spoken` holds the numbers of the sentences that give segments, 4 bytes each, and looks up the
rest in the memory-mapped corpus for those that are drawn. So an index of the paper's size (7 million sentences) is made in a second
and held in 28 MB, twice that with the pairs.

Not stated in the paper, our choice: a sentence's tokens are all clips that its time span touches, so that a clip in which one
sentence ends and the next begins belongs to both; where the two are joined it stands once, with the first. What of a sentence
lies outside the video is cut off; a sentence without a word or without a clip gives no segment. The video-only regime cuts every
video, with or without speech, into windows of 16; at most two sentences are joined.

    >>> clip_span(np.array([0.15]), np.array([3.2]), 1.5)
    (array([0]), array([3]))
"""
from dataclasses import dataclass

import numpy as np

from minivbert.tokens.corpus import Corpus, rows_of

CHUNK = 2 ** 17          # sentences looked up at a time
HELD = 2 ** 20           # segments whose numbers are held as arrays; of more, they are looked up as they are drawn


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
class Spoken:
    """An index of segments that follow speech: sentence (S,), the ones that have a word and a clip; first (A,), where in that list each
    segment begins, or None: every sentence is one; clips (A,): how many clips each has. Unsigned integers, as small as they may be."""
    corpus: Corpus
    sentence: np.ndarray
    first: np.ndarray | None
    clips: np.ndarray

    def __len__(self):
        return len(self.clips)

    @property
    def video(self):
        """Give the video of each segment, an array (A,) or what is indexed like one."""
        def look(pick_B):
            return rows_of(self.corpus.sentence_video, self.sentence[pick_B if self.first is None else self.first[pick_B]]).astype(int)
        return held_if_small(look, len(self))

    def take(self, pick_B):
        """Look up segments pick (B,): a `Sentences` of B rows."""
        if self.first is None:
            video, text_from, text_len, clip_from, clip_len = look_up(self.corpus, self.sentence[pick_B].astype(int))
            alone = lambda x: np.stack([x, np.zeros_like(x)], axis=1)
            return Sentences(video, alone(text_from), alone(text_len), alone(clip_from), alone(clip_len))
        one, two = (look_up(self.corpus, self.sentence[self.first[pick_B].astype(int) + i].astype(int)) for i in (0, 1))
        text_from, text_len, clip_from, clip_len = (np.stack(pair, axis=1) for pair in zip(one[1:], two[1:]))
        shared = shared_clips(clip_from[:, 0], clip_len[:, 0], clip_from[:, 1], clip_len[:, 1])
        clip_from[:, 1] += shared
        clip_len[:, 1] -= shared
        return Sentences(one[0], text_from, text_len, clip_from, clip_len)


class LookedUp:
    """Numbers of segments that are not held: indexed like an array (A,), it gives the entries of a pick (B,)."""

    def __init__(self, look):
        """look: a function from picks (B,) to their numbers (B,)."""
        self.look = look

    def __getitem__(self, pick_B):
        return self.look(np.atleast_1d(pick_B)).reshape(np.shape(pick_B))


def held_if_small(look, A):
    """Give the numbers that `look` finds of A segments, as an array if those are at most HELD, else `LookedUp`.

    >>> held_if_small(lambda pick_B: pick_B ** 2, 4), LookedUp(lambda pick_B: pick_B ** 2)[np.array([3, 1])]
    (array([0, 1, 4, 9]), array([9, 1]))
    """
    return look(np.arange(A)) if A <= HELD else LookedUp(look)


def look_up(corpus, sentence_S, size=16):
    """Give (video, first text id, text ids, first clip, clips) of sentences (S,), each (S,) int64; what lies outside the video is cut off.

    size: how many to read at a time, more where they are neighbours.
    """
    video = rows_of(corpus.sentence_video, sentence_S, size).astype(int)
    text_from, text_to = (rows_of(corpus.sentence_offsets, sentence_S + i, size) for i in (0, 1))
    begin, end = (rows_of(corpus.visual_offsets, video + i, size) for i in (0, 1))
    seconds, times = corpus.meta["clip_frames"] / corpus.meta["fps"], rows_of(corpus.sentence_times, sentence_S, size)
    first, last = clip_span(times[:, 0], times[:, 1], seconds)
    first, last = np.clip(begin + first, begin, end), np.clip(begin + last, begin, end)
    return video, text_from, text_to - text_from, first, last - first


def shared_clips(first_S, count_S, next_S, next_count_S):
    """Count the clips (S,) of the second of two spans that the first one has too, both given by first clip and clips.

    >>> shared_clips(np.array([3]), np.array([4]), np.array([5]), np.array([9]))
    array([2])
    """
    return np.clip(first_S + count_S - next_S, 0, next_count_S)


def spoken_segments(corpus, videos):
    """Index the segments of single sentences and of two neighbours of the given videos: two `Spoken`.

    A sentence without a word, or without a clip of the video in its span, gives no segment; its neighbours are then each other's.
    Of two that share clips, the second has those after the first one's last, none if there are none.
    """
    wanted = np.zeros(corpus.videos + 1, bool)
    wanted[videos] = True
    sentences, firsts, counts, joint_counts, before, last = [], [], [], [], 0, [np.zeros(0, int)] * 4
    for start in range(0, len(corpus.sentence_video), CHUNK):
        at = start + np.flatnonzero(wanted[corpus.sentence_video[start:start + CHUNK]])
        video, _, words, first, count = look_up(corpus, at, CHUNK)
        full = np.flatnonzero((words > 0) & (count > 0))
        sentences.append(at[full].astype(np.int32))
        counts.append(count[full].astype(np.int32))
        video, first, count = (np.append(x, y[full]) for x, y in zip(last, (video, first, count)))   # with the last one of the chunk before
        pair = np.flatnonzero(video[1:] == video[:-1])
        firsts.append((before + pair).astype(np.int32))
        shared = shared_clips(first[pair], count[pair], first[pair + 1], count[pair + 1])
        joint_counts.append((count[pair] + count[pair + 1] - shared).astype(np.int32))
        before, last = before + max(len(video) - 1, 0), [x[-1:] for x in (video, first, count)]
    sentence, pair, count, joint_count = (joined_up(pieces) for pieces in (sentences, firsts, counts, joint_counts))
    return Spoken(corpus, sentence, None, count), Spoken(corpus, sentence, pair, joint_count)


def joined_up(pieces):
    """Lay pieces end to end, in the smallest type of whole numbers that holds them, and let them go."""
    kind = np.min_scalar_type(max((int(piece.max(initial=0)) for piece in pieces), default=0))
    array = np.concatenate([np.zeros(0, kind), *pieces], dtype=kind, casting="unsafe")
    pieces.clear()
    return array


def sentence_segments(corpus, videos, joined):
    """List the segments of single sentences (joined=False) or of two neighbours (joined=True) of the given videos."""
    index = spoken_segments(corpus, videos)[joined]
    return index.take(np.arange(len(index)))


@dataclass(frozen=True)
class Windows:
    """Segments of 16 clips: start (A,) in corpus.visual, room (A,): clips from there to the end of the video; both int32."""
    start: np.ndarray
    room: np.ndarray

    def __len__(self):
        return len(self.start)


def window_segments(corpus, videos, length=16):
    """List the windows that start at clips 0, length, 2 length, ... of the given videos."""
    begin, end = corpus.visual_offsets[videos].astype(np.int32), corpus.visual_offsets[np.asarray(videos) + 1].astype(np.int32)
    count = -(-(end - begin) // length)
    within = np.arange(count.sum(), dtype=np.int32) - np.repeat(np.cumsum(count, dtype=np.int32) - count, count)
    start = np.repeat(begin, count) + length * within
    return Windows(start, np.repeat(end, count) - start)
