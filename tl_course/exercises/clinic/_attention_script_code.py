"""The answers, right and wrong, of the clinic's case on a script that reports attention."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

STARTER = '''
import torch
from transformers import BertTokenizer


def encode(tokenizer, texts):
    """What the model reads of texts, padded to one length."""
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    return {"input_ids": encoded["input_ids"]}


def attention_report(model, folder, texts):
    """How much attention each word of each text gets from [CLS], in every head of the model's last layer."""
    tokenizer = BertTokenizer.from_pretrained(folder)
    inputs = encode(tokenizer, texts)
    with torch.no_grad():
        outputs = model(**inputs, output_attentions=True)
    weights = outputs.attentions[0]
    weights = weights.mean(dim=1, keepdim=True)

    report = []
    for ids, heads in zip(inputs["input_ids"], weights):
        tokens = tokenizer.convert_ids_to_tokens(ids)
        words = [i for i, token in enumerate(tokens)]
        report.append(([tokens[i] for i in words], heads[:, 0, words]))
    return report
'''

PYTORCH = '''
import torch
from transformers import BertModel, BertTokenizer


def encode(tokenizer: BertTokenizer, texts: list[str]) -> dict[str, torch.Tensor]:
    """What the model reads of texts, padded to one length: token ids and mask, each (N, L)."""
    return tokenizer(texts, padding=True, return_tensors="pt")


def attention_report(model: BertModel, folder: str, texts: list[str]) -> list[tuple[list[str], torch.Tensor]]:
    """How much attention each word of each text gets from [CLS], in every head of the model's last layer.

    Args:
        model: an encoder, in whatever mode it was left.
        folder: where its tokenizer is.
        texts: what it reads, in one padded batch.

    Returns:
        For each text its words, without special tokens and padding, and their weights in inference mode as the model
        gives them, (heads, words).
    """
    tokenizer = BertTokenizer.from_pretrained(folder)
    inputs = encode(tokenizer, texts)
    model.eval()
    model.set_attn_implementation("eager")
    with torch.no_grad():
        outputs = model(**inputs, output_attentions=True)
    weights = outputs.attentions[-1]
    report = []
    for ids, heads in zip(inputs["input_ids"], weights):
        tokens = tokenizer.convert_ids_to_tokens(ids)
        words = [i for i, token in enumerate(tokens) if token not in tokenizer.all_special_tokens]
        report.append(([tokens[i] for i in words], heads[:, 0, words]))
    return report
'''

PYTORCH_ONE_BY_ONE = """
import copy

import torch
from transformers import AutoTokenizer


@torch.inference_mode()
def attention_report(model, folder, texts):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    reader = copy.deepcopy(model).train(False)
    reader.set_attn_implementation("eager")
    report = []
    for text in texts:
        tokens = tokenizer(text, return_tensors="pt")
        maps = reader(tokens["input_ids"], output_attentions=True).attentions
        report.append((text.split(), maps[len(maps) - 1][0, :, 0, 1:-1].numpy()))
    return report
"""

PYTORCH_HOOK = """
import torch
from transformers import BertTokenizer


def attention_report(model, folder, texts):
    tokenizer = BertTokenizer.from_pretrained(folder)
    batch = tokenizer(texts, padding=True, return_tensors="pt", return_special_tokens_mask=True)
    special = batch.pop("special_tokens_mask").bool()
    before = model.training
    model.eval()
    heads = model.config.num_attention_heads
    with torch.no_grad():
        states = model(**batch, output_hidden_states=True).hidden_states[-2]
    model.train(before)
    part = model.encoder.layer[-1].attention.self
    with torch.no_grad():
        query = part.query(states[:, 0]).unflatten(-1, (heads, -1))
        key = part.key(states).unflatten(-1, (heads, -1))
    scores = torch.einsum("nhd,njhd->nhj", query, key) / key.shape[-1] ** 0.5
    scores = scores.masked_fill(batch["attention_mask"][:, None] == 0, -torch.inf)
    weights = torch.softmax(scores, dim=2)
    names = [tokenizer.convert_ids_to_tokens(row[~hidden]) for row, hidden in zip(batch["input_ids"], special)]
    return [(words, row[:, ~hidden]) for words, row, hidden in zip(names, weights, special)]
"""

EMPTY = _("the weights were asked for, and what came is empty: find out which way of computing never has them")
MESSAGES = {
    "starter": EMPTY,
    "maps": EMPTY,
    "mode": _("the model is still in the mode in which it was trained: weights are dropped at random"),
    "layer": _("another layer than the one promised is reported"),
    "all-layers": _("layers are averaged: what the promised one does is mixed with all before it"),
    "heads": _("the heads are averaged: what single heads do cannot be seen any more"),
    "mask": _("the model cannot tell padding from words and shares its attention out to it"),
    "special": _("what is reported as words includes tokens that the tokenizer put there"),
    "padding-listed": _("the empty places after a short text are reported as if they were words"),
    "rescaled": _("the weights were rescaled: what went to other tokens disappears from the report"),
    "other-rows": _("all tokens' looks are averaged; the report is on where [CLS] looks"),
    "received": _("rows and columns have changed places: this is who looks at [CLS]"),
}
CHOICE = " if token not in tokenizer.all_special_tokens"
SHARES = "heads[:, 0, words]"
LAST = "    weights = outputs.attentions[-1]\n"
EDITS = {
    "maps": (('    model.set_attn_implementation("eager")\n', ""),),
    "mode": (("    model.eval()\n", ""),),
    "layer": ((LAST, LAST.replace("-1", "0")),),
    "all-layers": ((LAST, "    weights = torch.stack(outputs.attentions).mean(dim=0)\n"),),
    "heads": ((LAST, f"{LAST}    weights = weights.mean(dim=1, keepdim=True)\n"),),
    "mask": (("model(**inputs,", 'model(inputs["input_ids"],'),),
    "special": ((CHOICE, ' if token != "[PAD]"'),),
    "padding-listed": ((CHOICE, ' if token not in ("[CLS]", "[SEP]")'),),
    "rescaled": ((SHARES, f"{SHARES} / {SHARES}.sum(dim=-1, keepdim=True)"),),
    "other-rows": ((SHARES, "heads.mean(dim=1)[:, words]"),),
    "received": ((SHARES, "heads[:, words, 0]"),),
}


def mistakes() -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    found = {name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()}
    return {"starter": Mistake(MESSAGES["starter"], source=STARTER), **found}
