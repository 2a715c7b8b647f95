"""Two processes take the steps of one; a run survives its workers; what cannot work says so in one sentence."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from minivbert import checkpoint
from minivbert.config import Config, InputConfig, ModelConfig, TrainConfig
from minivbert.device import Native, open_device
from minivbert.model.videobert import VideoBERT
from minivbert.pretraining.inputs import Batches
from minivbert.train import build_optimizers, evaluate, train, train_step
from small import small_corpus

ROOT, CPU = Path(__file__).parent.parent, torch.device("cpu")
MODEL = ModelConfig(width=32, layers=2, heads=2, feed_forward=64, max_positions=64, norm="pre", dropout=0.0)
TRAIN = TrainConfig(steps=20, lr=4e-3, muon_lr=0.02, log_every=1, eval_every=10, eval_batches=1)
OPTIONS = ["--width", 32, "--layers", 2, "--heads", 2, "--feed-forward", 64, "--rows", 8, 8, 8, "--bucket", 16, "--log-every", 1,
           "--eval-every", 10, "--eval-batches", 1, "--precision", "float32"]
NATS = ("text_nats", "video_nats", "alignment_nats")
TORCHRUN = ["-m", "torch.distributed.run", "--nproc_per_node", "2"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("corpus"))


def command(start, corpus, out, *options, env=None):
    return subprocess.run([sys.executable, *start, "-m", "minivbert.train", "--corpus", str(corpus.folder), "--out", str(out),
                           *map(str, options)], capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"} | (env or {}), cwd=ROOT)


def lines_of(run):
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


def largest_difference(one, other):
    assert len(one) == len(other)
    keys = [key for key in one[-1] if key.endswith("_nats")]
    assert len(keys) == 6
    return max(abs(a[key] - b[key]) for a, b in zip(one, other) for key in keys if key in a)


def test_two_processes_take_the_steps_of_one(corpus, tmp_path):
    """Each sees half of the rows, with its own number of masked tokens."""
    for start, name in (([], "one"), (TORCHRUN, "two")):
        done = command(start, corpus, tmp_path / name, *OPTIONS, "--steps", 20)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("held-out videos") == 1
    assert largest_difference(lines_of(tmp_path / "one"), lines_of(tmp_path / "two")) < 1e-4
    assert json.loads((tmp_path / "two" / "summary.json").read_text())["processes"] == 2
    state = torch.load(tmp_path / "two" / "checkpoint.pt", weights_only=True)
    assert state["step"] == 20 and not torch.equal(*state["random"])           # each process draws its own dropout
    one = command([], corpus, tmp_path / "two", "--resume", "--steps", 24)     # and one process goes on with what two have left
    assert one.returncode == 0 and len(lines_of(tmp_path / "two")) == 24, one.stderr


class Half(Native):
    """One of two processes, whose gradients the test adds up."""

    def __init__(self, rank):
        super().__init__("cpu")
        self.rank, self.count, self.gradients = rank, 2, None

    def sum_gradients(self, model):
        self.gradients = [p.grad.clone() for p in model.parameters()]


def test_the_gradients_of_halves_add_up_to_those_of_the_whole(corpus):
    config = Config(model=MODEL, inputs=InputConfig(rows=(8, 8, 8)), train=replace(TRAIN, clip=1e9))
    stream, model = Batches(corpus, corpus.split()[0], config.inputs, 0), None
    batches = [stream.get(regime, 3) for regime in stream.regimes()]
    seen, gradients = [], []
    for device in (Half(0), Half(1), Native("cpu")):
        model = VideoBERT(replace(MODEL, text_vocab=len(corpus.vocab), visual_vocab=corpus.visual_words))
        if not isinstance(device, Half):
            device.sum_gradients = lambda model: gradients.append([p.grad.clone() for p in model.parameters()])
        seen.append(train_step(model, build_optimizers(model, config.train), batches, 1.0, config.train, device))
        if isinstance(device, Half):
            gradients.append(device.gradients)
    for key, whole in seen[2].items():
        assert torch.allclose(seen[0][key] + seen[1][key], whole, rtol=1e-5)
    assert any(seen[0][key][1] != seen[1][key][1] for key in seen[0])
    for one, other, whole in zip(*gradients):
        assert torch.allclose(one + other, whole, atol=1e-6)


def test_recomputed_blocks_change_nothing(corpus):
    config = Config(model=replace(MODEL, dropout=0.1), inputs=InputConfig(rows=(8, 8, 8)), train=replace(TRAIN, steps=3, eval_every=3))
    plain, recomputed = (train(config, corpus, Native("cpu", recompute=recompute)) for recompute in (False, True))
    assert [line["video_nats"] for line in plain.lines] == [line["video_nats"] for line in recomputed.lines]
    for a, b in zip(plain.model.state_dict().values(), recomputed.model.state_dict().values()):
        assert torch.equal(a, b)


def test_evaluation_needs_no_rows_that_divide(corpus):
    config = Config(model=MODEL, inputs=InputConfig(rows=(5, 5, 5)))
    stream = Batches(corpus, corpus.split()[1], config.inputs, 0, training=False)
    batches = [stream.get(regime, 0) for regime in stream.regimes()]
    model = VideoBERT(replace(MODEL, text_vocab=len(corpus.vocab), visual_vocab=corpus.visual_words))
    halves = [Half(0), Half(1)]
    for half in halves:
        half.sum = lambda x: x
    whole, (one, other) = evaluate(model, batches, TRAIN), (evaluate(model, batches, TRAIN, half) for half in halves)
    for key in whole:
        assert torch.allclose(whole[key], one[key] + other[key], rtol=1e-5)


def test_random_states_of_other_devices_are_passed_over():
    device = Native("cpu")
    device.seed(1)
    state = device.random_state()
    first = torch.rand(4)
    device.set_random_state(state)
    assert torch.equal(torch.rand(4), first)
    before = device.random_state()
    for other in (torch.zeros(8, dtype=torch.uint8), torch.stack([state, state])):
        device.set_random_state(other)
        assert torch.equal(device.random_state(), before)


def workers_of(process):
    """List the processes that a process has started."""
    found = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(process.pid)], capture_output=True, text=True).stdout.splitlines()
    return sorted(int(line.split()[0]) for line in found if "minivbert.train" in line)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("ps"), reason="no ps here")
def test_a_worker_that_dies_stops_the_others_and_the_run_goes_on(corpus, tmp_path):
    run = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, *TORCHRUN, "-m", "minivbert.train", "--corpus", str(corpus.folder), "--out", str(run), *map(str, OPTIONS), "--steps", "100000"],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"})
    deadline = time.time() + 120
    while not (run / "checkpoint.pt").exists():
        assert time.time() < deadline and process.poll() is None
        time.sleep(0.05)
    os.kill(workers_of(process)[-1], signal.SIGKILL)
    said = process.communicate(timeout=120)[1]
    assert process.returncode != 0 and "SIGKILL" in said
    step = torch.load(run / "checkpoint.pt", weights_only=True)["step"]
    done = command(TORCHRUN, corpus, run, "--resume", "--steps", step + 10)
    assert done.returncode == 0, done.stderr
    assert [line["step"] for line in lines_of(run)] == list(range(1, step + 11))


def test_a_lost_process_is_one_sentence(monkeypatch):
    def broken(x):
        raise RuntimeError("Connection closed by peer\nand a trace")

    monkeypatch.setattr(torch.distributed, "all_reduce", broken)
    with pytest.raises(ConnectionError, match=r"lost the others \(Connection closed by peer\).*--resume") as stop:
        Half(0)._all_reduce(torch.ones(1))
    assert isinstance(stop.value, OSError)                                     # what the command turns into its sentence


def test_rows_must_divide(corpus):
    config = Config(model=MODEL, inputs=InputConfig(rows=(8, 7, 8)), train=TRAIN)
    with pytest.raises(ValueError, match="7 rows a batch do not divide by 2 devices; choose --rows that are multiples of 2"):
        train(config, corpus, Half(0))


def test_a_checkpoint_of_another_shape_names_what_differs(corpus, tmp_path):
    config = Config(model=MODEL, inputs=InputConfig(rows=(8, 8, 8)), train=replace(TRAIN, steps=2, eval_every=2))
    train(config, corpus, CPU, tmp_path)
    with pytest.raises(checkpoint.RunError, match=r"cannot be resumed \(token_table.weight is \(\d+, 32\) there and \(\d+, 16\) here"):
        train(replace(config, model=replace(MODEL, width=16)), corpus, CPU, tmp_path, resume=True)
    other = small_corpus(tmp_path / "other")
    (other.folder / "vocab.txt").write_text((other.folder / "vocab.txt").read_text() + "aubergine\n")
    with pytest.raises(checkpoint.RunError, match="another shape or vocabulary"):
        train(config, type(other).open(other.folder), CPU, tmp_path, resume=True)


def fake_torch_xla(folder):
    """Make what a torch_xla beside the wrong torch looks like: installed, but its library does not load."""
    (folder / "torch_xla").mkdir(parents=True)
    (folder / "torch_xla" / "__init__.py").write_text("raise ImportError('_XLAC.so: undefined symbol: _ZN5torch4lazy')\n")
    (folder / "torch_xla-2.9.0.dist-info").mkdir()
    (folder / "torch_xla-2.9.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: torch_xla\nVersion: 2.9.0\n")
    return folder


def test_torch_xla_beside_the_wrong_torch_is_one_sentence(corpus, tmp_path):
    done = command([], corpus, tmp_path / "run", "--device", "xla", env={"PYTHONPATH": str(fake_torch_xla(tmp_path / "packages"))})
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert "torch_xla 2.9.0 works with torch 2.9 only" in done.stderr and "undefined symbol" in done.stderr
    assert "requirements-tpu.txt" in done.stderr


@pytest.mark.parametrize("name, sharded, says", [("xla", False, "torch_xla is not installed"), ("tpu", False, "torch_tpu cannot be imported"),
                                                 ("cpu", True, "sharded by torch_xla alone"), ("abacus", False, "expected auto, cpu")])
def test_devices_that_are_not_there_are_one_sentence(name, sharded, says, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_tpu", None)
    if name == "xla" and __import__("importlib.util").util.find_spec("torch_xla"):
        pytest.skip("torch_xla is installed")
    with pytest.raises(ValueError, match=says):
        open_device(name, sharded)
