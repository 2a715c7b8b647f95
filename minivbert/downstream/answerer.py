"""The model that answers questions: a pretrained VideoBERT with more words and two heads, fine-tuned on `questions.py`.

From the pooled [CLS] of

    [CLS] question [>] video [SEP]                    softmax over an answer vocabulary             open
    [CLS] question answer [>] video [SEP]             one score an option, softmax over four        Q -> A
    [CLS] question answer reason [>] video [SEP]      the same                                      QA -> R

    loss = -log p(word) - log p(answer | four) - log p(reason | four, the right answer)

Question words that the cook never says get rows of their own at the end of the joint table, as VideoBERT appended visual words to BERT's;
the option scores start from the alignment head.

Axes: B rows, D width, K answers, O = 4 options.

Not stated in the paper, our choice: everything here; the paper answers no questions.
"""
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm import tqdm

from minivbert.config import TrainConfig
from minivbert.device import autocast
from minivbert.downstream.questions import OPTIONS, Matcher, all_texts, by_answer, examples_of, windows_of
from minivbert.downstream.shared import lay_out
from minivbert.files import replace_file
from minivbert.model.videobert import VideoBERT
from minivbert.train import build_optimizers, groups_of, schedule

WEIGHTS, FIGURES = "answers.safetensors", "answers.json"
TRAINING_SHOWS = 6000                          # shows that training asks about
ROWS = 64, 16                                  # of a step: open questions, and questions with options (each is 2 x 4 rows)
TUNING = TrainConfig(steps=400, lr=3e-3, muon_lr=0.02, beta2=0.99, precision="auto")


class Answerer(nn.Module):
    """A VideoBERT with more words, and two heads on its pooled [CLS]."""

    def __init__(self, config, vocab, seed=0):
        """config: the run's `ModelConfig`; vocab: the corpus' WordPiece."""
        super().__init__()
        words, self.answers = all_texts()
        extra = [word for word in words if word not in vocab.ids]
        self.vocab, first = vocab, config.text_vocab + 1 + config.visual_vocab
        self.ids = {word: vocab.ids[word] for word in words if word in vocab.ids} | {word: first + i for i, word in enumerate(extra)}
        self.bert = VideoBERT(replace(config, visual_vocab=config.visual_vocab + len(extra)), seed)
        self.open = nn.Linear(config.width, len(self.answers))
        nn.init.zeros_(self.open.weight)
        self.number = {word: i for i, word in enumerate(self.answers)}

    @torch.no_grad()
    def start_from(self, model):
        """Copy a pretrained VideoBERT; the new words keep their random rows."""
        own = self.bert.state_dict()
        for name, tensor in model.state_dict().items():
            own[name][tuple(map(slice, tensor.shape))] = tensor
        return self

    def encode_text(self, text):
        """Turn a question, answer or reason into ids; raise ValueError for a word that no question has."""
        words = text.lower().replace("?", " ?").split()
        unknown = [word for word in words if word not in self.ids]
        if unknown or not words:
            raise ValueError(f"question {text!r}: {f'{unknown[0]!r} is no word of the questions' if unknown else 'empty'}; ask such as: what is "
                             "sliced? what is done to the onion? which tool works on the onion? what comes after the onion is fried?")
        return [self.ids[word] for word in words]

    def pooled(self, texts, films):
        """Summarise rows of text and film: (B, D)."""
        ids, types, keep, _ = lay_out(self.vocab, texts, films)
        return self.bert.pooled(self.bert.encode(ids, types, keep, at_BR=torch.zeros(len(ids), 1, dtype=torch.long)))

    def forward(self, examples, films, seen):
        """Score open answers (B, K) for a list of `questions.Example`; films: visual tokens of each; seen: (question, video) shown."""
        return self.open(self.pooled(*self._shown([e.question for e in examples], [""] * len(examples), films, seen)))

    def choose(self, examples, options, films, seen, given=None):
        """Score options (B, 4), lists of four texts; given: the answers known, when the options are reasons."""
        questions, texts, rows = [], [], []
        for n, example in enumerate(examples):
            for text in options[n]:
                questions.append(example.question + (f" {given[n]}" if given else ""))
                texts.append(text)
                rows.append(films[n])
        return self.bert.align(self.pooled(*self._shown(questions, texts, rows, seen))).view(len(examples), OPTIONS)

    def _shown(self, questions, texts, films, seen):
        rows = [self.encode_text(f"{q if seen[0] else ''} {t}".strip() or "?") for q, t in zip(questions, texts)]
        return rows, films if seen[1] else [None] * len(films)


