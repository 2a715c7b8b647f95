"""Train a VideoBERT: python -m minivbert.train [--preset tiny] [--corpus DIR] [--out DIR] [--steps N] [--seed S] ...

One step draws a batch of each regime (text, video, video-text), adds up the gradients of their weighted losses, clips them and
lets AdamW move. The learning rate warms up linearly and then decays linearly to zero (VideoBERT, section 4.3: Adam,
linear decay). On the way held-out videos are scored, a checkpoint is written, a line goes to history.jsonl. At the end:
summary.json, curves.png, model.safetensors.

`train(config, corpus, device) -> History` is all there is: the command line, the notebooks and the tests call the same function.
On which devices it runs, `device.py` alone knows: a GPU, several processes (torchrun --nproc_per_node 2 -m minivbert.train), or all chips
of a TPU (--device xla, see docs/tpu.md). Where programs are compiled, the gradients of a batch are one, a program a regime and
length, and the optimizers' move is one more: a program a whole step would be one for every *combination* of three lengths.

    >>> history = train(PRESETS["tiny"], Corpus.open("data_sample/corpus"), torch.device("cpu"))     # doctest: +SKIP
"""
import json
import math
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from tqdm import tqdm

from minivbert import checkpoint
from minivbert.baselines import fit_ngrams, unigram_figures
from minivbert.config import PRESETS, to_dict
from minivbert.device import Native, open_device
from minivbert.files import replace_file
from minivbert.floors import floor_figures, oracle_of
from minivbert.model.transformer import count_parameters
from minivbert.model.videobert import VideoBERT
from minivbert.options import Parser, add_options, apply_options, fail
from minivbert.plot import plot_curves
from minivbert.pretraining import objective
from minivbert.pretraining.inputs import REGIMES, Batches
from minivbert.tokens.corpus import Corpus
from minivbert.tokens.hkmeans import Tree


@dataclass
class History:
    """What a run leaves: a dict a log line, the closing figures, the model."""
    lines: list = field(default_factory=list)
    summary: dict = field(default_factory=dict)
    model: VideoBERT | None = None


def build_model(config, corpus):
    """Build the model of a run, seeded by config.train.seed: vocabularies from the corpus, visual rows from its centroids.

    With config.train.init, the text rows, the blocks and their size are a pretrained BERT's; raises ValueError if its vocabulary is
    not the corpus' own.
    """
    c = config.train
    tree = Tree.load(corpus.folder / "tree.npz") if c.centroids and (corpus.folder / "tree.npz").is_file() else None
    if c.init:
        model = VideoBERT.from_bert(c.init, corpus.visual_words, seed=c.seed, frozen_embeddings=config.model.frozen_embeddings)
        if model.config.text_vocab != len(corpus.vocab):
            raise ValueError(f"{c.init}: {model.config.text_vocab} words, but {corpus.folder} has {len(corpus.vocab)}; prepare the corpus "
                             "with --vocab and the vocab.txt of that BERT")
    else:
        model = VideoBERT(replace(config.model, text_vocab=len(corpus.vocab), visual_vocab=corpus.visual_words), seed=c.seed)
    if tree is not None:
        model.init_visual_rows(torch.from_numpy(tree.leaf_centroids), torch.from_numpy(tree.leaf_used),
                               torch.Generator().manual_seed(c.seed))
    return model


def build_optimizers(model, config, device=Native):
    """Build AdamW for everything, or, where `muon_lr` > 0, Muon for the matrices of the blocks and AdamW for the rest.

    Biases, LayerNorms and other vectors are not decayed. The peak learning rate of a group stands in its "peak". device: says how AdamW
    computes there.
    """
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    inner = [p for name, p in trained if config.muon_lr and p.dim() > 1 and name.startswith("encoder.")]
    rest = [p for _, p in trained if all(p is not q for q in inner)]
    groups = [{"params": [p for p in rest if p.dim() > 1], "weight_decay": config.weight_decay},
              {"params": [p for p in rest if p.dim() < 2], "weight_decay": 0.0}]
    optimizers = [torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, config.beta2), **device.adamw)]
    if inner:
        optimizers.append(torch.optim.Muon(inner, lr=config.muon_lr, weight_decay=config.weight_decay))
    for group in groups_of(optimizers):
        group["peak"] = group["lr"]
    return optimizers


def groups_of(optimizers):
    """List the parameter groups of all optimizers."""
    return [group for optimizer in optimizers for group in optimizer.param_groups]


def schedule(step, config):
    """Give the share of the peak learning rate at a step: up over the first `warmup` of the steps, then down to 0, both linear.

    >>> from minivbert.config import TrainConfig
    >>> [round(schedule(s, TrainConfig(steps=10, warmup=0.2)), 2) for s in range(10)]
    [0.5, 1.0, 1.0, 0.88, 0.75, 0.62, 0.5, 0.38, 0.25, 0.12]
    """
    warm = max(1, round(config.warmup * config.steps))
    if step < warm:
        return (step + 1) / warm
    return (config.steps - step) / max(1, config.steps - warm)


