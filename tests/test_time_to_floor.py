"""How fast runs come to the floor: shares by hand, the moment a bar is passed for good, one sentence for what is no run."""
import json

import pytest

from minivbert import time_to_floor
from minivbert.checkpoint import RunError
from minivbert.time_to_floor import passed, read_curves

SUMMARY = {"text_unigram_nats": 4.0, "text_floor_nats": 0.0, "video_unigram_nats": 5.0, "video_floor_nats": 1.0, "alignment_ceiling": 0.91}


def make_run(folder, looks):
    """Write a run of (seconds, text nats, video nats, alignment accuracy) a look, with a line between looks that has none."""
    folder.mkdir()
    (folder / "summary.json").write_text(json.dumps(SUMMARY))
    lines = []
    for seconds, text, video, alignment in looks:
        lines += [{"seconds": seconds - 1}, {"seconds": seconds, "held_out_text_nats": text, "held_out_video_nats": video,
                                             "held_out_alignment_accuracy": alignment}]
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(folder)


def test_the_command_by_hand(tmp_path, capsys):
    fast = make_run(tmp_path / "fast", [(10, 2.0, 3.0, 0.5), (20, 0.4, 2.0, 0.88), (30, 0.0, 1.2, 0.92)])
    slow = make_run(tmp_path / "slow", [(10, 3.0, 4.0, 0.5), (20, 2.0, 3.0, 0.5), (30, 1.0, 2.0, 0.6)])
    curves = read_curves(fast)
    assert curves["text"] == [(10, 0.5), (20, 0.9), (30, 1.0)] and curves["video"] == [(10, 0.5), (20, 0.75), (30, pytest.approx(0.95))]
    assert curves["ceiling"] == 0.91 and curves["alignment"][-1] == (30, 0.92)
    time_to_floor.main(["--runs", fast, slow, "--out", str(tmp_path / "picture.png")])
    said = capsys.readouterr().out.splitlines()
    assert said[1].split()[1:] == ["25", "30", "25"] and said[2].split()[1:] == ["never"] * 3
    assert (tmp_path / "picture.png").stat().st_size > 10_000
    assert json.loads((tmp_path / "picture.json").read_text())[1]["text"] == [[10, 0.25], [20, 0.5], [30, 0.75]]


def test_a_bar_is_passed_when_it_is_passed_for_good():
    assert passed([(1, 0.96), (2, 0.9), (3, 1.0), (4, 1.0)], 0.95) == pytest.approx(2.5)
    assert passed([(1, 0.96), (2, 0.97)], 0.95) == 1.0 and passed([(1, 0.96), (2, 0.94)], 0.95) is None


def test_no_run_is_one_sentence(tmp_path, capsys):
    with pytest.raises(RunError, match="no finished run of a kitchen corpus"):
        read_curves(tmp_path)
    with pytest.raises(SystemExit) as stop:
        time_to_floor.main(["--runs", str(tmp_path)])
    assert stop.value.code == 2 and len(capsys.readouterr().err.strip().splitlines()) == 1
