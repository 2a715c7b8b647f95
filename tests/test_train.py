"""The loop learns what can be learned, nothing else, and resumes to the bit."""
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from minivbert import checkpoint
from minivbert.config import Config, InputConfig, ModelConfig, TrainConfig
from minivbert.pretraining import objective
from minivbert.pretraining.inputs import Batches
from minivbert.train import build_model, build_optimizers, figures, train, train_step
from small import VISUAL_WORDS, small_corpus

CPU = torch.device("cpu")
SMALL = Config("tiny", ModelConfig(width=32, layers=2, heads=2, feed_forward=64, max_positions=64, norm="pre", dropout=0.1),
               InputConfig(rows=(8, 8, 8)), TrainConfig(steps=10, lr=3e-3, muon_lr=0.01, log_every=5, eval_every=5, eval_batches=2))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("corpus"))


def step_batches(corpus, config, i=0):
    stream = Batches(corpus, corpus.split()[0], config.inputs, 0)
    return [stream.get(regime, i) for regime in stream.regimes()]


def test_the_first_loss_is_the_logarithm_of_the_vocabulary(corpus):
    seen = {}
    model = build_model(SMALL, corpus).eval()
    for batch in step_batches(corpus, SMALL):
        for name, part in objective.forward(model, batch).items():
            seen.setdefault(name, []).append(part.nats.item() / max(part.count.item(), 1))
    assert np.mean(seen["text"]) == pytest.approx(np.log(len(corpus.vocab)), abs=0.15)
    assert np.mean(seen["video"]) == pytest.approx(np.log(VISUAL_WORDS), abs=0.15)
    assert np.mean(seen["alignment"]) == pytest.approx(np.log(2), abs=0.05)


def overfit(corpus, batches, steps=250):
    config = replace(SMALL, model=replace(SMALL.model, dropout=0.0, width=64))
    model = build_model(config, corpus)
    optimizers = build_optimizers(model, config.train)
    for _ in range(steps):
        seen = train_step(model, optimizers, batches, 1.0, config.train)
    return figures(seen)


def test_one_step_can_be_overfitted(corpus):
    got = overfit(corpus, step_batches(corpus, SMALL))
    assert got["text_nats"] < 0.05 and got["video_nats"] < 0.05 and got["alignment_nats"] < 0.05


def test_shuffled_labels_cannot_be_learned(corpus):
    """Fresh batches whose visual labels are random: no model may do better than chance on them."""
    config = replace(SMALL, model=replace(SMALL.model, dropout=0.0))
    model, stream = build_model(config, corpus), Batches(corpus, corpus.split()[0], config.inputs, 0)
    optimizers, generator = build_optimizers(model, config.train), torch.Generator().manual_seed(0)
    total = torch.zeros(3)
    for i in range(300):
        batch = stream.get("video", i)
        batch = replace(batch, video_label=torch.randint(VISUAL_WORDS, batch.video_label.shape, generator=generator))
        seen = train_step(model, optimizers, [batch], 1.0, config.train)["video", "video"]
        total += seen if i >= 100 else 0
    assert total[1] > 1000 and total[0] / total[1] > np.log(VISUAL_WORDS)


def test_one_batch_of_eight_equals_four_of_two(corpus):
    """Losses are divided by the counts of the step, so cutting a batch changes no gradient."""
    config = replace(SMALL, model=replace(SMALL.model, dropout=0.0), train=replace(SMALL.train, clip=1e9))
    batch = step_batches(corpus, config)[-1]
    parts = [type(batch)(**{k: v[i:i + 2] if isinstance(v, torch.Tensor) else v for k, v in vars(batch).items()})
             for i in range(0, 8, 2)]
    models = []
    for batches in ([batch], parts):
        model = build_model(config, corpus)
        sgd = torch.optim.SGD([{"params": model.parameters(), "peak": 1.0}], 1.0)
        train_step(model, [sgd], batches, 1.0, config.train)
        models.append(model)
    start = build_model(config, corpus)
    moved = 0.0
    for a, b, s in zip(*(m.parameters() for m in (*models, start))):
        assert torch.allclose(a, b, atol=2e-6)
        moved += (a - s).abs().sum().item()
    assert moved > 1


