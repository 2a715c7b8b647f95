"""The oracle against a enumeration by hand of a kitchen of two short dishes, and against samples."""
from collections import Counter
from functools import lru_cache
from itertools import product

import numpy as np
import pytest
import torch

from minivbert.config import InputConfig
from minivbert.kitchen import narrate, recipes
from minivbert.kitchen.measure import sample_tokens
from minivbert.kitchen.oracle import Oracle
from minivbert.kitchen.recipes import ACTIONS, World
from minivbert.pretraining.inputs import REGIMES, Batch, Batches
from minivbert.tokens.corpus import Corpus, write_corpus
from minivbert.tokens.wordpiece import SPECIALS, WordPiece

VOCAB = [*SPECIALS, *narrate.all_words()]
ID = {word: i for i, word in enumerate(VOCAB)}
HIDDEN = None


# --- everything that can happen in a small kitchen, listed by hand ---

DISHES, STAY, MOST = ("cheese pizza", "bread"), 0.01, 5
LENGTHS = {6: 0.3, 7: 0.3, 9: 0.2, 13: 0.2}
WINDOW, CONCAT, WORDS = 5, 0.4, 5
RATES = (0.4, 0.3, 0.1, 0.1, 0.1)


@pytest.fixture()
def small_kitchen(monkeypatch):
    """Only `bake` may last, four lengths of sentences, two dishes: shows of 9 to 12 clips and rarely more."""
    for verb in recipes.VERBS:
        monkeypatch.setitem(recipes.VERBS, verb, STAY if verb == "bake" else 0.0)
    usual = dict(narrate.LENGTHS)              # put back whole at the end, in order: sampling follows the order
    narrate.LENGTHS.clear()
    narrate.LENGTHS.update(LENGTHS)
    world = World(dishes=DISHES, chatter=0.15, lags=(0.4, 0.3, 0.2, 0.1))
    emission = np.random.default_rng(0).dirichlet(np.full(WORDS, 0.5), size=(len(ACTIONS), 3, 6))
    yield ByHand(world, emission), Oracle(world, VOCAB, emission, concat=CONCAT, rates=RATES, window=WINDOW)
    narrate.LENGTHS.clear()
    narrate.LENGTHS.update(usual)


def shows_of(dish):
    """List (probability, [(action, phase) a clip]) of a dish, at most MOST extra clips; the rest weighs under 1e-10."""
    paths = [(1.0, ())]
    for slot in recipes.DISHES[dish]:
        longer = [(p * (1 - sum(slot.values())), clips) for p, clips in paths if sum(slot.values()) < 1]
        for step, share in slot.items():
            verb, ingredient = step.split()
            stay, action = recipes.VERBS[verb], ACTIONS.index((verb, ingredient))
            for extra in product(range(MOST + 1 if stay else 1), repeat=3):
                if sum(extra) <= MOST:
                    clips = tuple((action, phase) for phase in range(3) for _ in range(1 + extra[phase]))
                    p_step = share * np.prod([stay ** n * (1 - stay) for n in extra])
                    longer += [(p * p_step, before + clips) for p, before in paths]
        paths = longer
    return paths


def talks(clips, spoken=None, clip=None, p=1.0):
    """List (probability, [(clip, length) of each sentence]) of all ways to talk through a show of so many clips."""
    if spoken is None:
        return [t for start, q in enumerate(narrate.START_CLIPS) for t in talks(clips, [], start, q)]
    out = []
    for W, q in LENGTHS.items():
        after = clip + narrate.sentence_clips(W)
        out += [(p * q, spoken)] if after > clips else talks(clips, spoken + [(clip, W)], after, p * q)
    return out


@lru_cache(None)
def segments(clips):
    """Count the segments of a show of so many clips: {(first clip, its one or two lengths): expected number}."""
    found = Counter()
    for p, spoken in talks(clips):
        for i, (clip, W) in enumerate(spoken):
            found[clip, (W,)] += p
            if i + 1 < len(spoken):
                found[clip, (W, spoken[i + 1][1])] += p
    return found


@lru_cache(None)
def sayings(topic, W):
    """List (probability, word ids) of all that is said in W tokens about an action, or -1: chatter."""
    found, templates = [], narrate.templates_of(W, topic < 0)
    for template in templates:
        tables = [narrate.slot_words(w[1], topic) if w.startswith("{") else {w: 1.0} for w in template]
        for words in product(*tables):
            found.append((np.prod([t[w] for t, w in zip(tables, words)]) / len(templates), [ID[w] for w in words]))
    return found


