"""BERT's weights by their published names, to and from ours.

VideoBERT starts from a pretrained BERT: its vocabulary is kept, and rows for `[>]` and the visual words are
appended to its table (VideoBERT, section 4.3). What is read is a local folder as the transformers library
writes it: config.json beside model.safetensors or pytorch_model.bin, of a BertModel, BertForMaskedLM or
BertForPreTraining, with or without the prefix `bert.`, with LayerNorm's weight and bias under those names or
under BERT's first ones, gamma and beta.

    ours                      BERT's
    attn.qkv                  attention.self.query, key, value, one above the other
    align                     seq_relationship: next (row 0) minus not next (row 1)

Differs from, or not stated in, the paper: whether the alignment head starts from next sentence prediction is
not stated; here it does, where the file has that head. BERT's two dropout rates become one, that of the
hidden states.

    >>> from minivbert.model.videobert import VideoBERT
    >>> model = VideoBERT.from_bert("bert-base-uncased/", visual_vocab=20736)        # doctest: +SKIP
"""

import json
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file

from minivbert.config import ModelConfig

WHOLE = {
    "token_table": "bert.embeddings.word_embeddings",
    "position_table": "bert.embeddings.position_embeddings",
    "type_table": "bert.embeddings.token_type_embeddings",
    "norm": "bert.embeddings.LayerNorm",
}
BLOCK = {
    "attn.proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
    "norm2": "output.LayerNorm",
}
HEADS = {
    "pooler": "bert.pooler.dense",
    "transform": "cls.predictions.transform.dense",
    "transform_norm": "cls.predictions.transform.LayerNorm",
}
TABLES = ("token_table", "position_table", "type_table")  # have a weight and no bias


def bert_names(layers):
    """Map every one of our tensors but `align` to BERT's names for it, three for qkv: {ours: [theirs]}.

    >>> bert_names(1)["encoder.blocks.0.mlp.fc1.bias"]
    ['bert.encoder.layer.0.intermediate.dense.bias']
    """
    modules = {ours: [theirs] for ours, theirs in (WHOLE | HEADS).items()}
    for i in range(layers):
        modules[f"encoder.blocks.{i}.attn.qkv"] = [
            f"bert.encoder.layer.{i}.attention.self.{x}" for x in ("query", "key", "value")
        ]
        modules |= {
            f"encoder.blocks.{i}.{ours}": [f"bert.encoder.layer.{i}.{theirs}"]
            for ours, theirs in BLOCK.items()
        }
    names = {
        f"{ours}.{part}": [f"{name}.{part}" for name in theirs]
        for ours, theirs in modules.items()
        for part in ("weight", "bias")
        if part == "weight" or ours not in TABLES
    }
    return names | {"bias": ["cls.predictions.bias"]}


def from_bert_names(tensors, layers):
    """Rename BERT's tensors to ours; return (state, names of ours that the tensors do not hold).

    The alignment head is BERT's next minus not next.
    """
    state, absent = {}, []
    for ours, theirs in bert_names(layers).items():
        if all(name in tensors for name in theirs):
            state[ours] = torch.cat([tensors[name] for name in theirs])
        else:
            absent.append(ours)
    for part in ("weight", "bias"):
        pair = tensors.get(f"cls.seq_relationship.{part}")
        if pair is None:
            absent.append(f"align.{part}")
        else:
            state[f"align.{part}"] = pair[:1] - pair[1:]
    return state, absent


def to_bert_names(state, layers):
    """Rename our tensors to BertForPreTraining's, joint table as vocabulary; undoes `from_bert_names`."""
    tensors = {}
    for ours, theirs in bert_names(layers).items():
        tensors |= {name: part.clone() for name, part in zip(theirs, state[ours].chunk(len(theirs)))}
    for part in ("weight", "bias"):
        row = state[f"align.{part}"]
        tensors[f"cls.seq_relationship.{part}"] = torch.cat([row, torch.zeros_like(row)])
    return tensors


def read_bert(folder, visual_vocab):
    """Read a BERT from a local folder; return (its `ModelConfig` with so many visual words, state, absent).

    state: our names, the table and the output bias with text rows only. absent: our names of the heads that
    the file lacks. Raises ValueError, one sentence, if the folder holds no BERT, or one that our post-norm
    encoder is not.
    """
    folder = Path(folder)
    config = model_config(folder / "config.json", visual_vocab)
    paths = [folder / "model.safetensors", folder / "pytorch_model.bin"]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise ValueError(
            f"{folder}: neither model.safetensors nor pytorch_model.bin there; download all files"
        )
    try:
        load = load_file if path.suffix == ".safetensors" else partial(torch.load, weights_only=True)
        read = load(path)
        tensors = {full_name(name): tensor.float() for name, tensor in read.items()}
    except Exception as error:
        raise ValueError(
            f"{path}: cannot be read as weights ({str(error).splitlines()[0]}); download it again"
        ) from error
    if any(name.startswith(f"bert.encoder.layer.{config.layers}.") for name in tensors):
        raise ValueError(
            f"{path}: more layers than the {config.layers} of config.json; the files are of different models"
        )
    state, absent = from_bert_names(tensors, config.layers)
    lost = [name for name in absent if name.split(".")[0] not in (*HEADS, "bias", "align")]
    if lost:
        raise ValueError(
            f"{path}: {bert_names(config.layers)[lost[0]][0]} and {len(lost) - 1} more tensors are missing, "
            "so this is no BERT of the shape in config.json; download both files again"
        )
    return config, state, absent


def full_name(name):
    """Give a tensor's name as in BertForPreTraining today.

    >>> full_name("embeddings.LayerNorm.gamma"), full_name("cls.predictions.bias")
    ('bert.embeddings.LayerNorm.weight', 'cls.predictions.bias')
    """
    if name.endswith((".gamma", ".beta")):
        name = name.replace(".gamma", ".weight").replace(".beta", ".bias")
    return name if name.startswith(("bert.", "cls.")) else f"bert.{name}"


def model_config(path, visual_vocab):
    """Turn BERT's config.json into a `ModelConfig`; raise ValueError if it is not a BERT like ours."""
    try:
        c = dict(json.loads(Path(path).read_text()))
        wanted = {
            "model_type": "bert",
            "hidden_act": "gelu",
            "position_embedding_type": "absolute",
            "type_vocab_size": 2,
        }
        for key, value in wanted.items():
            if c.get(key, value) != value:
                raise ValueError(f"{key} is {c[key]!r}, expected {value!r}; choose a plain BERT")
        return ModelConfig(
            width=c["hidden_size"],
            layers=c["num_hidden_layers"],
            heads=c["num_attention_heads"],
            feed_forward=c["intermediate_size"],
            text_vocab=c["vocab_size"],
            visual_vocab=visual_vocab,
            max_positions=c["max_position_embeddings"],
            norm="post",
            dropout=c.get("hidden_dropout_prob", 0.1),
            eps=c.get("layer_norm_eps", 1e-12),
            init_std=c.get("initializer_range", 0.02),
        )
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be read, so this is no BERT folder; give a folder with config.json and weights"
        ) from error
    except KeyError as error:
        raise ValueError(f"{path}: has no {error}; choose a plain BERT") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
