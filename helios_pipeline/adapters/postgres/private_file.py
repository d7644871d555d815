"""Small files that are replaced whole, and read by their owner alone."""

import os
from pathlib import Path


def replace_private_file(path: Path, content: str) -> None:
    """Replace a file that only its owner may read; being killed in between leaves the old content, never half."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
