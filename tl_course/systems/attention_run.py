"""Listings 63 and 67 made right: what attends to what in a text, in figures, a page to explore, and numbers.

The listings plotted the mean of the hidden states as attention; it has negative values and rows that sum to nothing in
particular. Here the maps are the model's own: one row a token that sums to one, for every layer and head, in evaluation
mode (dropout breaks the rows), with attention computed in the way that keeps its weights (fused attention, the default,
keeps none). What a head does is found by a score, not by eye. Attention is not an explanation: see lesson 07.

Rollout: Abnar & Zuidema, Quantifying Attention Flow in Transformers, ACL 2020. Scores of heads: Clark et al., What Does
BERT Look At?, BlackboxNLP 2019.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tl_course import attention, attention_plots, attention_view
from tl_course.attention import AttentionMaps
from tl_course.data.text_file import read_text
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.systems.fonts import every_script
from tl_course.systems.output import output_folder, unwritable
from tl_course.systems.system import AttentionSystem, check_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SENTENCE = "The cat sat on the mat because the cat was tired of the rain."
"""Shown where no text is given: it repeats a word, so that heads that look for repetitions have something to find."""

MAX_TOKENS = 64
"""Longer texts are cut there, unless the caller allows more: figures of more tokens cannot be read."""

SYSTEM = AttentionSystem(
    name="attention",
    framework="pytorch",
    documents=(63, 67),
    title="what attends to what in a text: every head, one head, rollout, and a page to explore",
    backbone="minilm",
)

SCORES = {
    "previous_token": attention.previous_token,
    "next_token": attention.next_token,
    "first_token": attention.first_token,
    "separator": attention.separator,
    "repeated_token": attention.repeated_token,
    "entropy": attention.entropy,
}


@dataclass(frozen=True)
class AttentionResult:
    """What was found and where it was written.

    Attributes:
        system: `SYSTEM`.
        facts: text, backbone, tokens, how many were cut …, as plain values.
        maps: the maps, of one input.
        scores: for every score its values (layers, heads); None where the text has nothing to score.
        files: "heads", "head" and "rollout" (PNG), "view" (HTML), "report" (JSON).
        seconds: from the text to the last file.
    """

    system: AttentionSystem
    facts: dict[str, Any]
    maps: AttentionMaps
    scores: dict[str, np.ndarray | None]
    files: dict[str, Path]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Everything but the maps as plain values, ready for JSON; layers and heads count from 0."""
        return {
            "system": self.system.name,
            "framework": self.system.framework,
            "documents": list(self.system.documents),
            **self.facts,
            "scores": {name: None if values is None else values.tolist() for name, values in self.scores.items()},
            "strongest": self.strongest(),
            "rollout": attention.rollout(self.maps.of()).tolist(),
            "files": {name: str(path) for name, path in self.files.items()},
            "seconds": round(self.seconds, 1),
        }

    def strongest(self) -> dict[str, dict[str, Any]]:
        """For every score but entropy the head with the highest: layer, head, value, and what chance would give."""
        chance = self.maps.uniform()
        found = {}
        for name, values in self.scores.items():
            if values is not None and name != "entropy":
                layer, head = (int(place) for place in np.unravel_index(values.argmax(), values.shape))
                found[name] = {
                    "layer": layer,
                    "head": head,
                    "value": float(values.max()),
                    "chance": float(SCORES[name](chance).mean()),
                }
        return found

    def render_text(self) -> str:
        """The heads that stand out, and the files."""
        lines = [
            _("{name}: {title}").format(name=self.system.name, title=self.system.title),
            _("{tokens} tokens, {layers} layers, {heads} heads of {backbone}").format(
                **self.facts | _counts(self.maps)
            ),
            *(f"- {note}" for note in self.facts["notes"]),
            "",
            f"{_('score'):<16}{_('layer'):>6}{_('head'):>6}{_('value'):>8}{_('chance'):>8}",
        ]
        for name, best in self.strongest().items():
            lines.append(f"{name:<16}{best['layer']:>6}{best['head']:>6}{best['value']:>8.3f}{best['chance']:>8.3f}")
        lines += ["", *(str(path) for path in self.files.values())]
        lines.append(_("open {view} in a browser to explore every head").format(view=self.files["view"]))
        return "\n".join(lines)


