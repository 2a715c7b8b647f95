"""What captions are worth: references made from the truth, and the rows of the paper's Table 3.

VideoBERT, section 4.6: segments with known borders, a caption each. Here a segment is a whole step of a filmed show, and its references are
what the cook *could* have said of it: five different sentences, each a template of `kitchen/narrate.py` with its slots filled for the true
action. Nobody need have said them, and most shows are silent.

    no video          the same decoder, told nothing: the commonest caption        shuffled    told of another segment
    raw               mean centroid of the visual words ("S3D")                    videobert   hidden states (`captioner.py`)
    both              the two together                                             video       of a model pretrained on video alone
    oracle            the exact probability of every action, given the clips       truth       the action itself: the ceiling

Every row is a captioner of its own, of equal size, trained alike. The ceiling lies far below 1, as the references are drawn: the best
caption need not be among the five. "true" is a measure that only a kitchen allows: the share of captions that the cook could have said of what
is done, whichever template and synonym they chose.

The table learns from the steps of 128 shows: with 30,000 to pretrain on, that is as few as the paper's 1,333 of 312K. With all 2,400 filmed
shows raw features leave little to gain, since MiniS3D, unlike the paper's S3D, learned these very actions.

Axes: S segments, F features, A actions.

Not stated in the paper, our choice: everything about the references; the rows but raw ("S3D"), videobert, both, video.

    >>> rng = np.random.default_rng(0)
    >>> [" ".join(tell(ACTIONS.index(("fry", "onion")), rng)) for _ in range(2)]
    ['next fry the onion until it is crisp .', 'now let me show you how to cook the onion .']
"""
from pathlib import Path

import numpy as np
import torch

from minivbert.downstream.captioner import Captioner, fit, segment_features
from minivbert.downstream.metrics import caption_scores
from minivbert.downstream.shared import shows_of
from minivbert.downstream.truth import segments_of
from minivbert.downstream.zero_shot import oracle_of_steps, shuffled
from minivbert.files import file_hash
from minivbert.kitchen.language import Language
from minivbert.kitchen.narrate import LENGTHS, slot_words, templates_of
from minivbert.kitchen.recipes import ACTIONS

REFERENCES = 5
BEAM = 5
REFERENCE_SEED = 7            # of the references, with the video's and the step's number
PARTS = 3                     # of each step, learned beside it
TABLE_SHOWS = 128             # labelled shows that the table's captioners learn from
METRICS = ("BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr", "true")
PAPER = {"raw": (6.12, 3.24, 26.09, 0.31), "video": (6.33, 3.81, 27.14, 0.47), "videobert": (6.80, 4.04, 27.50, 0.49),
         "both": (7.59, 4.33, 28.80, 0.55)}                            # Table 3; the first three times 100


def tell(action, rng):
    """Draw a sentence about an action (index into `ACTIONS`), as the cook would: a list of words."""
    length = int(rng.choice(list(LENGTHS), p=list(LENGTHS.values())))
    choices, words = templates_of(length, chatter=False), []
    for word in choices[rng.integers(len(choices))]:
        if word.startswith("{"):
            table = slot_words(word[1], action)
            word = str(rng.choice(list(table), p=list(table.values())))
        words.append(word)
    return words


def references_of(action, rng, n=REFERENCES):
    """Draw n different sentences about an action."""
    found = {}
    while len(found) < n:
        words = tell(action, rng)
        found[" ".join(words)] = words
    return list(found.values())


def labelled(corpus, videos):
    """List the whole steps of some videos of a kitchen corpus: (`Segments`, visual tokens of each, references of each as words).

    Raises ValueError for a corpus whose truth nobody knows.
    """
    segments = segments_of(corpus, videos, shows_of(corpus, videos))
    films = [corpus.visual[a:a + n].astype(int) for a, n in zip(segments.first, segments.clips)]
    told = [references_of(action, np.random.default_rng([REFERENCE_SEED, int(video), int(first - corpus.visual_offsets[video])]))
            for video, first, action in zip(segments.video, segments.first, segments.route[:, 0])]
    return segments, films, told


def with_parts(films, told, rng, parts=PARTS):
    """Add random parts of steps, of one clip or more, to whole ones: a film that nobody has cut shows parts."""
    more = []
    for film in films:
        begin = rng.integers(len(film), size=parts)
        more += [film[a:a + rng.integers(1, len(film) - a + 1)] for a in begin]
    return [*films, *more], [*told, *(references for references in told for _ in range(parts))]


