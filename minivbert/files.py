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
    mapping = mapping_of(array)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)


def mapping_of(array):
    """Give the mapping that an array, or what it is a view of, is read through; None where it is held in memory."""
    while isinstance(array, np.ndarray):
        array = array.base
    return array if isinstance(array, mmap.mmap) else None
