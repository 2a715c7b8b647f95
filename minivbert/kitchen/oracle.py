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
from minivbert.kitchen.recipes import ACTIONS, PHASES

LONGEST = 400            # clips: no show is longer (the chance is below 1e-12)
CHUNK = 48               # rows of a batch at a time


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
        action = np.where(alive_DS, world.state_action, len(ACTIONS)).ravel()
        cell = world.state_action * PHASES + world.state_phase
        self.to_action = torch.from_numpy(np.eye(len(ACTIONS) + 1)[action])                 # (D S, A + 1)
        self.to_cell = torch.from_numpy(np.eye(len(ACTIONS) * PHASES)[np.where(alive_DS, cell, 0).ravel()]
                                        * alive_DS.reshape(-1, 1))                          # (D S, A P)
        self.cells = torch.from_numpy(emission.transpose(2, 0, 1, 3).reshape(emission.shape[2], -1, emission.shape[3]))

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
                self._windows(ids, rows, slots["video"], video)
            else:
                readings = self._readings(ids, rows)
                if batch.regime == "text":
                    self._speech(readings, np.ones(len(readings.row)), slots["text"], text)
                else:
                    together[rows] = self._aligned(ids, readings, slots, text, video)[rows]
                    apart[rows] = self._apart(ids, readings, slots, text, video)[rows]
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
            out["alignment"] = [-np.log(np.maximum(p_B, 1e-30)).sum(), len(p_B), (p_B > 0.5).sum()]
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
        return Readings(self, found)

    def _factors(self, readings, pick, lag_R):
        first = readings.factor[0][pick], lag_R
        second = readings.factor[1][pick], np.where(readings.U[pick] > 0, readings.n1[pick] + lag_R, -1)
        return [(clip, table) for table, clip in (first, second)]

    def _add_words(self, messages, readings, pick, weight_R, factors, slots, text):
        """Add the joint probabilities of hidden words of rows `pick` of the readings, each weighted, to text."""
        at_BM, used_BM = slots
        c = self.world.chatter
        for i, (clip_R, _) in enumerate(factors):
            topic = {}
            for r, (row, W, U) in enumerate(zip(readings.row[pick], readings.W[pick], readings.U[pick])):
                start, length = (0, W) if i == 0 else (W, U)
                for m in np.flatnonzero(used_BM[row]):
                    position = at_BM[row, m] - 1 - start
                    if 0 <= position < length:
                        topic.setdefault(length, []).append((r, m, position))
            for length, found in topic.items():
                r_N, m_N, position_N = np.array(found).T
                state_NYDS = messages.at(clip_R[r_N], r_N, factors=False)
                about_NA = (state_NYDS.sum(1).flatten(1) @ self.to_action).numpy()
                weight_NA = about_NA * (1 - c)
                weight_NA[:, -1] = about_NA[:, -1] + c * about_NA[:, :-1].sum(1)
                words = np.stack([readings.words[pick[r]][(0 if i == 0 else readings.W[pick[r]]):][:length] for r in r_N])
                p_NV = self.language.hidden_words(words, weight_NA, position_N)
                # the other sentence's words are in the messages; this one's are in p
                np.add.at(text, (readings.row[pick[r_N]], m_N), p_NV * weight_R[r_N, None])

    def _add_tokens(self, messages, clip_N, row_N, weight_N, target, video):
        state_NYDS = messages.at(clip_N, row_N)
        cell_NYC = state_NYDS.flatten(2) @ self.to_cell
        cells = self.cells if cell_NYC.shape[1] > 1 else self.cells.mean(0, keepdim=True)
        p_NV = torch.einsum("nyc,ycv->nv", cell_NYC, cells).numpy()
        np.add.at(video, target, p_NV * weight_N[:, None])

    # --- the regimes ---

    def _speech(self, readings, factor_R, slots, text):
        """Text by itself: add hidden words, each reading weighted by `factor_R`; return P(text, reading) without that factor (R,)."""
        lags = np.arange(len(self.world.lags))
        pick, lag = (x.ravel() for x in np.meshgrid(np.arange(len(readings.row)), lags, indexing="ij"))
        evidence = np.where(np.arange(readings.clips(lags[-1])) < (readings.n1 + readings.n2)[pick, None], ALIVE, ANYTHING)
        factors = self._factors(readings, pick, lag)
        messages = self.chain.run(self.prior_text, evidence, factors)
        weight = readings.weight[pick] * np.array(self.world.lags)[lag]
        self._add_words(messages, readings, pick, weight * factor_R[pick], factors, slots, text)
        out = np.zeros(len(readings.row))
        np.add.at(out, pick, weight * messages.likelihood().numpy())
        return out

    def _shown(self, ids, readings):
        """List (reading, rate) that show as many visual tokens as the row has, and the evidence of each (R, K)."""
        shown, found = {}, []
        for row in np.unique(readings.row):
            begin = int(np.argmax(ids[row] == self.joint)) + 1
            end = int(np.flatnonzero(ids[row] == self.sep)[0])
            shown[row] = (begin, np.where(ids[row, begin:end] == self.mask, ALIVE, ids[row, begin:end] - self.joint - 1))
        K = readings.clips(len(self.world.lags) - 1)
        for i, row in enumerate(readings.row):
            N, tokens = readings.n1[i] + readings.n2[i], shown[row][1]
            for r, p in enumerate(self.rates, 1):
                if p and -(-N // r) == len(tokens):
                    evidence = np.full(K, ANYTHING)
                    evidence[:N] = ALIVE
                    evidence[:N:r] = tokens
                    found.append((i, r, p, evidence))
        i_R, r_R, p_R, evidence = (np.array(x) for x in zip(*found))
        return i_R, r_R, p_R, evidence, {row: begin for row, (begin, _) in shown.items()}

    def _hidden_tokens(self, readings, i_R, r_R, begin, slots):
        """List the hidden visual tokens of rows of readings: (clip, index into the rows, (row of the batch, slot))."""
        at_BM, used_BM = slots
        found = [((at_BM[row, m] - begin[row]) * r, n, row, m) for n, (i, r) in enumerate(zip(i_R, r_R))
                 for row in [readings.row[i]] for m in np.flatnonzero(used_BM[row])]
        clip, n, row, m = np.array(found, int).reshape(-1, 4).T
        return clip, n, (row, m)

    def _aligned(self, ids, readings, slots, text, video):
        """Text and video about one chain: add hidden words and tokens; return P(visible, aligned) (B,)."""
        i_R, r_R, p_R, evidence, begin = self._shown(ids, readings)
        lags = np.arange(len(self.world.lags))
        n, lag = (x.ravel() for x in np.meshgrid(np.arange(len(i_R)), lags, indexing="ij"))
        pick = i_R[n]
        factors = self._factors(readings, pick, lag)
        messages = self.chain.run(self.prior_text, evidence[n], factors)
        weight = 0.5 * readings.weight[pick] * p_R[n] * np.array(self.world.lags)[lag]
        self._add_words(messages, readings, pick, weight, factors, slots["text"], text)
        clip, row, target = self._hidden_tokens(readings, pick, r_R[n], begin, slots["video"])
        if len(clip):
            self._add_tokens(messages, clip, row, weight[row], target, video)
        out = np.zeros(len(ids))
        np.add.at(out, readings.row[pick], weight * messages.likelihood().numpy())
        return out

    def _apart(self, ids, readings, slots, text, video):
        """Text and video about two chains: add hidden words and tokens; return P(visible, not aligned) (B,)."""
        i_R, r_R, p_R, evidence, begin = self._shown(ids, readings)
        messages = self.chain.run(self.prior_text, evidence)
        place_R = np.array(self.places)[(readings.n1 + readings.n2)[i_R]]
        share_R = 0.5 * p_R / place_R
        seen = np.zeros(len(readings.row))
        np.add.at(seen, i_R, share_R * messages.likelihood().numpy())
        said = self._speech(readings, seen, slots["text"], text)
        clip, n, target = self._hidden_tokens(readings, i_R, r_R, begin, slots["video"])
        if len(clip):
            self._add_tokens(messages, clip, n, (share_R * said[i_R])[n], target, video)
        out = np.zeros(len(ids))
        np.add.at(out, readings.row, said * seen)
        return out

    def _windows(self, ids, rows, slots, video):
        """Video by itself: add hidden tokens."""
        at_BM, used_BM = slots
        ends = np.array([int(np.flatnonzero(ids[row] == self.sep)[0]) for row in rows])
        counts = ends - 2
        evidence = np.full((len(rows), int(counts.max()) + 1), ANYTHING)
        for n, (row, count) in enumerate(zip(rows, counts)):
            tokens = ids[row, 2:2 + count]
            evidence[n, :count] = np.where(tokens == self.mask, ALIVE, tokens - self.joint - 1)
            if count < self.window:
                evidence[n, count] = ENDED
        found = np.array([(at_BM[row, m] - 2, n, row, m) for n, row in enumerate(rows)
                          for m in np.flatnonzero(used_BM[row])], int).reshape(-1, 4)
        for r, p in enumerate(self.rates, 1):
            if p and len(found):
                messages = self.chain.run(self.prior_video, evidence, rate=r)
                self._add_tokens(messages, found[:, 0], found[:, 1], np.full(len(found), p), (found[:, 2], found[:, 3]), video)


class Readings:
    """Readings of rows, R in all: row, weight, W, U (lengths of the sentences, U = 0: only one), n1, n2 (their clips), words, and the
    likelihood of each sentence as evidence about the state at one clip: factor = two tables (R, D, S)."""

    def __init__(self, oracle, found):
        self.row, self.weight, self.W, self.U, self.n1, self.n2 = (np.array(x) for x in list(zip(*found))[:6])
        self.words = [words for *_, words in found]
        world, A = oracle.world, len(ACTIONS)
        action_DS = torch.from_numpy(np.where(world.state_action >= 0, world.state_action, A))
        self.factor = []
        for start, length in ((np.zeros(len(self.W), int), self.W), (self.W, self.U)):
            about_RA = np.ones((len(self.W), A + 1))
            for W in np.unique(length[length > 0]):
                here = np.flatnonzero(length == W)
                own = np.stack([self.words[r][start[r]:start[r] + W] for r in here])
                about_RA[here] = oracle.language.likelihood(own).sum(0)
            about_RA[:, :-1] = (1 - world.chatter) * about_RA[:, :-1] + world.chatter * about_RA[:, -1:]
            self.factor.append(torch.from_numpy(about_RA)[:, action_DS])

    def clips(self, lag):
        """Count the clips that a chain over these readings must cover at the largest lag."""
        return int(np.maximum(self.n1 + self.n2, self.n1 * (self.U > 0) + lag + 1).max())