def show_attention(
    data: str | Path | None = None,
    out: str | Path | None = None,
    *,
    backbone: str | None = None,
    max_tokens: int | None = None,
    encoding: str | None = None,
    force: bool = False,
    say: Callable[[str], None] = print,
) -> AttentionResult:
    """Draw the attention of an encoder for one text, and write what its heads do.

    Args:
        data: the text, or the path of a text file; None takes a sentence of the course's.
        out: folder for the files; None takes a new numbered one below runs/.
        backbone: "minilm", or an encoder of Hugging Face by name or folder.
        max_tokens: cut the text after so many tokens.
        encoding: of the file; None finds out.
        force: write into `out` although it holds files.
        say: takes the lines that tell how the run goes.

    Raises:
        BadInput: no such file or encoder, a text of fewer than two tokens, or an output folder that cannot be used.
    """
    from tl_course import zoo
    from tl_course.pytorch.attention import attention_maps

    check_numbers(max_tokens=(max_tokens, 4))
    started = time.monotonic()
    text = SENTENCE if data is None else _text(data, encoding)
    name = backbone or SYSTEM.backbone
    with output_folder(out, SYSTEM.name, force) as folder:
        model: Any = zoo.load(name, "pytorch", attention="eager")
        if not hasattr(model, "tokenizer"):
            raise BadInput(_("an encoder of texts"), repr(name), _("take minilm, or one of Hugging Face: OWNER/NAME"))
        most = min(max_tokens or MAX_TOKENS, model.max_tokens, attention_view.MOST_TOKENS)
        total = len(model.tokenizer(text, verbose=False)["input_ids"])
        model.max_tokens = most
        notes = []
        if total > most:
            note = _("the text has {total} tokens; the first {most} are shown")
            notes.append(note.format(total=total, most=most))
        say(_("text: {text}").format(text=text if len(text) <= 80 else text[:79] + "…"))
        maps = attention_maps(model, [text])
        if (~maps.special_of()).sum() < 2:
            raise BadInput(_("a text of two words or more"), repr(text[:40]), _("give a sentence"))
        facts = {"text": text, "backbone": name, "tokens": list(maps.tokens_of()), "notes": notes}
        scores = {score: _scored(score, maps) for score in SCORES}
        result = AttentionResult(SYSTEM, facts, maps, scores, _files(folder), time.monotonic() - started)
        try:
            _write(result)
        except OSError as error:
            raise unwritable(folder, error) from error
    return result


def _text(data: str | Path, encoding: str | None) -> str:
    """The text itself, or that of the file."""
    path = Path(data).expanduser()
    looks_like_a_file = isinstance(data, Path) or (path.suffix[1:].isalnum() and not any(map(str.isspace, str(data))))
    text = str(data)
    if looks_like_a_file or (len(text) < 256 and path.is_file()):
        text = read_text(path, encoding).text
    text = " ".join(text.split())
    if text:
        return text
    raise BadInput(_("a text, or the path of a text file"), _("an empty one"), _("pass a sentence in quotation marks"))


def _scored(name: str, maps: AttentionMaps) -> np.ndarray | None:
    try:
        return SCORES[name](maps)
    except BadInput:  # no token is repeated
        return None


def _files(folder: Path) -> dict[str, Path]:
    names = {
        "heads": "heads.png",
        "head": "head.png",
        "rollout": "rollout.png",
        "view": "attention.html",
        "report": "attention.json",
    }
    return {what: folder / name for what, name in names.items()}


def _write(result: AttentionResult) -> None:
    maps, files = result.maps, result.files
    best = result.strongest()["previous_token"]
    with every_script():
        attention_plots.all_heads(maps).savefig(files["heads"])
        attention_plots.one_head(maps, best["layer"], best["head"]).savefig(files["head"])
        _rollout_figure(maps).savefig(files["rollout"])
    attention_view.view(maps, layer=best["layer"], head=best["head"]).save(files["view"])
    text = json.dumps(result.to_dict(), ensure_ascii=False, allow_nan=False, indent=1)
    files["report"].write_text(text + "\n", encoding="utf-8")


def _rollout_figure(maps: AttentionMaps) -> "Figure":
    """Rollout as the only layer and head of a model would be drawn."""
    flow = attention.rollout(maps.of()).astype(np.float32)
    special = maps.special_of()[None]
    single = AttentionMaps((maps.tokens_of(),), flow[None, None, None], np.ones_like(special), special)
    figure = attention_plots.one_head(single, 0, 0)
    axes = figure.axes[0]
    axes.set(title=_("Rollout: how much of each token comes from where"), xlabel=_("input"), ylabel=_("at the top"))
    axes.images[0].set_clim(0, float(flow.max()))
    return figure


def _counts(maps: AttentionMaps) -> dict[str, int]:
    layers, heads, tokens = maps.of().shape[:3]
    return {"layers": layers, "heads": heads, "tokens": tokens}
