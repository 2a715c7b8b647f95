"""The tables' command: verdicts by hand, the corpus cut, runs and cells, everything drawn and judged from made-up cells."""
import json
from dataclasses import replace

import numpy as np
import pytest

from minivbert import evaluate
from minivbert.config import DATA_SAMPLE, PRESETS
from minivbert.downstream import caption_scores, question_answering, zero_shot
from minivbert.downstream.claims import CLAIMS, FAILS, HOLDS, OPEN, SIZES, Finding, above, all_of, claims, compare, spread
from minivbert.downstream.panels import plot_tables
from minivbert.downstream.tables import PAPER_SIZES, Cells, clusters, first_videos, gather, main, markdown, runs_of
from minivbert.tokens.corpus import Corpus
from small import small_corpus


@pytest.fixture(scope="module")
def sample():
    return Corpus.open(DATA_SAMPLE / "corpus")


def test_a_gap_must_be_larger_than_the_seeds_spread():
    assert above([10, 11, 12], [5, 6, 7]) is True and above([5, 6, 7], [10, 11, 12]) is False
    assert above([10, 11, 12], [9, 10.5, 11]) is None                   # the seeds overlap
    assert above([10, 16], [9, 9.5]) is None                            # apart, but by less than one's own spread
    assert above([3], [2]) is True and above([2], [2]) is None
    assert compare("a", [2.0], "b", [3.0]).verdict == FAILS and compare("a", [2.0], "b", [2.0]).verdict == OPEN
    yes, no, perhaps = Finding(HOLDS, "x"), Finding(FAILS, "y"), Finding(OPEN, "z")
    assert all_of(yes, yes).verdict == HOLDS and all_of(yes, perhaps).verdict == OPEN and all_of(perhaps, no).verdict == FAILS
    assert all_of(yes, no).sentence == "x (yes); y (no)"
    assert spread([1.0, 3.0, 2.0]) == "2.0 [1.0, 3.0]" and spread([0.5]) == "0.50"


def test_every_claim_is_judged_even_without_figures():
    judged = claims({})
    assert [name.split()[0] for name in judged] == ["C1", "C2", "C3", "C3", *(f"C{i}" for i in range(4, 11))]
    assert all(found.verdict == OPEN and "no figures" in found.sentence for _, found in judged.values())
    assert len(CLAIMS) == len(judged)


def test_a_part_of_the_corpus_is_that_part(sample):
    part = first_videos(sample, 50)
    training, held_out = part.split()
    assert held_out.tolist() == sample.split()[1].tolist() and training.tolist() == sample.split()[0][:50].tolist()
    part._check()
    last = training[-1]
    assert (part.video(last) == sample.video(last)).all() and part.sentence_video.max() <= last
    assert part.sentence(len(part.sentence_video) - 1) == sample.sentence(len(part.sentence_video) - 1)
    assert first_videos(sample, 10 ** 9).videos == sample.videos


def test_only_a_corpus_whose_held_out_videos_come_first_is_cut(tmp_path):
    with pytest.raises(ValueError, match="do not come first"):
        first_videos(small_corpus(tmp_path, shows=30), 5)


def test_runs_change_one_thing_each(sample):
    config = replace(PRESETS["tiny"], train=replace(PRESETS["tiny"].train, steps=1000))
    runs = runs_of(config, sample)
    assert runs["full"] == (config, sample)
    rows = sum(config.inputs.rows)
    assert sum(runs["text only"][0].inputs.rows) + config.inputs.rows[1] == rows + 2 and runs["text only"][0].train.weights == (1.0, 0.0, 0.0)
    assert runs["video only"][0].train.weights == (0.0, 1.0, 0.0) and runs["no noise"][0].inputs.concat == 0
    n = len(sample.split()[0])
    for size, share in SIZES.items():
        short, part = runs[f"{size} videos, equal epochs"]
        longer, same = runs[f"{size} videos, equal updates"]
        assert len(part.split()[0]) == len(same.split()[0]) == pytest.approx(share * n, abs=1)
        assert short.train.steps == pytest.approx(share * 1000, abs=1) and longer.train.steps == 1000
    assert list(PAPER_SIZES) == list(SIZES)


def test_a_cell_is_made_once(sample, tmp_path):
    cells = Cells(tmp_path, 1, PRESETS["tiny"], sample, None)
    assert cells.config.train.seed == 1 and cells.config.train.steps == PRESETS["tiny"].train.steps
    made = []
    for _ in range(2):
        assert cells.kept("some cell", lambda: made.append(1) or {"x": [1.5]}) == {"x": [1.5]}
    assert made == [1] and json.loads((tmp_path / "seed 1" / "some cell.json").read_text())["seconds"] >= 0
    assert cells.rng().random() == cells.rng().random() != Cells(tmp_path, 2, PRESETS["tiny"], sample, None).rng().random()


