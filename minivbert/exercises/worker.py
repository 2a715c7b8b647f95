"""The process that one submission is judged in: `grade` starts it, asks for one exercise a line, and kills it if it hangs.

    python -m minivbert.exercises.worker SUBMISSION SEED          reads exercise names, answers each with a line of JSON
"""
import json
import os
import sys

from minivbert.exercises.submission import read_submission


def main():
    """Ask and answer on copies of stdin and stdout: a student's input() finds nothing, print() goes nowhere, exit() closes stdin."""
    path, seed = sys.argv[1], int(sys.argv[2])
    questions, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)

    def answer(**line):
        print(json.dumps(line), file=answers, flush=True)

    answer(ready=True)
    submission = read_submission(path)
    answer(read=True)
    for name in questions:
        verdict = submission.judge(name.strip(), (seed, seed + 1))
        answer(kind=verdict.kind, mistakes=verdict.mistakes, english=verdict.english)


if __name__ == "__main__":
    main()
