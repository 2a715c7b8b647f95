"""Save and resume a training run; read a finished one back.

A run folder holds config.json, vocab.txt, checkpoint.pt (everything that resuming needs), model.safetensors (weights alone, at
the end), history.jsonl, summary.json, curves.png. Every file is written beside its place and renamed; checkpoint.pt is read with
`weights_only=True`, so that opening somebody else's run never runs their code.
"""
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from minivbert.config import Config, from_dict, to_dict
from minivbert.files import replace_file
from minivbert.model.videobert import VideoBERT


KERNELS = ("fused", "foreach", "capturable")        # how an optimizer computes: the device's own affair, not the checkpoint's


class RunError(ValueError):
    """Say in one sentence what is wrong with a run folder and what to do."""


def on_cpu(state):
    """Bring every tensor of nested dicts and lists to the CPU.

    >>> on_cpu({"a": [torch.ones(1), "b"]})
    {'a': [tensor([1.]), 'b']}
    """
    if isinstance(state, dict):
        return {key: on_cpu(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(on_cpu(value) for value in state)
    return state.cpu() if isinstance(state, torch.Tensor) else state


def save_checkpoint(run, model, optimizers, step, history, get_random=torch.get_rng_state, write=True):
    """Write checkpoint.pt: weights, optimizers' state, the number of steps done, the random state, the log so far.

    get_random: gives the random state. write: False where another process writes the file; gathering the tensors takes all of them.
    """
    state = on_cpu({"model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizers]})
    state |= {"step": step, "random": get_random(), "history": history}
    if write:
        replace_file(Path(run) / "checkpoint.pt", lambda path: torch.save(state, path))


def load_checkpoint(run, model, optimizers):
    """Load checkpoint.pt into model and optimizers, whichever device they are on; return (steps done, log so far, random state).

    Raises RunError if it is missing, damaged, or of another model.
    """
    path = Path(run) / "checkpoint.pt"
    if not path.is_file():
        raise RunError(f"{path}: not there, so there is nothing to resume; train without --resume")
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        check_shapes(state["model"], model.state_dict())
        model.load_state_dict(state["model"])
        for optimizer, own in zip(optimizers, state["optimizers"], strict=True):
            for group, here in zip(own["param_groups"], optimizer.param_groups):
                group.update({key: here[key] for key in KERNELS if key in here})
            optimizer.load_state_dict(own)
        return state["step"], state["history"], state["random"]
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path}: cannot be resumed ({reason}); train without --resume to start anew") from error


def check_shapes(stored, own):
    """Raise ValueError, naming the first tensor that differs, unless two state dicts have the same names and shapes."""
    for name in [*own, *stored]:
        there, here = (tuple(s[name].shape) if name in s else "missing" for s in (stored, own))
        if there != here:
            raise ValueError(f"{name} is {there} there and {here} here, so it is of another shape or vocabulary")


def save_config(run, config, vocab):
    """Write config.json and vocab.txt."""
    run = Path(run)
    replace_file(run / "config.json", lambda path: path.write_text(json.dumps(to_dict(config), indent=1) + "\n"))
    vocab.write(run / "vocab.txt")


def read_config(run):
    """Read config.json of a run; raise RunError if it is missing or not a config."""
    path = Path(run) / "config.json"
    if not path.is_file():
        raise RunError(f"{path}: not there, so {run} is no training run; make one with: python -m minivbert.train --out {run}")
    try:
        return from_dict(Config, json.loads(path.read_text()))
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path}: not a config ({error}); train again") from error


def save_model(run, model, write=True):
    """Write model.safetensors; a tensor that two names share is written once a name. write: see `save_checkpoint`."""
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.state_dict().items()}
    if write:
        replace_file(Path(run) / "model.safetensors", lambda path: save_file(tensors, path))


def load_model(run):
    """Open a finished run: return (model in eval mode, config)."""
    config, path = read_config(run), Path(run) / "model.safetensors"
    if not path.is_file():
        raise RunError(f"{path}: not there, so the run has not finished; resume it with: "
                       f"python -m minivbert.train --out {run} --resume")
    model = VideoBERT(config.model)
    try:
        model.load_state_dict(load_file(path))
    except Exception as error:
        raise RunError(f"{path}: does not fit config.json ({str(error).splitlines()[0]}); train again") from error
    return model.eval(), config