def known(words, pattern):
    return all(want is HIDDEN or want == got for want, got in zip(pattern, words))


class ByHand:
    """Sum over every show, style, lag, segment, rate, template and word."""

    def __init__(self, world, emission):
        self.world, self.emission = world, emission
        self.shows = [(p / len(world.dishes), clips) for dish in world.dishes for p, clips in shows_of(dish)]
        self.number = Counter()          # {(sentences, clips): expected number of segments a show}
        for p, clips in self.shows:
            for (_, lengths), n in segments(len(clips)).items():
                self.number[len(lengths), sum(map(narrate.sentence_clips, lengths))] += p * n
        self.kinds = {kind: sum(n for (k, _), n in self.number.items() if k == kind) for kind in (1, 2)}
        # the same few seconds of talk and film come back in many shows
        self.heard, self.said, self.filmed = (lru_cache(None)(f) for f in (self._heard, self._said, self._filmed))

    def _heard(self, action, pattern):
        """P(pattern | action spoken about), the last row, and the same with each hidden word: (W + 1, Vt)."""
        out, chatter = np.zeros((len(pattern) + 1, len(VOCAB))), self.world.chatter
        for topic, share in ((-1, 1.0),) if action < 0 else ((action, 1 - chatter), (-1, chatter)):
            for p, words in sayings(topic, len(pattern)):
                if known(words, pattern):
                    out[np.arange(len(pattern)), words] += share * p
                    out[-1, 0] += share * p
        return out

    def _said(self, actions, pattern, lengths):
        """The same for one or two sentences about `actions`: (T + 1, Vt)."""
        out, ends = np.zeros((len(pattern) + 1, len(VOCAB))), np.cumsum((0,) + lengths)
        parts = [self.heard(action, pattern[a:b]) for action, a, b in zip(actions, ends, ends[1:])]
        for i, part in enumerate(parts):
            rest = np.prod([other[-1, 0] for j, other in enumerate(parts) if j != i])
            out[ends[i]:ends[i + 1]] = part[:-1] * rest
        out[-1, 0] = np.prod([part[-1, 0] for part in parts])
        return out

    def spoken(self, clips, first, pattern, lengths):
        """The same for a segment, summed over lags."""
        out, starts = 0, [first + sum(map(narrate.sentence_clips, lengths[:i])) for i in range(len(lengths))]
        for lag, p in enumerate(self.world.lags):
            actions = tuple(clips[t + lag][0] if t + lag < len(clips) else -1 for t in starts)
            out = out + p * self.said(actions, pattern, lengths)
        return out

    def _filmed(self, shown, pattern):
        """P(pattern) and each position's tokens (N + 1, Vv) of the clips shown, summed over styles."""
        out = np.zeros((len(pattern) + 1, WORDS))
        for style in range(6):
            p_NV = np.array([self.emission[action, phase, style] for action, phase in shown])
            p_N = np.array([1.0 if want is HIDDEN else p_V[want] for p_V, want in zip(p_NV, pattern)])
            for i, want in enumerate(pattern):
                rest = np.prod(np.delete(p_N, i)) / 6
                out[i] += rest * (p_NV[i] if want is HIDDEN else p_NV[i] * (np.arange(WORDS) == want))
            out[-1, 0] += np.prod(p_N) / 6
        return out

    def sampled(self, clips, first, count, pattern):
        """The same for a segment of `count` clips, summed over rates."""
        out = np.zeros((len(pattern) + 1, WORDS))
        for r, p in enumerate(RATES, 1):
            shown = clips[first:first + count:r]
            if len(shown) == len(pattern):
                out += p * self.filmed(shown, pattern)
        return out

    def video(self, pattern):
        """Answer a row of the video regime: (N, Vv)."""
        out = np.zeros((len(pattern) + 1, WORDS))
        for p, clips in self.shows:
            for first in range(0, len(clips), WINDOW):
                for r, p_r in enumerate(RATES, 1):
                    shown = clips[first::r][:WINDOW]
                    if len(shown) == len(pattern):
                        out += p * p_r * self.filmed(shown, pattern)
        return out[:-1] / out[-1, 0]

    def text(self, words, tokens=None):
        """Answer a row of the text regime, (T, Vt), or of video-text: (T, Vt), (N, Vv), P(aligned)."""
        true_words, true_tokens, said, filmed = 0, 0, Counter(), Counter()
        for p, clips in self.shows:
            for (first, lengths), n in segments(len(clips)).items():
                count = sum(map(narrate.sentence_clips, lengths))
                kind = len(lengths), count
                share = p * n * {1: 1 - CONCAT, 2: CONCAT}[len(lengths)] / self.kinds[len(lengths)]
                here = share * self.spoken(clips, first, words, lengths) if sum(lengths) == len(words) else None
                if here is not None:
                    said[kind] = said[kind] + here
                if tokens is not None:
                    seen = self.sampled(clips, first, count, tokens)
                    filmed[kind] = filmed[kind] + p * n / self.number[kind] * seen
                    if here is not None:
                        true_words, true_tokens = true_words + here * seen[-1, 0], true_tokens + here[-1, 0] * seen
        if tokens is None:
            total = sum(said.values())
            return total[:-1] / total[-1, 0]
        false_words = sum(said[kind] * filmed[kind][-1, 0] for kind in said)
        false_tokens = sum(said[kind][-1, 0] * filmed[kind] for kind in said)
        both = true_words[-1, 0] + false_words[-1, 0]
        answers = true_words + false_words, true_tokens + false_tokens
        return *(answer[:-1] / both for answer in answers), true_words[-1, 0] / both


