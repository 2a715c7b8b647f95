"""Each row changes what it says and nothing else; a killed call goes on; verdicts by hand; the report comes from the file alone."""
import json
from dataclasses import replace

import numpy as np
import pytest

from minivbert import ablate
from minivbert.ablate import BASELINE, KINDS, LEVELS, PARTS, ROWS, SEEDS, configure, key_of, report, sentence, shares, verdict
from minivbert.config import DATA_SAMPLE, PRESETS, to_dict
from minivbert.plot import plot_ablations
from small import small_corpus

DOCS, TINY = DATA_SAMPLE.parent / "docs", PRESETS["tiny"]
SMALL = replace(TINY, model=replace(TINY.model, width=16, layers=1, heads=1, feed_forward=16),
                inputs=replace(TINY.inputs, rows=(8, 8, 8)), train=replace(TINY.train, steps=2, eval_every=2, log_every=2, eval_batches=1))


def changed(a, b):
    """List the fields that differ: {"section.field": value in b}."""
    return {f"{section}.{name}": b[section][name] for section in ("model", "inputs", "train") for name in a[section]
            if a[section][name] != b[section][name]}


SAID = {
    BASELINE: {}, "no joining": {"inputs.concat": 0.0}, "no sub-sampling": {"inputs.subsample": 1},
    "no text regime": {"train.weights": (0.0, 1.0, 1.0)}, "no video regime": {"train.weights": (1.0, 0.0, 1.0)},
    "no video-text regime": {"train.weights": (1.0, 1.0, 0.0)}, "video-text weighs 2": {"train.weights": (1.0, 1.0, 2.0)},
    "no speechless videos": {}, "random visual rows": {"train.centroids": False}, "frozen embeddings": {"model.frozen_embeddings": True},
}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_changes_exactly_what_it_says(name):
    base = to_dict(configure(ROWS[BASELINE], ablate.BASE, 0))
    assert changed(base, to_dict(configure(ROWS[name], ablate.BASE, 0))) == SAID[name]
    assert changed(base, to_dict(configure(ROWS[name], ablate.BASE, 2))) == SAID[name] | {"train.seed": 2}
    assert ROWS[name].speechless == (name != "no speechless videos")
    assert (ablate.BASE.inputs.concat, ablate.BASE.inputs.subsample) == (0.5, 5)


def test_without_speechless_videos_only_those_leave_the_training(tmp_path):
    corpus = small_corpus(tmp_path, shows=40)
    training, held_out = corpus.split()
    left, aside = ablate.with_speech_only(corpus).split()
    told = np.unique(corpus.sentence_video)
    assert set(left) == set(training) & set(told) and 0 < len(left) < len(training)
    assert set(aside) == set(held_out) | (set(training) - set(told))


def test_verdicts_by_hand():
    # variances 1 and 4: the margin is 2.78 sqrt(5 / 3) = 3.589
    low, high = [0.0, 1.0, 2.0], [2.5, 4.5, 6.5]
    assert ablate.margin(low, high) == pytest.approx(3.589, abs=1e-3)
    assert verdict(low, high) == 0 and verdict(low, [x + 0.1 for x in high]) == -1 and verdict([x + 0.1 for x in high], low) == 1


def made_up(effect):
    """Results in which every cell is the same but for the seeds, and `effect(name, level, kind, part)`: points added to a figure."""
    truth = {kind: {"text_unigram_nats": 4.0, "text_floor_nats": 0.0, "video_unigram_nats": 5.0, "video_floor_nats": 1.0,
                    "alignment_ceiling": 0.95} for kind in KINDS}
    cells = {}
    for name in ROWS:
        for level in LEVELS:
            for seed in SEEDS:
                points = {(kind, part): 80 + seed + effect(name, level, kind, part) for kind in KINDS for part in PARTS}
                cells[key_of(name, level, seed)] = {"seconds": 1.0} | {kind: {
                    "text_nats": 4 - 0.04 * points[kind, "text"], "video_nats": 5 - 0.04 * points[kind, "video"],
                    "alignment_accuracy": points[kind, "alignment"] / 100} for kind in KINDS}
    return json.loads(json.dumps({"setting": {"config": to_dict(ablate.BASE), "shows": 1000, "levels": LEVELS, "kinds": KINDS},
                                  "truth": dict.fromkeys(LEVELS, truth), "cells": cells}))


