"""README.ko.md follows README.md: it was read again after the last change, and says no figure or command that is not there."""
import hashlib
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENGLISH, KOREAN = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md"))


def test_it_was_read_again_after_the_last_change():
    now = hashlib.sha256(ENGLISH.encode()).hexdigest()[:16]
    assert f"<!-- README.md: {now} -->" in KOREAN, f"README.md has changed: bring README.ko.md up to date, then write {now} into its last line"


def test_its_commands_are_those_of_readme():
    commands = [line.split("#")[0].strip() for line in KOREAN.splitlines() if line.startswith("    ")]
    assert len(commands) >= 10
    assert [c for c in commands if c not in ENGLISH] == []


def test_its_figures_are_those_of_readme():
    figures = set(re.findall(r"\d+[.,]\d+", KOREAN.split("<!--")[0]))
    assert len(figures) >= 15 and [f for f in figures if f not in ENGLISH] == []


def test_what_it_links_to_is_there():
    assert all((ROOT / path).exists() for path in re.findall(r"\]\(([^)]+)\)", KOREAN))