# --- hand-made inputs ---

def words_of(text):
    return tuple(HIDDEN if word == "_" else ID[word] for word in text.split())


def batch_of(rows, regime):
    """Make a batch of rows (words or None, tokens or None); every hidden word and token is asked for."""
    ids, asked = [], {"text": [], "video": []}
    for words, tokens in rows:
        row = [ID["[CLS]"]]
        for part, items, shift in (("text", words, 0), ("video", tokens, len(VOCAB) + 1)):
            if part == "video" and tokens is not None:
                row.append(len(VOCAB))
            asked[part].append([len(row) + i for i, item in enumerate(items or []) if item is HIDDEN])
            row += [ID["[MASK]"] if item is HIDDEN else item + shift for item in items or []]
        ids.append(row + [ID["[SEP]"]])
    T = max(map(len, ids))
    keep = torch.tensor([[i < len(row) for i in range(T)] for row in ids])
    padded = torch.tensor([row + [ID["[PAD]"]] * (T - len(row)) for row in ids])
    fields = {"ids": padded, "types": keep.long(), "keep": keep}
    for part, at in asked.items():
        M = max(map(len, at))
        fields[f"{part}_at"], fields[f"{part}_label"] = torch.zeros(2, len(rows), M, dtype=torch.int64)
        fields[f"{part}_weight"] = torch.zeros(len(rows), M)
        for b, row in enumerate(at):
            fields[f"{part}_at"][b, :len(row)] = torch.tensor(row)
            fields[f"{part}_weight"][b, :len(row)] = 1
    return Batch(**fields, aligned=torch.ones(len(rows)) if regime == "video-text" else None, regime=regime)


SENTENCES = [
    "now we roll the _ .",
    "_ _ _ the _ _",
    "_ the dough on the counter .",
    "now we _ the dough _ _ the bread in the oven .",             # 6 + 7, a full stop hidden
    "_ _ _ the _ _ _ the _ _ the _ _",                            # 6 + 7 or 13
    "_ _ _ _ _ _ _ _ _ _ _ _ _",                                  # 6 + 7, 7 + 6 or 13
    "this is my favourite _ . next _ the _ until it is golden .",
    "_ _ _ _ _ _ _ _ _ next _ the bread until it is _ .",
    "now we add the _ .",                         # milk (0.4) or cheese (0.3): topics of unequal likelihood
    "next _ the _ until it is even .",
    "now we add the _ . next _ the _ until it is even .",
]


def test_text_by_hand(small_kitchen):
    by_hand, oracle = small_kitchen
    rows = [(words_of(s), None) for s in SENTENCES]
    found = oracle.predict(batch_of(rows, "text"))
    assert found.aligned is None
    for (words, _), text in zip(rows, found.text):
        at = [i for i, word in enumerate(words) if word is HIDDEN]
        np.testing.assert_allclose(text[:len(at)], by_hand.text(words)[at], rtol=0, atol=1e-9)
        assert not text[len(at):].any()


