"""Write files so that nobody ever sees half of one."""
import hashlib
import mmap
import os
from pathlib import Path

import numpy as np


def replace_file(path, write):
    """Call `write(temporary path)` and rename the result to `path`.

    The temporary name keeps the suffix, since np.save and others add or read it.
    """
    path = Path(path)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def file_hash(path):
    """Give the SHA-256 of a file as hex digits, reading 16 MB at a time."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(2 ** 24):
            digest.update(part)
    return digest.hexdigest()


def forget(array):
    """Give back the memory that a memory-mapped array (mode r, r+ or w+) was read or written through; what it holds stays in the file.

    Other arrays are left alone, and all of them where the system knows no such advice.
    """
    while isinstance(array, np.ndarray):
        array = array.base
    if isinstance(array, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        array.madvise(mmap.MADV_DONTNEED)
