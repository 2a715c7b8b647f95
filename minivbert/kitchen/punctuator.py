"""Train the punctuator: python -m minivbert.kitchen.punctuator --out data_sample/weights/punctuator.safetensors

    streams    a show's narration (one in four), or several sentences of `prose.py`; as (word, start, end), marks beside them
    pauses     stops, commas and anything else are followed by pauses whose length and chance differ from speaker to speaker; a third
               of the streams have none, as a hurried cook, or no times at all, as a written text.
    training   cross-entropy of the mark after each word, AdamW, one cycle of the learning rate
    vocabulary WordPiece learned from the same talk, with every letter and digit

One word in fifty is replaced by another one that was heard in its place, since speech recognition errs. Every random draw comes
from the seed; test streams come from other seeds than training ones.

Not stated in the paper, our choice: everything here; the paper took a model off the shelf.
"""
import string
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import trange

from minivbert.kitchen.narrate import narrate
from minivbert.kitchen.prose import MARK, sentence
from minivbert.kitchen.recipes import World
from minivbert.options import Parser, fail
from minivbert.tokens.punctuate import MARKS, TIMES, Punctuator, boundary_f1, marks_of, read_words, save_punctuator
from minivbert.tokens.wordpiece import WordPiece

VOCABULARY, VOCABULARY_SENTENCES = 2000, 40_000
STEPS, BATCH, LR = 2000, 64, 4e-3
SHORT, LONG, TESTED = 1, 90, 200      # words of a training stream, the same all through a batch; words of a test stream
KITCHEN = 0.25                # share of streams that are a show's narration
TIMING = {"pauses": 0.65, "no pauses": 0.15, "none": 0.2}      # share of streams that have pauses, times alone, no times
MISHEARD = 0.02               # share of words replaced by another
LETTER_SECONDS = (0.05, 0.1)  # what a letter takes to say, from speaker to speaker
SPREAD = 0.25                 # of log(a word's length / what its letters take)
IGNORED = -1                  # label of a piece that is not the last of its word

WORLD = World(speech=1.0)


def marked(tokens):
    """Take the marks out of a sentence's tokens: [(word, mark after it)].

    >>> marked("now let ' s chop it , the onion .".split())
    [('now', ''), ("let's", ''), ('chop', ''), ('it', ','), ('the', ''), ('onion', '.')]
    """
    words = []
    for token in tokens:
        if token in MARK and words:
            words[-1] = words[-1][0], token
        elif words and (token == "'" or words[-1][0].endswith("'")):
            words[-1] = words[-1][0] + token, ""
        else:
            words.append((token, ""))
    return words


def kitchen_sentences(rng):
    """Say what cooks say in their shows, show after show: lists of tokens."""
    while True:
        for said in narrate(WORLD.sample(rng), WORLD, rng).sentences:
            yield said.tokens


def prose_sentences(rng):
    """Say what the grammar says: lists of tokens."""
    while True:
        yield sentence(rng)


def talk(sentences, words):
    """Take whole sentences until there are so many words: [(word, mark)]."""
    said = []
    while len(said) < words:
        said += marked(next(sentences))
    return said


def pauses_after(marks, rng):
    """Draw a speaker and the pauses [s] after each mark: a few seconds at most, 0 for none."""
    stop = np.exp(rng.uniform(np.log(0.2), np.log(1.3)))
    chance = {"": rng.uniform(0, 0.1), ",": rng.uniform(0, 0.9), ".": rng.choice([1.0, rng.uniform(0.5, 1.0)])}
    length = {"": stop * rng.uniform(0.2, 0.7), ",": stop * rng.uniform(0.2, 0.7), ".": stop}
    marks = [mark.replace("?", ".") for mark in marks]
    spread = np.exp(0.35 * rng.standard_normal(len(marks)))
    return [length[mark] * s if u < chance[mark] else 0.0 for mark, s, u in zip(marks, spread, rng.random(len(marks)))]


def timed(talk, pauses, rng):
    """Set words in time: ([(word, start, end)], marks); pauses [s] follow the words.

    A recogniser writes a pause down as silence, as part of the word before it, or as some of both: one of the three a stream.
    """
    letters = np.array([len(word) + 1 for word, _ in talk])
    lasts = rng.uniform(*LETTER_SECONDS) * letters * np.exp(SPREAD * rng.standard_normal(len(talk)))
    swallowed = (0.0, 1.0, rng.random(len(talk)))[rng.integers(3)]
    starts = np.cumsum(np.r_[0.0, lasts + pauses])[:-1]
    ends = starts + lasts + pauses * swallowed
    return [(word, a, b) for (word, _), a, b in zip(talk, starts.tolist(), ends.tolist())], [mark for _, mark in talk]


def untimed(talk):
    """Give words that nobody has timed: ([(word, 0, 0)], marks)."""
    return [(word, 0.0, 0.0) for word, _ in talk], [mark for _, mark in talk]


