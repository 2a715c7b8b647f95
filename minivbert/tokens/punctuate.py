"""Timed words without punctuation -> sentences: an LSTM says what stands after each word.

VideoBERT (arXiv 1904.01766), "Video and language preprocessing": speech recognition gives a stream of words; an
LSTM-based language model punctuates it; punctuation cuts it into sentences, each with a start and an end.

    x_t    = [embedding of word piece t; at the last piece of a word: silence after it, how late the next word is; 1 if there are times]
    i, f, g, o = x_t W_in + h_(t-1) W_state + b,   c_t = s(f) c_(t-1) + s(i) tanh(g),   h_t = s(o) tanh(c_t)      the LSTM
    mark   = softmax([h_t read from the left, h_t read from the right] W_out), t the last piece of a word:
             nothing, comma, period or question mark

A word's pieces come from the punctuator's own WordPiece vocabulary, so no word is unknown to it. Silence is the time from a word's end
to the next one's start. In many captions there is none, for each word ends where the next one starts; there a pause shows as a word
that lasts longer than its letters explain: the next one is "late". It was trained on streams with either, on streams without pauses,
and on streams without times.

Axes: B streams, T word pieces, E width of an embedding, F = E + 3 what the LSTM reads, H width of its state, N words; 4 marks.

Differs from, or not stated in, the paper: the paper names no model ("an off-the-shelf LSTM-based language model"). Ours reads
in both directions, since what follows a word says more about a full stop than what precedes it. Words keep their case.

    punctuator = load_punctuator("data_sample/weights/punctuator.safetensors")
    restore([("chop", 0.0, 0.4), ("it", 0.4, 0.6), ("now", 1.4, 1.7), ("fry", 1.7, 2.0), ("it", 2.0, 2.2)], punctuator)
    # [("chop it.", 0.0, 0.6), ("now fry it.", 1.4, 2.2)]
"""
import json
import os
from collections.abc import Sequence

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from minivbert.files import replace_file
from minivbert.tokens.wordpiece import WordPiece

MARKS = ("", ",", ".", "?")            # what the network tells apart, in the order of its logits
STOPS = (".", "?")                     # those that end a sentence
WRITTEN = ".,?!;:…"                    # marks at the end of a given word: taken off, since the network sets its own
LONGEST_PAUSE = 2.0                    # [s]; a longer one says no more
TIMES = 3                              # numbers a piece that tell of time

Word = tuple[str, float, float]


class LSTM(nn.Module):
    """One layer of long short-term memory (Hochreiter and Schmidhuber, 1997, with Gers' forget gate), read left to right or right to left.

    Rows of the weights: input gate, forget gate, candidate, output gate, H each, in that order as in torch.nn.LSTM.
    """

    def __init__(self, width_in: int, width: int, backwards: bool = False):
        super().__init__()
        self.backwards = backwards
        self.w_in = nn.Parameter(torch.empty(4 * width, width_in))
        self.w_state = nn.Parameter(torch.empty(4 * width, width))
        self.bias = nn.Parameter(torch.zeros(4 * width))
        for weight in (self.w_in, self.w_state):
            nn.init.uniform_(weight, -width ** -0.5, width ** -0.5)
        nn.init.ones_(self.bias[width:2 * width])              # remember, until taught to forget

    def forward(self, x_BTF: torch.Tensor, keep_BT: torch.Tensor) -> torch.Tensor:
        """Read x (B, T, F) where keep (B, T) is 1; return the states h (B, T, H). Padding leaves the state as it is."""
        B, T, _ = x_BTF.shape
        gates_TBG = (x_BTF @ self.w_in.T + self.bias).transpose(0, 1)
        keep_TB1 = keep_BT.to(x_BTF.dtype).T[..., None]
        h_BH = c_BH = x_BTF.new_zeros(B, self.w_state.shape[1])
        states = [h_BH] * T
        for t in reversed(range(T)) if self.backwards else range(T):
            i_BH, f_BH, g_BH, o_BH = torch.addmm(gates_TBG[t], h_BH, self.w_state.T).chunk(4, 1)
            new_BH = f_BH.sigmoid() * c_BH + i_BH.sigmoid() * g_BH.tanh()
            c_BH = torch.lerp(c_BH, new_BH, keep_TB1[t])
            h_BH = torch.lerp(h_BH, o_BH.sigmoid() * new_BH.tanh(), keep_TB1[t])
            states[t] = h_BH
        return torch.stack(states, 1)


class Punctuator(nn.Module):
    """Embedding, an LSTM from the left and one from the right, and a linear layer to the four marks.

    wordpiece: the vocabulary; width: E; state: H.
    """

    def __init__(self, wordpiece: WordPiece, width: int = 64, state: int = 128):
        super().__init__()
        self.wordpiece, self.width, self.state = wordpiece, width, state
        self.embedding = nn.Embedding(len(wordpiece), width)
        self.from_left = LSTM(width + TIMES, state)
        self.from_right = LSTM(width + TIMES, state, backwards=True)
        self.head = nn.Linear(2 * state, len(MARKS))

    def forward(self, ids_BT: torch.Tensor, pause_BT3: torch.Tensor, keep_BT: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, T, 4) of the mark after each piece; they mean something at the last piece of a word."""
        x_BTF = torch.cat([self.embedding(ids_BT), pause_BT3], 2)
        return self.head(torch.cat([self.from_left(x_BTF, keep_BT), self.from_right(x_BTF, keep_BT)], 2))


def bare(word: str) -> str:
    """Take the marks off the end of a word that has any letter before them.

    >>> bare("Now,"), bare("3.5"), bare("...")
    ('Now', '3.5', '...')
    """
    return word.rstrip(WRITTEN) or word


def read_words(words: Sequence[Word], wordpiece: WordPiece) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Turn N timed words into what the punctuator reads.

    Returns ids (T,) int64; pause (T, 3) float32: silence and lateness [s] after a word, at its last piece, and 1 if there are times;
    last (N,) int64: where each word's last piece is.
    """
    ids, last = [], []
    for word, _, _ in words:
        ids.extend(wordpiece.encode(bare(word)) or [wordpiece.unk])
        last.append(len(ids) - 1)
    pause_T3 = torch.zeros(len(ids), TIMES)
    pause_T3[last, :2] = pauses_between(words)
    pause_T3[:, 2] = float(words[-1][2] > words[0][1])
    return torch.tensor(ids), pause_T3, torch.tensor(last)


