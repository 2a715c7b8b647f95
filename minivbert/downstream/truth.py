"""Labelled segments of a kitchen corpus, whole steps of its shows, and the exact probability of their clips.

    P(tokens | route) = mean over styles y of  sum over phases  prod_k P(v_k | action, phase, y)

A *route* is a short sequence of steps, each of three phases of geometric length, and the tokens are all its clips, none missing. How often
a route occurs is known too: slot by slot down the dishes. Together they give exact Bayes answers about labelled segments.

Axes: S segments, N clips, G routes, M steps a route, Q = 3 M phases, Y styles, A actions, V visual words.

Not stated in the paper, our choice: everything here; the paper's labels come from captions that people wrote.
"""
from dataclasses import dataclass

import numpy as np

from minivbert.downstream.shared import exemplar_frames
from minivbert.kitchen.recipes import ACTIONS, DISHES, PHASES, VERBS


@dataclass(frozen=True)
class Segments:
    """Whole steps, S segments of one or more consecutive ones: video (S,); first, clips (S,) in corpus.visual; route (S, M) of actions."""
    video: np.ndarray
    first: np.ndarray
    clips: np.ndarray
    route: np.ndarray

    def __len__(self):
        return len(self.video)

    def __getitem__(self, at):
        return Segments(self.video[at], self.first[at], self.clips[at], self.route[at])


def segments_of(corpus, videos, shows, steps=1):
    """List all runs of so many consecutive whole steps of some videos."""
    found = []
    for video, show in zip(videos, shows):
        begin, parts = int(corpus.visual_offsets[video]), show.steps()
        for i in range(len(parts) - steps + 1):
            own = parts[i:i + steps]
            found.append((video, begin + own[0][0], sum(n for _, n, _ in own), [a for *_, a in own]))
    video, first, clips, route = zip(*found) if found else ((), (), (), np.zeros((0, steps)))
    return Segments(np.array(video, int), np.array(first, int), np.array(clips, int), np.array(route, int).reshape(-1, steps))


def tokens_of(corpus, segments, most):
    """Give the visual tokens of segments, at most so many: of a longer one every r-th clip, so that its end is seen too. A list."""
    return [corpus.visual[a:a + n:-(-n // most)].astype(int) for a, n in zip(segments.first, segments.clips)]


def film_of(corpus, video):
    """Give the visual tokens of a video of the corpus and, for pictures, its visual words' exemplars; ValueError for a number out of range."""
    if not 0 <= video < corpus.videos:
        raise ValueError(f"video {video}: {corpus.folder} has videos 0 to {corpus.videos - 1}")
    tokens = corpus.video(video).astype(int)
    return tokens, [*exemplar_frames(corpus)[tokens]]


def emission_of(corpus):
    """Read P(visual token | action, phase, style) (A, P, Y, V) float64."""
    with np.load(corpus.folder / "emission.npz", allow_pickle=False) as file:
        return file["emission"].astype(np.float64)


def routes(steps=1):
    """List what may follow what: routes (G, M) of actions, and how often a show is expected to hold each (G,).

    >>> route, often = routes(1)
    >>> bool(abs(often.sum() - np.mean([sum(sum(slot.values()) for slot in slots) for slots in DISHES.values()])) < 1e-9)
    True
    """
    found = {}

    def walk(slots, i, route, p):
        if len(route) == steps:
            found[route] = found.get(route, 0.0) + p / len(DISHES)
            return
        while i < len(slots):
            for step, share in slots[i].items():
                walk(slots, i + 1, (*route, ACTIONS.index(tuple(step.split()))), p * share)
            if route:                                   # only a skipped slot lets the next step come later
                p *= 1.0 - sum(slots[i].values())
                if p < 1e-12:
                    return
            i += 1

    for slots in DISHES.values():
        walk(slots, 0, (), 1.0)
    return np.array(list(found)), np.array(list(found.values()))


def route_likelihood(tokens, route_GM, emission, block=256):
    """Give P(these clips, and that the last step ends with them | route) (S, G) for S lists of tokens, every clip shown."""
    A, P, Y, V = emission.shape
    stay_A = np.array([VERBS[verb] for verb, _ in ACTIONS])
    cell_GQ = (route_GM[:, :, None] * PHASES + np.arange(PHASES)).reshape(len(route_GM), -1)
    stay_GQ, table_VYC = stay_A[cell_GQ // PHASES], emission.reshape(A * P, Y, V).transpose(2, 1, 0)
    out, length_S = np.zeros((len(tokens), len(route_GM))), np.array([len(t) for t in tokens])
    for n in np.unique(length_S):
        same = np.flatnonzero(length_S == n)
        for at in (same[i:i + block] for i in range(0, len(same), block)):
            seen_SN = np.stack([tokens[s] for s in at])
            alpha_SYGQ = np.zeros((len(at), Y, *cell_GQ.shape))
            alpha_SYGQ[..., 0] = 1.0 / Y
            for k in range(n):
                if k:
                    moved_SYGQ = alpha_SYGQ[..., :-1] * (1 - stay_GQ[:, :-1])
                    alpha_SYGQ = alpha_SYGQ * stay_GQ
                    alpha_SYGQ[..., 1:] += moved_SYGQ
                alpha_SYGQ = alpha_SYGQ * table_VYC[seen_SN[:, k]][:, :, cell_GQ]
            out[at] = (alpha_SYGQ[..., -1] * (1 - stay_GQ[:, -1])).sum(1)
    return out


def within(route_GM, most):
    """Give the chance that a route takes at most so many clips, (G,): its phases last geometric numbers of clips.

    >>> fast = ACTIONS.index(("pour", "milk"))                             # each phase goes on with probability 0.35
    >>> bool(abs(within(np.array([[fast]]), 3)[0] - 0.65 ** 3) < 1e-12)
    True
    """
    stay_A = np.array([VERBS[verb] for verb, _ in ACTIONS])
    stay_GQ = np.repeat(stay_A[route_GM], PHASES, axis=1)
    at_GQ, over_G = np.zeros_like(stay_GQ), np.zeros(len(route_GM))
    at_GQ[:, 0] = 1.0
    for _ in range(most):
        over_G += at_GQ[:, -1] * (1 - stay_GQ[:, -1])
        at_GQ = at_GQ * stay_GQ + np.pad(at_GQ[:, :-1] * (1 - stay_GQ[:, :-1]), ((0, 0), (1, 0)))
    return over_G
