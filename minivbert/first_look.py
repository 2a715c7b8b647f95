"""Hide a word and a moment of one show and let a run fill them in: python -m minivbert.first_look --run runs/tiny --show 3 --out look.png

Draws the clips of one or two sentences as a film strip with their visual words, one clip and one word hidden, and what the model takes them
for: its three best guesses with their probabilities, visual words as their exemplars (VideoBERT, figure 1 and 2).
"""
from pathlib import Path

import numpy as np
import torch

from minivbert import checkpoint
from minivbert.config import DATA_SAMPLE
from minivbert.options import Parser, fail
from minivbert.plot import plot_first_look
from minivbert.pretraining.segments import sentence_segments
from minivbert.tokens.corpus import Corpus
from minivbert.tokens.frames import clips_of


def segment(corpus, show, first):
    """Give text ids and clip numbers within the show of its sentences `first` and the next one."""
    both = sentence_segments(corpus, [show], joined=True)
    if first >= len(both):
        raise ValueError(f"show {show} has {len(both)} pairs of sentences; give --sentence from 0 to {len(both) - 1}, or another --show")
    text = np.concatenate([corpus.text[a:a + n] for a, n in zip(both.text_from[first], both.text_len[first])]).astype(int)
    clips = np.concatenate([np.arange(a, a + n) for a, n in zip(both.clip_from[first], both.clip_len[first])])
    return text, clips - corpus.visual_offsets[show]


@torch.no_grad()
def fill_in(model, corpus, text, visual, word_at, clip_at, best=3):
    """Hide text[word_at] and visual[clip_at]; return the best guesses for both: [(token, probability)] of words, of visual words."""
    vocab, joint = corpus.vocab, len(corpus.vocab)
    ids = np.r_[vocab.cls, text, joint, joint + 1 + visual, vocab.sep]
    word, clip = 1 + word_at, 2 + len(text) + clip_at
    ids[[word, clip]] = vocab.mask
    types = (np.arange(len(ids)) > 1 + len(text)).astype(int)
    ids, types = torch.from_numpy(ids)[None], torch.from_numpy(types)[None]
    hidden_BTD = model.encode(ids, types, torch.ones_like(ids, dtype=torch.bool))
    guesses = []
    for logits, at in ((model.text_logits, word), (model.video_logits, clip)):
        p, token = logits(hidden_BTD, torch.tensor([[at]]))[0, 0].softmax(-1).topk(best)
        guesses.append(list(zip(token.tolist(), p.tolist())))
    return guesses


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.first_look", description=__doc__.split("\n")[0])
    parser.add_argument("--run", required=True, help="run folder that minivbert.train wrote")
    parser.add_argument("--show", type=int, default=0, help="number of a show in data_sample/videos that has speech")
    parser.add_argument("--sentence", type=int, default=0, help="the first of the two sentences")
    parser.add_argument("--word", type=int, default=1, help="the word to hide, from 0")
    parser.add_argument("--clip", type=int, default=2, help="the clip to hide, from 0")
    parser.add_argument("--out", default="first_look.png", help="picture to write")
    o = parser.parse_args(argv)
    try:
        corpus = Corpus.open(DATA_SAMPLE / "corpus")
        model, _ = checkpoint.load_model(o.run)
        text, clips = segment(corpus, o.show, o.sentence)
        visual = corpus.video(o.show)[clips].astype(int)
        if not (0 <= o.word < len(text) and 0 <= o.clip < len(clips)):
            raise ValueError(f"word {o.word} of {len(text)}, clip {o.clip} of {len(clips)}: count from 0")
        words, moments = fill_in(model, corpus, text, visual, o.word, o.clip)
        film = [clip[15] for clip in clips_of(DATA_SAMPLE / "videos" / f"show_{o.show:03d}.mp4")]
        with np.load(corpus.folder / "exemplars.npz") as file:
            exemplars = file["frames"]
        plot_first_look([film[k] for k in clips], visual, [corpus.vocab.vocab[i] for i in text], o.word, o.clip,
                        [(corpus.vocab.vocab[i], p) for i, p in words], [(v, exemplars[v], p) for v, p in moments], Path(o.out))
    except (ValueError, OSError) as error:
        fail(error)
    print(f"picture: {o.out}")


if __name__ == "__main__":
    main()
