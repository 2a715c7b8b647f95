"""How far from its visual word does a clip lie? Far from all that the tree was fitted on means: out of domain.

Nearest-centroid encoding never refuses: a cockatoo gets the visual word of whatever kitchen clip it is least unlike. What tells is the
distance that VideoBERT (section 4.1) throws away,

    distance(x) = |x - c(x)|            c(x): the centroid of the leaf that x falls to
    rank(x)     = share of the training clips that lie nearer to their own centroids

A corpus keeps the training clips' distances as 1,001 quantiles, distances.npy. One clip in twenty ranks above 0.95 by definition, but not
half of the clips of one video: a video is called out of domain when its middle clip (the median) does. The medians of the sample's 600
held-out shows rank from 0.08 to 0.93; that of 14 seconds of a cockatoo 0.99. A single clip, such as a still image, is so judged wrongly
once in twenty.

Axes: N clips, F features, Q quantiles.

Not stated in the paper, our choice: everything here.

    >>> reference_Q = np.linspace(0, 2, 1001)
    >>> ranks(np.array([0.5, 1.0, 9.0]), reference_Q).tolist(), is_foreign(np.array([0.5, 9.0, 9.0]), reference_Q)
    ([0.25, 0.5, 1.0], True)
"""
from pathlib import Path

import numpy as np

from minivbert.files import replace_file
from minivbert.tokens.hkmeans import encode_with_distance

QUANTILES = 1001
FOREIGN = 0.95           # a video whose median clip ranks higher is out of domain


def distances(tree, features_NF):
    """Give tokens (N,) int64 and Euclidean distances (N,) of features (N, F) to the centroids of their tokens."""
    token_N, square_N = encode_with_distance(tree, features_NF)
    return token_N, np.sqrt(square_N)


def write_distances(folder, distance_N):
    """Write distances.npy (Q,) float32 into a corpus folder: quantiles of the training clips' distances (N,)."""
    reference_Q = np.quantile(distance_N, np.linspace(0, 1, QUANTILES)).astype(np.float32)
    replace_file(Path(folder) / "distances.npy", lambda path: np.save(path, reference_Q))


def read_distances(folder):
    """Read distances.npy (Q,) of a corpus folder; None where the corpus has none. Raises ValueError if it is damaged."""
    path = Path(folder) / "distances.npy"
    if not path.is_file():
        return None
    try:
        reference_Q = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path}: not an array ({error}); prepare the corpus again") from error
    if reference_Q.ndim != 1 or len(reference_Q) < 2 or not (np.diff(reference_Q) >= 0).all():
        raise ValueError(f"{path}: shape {reference_Q.shape}, expected ascending quantiles (Q,); prepare the corpus again")
    return reference_Q


def ranks(distance_N, reference_Q):
    """Give the share (N,) of the training clips that lie nearer, 0 to 1, from their quantiles (Q,)."""
    return np.interp(distance_N, reference_Q, np.linspace(0, 1, len(reference_Q)))


def is_foreign(distance_N, reference_Q):
    """Tell whether the median of a video's distances (N,) lies beyond what the training clips' quantiles (Q,) allow."""
    return bool(ranks(np.median(distance_N), reference_Q) > FOREIGN)


def verdict(distance_N, reference_Q):
    """Say in one sentence how far a video's clips lie, their distances (N,) held against the training clips' quantiles (Q,)."""
    if reference_Q is None:
        return "domain: not known, the corpus has no distances.npy of its training clips to compare with"
    middle = float(np.median(distance_N))
    times, rank = middle / np.interp(0.5, np.linspace(0, 1, len(reference_Q)), reference_Q), float(ranks(middle, reference_Q))
    beyond = "every" if middle >= reference_Q[-1] else f"{rank:.1%}"
    where = f"its middle clip lies {times:.1f} times as far from its visual word as the middle training clip does, farther than {beyond} "
    where += "training clip" if beyond == "every" else "of the training clips"
    if is_foreign(distance_N, reference_Q):
        return f"out of domain: {where}; what follows is the nearest that the corpus knows, not what the video shows"
    return f"in domain: {where}"
