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


class RunError(ValueError):
    """Say in one sentence what is wrong with a run folder and what to do."""


def save_checkpoint(run, model, optimizers, step, history):
    """Write checkpoint.pt: weights, optimizers' state, the number of steps done, torch's random state, the log so far."""
    state = {"model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizers], "step": step,
             "random": torch.get_rng_state(), "history": history}
    replace_file(Path(run) / "checkpoint.pt", lambda path: torch.save(state, path))


def load_checkpoint(run, model, optimizers):
    """Load checkpoint.pt into model and optimizers; return (steps done, log so far).

    Raises RunError if it is missing, damaged, or of another model.
    """
    path = Path(run) / "checkpoint.pt"
    if not path.is_file():
        raise RunError(f"{path}: not there, so there is nothing to resume; train without --resume")
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        model.load_state_dict(state["model"])
        for optimizer, own in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(own)
        torch.set_rng_state(state["random"])
        return state["step"], state["history"]
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path}: cannot be resumed ({reason}); train without --resume to start anew") from error


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


def save_model(run, model):
    """Write model.safetensors; a tensor that two names share is written once a name."""
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.state_dict().items()}
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
