"""Work out what a run costs before it starts: python -m minivbert.plan --preset paper --chips v5e-4

Parameters, floating-point operations a step, memory a chip, days at a stated share of the chips' peak (MFU); on paper, nothing is run.

    forward, one batch     (L - 1) B T (8 d^2 + 4 d f + 4 T d)                          blocks: qkv and proj, feed-forward, attention
                           + B T 4 d^2 + B R (4 d^2 + 4 d f + 4 T d)                    the last block, at R = 1 + Mt + Mv positions
                           + B Mt (2 d^2 + 2 d Vt) + B Mv (2 d^2 + 2 d Vv)              cloze, at the masked slots
                           + B (2 d^2 + 2 d)                                            alignment, where the regime has it
    training               3 times that: the backward pass costs two; 2 times for a frozen table's 2 d V; 4 times for recomputed blocks
    Muon, a matrix m x n   5 (4 m^2 n + 2 m^3), m <= n; AdamW is not counted
    days                   FLOPs a step * steps / (chips * peak * MFU) / 86,400

    weights, moments       4 N + (4 + 8) trained bytes, Muon's matrices 4 less; over the chips if sharded
    activations, a block   34 T b d + 5 H T^2 b bytes in bfloat16 (Korthikanti et al. 2022, arXiv 2205.05198, section 4.1: 34 with f = 4 d,
                           16 of it for the feed-forward), b = B / chips rows; recomputed: 2 T b d, and one block whole
    logits                 8 b (Mt Vt + Mv Vv): scores and their gradient in float32

Axes: B rows, T tokens, R positions wanted, M masked slots, d width, f feed-forward width, L blocks, H heads, V vocabulary, N parameters.

Lengths are the longest that the preset allows, so the figures are upper bounds. Peaks and memory of the chips are the maker's; MFU is what
others report, 40 to 50 % (docs/tpu.md): no TPU has been timed here.

    >>> chips("v5e-4"), chips("v4-8")                 # v4 and v5p are named by their cores, two a chip
    ((4, 197000000000000.0, 16), (4, 275000000000000.0, 32))
"""
import re

from minivbert.config import PRESETS
from minivbert.device import check_rows
from minivbert.options import Parser, add_options, apply_options, fail
from minivbert.pretraining.inputs import REGIMES
from minivbert.pretraining.masking import slots

CHIPS = {"v4": (2, 275e12, 32), "v5e": (1, 197e12, 16), "v5p": (2, 459e12, 95), "v6e": (1, 918e12, 32)}   # cores, bf16 FLOP/s, GB
MFU = (0.40, 0.45, 0.50)
NEWTON_SCHULZ = 5


def chips(name):
    """Read "v5e-4": (chips, peak FLOP/s of one in bfloat16, its memory in GB); ValueError for a kind or number that is not known."""
    found = re.fullmatch(r"(v\d\w?)-(\d+)", name)
    if not found or found[1] not in CHIPS or int(found[2]) % CHIPS[found[1]][0] or not int(found[2]):
        raise ValueError(f"chips {name!r}: expected a kind and a size such as v5e-4 or v4-8; kinds: {', '.join(CHIPS)}")
    cores, peak, memory = CHIPS[found[1]]
    return int(found[2]) // cores, peak, memory


def parameters(c):
    """Count the parameters of a `ModelConfig`: (all, those in the blocks' matrices)."""
    d, f, V = c.width, c.feed_forward, c.text_vocab + 1 + c.visual_vocab
    inner = c.layers * (4 * d * d + 2 * d * f)
    vectors = c.layers * (9 * d + f) + 2 * d * (c.norm == "pre")
    tables = (V + c.max_positions + 2) * d + 2 * d
    heads = d * d + 3 * d + V + d * d + d + d + 1
    return inner + vectors + tables + heads, inner


