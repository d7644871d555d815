"""Make `.venv` with everything Helios needs; runs on any Python ≥ 3.9, does nothing when all is in place.

Usage: python bootstrap.py [--lock]

A `uv` that works is used, else a private one is made in `.bootstrap/`. The interpreter is the first 3.13 that runs:
HELIOS_PYTHON, python3.13, pyenv's, the usual folders; only then uv is asked to install one.
"""

import glob
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / ".helios-stamp"
LOCKS = {"requirements.lock": [], "requirements-dev.lock": ["--group", "dev"]}


def succeeds(*command):
    """Whether a command runs and exits with 0; a version manager's shim may exist and still fail."""
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def find_uv():
    """Path of a uv that works, made privately if there is none."""
    private = ROOT / ".bootstrap" / "bin" / "uv"
    for candidate in ("uv", str(private)):
        if succeeds(candidate, "--version"):
            return candidate
    print("helios: installing uv into .bootstrap/", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(ROOT / ".bootstrap")], check=True)
    subprocess.run([str(private.parent / "python"), "-m", "pip", "install", "--quiet", "uv"], check=True)
    return str(private)


def find_interpreter(uv):
    """Path of a Python 3.13 that runs.

    Raises:
        SystemExit: there is none and uv can't install one.
    """
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    candidates = [os.environ.get("HELIOS_PYTHON"), shutil.which("python3.13"), sys.executable]
    for pattern in (
        f"{pyenv}/versions/3.13*/bin/python3.13",
        "/usr/bin/python3.13",
        "/usr/local/bin/python3.13",
        "/opt/*/bin/python3.13",
    ):
        candidates += sorted(glob.glob(pattern), reverse=True)
    check = "import sys; sys.exit(sys.version_info[:2] != (3, 13))"
    for candidate in filter(None, candidates):
        if succeeds(candidate, "-c", check):
            return candidate
    if succeeds(uv, "python", "install", "3.13"):
        return "3.13"
    raise SystemExit(
        "helios: no Python 3.13 found. Install python3.13, or set HELIOS_PYTHON to one, and run this again."
    )


def wanted_stamp():
    """What the environment is made from; when it changes, the environment is made again."""
    digest = hashlib.sha256()
    for name in ("bootstrap.py", "pyproject.toml", "requirements-dev.lock"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def lock():
    """Resolve the dependencies again and write both lock files."""
    uv = find_uv()
    python = find_interpreter(uv)
    for name, groups in LOCKS.items():
        options = ["--universal", "--generate-hashes", "--no-emit-index-url", "--no-build", "--python-version", "3.13"]
        command = [uv, "pip", "compile", "pyproject.toml", *groups, *options, "--python", python, "--quiet", "-o", name]
        subprocess.run([*command, "--custom-compile-command", "make lock"], check=True, cwd=ROOT)


def main():
    """Make or refresh `.venv`."""
    if sys.version_info < (3, 9):
        raise SystemExit("helios: bootstrap.py needs Python 3.9 or later to start; found %s" % sys.version.split()[0])
    if "--lock" in sys.argv[1:]:
        lock()
    if STAMP.exists() and STAMP.read_text() == wanted_stamp() and succeeds(str(VENV / "bin" / "helios"), "--version"):
        return
    uv = find_uv()
    python = find_interpreter(uv)
    print("helios: making .venv (about 2 GB the first time)", flush=True)
    inside = ["--python", str(VENV / "bin" / "python")]
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", python, str(VENV)], check=True, cwd=ROOT)
    sync = [uv, "pip", "sync", "--quiet", "--require-hashes", "--no-build", *inside, "requirements-dev.lock"]
    subprocess.run(sync, check=True, cwd=ROOT)
    install = [uv, "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", *inside, "-e", "."]
    subprocess.run(install, check=True, cwd=ROOT)
    STAMP.write_text(wanted_stamp())


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        raise SystemExit(
            "helios: set-up stopped: `%s` exited with %d" % (" ".join(map(str, error.cmd)), error.returncode)
        )
