"""Exact Bayes: the best possible answer to every question that pretraining asks about the kitchen.

    p(masked token | everything visible)      p(aligned | text, video)

An input hides more than its masked tokens: where the first sentence ends if its full stop is masked, the lag between saying and
doing, the sub-sampling rate, where in the show it was cut out, dish, style, steps, what is chatter. A *reading* fixes the first
three; the rest is summed by forward-backward (`chain.py`) with sentence likelihoods (`language.py`) as evidence:

    p(token, visible) = sum over readings  P(reading) * sum over states  chain(states) * P(token | state)
    aligned           : text and video are evidence about one chain
    not aligned       : about two independent ones; the video's comes from a segment with as many clips

Segments are drawn uniformly from all segments of endlessly many shows, so a segment starts in state x with density
sum_t u_t P(state at t = x), u_t the chance that a sentence starts at clip t. Its clips must lie within the show.

Axes: B rows of the batch, R readings of rows, M masked slots, Vt words, Vv visual words, D, S, Y, A as in `chain.py`.

    >>> oracle = Oracle(World(), vocab, emission)                                   # doctest: +SKIP
    >>> oracle.predict(batch).video.shape                                           # (B, M, Vv)          # doctest: +SKIP
"""
from dataclasses import dataclass

import numpy as np
import torch

from minivbert.kitchen.chain import ALIVE, ANYTHING, ENDED, Chain
from minivbert.kitchen.language import HIDDEN, Language
from minivbert.kitchen.narrate import LENGTHS, START_CLIPS, sentence_clips
from minivbert.kitchen.recipes import ACTIONS

LONGEST = 400            # clips: no show is longer (the chance is below 1e-12)
CHUNK = 96               # rows of a batch at a time


@dataclass
class Prediction:
    """Exact probabilities: text (B, M, Vt), video (B, M, Vv), 0 in unused slots; aligned (B,), None outside "video-text"."""
    text: np.ndarray
    video: np.ndarray
    aligned: np.ndarray | None


