"""What the cook says, and when: sentences from templates, out of time with the hands by a known lag.

The cook starts after 0 to 2 clips and then speaks sentence after sentence until the next one would outlast the show:

    W ~ LENGTHS                       tokens of the sentence, full stop included: nothing else sets how long it takes
    topic = step at clip t + lag      the cook announces what the hands do `lag` clips later (drawn once a show)
            chatter                   with probability `world.chatter`, and whenever clip t + lag is past the end
    template ~ uniform(of length W)   then each slot of it, independently, given the topic

Since W depends on nothing, the starting times of sentences form a renewal process that tells nothing about the dish, and the
oracle needs no more than a table of how often a sentence starts at clip t.

Not stated in the paper, our choice: everything here; the paper's cooks are on YouTube.

    >>> import numpy as np
    >>> from minivbert.kitchen.recipes import World
    >>> show = narrate(World(speech=1.0).sample(np.random.default_rng(3)), World(speech=1.0), np.random.default_rng(3))
    >>> show.sentences[0].text
    'it smells so good in the kitchen already.'
"""
import math
import re
from dataclasses import dataclass, replace

from minivbert.kitchen.recipes import ACTIONS, CLIP_SECONDS

WORD_SECONDS = 0.5            # an unhurried cook, pauses included
LEAD_SECONDS = 0.15           # silence between the start of a clip and the first word in it
START_CLIPS = (0.5, 0.3, 0.2)    # P(the first sentence starts with clip 0, 1, 2)
LENGTHS = {6: 0.12, 7: 0.16, 8: 0.16, 9: 0.20, 10: 0.14, 11: 0.14, 13: 0.08}     # P(W)

# V verb, I ingredient, R place's preposition, P place, T tool, G how it looks when done, A manner
TEMPLATES = """
now we {V} the {I} .
please {V} the {I} {A} .
go on and {V} the {I} .
{V} the {I} {R} the {P} .
you {V} the {I} {R} the {P} .
i like to {V} the {I} {A} .
take the {T} and {V} the {I} now .
next {V} the {I} until it is {G} .
take the {I} and {V} it {R} the {P} .
with the {T} you {V} it , the {I} .
now let me show you how to {V} the {I} .
now let ' s {V} the {I} {R} the {P} .
now we {V} the {I} {R} the {P} until it is {G} .
take your {T} , then {V} the {I} until it is {G} .
""".strip().split("\n")
CHATTER = """
this is my favourite part .
do not forget to subscribe .
my grandmother taught me this one .
this never fails , trust me .
thank you so much for watching today .
i could eat this every single day .
it smells so good in the kitchen already .
let me know in the comments what you think .
i have made this so many times with my kids .
if you are new here please leave a like and do subscribe .
""".strip().split("\n")

WORDS = {
    "V": {"peel": {"peel": 0.8, "clean": 0.2}, "slice": {"slice": 0.6, "cut": 0.4}, "chop": {"chop": 0.5, "cut": 0.3, "dice": 0.2},
          "grate": {"grate": 0.7, "shred": 0.3}, "fry": {"fry": 0.5, "cook": 0.3, "brown": 0.2},
          "boil": {"boil": 0.5, "cook": 0.3, "simmer": 0.2}, "whisk": {"whisk": 0.5, "beat": 0.3, "mix": 0.2},
          "mash": {"mash": 0.7, "crush": 0.3}, "pour": {"pour": 0.6, "add": 0.4}, "roll": {"roll": 0.7, "stretch": 0.3},
          "bake": {"bake": 0.5, "roast": 0.2, "cook": 0.3}, "sprinkle": {"sprinkle": 0.5, "scatter": 0.2, "add": 0.3}},
    "I": {"tomato": {"tomato": 1.0}, "onion": {"onion": 1.0}, "carrot": {"carrot": 1.0}, "potato": {"potato": 1.0},
          "mushroom": {"mushroom": 1.0}, "pepper": {"pepper": 1.0}, "apple": {"apple": 0.8, "fruit": 0.2}, "egg": {"egg": 1.0},
          "cheese": {"cheese": 0.7, "cheddar": 0.3}, "bread": {"bread": 0.7, "loaf": 0.3}, "dough": {"dough": 0.8, "batter": 0.2},
          "milk": {"milk": 1.0}, "chicken": {"chicken": 0.7, "meat": 0.3}, "fish": {"fish": 0.7, "salmon": 0.3},
          "rice": {"rice": 1.0}, "basil": {"basil": 0.6, "herbs": 0.4}},
    "R": {"boil": {"in": 1.0}, "fry": {"in": 1.0}, "whisk": {"in": 1.0}, "mash": {"in": 1.0}, "bake": {"in": 1.0},
          "pour": {"into": 0.7, "over": 0.3}, "sprinkle": {"over": 0.7, "on": 0.3}, **dict.fromkeys(
              ("peel", "slice", "chop", "grate", "roll"), {"on": 1.0})},
    "P": {"fry": {"pan": 0.7, "skillet": 0.3}, "boil": {"pot": 0.7, "saucepan": 0.3}, "whisk": {"bowl": 1.0}, "mash": {"bowl": 1.0},
          "bake": {"oven": 1.0}, "pour": {"bowl": 0.6, "dish": 0.4}, "sprinkle": {"plate": 0.6, "dish": 0.4},
          "roll": {"counter": 0.6, "board": 0.4}, "grate": {"board": 0.6, "plate": 0.4},
          **dict.fromkeys(("peel", "slice", "chop"), {"board": 0.8, "counter": 0.2})},
    "T": {"peel": {"peeler": 0.8, "knife": 0.2}, "slice": {"knife": 1.0}, "chop": {"knife": 0.7, "cleaver": 0.3},
          "grate": {"grater": 1.0}, "fry": {"spatula": 0.7, "oil": 0.3}, "boil": {"spoon": 0.6, "lid": 0.4},
          "whisk": {"fork": 0.5, "mixer": 0.5}, "mash": {"masher": 0.7, "fork": 0.3}, "pour": {"jug": 0.8, "cup": 0.2},
          "roll": {"pin": 1.0}, "bake": {"tray": 0.7, "tin": 0.3}, "sprinkle": {"spoon": 0.4, "jar": 0.6}},
    "G": {"peel": {"clean": 0.5, "bare": 0.5}, "slice": {"thin": 0.6, "even": 0.4}, "chop": {"small": 0.6, "even": 0.4},
          "grate": {"fine": 0.6, "fluffy": 0.4}, "fry": {"golden": 0.5, "crisp": 0.5}, "boil": {"soft": 0.6, "tender": 0.4},
          "whisk": {"smooth": 0.5, "foamy": 0.5}, "mash": {"smooth": 0.6, "creamy": 0.4}, "pour": {"even": 0.5, "full": 0.5},
          "roll": {"thin": 0.5, "flat": 0.5}, "bake": {"golden": 0.6, "crisp": 0.4}, "sprinkle": {"covered": 0.7, "even": 0.3}},
    "A": {"peel": {"carefully": 0.6, "quickly": 0.4}, "slice": {"thinly": 0.6, "carefully": 0.4}, "chop": {"finely": 0.6, "quickly": 0.4},
          "grate": {"finely": 0.5, "slowly": 0.5}, "fry": {"gently": 0.6, "slowly": 0.4}, "boil": {"gently": 0.5, "slowly": 0.5},
          "whisk": {"quickly": 0.7, "gently": 0.3}, "mash": {"roughly": 0.7, "gently": 0.3}, "pour": {"slowly": 0.8, "carefully": 0.2},
          "roll": {"thinly": 0.6, "evenly": 0.4}, "bake": {"slowly": 0.5, "evenly": 0.5}, "sprinkle": {"evenly": 0.6, "lightly": 0.4}},
}


