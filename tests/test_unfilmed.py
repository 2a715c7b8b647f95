"""Shows drawn from the tables are the tables' shows: the same story as a film's, tokens of the table's distribution, a floor under them."""
import numpy as np
import pytest

from minivbert.config import DATA_SAMPLE
from minivbert.kitchen import unfilmed
from minivbert.kitchen.film import make_show
from minivbert.kitchen.recipes import World
from minivbert.kitchen.unfilmed import draw_corpus
from minivbert.tokens.corpus import CorpusError
from small import small_corpus

TABLES = DATA_SAMPLE / "corpus"
WORLD = World(lags=(0.0, 0.0, 1.0), speech=0.5)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return draw_corpus(tmp_path_factory.mktemp("drawn") / "corpus", WORLD, 1300, 7, TABLES)


def test_stories_and_sentences_are_those_of_the_films(corpus):
    sentence = 0
    for i in (0, 1, 999, 1000, 1299):                                # on both sides of a part's end
        show = make_show(WORLD, 7, i)
        assert len(corpus.video(i)) == len(show.action)
        at = np.flatnonzero(corpus.sentence_video == i)
        assert [corpus.sentence(s) for s in at] == [corpus.vocab.decode(corpus.vocab.encode(x.text)) for x in show.sentences]
        assert corpus.sentence_times[at] == pytest.approx(np.array([x.span for x in show.sentences]).reshape(-1, 2))
        assert {x.topic for x in show.sentences} <= {-1, *show.action.tolist()}
        sentence += len(at)
    assert sentence and corpus.meta["lags"] == [0.0, 0.0, 1.0] and corpus.split()[1].tolist() == list(range(600))


def test_tokens_have_the_tables_distribution(corpus):
    with np.load(TABLES / "emission.npz") as file:
        emission = file["emission"].astype(float)
    wanted, nats, n = np.zeros(emission.shape[-1]), 0.0, 0
    for i in range(corpus.videos):
        show = make_show(WORLD, 7, i)
        p_LV = emission[show.action, show.phase, show.style]
        wanted += p_LV.sum(0)
        nats += (-np.log(p_LV[np.arange(len(p_LV)), corpus.video(i)]) + (p_LV * np.log(p_LV)).sum(1)).sum()
        n += len(p_LV)
    seen = np.bincount(corpus.visual, minlength=len(wanted))
    assert (np.abs(seen - wanted) < 5 * np.sqrt(wanted + 1)).all()
    assert abs(nats / n) < 0.05                                       # mean -log p less the entropy


def test_a_killed_call_goes_on_and_parts_do_not_matter(corpus, tmp_path, monkeypatch):
    draw, calls = unfilmed.draw_part, []

    def once(first, **given):
        if calls:
            raise KeyboardInterrupt
        calls.append(first)
        draw(first, **given)

    monkeypatch.setattr(unfilmed, "PART", 300)
    monkeypatch.setattr(unfilmed, "draw_part", once)
    with pytest.raises(KeyboardInterrupt):
        draw_corpus(tmp_path / "corpus", WORLD, 1300, 7, TABLES)
    monkeypatch.setattr(unfilmed, "draw_part", draw)
    again = draw_corpus(tmp_path / "corpus", WORLD, 1300, 7, TABLES)
    assert again.meta["sha256"] == corpus.meta["sha256"] and not (tmp_path / "corpus" / "parts").exists()


def test_what_does_not_fit_is_one_sentence(corpus, tmp_path):
    assert draw_corpus(corpus.folder, WORLD, 1300, 7, TABLES).meta == corpus.meta             # whole already: opened
    with pytest.raises(ValueError, match="drawn from other tables"):
        draw_corpus(corpus.folder, WORLD, 1300, 8, TABLES)
    with pytest.raises(ValueError, match="600 shows"):
        draw_corpus(tmp_path, WORLD, 600, 7, TABLES)
    with pytest.raises(CorpusError, match="emission.npz: not there"):
        draw_corpus(tmp_path, WORLD, 700, 7, small_corpus(tmp_path / "small").folder)
