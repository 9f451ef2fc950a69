"""The look of the printed question sheet: on a screen, and on A4."""

from tl_course.practice.card_html import FONTS

STYLE = f"""
:root {{
  color-scheme: light dark;
  --ink: #1a1a1a; --soft: #55595d; --line: #c4c8cc; --field: #f0f2f4; --mark: #005a8c; --page: #fff;
}}
@media screen and (prefers-color-scheme: dark) {{
  :root {{ --ink: #ececec; --soft: #b4b8bc; --line: #50565c; --field: #2b3035; --mark: #7cc4f5; --page: #1c1f22; }}
}}
* {{ box-sizing: border-box; }}
body {{
  font: 1rem/1.5 {FONTS}; color: var(--ink); background: var(--page);
  max-width: 48rem; margin: 0 auto; padding: 1rem; overflow-wrap: break-word;
}}
body.two {{ max-width: 72rem; }}
h1, h2, h3, h4, h5 {{ line-height: 1.3; break-after: avoid; }}
h1 {{ font-size: 1.9em; margin: 0.5em 0 0.3em; }}
h2 {{ font-size: 1.5em; border-bottom: 2px solid var(--mark); margin: 1.6em 0 0.6em; padding-bottom: 0.15em; }}
h3 {{ font-size: 1.2em; margin: 1.2em 0 0.5em; }}
h4 {{ font-size: 1.05em; margin: 0 0 0.2em; }}
h5 {{ font-size: 0.92em; color: var(--mark); margin: 0.7em 0 0.15em; }}
p, ul, ol, dl {{ margin: 0.3em 0; }}
ul, ol {{ padding-left: 1.5em; }}
.questions {{ padding-left: 2.6em; }}
a {{ color: var(--mark); }}
code {{ font-size: 0.92em; background: var(--field); border-radius: 3px; padding: 0 0.2em; overflow-wrap: anywhere; }}
.about {{ color: var(--soft); font-size: 0.85em; margin: 0.1em 0; }}
.questions > li {{ margin: 0 0 0.8em; padding-left: 0.3em; break-inside: avoid; }}
.points {{ list-style: "☐  "; }}
dt::before {{ content: "✗ "; color: var(--mark); font-weight: 600; }}
dt {{ padding-left: 1.1em; text-indent: -1.1em; }}
dd {{ margin: 0 0 0.3em 1.1em; }}
article {{ border-top: 1px solid var(--line); padding: 0.9em 0; break-inside: avoid; }}
.pair {{ display: grid; gap: 0 1.6em; }}
.origins {{ color: var(--soft); font-size: 0.82em; margin-top: 0.6em; }}
.origins ul {{ display: inline; padding: 0; }}
.origins li {{ display: inline; }}
.origins li + li::before {{ content: "; "; }}
.parts {{ display: grid; gap: 0 1.6em; }}
@media screen and (min-width: 50rem) {{ .two .pair {{ grid-template-columns: 1.25fr 1fr; }} }}
@page {{
  size: A4; margin: 15mm 15mm 16mm;
  @bottom-center {{ content: counter(page) " / " counter(pages); font: 8pt {FONTS}; color: #55595d; }}
}}
@media print {{
  :root {{ color-scheme: light; }}
  body, body.two {{ font-size: 9.5pt; line-height: 1.32; max-width: none; padding: 0; }}
  .two .pair {{ grid-template-columns: 1.25fr 1fr; }}
  .one .parts {{ grid-template-columns: 1fr 1fr; }}
  .one .parts > :last-child {{ grid-column: 1 / -1; }}
  h5 {{ margin-top: 0.4em; }}
  p, ul, dl {{ margin: 0.2em 0; }}
  dd {{ margin-bottom: 0.15em; }}
  article {{ padding: 0.5em 0; }}
  .origins {{ margin-top: 0.4em; }}
  .origins div {{ display: inline; }}
  .origins div + div::before {{ content: " · "; }}
  a {{ color: inherit; text-decoration: none; }}
  nav a {{ color: var(--mark); }}
  .topic, .answers {{ break-before: page; }}
  .topic > h2 {{ margin-top: 0; }}
  .jump {{ display: none; }}
  p, li, dd {{ orphans: 3; widows: 3; }}
}}
"""


def running_head(page: str, text: str) -> str:
    """CSS that writes a text at the top of the pages of this name."""
    escaped = "".join(letter if letter.isalnum() else f"\\{ord(letter):x} " for letter in text)
    rule = f'font: 8pt {FONTS}; color: #55595d; content: "{escaped}";'
    return f"@page {page} {{ @top-right {{ {rule} }} }}\n@media print {{ .{page} {{ page: {page}; }} }}\n"