def test_video_by_hand(small_kitchen):
    by_hand, oracle = small_kitchen
    rows = [(None, tokens) for tokens in (
        (0, 1, HIDDEN, 3, 4), (HIDDEN,) * 5, (2, HIDDEN, HIDDEN), (HIDDEN,), (HIDDEN, 4, 0, HIDDEN),
        (1, HIDDEN, 1, 1, HIDDEN), (3, 3, 3, HIDDEN, 3))]
    found = oracle.predict(batch_of(rows, "video"))
    for (_, tokens), video in zip(rows, found.video):
        at = [i for i, token in enumerate(tokens) if token is HIDDEN]
        np.testing.assert_allclose(video[:len(at)], by_hand.video(tokens)[at], rtol=0, atol=1e-9)
        assert not video[len(at):].any()


def test_video_text_by_hand(small_kitchen):
    by_hand, oracle = small_kitchen
    rows = [(words_of(SENTENCES[i]), tokens) for i, tokens in (
        (0, (0, HIDDEN)), (0, (HIDDEN,)), (1, (4, HIDDEN)), (2, (1, 2, HIDDEN)), (3, (HIDDEN, 1, 1, 0, 2)),
        (4, (3, HIDDEN, 3)), (5, (HIDDEN, 0, 4, HIDDEN, 2)), (6, (2, HIDDEN)),
        (7, (1, 1, 3, HIDDEN, HIDDEN, 0)), (8, (HIDDEN, 3)), (9, (1, HIDDEN)), (10, (HIDDEN, 0, 2)))]
    found = oracle.predict(batch_of(rows, "video-text"))
    for (words, tokens), text, video, aligned in zip(rows, found.text, found.video, found.aligned):
        hand_text, hand_video, hand_aligned = by_hand.text(words, tokens)
        assert aligned == pytest.approx(hand_aligned, abs=1e-9)
        for items, got, hand in ((words, text, hand_text), (tokens, video, hand_video)):
            at = [i for i, item in enumerate(items) if item is HIDDEN]
            np.testing.assert_allclose(got[:len(at)], hand[at], rtol=0, atol=1e-9)


def test_pairs_that_hide_nothing_are_still_judged(small_kitchen):
    by_hand, oracle = small_kitchen
    rows = [(words_of("now we add the milk ."), tokens) for tokens in ((0, 1), (3, 4), (2,))]
    found = oracle.predict(batch_of(rows, "video-text"))
    for (words, tokens), aligned in zip(rows, found.aligned):
        assert aligned == pytest.approx(by_hand.text(words, tokens)[2], abs=1e-9)


def test_floor_scores_the_labels_and_counts_a_tie_as_half(small_kitchen):
    by_hand, oracle = small_kitchen
    told, tokens = words_of("now we add the _ ."), (0, HIDDEN)
    nothing = words_of("if you are new here please leave a like and do subscribe .")
    ties = [(nothing, (a, b, 0, 1, 2)) for a in range(5) for b in range(5)]
    batch = batch_of([(told, tokens)] * 2 + ties * 2, "video-text")
    batch.aligned[:] = torch.tensor([1.0, 0.0] + [1.0] * 25 + [0.0] * 25)
    batch.text_label[:2, 0] = torch.tensor([ID["milk"], ID["cheese"]])
    batch.video_label[:2, 0] = torch.tensor([1, 3])
    text, video, p = by_hand.text(told, tokens)
    nats = lambda *probabilities: -np.log(probabilities).sum()
    right = lambda p_V, labels: sum(p_V.argmax() == label for label in labels)
    words, seen = [ID["milk"], ID["cheese"]], [1, 3]
    expected = {"text": (nats(*text[4, words]), 2, right(text[4], words)),
                "video": (nats(*video[1, seen]), 2, right(video[1], seen)),
                "alignment": (nats(p, 1 - p, *[0.5] * 50), 52, 1 + 25)}
    found = oracle.floor(batch)
    assert found.keys() == expected.keys()
    for part, row in expected.items():
        np.testing.assert_allclose(np.asarray(found[part], float), row, rtol=0, atol=1e-6)


# --- samples: an exact oracle is as surprised as it expects to be ---

