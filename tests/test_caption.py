"""Captions: features read off by hand, references against the kitchen's language, learning, files, commands as typed."""
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from minivbert import checkpoint
from minivbert.config import DATA_SAMPLE, PRESETS
from minivbert.downstream import caption
from minivbert.downstream.caption_scores import BEAM, filmed, labelled, made_by, references_of, row_features, table, table_text, teach, written
from minivbert.downstream.captioner import LONGEST, TEMPLATE, hidden_means, load_captioner, save_captioner, segment_features
from minivbert.downstream.shared import DEFAULT_RUN, open_run
from minivbert.files import file_hash
from minivbert.kitchen.film import make_show
from minivbert.kitchen.language import Language
from minivbert.kitchen.narrate import all_words
from minivbert.kitchen.recipes import ACTIONS, World
from minivbert.model.videobert import VideoBERT
from minivbert.tokens.caption_files import cues_of, plain
from minivbert.tokens.corpus import Corpus, write_corpus
from minivbert.tokens.features import open_extractor
from minivbert.tokens.frames import clips_of
from minivbert.tokens.hkmeans import fit as fit_tree
from minivbert.tokens.wordpiece import SPECIALS, WordPiece

SHOWS, WEIGHTS, VIDEO = 24, DATA_SAMPLE / "weights" / "mini_s3d.safetensors", DATA_SAMPLE / "videos" / "show_000.mp4"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A corpus of true stories whose visual tokens come from a made-up table, its tree from a film, and a run of random weights."""
    run, folder = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("corpus")
    clips = np.stack([clip for clip, _ in zip(clips_of(VIDEO), range(20))])
    tree = fit_tree(open_extractor("mini", WEIGHTS)(clips), 4, 2, np.random.default_rng(0))
    tree.save(folder / "tree.npz")
    rng, words = np.random.default_rng(0), np.flatnonzero(tree.leaf_used)
    token = rng.choice(words, (len(ACTIONS), 3))
    shows = [make_show(World(), 0, i) for i in range(SHOWS)]
    vocab = WordPiece([*SPECIALS, *all_words()])
    write_corpus(folder, [token[s.action, s.phase] for s in shows], [[(vocab.encode(x.text), *x.span) for x in s.sentences] for s in shows],
                 vocab, 16, range(4), features="mini", lags=World().lags, filmed=SHOWS, weights_sha256=file_hash(WEIGHTS),
                 tree_sha256=file_hash(folder / "tree.npz"))
    preset = PRESETS["tiny"]
    config = replace(preset, model=replace(preset.model, width=32, layers=2, heads=2, feed_forward=64, text_vocab=len(vocab), visual_vocab=16))
    checkpoint.save_config(run, config, vocab)
    checkpoint.save_model(run, VideoBERT(replace(config.model, init_std=0.3)))
    return str(run), str(folder)


@torch.no_grad()
def test_features_are_the_means_of_the_template_s_hidden_states(folders):
    model, config, corpus, tree = open_run(*folders)
    films = [np.array([3, 3, 1]), np.array([7]), np.arange(16).repeat(3)[:40]]
    got = segment_features(model, config, corpus.vocab, tree, films, "both")
    words = "now let ' s [MASK] the [MASK] to the [MASK] , and then [MASK] the [MASK] .".split()
    assert TEMPLATE.replace("let's", "let ' s").replace(",", " ,").replace(".", " .").split() == words
    for film, row in zip(films, got):
        seen = film[::3] if len(film) == 40 else film                       # 16 fit in
        ids = ["[CLS]", *words]
        ids = [corpus.vocab.ids[w] for w in ids] + [len(corpus.vocab)] + [len(corpus.vocab) + 1 + int(v) for v in seen] + [corpus.vocab.sep]
        types = [0] * 19 + [1] * (len(seen) + 1)
        hidden = model.encode(torch.tensor([ids]), torch.tensor([types]), torch.ones(1, len(ids), dtype=torch.bool))[0]
        masks = [i for i, w in enumerate(["[CLS]", *words]) if w == "[MASK]"]
        assert len(masks) == 5
        centroids = torch.from_numpy(tree.leaf_centroids[film].mean(0)).float()
        expected = torch.cat([centroids, hidden[19:19 + len(seen)].mean(0), hidden[masks].mean(0)])
        torch.testing.assert_close(row, expected, atol=1e-4, rtol=1e-4)
    video = hidden_means(model, corpus.vocab, [], films[:2])
    ids = torch.tensor([[corpus.vocab.cls, len(corpus.vocab), len(corpus.vocab) + 8, corpus.vocab.sep]])
    hidden = model.encode(ids, torch.tensor([[0, 0, 1, 1]]), torch.ones(1, 4, dtype=torch.bool))[0]
    torch.testing.assert_close(video[1], hidden[2], atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="features 's4d' are not known; choose raw, videobert"):
        segment_features(model, config, corpus.vocab, tree, films, "s4d")


def test_references_are_true_different_and_always_the_same(folders):
    corpus = Corpus.open(folders[1])
    language = Language(corpus.vocab.vocab)
    segments, films, told = labelled(corpus, [5, 9])
    assert [len(film) for film in films] == segments.clips.tolist() and len(films) > 6
    assert np.concatenate(films).tolist() == [*corpus.video(5), *corpus.video(9)]
    for action, references in zip(segments.route[:, 0], told):
        assert len({" ".join(r) for r in references}) == len(references) == 5
        for words in references:
            likely = language.likelihood(np.array([corpus.vocab.encode(" ".join(words))])).sum(0)[0]
            assert likely[action] > 0 and likely[-1] == 0                       # about this action, and no chatter
    assert labelled(corpus, [9])[2] == told[(segments.video == 5).sum():]
    held = filmed(corpus)
    assert held[1].tolist() == [0, 1, 2, 3] and len(held[0]) == SHOWS - 4
    rng = np.random.default_rng(1)
    lengths = np.bincount([len(references_of(3, rng, 1)[0]) for _ in range(600)], minlength=14) / 600
    assert abs(lengths[9] - 0.20) < 0.06 and abs(lengths[13] - 0.08) < 0.05 and lengths[12] == 0


@pytest.fixture(scope="module")
def taught(folders):
    """A captioner that was told the true action, and the held-out steps."""
    corpus = Corpus.open(folders[1])
    training, held_out = filmed(corpus)
    known, asked = labelled(corpus, training), labelled(corpus, held_out)
    captioner, loss = teach(corpus, "truth", row_features(corpus, None, None, "truth", *known[:2]), known[2], 150, 0)
    return corpus, captioner, loss, known, asked


def test_a_captioner_learns_to_name_what_it_is_told(taught):
    corpus, captioner, loss, known, asked = taught
    assert loss < 1.6 < np.log(len(corpus.vocab))
    segments = known[0]
    said = written(captioner, corpus.vocab, row_features(corpus, None, None, "truth", segments, known[1]))
    language = Language(corpus.vocab.vocab)
    right = [language.likelihood(np.array([corpus.vocab.encode(" ".join(w))])).sum(0)[0][a] > 0 if len(w) in language.templates else False
             for w, a in zip(said, segments.route[:, 0])]
    assert np.mean(right) > 0.7 and len(np.unique(segments.route)) > 30
    blind, _ = teach(corpus, "no video", torch.zeros(len(known[1]), 1), known[2], 10, 0)
    assert len({" ".join(w) for w in written(blind, corpus.vocab, torch.zeros(9, 1))}) == 1        # what it is told is all it goes by


@torch.no_grad()
def test_writing_with_a_beam_of_one_is_taking_the_best_word_again_and_again(taught):
    corpus, captioner, *_ = taught
    feature = torch.eye(len(ACTIONS))[:7]
    for row, got in zip(feature, captioner.write(feature, 1)):
        ids = [corpus.vocab.cls]
        while len(ids) < LONGEST and (word := int(captioner(row[None], torch.tensor([ids]))[0, -1].argmax())) != corpus.vocab.sep:
            ids.append(word)
        assert got == ids[1:]


def test_a_captioner_comes_back_from_its_file_as_it_was(taught, tmp_path):
    corpus, captioner, *_ = taught
    captioner.about["made_by"] = "abc"
    path = tmp_path / "captioner.safetensors"
    save_captioner(captioner, path)
    assert path.stat().st_size < 1.5e6
    again = load_captioner(path, "abc", len(corpus.vocab))
    feature = torch.eye(len(ACTIONS))
    assert again.about == captioner.about
    torch.testing.assert_close(again(feature, torch.full((60, 1), 2)), captioner(feature, torch.full((60, 1), 2)), atol=0.05, rtol=0.05)
    assert again.write(feature, BEAM)[0] == captioner.write(feature, BEAM)[0]
    with pytest.raises(ValueError, match="learned from features of other weights .*caption train"):
        load_captioner(path, "abd", len(corpus.vocab))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="captioner.safetensors: no captioner"):
        load_captioner(path, "abc", len(corpus.vocab))


def test_table_has_every_row_and_each_captioner_sees_its_own_features(folders):
    model, config, corpus, tree = open_run(*folders)
    figures = table(corpus, tree, (model, config), None, seeds=1, steps=5)
    assert set(figures) == {"no video", "shuffled", "raw", "videobert", "both", "truth"}                 # no emission.npz, so no oracle
    assert all(len(values) == 1 and 0 <= values[0] < 10 for row in figures.values() for values in row.values())
    text = table_text(figures)
    assert "(28.8)" in text and len(text.splitlines()) == 1 + len(figures)


def test_neighbouring_clips_of_one_caption_are_one_cue():
    assert caption.runs(["a", "a", "b", "b"]) == [("a", 0, 2), ("b", 2, 2)]
    assert caption.runs(["a"]) == [("a", 0, 1)]
    assert caption.runs(["a", "b", "a", "c", "c", "b"]) == [("a", 0, 3), ("c", 3, 3)]
    assert caption.as_written("now let ' s mash it , the potato .".split()) == "now let's mash it, the potato."


def test_commands_train_caption_a_film_and_a_picture(folders, tmp_path, capsys):
    run, corpus = folders
    path, vtt, picture, photo = (str(tmp_path / name) for name in ("c.safetensors", "c.vtt", "c.png", "p.jpg"))
    common = ["--run", run, "--corpus", corpus, "--captioner", path]
    caption.main(["train", *common, "--steps", "30", "--features", "both"])
    assert "CIDEr" in capsys.readouterr().out
    assert load_captioner(path, made_by(run, Corpus.open(corpus)), len(Corpus.open(corpus).vocab)).about["kind"] == "both"
    caption.main(["--video", str(VIDEO), "--out", vtt, "--picture", picture, *common])
    told = capsys.readouterr().out
    cues = cues_of(vtt)
    texts = [plain(cue.rows[0]) for cue in cues]
    clips = json.loads(VIDEO.with_suffix(".truth.json").read_text())["action"]
    assert cues[0].start == 0 and cues[-1].end == pytest.approx(1.5 * len(clips), abs=1e-6)
    assert all(a.end == b.start for a, b in zip(cues, cues[1:])) and all(a != b for a, b in zip(texts, texts[1:]))
    assert all(text in told for text in texts) and Image.open(picture).size[0] > 300
    turned = np.zeros((40, 60, 3), np.uint8)
    turned[:20, :30] = 255
    exif = Image.Exif()
    exif[0x0112] = 6                                                 # held upright: to be shown a quarter turn clockwise
    Image.fromarray(turned).save(photo, exif=exif, quality=95)
    clip = caption.still(photo)
    assert clip.shape == (30, 60, 40, 3) and (clip == clip[:1]).all() and clip[0, 5, 35, 0] > 200 > 50 > clip[0, 5, 5, 0]
    caption.main(["--image", photo, *common])
    assert capsys.readouterr().out.strip().splitlines()[-1].split()


def test_the_shipped_captioner_tells_what_a_show_and_a_frame_of_it_show(tmp_path, capsys):
    caption.main(["--video", str(VIDEO.with_name("show_003.mp4")), "--out", str(tmp_path / "c.vtt"), "--picture", str(tmp_path / "c.png")])
    told = capsys.readouterr().out
    assert told.startswith("in domain") and all(f"{verb} the potato" in told for verb in ("peel", "boil")) and "mash it" in told
    clips = list(clips_of(VIDEO.with_name("show_003.mp4")))
    Image.fromarray(clips[8][15]).save(tmp_path / "frame.png")
    caption.main(["--image", str(tmp_path / "frame.png")])
    assert "the potato" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize("arguments, sentence", [
    ([], "say one of train, table, --video FILE, --image FILE"),
    (["train", "--image", "a.png"], "say one of"),
    (["train", "--steps", "0"], "--steps 0"),
    (["--image", "nowhere.png"], "nowhere.png: there is no such file"),
    (["--image", str(WEIGHTS)], "mini_s3d.safetensors: not a picture"),
    (["--video", "nowhere.mp4"], "nowhere.mp4: there is no such file"),
    (["--video", str(VIDEO), "--captioner", "nowhere.safetensors"], "caption train --captioner nowhere.safetensors"),
])
def test_what_cannot_be_done_is_said_in_one_sentence(folders, tmp_path, capsys, arguments, sentence):
    run, corpus = folders
    if "--captioner" not in arguments:
        opened = Corpus.open(corpus)
        path = tmp_path / "c.safetensors"
        save_captioner(teach(opened, "videobert", torch.randn(2, 64), [[["now"]], [["the"]]], 1, 0, made_by(run, opened))[0], path)
        arguments = [*arguments, "--captioner", str(path)]
    with pytest.raises(SystemExit) as left:
        caption.main([*arguments, "--run", run, "--corpus", corpus])
    said = capsys.readouterr().err
    assert left.value.code == 2 and sentence in said and "Traceback" not in said and said.count("\n") == 1


@pytest.mark.slow
@pytest.mark.skipif(not (DEFAULT_RUN / "model.safetensors").is_file(), reason="the shipped weights are not there")
def test_pretrained_features_beat_raw_ones():
    """The bar: every seed of VideoBERT's features, and of both, above every seed of raw features, and far above no video at all."""
    model, config, corpus, tree = open_run()
    figures = table(corpus, tree, (model, config), seeds=3)
    for metric in ("BLEU-4", "CIDEr"):
        assert min(figures["videobert"][metric]) > max(figures["raw"][metric])
        assert min(figures["both"][metric]) > max(figures["raw"][metric]) > min(figures["raw"][metric]) > 2 * max(figures["no video"][metric])
        assert max(figures["shuffled"][metric]) < min(figures["raw"][metric])