def films_of(corpus, windows, examples):
    """Give the visual tokens of each example's window."""
    return [corpus.visual[windows.first[e.window]:windows.first[e.window] + windows.clips[e.window]].astype(int) for e in examples]


def fine_tune(answerer, corpus, seen, steps=TUNING.steps, seed=0, progress=False):
    """Fine-tune in place on questions about training shows; every question's answers come equally often. Returns it in eval mode.

    seen: (question, video) shown; seed: of what is asked.
    """
    rng, c = np.random.default_rng(seed), replace(TUNING, steps=steps)
    windows = windows_of(corpus, corpus.split()[0][:TRAINING_SHOWS])
    examples = examples_of(windows)
    matcher, groups = Matcher(examples), list(by_answer(examples).values())
    weight = np.array([sum(map(len, answers.values())) for answers in groups], float)
    weight[[len(answers) < 2 for answers in groups]] = 0.0

    def draw(rows):
        picked = []
        for g in rng.choice(len(groups), rows, p=weight / weight.sum()):
            places = list(groups[g].values())
            picked.append(examples[rng.choice(places[rng.integers(len(places))])])
        return picked, films_of(corpus, windows, picked)

    optimizers = build_optimizers(answerer, c)
    answerer.train()
    pool = []
    for step in tqdm(range(steps), desc="questions", unit="step", disable=not progress, dynamic_ncols=True):
        if not pool:                                          # options are matched over many questions at once
            asked, shown = draw(ROWS[1] * 32)
            answers, right, reasons, true = matcher.options(asked, rng)
            pool = [slice(i, i + ROWS[1]) for i in range(0, len(asked), ROWS[1])]
        at, (plain, films) = pool.pop(), draw(ROWS[0])
        with autocast(torch.device("cpu"), c.precision):
            logits = (answerer(plain, films, seen), answerer.choose(asked[at], answers[at], shown[at], seen),
                      answerer.choose(asked[at], reasons[at], shown[at], seen, [e.answer for e in asked[at]]))
        labels = [answerer.number[e.word] for e in plain], right[at], true[at]
        loss = sum(F.cross_entropy(x.float(), torch.as_tensor(np.asarray(y))) for x, y in zip(logits, labels))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(answerer.parameters(), c.clip)
        for group in groups_of(optimizers):
            group["lr"] = schedule(step, c) * group["peak"]
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    return answerer.eval()


def save(run, answerer, rows):
    """Write the fine-tuned weights, in half precision, and the figures of all rows into a run folder."""
    tensors = {name: tensor.half().contiguous() for name, tensor in answerer.state_dict().items()}
    replace_file(Path(run) / WEIGHTS, lambda path: save_file(tensors, path))
    replace_file(Path(run) / FIGURES, lambda path: path.write_text(json.dumps(rows, indent=1) + "\n"))


def load(run, config, vocab):
    """Read what `save` wrote: (Answerer in eval mode, rows). Raises ValueError where it is missing or of another run."""
    path = Path(run) / WEIGHTS
    again = f"make it with: python -m minivbert.downstream.question_answering --train --run {run}"
    if not path.is_file() or not path.with_name(FIGURES).is_file():
        raise ValueError(f"{path}: not there, so nothing has learned to answer yet; {again}")
    answerer = Answerer(config.model, vocab)
    try:
        answerer.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
        return answerer.eval(), json.loads(path.with_name(FIGURES).read_text())
    except Exception as error:
        raise ValueError(f"{path}: not the weights of this run's answers ({str(error).splitlines()[0]}); {again}") from error
