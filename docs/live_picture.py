"""Make the picture of docs/live.md: what `helios live` shows while a champion trades the fast world on paper.

Run `python docs/live_picture.py`.
"""

import io
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from helios_pipeline.cli.live_view import view  # noqa: E402
from tests.live_engine.harness import EAGER, fast_world, installation  # noqa: E402

PICTURE = ROOT / "docs" / "screenshots" / "live.svg"
WIDTH = 132
FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace; font-size: {char_height}px;
line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: arial; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""
"""Rich's own, without fonts from elsewhere."""


def main() -> None:
    """Let an engine trade until it holds something, and draw what a person would see."""
    with tempfile.TemporaryDirectory() as state, fast_world(Path(state)) as world, installation(world) as home:
        home.promote(EAGER)
        engine = home.engine()
        engine.await_trading()
        status = engine.await_status(
            lambda told: any(market.stop_price for market in told.markets) and told.reconciled_at is not None,
            "a position with its stop",
            180,
        )
        console = Console(width=WIDTH, record=True, force_terminal=True, file=io.StringIO())
        console.print(view(status, datetime.now(UTC), (), ""))
        PICTURE.write_text(console.export_svg(title="helios live", code_format=FORMAT))
        engine.stop()


if __name__ == "__main__":
    main()
