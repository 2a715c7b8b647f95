"""A run folder whose model has learned nothing, made in a moment: for commands that need a run, whatever it knows."""
from dataclasses import replace

from minivbert import checkpoint
from minivbert.config import PRESETS
from minivbert.train import build_model


def untrained_run(folder, corpus, seed=0):
    """Write a run folder of a small untrained model for a corpus; return the folder."""
    tiny = PRESETS["tiny"]
    config = replace(tiny, model=replace(tiny.model, width=32, layers=1, heads=2, feed_forward=64), train=replace(tiny.train, seed=seed))
    model = build_model(config, corpus)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.save_config(folder, replace(config, model=model.config), corpus.vocab)
    checkpoint.save_model(folder, model)
    return folder
