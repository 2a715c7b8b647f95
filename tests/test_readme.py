"""The README tells the truth: its tree, its commands, its options, its figures; and nothing here is too large."""
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from minivbert.config import PRESETS
from minivbert.train import closing_table

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
RESULTS = json.loads((ROOT / "docs" / "results" / "tiny.json").read_text())


def tree_paths():
    """Read the paths out of the README's tree: two blanks a level, folders end in a slash."""
    block = README.split("## The way through")[1].split("```")[1].strip("\n")
    paths, stack = [], []
    for line in block.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        names = re.match(r"((?:[\w.\-]+/?)(?:, [\w.\-]+/?)*)(?:  |$)", line.strip()).group(1).split(", ")
        stack = stack[:depth]
        paths += ["".join(stack) + name for name in names]
        if names[-1].endswith("/"):
            stack.append(names[-1])
    return paths


def test_the_tree_is_what_is_there():
    paths = tree_paths()
    for path in paths:
        assert (ROOT / path).exists(), f"README's tree names {path}"
    modules = {str(p.relative_to(ROOT)) for p in (ROOT / "minivbert").rglob("*.py") if p.name not in ("__init__.py", "__main__.py")}
    assert modules == {p for p in paths if p.startswith("minivbert/") and p.endswith(".py")}
    assert {p.name for p in ROOT.iterdir() if p.is_dir() and not p.name.startswith(".")} - {"runs"} <= {
        p.rstrip("/") for p in paths}


def commands():
    """Find every `python -m minivbert...` in README and data card, with its options."""
    text = README + (ROOT / "data_sample" / "README.md").read_text()
    return sorted({(m.group(1), m.group(2)) for m in re.finditer(r"python -m (minivbert[\w.]*)([^`#\n&]*)", text)})


@pytest.mark.parametrize("module", sorted({module for module, _ in commands()}))
def test_every_command_exists_and_knows_its_options(module):
    assert importlib.util.find_spec(module)
    said = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, cwd=ROOT)
    assert said.returncode == 0
    for options in (o for m, o in commands() if m == module):
        for option in re.findall(r"--[a-z][a-z-]*", options):
            assert option in said.stdout, f"{module} has no {option}"


def test_benchmarks_named_are_there():
    named = set(re.findall(r"python (benchmarks/\w+\.py)", README))
    assert named == {f"benchmarks/{p.name}" for p in (ROOT / "benchmarks").glob("*.py")}


def test_the_closing_lines_are_those_of_the_recorded_run():
    assert closing_table(RESULTS, "runs/tiny") in README


def test_the_recorded_run_is_the_default_preset():
    recorded = RESULTS["config"]
    preset = json.loads(json.dumps({"inputs": vars(PRESETS["tiny"].inputs), "train": vars(PRESETS["tiny"].train)}))
    assert {k: recorded[k] for k in preset} == preset


def test_presets_named_are_there():
    rows = README.split("## Presets")[1].split("##")[0]
    assert set(re.findall(r"^\| `(\w+)`", rows, re.M)) == set(PRESETS)


def test_the_sample_is_small_and_as_its_card_says():
    files = [p for p in (ROOT / "data_sample").rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < 20e6
    assert len(list((ROOT / "data_sample" / "videos").glob("*.mp4"))) == 24
    meta = json.loads((ROOT / "data_sample" / "corpus" / "meta.json").read_text())
    assert meta["filmed"] == 3000 and meta["sampled"] == 27000 and meta["visual_words"] == 225 and len(meta["held_out"]) == 600
    assert f"{meta['emission_error_nats']:.3f}" in README


def test_the_measured_table_is_known_to_a_fiftieth_of_a_nat():
    meta = json.loads((ROOT / "data_sample" / "corpus" / "meta.json").read_text())
    assert meta["emission_error_nats"] < 0.02


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / target).exists(), target
