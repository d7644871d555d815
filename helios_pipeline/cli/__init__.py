"""The `helios` command's entry point, which is there before anything is imported: that takes seconds."""

import sys

INTERRUPTED = 130
"""Exit code after Ctrl-C."""

STOPPED = "stopped. What was finished is kept; run the same command to go on."


def main() -> None:
    """Run a command; Ctrl-C is one line from the first moment on."""
    try:
        from helios_pipeline.cli.commands import run

        run()
    except KeyboardInterrupt:
        sys.stderr.write(f"helios: {STOPPED}\n")
        sys.exit(INTERRUPTED)
