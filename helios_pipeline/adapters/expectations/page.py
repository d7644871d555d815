"""The pages around Great Expectations' sections: whole in one file, so that they can be read without a network."""

from collections.abc import Sequence
from html import escape
from itertools import groupby

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --bad: #c62828; --good: #2e7d32; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h5, h6 { font-size: 1rem; margin: .3rem 0; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; font-size: .9rem; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top; }
.alert { background: var(--soft); padding: .3rem .6rem; margin-top: 1.2rem; }
.badge { background: var(--soft); border-radius: .3rem; padding: 0 .3rem; font-family: ui-monospace, monospace; }
.failed, .text-danger { color: var(--bad); } .met, .text-success { color: var(--good); }
.fa-check-circle::before { content: "✓"; } .fa-times::before { content: "✗"; }
.fa-exclamation-triangle::before { content: "!"; } ul.months { padding: 0; }
ul.months li { display: inline-block; margin-right: .8rem; } td div { overflow-x: auto; }
"""


def page_html(title: str, sections: str, *, rows: int, unmet: Sequence[str]) -> str:
    """The page of one validation.

    Args:
        title: what was validated.
        sections: HTML of Great Expectations.
        rows: of the frame.
        unmet: in words, what did not hold.
    """
    failed = "".join(f"<li>{escape(each)}</li>" for each in unmet)
    verdict = (
        f'<p class="failed">Expected, and not so in these {rows:,} rows:</p><ul class="failed">{failed}</ul>'
        if unmet
        else f'<p class="met">Everything that is expected holds for these {rows:,} rows.</p>'
    )
    return _html(title, f'<p><a href="../../index.html">All validations</a></p>{verdict}{sections}')


def index_html(pages: Sequence[str]) -> str:
    """Links to all pages.

    Args:
        pages: `<asset>/<instrument>/<month>.html`, sorted.
    """
    lists = []
    for (asset, instrument), group in groupby(pages, key=lambda page: tuple(page.split("/")[:2])):
        months = "".join(
            f'<li><a href="{escape(page)}">{escape(page.rpartition("/")[2].removesuffix(".html"))}</a></li>'
            for page in group
        )
        lists.append(f'<h5>{escape(asset)} of {escape(instrument)}</h5><ul class="months">{months}</ul>')
    return _html("Validations", "".join(lists))


def _html(title: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )
