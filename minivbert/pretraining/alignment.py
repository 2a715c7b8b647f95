"""True and false pairs for linguistic-visual alignment: is this text about this video, at this moment?

VideoBERT, section 3.2: [CLS] answers whether text and video are temporally aligned, where BERT has next sentence prediction.
A false pair joins the text of a segment with the video of another one.

Not stated in the paper, our choice: half of the pairs are false; the other segment comes from another video (so a "negative" is
never its own neighbour) and has just as many clips (so that counting tokens tells nothing). By chance it may still show the
same action: the label noise that the paper mentions stays in, and the oracle knows its price.
"""
import numpy as np

from minivbert.pretraining.segments import held_if_small


class Partners:
    """Find, for a segment, another one with as many clips in another video."""

    def __init__(self, clips_A, video_A):
        """clips_A, video_A (A,) int: number of clips and video of each segment; video_A may be `LookedUp`."""
        self.video = video_A
        self.order = np.argsort(clips_A, kind="stable").astype(np.int32)
        begin = np.cumsum(np.append(0, np.bincount(clips_A)))                # where, in this order, each number of clips begins
        self.low = held_if_small(lambda pick_B: begin[clips_A[pick_B].astype(int)], len(clips_A))
        self.high = held_if_small(lambda pick_B: begin[clips_A[pick_B].astype(int) + 1], len(clips_A))

    def pairs(self, pick_B, true_B, rng):
        """Pair segments with a video; see `alignment_pairs`."""
        return alignment_pairs(pick_B, true_B, self.order, self.low, self.high, self.video, rng)


def alignment_pairs(pick_B, true_B, order_A, low_A, high_A, video_A, rng, tries=8):
    """Choose the segment whose clips stand beside the text of segments pick (B,); return shown (B,) int, aligned (B,) bool.

    true (B,) bool: where the segment shows its own clips. Elsewhere it shows those of a segment of another video with as many
    clips, each such segment being as likely. order (A,) int: all segments by their number of clips, so that
    order[low[a]:high[a]] are those with as many as segment a, itself among them. video (A,) int: the video of each segment.
    rng: `np.random.Generator`.

    Draws again, `tries` times in all, where the other segment is of the same video. Where that keeps failing (a corpus too small to
    hold two videos with segments so long), the segment shows its own clips, and the pair is true after all.
    """
    other_B = pick_B.copy()
    for _ in range(tries):
        same_B = video_A[other_B] == video_A[pick_B]
        if not same_B.any():
            break
        other_B = np.where(same_B, order_A[rng.integers(low_A[pick_B], high_A[pick_B])], other_B)
    aligned_B = true_B | (video_A[other_B] == video_A[pick_B])
    return np.where(aligned_B, pick_B, other_B), aligned_B
