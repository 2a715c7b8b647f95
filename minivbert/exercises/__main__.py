"""Exercises for a classroom: python -m minivbert.exercises start | check | hint | swap | grade | notebook | picture

    start                    write notebooks/exercises/work.py: the first exercise solved, stubs of the others
    check [NAME]             diagnose the answers: which known mistake an answer behaves like, or where it first differs
    hint NAME                a hint, and where the function stands in the chapter
    swap [NAME ...]          train VideoBERT with your functions in it, 30 s, beside the package's
    grade FOLDER --seed S    a table of grades as CSV on stdout, for teachers
    notebook [OUT]           the exercises as a notebook; --nbgrader: as the source of an nbgrader assignment, with solutions
    picture                  what each known mistake does to an attention map
"""
import argparse
import sys
from pathlib import Path

from minivbert.options import Parser, fail


def exercise_named(name):
    """Give the exercise of a name; raise ValueError that names them all."""
    from minivbert.exercises.table import EXERCISES
    if name not in EXERCISES:
        raise ValueError(f"no exercise {name!r}; there are {', '.join(EXERCISES)}")
    return EXERCISES[name]


def read_work(path):
    """Read the student's file, or say how to get one."""
    from minivbert.exercises.submission import read_submission
    if not Path(path).is_file():
        raise ValueError(f"{path}: not there; write it with: python -m minivbert.exercises start")
    return read_submission(path)


def run_start(o):
    """Write the student's file."""
    from minivbert.exercises.submission import start
    path = start(o.work, o.again)
    print(f"{path}: write your answers there, then run: python -m minivbert.exercises check")


def run_check(o):
    """Diagnose one answer or all; return 1 if one that is written is not right."""
    from minivbert.exercises.table import EXERCISES
    names, work = [exercise_named(o.name).name] if o.name else list(EXERCISES), read_work(o.work)
    verdicts = {name: work.judge(name) for name in names}
    todo = [name for name, verdict in verdicts.items() if verdict.kind == "not written"]
    for name, verdict in verdicts.items():
        if name not in todo or o.name:
            print(verdict)
    right = sum(verdict.right for verdict in verdicts.values())
    if not o.name:
        print(f"{right} of {len(names)} right" + (f"; to write: {', '.join(todo)}" if todo else ""))
    return int(right + len(todo) < len(names))


def run_hint(o):
    """Print a hint."""
    exercise = exercise_named(o.name)
    print(*exercise.hint, f"Lesson {exercise.lesson} of docs/classroom.md; the function is one of {exercise.where.split(':')[0]}, "
          f"and {len(exercise.mistakes)} mistakes in it are known by name.", sep="\n")


def run_swap(o):
    """Train with the student's functions."""
    from minivbert.config import DATA_SAMPLE
    from minivbert.exercises import swap
    from minivbert.tokens.corpus import Corpus
    for name in o.names:
        if exercise_named(name).name not in swap.PLACES:
            raise ValueError(f"{name} is no part of VideoBERT's training; these are: {', '.join(swap.PLACES)}")
    work, functions = read_work(o.work), {}
    for name in o.names or swap.PLACES:
        verdict = work.judge(name)
        if verdict.kind in ("right", "mistake", "wrong"):
            functions[name] = work.answer(name)
        if verdict.kind != "not written" or o.names:
            print(verdict.english + ("" if name in functions else " It is left out."))
    if not functions:
        raise ValueError(f"{o.work}: no answer there can be put into the model yet; write one of {', '.join(swap.PLACES)}")
    try:
        print(swap.table_of(*swap.swap(functions, Corpus.open(DATA_SAMPLE / "corpus"), o.seconds, o.seed)))
    except Exception as error:
        raise ValueError(f"{o.work}: with yours in the model the training stops, {type(error).__name__}: {error}; "
                         "see what check says") from error


def run_grade(o):
    """Grade a folder."""
    from minivbert.exercises.grade import grade
    grade(o.folder, o.seed, o.limit, sys.stdout)


def run_notebook(o):
    """Write the assignment notebook."""
    from minivbert.exercises.notebook import write_notebook
    write_notebook(o.out, o.nbgrader)
    print(o.out)


def run_picture(o):
    """Draw what mistakes do to an attention map."""
    from minivbert.exercises.picture import draw
    draw(o.out)
    print(f"picture: {o.out}")


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.exercises", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    own = Parser(add_help=False)
    own.add_argument("--work", default="notebooks/exercises/work.py", help="file with the answers (default: notebooks/exercises/work.py)")

    def command(run, about, parents=()):
        added = commands.add_parser(run.__name__.removeprefix("run_"), description=about, parents=parents)
        added.set_defaults(run=run)
        return added

    added = command(run_start, "write the file to answer in", [own])
    added.add_argument("--again", action="store_true", help="begin anew; the file that is there is kept as work_before.py")
    added = command(run_check, "diagnose the answers", [own])
    added.add_argument("name", nargs="?", help="one exercise (default: all)")
    command(run_hint, "print a hint").add_argument("name", help="an exercise")
    added = command(run_swap, "train VideoBERT with your functions in it", [own])
    added.add_argument("names", nargs="*", help="exercises (default: all that are written)")
    added.add_argument("--seconds", type=float, default=30, help="to train with yours (default: 30)")
    added.add_argument("--seed", type=int, default=0, help="of both runs (default: 0)")
    added = command(run_grade, "grade a folder of submissions; CSV on stdout")
    added.add_argument("folder", help="folder of .py or .ipynb files, or of folders with one each")
    added.add_argument("--seed", type=int, required=True, help="of the cases that answers are tried on")
    added.add_argument("--limit", type=float, default=30, help="seconds an answer may take (default: 30)")
    added = command(run_notebook, "write the exercises as a notebook")
    added.add_argument("out", nargs="?", default="notebooks/exercises/exercises.ipynb", help="file to write (default: %(default)s)")
    added.add_argument("--nbgrader", action="store_true", help="source of an nbgrader assignment: with solutions and points")
    added = command(run_picture, "draw what each mistake does to an attention map")
    added.add_argument("--out", default="mistakes.png", help="picture to write (default: %(default)s)")
    options = parser.parse_args(argv)
    try:
        return options.run(options) or 0
    except (ValueError, OSError) as error:
        fail(error)


if __name__ == "__main__":
    sys.exit(main())