def train_step(model, optimizers, batches, share, config, device=None):
    """Take one step on a list of batches at a share of the peak learning rate. device: where the model is, by default a torch device.

    Returns {(regime, part): tensor [nats, count, correct]}, summed over the batches, as the model was before the step; in one of several
    processes, over its own rows.
    """
    device = device or Native(next(model.parameters()).device)
    total = objective.counts(batches)
    weights = dict(zip(REGIMES, config.weights))
    rows = []
    for batch in batches:
        here = device.put(batch)
        with device.program():
            with device.autocast(config.precision):
                parts = objective.forward(model, here)
                loss = objective.weighted_loss(parts, batch.regime, total, weights)
            loss.backward()
            rows.append(rows_of(batch.regime, parts))
    with device.program():
        device.sum_gradients(model)
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        for group in groups_of(optimizers):
            group["lr"] = share * group["peak"]
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    return add_up(rows)


def rows_of(regime, parts):
    """Lay out the parts of one batch: {(regime, part): [nats, count, correct]}."""
    return {(regime, name): torch.stack([part.nats.detach().float(), part.count.float(), part.correct.float()])
            for name, part in parts.items()}


def add_up(rows):
    """Add up a list of {key: tensor}.

    >>> add_up([{"a": 1}, {"a": 2, "b": 3}])
    {'a': 3, 'b': 3}
    """
    out = {}
    for row in rows:
        for key, value in row.items():
            out[key] = out[key] + value if key in out else value
    return out


@torch.no_grad()
def evaluate(model, batches, config, device=None):
    """Score a list of held-out batches; return {(regime, part): tensor [nats, count, correct]}, over all processes. device: see `train_step`."""
    device, rows = device or Native(next(model.parameters()).device), []
    model.eval()
    for batch in batches:
        here = device.put(batch)
        with device.program(), device.autocast(config.precision):
            rows.append(rows_of(batch.regime, objective.forward(model, here)))
    model.train()
    return collect(rows, device)


def collect(rows, device):
    """Read a list of {key: tensor (3,)} off the devices and add it up, over the list and over all processes."""
    own = add_up([{key: value.cpu() for key, value in row.items()} for row in rows])
    return dict(zip(own, device.sum(torch.stack(list(own.values()))))) if own else {}


def figures(seen):
    """Turn sums into figures: {"text_nats", "text_accuracy", "video_nats", ...}, each over all regimes that have the part.

    >>> figures({("text", "text"): torch.tensor([6.0, 3.0, 1.0]), ("video-text", "text"): torch.tensor([2.0, 1.0, 1.0])})
    {'text_nats': 2.0, 'text_accuracy': 0.5}
    """
    out = {}
    for name in objective.PARTS:
        rows = [row for (_, part), row in seen.items() if part == name]
        if rows:
            nats, count, correct = (float(x) for x in sum(rows))
            out |= {f"{name}_nats": nats / max(count, 1.0), f"{name}_accuracy": correct / max(count, 1.0)}
    return out


def held_out_batches(config, corpus):
    """Draw the held-out batches: the same for every run on a corpus, whatever the run's seed."""
    batches = Batches(corpus, corpus.split()[1], replace(config.inputs, rows=(64, 64, 64)), seed=0, training=False)
    return [batches.get(regime, i) for regime in batches.regimes() for i in range(config.train.eval_batches)]


