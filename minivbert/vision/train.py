"""Train a network on images: python -m minivbert.vision.train --model vit|deit|convnet --data shapes|kitchen|fashion-mnist|FOLDER ...

One step draws a batch, changes it (affine, erasing, Mixup or CutMix, as asked for), and lets AdamW move; the learning rate warms up
linearly and then falls as a cosine. A DeiT learns from a teacher as well, which sees the same changed images; it is the run given with
--teacher, or else a ConvNet trained first, by the same options. At the end: summary.json, curves.png, confusion.png, model.safetensors.

Every step's batch and changes come from a generator grown from (seed, step), so that a run that was killed and is resumed takes the very
steps it would have taken.

Axes: N images, B a batch of them, C channels, H height, W width, K classes.

Not stated in the papers, our choice: sizes and learning rates; no dropout, no label smoothing.

    >>> history = train(PRESETS["vit"], *open_data("shapes", count=500))                     # doctest: +SKIP
"""
import json
import time
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from minivbert.checkpoint import load_checkpoint, save_checkpoint
from minivbert.config import choice, from_dict, to_dict
from minivbert.device import pick_device
from minivbert.files import replace_file
from minivbert.model.transformer import count_parameters
from minivbert.options import Parser, add_options, apply_options, fail
from minivbert.vision.augment import affine, erase, mix
from minivbert.vision.data import open_data
from minivbert.vision.deit import ask_teacher, distillation_loss
from minivbert.vision.network import MODELS, Classifier, NetworkConfig
from minivbert.vision.pictures import plot_confusion, plot_training


@dataclass(frozen=True)
class TrainingConfig:
    """The optimizer, its schedule, what is done to images, the teacher."""
    steps: int = choice(1500, "optimizer steps")
    batch: int = choice(64, "images a step")
    lr: float = choice(2e-3, "AdamW's peak learning rate")
    weight_decay: float = choice(0.05, "AdamW's weight decay, on matrices only")
    warmup: float = choice(0.1, "share of the steps over which the learning rate rises")
    clip: float = choice(1.0, "largest norm of the gradient")
    affine: bool = choice(True, "turn, scale and shift images")
    mix: bool = choice(False, "mix images in pairs, by Mixup or CutMix")
    erase: float = choice(0.0, "share of images in which a box is erased")
    distillation: str = choice("hard", "a DeiT's second target: the teacher's label (hard) or its probabilities (soft)")
    tau: float = choice(3.0, "temperature of soft distillation")
    lam: float = choice(0.1, "weight of soft distillation")
    unlabelled: float = choice(0.0, "share of a DeiT's batch that only the teacher labels")
    seed: int = choice(0, "seed of initialisation, batches and changes")
    log_every: int = choice(50, "steps between lines of the log")
    eval_every: int = choice(250, "steps between looks at the held-out images")

    def __post_init__(self):
        if min(self.steps, self.batch, self.log_every, self.eval_every) < 1:
            raise ValueError(f"steps {self.steps}, batch {self.batch}, log_every {self.log_every}, eval_every {self.eval_every}: each must "
                             "be at least 1")


@dataclass(frozen=True)
class VisionConfig:
    """A whole run."""
    model: str = "vit"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


PRESETS = {
    "vit": VisionConfig("vit"),
    "deit": VisionConfig("deit"),
    "convnet": VisionConfig("convnet", training=TrainingConfig(lr=1e-2)),
}


@dataclass
class History:
    """What a run leaves: a dict a log line, the closing figures, the network with its classes."""
    lines: list = field(default_factory=list)
    summary: dict = field(default_factory=dict)
    classifier: Classifier | None = None


@lru_cache(maxsize=4)
def _epoch(seed, count, epoch):
    return np.random.default_rng([seed, 5, epoch]).permutation(count)


