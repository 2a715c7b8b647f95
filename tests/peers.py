"""Import timm, also where its torchvision cannot be had: PyPI's one is built for CUDA and refuses a CPU's torch.

What is compared with timm needs nothing of torchvision's but its names, which timm imports; where torchvision does not
import, empty classes take their place for as long as timm's import lasts. timm is then installed without what it
requires: pip install --no-deps timm. (A torchvision that does not import must not be installed beside transformers,
which stumbles over it.)
"""

import importlib.abc
import importlib.machinery
import re
import sys
import types

import torch


class _Name(type):
    """A class of which every attribute is such a class."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Name(name, (), {})


class _Names(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds torchvision and all modules below it; whatever is imported from them is a `_Name`."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torchvision":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__path__, module.__getattr__ = [], lambda name: _Name.__getattr__(_Name, name)
        return module

    def exec_module(self, module):
        pass


def _forget():
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]


def import_timm():
    """Return the module timm; ImportError if it is not installed."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError, OSError):
        _forget()
        finder = _Names()
        sys.meta_path.insert(0, finder)
        try:
            import timm
        finally:
            sys.meta_path.remove(finder)
            _forget()
        return timm
    import timm

    return timm


def fill(model, std=0.05, seed=0):
    """Fill all weights with N(0, std), LayerNorm's with N(1, std): default initialisations hide bugs."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * std + ("norm" in name and name.endswith("weight")))
    return model


HUGGING_FACE = [  # to timm's names, of transformers 4 and 5
    (r"^(vit|deit)\.", ""),
    (r"^encoder\.layer\.", "layers."),
    (r"^layers\.", "blocks."),
    (r"attention\.attention\.(query|key|value)\.", lambda found: f"attention.{found[1][0]}_proj."),
    (r"attention\.output\.dense\.", "attention.o_proj."),
    (r"attention\.o_proj\.", "attn.proj."),
    (r"intermediate\.dense\.", "mlp.fc1."),
    (r"(\.\d+)\.output\.dense\.", r"\1.mlp.fc2."),
    (r"layernorm_before", "norm1"),
    (r"layernorm_after", "norm2"),
    (r"^layernorm", "norm"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.position_embeddings", "pos_embed"),
    (r"^embeddings\.cls_token", "cls_token"),
    (r"^embeddings\.distillation_token", "dist_token"),
    (r"^(cls_)?classifier\.", "head."),
    (r"^distillation_classifier\.", "head_dist."),
]


def hugging_face_to_timm(tensors):
    """Give a Hugging Face ViT's or DeiT's tensors by timm's names; query, key and value become one, in this order."""
    renamed = {}
    for name, tensor in tensors.items():
        for pattern, new in HUGGING_FACE:
            name = re.sub(pattern, new, name)
        renamed[name] = tensor
    for name in [name for name in renamed if "attention.q_proj" in name]:
        parts = [renamed.pop(name.replace("q_proj", f"{part}_proj")) for part in "qkv"]
        renamed[name.replace("attention.q_proj", "attn.qkv")] = torch.cat(parts)
    return renamed


def assert_same_gradients(ours, their_gradients, tolerance):
    """Compare our gradients with a peer's, by our names, on the scale of each tensor's largest; none may be missing."""
    for name, p in ours.named_parameters():
        assert p.grad is not None and p.grad.any(), f"{name} has no gradient"
        scale = max(1.0, their_gradients[name].abs().max().item())
        torch.testing.assert_close(p.grad / scale, their_gradients[name] / scale, atol=tolerance, rtol=0, msg=name)


def contiguous(tensors):
    """Lay out each tensor by itself, one number after the other, as save_file wants them."""
    return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
