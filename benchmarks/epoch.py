"""Time training end to end, data and all, against Hugging Face: python benchmarks/epoch.py

A fixed share of an epoch of the default corpus: the first 64 steps of preset `bert`, a batch of each regime a step. Ours: `Batches`, drawn as
it goes, and `train_step`. Theirs: the same sequences as a list, torch's DataLoader, shuffled, as many rows a batch as a step of ours has
in all, DataCollatorForLanguageModeling (pads to the longest row of the batch, masks 15 %), BertForPreTraining over the joint vocabulary.
The same shape, AdamW, clipping, dropout and precision on both sides; a step of ours, a step of theirs, in turns, in one process.

Padding is the share of places that hold no token. The data side's lead: tokens a second that `Batches` alone delivers, over those
that the step alone consumes; as both see the same tokens, it is the time of the step over the time of the data.

The last line is one JSON object {"bars": {name: [figure, bar]}}; higher is better.
"""
import argparse
import json
import time
from dataclasses import replace

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch.utils.data import DataLoader
from transformers import BertConfig, BertForPreTraining, DataCollatorForLanguageModeling, PreTrainedTokenizerFast

from minivbert.baselines import unmasked
from minivbert.config import DATA_SAMPLE, PRESETS
from minivbert.device import autocast
from minivbert.pretraining.inputs import Batches
from minivbert.tokens.corpus import Corpus
from minivbert.train import build_model, build_optimizers, train_step

BARS = {"epoch": 3.0, "room used": 0.90, "data": 10.0}
CPU = torch.device("cpu")


def stream_of(config, corpus):
    """Draw from the training videos."""
    return Batches(corpus, corpus.split()[0], config.inputs, seed=0)


def sequences(stream, steps):
    """List the rows of so many steps, unmasked and without padding, as Hugging Face's collator takes them."""
    special, out = {stream.corpus.vocab.cls, stream.corpus.vocab.sep, stream.joint}, []
    for i in range(steps):
        for batch in (stream.get(regime, i) for regime in stream.regimes()):
            aligned = [-100] * len(batch.ids) if batch.aligned is None else (1 - batch.aligned).long().tolist()       # 0: is next
            for ids, types, length, label in zip(unmasked(batch, stream.video_range[0]), batch.types, batch.keep.sum(1).tolist(), aligned):
                ids = ids[:length].tolist()
                out.append({"input_ids": ids, "token_type_ids": types[:length].tolist(), "next_sentence_label": label,
                            "special_tokens_mask": [int(token in special) for token in ids]})
    return out


def loader_of(rows, corpus, config):
    """Build Hugging Face's side of the data: batches of as many rows as a step of ours, padded and masked as they are drawn."""
    words = [*corpus.vocab.vocab, "[>]", *(f"v{i}" for i in range(corpus.visual_words))]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]")),
        pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=config.inputs.mask_rate)
    return DataLoader(rows, batch_size=sum(config.inputs.rows), shuffle=True, collate_fn=collator,
                      generator=torch.Generator().manual_seed(0))


def their_model(c):
    """Build BertForPreTraining of the shape of a `ModelConfig`."""
    return BertForPreTraining(BertConfig(
        vocab_size=c.text_vocab + 1 + c.visual_vocab, hidden_size=c.width, num_hidden_layers=c.layers, num_attention_heads=c.heads,
        intermediate_size=c.feed_forward, max_position_embeddings=c.max_positions, hidden_dropout_prob=c.dropout,
        attention_probs_dropout_prob=c.dropout, attn_implementation="sdpa")).train()


class Clock:
    """Adds up the seconds of named pieces of work."""

    def __init__(self):
        self.seconds = {}

    def time(self, name, work, *given):
        """Call work(*given), add its time to `name`, give its result."""
        start = time.perf_counter()
        result = work(*given)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        return result


def race(config, corpus, rows, steps):
    """Take so many steps on both sides in turns, one more of each beforehand; return seconds {"our data", "our step", ...} and the
    room {"ours": [tokens, places, shapes], "theirs": ...}."""
    torch.manual_seed(0)
    stream, ours = stream_of(config, corpus), build_model(config, corpus).train()
    theirs, optimizers = their_model(ours.config), build_optimizers(ours, config.train)
    their_optimizer = torch.optim.AdamW(theirs.parameters(), lr=config.train.lr, betas=(0.9, config.train.beta2),
                                        weight_decay=config.train.weight_decay, fused=True)
    loader = loader_of(rows, corpus, config)

    def our_data(i):
        return [stream.get(regime, i) for regime in stream.regimes()]

    def their_step(batch):
        with autocast(CPU, config.train.precision):
            loss = theirs(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), config.train.clip)
        their_optimizer.step()
        their_optimizer.zero_grad(set_to_none=True)

    train_step(ours, optimizers, our_data(steps), 1.0, config.train)
    their_step(next(iter(loader)))
    stream = stream_of(config, corpus)
    clock, walk = Clock(), iter(loader)
    room = {side: [0, 0, set()] for side in ("ours", "theirs")}
    for i in range(steps):
        batches = clock.time("our data", our_data, i)
        clock.time("our step", train_step, ours, optimizers, batches, 1.0, config.train)
        batch = clock.time("their data", next, walk)
        clock.time("their step", their_step, batch)
        for side, keep in [*(("ours", b.keep) for b in batches), ("theirs", batch["attention_mask"])]:
            room[side][0] += int(keep.sum())
            room[side][1] += keep.numel()
            room[side][2].add(tuple(keep.shape))
    return clock.seconds, room


def main():
    """Race in float32 and bf16; print a table and the bars."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", default=DATA_SAMPLE / "corpus", help="corpus folder")
    parser.add_argument("--steps", type=int, default=64, help="steps")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    corpus, config, bars = Corpus.open(options.corpus), PRESETS["bert"], {}
    stream = stream_of(config, corpus)
    rows = sequences(stream, options.steps)
    whole = 2 * len(stream.segments[0]) + len(stream.windows)
    print(f"{options.threads} threads; {len(rows):,} of {whole:,} segments, {len(rows) / whole:.1%} of an epoch")
    print(f"{'precision':<11}{'':<14}{'seconds':>9}{'data':>8}{'step':>8}{'an epoch':>10}{'padding':>9}{'shapes':>8}")
    for precision in ("float32", "bf16"):
        own = replace(config, train=replace(config.train, precision=precision))
        seconds, room = race(own, corpus, rows, options.steps)
        total = {}
        for side, name in (("our", "ours"), ("their", "theirs")):
            data, step, (tokens, places, shapes) = seconds[f"{side} data"], seconds[f"{side} step"], room[name]
            total[side] = data + step
            label = "minivbert" if side == "our" else "Hugging Face"
            print(f"{precision:<11}{label:<14}{total[side]:>9.1f}{data:>8.2f}{step:>8.1f}{total[side] * whole / len(rows):>8.0f} s"
                  f"{1 - tokens / places:>9.1%}{len(shapes):>8}", flush=True)
        bars[f"epoch vs Hugging Face, {precision}"] = [round(total["their"] / total["our"], 3), BARS["epoch"]]
        bars[f"data over step, {precision}"] = [round(seconds["our step"] / seconds["our data"], 1), BARS["data"]]
        bars["share of places that hold a token"] = [round(room["ours"][0] / room["ours"][1], 4), BARS["room used"]]
    print(json.dumps({"bars": bars}))


if __name__ == "__main__":
    main()
