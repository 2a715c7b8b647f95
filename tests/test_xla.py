"""One train step through torch_xla, on the CPU's virtual devices: the same losses as without it, one program a shape, nothing through the host.

Run where requirements-tpu.txt is installed; elsewhere all of it skips. Each case is a process of its own, for the number of devices
is fixed once a process has opened them.
"""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from minivbert.config import PRESETS
from minivbert.options import apply_options
from minivbert.pretraining.inputs import Batches
from minivbert.train import held_out_batches
from small import small_corpus

pytest.importorskip("torch_xla")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent
SIZES = dict(width=32, layers=2, heads=2, feed_forward=64, rows=(8, 8, 8), bucket=16, log_every=1, eval_every=20, eval_batches=1,
             precision="float32")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("corpus"))


def python(*given, devices=1):
    quick = {"OMP_NUM_THREADS": "1", "PJRT_DEVICE": "CPU", "CPU_NUM_DEVICES": str(devices), "PYTHONPATH": str(ROOT),
             "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    return subprocess.run([sys.executable, *map(str, given)], capture_output=True, text=True, env=os.environ | quick, cwd=ROOT)


def train(corpus, out, *options, devices=1, device="xla", steps=20, **sizes):
    """Run the command; return (lines of the log, summary)."""
    words = [w for name, value in (SIZES | sizes).items()
             for w in (f"--{name.replace('_', '-')}", *(value if isinstance(value, tuple) else (value,)))]
    done = python("-m", "minivbert.train", "--corpus", corpus.folder, "--out", out, "--device", device, "--steps", steps, *words, *options,
                  devices=devices)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(x) for x in (out / "history.jsonl").read_text().splitlines()], json.loads((out / "summary.json").read_text())


def largest_difference(one, other):
    assert len(one) == len(other)
    keys = [key for key in one[-1] if key.endswith("_nats")]
    assert len(keys) == 6
    return max(abs(a[key] - b[key]) for a, b in zip(one, other) for key in keys if key in a)


@pytest.fixture(scope="module")
def runs(corpus, tmp_path_factory):
    """20 steps of `tiny`'s recipe, each way: {name: (folder, lines, summary)}."""
    folder = tmp_path_factory.mktemp("runs")
    ways = {"eager": ((), dict(device="cpu")), "one": ((), {}), "four": ((), dict(devices=4)),
            "sharded": (("--shard", "--recompute"), dict(devices=4))}
    return {name: (folder / name, *train(corpus, folder / name, *options, **how)) for name, (options, how) in ways.items()}


@pytest.mark.parametrize("name", ["one", "four", "sharded"])
def test_losses_are_those_of_eager(runs, name):
    assert largest_difference(runs["eager"][1], runs[name][1]) < 1e-4
    assert runs["eager"][1][0]["video_nats"] != runs["eager"][1][-1]["video_nats"]


def shapes(corpus, steps):
    """Count the shapes of batches that a run of so many steps trains on, and those that it is scored on."""
    config = apply_options(PRESETS["tiny"], type("Given", (), SIZES))
    stream = Batches(corpus, corpus.split()[0], config.inputs, config.train.seed)
    trained = {(regime, stream.get(regime, i).ids.shape) for regime in stream.regimes() for i in range(steps)}
    return len(trained), len({(batch.regime, batch.ids.shape) for batch in held_out_batches(config, corpus)})


@pytest.mark.parametrize("name", ["one", "four", "sharded"])
def test_a_program_a_shape_and_none_after(corpus, runs, name):
    """Besides: one that creates the optimizers' state, one for their move. Nothing but reading numbers goes through the host."""
    trained, scored = shapes(corpus, 20)
    assert trained >= 4
    summary = runs[name][2]
    assert summary["programs"] == trained + scored + 2
    assert set(summary["fallbacks"]) <= {"aten::_local_scalar_dense"} and summary["devices"] == (1 if name == "one" else 4)


def test_what_four_devices_save_one_device_and_eager_go_on_with(corpus, runs, tmp_path):
    whole, gone_on = load_file(runs["sharded"][0] / "model.safetensors"), {}
    for name, how in (("one", {}), ("eager", dict(device="cpu"))):
        shutil.copytree(runs["sharded"][0], tmp_path / name)
        train(corpus, tmp_path / name, "--resume", **how)                                # no step is left: loaded and saved again
        for key, tensor in load_file(tmp_path / name / "model.safetensors").items():
            assert torch.equal(tensor, whole[key]), key
        gone_on[name] = train(corpus, tmp_path / name, "--resume", steps=24, **how)[0]
        assert len(gone_on[name]) == 24
    assert largest_difference(gone_on["one"], gone_on["eager"]) < 1e-4


def test_bfloat16_is_near_float32_and_not_it(corpus, runs, tmp_path):
    lines, _ = train(corpus, tmp_path / "bf16", precision="bf16")
    assert 1e-4 < largest_difference(runs["eager"][1], lines) < 0.1


CASES = """
import torch
from minivbert.device import Xla
from minivbert.config import ModelConfig
from minivbert.model.videobert import VideoBERT
from minivbert.train import build_optimizers
from minivbert.config import TrainConfig
device = Xla()
device.seed(3)
state = device.random_state()
draw = lambda: torch.nn.functional.dropout(torch.ones(64, device=device.device), 0.5).cpu()
first, second = draw(), draw()
device.set_random_state(state)
assert torch.equal(draw(), first) and not torch.equal(first, second), "dropout"
model = device.prepare(VideoBERT(ModelConfig(width=16, layers=1, heads=2, feed_forward=16, text_vocab=9, visual_vocab=4)))
before = {k: v.cpu() for k, v in model.state_dict().items()}
optimizers = build_optimizers(model, TrainConfig(muon_lr=0.01), device)
device.settle(model, optimizers)
assert all(torch.equal(v.cpu(), before[k]) for k, v in model.state_dict().items()), "settling moved the model"
assert all(not x.cpu().any() for o in optimizers for s in o.state.values() for x in s.values()), "state is not zero"
try:
    with device.program():
        float(torch.ones(1, device=device.device).sum())
except RuntimeError as error:
    print("refused:", error)
"""


def test_random_state_settling_and_hidden_reads():
    done = python("-c", CASES)
    assert done.returncode == 0 and "refused:" in done.stdout, done.stderr[-2000:]


def test_rows_that_four_devices_do_not_divide(corpus, tmp_path):
    done = python("-m", "minivbert.train", "--corpus", corpus.folder, "--out", tmp_path, "--device", "xla", "--rows", 8, 6, 8, devices=4)
    assert done.returncode == 2 and "device xla: 6 rows a batch do not divide by 4 devices" in done.stderr and "Traceback" not in done.stderr
