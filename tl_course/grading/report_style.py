"""The look of the report on a class, on a screen and on A4, and its one picture."""

import html
from collections.abc import Sequence

from tl_course.grading.class_figures import BINS
from tl_course.i18n import _
from tl_course.practice.card_html import FONTS

STYLE = f"""
:root {{
  color-scheme: light dark;
  --ink: #1a1a1a; --soft: #55595d; --line: #c4c8cc; --field: #f0f2f4; --mark: #005a8c; --page: #fff; --warn: #9a3412;
}}
@media screen and (prefers-color-scheme: dark) {{
  :root {{
    --ink: #ececec; --soft: #b4b8bc; --line: #50565c; --field: #2b3035; --mark: #7cc4f5; --page: #1c1f22;
    --warn: #fdba74;
  }}
}}
* {{ box-sizing: border-box; }}
body {{
  font: 1rem/1.5 {FONTS}; color: var(--ink); background: var(--page);
  max-width: 68rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere;
}}
h1, h2, h3 {{ line-height: 1.3; break-after: avoid; }}
h1 {{ font-size: 1.7em; margin: 0.4em 0; }}
h2 {{ font-size: 1.3em; border-bottom: 2px solid var(--mark); margin: 1.8em 0 0.6em; padding-bottom: 0.15em; }}
h3 {{ font-size: 1.05em; margin: 1.2em 0 0.3em; }}
p {{ margin: 0.4em 0; max-width: 48rem; }}
.soft {{ color: var(--soft); font-size: 0.9em; }}
.warn {{ color: var(--warn); font-weight: 600; }}
.numbers {{ display: grid; grid-template-columns: repeat(4, 1fr); gap: 0.6rem; margin: 1em 0; }}
.numbers div {{ background: var(--field); border-radius: 6px; padding: 0.5rem 0.8rem; break-inside: avoid; }}
.numbers dt {{ color: var(--soft); font-size: 0.85em; }}
.numbers dd {{ margin: 0; font-size: 1.35em; font-variant-numeric: tabular-nums; overflow-wrap: normal; }}
svg {{ width: 100%; max-width: 40rem; height: auto; display: block; break-inside: avoid; }}
svg rect {{ fill: var(--mark); }}
svg line {{ stroke: var(--line); }}
svg text {{ fill: var(--ink); font: 13px {FONTS}; text-anchor: middle; }}
.wide {{ overflow-x: auto; margin: 0.6em 0; }}
.wide:focus-visible {{ outline: 2px solid var(--mark); }}
table {{ border-collapse: collapse; font-size: 0.93em; }}
th, td {{
  text-align: left; vertical-align: top; padding: 0.35em 0.8em 0.35em 0; border-bottom: 1px solid var(--line);
}}
th {{ overflow-wrap: normal; }}
thead th {{ color: var(--soft); font-weight: 600; vertical-align: bottom; }}
tbody th {{ font-weight: 600; }}
tr {{ break-inside: avoid; }}
thead {{ display: table-header-group; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: normal; white-space: nowrap; }}
thead .number {{ white-space: normal; }}
.exercises {{ min-width: 60rem; }}
.seeds {{ min-width: 46rem; }}
.exercises th, .seeds th, .seeds code {{ overflow-wrap: normal; }}
.exercises tbody th, .seeds tbody th {{ position: sticky; left: 0; background: var(--page); hyphens: none; }}
.findings, .reasons, .seeds {{ width: 100%; }}
.findings {{ table-layout: fixed; }}
.findings thead th:first-child {{ width: 52%; }}
.findings thead .number {{ width: 4.5em; }}
.findings tbody th {{ font-weight: 400; }}
.reasons tbody th {{ width: 28%; }}
.reasons .soft {{ font-weight: 400; }}
td ul {{ margin: 0; padding-left: 1.1em; }}
code {{ font-size: 0.92em; background: var(--field); border-radius: 3px; padding: 0.1em 0.3em; }}
td code {{ display: inline-block; margin-bottom: 0.2em; }}
@media screen and (max-width: 36rem) {{
  .numbers {{ grid-template-columns: 1fr 1fr; }}
  svg text {{ font-size: 21px; }}
}}
@page {{ size: A4; margin: 14mm; }}
@media print {{
  :root {{ color-scheme: light; }}
  body {{ font-size: 9pt; line-height: 1.35; max-width: none; padding: 0; }}
  .numbers {{ grid-template-columns: repeat(4, 1fr); gap: 0.3rem; }}
  .wide {{ overflow: visible; }}
  .exercises, .seeds {{ min-width: 0; width: 100%; }}
  svg {{ max-width: 12cm; }}
}}
"""

_COLUMN, _HEIGHT, _TOP, _LEFT = 56, 140, 26, 22


def histogram_svg(bins: Sequence[int]) -> str:
    """A bar for each tenth of the points with its count above it; its text alternative names every bar."""
    told = "; ".join(
        _("{low} to {high} %: {count}").format(low=number * 10, high=number * 10 + 10, count=count)
        for number, count in enumerate(bins)
    )
    label = html.escape(_("How many submissions have which share of the points. {bars}").format(bars=told))
    bars = "".join(_bar(number, count, max(bins)) for number, count in enumerate(bins))
    left, base, width = _LEFT, _TOP + _HEIGHT, _COLUMN * BINS
    ticks = "".join(
        f'<text x="{left + number * _COLUMN}" y="{base + 23}">{number * 10}</text>' for number in range(BINS + 1)
    )
    axis = f'<line x1="{left}" y1="{base + 0.5}" x2="{left + width}" y2="{base + 0.5}"/>'
    name = f'<text x="{left + width / 2:g}" y="{base + 46}">{html.escape(_("share of the points, %"))}</text>'
    box = f"0 0 {width + 2 * left} {base + 54}"
    return f'<svg viewBox="{box}" role="img" aria-label="{label}">{bars}{axis}{ticks}{name}</svg>'


def _bar(number: int, count: int, most: int) -> str:
    if not count:
        return ""
    height = max(2.0, _HEIGHT * count / most)
    x, y = _LEFT + number * _COLUMN, _TOP + _HEIGHT - height
    rect = f'<rect x="{x + 3}" y="{y:.1f}" width="{_COLUMN - 6}" height="{height:.1f}"/>'
    return f'{rect}<text x="{x + _COLUMN / 2:g}" y="{y - 5:.1f}">{count}</text>'
