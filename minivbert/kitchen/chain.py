"""Forward-backward over the hidden Markov chains of all dishes and styles.

For a row of evidence e_0 .. e_K about consecutive clips, state x = (dish, step, phase), one style y:

    a_0(x, y) = prior(x) / 6     a_k = (sum over x' of a_(k-1)(x') f_(k-1)(x') T(x', x))     before clip k's evidence
    b_K = 1                      b_k = sum over x' of T(x, x') f_(k+1)(x') b_(k+1)(x')

f_k is e_k, what is seen at clip k, times the likelihood of what is said about it. So a_k f_k b_k is the joint
probability of all evidence and of state x at clip k, and a_k e_k b_k the same without what is said about clip k.

Dish by dish: a sentence about onions rules most dishes out, and one dish's messages stay in the processor's cache. Rows
are short (at most 17 clips), so float64 needs no rescaling.

Axes: D dishes, S states of a dish (END last), Y styles, R rows, K clips, V visual words, A actions, C cells
(action, phase).
"""
from dataclasses import dataclass

import numpy as np

from minivbert.kitchen.recipes import ACTIONS, PHASES

ALIVE, ANYTHING, ENDED = -1, -2, -3     # evidence that is no token: the show goes on; nothing; the show is over
SMALL = 2 ** 18         # multiplications a matrix product: for more, BLAS starts threads, slow on busy cores
NOTHING = (np.empty(0, int), np.empty(0, int))


@dataclass(frozen=True)
class Dish:
    """One dish of a world, without padding.

    states (S,): their places in the world's tables; transition (S, S); seen (V + 3, Y, S): P(evidence | state),
    the last three for ENDED, ANYTHING, ALIVE; topic (S,): index of the action, A at END; cell (S - 1,): index of
    (action, phase), END left out.
    """
    states: np.ndarray
    transition: np.ndarray
    seen: np.ndarray
    topic: np.ndarray
    cell: np.ndarray


@dataclass(frozen=True)
class Found:
    """Probabilities, each joint with all evidence of its row.

    likelihood (R,): of the evidence itself; topic (N, A + 1): of the action at a clip (last: END), less what is said
    about that clip; cell (M, C, Y): of (action, phase) and style at a clip.
    """
    likelihood: np.ndarray
    topic: np.ndarray
    cell: np.ndarray


class Chain:
    """The tables of a world and its emission, laid out for matrix products."""

    def __init__(self, world, emission):
        """world: `recipes.World`; emission (A, P, Y, V): P(visual token | action, phase, style)."""
        self.dishes, (_, _, self.styles, V) = [], emission.shape
        for d, action_S in enumerate(world.state_action):
            states = np.r_[np.flatnonzero(action_S >= 0), len(action_S) - 1]
            action, phase, alive = action_S[states], world.state_phase[d][states], action_S[states] >= 0
            seen = np.zeros((V + 3, self.styles, len(states)))
            seen[:V] = emission[action, phase].transpose(2, 1, 0) * alive
            seen[ALIVE], seen[ANYTHING], seen[ENDED] = alive, 1.0, ~alive
            self.dishes.append(Dish(states, world.transition[d][np.ix_(states, states)], seen,
                                    np.where(alive, action, len(ACTIONS)), (action * PHASES + phase)[:-1]))

    def run(self, prior_DS, evidence_RK, factors=(), rate=1, topics=NOTHING, cells=NOTHING):
        """Run all rows; answer what the action, or (action, phase) and style, is at (clips (N,), of rows (N,)).

        prior (D, S); evidence (R, K) int: visual words, ALIVE, ANYTHING or ENDED; factors: [(clip (R,), about
        (R, A + 1))], the likelihood of what is said about one clip a row (-1: nothing said); rate: clips from one
        column of the evidence to the next; topics, cells: the questions. Returns `Found`.
        """
        R, K = evidence_RK.shape
        # where no row shows a token the style does not matter: one style, at a sixth of the work
        Y = self.styles if (evidence_RK >= 0).any() else 1
        found = Found(np.zeros(R), np.zeros((len(topics[0]), len(ACTIONS) + 1)),
                      np.zeros((len(cells[0]), len(ACTIONS) * PHASES, self.styles)))
        for dish, prior_S in zip(self.dishes, prior_DS):
            told_R = np.ones(R, bool)
            for clip_R, about_RA in factors:
                told_R &= (clip_R < 0) | about_RA[:, dish.topic].any(1)
            told, S = np.flatnonzero(told_R), len(dish.topic)
            block = max(SMALL // (Y * S * S), 1)
            for rows in (told[i:i + block] for i in range(0, len(told), block)):
                said = [(clip_R[rows], about_RA[rows[:, None], dish.topic]) for clip_R, about_RA in factors]
                (n, topics_here), (m, cells_here) = questions_of(rows, topics), questions_of(rows, cells)
                likelihood_R, topic_NS, cell_MYS = forward_backward(
                    dish, prior_S[dish.states], evidence_RK[rows], said, rate, Y, topics_here, cells_here)
                found.likelihood[rows] += likelihood_R
                for s, topic in enumerate(dish.topic):
                    found.topic[n, topic] += topic_NS[:, s]
                for s, cell in enumerate(dish.cell):
                    found.cell[m, cell] += cell_MYS[:, :, s] * (Y / self.styles)
        return found


def questions_of(rows, questions):
    """Keep the questions (clips, rows) about some rows (sorted): their indices, and (clips, places in `rows`).

    >>> questions_of(np.array([2, 5]), (np.array([7, 8, 9]), np.array([5, 3, 2])))
    (array([0, 2]), (array([7, 9]), array([1, 0])))
    """
    clip, row = questions
    here = np.flatnonzero(np.isin(row, rows))
    return here, (clip[here], np.searchsorted(rows, row[here]))


def forward_backward(dish, prior_S, evidence_RK, said, rate, Y, topics, cells):
    """Run rows of one dish; arguments as in `Chain.run`, said: [(clip (R,), about (R, S))].

    Returns likelihood (R,), and the joint probability of the states: (N, S) for topics, (M, Y, S) for cells.
    """
    (R, K), S = evidence_RK.shape, len(prior_S)
    step_SS = np.linalg.matrix_power(dish.transition, rate)
    f_KRYS = dish.seen[evidence_RK.T, :Y]
    for clip_R, about_RS in said:
        here = np.flatnonzero(clip_R >= 0)
        f_KRYS[clip_R[here], here] *= about_RS[here, None]
    a_KRYS = np.empty_like(f_KRYS)
    a_KRYS[0] = prior_S / Y
    for k in range(1, K):
        np.matmul((a_KRYS[k - 1] * f_KRYS[k - 1]).reshape(-1, S), step_SS, out=a_KRYS[k].reshape(-1, S))
    likelihood_R = (a_KRYS[-1] * f_KRYS[-1]).sum((1, 2))

    # the way back is for those asked about
    rows, place = np.unique(np.r_[topics[1], cells[1]], return_inverse=True)
    b_KRYS = np.ones((K, len(rows), Y, S))
    for k in range(K - 1, 0, -1):
        np.matmul((b_KRYS[k] * f_KRYS[k][rows]).reshape(-1, S), step_SS.T, out=b_KRYS[k - 1].reshape(-1, S))
    (t, r), (u, q), n = topics, cells, len(topics[0])
    topic_NYS = a_KRYS[t, r] * dish.seen[evidence_RK[r, t], :Y] * b_KRYS[t, place[:n]]
    return likelihood_R, topic_NYS.sum(1), a_KRYS[u, q] * f_KRYS[u, q] * b_KRYS[u, place[n:]]