def test_sentences_tell_a_trick_from_its_absence():
    late = list(LEVELS)[1]

    def effect(name, level, kind, part):
        if name == "no joining" and level == late and part == "video":
            return -5 if kind == "plain" else 4
        return 6.0 * (name == "frozen embeddings" and kind == "plain" and part == "text")

    results = made_up(effect)
    figures_of = shares(results)
    assert figures_of[late, "plain", "video", "no joining"] == pytest.approx([75, 76, 77])
    nothing = "makes no difference beyond the seeds' spread"
    assert sentence("no joining", figures_of) == (f"Joining neighbouring sentences helps on plain inputs ({late}: video +5.0) "
                                                  f"and hurts on noisy inputs ({late}: video -4.0).")
    assert sentence("frozen embeddings", figures_of) == (f"Freezing the input embeddings helps on plain inputs (in time: text +6.0; {late}: "
                                                         f"text +6.0) and {nothing} on noisy inputs.")
    assert sentence("random visual rows", figures_of) == f"Starting visual rows from centroids {nothing} on plain inputs and {nothing} on noisy inputs."
    assert ablate.claim(figures_of) == (f"Claim C6, where the cook speaks {late}: joining neighbouring sentences helps on plain inputs and hurts on "
                                        f"noisy ones; sub-sampling 1 to 5 times {nothing} on plain inputs and {nothing} on noisy ones.")
    text = report(results)
    assert text.count("**75.0") == 0 and text.count("**76.0 ± 1.0**") == 1 and text.count("| 81.0 ± 1.0 |") > 50


def test_a_killed_call_goes_on_and_the_report_comes_from_the_file(tmp_path, monkeypatch):
    names = (BASELINE, "no joining", "no sub-sampling", "no speechless videos")
    monkeypatch.setattr(ablate, "ROWS", {name: ROWS[name] for name in names})
    monkeypatch.setattr(ablate, "LEVELS", {"late": (0.5, 0.5)})
    monkeypatch.setattr(ablate, "SEEDS", (0, 1))
    monkeypatch.setattr(ablate, "EVAL_BATCHES", 1)
    monkeypatch.setattr("minivbert.kitchen.unfilmed.HELD_OUT", 40)
    path, tables, cell, done = tmp_path / "results" / "ablations.json", DATA_SAMPLE / "corpus", ablate.run_cell, []

    def until(count):
        def work(job, base):
            if len(done) == count:
                raise KeyboardInterrupt
            done.append(job[:3])
            return cell(job, base)
        monkeypatch.setattr(ablate, "run_cell", work)

    until(3)
    with pytest.raises(KeyboardInterrupt):
        ablate.run(path, tmp_path, tables, SMALL, shows=160)
    before = json.loads(path.read_text())
    assert len(before["cells"]) == 3
    until(8)
    results = ablate.run(path, tmp_path, tables, SMALL, shows=160)
    assert len(done) == len(set(done)) == 8 == len(results["cells"])                # none was trained twice
    assert before["cells"].items() <= results["cells"].items() and results == json.loads(path.read_text())
    for truth in results["truth"].values():
        assert truth["plain"]["video_floor_nats"] < truth["noisy"]["video_floor_nats"] < truth["noisy"]["video_unigram_nats"]
    assert len({results["cells"][key_of(name, "late", 0)]["plain"]["text_nats"] for name in names}) == 4
    assert report(results) == report(json.loads(path.read_text()))
    plot_ablations(ablate.differences(results), tmp_path / "ablations.png")
    assert (tmp_path / "ablations.png").stat().st_size > 10_000
    with pytest.raises(ValueError, match="made with other settings"):
        ablate.run(path, tmp_path, tables, SMALL, shows=161)


def test_bad_input_is_one_sentence(capsys, tmp_path):
    for options, says in ((["--corpus", str(tmp_path)], "no meta.json"), (["--shows", "5"], "5 shows"), (["--steps", "0"], "at least 1")):
        with pytest.raises(SystemExit) as stop:
            ablate.main([*options, "--out", str(tmp_path), "--work", str(tmp_path)])
        said = capsys.readouterr().err.strip()
        assert stop.value.code == 2 and says in said and len(said.splitlines()) == 1


def test_the_report_in_docs_is_that_of_its_file():
    assert report(json.loads((DOCS / "results" / "ablations.json").read_text())) == (DOCS / "ablations.md").read_text()
