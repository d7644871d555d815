"""Machine code made, where there is none yet, while the rest of a command is still getting ready.

    python -m helios_pipeline.cli.ahead MARKETS

makes what a sweep over so many markets calls, in two processes. Not in threads of the command: the compiler holds the
interpreter for half of its time, and imports would wait for it.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path

from helios_pipeline.features.machine_code import cache_folder


def compile_ahead(markets: int) -> None:
    """Start those processes, where there is no machine code; what needs the compiler here waits until they have ended.

    If they fail, nothing is lost: what is not in the cache then is compiled here.
    """
    if any(Path(cache_folder(os.environ.get("NUMBA_CACHE_DIR", ""))).glob("*/skipping.run_sets-*.nbi")):
        return
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
    """Compile; with `beside` as part what a second process takes, which says when the steps of a run are finished."""
    from helios_pipeline.simulation import ahead

    if part == "beside":
        ahead.compile_long_steps(int(markets))
        print("steps", flush=True)
        ahead.compile_scores(int(markets))
    else:
        with subprocess.Popen(_command(markets, "beside"), stdout=subprocess.PIPE) as beside:
            ahead.compile_short_steps(int(markets))
            # Also when it has failed: what it has not made is made by what needs it.
            beside.stdout.readline()  # type: ignore[union-attr]
            ahead.compile_run(int(markets))


if __name__ == "__main__":
    main(*sys.argv[1:])
