"""Make a film of what is said: python -m minivbert.downstream.text_to_video "slice the onion" "fry the onion until golden" | --score

VideoBERT, section 4 and Fig. 2: given text, a visual token for every clip, each drawn as its exemplar. Every clip is a hole,

    [CLS] fry the onion until golden . [>] [MASK] [MASK] [SEP]

filled in one of two ways:

    argmax         v_k = argmax p(v at k | text), each clip by itself: the paper's
    mask-predict   fill all; hide those filled with the least confidence again, fewer each round, and ask once more, now seeing the
                   others (Ghazvininejad et al. 2019, "Mask-Predict", arXiv 1904.09324): n (R - r) / R of n holes after round r of R

A sentence gets as many clips as the corpus' sentences of that length have, and is filmed by itself: nothing makes two sentences play in
one kitchen. `--score` also films two sentences at once, as they were joined in pretraining.

`--score` (claim C8) films sentences from held-out videos and looks whether the films show the actions said,

    purity(v, action) = share of the clips with visual word v that show the action                 mean over the clips of the films

beside the oracle, who fills the same holes exactly, and beside the real films, whose hands are out of time with the words; and how
well each clip of the real film was guessed from the text.

Not stated in the paper, our choice: the number of clips; a full stop is added where a sentence has none; 10 rounds.

Axes: B films, N clips, C visual words, A actions.
"""
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from minivbert.downstream.filmstrip import plot_film, plot_film_scores
from minivbert.downstream.shared import (HIDDEN, action_shares, add_run_options, exemplar_frames, guess_clips, lay_out, open_run, shows_of,
                                         word_names)
from minivbert.files import replace_file
from minivbert.floors import oracle_of
from minivbert.kitchen.oracle import Oracle
from minivbert.kitchen.recipes import ACTIONS
from minivbert.options import Parser, fail
from minivbert.pretraining.inputs import Batch
from minivbert.pretraining.segments import sentence_segments
from minivbert.tokens.exemplars import exemplar_clips, write_film

ROUNDS = 10
PAIRS = 256              # pairs of neighbouring sentences that are scored, spread evenly over the held-out videos
ROWS = 256               # rows the model is asked at a time
TOPS = (1, 3, 5)


