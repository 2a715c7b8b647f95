"""Beam search against greedy and exhaustive search, and with and without a cache."""
import itertools

import pytest
import torch

from minivbert.downstream.beam import beam_search
from minivbert.model.transformer import Decoder, init_weights

START, END, V, MOST, D = 0, 1, 5, 4, 8


class Speaker(torch.nn.Module):
    """A decoder of random weights that looks at a memory, wild enough for greedy search to fail."""

    def __init__(self, seed=0, norm="pre"):
        super().__init__()
        self.words, self.places = torch.nn.Embedding(V, D), torch.nn.Embedding(MOST, D)
        self.decoder, self.out = Decoder(D, 2, 2, 16, norm, eps=1e-5), torch.nn.Linear(D, V)
        init_weights(self, 0.9, torch.Generator().manual_seed(seed))
        self.eval()

    def log_p(self, tokens_BT, memory_BSD, cache=None, past=0):
        x_BTD = self.words(tokens_BT) + self.places.weight[past:past + tokens_BT.shape[1]]
        return self.out(self.decoder(x_BTD, memory_BSD, cache=cache)).log_softmax(-1)

    def without_cache(self, memory_BSD):
        def step(token_N, parent_N, state):
            before, memory_NSD = (torch.empty(len(token_N), 0, dtype=torch.int64), memory_BSD) if state is None else state
            tokens_NT = torch.cat([before[parent_N], token_N[:, None]], 1)
            memory_NSD = memory_NSD[parent_N]
            return self.log_p(tokens_NT, memory_NSD)[:, -1], (tokens_NT, memory_NSD)
        return step

    def with_cache(self, memory_BSD):
        def step(token_N, parent_N, state):
            cache, memory_NSD = ({}, memory_BSD) if state is None else state
            cache = {name: tuple(x[parent_N] for x in pair) for name, pair in cache.items()}
            past = cache["0.self"][0].shape[2] if cache else 0
            memory_NSD = memory_NSD[parent_N]
            return self.log_p(token_N[:, None], memory_NSD, cache, past)[:, -1], (cache, memory_NSD)
        return step


def memory(rows, seed=0):
    return torch.randn(rows, 3, D, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def all_sentences(speaker, memory_1SD):
    """Score every sentence of at most MOST tokens by a forward pass of its own: [(score, tokens)], best first."""
    found = []
    for n in range(MOST):
        for words in itertools.product([v for v in range(V) if v != END], repeat=n):
            told = [*words, END]
            log_p = speaker.log_p(torch.tensor([[START, *words]]), memory_1SD)[0]
            found.append((sum(log_p[t, w].item() for t, w in enumerate(told)), told))
    return sorted(found, reverse=True)


@torch.no_grad()
def greedy(speaker, memory_1SD):
    told, score = [START], 0.0
    for t in range(MOST):
        log_p = speaker.log_p(torch.tensor([told]), memory_1SD)[0, -1]
        word = END if t == MOST - 1 else int(log_p.argmax())
        told, score = [*told, word], score + log_p[word].item()
        if word == END:
            break
    return score, told[1:]


def test_a_large_beam_is_the_exhaustive_search():
    speaker, seen = Speaker(1), memory(3)
    tokens, score = beam_search(speaker.with_cache(seen), 3, 200, START, END, MOST)
    for row in range(3):
        every = all_sentences(speaker, seen[row:row + 1])
        assert len(every) == 1 + 4 + 16 + 64 and (score[row] > -torch.inf).sum() == len(every)
        torch.testing.assert_close(score[row, :len(every)], torch.tensor([s for s, _ in every]), atol=1e-5, rtol=1e-5)
        for (_, told), got in zip(every[:10], tokens[row].tolist()):
            assert got == told + [END] * (MOST - len(told))


def test_a_beam_of_one_is_the_greedy_search_and_wider_beams_find_better():
    beaten = 0
    for seed in range(8):
        speaker, seen = Speaker(seed), memory(4, seed)
        tokens, score = beam_search(speaker.with_cache(seen), 4, 1, START, END, MOST)
        for row in range(4):
            expected, told = greedy(speaker, seen[row:row + 1])
            assert score[row, 0].item() == pytest.approx(expected, abs=1e-5)
            assert tokens[row, 0, :len(told)].tolist() == told and (tokens[row, 0, len(told):] == END).all()
        _, best = beam_search(speaker.with_cache(seen), 4, 200, START, END, MOST)
        beaten += int((best[:, 0] > score[:, 0] + 1e-4).sum())
    assert beaten > 8                                 # or greedy and exhaustive were the same search here


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("beam", [1, 3, 7])
def test_a_cache_changes_nothing(norm, beam):
    for seed in range(4):
        speaker, seen = Speaker(seed, norm), memory(5, seed)
        with_cache = beam_search(speaker.with_cache(seen), 5, beam, START, END, MOST)
        without = beam_search(speaker.without_cache(seen), 5, beam, START, END, MOST)
        assert torch.equal(with_cache[0], without[0])
        torch.testing.assert_close(with_cache[1], without[1], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_decoder_in_pieces_with_a_cache_is_the_decoder_at_once():
    speaker, seen, keep = Speaker(2), memory(2), torch.tensor([[True, True, False], [True, True, True]])
    x = torch.randn(2, 6, D, generator=torch.Generator().manual_seed(5))
    cache, parts = {}, []
    for part in (x[:, :3], x[:, 3:4], x[:, 4:]):
        parts.append(speaker.decoder(part, seen, keep, cache=cache))
    torch.testing.assert_close(torch.cat(parts, 1), speaker.decoder(x, seen, keep), atol=1e-5, rtol=1e-5)
    assert cache["1.self"][0].shape[2] == 6 and cache["1.cross"][0].shape[2] == 3


def test_rows_do_not_disturb_each_other():
    speaker, seen = Speaker(3), memory(6, 3)
    tokens, score = beam_search(speaker.with_cache(seen), 6, 3, START, END, MOST)
    for row in range(6):
        alone, own = beam_search(speaker.with_cache(seen[row:row + 1]), 1, 3, START, END, MOST)
        torch.testing.assert_close(own[0], score[row], atol=1e-5, rtol=1e-5)
        assert torch.equal(alone[0, 0], tokens[row, 0, :alone.shape[2]])


def test_what_cannot_be_said_is_never_kept_before_what_can():
    """Fewer sentences than the beam is wide: the rest scores -inf and stands last."""
    table = torch.full((V, V), -torch.inf)
    table[START, 2], table[2, END] = 0.0, 0.0
    tokens, score = beam_search(lambda token, parent, state: (table[token], state), 2, 3, START, END, MOST)
    assert tokens[:, 0, :2].tolist() == [[2, END]] * 2 and score[:, 0].tolist() == [0.0, 0.0]
    assert (score[:, 1:] == -torch.inf).all() and not score.isnan().any()
