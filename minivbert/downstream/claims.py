"""The paper's ten claims, each with the figure that decides it here: holds, does not hold, or cannot be said.

    a is above b        if every seed of a lies above every seed of b, and the means are farther apart than either's seeds
    a is below b        the same the other way round
    else                cannot be said: the seeds' spread is larger than the gap

A claim of several comparisons holds if all do, does not hold if one is the other way round, and cannot be said otherwise; of which
comparisons, stands beside it. Figures are {row: a list, one entry a seed}; a row that no seed touches has one entry.

VideoBERT, sections 4.4 to 4.6 and tables 1 to 3. Not stated in the paper, our choice: what decides; it has one seed and no spread.

    >>> compare("a", [3.0, 4.0], "b", [1.0, 2.0])
    Finding(verdict='holds', sentence='a 3.5 [3.0, 4.0] against b 1.5 [1.0, 2.0]')
"""
from dataclasses import dataclass

import numpy as np

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be said here"
SIZES = {"10K": 10 / 312, "50K": 50 / 312, "100K": 100 / 312}         # the paper's, as shares of its 312K videos


@dataclass(frozen=True)
class Finding:
    """What was found, and the figures that decide."""
    verdict: str
    sentence: str


def spread(values):
    """Write a mean and, where seeds differ, the lowest and highest of them.

    >>> spread([0.25])
    '0.25'
    """
    digits = 1 if np.abs(values).max(initial=0) >= 2 else 2
    mean = f"{np.mean(values):.{digits}f}"
    return mean if np.ptp(values) == 0 else f"{mean} [{min(values):.{digits}f}, {max(values):.{digits}f}]"


def above(a, b):
    """Tell whether a is above b: True, False if it is below, None if the seeds do not say.

    >>> above([3, 4], [1, 2]), above([1, 2], [3, 4]), above([1, 3], [2, 4]), above([2, 5], [1, 1.5])
    (True, False, None, None)
    """
    gap = abs(np.mean(a) - np.mean(b))
    if gap <= max(np.ptp(a), np.ptp(b)):
        return None
    return True if min(a) > max(b) else False if max(a) < min(b) else None


def compare(name_a, a, name_b, b):
    """Ask whether a is above b."""
    told = above(a, b)
    return Finding(HOLDS if told else OPEN if told is None else FAILS, f"{name_a} {spread(a)} against {name_b} {spread(b)}")


def all_of(*findings):
    """Put comparisons together into one claim."""
    verdicts = [f.verdict for f in findings]
    verdict = HOLDS if set(verdicts) == {HOLDS} else FAILS if FAILS in verdicts else OPEN
    marks = {HOLDS: "yes", FAILS: "no", OPEN: "open"}
    return Finding(verdict, "; ".join(f"{f.sentence} ({marks[f.verdict]})" for f in findings))


def mean_of(rows, columns=slice(None)):
    """Average some columns of a row's figures, seed by seed."""
    return [float(np.mean(np.asarray(row, float)[columns])) for row in rows]


def column(rows, k):
    """Take one column of a row's figures, seed by seed."""
    return [row[k] for row in rows]


def claims(f):
    """Judge C1 to C10 from the figures of `tables.py`: {claim: (what is claimed, Finding)}; a claim whose figures are missing is left open."""
    out = {}
    for name, what, judge in CLAIMS:
        try:
            out[name] = what, judge(f)
        except KeyError as missing:
            out[name] = what, Finding(OPEN, f"no figures of {missing.args[0]!r}")
    return out


def c1(f):
    """All four columns' mean; the plain prior has read the same sentences here, where the paper's had read none of them."""
    rows = {name: mean_of(f["zero-shot"][name]) for name in ("cross-modal", "language prior", "language prior, text only", "shuffled video")}
    return all_of(*(compare(a, rows[a], b, rows[b]) for a, b in (("cross-modal", "language prior"), ("cross-modal", "shuffled video"),
                                                                 ("language prior", "language prior, text only"))))


