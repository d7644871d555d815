"""Machine code made, where there is none yet, while the rest of a command is still getting ready.

    python -m helios_pipeline.cli.ahead MARKETS

makes what a sweep over so many markets calls, in two processes. Not in threads of the command: the compiler holds the
interpreter for half of its time, and imports would wait for it.
"""

import subprocess
import sys
import threading
from pathlib import Path


def compile_ahead(markets: int) -> None:
    """Start those processes; whatever needs the compiler here waits until they have ended.

    If they fail, nothing is lost: what is not in the cache then is compiled here.
    """
    compiler = subprocess.Popen(
        _command(str(markets)), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    threading.Thread(target=_hold_compiler, args=(compiler,), name="compile-ahead", daemon=True).start()


def _hold_compiler(compiler: "subprocess.Popen[bytes]") -> None:
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.registry import cpu_target

    # The first function that is marked to be compiled makes this under the same lock: imports would stand still.
    _ = cpu_target.target_context
    with global_compiler_lock:
        compiler.wait()


def _command(*arguments: str) -> list[str]:
    # -P: what is imported there is what is imported here, whatever folder this is.
    return [sys.executable, "-P", "-m", "helios_pipeline.cli.ahead", *arguments]


def main(markets: str, part: str = "") -> None:
    """Compile; with `rest` as part only what a second process takes."""
    from helios_pipeline.features.compiled import MACHINE_CODE
    from helios_pipeline.simulation.ahead import compile_rest, compile_runs

    if part == "rest":
        compile_rest(int(markets))
    elif not any(Path(MACHINE_CODE).glob("*/skipping.run_sets-*.nbi")):
        with subprocess.Popen(_command(markets, "rest")):
            compile_runs(int(markets))


if __name__ == "__main__":
    main(*sys.argv[1:])
