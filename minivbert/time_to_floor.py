"""How fast do runs come to the floor? python -m minivbert.time_to_floor --runs runs/seed0 runs/seed1 runs/seed2 --out time_to_floor.png

Reads history.jsonl and summary.json of finished runs of a kitchen corpus (train them with a small --eval-every, for a point a look),
prints after how many seconds each run passed the bars, and draws the share of the distance from unigram to floor against the time.
Seconds are wall time of training and scoring, as the log has them. The curves are kept beside the picture as .json.
"""
import json
from pathlib import Path

from minivbert.checkpoint import RunError
from minivbert.files import replace_file
from minivbert.options import Parser, fail
from minivbert.plot import plot_time_to_floor

CLOSED, BELOW = 0.95, 0.01                # bars: share of the way to the floor; alignment, below the ceiling


def read_curves(run):
    """Read a finished run: {"text", "video": [(seconds, share of the way)], "alignment": [(seconds, accuracy)], "ceiling": float}.

    Raises RunError for a folder that is none, or whose corpus has no floor.
    """
    run = Path(run)
    try:
        summary = json.loads((run / "summary.json").read_text())
        lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
        looks = [line for line in lines if "held_out_alignment_accuracy" in line]
        curves = {"alignment": [(line["seconds"], line["held_out_alignment_accuracy"]) for line in looks],
                  "ceiling": summary["alignment_ceiling"]}
        for part in ("text", "video"):
            start, floor = summary[f"{part}_unigram_nats"], summary[f"{part}_floor_nats"]
            curves[part] = [(line["seconds"], (start - line[f"held_out_{part}_nats"]) / (start - floor)) for line in looks]
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"{run}: no finished run of a kitchen corpus ({error}); "
                       f"make one with: python -m minivbert.train --out {run}") from error
    return curves


def passed(curve, bar):
    """Give the seconds after which a curve [(seconds, value)] stays at or above a bar, between two looks by a straight line; else None.

    >>> passed([(10, 0.5), (20, 1.0)], 0.75), passed([(10, 0.5)], 0.75), passed([(10, 1.0), (20, 0.5), (30, 1.0)], 0.75)
    (15.0, None, 25.0)
    """
    below = [i for i, (_, value) in enumerate(curve) if value < bar]
    if not below:
        return float(curve[0][0])
    if below[-1] == len(curve) - 1:
        return None
    (t, value), (later, above) = curve[below[-1]:below[-1] + 2]
    return t + (later - t) * (bar - value) / (above - value)


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.time_to_floor", description=__doc__.split("\n")[0])
    parser.add_argument("--runs", nargs="+", required=True, help="folders of finished runs, one a seed")
    parser.add_argument("--out", default="time_to_floor.png", help="picture to write")
    o = parser.parse_args(argv)
    try:
        runs = [read_curves(run) for run in o.runs]
        times = [{part: passed(curves[part], curves["ceiling"] - BELOW if part == "alignment" else CLOSED)
                  for part in ("text", "video", "alignment")} for curves in runs]
        plot_time_to_floor(runs, CLOSED, BELOW, Path(o.out))
        replace_file(Path(o.out).with_suffix(".json"), lambda path: path.write_text(json.dumps(runs) + "\n"))
    except (ValueError, OSError) as error:
        fail(error)
    print(f"{'seconds until':<24}{f'text {CLOSED:.0%}':>12}{f'video {CLOSED:.0%}':>12}{'alignment, 1 point below the ceiling':>40}")
    for run, time in zip(o.runs, times):
        text, video, alignment = ("never" if time[part] is None else f"{time[part]:.0f}" for part in ("text", "video", "alignment"))
        print(f"{run:<24}{text:>12}{video:>12}{alignment:>40}")
    print(f"picture: {o.out}")


if __name__ == "__main__":
    main()
