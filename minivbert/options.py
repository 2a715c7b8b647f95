"""Turn config dataclasses into command-line options, and errors into one sentence."""
import argparse
import sys
from dataclasses import fields, is_dataclass, replace


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence on stderr and exit code 2."""

    def error(self, message):
        """Print the sentence and leave."""
        fail(f"{self.prog}: {message}")


def fail(sentence):
    """Print one sentence on stderr and exit with 2."""
    print(" ".join(str(sentence).split()), file=sys.stderr)
    raise SystemExit(2)


def add_options(parser, config):
    """Add an option a field of a config dataclass and of the dataclasses within it; unset ones stay out of the namespace.

    A tuple takes as many values as its default; a bool takes yes or no.
    """
    for f in fields(config):
        value = getattr(config, f.name)
        if is_dataclass(value):
            add_options(parser.add_argument_group(type(value).__doc__), value)
        elif "help" in f.metadata and f.name != "preset":
            shape = dict(nargs=len(value), type=type(value[0])) if isinstance(value, tuple) else dict(
                type=yes_or_no if isinstance(value, bool) else type(value))
            parser.add_argument(f"--{f.name.replace('_', '-')}", default=argparse.SUPPRESS, metavar=f.name[0].upper(),
                                help=f"{f.metadata['help']} (default: {value})".replace("%", "%%"), **shape)


def yes_or_no(text):
    """Read a bool option.

    >>> yes_or_no("yes"), yes_or_no("no")
    (True, False)
    """
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"expected yes or no, got {text!r}")
    return text == "yes"


def apply_options(config, options):
    """Replace the fields that the namespace has a value for, in a config and the configs within it."""
    new = {}
    for f in fields(config):
        value = getattr(config, f.name)
        if is_dataclass(value):
            new[f.name] = apply_options(value, options)
        elif f.name != "preset" and hasattr(options, f.name):
            given = getattr(options, f.name)
            new[f.name] = tuple(given) if isinstance(given, list) else given
    return replace(config, **new)
