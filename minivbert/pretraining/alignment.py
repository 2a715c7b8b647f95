"""True and false pairs for linguistic-visual alignment: is this text about this video, at this moment?

VideoBERT, section 3.2: [CLS] answers whether text and video are temporally aligned, where BERT has next sentence prediction.
A false pair joins the text of a segment with the video of another one.

Not stated in the paper, our choice: half of the pairs are false; the other segment comes from another video (so a "negative" is
never its own neighbour) and has just as many clips (so that counting tokens tells nothing). By chance it may still show the
same action: the label noise that the paper mentions stays in, and the oracle knows its price.
"""
import numpy as np


class Partners:
    """Find, for a segment, another one with as many clips in another video."""

    def __init__(self, clips_A, video_A):
        """clips_A, video_A (A,) int: number of clips and video of each segment."""
        self.video = video_A
        self.order = np.argsort(clips_A, kind="stable")
        counts = clips_A[self.order]
        self.low = np.searchsorted(counts, clips_A, side="left")
        self.high = np.searchsorted(counts, clips_A, side="right")

    def draw(self, pick_B, rng, tries=8):
        """Draw a partner (B,) for each of the segments pick_B (B,).

        Draws again where the partner is of the same video. Where that keeps failing (a corpus too small to hold two
        videos with segments so long), the segment itself comes back: the caller must call that pair true.
        """
        partner_B = pick_B.copy()
        for _ in range(tries):
            wrong_B = self.video[partner_B] == self.video[pick_B]
            if not wrong_B.any():
                break
            at_B = rng.integers(self.low[pick_B], self.high[pick_B])
            partner_B = np.where(wrong_B, self.order[at_B], partner_B)
        return np.where(self.video[partner_B] == self.video[pick_B], pick_B, partner_B)