def rows_of(step, batch, count, seed):
    """Give the rows of a step's batch: all images in a new order each epoch, batch after batch, over the seams of epochs.

    >>> np.sort(np.concatenate([rows_of(step, 4, 10, seed=0) for step in range(5)])).tolist() == sorted([*range(10)] * 2)
    True
    """
    epochs, at = np.divmod(np.arange(step * batch, (step + 1) * batch), count)
    return np.array([_epoch(seed, count, int(e))[i] for e, i in zip(epochs, at)], np.int64)


def share_of_peak(step, config):
    """Give the share of the peak learning rate: linearly up over `warmup` of the steps, then down to 0 as half a cosine.

    >>> [round(share_of_peak(s, TrainingConfig(steps=5, warmup=0.2)), 2) for s in range(5)]
    [1.0, 1.0, 0.85, 0.5, 0.15]
    """
    warm = max(1, round(config.warmup * config.steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 + 0.5 * float(np.cos(np.pi * (step - warm) / max(1, config.steps - warm)))


def build_optimizer(network, config):
    """Build AdamW; biases, norms and other vectors are not decayed."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups = [{"params": [p for p in parameters if p.dim() > 1], "weight_decay": config.weight_decay},
              {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.lr, fused=True)


def draw_batch(classifier, images, unlabelled, step, config):
    """Draw the batch of a step, changed as asked for: images (B, C, H, W) float32, targets (B, K) float32.

    The last `unlabelled` share of the rows comes from the images of that name; their targets are all 0, so that they add nothing to a
    cross-entropy.
    """
    c, rng = config, np.random.default_rng([config.seed, 4, step])
    strangers = round(c.unlabelled * c.batch)
    rows = rows_of(step, c.batch - strangers, len(images), c.seed)
    pixels_BHWC, K = images.pixels_NHWC[rows], len(images.names)
    target_BK = np.zeros((c.batch, K), np.float32)
    target_BK[np.arange(len(rows)), images.label_N[rows]] = 1
    if strangers:
        pixels_BHWC = np.concatenate([pixels_BHWC, unlabelled.pixels_NHWC[rows_of(step, strangers, len(unlabelled), c.seed)]])
    x_BCHW = classifier.scaled(pixels_BHWC)
    target_BK = torch.from_numpy(target_BK).to(x_BCHW.device)
    if c.affine:
        x_BCHW = affine(x_BCHW, rng)
    if c.erase:
        x_BCHW = erase(x_BCHW, rng, c.erase)
    if c.mix:
        x_BCHW, target_BK = mix(x_BCHW, target_BK, rng)
    return x_BCHW, target_BK


def train_step(classifier, optimizer, x_BCHW, target_BK, teacher, share, config):
    """Take one step at a share of the peak learning rate; return (loss [nats], images whose class was guessed), before the step."""
    network = classifier.network
    if teacher is None:
        logits_BK = network(x_BCHW)
        loss = F.cross_entropy(logits_BK, target_BK)
    else:
        logits_BK, distillation_BK = network(x_BCHW)
        asked_BK = ask_teacher(teacher.network, teacher.rescaled(x_BCHW, classifier))
        loss = distillation_loss(logits_BK, distillation_BK, asked_BK, target_BK, config.distillation, config.tau, config.lam)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip)
    for group in optimizer.param_groups:
        group["lr"] = share * config.lr
    optimizer.step()
    return loss.item(), int((logits_BK.argmax(1) == target_BK.argmax(1)).sum())


def evaluate(classifier, images):
    """Score held-out images: (accuracy, loss [nats an image], confusion (K, K) int: rows the truth, columns the guess)."""
    logits_NK, K = classifier.logits(images.pixels_NHWC), len(images.names)
    log_NK = logits_NK - np.logaddexp.reduce(logits_NK, axis=1, keepdims=True)
    confusion_KK = np.zeros((K, K), int)
    np.add.at(confusion_KK, (images.label_N, logits_NK.argmax(1)), 1)
    return float(np.trace(confusion_KK) / len(images)), float(-log_NK[np.arange(len(images)), images.label_N].mean()), confusion_KK


def train(config, images, held_out, out=None, teacher=None, unlabelled=None, start=None, device=torch.device("cpu"), resume=False,
          progress=False):
    """Train a network on `Images`; return its `History`.

    teacher: the `Classifier` that a DeiT learns from (a DeiT without one raises ValueError). unlabelled: `Images` for
    `config.training.unlabelled`. start: a `Classifier` to go on from, changed in place, instead of a new one. out: run folder, or None to
    write nothing. resume: go on from out/checkpoint.pt. Raises ValueError for images, teacher or run that do not fit.
    """
    c = config.training
    if (config.model == "deit") != (teacher is not None):
        raise ValueError(f"model {config.model!r} with{'' if teacher else 'out'} a teacher: a deit needs one, others take none")
    if teacher is not None:
        teacher.check_fits(images, "the teacher")
    classifier = start or Classifier.new(config.model, config.network, images, c.seed)
    classifier.check_fits(images, "the network to start from")
    network = classifier.network.to(device).train()
    optimizer = build_optimizer(network, c)
    first, lines, seconds = 0, [], 0.0
    if resume:
        _check_resumed(out, config, classifier)
        first, lines, random = load_checkpoint(out, network, [optimizer])
        torch.set_rng_state(random)
        seconds = lines[-1]["seconds"]
    elif out:
        Path(out).mkdir(parents=True, exist_ok=True)
        write_json(Path(out) / "config.json", {"config": to_dict(config), "classifier": classifier.about()})
    loss, right, since, clock = 0.0, 0, first, time.time()
    bar = tqdm(range(first, c.steps), initial=first, total=c.steps, disable=not progress, unit="step", dynamic_ncols=True)
    for step in bar:
        share = share_of_peak(step, c)
        x_BCHW, target_BK = draw_batch(classifier, images, unlabelled, step, c)
        step_loss, step_right = train_step(classifier, optimizer, x_BCHW, target_BK, teacher, share, c)
        loss, right, done = loss + step_loss, right + step_right, step + 1
        look = done % c.eval_every == 0 or done == c.steps
        if not look and done % c.log_every:
            continue
        now = time.time()
        seconds, clock = seconds + now - clock, now
        labelled = (c.batch - round(c.unlabelled * c.batch)) * (done - since)
        line = {"step": done, "lr": share * c.lr, "seconds": round(seconds, 3), "loss": loss / (done - since),
                "accuracy": right / max(labelled, 1)}
        loss, right, since = 0.0, 0, done
        if look:
            line["held_out_accuracy"], line["held_out_loss"], confusion_KK = evaluate(classifier, held_out)
            bar.set_postfix(held_out=f"{line['held_out_accuracy']:.1%}", refresh=False)
        lines.append(line)
        if out:
            replace_file(Path(out) / "history.jsonl", lambda path: path.write_text("".join(json.dumps(x) + "\n" for x in lines)))
            if look:
                save_checkpoint(out, network, [optimizer], done, lines)
                plot_training(lines, 1 / len(images.names), Path(out) / "curves.png")
        clock = time.time()
    summary = {"model": config.model, "held_out_accuracy": lines[-1]["held_out_accuracy"], "held_out_loss": lines[-1]["held_out_loss"],
               "most_frequent_class": float(np.bincount(held_out.label_N).max() / len(held_out)), "images": len(images),
               "held_out_images": len(held_out), "classes": len(images.names), "seconds": seconds, "images_per_second":
               c.steps * c.batch / max(seconds, 1e-9), "parameters": count_parameters(network), "config": to_dict(config)}
    network.eval()
    if out:
        plot_confusion(confusion_KK, held_out.names, Path(out) / "confusion.png")
        classifier.save(Path(out) / "model.safetensors")
        write_json(Path(out) / "summary.json", summary)
    return History(lines, summary, classifier)


def write_json(path, values):
    """Write values as json, beside the path and then renamed."""
    replace_file(path, lambda temporary: temporary.write_text(json.dumps(values, indent=1) + "\n"))


def read_config(out):
    """Read what a run was started with: (VisionConfig, what its classifier is); raise ValueError if it is no such run."""
    path = Path(out) / "config.json"
    try:
        stored = json.loads(path.read_text())
        return from_dict(VisionConfig, stored["config"]), stored["classifier"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not the config of a vision run ({error}), so there is nothing to resume; train without --resume") from error


def _check_resumed(out, config, classifier):
    """Raise ValueError, naming the first thing that differs, unless a run was started with this network and on such images."""
    stored, about = read_config(out)
    asked = {"model": config.model, **to_dict(config.network)}
    for key, had in {"model": stored.model, **to_dict(stored.network)}.items():
        if asked[key] != had:
            raise ValueError(f"{out}: was trained with {key.replace('_', ' ')} {had}, not {asked[key]}; resume it as it was, or train "
                             "without --resume")
    if json.loads(json.dumps(classifier.about())) != about:
        raise ValueError(f"{out}: was trained on other images ({len(about['names'])} classes, {about['image'][0]} x {about['image'][1]} "
                         "pixels); give the same --data, --count and --seed, or train without --resume")


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.vision.train", description=__doc__.split("\n")[0])
    parser.add_argument("--model", choices=MODELS, default="vit", help="vit, deit (learns from a teacher as well) or convnet")
    parser.add_argument("--data", default="shapes", help="shapes, kitchen, fashion-mnist (Debian's package), a folder of Fashion-MNIST's "
                        "files, or a folder that holds a folder of images a class")
    parser.add_argument("--count", type=int, default=0, help="training images (0: all; 8,000 where they are drawn)")
    parser.add_argument("--teacher", help="run of a trained network for a deit (left out: a convnet is trained first)")
    parser.add_argument("--out", help="run folder (default: runs/vision-MODEL)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--resume", action="store_true", help="go on from the run folder's checkpoint")
    add_options(parser, PRESETS["vit"])
    o = parser.parse_args(argv)
    out = Path(o.out or f"runs/vision-{o.model}")
    try:
        start = replace(read_config(out)[0], model=o.model) if o.resume else PRESETS[o.model]
        config, device = apply_options(start, o), pick_device(o.device)
        if o.teacher and o.model != "deit":
            raise ValueError(f"--teacher is for --model deit only, not for {o.model}; leave it out")
        images, held_out = open_data(o.data, o.count, config.training.seed)
        Classifier.new(o.model, config.network, images)          # what does not fit fails before a teacher is trained
        teacher = None
        if o.model == "deit":
            teacher = Classifier.load(o.teacher) if o.teacher else _own_teacher(o, config, images, held_out, out, device)
            teacher.network.to(device)
        history = train(config, images, held_out, out, teacher, device=device, resume=o.resume, progress=True)
    except (ValueError, OSError) as error:
        fail(error)
    print(closing_lines(history.summary, out))


def _own_teacher(options, config, images, held_out, out, device):
    """Train the ConvNet that a DeiT learns from, in the folder `teacher` of its run, or take the one that is there on resuming."""
    if options.resume and (out / "teacher" / "model.safetensors").is_file():
        return Classifier.load(out / "teacher")
    own = VisionConfig("convnet", config.network, replace(config.training, lr=PRESETS["convnet"].training.lr))
    return train(own, images, held_out, out / "teacher", device=device, progress=True).classifier


def closing_lines(summary, out):
    """Lay out what a run came to."""
    s = summary
    return (f"{s['model']}: {s['held_out_accuracy']:.1%} of {s['held_out_images']:,} held-out images right (always the commonest of "
            f"{s['classes']} classes: {s['most_frequent_class']:.1%})\n{s['images']:,} training images, {s['parameters']:,} parameters, "
            f"{s['seconds']:.0f} s, {s['images_per_second']:,.0f} images/s; curves: {out}/curves.png, confusion: {out}/confusion.png")


if __name__ == "__main__":
    main()