def made_up(seed, better=0.0):
    """Cells of one seed as the real ones look, in which every claim of the paper holds."""
    rng = np.random.default_rng(seed)
    row = lambda level: [float(level + x) for x in rng.normal(0, 0.5, 4)]
    levels = {"full": 70, "text only": 70, "no noise": 50, **{f"{size} videos, equal {kind}": level for kind in ("epochs", "updates")
                                                              for size, level in zip(SIZES, (20, 40, 55))}}
    rows = lambda prior, level: {"language prior": row(prior), "shuffled video": row(9), "cross-modal": row(level)}
    zero = {f"zero-shot, {name}": {"rows": rows(12 if name == "full" else 8, level), "vague": 0.8, "templates": {}}
            for name, level in levels.items()}
    full = zero["zero-shot, full"]
    full["rows"]["cross-modal"] = [30 + better, 80, 60, 90]
    full["rows"] |= {"majority class": [15, 60, 13, 45], "supervised": [100] * 4, "oracle": [100] * 4, "oracle, in words": [99] * 4}
    full["templates"] = {"now we {V} the {I} .": row(30), "with the {T} you {V} it , the {I} .": row(60)}
    way = lambda level: {d: {"R@1": level / 4, "R@5": level / 2, "R@10": level, "median rank": 3.0} for d in ("text to video", "video to text")}
    ahead = lambda nats: {"nats": [nats + seed / 100] * 4, "top1": [0.3] * 4, "top3": [0.6] * 4, "top5": [0.7] * 4}
    film = lambda level: {"purity": level + seed / 1000, "action": 0.5, "verb": 0.5}
    ciders = {"no video": 0.1, "raw": 1.0, "video": 1.1, "videobert": 1.3, "both": 1.5, "shuffled": 0.1, "oracle": 1.6, "truth": 1.7}
    return zero | {
        "retrieval, full": {"rows": {"chance": way(0.1), "single stream": way(0.9 + seed / 1000), "two streams": way(0.7), "oracle": way(0.95)},
                            "cost": {"single stream": {"encodings": 9, "tokens": 90.0, "ms": 9.0},
                                     "two streams": {"encodings": 1, "tokens": 9.0, "ms": 1.0}},
                            "pool": 9},
        "retrieval, no noise": {"rows": {"chance": way(0.1), "single stream": way(0.6)}, "cost": {}, "pool": 9},
        "captions": {name: {metric: cider + seed / 1000 for metric in caption_scores.METRICS} for name, cider in ciders.items()},
        "forecast": {"windows": 5, "steps": [1, 2, 3, 4], "unigram": ahead(5), "bigram": ahead(4), "trigram": ahead(3.5), "model": ahead(2),
                     "oracle": ahead(1.9)},
        "text to video": {"films": {"model, mask-predict": film(0.5), "oracle, mask-predict": film(0.55), "commonest word": film(0.05),
                                    "model, other text": film(0.1), "model, argmax": film(0.4)}},
        "questions": {name: [50.0] * 4 for name in ("chance", *question_answering.KINDS, "oracle")}}


def test_all_figures_are_gathered_judged_written_and_drawn(tmp_path):
    shared = {"clusters": {"NMI": 0.9, "NMI, shuffled": 0.3, "purity": 0.8, "descent error": 1.1, "flat error": 1.0}}
    figures = gather([made_up(seed) for seed in range(3)], shared)
    judged = claims(figures)
    assert {name for name, (_, found) in judged.items() if found.verdict == HOLDS} == set(judged), judged
    assert len(figures["zero-shot"]["cross-modal"]) == 3 and figures["R@10"]["single stream"][0] == pytest.approx(90.0)
    text = markdown(figures, judged, "python -m minivbert.evaluate --tables")
    assert "| cross-modal | 30.0 (3.2) |" in text and "[" in text and text.count("**holds**") == len(judged)
    assert "| 10K videos, equal epochs |" in text and "(15.5)" in text and "nan" not in text
    json.dumps(figures)
    plot_tables(figures, zero_shot.PAPER, PAPER_SIZES, tmp_path / "tables.png")
    assert (tmp_path / "tables.png").stat().st_size > 20_000


def test_verdicts_follow_the_figures():
    cells = [made_up(seed) for seed in range(3)]
    for seed, one in enumerate(cells):
        one["zero-shot, full"]["rows"]["shuffled video"] = [90.0] * 4                   # another film names the action better
        one["captions"]["videobert"]["CIDEr"] = 1.0 + 0.2 * seed                        # seeds all over the place
        one["forecast"]["bigram"]["nats"] = [1.0] * 4
        one["zero-shot, 50K videos, equal updates"]["rows"]["cross-modal"] = [75.0] * 4
    judged = {name: found.verdict for name, (_, found) in claims(gather(cells, {"clusters": {}})).items()}
    assert judged["C1"] == FAILS and judged["C7"] == FAILS and judged["C3 (updates)"] == FAILS
    assert judged["C4"] == OPEN and judged["C9"] == OPEN and judged["C3 (epochs)"] == HOLDS


def test_clusters_against_the_truth(sample):
    found = clusters(sample, None)
    assert found["NMI"] > 0.8 > found["NMI, shuffled"] and 0.6 < found["purity"] < 1 and "flat error" not in found


def test_command_says_what_is_wrong(tmp_path, capsys):
    for given, said in ((["--seeds", "0"], "at least 1"), (["--run", str(tmp_path)], "no training run"),
                        (["--corpus", str(tmp_path)], "no finished corpus")):
        with pytest.raises(SystemExit) as left:
            main([*given, "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")])
        error = capsys.readouterr().err
        assert left.value.code == 2 and said in error and error.count("\n") == 1


def test_cells_of_another_run_are_not_mixed_in(tmp_path, capsys):
    (tmp_path / "made_of.json").write_text("{}")
    with pytest.raises(SystemExit):
        main(["--work", str(tmp_path), "--out", str(tmp_path)])
    assert "holds cells of another run" in capsys.readouterr().err


def test_evaluate_hands_tables_over(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        evaluate.main(["--tables", "--seeds", "0", "--work", str(tmp_path)])
    assert stop.value.code == 2 and "--seeds 0" in capsys.readouterr().err and not list(tmp_path.iterdir())
