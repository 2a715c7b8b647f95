"""Where the model runs."""
import contextlib

import torch


def pick_device(name):
    """Turn "auto", "cpu" or "cuda" into a torch.device; "auto" takes CUDA where there is one.

    Raises ValueError for another name, or for CUDA where there is none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device {name!r}: expected auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda: this torch sees no CUDA device; use --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def autocast(device, precision):
    """Give the context of a forward pass: nothing for "float32", bfloat16 autocast for "bf16"."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()
