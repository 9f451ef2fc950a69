"""The code of the exercise on labels that an encoder swallows: reference, starter, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch import nn
from transformers import BertModel


def train_step(
    encoder: BertModel, head: nn.Linear, optimizer: torch.optim.Optimizer, batch: dict[str, torch.Tensor]
) -> float:
    """One step of training encoder and head to classify texts. The head reads the last vector of the first token.

    Args:
        encoder: a bare encoder, loaded with `AutoModel`.
        head: maps D features to K logits.
        optimizer: holds the parameters of both.
        batch: "input_ids" and "attention_mask", shape (N, L), and "labels", the class of each text, shape (N,).

    Returns:
        The mean loss over the texts of the batch, before the step.
    """
    labels = batch["labels"]
    outputs = encoder(batch["input_ids"], attention_mask=batch["attention_mask"])
    loss = nn.functional.cross_entropy(head(outputs.last_hidden_state[:, 0]), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
'''

FORWARD = PYTORCH[PYTORCH.index("    labels = ") : PYTORCH.index("    optimizer.zero_grad")]
PYTORCH_STARTER = PYTORCH.replace(
    FORWARD,
    """    outputs = encoder(**batch)
    loss = outputs[0].mean()
""",
)

PYTORCH_KEYWORDS = """
import torch
from torch import nn


def train_step(encoder, head, optimizer, batch):
    optimizer.zero_grad()
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    hidden = encoder(**inputs)[0]
    loss = nn.CrossEntropyLoss()(head(hidden)[:, 0], batch["labels"])
    loss.backward()
    optimizer.step()
    return float(loss)
"""

PYTORCH_GRAD = """
import torch


def train_step(encoder, head, optimizer, batch):
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    states = encoder(**batch, output_hidden_states=True).hidden_states
    log_odds = head(states[-1][:, 0, :]).log_softmax(dim=1)
    loss = -log_odds.gather(1, batch["labels"][:, None]).mean()
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = gradient
    optimizer.step()
    return loss.detach().item()
"""

MESSAGES = {
    "first-output": _(
        "a bare encoder computes no loss and says nothing about labels it is given: its first output are hidden "
        "vectors, and their mean is driven down"
    ),
    "no-head": _("the hidden features were taken for logits: the head learns nothing"),
    "pooler": _("the head reads the pooler's output; it was to read the first token's vector itself"),
    "mean": _("the head reads the mean of all vectors, padding too; it was to read the first token's"),
    "no-mask": _("the attention mask is not passed on, so tokens attend to padding"),
    "head-alone": _("no gradient reaches the encoder: only the head learns"),
    "accumulates": _("each batch's gradients are added to those of all batches before it"),
    "no-step": _("the loss is right, but nothing is changed by it"),
    "loss-after": _("the loss returned is measured after the step"),
    "summed": _("the losses of the texts are added up, so the step grows with the batch"),
}
LOSS, VECTORS = (
    "nn.functional.cross_entropy(head(outputs.last_hidden_state[:, 0]), labels)",
    "outputs.last_hidden_state[:, 0]",
)
EDITS = {
    "no-head": ((f"head({VECTORS})", VECTORS),),
    "pooler": ((VECTORS, "outputs.pooler_output"),),
    "mean": ((VECTORS, "outputs.last_hidden_state.mean(dim=1)"),),
    "no-mask": ((', attention_mask=batch["attention_mask"]', ""),),
    "head-alone": ((VECTORS, f"{VECTORS}.detach()"),),
    "accumulates": (("    optimizer.zero_grad()\n", ""),),
    "no-step": (("    optimizer.step()\n", ""),),
    "loss-after": (
        (
            "    return loss.item()\n",
            '    states = encoder(batch["input_ids"], batch["attention_mask"])[0]\n'
            "    return nn.functional.cross_entropy(head(states[:, 0]), labels).item()\n",
        ),
    ),
    "summed": ((LOSS, LOSS.replace("labels)", 'labels, reduction="sum")')),),
}


def mistakes() -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    found = {name: Mistake(MESSAGES[name], given) for name, given in EDITS.items()}
    return {"first-output": Mistake(MESSAGES["first-output"], source=PYTORCH_STARTER), **found}
