"""Write files so that nobody ever sees half of one."""
import hashlib
import os
from pathlib import Path


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
    """Give the SHA-256 of a file as hex digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
