"""The environment in which vectorbt runs: its own, since it needs another pandas than Helios does."""

import hashlib
import subprocess
from pathlib import Path

from bootstrap import find_interpreter, find_uv

FOLDER = Path(__file__).resolve().parent
LOCK = FOLDER / "requirements.lock"
VENV = FOLDER / ".venv"
STAMP = VENV / ".stamp"


def make_environment() -> str:
    """Path of a Python that has vectorbt and its Rust engine; the environment is made where the lock file differs."""
    python = str(VENV / "bin" / "python")
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return python
    print(f"making {VENV} (about 650 MB)", flush=True)
    uv = find_uv()
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", find_interpreter(uv), str(VENV)], check=True)
    sync = [uv, "pip", "sync", "--quiet", "--compile-bytecode", "--require-hashes", "--no-build", "--python", python]
    subprocess.run([*sync, str(LOCK)], check=True)
    STAMP.write_text(wanted)
    return python
