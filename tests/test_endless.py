"""A run that never comes to a second epoch: enough shows, a floor under held-out ones, a killed call goes on."""
import json
from dataclasses import replace

import pytest
import torch

from minivbert import checkpoint, endless
from minivbert.config import DATA_SAMPLE, PRESETS
from minivbert.endless import shows_for
from minivbert.kitchen.recipes import World
from minivbert.kitchen.unfilmed import draw_corpus
from minivbert.pretraining.inputs import Batches
from minivbert.tokens.corpus import Corpus

TABLES = DATA_SAMPLE / "corpus"
TINY, CPU = PRESETS["tiny"], torch.device("cpu")
SMALL = replace(TINY, model=replace(TINY.model, width=16, layers=1, heads=1, feed_forward=16), inputs=replace(TINY.inputs, rows=(4, 4, 8)),
                train=replace(TINY.train, steps=6, eval_every=3, log_every=3, eval_batches=1, precision="float32"))


def test_no_regime_comes_to_its_second_epoch(tmp_path):
    for rows in ((4, 40, 4), (30, 4, 30)):                            # more windows than sentences, and the other way round
        config = replace(SMALL, inputs=replace(SMALL.inputs, rows=rows), train=replace(SMALL.train, steps=120))
        source = Corpus.open(TABLES)
        corpus = draw_corpus(tmp_path / str(rows[0]), World(lags=tuple(source.meta["lags"])), shows_for(config, source), 200, TABLES)
        stream = Batches(corpus, corpus.split()[0], config.inputs, 0)
        text, video, both = rows
        drawn = 120 * (text + both) * 0.5, 120 * (text + both) * 0.5, 120 * video
        there = len(stream.segments[0]), len(stream.segments[1]), len(stream.windows)
        assert min(n / wanted for n, wanted in zip(there, drawn)) == pytest.approx(1.0, abs=0.1)


def test_a_killed_run_goes_on(tmp_path, monkeypatch):
    for module in (endless, endless.draw_corpus.__globals__):
        (monkeypatch.setitem if isinstance(module, dict) else monkeypatch.setattr)(module, "HELD_OUT", 60)
    whole, corpus = endless.endless(SMALL, tmp_path / "whole", TABLES, CPU)
    assert whole.summary["video_floor_nats"] < whole.summary["video_nats"] and len(corpus.split()[1]) == 60

    save = checkpoint.save_checkpoint

    def save_then_die(*given):
        save(*given)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoint, "save_checkpoint", save_then_die)
        endless.endless(SMALL, tmp_path / "parts", TABLES, CPU)
    parts, _ = endless.endless(SMALL, tmp_path / "parts", TABLES, CPU)
    strip = lambda lines: [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
    assert strip(parts.lines) == strip(whole.lines)
    with pytest.raises(ValueError, match="trained with other options"):
        endless.endless(replace(SMALL, train=replace(SMALL.train, lr=1e-4)), tmp_path / "parts", TABLES, CPU)


def test_the_command_leaves_its_history(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(endless.draw_corpus.__globals__, "HELD_OUT", 60)
    options = ["--steps", 4, "--width", 16, "--layers", 1, "--heads", 1, "--feed-forward", 16, "--rows", 4, 4, 4, "--eval-batches", 1,
               "--workers", 1, "--out", tmp_path / "run", "--results", tmp_path / "docs" / "endless.json"]
    endless.main([str(x) for x in options])
    results = json.loads((tmp_path / "docs" / "endless.json").read_text())
    assert [line["step"] for line in results["history"]] == [4] and results["shows"] > 60
    gap = results["summary"]["video_nats"] - results["summary"]["video_floor_nats"]
    assert f"video: {gap:.3f} nats above the floor (bar 0.05: not reached)" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        endless.main(["--corpus", str(tmp_path), "--out", str(tmp_path / "other")])
    said = capsys.readouterr().err.strip()
    assert stop.value.code == 2 and "no meta.json" in said and len(said.splitlines()) == 1
