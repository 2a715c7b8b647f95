"""ViT's and DeiT's weights by timm's names, which are also those of DeiT's authors, turned into ours.

What is read is one file: model.safetensors as timm publishes it, or a torch file, bare or under "model" or
"state_dict", of a plain ViT: class token, learned positions also for it, pre-norm, no layer scale, no registers.

    ours                              timm's
    patch                             patch_embed.proj, a convolution whose stride is its size
    class_token, distillation_token   cls_token, dist_token
    positions                         pos_embed
    encoder.*                         *
    head, distillation_head           head, head_dist

    >>> from minivbert.vision.vit import ViT
    >>> model = ViT.from_timm("vit_tiny_patch16_224/model.safetensors")        # doctest: +SKIP
"""

from functools import partial
from math import isqrt
from pathlib import Path

import torch
from safetensors.torch import load_file

LOADERS = {1: "ViT", 2: "DeiT"}  # by the number of tokens before the patches


def timm_names(layers, specials):
    """Map each of our tensors to timm's name for it.

    >>> timm_names(layers=1, specials=1)["encoder.blocks.0.mlp.fc1.bias"]
    'blocks.0.mlp.fc1.bias'
    """
    names = {"class_token": "cls_token", "positions": "pos_embed"}
    modules = {"patch": "patch_embed.proj", "encoder.norm": "norm", "head": "head"}
    if specials == 2:
        names["distillation_token"] = "dist_token"
        modules["distillation_head"] = "head_dist"
    for i in range(layers):
        parts = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
        modules |= {f"encoder.blocks.{i}.{part}": f"blocks.{i}.{part}" for part in parts}
    return names | {f"{ours}.{x}": f"{theirs}.{x}" for ours, theirs in modules.items() for x in ("weight", "bias")}


def from_timm_names(tensors, layers, specials):
    """Turn timm's tensors into a state by our names: the convolution becomes a matrix, the tokens vectors."""
    state = {ours: tensors[theirs] for ours, theirs in timm_names(layers, specials).items()}
    state["patch.weight"] = state["patch.weight"].flatten(1)
    state["positions"] = state["positions"].flatten(0, 1)
    for token in ("class_token", "distillation_token")[:specials]:
        state[token] = state[token].flatten()
    return state


def read_timm(path, specials):
    """Read a ViT (specials 1) or a distilled DeiT (specials 2); return (shape, state).

    shape: the fields of `ViTConfig` that can be read off the tensors, all but heads and image. state: float32, by our
    names. Raises ValueError, one sentence, for a file that cannot be read or holds another kind of model.
    """
    path = Path(path)
    tensors = read_tensors(path)
    projection = tensors.get("patch_embed.proj.weight", torch.empty(0))
    if "cls_token" not in tensors or projection.dim() != 4:
        raise ValueError(f"{path}: has no cls_token or no patch_embed.proj.weight, so this is no ViT; choose a ViT of timm's")
    found = 2 if "dist_token" in tensors else 1
    if found != specials:
        raise ValueError(
            f"{path}: has {'a' if found == 2 else 'no'} distillation token; "
            f"load it with {LOADERS[found]}.from_timm, not with {LOADERS[specials]}.from_timm"
        )
    layers = len({name.split(".")[1] for name in tensors if name.startswith("blocks.")})
    names = timm_names(layers, specials)
    missing = [theirs for theirs in names.values() if theirs not in tensors]
    if missing:
        raise ValueError(
            f"{path}: {missing[0]} and {len(missing) - 1} more tensors are missing, so this is no plain {LOADERS[found]} "
            "with its classifier; choose another file"
        )
    extra = sorted(tensors.keys() - set(names.values()))
    if extra:
        raise ValueError(
            f"{path}: holds {extra[0]} and {len(extra) - 1} more tensors that a plain {LOADERS[found]} has not; choose one "
            "without layer scale, registers, mean pooling or other additions"
        )
    width, channels, patch, _ = projection.shape
    shape = dict(
        patch=patch,
        channels=channels,
        width=width,
        layers=layers,
        feed_forward=len(tensors["blocks.0.mlp.fc1.bias"]),
        classes=len(tensors["head.bias"]),
    )
    return shape, from_timm_names(tensors, layers, specials)


def square_image(path, shape, state, specials):
    """Tell the (height, width) [pixels] of the square image that the positions are for; ValueError if there is none."""
    P = len(state["positions"]) - specials
    side = isqrt(max(P, 0))
    if side**2 != P:
        raise ValueError(f"{path}: has positions for {P} patches, which make no square image; give the configuration too")
    return side * shape["patch"], side * shape["patch"]


def read_tensors(path):
    """Read the tensors of a safetensors or torch file by name; ValueError if it cannot be read as such."""
    try:
        load = load_file if path.suffix == ".safetensors" else partial(torch.load, map_location="cpu", weights_only=True)
        read = load(path)
        read = read.get("model", read.get("state_dict", read))
        return {name: tensor.float() for name, tensor in read.items() if isinstance(tensor, torch.Tensor)}
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path}: cannot be read as weights ({reason}); download it again") from error
