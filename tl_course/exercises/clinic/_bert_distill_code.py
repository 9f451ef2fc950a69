"""The code of the clinic's BERT distilled into BERT: the listing, mended programs, and half-mended ones."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

STARTER = '''
import torch
from torch import nn
from transformers import BertModel


def knowledge_distillation_loss(student_logits, teacher_logits, student_loss, temperature, alpha):
    divergence = nn.KLDivLoss()
    soft_loss = divergence(student_logits, teacher_logits)
    return alpha * soft_loss + (1 - alpha) * student_loss


def distil_bert(name, train_loader, num_layers, num_epochs, lr, temperature, alpha, device):
    """Distil a fine-tuned BERT into a student; returns the student and the loss of every step."""
    teacher_model = BertModel.from_pretrained(name)
    student_model = BertModel.from_pretrained(name)
    optimizer = torch.optim.Adam(student_model.parameters(), lr=lr)
    student_model.train()
    losses = []
    for epoch in range(num_epochs):
        for inputs in train_loader:
            inputs = {key: value.to(device) for key, value in inputs.items()}
            teacher_outputs = teacher_model(**inputs)
            student_outputs = student_model(**inputs)
            student_logits = student_outputs.logits
            teacher_logits = teacher_outputs.logits
            loss = knowledge_distillation_loss(
                student_logits, teacher_logits, student_outputs.loss, temperature, alpha
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return student_model, losses
'''

REFERENCE = '''
import torch
from torch import nn
from transformers import BertForSequenceClassification


def knowledge_distillation_loss(student_logits, teacher_logits, student_loss, temperature, alpha):
    divergence = nn.KLDivLoss(reduction="batchmean")
    log_q = torch.log_softmax(student_logits / temperature, dim=1)
    p = torch.softmax(teacher_logits / temperature, dim=1)
    soft_loss = temperature**2 * divergence(log_q, p)
    return alpha * soft_loss + (1 - alpha) * student_loss


def distil_bert(name, train_loader, num_layers, num_epochs, lr, temperature, alpha, device):
    """Distil a fine-tuned BERT into a smaller one; returns the student and the loss of every step."""
    teacher_model = BertForSequenceClassification.from_pretrained(name)
    student_model = BertForSequenceClassification.from_pretrained(name, num_hidden_layers=num_layers)
    teacher_model.to(device)
    student_model.to(device)
    optimizer = torch.optim.Adam(student_model.parameters(), lr=lr)
    student_model.train()
    losses = []
    for epoch in range(num_epochs):
        for inputs in train_loader:
            inputs = {key: value.to(device) for key, value in inputs.items()}
            with torch.no_grad():
                teacher_logits = teacher_model(**inputs).logits
            student_outputs = student_model(**inputs)
            loss = knowledge_distillation_loss(
                student_outputs.logits, teacher_logits, student_outputs.loss, temperature, alpha
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return student_model, losses
'''

FROM_CONFIG = """
import torch
from torch.nn import functional
from transformers import AutoConfig
from transformers import AutoModelForSequenceClassification as Model


def distil_bert(name, train_loader, num_layers, num_epochs, lr, temperature, alpha, device):
    teacher = Model.from_pretrained(name).to(device).eval().requires_grad_(False)
    student = Model.from_config(AutoConfig.from_pretrained(name, num_hidden_layers=num_layers)).to(device)
    optimizer = torch.optim.Adam(student.parameters(), lr)
    losses = []
    for _ in range(num_epochs):
        for batch in train_loader:
            batch = {name: tensor.to(device) for name, tensor in batch.items()}
            log_p = functional.log_softmax(teacher(input_ids=batch["input_ids"]).logits / temperature, dim=-1)
            outputs = student(**batch)
            log_q = functional.log_softmax(outputs.logits / temperature, dim=-1)
            soft = functional.kl_div(log_q, log_p, log_target=True, reduction="sum") / len(log_p)
            loss = alpha * temperature**2 * soft + (1 - alpha) * outputs.loss
            student.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss))
    return student, losses
