"""The one HTML template of all reports: nothing outside the file, no script, for screen, phone and paper."""

TEMPLATE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ page.title }}</title>
<style>{{ style }}</style>
</head>
<body>
<header>
<p class="kind">Helios · {{ page.kind }}</p>
<h1>{{ page.title }}</h1>
{%- if page.warning %}
<p class="warning" role="alert">{{ page.warning }}</p>
{%- endif %}
<p class="verdict {{ page.verdict.tone }}"><strong>{{ page.verdict.word }}</strong> {{ page.verdict.sentence }}</p>
{{ facts(page.facts) }}
</header>
<nav aria-label="Contents"><ol>
{%- for section in page.sections %}
<li><a href="#{{ section.anchor }}">{{ section.title }}</a></li>
{%- endfor %}
</ol></nav>
<main>
{%- for section in page.sections %}
<section id="{{ section.anchor }}">
<h2>{{ section.title }}</h2>
{%- for block in section.blocks %}
{{ render(block) }}
{%- endfor %}
</section>
{%- endfor %}
</main>
<footer>Made at {{ made_at }} UTC, version {{ page.version }}.</footer>
</body>
</html>
"""

MACROS = """\
{%- macro facts(rows) -%}
<dl>
{%- for name, value in rows %}
<div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>
{%- endfor %}
</dl>
{%- endmacro -%}
{%- macro render(block) -%}
{%- if block.kind == "text" -%}
<p>{{ block.text }}</p>
{%- elif block.kind == "facts" -%}
{{ facts(block.rows) }}
{%- elif block.kind == "items" -%}
<ul>
{%- for item in block.items %}
<li>{{ item }}</li>
{%- endfor %}
</ul>
{%- elif block.kind == "picture" -%}
<figure><div class="scroll" role="img" aria-label="{{ block.alt }}">{{ block.svg }}</div></figure>
{%- else -%}
<div class="scroll"><table>
{%- if block.caption %}<caption>{{ block.caption }}</caption>{% endif %}
<thead><tr>
{%- for column in block.columns -%}
<th scope="col" class="{{ column.style }}">{{ column.name }}</th>
{%- endfor -%}
</tr></thead>
<tbody>
{%- for row in block.rows %}
<tr>
{%- for column, cell in zip(block.columns, row) -%}
<td class="{{ column.style }}{% if cell in tones %} {{ tones[cell] }}{% endif %}">{{ cell }}</td>
{%- endfor -%}
</tr>
{%- endfor %}
</tbody></table></div>
{%- endif -%}
{%- endmacro -%}
"""

STYLE = """
:root{--ground:#fff;--ink:#1b222c;--soft:#5d6875;--rule:#dde2e8;--panel:#f5f7f9;--link:#1e62a6;
--good:#1d7a54;--good-ground:#e4f4ec;--bad:#a72f42;--bad-ground:#fbe9eb;--open:#7a5a10;--open-ground:#fbf2dc}
@media (prefers-color-scheme:dark){:root{--ground:#12161b;--ink:#e3e8ee;--soft:#98a3b0;--rule:#2b333d;--panel:#1a2027;
--link:#79b3ea;--good:#6fd0a4;--good-ground:#12301f;--bad:#f0929f;--bad-ground:#3a171d;--open:#e8c46b;
--open-ground:#33290f}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:68rem;padding:1.5rem 1rem 3rem;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
h1{font-size:1.5rem;margin:.1rem 0 .6rem;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:2.2rem 0 .6rem;padding-top:.6rem;border-top:1px solid var(--rule)}
.kind{margin:0;color:var(--soft);letter-spacing:.02em}
.verdict{padding:.7rem .9rem;border-left:4px solid;border-radius:4px;margin:.6rem 0}
.verdict.good{border-color:var(--good);background:var(--good-ground)}
.verdict.bad{border-color:var(--bad);background:var(--bad-ground)}
.verdict.open{border-color:var(--open);background:var(--open-ground)}
.warning{padding:.6rem .9rem;border:2px dashed var(--open);border-radius:4px;background:var(--open-ground);
font-weight:600}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:.35rem 1.4rem;margin:.8rem 0}
dt{color:var(--soft);font-size:.82rem}
dd{margin:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
nav{background:var(--panel);border-radius:6px;padding:.5rem 1rem;margin:1rem 0}
nav ol{margin:0;padding-left:1.2rem;columns:3 12rem;font-size:.92rem}
a{color:var(--link)}
.scroll{overflow-x:auto}
figure{margin:.8rem 0}
figure svg{display:block;width:100%;min-width:34rem;height:auto;max-width:52rem}
figure svg text{font-family:inherit!important}
table{border-collapse:collapse;width:100%;font-size:.88rem;margin:.6rem 0}
caption{text-align:left;color:var(--soft);padding:.2rem 0}
th,td{padding:.3rem .42rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--rule)}
th{color:var(--soft);font-weight:500;border-bottom-width:2px}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.short{white-space:nowrap}
th.number,th.short{white-space:normal}
td.long{min-width:16rem}
.good{color:var(--good)}.bad{color:var(--bad)}.open{color:var(--open)}
.verdict{color:var(--ink)}
footer{margin-top:2.5rem;color:var(--soft);font-size:.85rem}
@media print{body{max-width:none;padding:0;font-size:11px}nav{display:none}section{break-inside:avoid-page}
figure svg{max-width:100%;min-width:0}.scroll{overflow:visible}}
"""