def mask_predict(guess, films, rounds=ROUNDS):
    """Fill the holes of films; return (films without holes, confidence a clip: 1 where it was given), lists of arrays.

    guess: films -> p (B, N, C), what stands at each clip, hole or not; films: list of visual token sequences, HIDDEN (-1) where there is a
    hole, of any lengths; rounds: 1 is argmax, each hole by itself. A tie goes to the smaller visual word and to the earlier clip.

    >>> def guess(films):                             # the second clip follows the first, if that is seen
    ...     return np.array([[[0.1, 0.8, 0.1], [0.4, 0.3, 0.3] if film[0] == HIDDEN else [0.0, 0.1, 0.9]] for film in films])
    >>> [mask_predict(guess, [[HIDDEN, HIDDEN]], rounds)[0][0].tolist() for rounds in (1, 2)]
    [[1, 0], [1, 2]]
    """
    films = [np.array(film, int) for film in films]
    holes, confidence = [np.flatnonzero(film == HIDDEN) for film in films], [np.ones(len(film)) for film in films]
    asked = holes
    for r in range(1, rounds + 1):
        for film, at in zip(films, asked):
            film[at] = HIDDEN
        if any(len(at) for at in asked):
            for film, sure, at, p_NC in zip(films, confidence, asked, guess(films)):
                film[at], sure[at] = p_NC[at].argmax(1), p_NC[at].max(1)
        asked = [at[np.argsort(sure[at], kind="stable")[:len(at) * (rounds - r) // rounds]] for at, sure in zip(holes, confidence)]
    return films, confidence


def guesser(model, vocab, texts):
    """Give the `guess` of `mask_predict` that asks the model about films of these texts (ids), in this order."""
    def guess(films):
        p = [guess_clips(model, vocab, texts[i:i + ROWS], films[i:i + ROWS]) for i in range(0, len(films), ROWS)]
        most = max(part.shape[1] for part in p)
        return np.concatenate([np.pad(part, ((0, 0), (0, most - part.shape[1]), (0, 0))) for part in p])
    return guess


def clips_for(corpus, lengths):
    """Tell how many clips sentences of so many tokens span: the median over the corpus' sentences of that, or the nearest, length.

    Raises ValueError for a corpus without sentences.
    """
    segments = sentence_segments(corpus, np.arange(corpus.videos), joined=False)
    if not len(segments):
        raise ValueError(f"{corpus.folder}: no sentence in it, so nobody knows how long one takes; give --clips")
    known, tokens, clips = np.unique(segments.text_len[:, 0]), segments.text_len[:, 0], segments.clip_len[:, 0]
    return [int(np.median(clips[tokens == known[np.abs(known - n).argmin()]])) for n in lengths]


def shoot(model, config, corpus, texts, counts, rounds):
    """Film sentences, each by itself; return (films, confidences), lists of arrays, one a sentence.

    texts: ids of each sentence; counts: clips of each. Raises ValueError where that is more than the model was trained on.
    """
    c = config.inputs
    for text, n in zip(texts, counts):
        if not 0 < len(text) <= c.max_text or not 0 < n <= c.max_video:
            raise ValueError(f"a sentence of {len(text)} tokens and {n} clips; the model was trained on 1 to {c.max_text} tokens and 1 to "
                             f"{c.max_video} clips: use shorter sentences, or fewer --clips")
    return mask_predict(guesser(model, corpus.vocab, texts), [[HIDDEN] * n for n in counts], rounds)


class FilmOracle(Oracle):
    """The exact answers of one who knows that the film is about the text: no pair is false."""

    def _apart(self, readings, shown, video, B):
        return np.zeros(B)

    def guesser(self, vocab, texts):
        """Give the `guess` of `mask_predict` that answers exactly, for the kitchen's sentences."""
        return lambda films: self.predict(batch_of(vocab, texts, films)).video

    def log_film(self, vocab, texts, films):
        """Give log p(film | text) (B,), exact: films without holes."""
        with_film, without = (self._log_joint(batch_of(vocab, texts, shown))
                              for shown in (films, [[HIDDEN] * len(film) for film in films]))
        return with_film - without

    def _log_joint(self, batch):
        ids, B, out = batch.ids.numpy(), len(batch.ids), []
        nothing = np.zeros((B, 0), int), np.zeros((B, 0), bool)
        for first in range(0, B, ROWS):
            rows = np.arange(first, min(first + ROWS, B))
            readings = self._readings(ids, rows)
            shown = self._shown(ids, readings, *nothing)
            n, p_lag, factors = self._talk(readings, shown.reading)
            i = shown.reading[n]
            weight = readings.weight[i] * shown.share[n] * p_lag
            likelihood = self.chain.run(self.prior_text, shown.evidence[n], factors).likelihood
            out.append(np.bincount(readings.row[i], weight * likelihood, B)[rows])
        return np.log(np.maximum(np.concatenate(out), 1e-300))


def batch_of(vocab, texts, films):
    """Make the `Batch` that asks the oracle for every clip of films of texts (ids), holes and others."""
    ids, types, keep, clip_at = lay_out(vocab, texts, films)
    nothing = torch.zeros((len(films), 0), dtype=torch.int64)
    return Batch(ids, types, keep, nothing, nothing, nothing.float(), clip_at, torch.zeros_like(clip_at), (clip_at > 0).float(),
                 torch.ones(len(films)), "video-text")


@dataclass(frozen=True)
class Scenes:
    """Held-out sentences about actions, 2 P of them: 2 p and 2 p + 1 are neighbours.

    text: ids; film: the real visual tokens; topic: the action said; lists.
    """
    text: list
    film: list
    topic: list

    def joined(self, what):
        """Join the neighbours' entries of a list of arrays: P arrays."""
        return [np.concatenate(pair) for pair in zip(what[::2], what[1::2])]


def scenes_of(corpus, most):
    """Find up to `most` pairs of neighbouring sentences of held-out videos that are both about an action, spread evenly: `Scenes`.

    Raises ValueError where there is none, or nobody knows the truth.
    """
    held_out = corpus.split()[1]
    pairs = [(v, one, two) for v, show in zip(held_out, shows_of(corpus, held_out))
             for one, two in zip(show.sentences, show.sentences[1:]) if min(one.topic, two.topic) >= 0]
    if not pairs:
        raise ValueError(f"{corpus.folder}: no two neighbouring sentences about actions in its held-out videos")
    kept = [pairs[i] for i in np.unique(np.linspace(0, len(pairs) - 1, most).astype(int))]
    said = [(v, sentence) for v, *both in kept for sentence in both]
    return Scenes([np.array(corpus.vocab.encode(s.text)) for _, s in said],
                  [corpus.video(v)[s.clip:s.clip + s.clips].astype(int) for v, s in said], [s.topic for _, s in said])


def score(model, config, corpus, progress=False):
    """Score films of held-out sentences (kitchen corpora only).

    Returns {"sentences", "clips", "films": {name: {"purity", "action", "verb", "nats"}}, "clips guessed": {name: {"nats", "top1", ...}}}:
    purity as above, the share of clips whose commonest action, or verb, is the one said, the exact -log p(film | text) [nats a clip] of
    two neighbours' film; and how the real clips were guessed from the text. Raises ValueError for other corpora.
    """
    scenes, known = scenes_of(corpus, PAIRS), oracle_of(corpus, config.inputs)
    oracle = FilmOracle(known.world, corpus.vocab.vocab, known.emission, config.inputs.concat, known.rates, known.window)
    share_CA = action_shares(oracle.world, oracle.emission)
    said_N, real_N = np.repeat(scenes.topic, list(map(len, scenes.film))), np.concatenate(scenes.film)
    empty, pairs = [[HIDDEN] * len(film) for film in scenes.film], scenes.joined(scenes.text)
    films, guessed = {}, {}
    bar = tqdm(total=6, desc="films", disable=not progress, dynamic_ncols=True, leave=False)
    for name, guesser_of in (("model", partial(guesser, model)), ("oracle", oracle.guesser)):
        alone, together = guesser_of(corpus.vocab, scenes.text), guesser_of(corpus.vocab, pairs)
        for way, guess, holes, rounds in (("argmax", alone, empty, 1), ("mask-predict", alone, empty, ROUNDS),
                                          ("mask-predict, pairs", together, scenes.joined(empty), ROUNDS)):
            films[f"{name}, {way}"] = np.concatenate(mask_predict(guess, holes, rounds)[0])
            bar.update()
        p_NC = np.concatenate([p_NC[:len(film)] for p_NC, film in zip(alone(empty), scenes.film)])
        guessed[name] = clip_figures(p_NC, real_N)
    bar.close()
    training_N = np.concatenate([corpus.video(v) for v in corpus.split()[0]])
    count_C = np.bincount(training_N, minlength=corpus.visual_words) + 0.5
    guessed["unigram"] = clip_figures(np.broadcast_to(count_C / count_C.sum(), (len(real_N), len(count_C))), real_N)
    films |= {"commonest word": np.full(len(real_N), count_C.argmax()), "real film": real_N}
    ends = np.cumsum([len(film) for film in scenes.joined(scenes.film)])[:-1]
    shown = {}
    for name, film_N in films.items():
        nats = -oracle.log_film(corpus.vocab, pairs, np.split(film_N, ends)).sum() / len(real_N)
        shown[name] = film_figures(film_N, said_N, share_CA) | {"nats": float(nats)}
    other_N = np.repeat(np.roll(scenes.topic, 2), list(map(len, scenes.film)))
    shown["model, other text"] = film_figures(films["model, mask-predict"], other_N, share_CA)
    return {"sentences": len(scenes.text), "clips": len(real_N), "films": shown, "clips guessed": guessed}


def film_figures(token_N, said_N, share_CA):
    """Tell whether clips (N,) show the actions said (N,): {"purity", "action", "verb"}; share (C, A) as `action_shares`.

    >>> found = film_figures(np.array([0, 1]), np.array([0, 0]), np.array([[0.75, 0.25], [0.5, 0.5]]))
    >>> found["purity"], found["action"]
    (0.625, 1.0)
    """
    verbs, shown_N = np.array([verb for verb, _ in ACTIONS]), share_CA[token_N].argmax(1)
    return {"purity": float(share_CA[token_N, said_N].mean()), "action": float((shown_N == said_N).mean()),
            "verb": float((verbs[shown_N] == verbs[said_N]).mean())}


def clip_figures(p_NC, truth_N):
    """Score guesses (N, C) of clips (N,): {"nats", "top1", "top3", "top5"}; a word as likely as the truth counts as before it."""
    p_N = p_NC[np.arange(len(truth_N)), truth_N]
    before_N = (p_NC >= p_N[:, None]).sum(1) - 1
    return {"nats": float(-np.log(np.maximum(p_N, 1e-30)).mean())} | {f"top{k}": float((before_N < k).mean()) for k in TOPS}


def table_of(found):
    """Lay the scores out as text."""
    lines = [f"{found['sentences']} held-out sentences about actions, {found['clips']} clips",
             f"{'films show what is said':<30}{'purity':>9}{'action':>9}{'verb':>9}{'nats a clip':>13}"]
    for name, own in found["films"].items():
        nats = f"{own['nats']:>13.2f}" if "nats" in own else f"{'-':>13}"
        lines.append(f"  {name:<28}{own['purity']:>9.1%}{own['action']:>9.1%}{own['verb']:>9.1%}{nats}")
    lines.append(f"{'real clips guessed':<30}{'top-1':>9}{'top-3':>9}{'top-5':>9}{'nats':>13}")
    for name, own in found["clips guessed"].items():
        lines.append(f"  {name:<28}{own['top1']:>9.1%}{own['top3']:>9.1%}{own['top5']:>9.1%}{own['nats']:>13.2f}")
    return "\n".join(lines)


def understood(vocab, sentence):
    """Turn a sentence into ids, with a full stop if it ends in none; raise ValueError if the vocabulary knows none of its words."""
    ids = vocab.encode(sentence if sentence.rstrip().endswith((".", "!", "?")) else sentence.rstrip() + " .")
    words = [i for i in ids if vocab.vocab[i][0].isalnum()]
    if not words:
        raise ValueError(f"{sentence!r}: no word of it is in the vocabulary that the model was trained with; say something about cooking")
    return np.array(ids)


def subtitles(sentences, counts, seconds):
    """Write sentences as WebVTT text, each over its clips of so many seconds."""
    def clock(s):
        return f"{int(s // 3600):02d}:{int(s // 60 % 60):02d}:{s % 60:06.3f}"

    ends = np.cumsum(counts) * seconds
    cues = [f"{clock(end - n * seconds)} --> {clock(end)}\n{sentence}\n" for sentence, n, end in zip(sentences, counts, ends)]
    return "\n".join(["WEBVTT\n", *cues])


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.downstream.text_to_video", description=__doc__.split("\n")[0])
    parser.add_argument("sentences", nargs="*", help="what the film is about, a sentence each")
    parser.add_argument("--clips", type=int, help="clips a sentence (default: as many as the corpus' sentences of that length span)")
    parser.add_argument("--score", action="store_true", help="score films of held-out sentences beside the exact answers")
    parser.add_argument("--out", default="text_to_video.png", help="filmstrip to write; the film is written beside it as .mp4 and .vtt")
    add_run_options(parser)
    o = parser.parse_args(argv)
    out = Path(o.out)
    try:
        if bool(o.sentences) == o.score:
            raise ValueError('give sentences, such as "slice the onion", or --score')
        model, config, corpus, _ = open_run(o.run, o.corpus)
        if o.score:
            found = score(model, config, corpus, progress=True)
            plot_film_scores(found, out)
            print(table_of(found))
        else:
            texts = [understood(corpus.vocab, sentence) for sentence in o.sentences]
            counts = [o.clips] * len(texts) if o.clips is not None else clips_for(corpus, list(map(len, texts)))
            takes = {way: list(zip(*shoot(model, config, corpus, texts, counts, rounds)))
                     for way, rounds in (("argmax, each clip by itself", 1), ("mask-predict", ROUNDS))}
            names, seconds = word_names(corpus), corpus.meta["clip_frames"] / corpus.meta["fps"]
            plot_film(o.sentences, takes, exemplar_frames(corpus), names, out)
            film = [int(v) for own, _ in takes["mask-predict"] for v in own]
            write_film(out.with_suffix(".mp4"), exemplar_clips(corpus.folder, film))
            replace_file(out.with_suffix(".vtt"), lambda path: path.write_text(subtitles(o.sentences, counts, seconds), encoding="utf-8"))
            for sentence, text, (own, sure) in zip(o.sentences, texts, takes["mask-predict"]):
                unknown = " (some of its words are not in the vocabulary)" if corpus.vocab.unk in text else ""
                print(f"{sentence}{unknown}: " + ", ".join(f"v{v} {names[v]} {p:.0%}".replace("  ", " ") for v, p in zip(own, sure)))
            print(f"film: {out.with_suffix('.mp4')}")
    except (ValueError, OSError) as error:
        fail(error)
    print(f"picture: {out}")


if __name__ == "__main__":
    main()