def lengths(config):
    """Give the longest row of each regime, as `Batches` rounds it: {regime: T}."""
    c = config.inputs
    longest = {"text": 2 + c.max_text, "video": 3 + c.window, "video-text": 3 + c.max_text + c.max_video}
    return {regime: min(-(-T // c.bucket) * c.bucket, config.model.max_positions) for regime, T in longest.items()}


def masked(config, regime, T):
    """Count the masked slots of a row: (text, video)."""
    c = config.inputs
    return (slots(c.mask_rate, min(T - 2, c.max_text)) if regime != "video" else 0,
            slots(c.mask_rate, min(T - 2, c.max_video)) if regime != "text" else 0)


def batch_flops(c, B, T, M_text, M_video, aligned, recompute=False):
    """Count the FLOPs of training on one batch, forward and backward. c: `ModelConfig`; aligned: whether the alignment head runs."""
    d, f, R = c.width, c.feed_forward, 1 + M_text + M_video
    blocks = (c.layers - 1) * B * T * (8 * d * d + 4 * d * f + 4 * T * d)
    blocks += B * T * 4 * d * d + B * R * (4 * d * d + 4 * d * f + 4 * T * d)
    heads = B * (M_text + M_video) * 2 * d * d + aligned * B * (2 * d * d + 2 * d)
    softmax = B * 2 * d * (M_text * c.text_vocab + M_video * c.visual_vocab)
    return (4 if recompute else 3) * blocks + 3 * heads + (2 if c.frozen_embeddings else 3) * softmax


def move_flops(config):
    """Count the FLOPs of the optimizers' move: Muon's five steps of Newton-Schulz a matrix."""
    c = config.model
    if not config.train.muon_lr:
        return 0
    shapes = ((c.width, 3 * c.width), (c.width, c.width), (c.width, c.feed_forward), (c.width, c.feed_forward))
    return c.layers * NEWTON_SCHULZ * sum(4 * min(s) ** 2 * max(s) + 2 * min(s) ** 3 for s in shapes)


def step_flops(config, recompute=False):
    """Count the FLOPs of one step: {"text": ..., "video": ..., "video-text": ..., "move": ...}."""
    out = {}
    for regime, rows in zip(REGIMES, config.inputs.rows):
        T = lengths(config)[regime]
        flops = batch_flops(config.model, rows, T, *masked(config, regime, T), regime == "video-text", recompute)
        out[regime] = flops * config.train.accumulate
    return out | {"move": move_flops(config)}


def memory(config, count, sharded=False, recompute=False):
    """Work out the bytes a chip of `count` holds: {"weights and moments", "activations", "logits"}; of the largest batch."""
    c = config.model
    N, inner = parameters(c)
    trained = N - (c.text_vocab + 1 + c.visual_vocab) * c.width * c.frozen_embeddings
    state = 4 * N + 12 * trained - 4 * inner * (config.train.muon_lr > 0)
    activations = logits = 0
    for regime, rows in zip(REGIMES, config.inputs.rows):
        T, b = lengths(config)[regime], rows / count
        M_text, M_video = masked(config, regime, T)
        block = T * b * (18 * c.width + 4 * c.feed_forward) + 5 * c.heads * T * T * b
        kept = c.layers * 2 * T * b * c.width + block if recompute else c.layers * block
        activations = max(activations, kept)
        logits = max(logits, 8 * b * (M_text * c.text_vocab + M_video * c.visual_vocab))
    return {"weights and moments": state / (count if sharded else 1), "activations": activations, "logits": logits}


def report(config, name, sharded=False, recompute=False):
    """Lay the plan out as text. name: of the chips."""
    count, peak, room = chips(name)
    check_rows(config.inputs.rows, count, name)
    flops, held, c = step_flops(config, recompute), memory(config, count, sharded, recompute), config.model
    useful = sum(step_flops(config).values()) * config.train.steps
    total = sum(held.values())
    lines = [f"preset {config.preset} on {name}: {count} chips of {peak / 1e12:.0f} TFLOP/s (bfloat16) and {room} GB; worked out, not measured",
             f"{'parameters':<24}{parameters(c)[0]:>16,}   {c.layers} blocks of width {c.width}, {c.text_vocab:,} words, "
             f"{c.visual_vocab:,} visual words"]
    for regime, rows in zip(REGIMES, config.inputs.rows):
        lines.append(f"{regime:<24}{flops[regime] / 1e12:>16.3f}   TFLOP a step: {rows} rows of {lengths(config)[regime]} tokens"
                     + (f", {config.train.accumulate} times" if config.train.accumulate > 1 else ""))
    lines += [f"{'optimizer':<24}{flops['move'] / 1e12:>16.3f}   TFLOP a step (Muon's matrices)",
              f"{'all steps':<24}{useful:>16.3g}   FLOP, {config.train.steps:,} steps"]
    lines += [f"{part:<24}{size / 1e9:>16.2f}   GB a chip" for part, size in held.items()]
    advice = "" if total < 0.9e9 * room else "; too much: try --recompute, --shard, fewer --rows or more chips"
    lines.append(f"{'memory':<24}{total / 1e9:>16.2f}   GB of {room}{advice}")
    done = sum(flops.values()) * config.train.steps
    for mfu in MFU:
        lines.append(f"{f'days at {mfu:.0%} MFU':<24}{done / (count * peak * mfu) / 86_400:>16.2f}"
                     + ("   with the blocks computed twice" if recompute else ""))
    return "\n".join(lines)


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.plan", description=__doc__.split("\n")[0])
    parser.add_argument("--preset", choices=PRESETS, default="paper", help="where the defaults come from")
    parser.add_argument("--chips", default="v5e-4", help="kind and size, as the cloud names them: v5e-4, v4-8, v5p-8, v6e-8")
    parser.add_argument("--shard", action="store_true", help="split parameters over the chips")
    parser.add_argument("--recompute", action="store_true", help="compute blocks anew in the backward pass")
    add_options(parser, PRESETS["tiny"])
    options = parser.parse_args(argv)
    try:
        print(report(apply_options(PRESETS[options.preset], options), options.chips, options.shard, options.recompute))
    except ValueError as error:
        fail(error)


if __name__ == "__main__":
    main()