"""

CUT = (
    REFERENCE.replace("\nimport torch\n", "\nimport copy\n\nimport torch\n", 1)
    .replace(
        "BertForSequenceClassification.from_pretrained(name, num_hidden_layers=num_layers)",
        "copy.deepcopy(teacher_model)\n"
        "    student_model.bert.encoder.layer = student_model.bert.encoder.layer[:num_layers]\n"
        "    student_model.config.num_hidden_layers = num_layers",
    )
    .replace("divergence(log_q, p)", "(p * (p.log() - log_q)).sum(dim=1).mean()")
)

MESSAGES = {
    "head": _("a bare encoder gives vectors, no logits, and computes no loss, whatever labels it is given"),
    "new head": _("the teacher's own head is left out: what it has learned about the classes is lost"),
    "student": _("the student is the teacher once more: as large, and with the same weights"),
    "one object": _("there is one network under two names: it teaches itself"),
    "soft": _("the divergence compares distributions, and it was given none"),
    "swapped": _("teacher and student have changed places in the divergence"),
    "temperature": _("the temperature is taken and never used"),
    "no square": _("the higher the temperature, the less the teacher's part of the loss counts"),
    "reduction": _("the divergence is divided by the number of classes as well"),
    "summed": _("the divergence grows with the batch, and the labels' loss does not"),
    "gradients": _("gradients are worked out for the teacher, though it is not to learn"),
    "teacher mode": _("the teacher answers in training mode, with dropout: differently each time"),
    "student mode": _("the student trains in inference mode, without its dropout"),
    "device": _("the data move to the device, and the networks stay where they were"),
    "half device": _("only one of the two networks moves to the device"),
}
TEACHER = "BertForSequenceClassification.from_pretrained(name)"
STUDENT = "BertForSequenceClassification.from_pretrained(name, num_hidden_layers=num_layers)"
DIVERGENCE = 'nn.KLDivLoss(reduction="batchmean")'
LOG_Q, P = (
    "torch.log_softmax(student_logits / temperature, dim=1)",
    "torch.softmax(teacher_logits / temperature, dim=1)",
)
NO_GRAD = "            with torch.no_grad():\n                teacher_logits ="
MOVES = "    teacher_model.to(device)\n", "    student_model.to(device)\n"
EDITS = {
    "head": (
        ("import BertForSequenceClassification", "import BertModel"),
        (TEACHER, "BertModel.from_pretrained(name)"),
        (STUDENT, "BertModel.from_pretrained(name, num_hidden_layers=num_layers)"),
    ),
    "new head": (
        (TEACHER, f"{TEACHER}\n    teacher_model.classifier = nn.Linear(teacher_model.config.hidden_size, 3)"),
    ),
    "student": ((STUDENT, TEACHER),),
    "one object": ((STUDENT, "teacher_model"),),
    "soft": ((LOG_Q, "student_logits / temperature"), (P, "teacher_logits / temperature")),
    "swapped": (("divergence(log_q, p)", "divergence(p.log(), log_q.exp())"),),
    "temperature": (
        (LOG_Q, "torch.log_softmax(student_logits, dim=1)"),
        (P, "torch.softmax(teacher_logits, dim=1)"),
        ("temperature**2 * ", ""),
    ),
    "no square": (("temperature**2 * ", ""),),
    "reduction": ((DIVERGENCE, "nn.KLDivLoss()"),),
    "summed": ((DIVERGENCE, 'nn.KLDivLoss(reduction="sum")'),),
    "gradients": ((NO_GRAD, "            teacher_logits ="),),
    "teacher mode": (("    student_model.train()\n", "    student_model.train()\n    teacher_model.train()\n"),),
    "student mode": (("    student_model.train()\n", "    student_model.eval()\n"),),
    "device": ((MOVES[0], ""), (MOVES[1], "")),
    "half device": ((MOVES[1], ""),),
}


def mistakes() -> dict[str, Mistake]:
    """The listing itself, and the mended program with one fault left in."""
    found = {name: Mistake(MESSAGES[name], given) for name, given in EDITS.items()}
    return {"listing": Mistake(MESSAGES["head"], source=STARTER), **found}