@dataclass(frozen=True)
class Sentence:
    """One sentence: its tokens, the clip that it starts with, its topic (index into `ACTIONS`, -1 for chatter)."""
    tokens: tuple
    clip: int
    topic: int

    @property
    def clips(self):
        """Count the clips that the sentence covers."""
        return sentence_clips(len(self.tokens))

    @property
    def text(self):
        """Join the tokens as people write them."""
        return re.sub(r" (?=[.,'])|(?<=') ", "", " ".join(self.tokens))

    @property
    def span(self):
        """Give (start, end) of the spoken words in seconds."""
        start = self.clip * CLIP_SECONDS + LEAD_SECONDS
        return start, start + WORD_SECONDS * (len(self.tokens) - 1)


def sentence_clips(tokens):
    """Count the clips that a sentence of so many tokens (full stop included) takes.

    >>> [sentence_clips(w) for w in LENGTHS]
    [2, 3, 3, 3, 4, 4, 5]
    """
    return math.ceil((LEAD_SECONDS + WORD_SECONDS * (tokens - 1)) / CLIP_SECONDS)


def templates_of(length, chatter):
    """List the templates with so many tokens, each a tuple of tokens and "{slot}" marks."""
    return [tuple(t.split()) for t in (CHATTER if chatter else TEMPLATES) if len(t.split()) == length]


def slot_words(slot, topic):
    """Give the words of slot "V", "I", ... and their probabilities for an action (index into `ACTIONS`)."""
    verb, ingredient = ACTIONS[topic]
    return WORDS[slot][ingredient if slot == "I" else verb]


def all_words():
    """List every token that the cook can say, sorted."""
    literal = {w for t in TEMPLATES + CHATTER for w in t.split() if not w.startswith("{")}
    return sorted(literal | {w for table in WORDS.values() for words in table.values() for w in words})


def narrate(show, world, rng):
    """Let the cook speak, or not (`world.speech`): draw the lag and all sentences of a show.

    Returns the show with `lag` and `sentences` set; without speech, as it was.
    """
    if rng.random() >= world.speech:
        return show
    lag = int(rng.choice(len(world.lags), p=world.lags))
    clip, sentences = int(rng.choice(len(START_CLIPS), p=START_CLIPS)), []
    while True:
        length = int(rng.choice(list(LENGTHS), p=list(LENGTHS.values())))
        if clip + sentence_clips(length) > len(show.action):
            return replace(show, lag=lag, sentences=tuple(sentences))
        over = clip + lag >= len(show.action)
        topic = -1 if over or rng.random() < world.chatter else int(show.action[clip + lag])
        choices = templates_of(length, topic < 0)
        tokens = []
        for word in choices[rng.integers(len(choices))]:
            if word.startswith("{"):
                table = slot_words(word[1], topic)
                word = str(rng.choice(list(table), p=list(table.values())))
            tokens.append(word)
        sentences.append(Sentence(tuple(tokens), clip, topic))
        clip += sentences[-1].clips