def test_ten_steps_equal_five_and_five_resumed_bitwise(corpus, tmp_path):
    whole = train(SMALL, corpus, CPU, tmp_path / "whole")
    calls = []

    class Killed(Exception):
        pass

    save = checkpoint.save_checkpoint

    def save_then_die(*given):
        save(*given)
        calls.append(given[3])
        raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(checkpoint, "save_checkpoint", save_then_die)
        train(SMALL, corpus, CPU, tmp_path / "parts")
    assert calls == [5]
    parts = train(SMALL, corpus, CPU, tmp_path / "parts", resume=True)
    for (name, a), b in zip(whole.model.state_dict().items(), parts.model.state_dict().values()):
        assert torch.equal(a, b), name
    strip = lambda line: {k: v for k, v in line.items() if k != "seconds"}
    assert [strip(line) for line in parts.lines] == [strip(line) for line in whole.lines]


def test_a_seed_gives_the_same_run_and_another_one_another(corpus):
    run = lambda seed: train(replace(SMALL, train=replace(SMALL.train, seed=seed, steps=5)), corpus, CPU).summary["text_nats"]
    assert run(0) == run(0) != run(1)


def test_what_a_run_leaves(corpus, tmp_path):
    history = train(SMALL, corpus, CPU, tmp_path)
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"config.json", "vocab.txt", "checkpoint.pt", "model.safetensors", "history.jsonl", "summary.json", "curves.png"}
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [5, 10] and lines == history.lines
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert {"text_nats", "video_nats", "text_accuracy", "video_accuracy", "alignment_accuracy", "text_unigram_nats",
            "video_unigram_nats", "seconds", "tokens_per_second", "parameters", "config"} <= set(summary)
    model, config = checkpoint.load_model(tmp_path)
    batch = step_batches(corpus, SMALL)[-1]
    with torch.no_grad():
        assert torch.equal(model.encode(batch.ids, batch.types, batch.keep),
                           history.model.encode(batch.ids, batch.types, batch.keep))


def command(*options):
    return subprocess.run([sys.executable, "-m", "minivbert.train", *map(str, options)], capture_output=True, text=True,
                          env=os.environ | {"OMP_NUM_THREADS": "1"}, cwd=Path(__file__).parent.parent)


def test_killed_in_the_middle_it_goes_on(corpus, tmp_path):
    options = ["--corpus", corpus.folder, "--out", tmp_path / "run", "--width", 32, "--layers", 1, "--rows", 8, 8, 8,
               "--eval-every", 10, "--log-every", 10, "--eval-batches", 1, "--heads", 2]
    process = subprocess.Popen([sys.executable, "-m", "minivbert.train", *map(str, options), "--steps", "100000"],
                               stderr=subprocess.DEVNULL, cwd=Path(__file__).parent.parent)
    deadline = time.time() + 60
    while not (tmp_path / "run" / "checkpoint.pt").exists():
        assert time.time() < deadline and process.poll() is None
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    done = command("--corpus", corpus.folder, "--out", tmp_path / "run", "--resume", "--steps", state["step"] + 10)
    assert done.returncode == 0, done.stderr
    assert "unigram" in done.stdout
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert steps == list(range(10, state["step"] + 11, 10))


@pytest.mark.parametrize("options, says", [
    (["--corpus", "nowhere"], "nowhere: no meta.json"),
    (["--steps", "many"], "--steps: invalid int value"),
    (["--no-such-option"], "--no-such-option"),
    (["--device", "abacus"], "device 'abacus'"),
    (["--resume", "--out", "nowhere"], "nowhere/config.json: not there"),
    (["--steps", "0"], "steps"),
    (["--heads", "5"], "heads"),
])
def test_bad_options_are_one_sentence_and_exit_code_2(options, says, corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command(*(["--corpus", corpus.folder] if "--corpus" not in options else []),
                   *(["--out", tmp_path / "run"] if "--out" not in options else []), *options)
    assert done.returncode == 2 and says in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_a_damaged_checkpoint_is_one_sentence(corpus, tmp_path):
    train(replace(SMALL, train=replace(SMALL.train, steps=5)), corpus, CPU, tmp_path)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(checkpoint.RunError, match="checkpoint.pt: cannot be resumed"):
        train(SMALL, corpus, CPU, tmp_path, resume=True)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(checkpoint.RunError, match="model.safetensors: does not fit"):
        checkpoint.load_model(tmp_path)