def filmed(corpus):
    """Give the numbers of the filmed shows: (training, held-out)."""
    training, held_out = corpus.split()
    most = corpus.meta.get("filmed", corpus.videos)
    return training[training < most], held_out[held_out < most]


def made_by(run, corpus):
    """Name the weights that a captioner's features come from: the hashes of the run's model and of the corpus' tree."""
    paths = Path(run) / "model.safetensors", corpus.folder / "tree.npz"
    return "".join(file_hash(path)[:16] for path in paths if path.is_file())


def teach(corpus, kind, feature_SF, told, steps, seed, mark="", progress=None):
    """Train a captioner on features and references; return (captioner, its last loss)."""
    vocab = corpus.vocab
    captioner = Captioner(feature_SF.shape[1], len(vocab), vocab.cls, vocab.sep, kind, mark)
    ids = [[vocab.encode(" ".join(words)) for words in references] for references in told]
    return captioner, fit(captioner, feature_SF, ids, steps, seed, progress=progress)


def written(captioner, vocab, feature_SF, beam=BEAM):
    """Write captions as lists of words."""
    return [vocab.decode(ids).split() for ids in captioner.write(feature_SF, beam)]


def row_features(corpus, tree, run, kind, segments, films):
    """Describe segments for one row of the table: features (S, F). run: (model, config)."""
    if kind == "no video":
        return torch.zeros(len(films), 1)
    if kind == "truth":
        return torch.eye(len(ACTIONS))[torch.from_numpy(segments.route[:, 0])]
    if kind == "oracle":
        return torch.from_numpy(oracle_of_steps(corpus, segments)[0]).float()
    return segment_features(*run, corpus.vocab, tree, films, kind)


def scores(said, told, action_S, vocab):
    """Score captions, a list of words each, by all METRICS. told: references of each; action (S,): the true ones."""
    language, true = Language(vocab.vocab), []
    for words, action in zip(said, action_S):
        ids = vocab.encode(" ".join(words))
        true.append(len(ids) in language.templates and language.likelihood(np.array([ids]))[:, 0, action].sum() > 0)
    return caption_scores(said, told) | {"true": float(np.mean(true))}


def table(corpus, tree, run, video_run=None, seeds=3, steps=600, shows=TABLE_SHOWS, progress=None):
    """Score every row on the held-out filmed shows: {row: {metric: [a figure a seed]}}.

    run: (model, config) of the default run; video_run: the same of a run pretrained on video alone, or None; shows: training shows
    used. progress: wraps the list of (row, seed). Raises ValueError for a corpus whose truth nobody knows.
    """
    training, held_out = filmed(corpus)
    known, asked = labelled(corpus, training[:shows]), labelled(corpus, held_out)
    known_tables = (corpus.folder / "emission.npz").is_file()
    rows = ["no video", "raw", *["video"] * (video_run is not None), "videobert", "both", *["oracle"] * known_tables, "truth"]
    features = {row: [row_features(corpus, tree, video_run if row == "video" else run, row, *part[:2]) for part in (known, asked)]
                for row in rows}
    out = {row: {metric: [] for metric in METRICS} for row in [*rows, "shuffled"]}
    for row, seed in (progress or list)([(row, seed) for row in rows for seed in range(seeds)]):
        learned, shown = features[row]
        captioner, _ = teach(corpus, row, learned, known[2], steps, seed)
        views = {row: shown}
        if row == "both":
            views["shuffled"] = shown[shuffled(len(shown), np.random.default_rng(seed))]
        for name, view in views.items():
            for metric, value in scores(written(captioner, corpus.vocab, view), asked[2], asked[0].route[:, 0], corpus.vocab).items():
                out[name][metric].append(value)
    return out


def table_text(figures):
    """Lay the table out as text, mean and spread over seeds, the paper's numbers in brackets where it has the row."""
    scale = (100, 100, 100, 1, 100)
    lines = [f"{'ours (the paper)':<12}" + "".join(f"{metric:>24}" for metric in METRICS)]
    for row in [r for r in ("no video", "shuffled", "raw", "video", "videobert", "both", "oracle", "truth") if r in figures]:
        cells = []
        for k, metric in enumerate(METRICS):
            values = np.array(figures[row][metric]) * scale[k]
            paper = f"({PAPER[row][k]:g})" if row in PAPER and k < len(PAPER[row]) else ""
            cells.append(f"{values.mean():>9.2f} +- {values.std(ddof=len(values) > 1):<4.2f} {paper:>6}")
        lines.append(f"{row:<12}" + "".join(f"{cell:>24}" for cell in cells))
    return "\n".join(lines)