def stream(rng, words, kitchen=KITCHEN, times=None):
    """Draw one stream of so many words and a few more: ([(word, start, end)], marks). times: one of `TIMING`, drawn if None."""
    said = talk((kitchen_sentences if rng.random() < kitchen else prose_sentences)(rng), words)
    times = times or rng.choice(list(TIMING), p=list(TIMING.values()))
    if times == "none":
        return untimed(said)
    return timed(said, np.array(pauses_after([mark for _, mark in said], rng)) * (times == "pauses"), rng)


def learn_vocabulary(seed):
    """Learn the punctuator's word pieces from its own talk; letters and digits stand in it alone and inside words."""
    rng = np.random.default_rng([seed, 0])
    texts = [" ".join(tokens) for sentences, count in ((prose_sentences(rng), VOCABULARY_SENTENCES), (kitchen_sentences(rng), 5000))
             for tokens in islice(sentences, count)]
    alphabet = string.ascii_lowercase + string.digits
    return WordPiece.learn([*texts, *alphabet, alphabet, alphabet[::-1], *string.punctuation], VOCABULARY)


def batch_of(streams, wordpiece):
    """Put streams side by side: ids (B, T), pause (B, T, 3), keep (B, T), labels (B, T), -1 but at last pieces."""
    read = [(*read_words(words, wordpiece), marks) for words, marks in streams]
    B, T = len(read), max(len(ids) for ids, *_ in read)
    ids_BT, labels_BT = torch.full((B, T), wordpiece.pad), torch.full((B, T), IGNORED)
    pause_BT3, keep_BT = torch.zeros(B, T, TIMES), torch.zeros(B, T)
    for b, (ids, pause, last, marks) in enumerate(read):
        ids_BT[b, :len(ids)], pause_BT3[b, :len(ids)], keep_BT[b, :len(ids)] = ids, pause, 1.0
        labels_BT[b, last] = torch.tensor([MARKS.index(mark) for mark in marks])
    return ids_BT, pause_BT3, keep_BT, labels_BT


def mishear(streams, rng):
    """Replace some words by words of the same batch, times and marks as they were."""
    heard = [word for words, _ in streams for word, _, _ in words]
    def one(word):
        return heard[rng.integers(len(heard))] if rng.random() < MISHEARD else word
    return [([(one(word), start, end) for word, start, end in words], marks) for words, marks in streams]


def train(punctuator, steps, seed, batch=BATCH, lr=LR, progress=False, **shares):
    """Train a punctuator on streams drawn as it goes; return the loss [nats a word] of each step."""
    optimizer = torch.optim.AdamW(punctuator.parameters(), lr, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.15)
    losses = []
    punctuator.train()
    bar = trange(steps, desc="punctuator", dynamic_ncols=True, disable=not progress)
    for step in bar:
        rng = np.random.default_rng([seed, 1, step])
        words = int(rng.integers(SHORT, LONG))
        streams = mishear([stream(rng, words, **shares) for _ in range(batch)], rng)
        ids_BT, pause_BT3, keep_BT, labels_BT = batch_of(streams, punctuator.wordpiece)
        logits_BT4 = punctuator(ids_BT, pause_BT3, keep_BT)
        loss = F.cross_entropy(logits_BT4.flatten(0, 1), labels_BT.flatten(), ignore_index=IGNORED)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(punctuator.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 50 == 0:
            bar.set_postfix(nats=f"{np.mean(losses[-50:]):.3f}")
    punctuator.eval()
    return losses


def unseen_streams(seed, count, **shares):
    """Draw streams that training never saw (seed: another one than training's), two hundred words each."""
    return [stream(np.random.default_rng([seed, 2, i]), TESTED, **shares) for i in range(count)]


def score(streams, marks_found):
    """Give the boundary F1 over all streams at once; marks_found: function words -> marks."""
    found, true = [], []
    for words, marks in streams:
        found += marks_found(words)[:-1]
        true += marks[:-1]
    return boundary_f1([*found, "."], [*true, "."])


def main():
    """Train, write, and print what it can do on talk it has not seen."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True, type=Path, help="where to write the weights (.safetensors)")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"steps of {BATCH} streams ({STEPS})")
    parser.add_argument("--seed", type=int, default=5, help="of all random draws (5); the tests use 6")
    options = parser.parse_args()
    if not options.out.parent.is_dir():
        fail(f"{options.out}: the folder {options.out.parent} is not there; make it first")
    if options.steps < 1:
        fail(f"--steps {options.steps}: expected a number of steps, 1 or more")
    torch.manual_seed(options.seed)
    punctuator = Punctuator(learn_vocabulary(options.seed))
    train(punctuator, options.steps, options.seed, progress=True)
    save_punctuator(punctuator, options.out)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB, {sum(p.numel() for p in punctuator.parameters()):,} parameters")
    for name, kitchen in (("kitchen narration", 1.0), ("prose", 0.0)):
        for times in TIMING:
            f1 = score(unseen_streams(options.seed + 1, 40, kitchen=kitchen, times=times), lambda words: marks_of(words, punctuator))
            print(f"  boundary F1 on {name:<18} times: {times:<10} {f1:.3f}")


if __name__ == "__main__":
    main()
