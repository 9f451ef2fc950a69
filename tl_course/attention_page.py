"""The page behind `attention_view`: HTML, style and script in one string, without anything from outside.

`%…%` are filled in by `attention_view`. The weights come as one byte each in base64, so that a text of 128 tokens with
72 heads takes 1.6 MB. Lines are drawn on a canvas: one repaint of 128 tokens is a few milliseconds.
"""

PAGE = r"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>%TITLE%</title>
<style>
:root {
  color-scheme: light dark;
  --ink: #1a1a1a; --page: #ffffff; --line: 0, 114, 178; --soft: #e4e7eb; --mark: #b34700;
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececec; --page: #181a1d; --line: 102, 190, 245; --soft: #3a3f46; --mark: #ffb066; }
}
body { margin: 0; padding: 8px; background: var(--page); color: var(--ink); font: 14px/1.4 system-ui, sans-serif; }
form { display: flex; flex-wrap: wrap; gap: 8px 16px; align-items: center; margin: 0 0 8px; }
select { font: inherit; }
main { display: flex; flex-wrap: wrap; gap: 8px 28px; align-items: flex-start; }
#lines { display: flex; }
#lines ul { list-style: none; margin: 0; padding: 0; min-width: 5em; }
#lines li { height: 20px; line-height: 20px; padding: 0 6px; white-space: pre; border-radius: 3px; }
#queries { text-align: right; cursor: default; }
#queries li[aria-selected="true"] { outline: 2px solid var(--mark); font-weight: bold; }
#queries li:focus { outline: 3px solid var(--mark); }
canvas { display: block; }
#overview { cursor: pointer; }
table { border-collapse: collapse; margin-top: 8px; }
caption { text-align: left; font-weight: bold; padding: 2px 0; }
td, th { text-align: left; padding: 1px 10px 1px 0; }
td:last-child { text-align: right; font-variant-numeric: tabular-nums; }
p { margin: 6px 0 0; max-width: 60em; }
</style>
</head>
<body>
<form aria-label="%CHOICE%">
<label>%LAYER% <select id="layer"></select></label>
<label>%HEAD% <select id="head"></select></label>
</form>
<main>
<div id="lines">
<ul id="queries" role="listbox" aria-label="%QUERIES%"></ul>
<canvas id="drawn" role="img" aria-label="%DRAWN%"></canvas>
<ul id="keys" aria-hidden="true"></ul>
</div>
<div>
<canvas id="overview" aria-hidden="true"></canvas>
<table><caption id="who" aria-live="polite"></caption><tbody id="top"></tbody></table>
</div>
</main>
<p>%HELP%</p>
<noscript><p>%NOSCRIPT%</p></noscript>
<script id="data" type="application/json">%DATA%</script>
<script>
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const bytes = Uint8Array.from(atob(data.weights), letter => letter.charCodeAt(0));
const {tokens, layers, heads, words} = data, size = tokens.length, row = 20, wide = 150, tile = 20;
const find = id => document.getElementById(id);
const layer = find("layer"), head = find("head"), queries = find("queries"), keys = find("keys");
const drawn = find("drawn"), overview = find("overview"), who = find("who"), top_ = find("top");
let map = new Float32Array(size * size), pinned = null, shown = null;

const option = (list, value, text) => list.add(new Option(text, value));
for (let i = 0; i < layers; i++) option(layer, i, i);
option(head, -1, words.mean);
for (let i = 0; i < heads; i++) option(head, i, i);
layer.value = data.layer; head.value = data.head;

function item(list, text) {
  const entry = document.createElement("li");
  entry.textContent = text;
  list.append(entry);
  return entry;
}
tokens.forEach((token, i) => {
  const query = item(queries, token);
  query.setAttribute("role", "option");
  query.tabIndex = i ? -1 : 0;
  query.addEventListener("mouseenter", () => show(i));
  query.addEventListener("mouseleave", () => show(pinned));
  query.addEventListener("focus", () => pin(i));
  item(keys, token);
});

function sized(canvas, width, height) {
  const dense = window.devicePixelRatio || 1;
  canvas.width = width * dense; canvas.height = height * dense;
  canvas.style.width = width + "px"; canvas.style.height = height + "px";
  const pen = canvas.getContext("2d");
  pen.setTransform(dense, 0, 0, dense, 0, 0);
  return pen;
}
const colour = () => getComputedStyle(document.documentElement).getPropertyValue("--line").trim();

function choose() {
  const chosen = Number(head.value), first = Number(layer.value) * heads;
  const from = chosen < 0 ? 0 : chosen, to = chosen < 0 ? heads : chosen + 1;
  map.fill(0);
  for (let h = from; h < to; h++) {
    const offset = (first + h) * size * size;
    for (let i = 0; i < size * size; i++) map[i] += bytes[offset + i];
  }
  const scale = 1 / (255 * (to - from));
  for (let i = 0; i < map.length; i++) map[i] *= scale;
  frame(); paint();
}