def pauses_between(words: Sequence[Word]) -> torch.Tensor:
    """Measure what follows each of N words: (N, 2) float32, silence and lateness in seconds, both 0 to `LONGEST_PAUSE`.

    Lateness: how much later the next word starts than it would if all words were spoken at the same pace, the stream's median time
    from start to start a letter (a blank counts as one more letter).

    >>> pauses_between([("ab", 0.0, 0.75), ("cd", 0.75, 2.5), ("ef", 2.5, 3.0), ("gh", 3.25, 4.0)]).tolist()
    [[0.0, 0.0], [0.0, 1.0], [0.25, 0.0], [0.0, 0.0]]
    """
    starts_N, ends_N = torch.tensor([times for _, *times in words], dtype=torch.float32).T
    steps_M, letters_M = starts_N.diff(), torch.tensor([len(bare(word)) + 1.0 for word, _, _ in words[:-1]])
    pauses_N2 = torch.zeros(len(words), 2)
    if len(words) > 1:
        pauses_N2[:-1, 0] = starts_N[1:] - ends_N[:-1]
        pauses_N2[:-1, 1] = steps_M - letters_M * (steps_M / letters_M).median()
    return pauses_N2.clamp(0.0, LONGEST_PAUSE)


def marks_of(words: Sequence[Word], punctuator: Punctuator) -> list[str]:
    """Say what stands after each of N words (word, start [s], end [s]): "", ",", "." or "?"; the last word ends a sentence."""
    if not words:
        return []
    ids_T, pause_T3, last_N = read_words(words, punctuator.wordpiece)
    with torch.inference_mode():
        logits_T4 = punctuator(ids_T[None], pause_T3[None], torch.ones(1, len(ids_T)))[0]
    marks = [MARKS[i] for i in logits_T4[last_N].argmax(1).tolist()]
    if marks[-1] not in STOPS:
        marks[-1] = "."
    return marks


def restore(words: Sequence[Word], punctuator: Punctuator) -> list[tuple[str, float, float]]:
    """Cut timed words into sentences (sentence, start [s], end [s]), every word in its place with the mark that follows it.

    words: (word, start [s], end [s]) in order of time. A sentence lasts from its first word's start to its last word's end.
    """
    sentences, first = [], 0
    marks = marks_of(words, punctuator)
    for n, mark in enumerate(marks):
        if mark in STOPS:
            text = " ".join(bare(words[i][0]) + marks[i] for i in range(first, n + 1))
            sentences.append((text, words[first][1], words[n][2]))
            first = n + 1
    return sentences


def boundary_f1(found: Sequence[str], true: Sequence[str]) -> float:
    """Score where sentences end: F1 of the places with . or ? in two lists of marks; which of the two does not count.

    The last place is left out, since the end of a stream is known.

    >>> boundary_f1(["", ".", "", "."], ["", "?", ".", "."])
    0.6666666666666666
    """
    found, true = ({i for i, mark in enumerate(marks[:-1]) if mark in STOPS} for marks in (found, true))
    return 2 * len(found & true) / (len(found) + len(true)) if found or true else 1.0


def save_punctuator(punctuator: Punctuator, path: str | os.PathLike) -> None:
    """Write the weights as safetensors, in half precision; sizes and vocabulary go into the file's metadata."""
    about = {"network": "Punctuator", "width": json.dumps(punctuator.width), "state": json.dumps(punctuator.state),
             "vocab": json.dumps(punctuator.wordpiece.vocab, ensure_ascii=False)}
    tensors = {name: tensor.half().contiguous() for name, tensor in punctuator.state_dict().items()}
    replace_file(path, lambda temporary: save_file(tensors, temporary, metadata=about))


def load_punctuator(path: str | os.PathLike) -> Punctuator:
    """Read a punctuator that `save_punctuator` wrote; raise ValueError naming the file if it is not one."""
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path}: not a readable safetensors file ({error}); give the weights that "
                         "python -m minivbert.kitchen.punctuator writes") from error
    if about.get("network") != "Punctuator":
        raise ValueError(f"{path}: holds the weights of another network ({about.get('network', 'unnamed')}); give the weights "
                         "that python -m minivbert.kitchen.punctuator writes")
    try:
        punctuator = Punctuator(WordPiece(json.loads(about["vocab"])), json.loads(about["width"]), json.loads(about["state"]))
        punctuator.load_state_dict(tensors)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: the weights of a Punctuator do not fit together ({reason}); write them anew with "
                         "python -m minivbert.kitchen.punctuator") from error
    return punctuator.eval()
