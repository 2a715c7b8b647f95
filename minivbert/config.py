"""Every choice as a frozen dataclass, and the presets: what each promises on which machine.

The command line is generated from these fields (`options.py`): the help of a field is the help of its option.
"""
import difflib
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path


DATA_SAMPLE = Path(__file__).resolve().parent.parent / "data_sample"


def choice(default, help):
    """Declare a field with its help (meaning and unit)."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class ModelConfig:
    """The transformer and its vocabularies."""
    width: int = choice(128, "hidden width D")
    layers: int = choice(4, "transformer blocks")
    heads: int = choice(4, "attention heads H; width must be a multiple")
    feed_forward: int = choice(512, "inner width of the feed-forward layers")
    text_vocab: int = choice(30522, "WordPiece ids Vt; set from the corpus")
    visual_vocab: int = choice(20736, "visual words Vv; set from the corpus")
    max_positions: int = choice(512, "longest input, tokens")
    norm: str = choice("post", "LayerNorm after (post: BERT) or before (pre: ViT) each sub-layer")
    positions: str = choice("row", "numbered along the row (row: BERT) or anew where the video begins (part)")
    dropout: float = choice(0.1, "dropout rate, hidden and attention")
    eps: float = choice(1e-12, "epsilon of LayerNorm")
    init_std: float = choice(0.02, "standard deviation of initial weights")
    frozen_embeddings: bool = choice(False, "keep the input embeddings as initialised")


@dataclass(frozen=True)
class InputConfig:
    """How segments become inputs."""
    rows: tuple = choice((48, 96, 96), "rows a batch for text, video, video-text")
    mask_rate: float = choice(0.15, "share of tokens masked in training")
    eval_mask_rate: float = choice(0.15, "share of tokens masked in evaluation")
    corrupt: bool = choice(True, "BERT's 80/10/10 in training; without it every masked token becomes [MASK], as in evaluation")
    concat: float = choice(0.5, "probability that two neighbouring sentences are joined")
    subsample: int = choice(5, "largest sub-sampling rate of video tokens; 1 turns it off")
    window: int = choice(16, "visual tokens a segment without speech")
    max_text: int = choice(26, "text tokens a row; longer text is cut")
    max_video: int = choice(16, "visual tokens a row; longer video is cut")
    bucket: int = choice(2, "row lengths are rounded up to a multiple of this")


@dataclass(frozen=True)
class TrainConfig:
    """The optimizer, its schedule, and how often to look."""
    steps: int = choice(1500, "optimizer steps")
    lr: float = choice(1e-3, "AdamW's peak learning rate")
    muon_lr: float = choice(0.0, "Muon's peak learning rate for the blocks' matrices; 0: AdamW moves them too")
    warmup: float = choice(0.1, "share of the steps over which the learning rate rises")
    weight_decay: float = choice(0.01, "AdamW's weight decay, on matrices only")
    beta2: float = choice(0.999, "AdamW's second-moment decay")
    clip: float = choice(1.0, "largest norm of the gradient")
    accumulate: int = choice(1, "batches of each regime a step")
    weights: tuple = choice((1.0, 1.0, 1.0), "weight of the losses of text, video, video-text")
    precision: str = choice("float32", "float32, bf16 (autocast), or auto: bf16 where the hardware has it")
    init: str = choice("", "folder of a pretrained BERT to start from; its size replaces the model's, its vocab.txt must be the corpus'")
    seed: int = choice(0, "seed of initialisation, inputs and dropout")
    log_every: int = choice(50, "steps between lines of the log")
    eval_every: int = choice(250, "steps between looks at the held-out videos")
    eval_batches: int = choice(16, "held-out batches a regime")
    centroids: bool = choice(True, "initialise visual words from the cluster centroids")

    def __post_init__(self):
        if self.steps < 1 or self.accumulate < 1 or self.log_every < 1 or self.eval_every < 1:
            raise ValueError(f"steps {self.steps}, accumulate {self.accumulate}, log_every {self.log_every}, eval_every "
                             f"{self.eval_every}: each must be at least 1")


@dataclass(frozen=True)
class Config:
    """A whole run."""
    preset: str = choice("tiny", "where the defaults come from")
    model: ModelConfig = field(default_factory=ModelConfig)
    inputs: InputConfig = field(default_factory=InputConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


PRESETS = {
    # Two CPU cores, at most 5 minutes. Departs from BERT's recipe: pre-norm; two wide layers for four; Muon for the blocks'
    # matrices; 40 % masked, always by [MASK]; positions anew where the video begins; larger initial weights; no dropout (every input is
    # drawn anew); more rows of video-text. docs/log.md has the figure of each.
    "tiny": Config("tiny", ModelConfig(width=192, layers=2, feed_forward=576, norm="pre", positions="part", dropout=0.0,
                                       max_positions=64, init_std=0.05),
                   InputConfig(rows=(16, 64, 176), mask_rate=0.4, corrupt=False),
                   TrainConfig(steps=3200, lr=4e-3, muon_lr=0.02, beta2=0.99, precision="auto", log_every=50, eval_every=800)),
    # The same size by BERT's recipe (Devlin et al. 2018): post-norm, AdamW, 15 % masked, dropout 0.1. Exports as a BERT.
    "bert": Config("bert", ModelConfig(width=192, layers=2, feed_forward=576, max_positions=64), InputConfig(rows=(16, 64, 176)),
                   TrainConfig(steps=3200, eval_every=800)),
    # BERT-base: one GPU, hours. Not run here.
    "base": Config("base", ModelConfig(width=768, layers=12, heads=12, feed_forward=3072),
                   InputConfig(rows=(64, 64, 64), max_text=96, max_video=64, bucket=32), TrainConfig(steps=100_000, lr=1e-4)),
    # VideoBERT, section 4.3: BERT-large, batch 128, learning rate 1e-5, 500,000 iterations; a TPU for days. Not run here.
    "paper": Config("paper", ModelConfig(width=1024, layers=24, heads=16, feed_forward=4096, frozen_embeddings=True),
                    InputConfig(rows=(128, 128, 128), max_text=254, max_video=256, bucket=128),
                    TrainConfig(steps=500_000, lr=1e-5, warmup=0.01, log_every=100, eval_every=10_000)),
}


def from_dict(kind, values):
    """Build a config dataclass from nested dicts; an unknown key raises ValueError and names the closest one.

    >>> from_dict(InputConfig, {"mask_rat": 0.2})
    Traceback (most recent call last):
    ValueError: unknown key 'mask_rat' in InputConfig; did you mean 'mask_rate'?
    """
    known = {f.name: f for f in fields(kind)}
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise ValueError(f"unknown key {key!r} in {kind.__name__}" + (f"; did you mean {near[0]!r}?" if near else ""))
    defaults = kind()
    nested = {key: from_dict(type(getattr(defaults, key)), value) if is_dataclass(getattr(defaults, key))
              else tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return replace(defaults, **nested)


def to_dict(config):
    """Turn a config dataclass into nested dicts."""
    return asdict(config)