function paint() {
  const pen = sized(drawn, wide, size * row), ink = colour();
  for (let i = 0; i < size; i++) {
    if (shown !== null && shown !== i) continue;
    for (let j = 0; j < size; j++) {
      const weight = map[i * size + j];
      if (weight < 0.04) continue;
      pen.strokeStyle = `rgba(${ink}, ${weight})`;
      pen.lineWidth = 0.5 + 2.5 * weight;
      pen.beginPath(); pen.moveTo(2, (i + 0.5) * row); pen.lineTo(wide - 2, (j + 0.5) * row); pen.stroke();
    }
  }
  for (let i = 0; i < size; i++) {
    queries.children[i].setAttribute("aria-selected", shown === i);
    const weight = shown === null ? 0 : map[shown * size + i];
    keys.children[i].style.background = weight < 0.01 ? "" : `rgba(${ink}, ${0.75 * weight})`;
  }
  list();
}

function list() {
  const values = new Float32Array(size);
  for (let i = 0; i < size; i++) for (let j = 0; j < size; j++)
    if (shown === null) values[j] += map[i * size + j] / size; else if (i === shown) values[j] = map[i * size + j];
  const order = Array.from(values.keys()).sort((a, b) => values[b] - values[a] || a - b).slice(0, 6);
  const name = {token: tokens[shown], place: shown};
  who.textContent = shown === null ? words.all : words.one.replace(/\{(\w+)\}/g, (_all, key) => name[key]);
  top_.replaceChildren(...order.map(j => {
    const [line, name, value] = ["tr", "th", "td"].map(kind => document.createElement(kind));
    name.scope = "row"; name.textContent = `${tokens[j]} (${j})`;
    value.textContent = (100 * values[j]).toFixed(1) + " %";
    line.append(name, value);
    return line;
  }));
}

const small = document.createElement("canvas");
function thumbnails() {
  const step = Math.max(1, Math.ceil(size / tile)), side = Math.ceil(size / step), gap = tile + 2;
  small.width = heads * gap; small.height = layers * gap;
  const pen = small.getContext("2d"), ink = colour();
  for (let l = 0; l < layers; l++) for (let h = 0; h < heads; h++) {
    const offset = (l * heads + h) * size * size, cell = tile / side;
    for (let i = 0; i < side; i++) for (let j = 0; j < side; j++) {
      let most = 0;
      for (let a = i * step; a < Math.min(size, (i + 1) * step); a++)
        for (let b = j * step; b < Math.min(size, (j + 1) * step); b++)
          most = Math.max(most, bytes[offset + a * size + b]);
      if (most < 8) continue;
      pen.fillStyle = `rgba(${ink}, ${Math.sqrt(most / 255)})`;
      pen.fillRect(h * gap + j * cell, l * gap + i * cell, cell, cell);
    }
  }
}

function frame() {
  const gap = tile + 2, pen = sized(overview, heads * gap, layers * gap);
  const style = getComputedStyle(document.documentElement);
  pen.drawImage(small, 0, 0);
  for (let l = 0; l < layers; l++) for (let h = 0; h < heads; h++) {
    const chosen = l === Number(layer.value) && (h === Number(head.value) || Number(head.value) < 0);
    pen.lineWidth = chosen ? 2.5 : 1;
    pen.strokeStyle = style.getPropertyValue(chosen ? "--mark" : "--soft");
    pen.strokeRect(h * gap + 0.5, l * gap + 0.5, tile, tile);
  }
}

function show(i) { shown = i; paint(); }
function pin(i) {
  pinned = i;
  Array.from(queries.children).forEach((entry, j) => { entry.tabIndex = j === (i ?? 0) ? 0 : -1; });
  show(i);
}
function step(list, by) {
  const next = list.selectedIndex + by;
  if (next >= 0 && next < list.length) { list.selectedIndex = next; choose(); }
}
queries.addEventListener("click", event => {
  const i = Array.from(queries.children).indexOf(event.target.closest("li"));
  if (i >= 0) queries.children[i].focus();
});
queries.addEventListener("keydown", event => {
  const i = pinned ?? 0, move = {ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: size - 1}[event.key];
  if (move !== undefined) queries.children[Math.max(0, Math.min(size - 1, move))].focus();
  else if (event.key === "ArrowRight") step(head, 1);
  else if (event.key === "ArrowLeft") step(head, -1);
  else if (event.key === "PageDown") step(layer, 1);
  else if (event.key === "PageUp") step(layer, -1);
  else if (event.key === "Escape") { pinned = null; show(null); }
  else return;
  event.preventDefault();
});
overview.addEventListener("click", event => {
  const gap = tile + 2, box = overview.getBoundingClientRect();
  layer.value = Math.min(layers - 1, Math.floor((event.clientY - box.top) / gap));
  head.value = Math.min(heads - 1, Math.floor((event.clientX - box.left) / gap));
  choose();
});
layer.addEventListener("change", choose);
head.addEventListener("change", choose);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { thumbnails(); choose(); });
document.querySelector("form").addEventListener("submit", event => event.preventDefault());
thumbnails(); choose();
</script>
</body>
</html>
"""