def c2(f):
    """Poor: of what the oracle finds at once the model finds less than half, of what it finds among five more than half."""
    rows, best = f["zero-shot"]["cross-modal"], f["zero-shot"]["oracle"]
    found = [compare("half of the oracle's verb top-1", [50 * column(best, 0)[0] / 100], "the model's", column(rows, 0)),
             compare("the model's verb top-5", column(rows, 1), "half of the oracle's", [column(best, 1)[0] / 2])]
    both = all_of(*found)
    return Finding(both.verdict, both.sentence + f"; of its wrong verbs {np.mean(f['vague words']):.0%} are words of several verbs")


def c3(kind):
    """Each size against the next larger one."""
    def judge(f):
        names = [*(f"{size} videos, equal {kind}" for size in SIZES), "cross-modal"]
        rows = [mean_of(f["zero-shot"][name]) for name in names]
        return all_of(*(compare(names[i + 1], rows[i + 1], names[i], rows[i]) for i in range(len(names) - 1)))
    return judge


def chain(table, metric, *names):
    """Compare each row of a table of {row: {metric: seeds}} with the next, from the best down."""
    def judge(f):
        rows = [f[table][name][metric] for name in names]
        return all_of(*(compare(f"{a}, {metric}", x, b, y) for a, b, x, y in zip(names, names[1:], rows, rows[1:])))
    return judge


def c6(f):
    """Zero-shot and search on whole steps and single sentences, which neither training is made for."""
    return all_of(compare("zero-shot with both", mean_of(f["zero-shot"]["cross-modal"]), "without", mean_of(f["zero-shot"]["no noise in time"])),
                  compare("R@10 with both", f["R@10"]["single stream"], "without", f["R@10"]["no noise in time"]))


def c7(f):
    """Nats over all steps ahead: the fewer the better."""
    rows = f["forecast nats"]
    return all_of(*(compare(name, rows[name], "model", rows["model"]) for name in ("unigram", "bigram")))


def c8(f):
    """How much of what is filmed shows the action said."""
    rows = f["film purity"]
    found = all_of(*(compare("model", rows["model"], name, rows[name]) for name in ("commonest word", "model, other text")))
    return Finding(found.verdict, found.sentence + f"; the oracle {spread(rows['oracle'])}")


def c9(f):
    """Clusters against the truth, and what the descent costs against looking at all leaves."""
    rows = f["clusters"]
    coherent = compare("NMI with (action, phase)", [rows["NMI"]], "of shuffled clips", [rows["NMI, shuffled"]])
    return Finding(coherent.verdict, f"{coherent.sentence}; purity {rows['purity']:.2f}; " + (
        f"the descent's squared error is {rows['descent error'] / rows['flat error']:.2f} times the nearest leaf's" if "flat error" in rows
        else "no films beside the corpus to measure the tree's error on"))


def c10(f):
    """The range over sentences against the seeds' spread for one sentence, verb top-1."""
    seeds = np.array([[row[0] for row in one.values()] for one in f["templates"]])
    return compare("range over sentences, verb top-1", np.ptp(seeds, axis=1).tolist(), "largest spread over seeds of one sentence",
                   [float(np.ptp(seeds, axis=0).max())])


CLAIMS = (
    ("C1", "cross-modal beats its own language prior, that beats a plain one; and shuffled video", c1),
    ("C2", "top-1 poor, top-5 good, as generic verbs compete", c2),
    ("C3 (epochs)", "more data is better, at equal epochs", c3("epochs")),
    ("C3 (updates)", "more data is better, at equal updates", c3("updates")),
    ("C4", "cross-modal pretraining beats video-only, as captioning features", chain("captions", "CIDEr", "videobert", "video")),
    ("C5", "VideoBERT + S3D beats VideoBERT beats S3D, captions", chain("captions", "CIDEr", "both", "videobert", "raw")),
    ("C6", "joining and sub-sampling help when narration is out of time", c6),
    ("C7", "forecasting beats unigram and bigram", c7),
    ("C8", "text to video finds the right visual words", c8),
    ("C9", "clusters are coherent", c9),
    ("C10", "results move with the template", c10),
)
