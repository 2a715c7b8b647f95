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


def has_bf16(device):
    """Tell whether a device multiplies bfloat16 matrices in hardware; elsewhere autocast to it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and probe is not None and probe()


def autocast(device, precision):
    """Give the context of a forward pass: nothing for "float32", bfloat16 autocast for "bf16", "auto": bf16 where it is fast.

    Weights, gradients and optimizer stay in float32 either way. Raises ValueError for another name.
    """
    if precision not in ("float32", "bf16", "auto"):
        raise ValueError(f"precision {precision!r}: expected float32, bf16 or auto")
    if precision == "bf16" or precision == "auto" and has_bf16(device):
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()
