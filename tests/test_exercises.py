"""The exercises: every known mistake is named, nothing wrong passes, nothing right is refused; commands, grading, swapping."""
import ast
import csv
import inspect
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from exercise_right import RIGHT
from exercise_wrong import WRONG

from minivbert.config import DATA_SAMPLE
from minivbert.exercises import swap
from minivbert.exercises.__main__ import main
from minivbert.exercises.by_hand import layer_norm
from minivbert.exercises.diagnosis import diagnose
from minivbert.exercises.exercise import Exercise, Mistake, StaleEdit
from minivbert.exercises.grade import grade, submissions_in
from minivbert.exercises.submission import read_submission, start, work_text
from minivbert.exercises.table import EXERCISES
from minivbert.tokens.corpus import Corpus

ROOT = Path(__file__).parent.parent


def work_with(path, broken=None, text=None):
    """Write a submission: all solutions, {exercise: mistake} put in, {exercise: text} in the place of others; return its path."""
    parts = ["import numpy as np\nimport torch\nimport torch.nn.functional as F\n"]
    for name, exercise in EXERCISES.items():
        mistake = next((m for m in exercise.mistakes if m.name == (broken or {}).get(name)), None)
        source = exercise._renamed(exercise.edited(mistake)) if mistake else exercise.solution()
        parts.append(f"\n{exercise.imports()}\n{(text or {}).get(name, source)}\n")
    path.write_text("".join(parts), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_is_right_and_every_known_mistake_is_named(name):
    exercise = EXERCISES[name]
    assert diagnose(exercise.correct(), name).right
    assert len(exercise.mistakes) >= 4
    for mistake in exercise.mistakes:
        verdict = diagnose(exercise.broken(mistake), name)
        assert verdict.mistakes == (mistake.name,), f"{mistake.name}: {verdict}"
        assert mistake.english in verdict.english and mistake.korean in verdict.korean and re.search("[가-힣]", mistake.korean)


def test_there_are_fifteen_and_enough_answers_to_try_them_on():
    assert len(EXERCISES) == 15 and set(RIGHT) == set(WRONG) == set(EXERCISES)
    assert sum(map(len, WRONG.values())) >= 60 and min(map(len, RIGHT.values())) >= 2
    assert [e.lesson for e in EXERCISES.values()] == sorted(e.lesson for e in EXERCISES.values())


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answers_in_other_styles_pass(name):
    for answer in RIGHT[name]:
        for seeds in ((0, 1), (100, 101)):
            verdict = diagnose(answer, name, seeds)
            assert verdict.right, f"{answer.__name__}: {verdict}"


@pytest.mark.parametrize("name", EXERCISES)
def test_wrong_answers_never_pass_nor_fail_for_their_form(name):
    for number, answer in enumerate(WRONG[name]):
        verdict = diagnose(answer, name, seeds=(0,))
        assert verdict.kind in ("wrong", "mistake", "shape", "none"), f"answer {number}, {answer.__name__}: {verdict}"


@pytest.mark.parametrize("name", ["mask_tokens", "alignment_pairs", "attention"])
def test_chance_does_not_fail_an_answer(name):
    """Rates have margins; over many seeds no right answer may fall outside."""
    for seed in range(200, 212):
        for answer in (*RIGHT[name][-1:], EXERCISES[name].correct()):
            verdict = diagnose(answer, name, (seed,))
            assert verdict.right, f"seed {seed}: {verdict}"


def test_an_edit_that_no_longer_finds_its_place_fails_loudly(monkeypatch):
    exercise = EXERCISES["attention"]
    with pytest.raises(StaleEdit, match="'gone' of attention.* 0 times .*no such text"):
        exercise.broken(Mistake("gone", "no such text", "", "", ""))
    with pytest.raises(StaleEdit, match="expected once"):
        exercise.broken(Mistake("twice", "weights_BHTS", "", "", ""))
    rewritten = exercise.source().replace("scores_BHTS.softmax(-1)", "F.softmax(scores_BHTS, -1)")
    monkeypatch.setattr(Exercise, "source", lambda self: rewritten)
    with pytest.raises(StaleEdit, match="the function has changed"):
        exercise.broken(next(m for m in exercise.mistakes if m.name == "softmax-over-queries"))


def test_stubs_are_cut_from_the_package_and_give_nothing_away():
    for exercise in EXERCISES.values():
        ours, stub = (ast.parse(text).body[0] for text in (exercise.source(), exercise.stub()))
        assert ast.dump(ours.args) == ast.dump(stub.args) and stub.name == exercise.name
        assert len(stub.body) == 2 and isinstance(stub.body[1], ast.Raise)
        docstring = ast.get_docstring(stub)
        assert len(docstring) > 100 and ast.get_docstring(ours).split()[:8] == docstring.split()[:8]
    assert work_text().count('raise NotImplementedError("write me")') == len(EXERCISES) - 1


def test_cases_give_arguments_in_order_and_tell_axes_apart():
    for exercise in EXERCISES.values():
        parameters = list(inspect.signature(exercise.reference).parameters)
        for case in exercise.cases(5):
            assert list(case.args) == parameters[:len(case.args)]
    for name in ("attention", "split_heads", "layer_norm", "masked_lm_loss"):
        x = next(iter(EXERCISES[name].cases(5)[0].args.values()))
        assert len(set(x.shape)) == x.ndim


def test_the_layer_norm_by_hand_is_the_models():
    x_BTD, norm = torch.randn(3, 4, 8) * 3 + 1, torch.nn.LayerNorm(8, eps=1e-3)
    torch.nn.init.normal_(norm.weight)
    assert torch.allclose(layer_norm(x_BTD, norm.weight, norm.bias, norm.eps), norm(x_BTD), atol=1e-6)


def test_a_fresh_file_has_one_right_answer_and_is_never_overwritten(tmp_path):
    path = start(tmp_path / "work.py")
    work = read_submission(path)
    assert not work.errors
    kinds = [work.judge(name).kind for name in EXERCISES]
    assert kinds == ["right"] + ["not written"] * (len(EXERCISES) - 1)
    path.write_text("mine = 1\n")
    with pytest.raises(ValueError, match="is there already"):
        start(path)
    start(path, again=True)
    assert (tmp_path / "work_before.py").read_text() == "mine = 1\n" and "def attention(" in path.read_text()
    with pytest.raises(ValueError, match="would be lost"):
        start(path, again=True)


def test_every_other_trouble_has_its_sentence(tmp_path):
    text = {
        "attention": "def attention(q_BHTK, k_BHSK, v_BHSK, mask=None, rate=0.0):\n    return q_BHTK @ k_BHSK, None",
        "layer_norm": "def layer_norm(x, w, b, e):\n    return x +",
        "patchify": "from minivbert.vision.vit import patchify",
        "cloze": "", "masked_lm_loss": "exit()",
        "next_token_topk": "def next_token_topk(p_C, k=3):\n    exit()",
        "split_heads": "def split_heads(x_BTE, heads, K):\n    x_BTE.unflatten(-1, (-1, heads, K))",
    }
    path = work_with(tmp_path / "work.py", text=text)
    work = read_submission(path)
    said = {name: work.judge(name) for name in EXERCISES}
    line = path.read_text().splitlines().index("    return q_BHTK @ k_BHSK, None") + 1
    assert said["attention"].kind == "raised" and f"line {line} of work.py: return q_BHTK @ k_BHSK, None" in said["attention"].english
    assert "Inputs: q_BHTK (" in said["attention"].english
    assert said["layer_norm"].kind == "raised" and "SyntaxError" in said["layer_norm"].english
    assert said["patchify"].kind == "copied" and said["masked_lm_loss"].kind == "not written" and said["split_heads"].kind == "none"
    assert said["next_token_topk"].kind == "raised" and "SystemExit" in said["next_token_topk"].english
    assert all(said[name].right for name in EXERCISES if name not in text)


def test_two_mistakes_at_once_are_both_named():
    def attention(q, k, v, mask=None, rate=0.0):
        scores = q @ k.mT if mask is None else q @ k.mT + mask
        return scores.softmax(-1) @ v, scores.softmax(-1)

    verdict = diagnose(attention, "attention")
    assert verdict.mistakes == ("no-scale", "no-dropout") and "on some of the inputs" in verdict.english


def test_a_notebook_is_read_like_a_file(tmp_path):
    code = ["%matplotlib inline\nimport torch\n", "def count_parameters(module):\n    return sum(p.numel() for p in module.parameters())"]
    cells = [{"cell_type": "code", "source": code[0]}, {"cell_type": "markdown", "source": "def f("}, {"cell_type": "code", "source": [code[1]]}]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
    assert read_submission(tmp_path / "a.ipynb").judge("count_parameters").right
    (tmp_path / "b.ipynb").write_text("{")
    with pytest.raises(ValueError, match="b.ipynb: cannot be read"):
        read_submission(tmp_path / "b.ipynb")


@pytest.mark.parametrize("words, said", [
    (["check", "attension"], "no exercise 'attension'; there are count_parameters"),
    (["check", "--work", "nowhere.py"], "nowhere.py: not there; write it with"),
    (["hint", "nothing"], "no exercise 'nothing'"),
    (["swap", "patchify"], "patchify is no part of VideoBERT's training"),
    (["grade", "nowhere", "--seed", "1"], "nowhere: holds no submission"),
])
def test_bad_input_is_one_sentence(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(words)
    error = capsys.readouterr().err
    assert left.value.code == 2 and said in error and error.count("\n") == 1


def test_check_and_hint_speak(tmp_path, capsys):
    path = work_with(tmp_path / "work.py", {"attention": "mask-inverted"})
    assert main(["check", "attention", "--work", str(path)]) == 1
    assert main(["check", "split_heads", "--work", str(path)]) == 0
    main(["hint", "attention"])
    said = capsys.readouterr().out
    assert "mistake mask-inverted. The mask is inverted" in said and "마스크가 뒤집혔습니다" in said and "split_heads: right." in said
    assert "12 mistakes in it are known" in said


@pytest.fixture(scope="module")
def corpus():
    return Corpus.open(DATA_SAMPLE / "corpus")


def test_swapping_in_a_right_answer_changes_nothing_and_a_wrong_one_does(corpus):
    before = [getattr(*place) for place in swap.PLACES.values()]
    right = {"attention": RIGHT["attention"][1], "split_heads": RIGHT["split_heads"][1]}
    yours, reference, agreement = swap.swap(right, corpus, seconds=0.01)
    assert agreement is None and yours[-1][1] == pytest.approx(reference[-1][1], abs=1e-3)
    attention = EXERCISES["attention"]
    wrong = attention.broken(next(m for m in attention.mistakes if m.name == "multiplied"))
    worse = swap.train_with({"attention": wrong}, corpus, swap.small_config(0), steps=reference[-1][0])
    assert abs(worse[-1][1]["text_nats"] - reference[-1][1]["text_nats"]) > 1e-3
    assert [getattr(*place) for place in swap.PLACES.values()] == before


def test_clusters_anew_are_the_students(corpus):
    one = {"assign_clusters": RIGHT["assign_clusters"][0], "kmeans_step": RIGHT["kmeans_step"][0]}
    theirs = swap.cluster_anew(corpus, {})
    assert theirs.visual_words == 36 and len(np.unique(theirs.visual)) > 30
    assert (swap.cluster_anew(corpus, one).visual == theirs.visual).all()
    step = EXERCISES["kmeans_step"]
    assert (swap.cluster_anew(corpus, {"kmeans_step": step.broken(step.mistakes[3])}).visual != theirs.visual).any()


def test_the_classroom_page_is_about_these_exercises():
    page = (ROOT / "docs" / "classroom.md").read_text(encoding="utf-8")
    for exercise in EXERCISES.values():
        lesson = page.split(f"## Lesson {exercise.lesson}")[1].split("## ")[0]
        assert f"`{exercise.name}`" in lesson
    for name in re.findall(r"mistake `([\w-]+)`", page):
        assert any(name == mistake.name for exercise in EXERCISES.values() for mistake in exercise.mistakes), name
    from minivbert.exercises.__main__ import __doc__ as usage
    for command in re.findall(r"python -m minivbert\.exercises (\w+)", page):
        assert f"    {command} " in usage, command


@pytest.mark.slow
def test_ten_submissions_are_graded_and_the_worst_costs_a_cell_each(tmp_path):
    loop = "def patchify(images_BCHW, p):\n    while True:\n        pass"
    leave = "import os\n\ndef attention(*args):\n    print('not JSON')\n    os._exit(0)"
    crash = "import ctypes\n\ndef layer_norm(*args):\n    return ctypes.string_at(0)"
    expected = {}

    def hand_in(name, cells=None, broken=None, text=None):
        work_with(tmp_path / f"{name}.py", broken, text)
        expected[f"{name}.py"] = {exercise: "right" for exercise in EXERCISES} | (broken or {}) | (cells or {})

    hand_in("ada")
    hand_in("ben", broken={"attention": "no-scale", "mask_tokens": "two-draws", "kmeans_step": "empty-stays"})
    hand_in("cem", {"patchify": "time limit"}, text={"patchify": loop})
    hand_in("dia", {"attention": "ended"}, text={"attention": leave})
    hand_in("eva", {"layer_norm": "ended"}, text={"layer_norm": crash})
    hand_in("fay", {"split_heads": "raised", "layer_norm": "raised"}, text={"split_heads": "def split_heads(x_BTE, heads, K):\n    exit()",
                                                                           "layer_norm": "def layer_norm(x:\n    return"})
    hand_in("gil", {"patchify": "time limit", "attention": "ended", "layer_norm": "ended"},
            text={"patchify": loop, "attention": leave, "layer_norm": crash})
    hand_in("hal", {"alignment_pairs": "copied"}, text={"alignment_pairs": "from minivbert.pretraining.alignment import alignment_pairs"})
    hand_in("ida", {"mask_tokens": "not written", "attention": "wrong"},
            text={"mask_tokens": "exit()", "attention": "def attention(q, k, v, mask=None, rate=0.0):\n    return q * 0, (q @ k.mT) * 0"})
    start(tmp_path / "jon.py")
    expected["jon.py"] = {name: "not written" for name in EXERCISES} | {"count_parameters": "right"}
    out = io.StringIO()
    rights = grade(tmp_path, seed=7, limit=40, out=out, progress=False)
    rows = {row["submission"]: row for row in csv.DictReader(io.StringIO(out.getvalue()))}
    assert set(rows) == set(expected) and len(rows) == 10
    for name, cells in expected.items():
        assert {exercise: rows[name][exercise] for exercise in EXERCISES} == cells, name
        assert rights[name] == int(rows[name]["right"]) == list(cells.values()).count("right")


@pytest.mark.slow
def test_a_file_that_hangs_when_read_costs_one_limit(tmp_path):
    (tmp_path / "loop.py").write_text("x = [0 for _ in iter(int, 1)]\n")
    out = io.StringIO()
    assert grade(tmp_path, seed=7, limit=3, out=out, progress=False) == {"loop.py": 0}
    assert out.getvalue().splitlines()[1] == "loop.py," + "time limit," * 15 + "0,15"


@pytest.mark.slow
def test_all_that_can_be_swapped_trains_the_real_model(corpus, tmp_path, capsys):
    functions = {name: RIGHT[name][0] for name in swap.PLACES}
    yours, reference, agreement = swap.swap(functions, corpus, seconds=20)
    assert agreement == 1 and yours[-1][1]["text_nats"] < yours[0][1]["text_nats"] - 1
    assert "has learned as much" in swap.table_of(yours, reference, agreement)
    path = work_with(tmp_path / "work.py", {"mask_tokens": "weights-inverted"})
    main(["swap", "mask_tokens", "--work", str(path), "--seconds", "15"])
    assert "mistake weights-inverted" in (said := capsys.readouterr().out) and "lacks" in said


@pytest.mark.slow
def test_the_students_pytest_is_green_at_first_and_names_mistakes_later(tmp_path):
    for name in ("conftest.py", "test_work.py"):
        (tmp_path / name).write_text((ROOT / "notebooks" / "exercises" / name).read_text())

    def run():
        return subprocess.run([sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--doctest-modules", str(tmp_path)],
                              check=False, capture_output=True, text=True, cwd=ROOT)

    assert "15 skipped" in run().stdout
    start(tmp_path / "work.py")
    first = run()
    assert first.returncode == 0 and "1 passed, 14 skipped" in first.stdout
    work_with(tmp_path / "work.py", {"attention": "softmax-over-queries"})
    later = run()
    assert later.returncode == 1 and "1 failed, 14 passed" in later.stdout and "mistake softmax-over-queries" in later.stdout


@pytest.mark.slow
def test_the_notebooks_run_and_the_graders_one_is_all_right(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    for graded in (False, True):
        path = tmp_path / f"{graded}.ipynb"
        main(["notebook", str(path)] + ["--nbgrader"] * graded)
        notebook = nbformat.read(path, 4)
        nbformat.validate(notebook)
        source = "\n".join(cell.source for cell in notebook.cells)
        assert source.count("BEGIN SOLUTION") == (15 if graded else 0) and source.count("raise NotImplementedError") == (0 if graded else 14)
        nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}).execute()
        said = "".join(out.text for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs if out.output_type == "stream")
        assert said.count(": right.") == (15 if graded else 1) and said.count("not written yet") == (0 if graded else 14)


def test_the_graders_notebook_has_its_marks(tmp_path):
    pytest.importorskip("nbformat")
    main(["notebook", str(tmp_path / "a.ipynb"), "--nbgrader"])
    marks = [cell["metadata"]["nbgrader"] for cell in json.loads((tmp_path / "a.ipynb").read_text())["cells"]]
    assert len({mark["grade_id"] for mark in marks}) == len(marks) == 2 + 3 * 15
    assert sum(mark.get("points", 0) for mark in marks) == 15 and sum(mark["solution"] for mark in marks) == 15


@pytest.mark.slow
def test_the_picture_of_mistakes_is_drawn(tmp_path):
    main(["picture", "--out", str(tmp_path / "mistakes.png")])
    assert (tmp_path / "mistakes.png").stat().st_size > 60_000


def test_submissions_are_found_one_folder_deep(tmp_path):
    for name in ("a.py", "b/work.py", "c/d.ipynb", "c/notes.txt", "_x.py", "e/f/g.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [str(path.relative_to(tmp_path)) for path in submissions_in(tmp_path)] == ["a.py", "b/work.py", "c/d.ipynb"]


def test_hints_and_sentences_are_in_both_languages():
    for exercise in EXERCISES.values():
        assert re.search("[가-힣]", exercise.hint[1]) and not re.search("[가-힣]", exercise.hint[0])
    verdict = diagnose(RIGHT["attention"][0], "layer_norm")
    assert re.search("[가-힣]", verdict.korean) and replace(verdict, kind="right").right
