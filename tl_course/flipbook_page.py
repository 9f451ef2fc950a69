"""The page behind `flipbook`: HTML, style and script in one string, without anything from outside.

`%…%` are filled in by `flipbook`. Pictures are SVG. A line that several of them share is in the page once, and a
picture is a list of numbers of lines. Without scripts a saved page shows the static twin; a notebook's frame has none,
as the notebook shows it beside the frame.
"""

PAGE = r"""<!DOCTYPE html>
<html lang="%LANG%">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>%TITLE%</title>
<style>
:root { color-scheme: light dark; --ink: #1a1a1a; --page: #ffffff; --line: #c9ced6; --mark: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececec; --page: #181a1d; --line: #3a3f46; --mark: #66bef5; }
}
* { box-sizing: border-box; }
body { margin: 0; padding: 8px; background: var(--page); color: var(--ink); font: 14px/1.4 system-ui, sans-serif; }
form, main { max-width: 760px; }
form { display: flex; flex-wrap: wrap; gap: 8px 24px; margin: 0 0 8px; }
label { display: flex; gap: 8px; align-items: center; min-width: 0; }
label.slider { flex: 1 1 300px; }
input { flex: 1 1 120px; min-width: 0; height: 24px; margin: 0; accent-color: var(--mark); }
select { font: inherit; min-width: 0; padding: 2px; }
:focus-visible { outline: 2px solid var(--mark); outline-offset: 2px; }
.value { min-width: 3.5em; font-weight: bold; font-variant-numeric: tabular-nums; }
figure { margin: 0; }
img { display: block; width: 100%; height: auto; background: #fff; border: 1px solid var(--line); border-radius: 6px; }
figcaption { margin: 6px 0 8px; white-space: pre-line; }
</style>
</head>
<body>
<form aria-label="%CHOICE%">
%CONTROLS%
</form>
<main>
<figure aria-live="polite"><img id="picture" alt=""><figcaption id="words" aria-hidden="true"></figcaption></figure>
</main>
%TWIN%
<script id="data" type="application/json">%DATA%</script>
<script>
"use strict";
const {values, lines, pictures, words} = JSON.parse(document.getElementById("data").textContent);
const form = document.querySelector("form"), controls = Array.from(form.elements);

function show() {
  let place = 0;
  controls.forEach((control, i) => {
    const value = Number(control.value);
    place = place * values[i].length + value;
    if (control.type !== "range") return;
    control.setAttribute("aria-valuetext", values[i][value]);
    control.nextElementSibling.textContent = values[i][value];
  });
  const svg = pictures[place].map(line => lines[line]).join("\n"), picture = document.getElementById("picture");
  picture.src = "data:image/svg+xml," + encodeURIComponent(svg);
  picture.alt = document.getElementById("words").textContent = words[place];
}
form.addEventListener("input", show);
form.addEventListener("submit", event => event.preventDefault());
form.reset();  // some browsers keep what was set before a page was loaded anew
show();
</script>
</body>
</html>
"""

TWIN = """<noscript>
<style>form, main { display: none; }</style>
<figure><img src="%PICTURE%" alt="%WORDS%"><figcaption aria-hidden="true">%WORDS%</figcaption></figure>
</noscript>"""