@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    """Inputs from 3,000 shows of six dishes and what the oracle says: {regime: [(batch, prediction)]}."""
    rng, words = np.random.default_rng(5), 24
    world = World(dishes=("bread", "chips", "omelette", "pancakes", "risotto", "sandwich"), speech=0.8)
    own_APV = np.eye(words)[rng.integers(words, size=(len(ACTIONS), 3))]
    emission = 0.6 * own_APV[:, :, None] + 0.4 * rng.dirichlet(np.full(words, 0.1), size=(len(ACTIONS), 3, 6))
    vocab = WordPiece(VOCAB)
    shows = [narrate.narrate(world.sample(rng), world, rng) for _ in range(3000)]
    sentences = [[(vocab.encode(s.text), *s.span) for s in show.sentences] for show in shows]
    folder = tmp_path_factory.mktemp("sampled")
    tokens = [sample_tokens(show, emission, rng) for show in shows]
    write_corpus(folder, tokens, sentences, vocab, words, held_out=range(10))
    corpus, config = Corpus.open(folder), InputConfig(rows=(64, 64, 64), eval_mask_rate=0.3)
    oracle = Oracle(world, VOCAB, emission, concat=config.concat, rates=(0.2,) * 5, window=config.window)
    batches = Batches(corpus, np.arange(3000), config, seed=0, training=False)
    drawn = {regime: [batches.get(regime, i) for i in range(16)] for regime in REGIMES}
    return {regime: [(batch, oracle.predict(batch)) for batch in drawn[regime]] for regime in REGIMES}


def answers(batches, part):
    """Gather predictions (N, V), labels (N,) and rows (N,) of a part of many batches."""
    p, label, row = [], [], []
    for i, (batch, found) in enumerate(batches):
        used = getattr(batch, f"{part}_weight").numpy() > 0
        p.append(getattr(found, part)[used])
        label.append(getattr(batch, f"{part}_label").numpy()[used])
        row.append(np.nonzero(used)[0] + 1000 * i)
    return map(np.concatenate, (p, label, row))


def check_mean_is_zero(difference_N, row_N=None):
    """Check that a mean is within 4 standard errors of zero; answers of one row may depend on each other."""
    if row_N is not None:
        difference_N = np.bincount(np.unique(row_N, return_inverse=True)[1], difference_N)
    assert len(difference_N) > 300
    assert abs(difference_N.mean()) < 4 * difference_N.std() / np.sqrt(len(difference_N))


@pytest.mark.parametrize("regime, part", [
    ("text", "text"), ("video", "video"), ("video-text", "text"), ("video-text", "video")])
def test_masked_tokens_are_as_likely_as_predicted(sampled, regime, part):
    p_NV, label_N, row_N = answers(sampled[regime], part)
    np.testing.assert_allclose(p_NV.sum(1), 1, rtol=1e-9)
    truth_N = p_NV[np.arange(len(label_N)), label_N]
    assert truth_N.min() > 0
    entropy_N = -(p_NV * np.log(np.maximum(p_NV, 1e-300))).sum(1)
    check_mean_is_zero(-np.log(truth_N) - entropy_N, row_N)
    check_mean_is_zero((p_NV.argmax(1) == label_N) - p_NV.max(1), row_N)
    off_NV = np.eye(p_NV.shape[1])[label_N] - p_NV
    edges = (1e-6, 0.01, 0.03, 0.1, 0.25, 0.5, 0.75, 0.9, 1.01)
    for low, high in zip(edges, edges[1:]):
        inside_NV = (p_NV >= low) & (p_NV < high)
        off = np.bincount(row_N, (off_NV * inside_NV).sum(1))
        spread = max((off ** 2).sum(), (p_NV * (1 - p_NV))[inside_NV].sum())
        assert abs(off.sum()) <= 4 * np.sqrt(spread)
    unigram_V = np.bincount(label_N, minlength=p_NV.shape[1]) / len(label_N)
    assert -np.log(truth_N).mean() < -np.log(unigram_V[label_N]).mean()


def test_pairs_are_aligned_as_often_as_predicted(sampled):
    p_B = np.concatenate([found.aligned for _, found in sampled["video-text"]])
    true_B = np.concatenate([batch.aligned.numpy() for batch, _ in sampled["video-text"]])
    entropy_B = -(p_B * np.log(np.maximum(p_B, 1e-300)) + (1 - p_B) * np.log(np.maximum(1 - p_B, 1e-300)))
    check_mean_is_zero(-np.log(np.where(true_B == 1, p_B, 1 - p_B)) - entropy_B)
    check_mean_is_zero((true_B == (p_B > 0.5)) - np.maximum(p_B, 1 - p_B))
    for low, high in ((0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1)):
        inside = (p_B >= low) & (p_B <= high)
        assert inside.sum() > 50
        error = np.sqrt((p_B * (1 - p_B))[inside].mean() / inside.sum())
        assert abs((true_B - p_B)[inside].mean()) < 4 * error
