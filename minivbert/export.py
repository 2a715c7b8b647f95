"""Write a trained VideoBERT as a BERT: python -m minivbert.export --run runs/tiny --out exported

The whole joint table becomes BERT's vocabulary: text, `[>]`, then the visual words as `[v0]`, `[v1]`, ... So
inputs with video run there too, with token type 1 for video. The folder holds config.json, model.safetensors
(BertForPreTraining's names) and vocab.txt, for `transformers.BertModel.from_pretrained(folder)` or
`BertForPreTraining`. Its next-sentence logits differ by the alignment logit. Its masked-LM logits are over
the joint vocabulary, where ours are over the masked token's own modality.

BERT normalises after each sub-layer; a model that normalises before (norm = "pre") is no BERT and cannot be
exported.
"""

import json
from pathlib import Path

from safetensors.torch import save_file

from minivbert.checkpoint import load_model
from minivbert.files import replace_file
from minivbert.model.bert_weights import to_bert_names
from minivbert.options import Parser, fail
from minivbert.tokens.wordpiece import WordPiece


def bert_config(config, pad):
    """Turn a `ModelConfig` into the dict of BERT's config.json. pad: id of [PAD]."""
    return {
        "model_type": "bert",
        "architectures": ["BertForPreTraining"],
        "hidden_act": "gelu",
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.feed_forward,
        "vocab_size": config.text_vocab + 1 + config.visual_vocab,
        "max_position_embeddings": config.max_positions,
        "type_vocab_size": 2,
        "layer_norm_eps": config.eps,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.dropout,
        "initializer_range": config.init_std,
        "pad_token_id": pad,
    }


def export(run, out):
    """Write the finished run `run` to the folder `out`.

    Raises ValueError for a run that is unfinished or damaged, or whose model is pre-norm.
    """
    model, config = load_model(run)
    c, vocab, out = config.model, WordPiece.read(Path(run) / "vocab.txt"), Path(out)
    if c.norm != "post":
        raise ValueError(
            f"{run}: its model has norm {c.norm!r} and BERT is post-norm, so no BERT computes the same; "
            "train with --norm post to export"
        )
    if len(vocab) != c.text_vocab:
        raise ValueError(
            f"{run}/vocab.txt: {len(vocab)} lines, but the model has {c.text_vocab} text ids; "
            "take the vocab.txt that training wrote"
        )
    tokens = [*vocab.vocab, "[>]", *(f"[v{i}]" for i in range(c.visual_vocab))]
    tensors = to_bert_names(model.state_dict(), c.layers)
    out.mkdir(parents=True, exist_ok=True)
    replace_file(
        out / "vocab.txt",
        lambda path: path.write_text("\n".join(tokens) + "\n", encoding="utf-8", newline="\n"),
    )
    replace_file(out / "model.safetensors", lambda path: save_file(tensors, path, metadata={"format": "pt"}))
    replace_file(
        out / "config.json",
        lambda path: path.write_text(json.dumps(bert_config(c, vocab.pad), indent=1) + "\n"),
    )


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.export", description=__doc__.split("\n")[0])
    parser.add_argument("--run", required=True, help="folder of a finished run")
    parser.add_argument("--out", required=True, help="folder to write")
    options = parser.parse_args(argv)
    try:
        export(options.run, options.out)
    except (ValueError, OSError) as error:
        fail(error)
    print(f"{options.out}: written; open with transformers.BertModel.from_pretrained")


if __name__ == "__main__":
    main()