def train(config, corpus, device, out=None, resume=False, progress=False):
    """Train a VideoBERT on a corpus; return its `History`.

    device: torch.device, or what `open_device` gives. out: run folder, or None to write nothing. resume: go on from out/checkpoint.pt.
    progress: show a bar. Raises ValueError for a corpus without held-out or training videos, or for rows that the devices do not divide,
    RunError for a checkpoint that does not fit.
    """
    c = config.train
    training, held_out = corpus.split()
    if not len(training) or not len(held_out):
        raise ValueError(f"{corpus.folder}: {len(training)} training and {len(held_out)} held-out videos; both need at least one")
    device = Native(device) if isinstance(device, torch.device) else device
    device.check_rows(config.inputs.rows)
    device.seed(c.seed)
    model = device.prepare(build_model(config, corpus)).train()
    config = replace(config, model=model.config)
    optimizers = build_optimizers(model, c, device)
    stream = Batches(corpus, training, config.inputs, c.seed)
    held = held_out_batches(config, corpus)
    base = unigram_figures(held, fit_ngrams(stream))
    oracle = oracle_of(corpus, config.inputs)
    if oracle is not None:
        base |= floor_figures(oracle, held)
    first, lines, seconds, tokens = 0, [], 0.0, 0
    if resume:
        first, lines, random = checkpoint.load_checkpoint(out, model, optimizers)
        seconds, tokens = lines[-1]["seconds"], lines[-1]["tokens"]
    elif out and device.is_main:
        Path(out).mkdir(parents=True, exist_ok=True)
        checkpoint.save_config(out, config, corpus.vocab)
    device.settle(model, optimizers)
    if resume:
        device.set_random_state(random)
    rows, clock = [], time.time()
    bar = tqdm(range(first, c.steps), initial=first, total=c.steps, disable=not (progress and device.is_main), unit="step",
               dynamic_ncols=True)
    for step in bar:
        share = schedule(step, c)
        batches = [stream.get(regime, step * c.accumulate + j) for regime in stream.regimes() for j in range(c.accumulate)]
        rows.append(train_step(model, optimizers, batches, share, c, device))
        tokens += sum(int(batch.keep.sum()) for batch in batches)
        done = step + 1
        if done % c.log_every and done != c.steps:
            continue
        seen, rows = collect(rows, device), []
        now = time.time()
        seconds, clock = seconds + now - clock, now
        line = {"step": done, "lr": share * c.lr, "seconds": round(seconds, 3), "tokens": tokens, **figures(seen)}
        if done % c.eval_every == 0 or done == c.steps:
            line |= {f"held_out_{k}": v for k, v in figures(evaluate(model, held, c, device)).items()}
        lines.append(line)
        bar.set_postfix({k.replace("held_out_", "h "): f"{v:.2f}" for k, v in line.items() if "nats" in k}, refresh=False)
        if out and device.is_main:
            write_history(out, lines)
        if out and "held_out_video_nats" in line:
            checkpoint.save_checkpoint(out, model, optimizers, done, lines, device.random_state, device.is_main)
            if device.is_main:
                plot_curves(lines, base, Path(out) / "curves.png")
        clock = time.time()
    summary = {**{k.removeprefix("held_out_"): v for k, v in lines[-1].items() if k.startswith("held_out_")}, **base,
               "seconds": seconds + time.time() - clock, "tokens_per_second": tokens / seconds,
               "parameters": count_parameters(model), **device.about(), "config": to_dict(config)}
    if out:
        checkpoint.save_model(out, model, device.is_main)
    if out and device.is_main:
        replace_file(Path(out) / "summary.json", lambda path: path.write_text(json.dumps(summary, indent=1) + "\n"))
    return History(lines, summary, model.eval())


def write_history(out, lines):
    """Write history.jsonl, a line a log step."""
    replace_file(Path(out) / "history.jsonl", lambda path: path.write_text("".join(json.dumps(x) + "\n" for x in lines)))


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.train", description=__doc__.split("\n")[0])
    parser.add_argument("--preset", choices=PRESETS, default="tiny", help="where the defaults come from; those shown are tiny's")
    parser.add_argument("--corpus", default="data_sample/corpus", help="folder made by minivbert.prepare")
    parser.add_argument("--out", help="run folder (default: runs/PRESET)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, tpu or xla")
    parser.add_argument("--shard", action="store_true", help="split parameters over the devices too (xla)")
    parser.add_argument("--recompute", action="store_true", help="compute blocks anew in the backward pass: less memory, a third more work")
    parser.add_argument("--resume", action="store_true", help="go on from the run folder's checkpoint")
    add_options(parser, PRESETS["tiny"])
    options = parser.parse_args(argv)
    out, device = options.out or f"runs/{options.preset}", None
    try:
        device = open_device(options.device, options.shard, options.recompute)
        config = checkpoint.read_config(out) if options.resume else PRESETS[options.preset]
        config = apply_options(config, options)
        history = train(config, Corpus.open(options.corpus), device, out, options.resume, progress=True)
        if device.is_main:
            print(closing_table(history.summary, out))
    except (ValueError, OSError) as error:
        fail(error)
    finally:
        if device is not None:
            device.close()


def closing_table(summary, out):
    """Lay out the closing table: held-out figures beside the unigram baseline and, where known, the floor."""
    s = summary
    rows = [f"{'held-out videos':<18}{'unigram':>10}{'model':>10}{'floor':>10}{'closed':>10}{'accuracy':>10}{'ceiling':>10}"]
    for name in ("text", "video", "alignment"):
        if f"{name}_nats" in s:
            start, model, floor = s.get(f"{name}_unigram_nats", math.log(2)), s[f"{name}_nats"], s.get(f"{name}_floor_nats")
            known = f"{floor:>10.3f}{(start - model) / (start - floor):>10.1%}" if floor is not None else f"{'-':>10}{'-':>10}"
            ceiling = f"{s[f'{name}_ceiling']:>10.1%}" if floor is not None else f"{'-':>10}"
            rows.append(f"{name + ', nats':<18}{start:>10.3f}{model:>10.3f}{known}{s[f'{name}_accuracy']:>10.1%}{ceiling}")
    rows.append(f"{s['parameters']:,} parameters, {s['seconds']:.0f} s, {s['tokens_per_second']:,.0f} tokens/s; curves: {out}/curves.png")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
