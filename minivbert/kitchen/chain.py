"""Forward-backward over the hidden Markov chains of all dishes and styles at once.

For a row of evidence e_0 .. e_K about consecutive clips, state x = (dish, step, phase), style y fixed for the show:

    a_0(x, y) = prior(x) / 6            a_k = (sum over x' of a_(k-1)(x') f_(k-1)(x') T(x', x))       before the evidence f_k of clip k
    b_K = 1                             b_k = sum over x' of T(x, x') f_(k+1)(x') b_(k+1)(x')

so a_k f_k b_k is the joint probability of all evidence and of state x at clip k, and a_k b_k the same without clip k's own evidence.
Rows are short (at most 17 clips), so float64 needs no rescaling.

Axes: D dishes, S states of a dish (END last), Y styles, R rows, K clips, V visual words.
"""
import numpy as np
import torch

ALIVE, ANYTHING, ENDED = -1, -2, -3             # evidence that is no token: the show goes on; nothing; the show is over


class Chain:
    """The tables of a world and its emission, laid out for batched matrix products."""

    def __init__(self, world, emission):
        """world: `recipes.World`; emission (A, P, Y, V): P(visual token | action, phase, style)."""
        D, S = world.start.shape
        self.words, self.styles = emission.shape[3], emission.shape[2]
        alive_DS = world.state_action >= 0
        seen_DSYV = emission[world.state_action, world.state_phase] * alive_DS[..., None, None]
        table_DVYS = np.zeros((D, self.words + 3, self.styles, S))
        table_DVYS[:, :self.words] = seen_DSYV.transpose(0, 3, 2, 1)
        table_DVYS[:, ALIVE] = alive_DS[:, None]
        table_DVYS[:, ANYTHING] = 1.0
        table_DVYS[:, ENDED, :, -1] = 1.0
        self.table_DVYS = torch.from_numpy(table_DVYS)
        # without a visible token the style does not matter: one style, at a sixth of the work
        self.plain_DVYS = self.table_DVYS[:, -3:, :1]
        self.transition_DSS = torch.from_numpy(world.transition)
        self.alive_DS = torch.from_numpy(alive_DS)

    def power(self, r):
        """Give the transition over r clips (D, S, S)."""
        return torch.linalg.matrix_power(self.transition_DSS, r)

    def run(self, prior_DS, evidence_RK, factors=(), rate=1):
        """Run all rows.

        prior (D, S); evidence (R, K) int: visual words, ALIVE, ANYTHING or ENDED; factors: [(clip (R,), table (R, D, S))], more
        evidence at one clip a row (-1: none); rate: clips from one column of the evidence to the next.
        Returns `Messages`.
        """
        R, K = evidence_RK.shape
        seen = bool((evidence_RK >= 0).any())
        table_DVYS = self.table_DVYS if seen else self.plain_DVYS
        index_RK = torch.from_numpy(np.where(evidence_RK < 0, table_DVYS.shape[1] + evidence_RK, evidence_RK))
        step_DSS, Y = self.power(rate), table_DVYS.shape[2]
        back_DSS = step_DSS.transpose(1, 2).contiguous()
        D, S = prior_DS.shape

        def evidence(k):
            e_DRYS = table_DVYS[:, index_RK[:, k]]
            f_DRYS = e_DRYS
            for clip_R, table_RDS in factors:
                here = torch.from_numpy(np.flatnonzero(clip_R == k))
                if len(here):
                    f_DRYS = f_DRYS.clone() if f_DRYS is e_DRYS else f_DRYS
                    f_DRYS[:, here] *= table_RDS[here].transpose(0, 1)[:, :, None]
            return e_DRYS, f_DRYS

        move = lambda x_DRYS, by_DSS: torch.bmm(x_DRYS.reshape(D, R * Y, S), by_DSS).view(D, R, Y, S)
        e, f = zip(*map(evidence, range(K)))
        a = [(torch.as_tensor(prior_DS)[:, None, None] / Y).expand(D, R, Y, S)]
        for k in range(1, K):
            a.append(move(a[-1] * f[k - 1], step_DSS))
        b = [torch.ones(D, R, Y, S, dtype=torch.float64)]
        for k in range(K - 1, 0, -1):
            b.append(move(b[-1] * f[k], back_DSS))
        return Messages(a, e, f, b[::-1])


class Messages:
    """What forward-backward found, lists over clips of (D, R, Y, S): a, f, b as above; e: the evidence without `factors`."""

    def __init__(self, a, e, f, b):
        self.a, self.e, self.f, self.b = a, e, f, b

    def likelihood(self):
        """Give the probability of all evidence (R,)."""
        return (self.a[-1] * self.f[-1]).sum((0, 2, 3))

    def at(self, clip_N, row_N, factors=True):
        """Give the joint probability (N, Y, D, S) of a row's evidence and its state at a clip, that clip's factors counted or not."""
        D, _, Y, S = self.a[0].shape
        out = torch.empty(len(clip_N), Y, D, S, dtype=torch.float64)
        for k in np.unique(clip_N):
            here = np.flatnonzero(clip_N == k)
            rows = torch.from_numpy(row_N[here])
            own = (self.f if factors else self.e)[k]
            out[torch.from_numpy(here)] = (self.a[k][:, rows] * own[:, rows] * self.b[k][:, rows]).permute(1, 2, 0, 3)
        return out