class Oracle:
    """The kitchen's tables, ready to answer."""

    def __init__(self, world, vocab, emission, concat=0.5, rates=(0.2,) * 5, window=16):
        """world: `recipes.World`; vocab: token strings; emission (A, P, Y, Vv); concat: share of joined sentences;
        rates: P(sub-sampling rate 1, 2, ...); window: clips of a segment without speech."""
        self.world, self.emission, self.rates, self.window = world, emission, rates, window
        self.language, self.chain = Language(vocab), Chain(world, emission)
        self.joint = len(vocab)
        self.mask, self.sep = vocab.index("[MASK]"), vocab.index("[SEP]")
        alive_DS = world.state_action >= 0
        state_DS, states = world.start / len(world.dishes), []
        for _ in range(LONGEST):
            states.append(state_DS * alive_DS)
            state_DS = np.einsum("ds,dst->dt", state_DS, world.transition)
        starts = np.zeros(LONGEST)
        clips = {W: sentence_clips(W) for W in LENGTHS}
        for t in range(LONGEST):
            starts[t] = (START_CLIPS[t] if t < len(START_CLIPS) else 0) + sum(
                p * starts[t - clips[W]] for W, p in LENGTHS.items() if t >= clips[W])
        self.prior_text = np.einsum("t,tds->ds", starts, states)
        self.prior_video = sum(states[::window])
        # a_n: the expected number of places a show has for n clips that begin where a sentence begins
        self.places, onward_DS = [0.0], alive_DS.astype(float)
        for _ in range(2 * max(clips.values())):
            self.places.append(float((self.prior_text * onward_DS).sum()))
            onward_DS = np.einsum("dst,dt->ds", world.transition, onward_DS) * alive_DS
        one = sum(p * self.places[clips[W]] for W, p in LENGTHS.items())
        two = sum(p * q * self.places[clips[W] + clips[U]] for W, p in LENGTHS.items() for U, q in LENGTHS.items())
        self.share = {1: (1 - concat) / one, 2: concat / two}
        self.cells = torch.from_numpy(emission.reshape(-1, emission.shape[3]))              # (C Y, Vv)

    def predict(self, batch):
        """Answer a whole `Batch`; only ids and keep are looked at, and the weights, to know which slots are used."""
        ids, B = batch.ids.numpy(), len(batch.ids)
        slots = {part: (getattr(batch, f"{part}_at").numpy(), getattr(batch, f"{part}_weight").numpy() > 0)
                 for part in ("text", "video")}
        text = np.zeros((*slots["text"][0].shape, self.language.words))
        video = np.zeros((*slots["video"][0].shape, self.emission.shape[3]))
        together, apart = np.zeros(B), np.zeros(B)
        for first in range(0, B, CHUNK):
            rows = np.arange(first, min(first + CHUNK, B))
            if batch.regime == "video":
                self._windows(ids, rows, *slots["video"], video)
            else:
                readings = self._readings(ids, rows)
                readings.ask(*slots["text"])
                if batch.regime == "text":
                    self._speech(readings, np.ones(len(readings.row)))
                else:
                    shown = self._shown(ids, readings, *slots["video"])
                    together += self._aligned(readings, shown, video, B)
                    apart += self._apart(readings, shown, video, B)
                self._add_words(readings, text)
        for out in (text, video):
            out /= np.maximum(out.sum(-1, keepdims=True), 1e-300)
        return Prediction(text, video, together / (together + apart) if batch.regime == "video-text" else None)

    def floor(self, batch):
        """Score the oracle on a batch: {part: [nats, count, correct]} for the parts of its regime."""
        found, out = self.predict(batch), {}
        for part in ("text", "video"):
            used = getattr(batch, f"{part}_weight").numpy() > 0
            if used.shape[1]:
                p_NV, label = getattr(found, part)[used], getattr(batch, f"{part}_label").numpy()[used]
                nats = -np.log(np.maximum(p_NV[np.arange(len(label)), label], 1e-30)).sum()
                out[part] = [nats, len(label), (p_NV.argmax(1) == label).sum()]
        if found.aligned is not None:
            truth = batch.aligned.numpy() == 1
            p_B = np.where(truth, found.aligned, 1 - found.aligned)
            right_B = np.where(np.abs(p_B - 0.5) < 1e-9, 0.5, p_B > 0.5)            # all chatter: a coin decides
            out["alignment"] = [-np.log(np.maximum(p_B, 1e-30)).sum(), len(p_B), right_B.sum()]
        return out

    # --- readings: how the text may be cut into sentences ---

    def _readings(self, ids, rows):
        found = []
        for row in rows:
            length = int(np.argmax((ids[row] == self.sep) | (ids[row] == self.joint))) - 1
            words = np.where(ids[row, 1:1 + length] == self.mask, HIDDEN, ids[row, 1:1 + length])
            stops = set(np.flatnonzero(words == self.language.stop))
            for W in LENGTHS:
                U = length - W
                ends = {W - 1, length - 1}
                if (U == 0 or U in LENGTHS) and stops <= ends and all(
                        words[e] in (HIDDEN, self.language.stop) for e in ends):
                    weight = self.share[1 + (U > 0)] * LENGTHS[W] * LENGTHS.get(U, 1.0)
                    found.append((row, weight, W, U, sentence_clips(W), sentence_clips(U) if U else 0, words))
            if not found or found[-1][0] != row:
                raise ValueError(f"row {row} is nothing that the kitchen's cook can say: the oracle answers batches of a "
                                 "kitchen corpus, drawn with training=False")
        return Readings(self, found)

    def _add_words(self, readings, text):
        """Add the joint probabilities of hidden words to text, given those of what their sentences are about."""
        c, about_QA = self.world.chatter, readings.about
        weight_QA = np.c_[about_QA[:, :-1] * (1 - c), about_QA[:, -1:] + c * about_QA[:, :-1].sum(1, keepdims=True)]
        for length in np.unique(readings.asked_length):
            here = np.flatnonzero(readings.asked_length == length)
            r = readings.asked[here]
            words = np.stack([readings.words[i][a:a + length] for i, a in zip(r, readings.asked_start[here])])
            p_NV = self.language.hidden_words(words, weight_QA[here], readings.asked_position[here])
            np.add.at(text, (readings.row[r], readings.asked_slot[here]), p_NV)

    def _add_tokens(self, cell_NCY, weight_N, target, video):
        p_NV = (torch.from_numpy(cell_NCY.reshape(len(weight_N), len(self.cells))) @ self.cells).numpy()
        np.add.at(video, target, p_NV * weight_N[:, None])

    # --- the regimes ---

    def _talk(self, readings, i_N):
        """Pair each of the readings i_N with every lag: (index into i_N, P(lag), factors for `Chain.run`)."""
        n, lag = np.indices((len(i_N), len(self.world.lags))).reshape(2, -1)
        i = i_N[n]
        second = np.where(readings.U[i] > 0, readings.n1[i] + lag, -1)
        return n, np.array(self.world.lags)[lag], [(lag, readings.said[0][i]), (second, readings.said[1][i])]

    def _speech(self, readings, factor_R):
        """Text by itself: add what hidden words are about, each reading weighted by `factor_R`.

        Returns P(text, reading) without that factor (R,).
        """
        i, p_lag, factors = self._talk(readings, np.arange(len(readings.row)))
        alive = np.arange(readings.clips(len(self.world.lags) - 1)) < (readings.n1 + readings.n2)[i, None]
        q, topics = readings.questions(i, factors)
        found = self.chain.run(self.prior_text, np.where(alive, ALIVE, ANYTHING), factors, topics=topics)
        weight = readings.weight[i] * p_lag
        readings.add(q, found.topic, (weight * factor_R[i])[topics[1]])
        return np.bincount(i, weight * found.likelihood, len(readings.row))

    def _shown(self, ids, readings, at_BM, used_BM):
        """List what the readings make of the visible tokens, rate by rate: `Shown`."""
        clips, tokens = readings.clips(len(self.world.lags) - 1), {}
        for row in np.unique(readings.row):
            begin, end = int(np.argmax(ids[row] == self.joint)) + 1, int(np.argmax(ids[row] == self.sep))
            token, hidden = ids[row, begin:end], np.flatnonzero(used_BM[row])
            tokens[row] = (np.where(token == self.mask, ALIVE, token - self.joint - 1),
                           list(zip(at_BM[row, hidden] - begin, hidden)))
        found, asked = [], []
        for i, row in enumerate(readings.row):
            N, (token, hidden) = readings.n1[i] + readings.n2[i], tokens[row]
            for r, p in enumerate(self.rates, 1):
                if p and -(-N // r) == len(token):
                    evidence = np.full(clips, ANYTHING)
                    evidence[:N] = ALIVE
                    evidence[:N:r] = token
                    asked += [(at * r, len(found), row, m) for at, m in hidden]
                    found.append((i, p, evidence))
        return Shown(*(np.array(x) for x in zip(*found)), *np.array(asked, int).reshape(-1, 4).T)

    def _aligned(self, readings, shown, video, B):
        """Text and video about one chain: add what hidden words are about, and hidden tokens.

        Returns P(visible, aligned) (B,).
        """
        n, p_lag, factors = self._talk(readings, shown.reading)
        i = shown.reading[n]
        q, topics = readings.questions(i, factors)
        asked, case = np.nonzero(shown.asked[:, None] == n)
        cells = shown.clip[asked], case
        found = self.chain.run(self.prior_text, shown.evidence[n], factors, topics=topics, cells=cells)
        weight = 0.5 * readings.weight[i] * shown.share[n] * p_lag
        readings.add(q, found.topic, weight[topics[1]])
        self._add_tokens(found.cell, weight[case], (shown.row[asked], shown.slot[asked]), video)
        return np.bincount(readings.row[i], weight * found.likelihood, B)

    def _apart(self, readings, shown, video, B):
        """Text and video about two chains: the same; returns P(visible, not aligned) (B,)."""
        i, found = shown.reading, self.chain.run(self.prior_text, shown.evidence, cells=(shown.clip, shown.asked))
        share = 0.5 * shown.share / np.array(self.places)[(readings.n1 + readings.n2)[i]]
        seen = np.bincount(i, share * found.likelihood, len(readings.row))
        said = self._speech(readings, seen)
        self._add_tokens(found.cell, (share * said[i])[shown.asked], (shown.row, shown.slot), video)
        return np.bincount(readings.row, said * seen, B)

    def _windows(self, ids, rows, at_BM, used_BM, video):
        """Video by itself: add hidden tokens; rows that hide none are left out."""
        rows = rows[used_BM[rows].any(1)]
        if not len(rows):
            return
        counts = np.argmax(ids[rows] == self.sep, axis=1) - 2
        evidence = np.full((len(rows), int(counts.max()) + 1), ANYTHING)
        for n, (row, count) in enumerate(zip(rows, counts)):
            tokens = ids[row, 2:2 + count]
            evidence[n, :count] = np.where(tokens == self.mask, ALIVE, tokens - self.joint - 1)
            if count < self.window:
                evidence[n, count] = ENDED
        n, m = np.nonzero(used_BM[rows])
        cells = at_BM[rows[n], m] - 2, n
        cell_NCY = sum(p * self.chain.run(self.prior_video, evidence, rate=r, cells=cells).cell
                       for r, p in enumerate(self.rates, 1) if p)
        self._add_tokens(cell_NCY, np.ones(len(n)), (rows[n], m), video)


@dataclass
class Shown:
    """Readings of the visible tokens, C in all: every reading of the text with every rate that fits.

    reading (C,): index into the readings; share (C,): P(rate); evidence (C, K) for `Chain.run`.
    Hidden tokens of each, N in all: clip (N,), asked (N,) index into C, row (N,) and slot (N,) of the batch.
    """
    reading: np.ndarray
    share: np.ndarray
    evidence: np.ndarray
    clip: np.ndarray
    asked: np.ndarray
    row: np.ndarray
    slot: np.ndarray


class Readings:
    """Readings of the text of rows, R in all.

    row, weight (R,); W, U (R,): lengths of the sentences, U = 0 if there is only one; n1, n2 (R,): their clips;
    words: list of arrays; said: two tables (R, A + 1), the likelihood of each sentence given the action at the clip
    that it is about (last: END), chatter counted.
    Hidden words, Q in all: asked (Q,) their reading, asked_slot of the batch, asked_sentence 0 or 1, asked_start and
    asked_length of that sentence, asked_position in it; about (Q, A + 1): P(all else, the action at that clip).
    """

    def __init__(self, oracle, found):
        self.row, self.weight, self.W, self.U, self.n1, self.n2 = (np.array(x) for x in list(zip(*found))[:6])
        self.words = [words for *_, words in found]
        chatter, self.said = oracle.world.chatter, []
        for start, length in ((np.zeros(len(self.W), int), self.W), (self.W, self.U)):
            about_RA = np.ones((len(self.W), len(ACTIONS) + 1))
            for W in np.unique(length[length > 0]):
                here = np.flatnonzero(length == W)
                own = np.stack([self.words[r][start[r]:start[r] + W] for r in here])
                about_RA[here] = oracle.language.likelihood(own).sum(0)
            about_RA[:, :-1] = (1 - chatter) * about_RA[:, :-1] + chatter * about_RA[:, -1:]
            self.said.append(about_RA)

    def clips(self, lag):
        """Count the clips that a chain over these readings must cover at the largest lag."""
        return int(np.maximum(self.n1 + self.n2, self.n1 * (self.U > 0) + lag + 1).max())

    def ask(self, at_BM, used_BM):
        """List the hidden words."""
        self.asked, self.asked_slot = np.nonzero(used_BM[self.row])
        at, W = at_BM[self.row[self.asked], self.asked_slot] - 1, self.W[self.asked]
        self.asked_sentence = (at >= W).astype(int)
        self.asked_start = W * self.asked_sentence
        self.asked_length, self.asked_position = np.where(at >= W, self.U[self.asked], W), at - self.asked_start
        self.about = np.zeros((len(at), len(ACTIONS) + 1))

    def questions(self, i_C, factors):
        """Ask what each hidden word's sentence is about, in every case, i_C (C,) its reading.

        Returns indices of the words (N,), and (clips, cases), the `topics` of `Chain.run`.
        """
        q, case = np.nonzero(self.asked[:, None] == i_C)
        (first_C, _), (second_C, _) = factors
        return q, (np.where(self.asked_sentence[q] == 0, first_C[case], second_C[case]), case)

    def add(self, q_N, topic_NA, weight_N):
        """Add weighted answers to such questions."""
        np.add.at(self.about, q_N, topic_NA * weight_N[:, None])
