"""The code of the clinic's teacher and student: the listing, mended programs, and half-mended ones."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

STARTER = '''
import torch
from torch import nn


def distillation_loss(student_outputs, teacher_outputs, temperature, teacher_lambda):
    student_logits = student_outputs.logits
    teacher_logits = teacher_outputs.logits
    divergence = nn.KLDivLoss()
    soft_loss = divergence(student_logits, teacher_logits)
    return teacher_lambda * soft_loss + (1 - teacher_lambda) * student_outputs.loss


def teacher_student_training(
    teacher_model, student_model, train_loader, num_epochs, lr, temperature, teacher_lambda, device
):
    """Train a student on its teacher's answers and on the labels; returns it and the loss of every step."""
    optimizer = torch.optim.Adam(student_model.parameters(), lr=lr)
    student_model.train()
    losses = []
    for epoch in range(num_epochs):
        for inputs in train_loader:
            inputs = {key: value.to(device) for key, value in inputs.items()}
            teacher_outputs = teacher_model(**inputs)
            student_outputs = student_model(**inputs)
            loss = distillation_loss(student_outputs, teacher_outputs, temperature, teacher_lambda)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return student_model, losses
'''

REFERENCE = '''
import torch
from torch import nn


def distillation_loss(student_outputs, teacher_outputs, temperature, teacher_lambda):
    student_log_probs = torch.log_softmax(student_outputs.logits / temperature, dim=1)
    teacher_probs = torch.softmax(teacher_outputs.logits / temperature, dim=1)
    divergence = nn.KLDivLoss(reduction="batchmean")
    soft_loss = temperature**2 * divergence(student_log_probs, teacher_probs)
    return teacher_lambda * soft_loss + (1 - teacher_lambda) * student_outputs.loss


def teacher_student_training(
    teacher_model, student_model, train_loader, num_epochs, lr, temperature, teacher_lambda, device
):
    """Train a student on its teacher's answers and on the labels; returns it and the loss of every step."""
    teacher_model.to(device)
    student_model.to(device)
    optimizer = torch.optim.Adam(student_model.parameters(), lr=lr)
    teacher_model.eval()
    student_model.train()
    losses = []
    for epoch in range(num_epochs):
        for inputs in train_loader:
            inputs = {key: value.to(device) for key, value in inputs.items()}
            with torch.no_grad():
                teacher_outputs = teacher_model(**inputs)
            student_outputs = student_model(**inputs)
            loss = distillation_loss(student_outputs, teacher_outputs, temperature, teacher_lambda)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return student_model, losses
'''

CACHED = """
import torch
from torch.nn import functional


def teacher_student_training(
    teacher_model, student_model, train_loader, num_epochs, lr, temperature, teacher_lambda, device
):
    teacher = teacher_model.to(device).train(False)
    student = student_model.to(device).train(True)
    batches = [{key: value.to(device) for key, value in batch.items()} for batch in train_loader]
    with torch.inference_mode():
        answers = [functional.log_softmax(teacher(**batch).logits / temperature, dim=1) for batch in batches]
    answers = [answer.clone() for answer in answers]
    optimizer = torch.optim.Adam(student.parameters(), lr)
    losses = []
    for _ in range(num_epochs):
        for batch, log_p in zip(batches, answers):
            outputs = student(**batch)
            log_q = functional.log_softmax(outputs.logits / temperature, dim=1)
            soft = functional.kl_div(log_q, log_p, reduction="sum", log_target=True) / len(log_p)
            loss = torch.lerp(outputs.loss, temperature * temperature * soft, teacher_lambda)
            student.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return student, losses
"""

FROZEN = """
import torch


def teacher_student_training(
    teacher_model, student_model, train_loader, num_epochs, lr, temperature, teacher_lambda, device
):
    for parameter in teacher_model.parameters():
        parameter.requires_grad = False
    teacher_model.eval().to(device=device)
    student_model.train().to(device=device)
    optimizer = torch.optim.Adam(student_model.parameters(), lr=lr)
    losses = []
    for _ in range(num_epochs):
        for batch in train_loader:
            batch = {name: tensor.to(device) for name, tensor in batch.items()}
            p = (teacher_model(**batch).logits / temperature).softmax(1)
            outputs = student_model(**batch)
            q = (outputs.logits / temperature).softmax(1)
            soft = (p * (p.log() - q.log())).sum(dim=1).mean()
            loss = teacher_lambda * temperature**2 * soft + (1 - teacher_lambda) * outputs.loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss))
    return student_model, losses
"""

MESSAGES = {
    "listing": _("the divergence is given numbers that are no probabilities, among other things"),
    "soft": _("the divergence compares distributions, and it was given none"),
    "no log": _("one of the divergence's two arguments is not on the scale it wants"),
    "squared": _("logits are compared as numbers: two sets of logits that mean the same count as different"),
    "temperature": _("the temperature is taken and never used"),
    "no square": _("the higher the temperature, the less the teacher's part of the loss counts"),
    "teacher only": _("teacher and student are compared at two different temperatures"),
    "reduction": _("the divergence is divided by the number of classes as well"),
    "summed": _("the divergence grows with the batch, and the labels' loss does not"),
    "swapped": _("teacher and student have changed places in the divergence"),
    "mode": _("the teacher answers in training mode: differently each time"),
    "student mode": _("both networks are in inference mode, the student too"),
    "gradients": _("gradients are worked out for the teacher, though it is not to learn"),
    "teacher learns": _("the teacher takes steps as well: it walks towards its student"),
    "device": _("the data move to the device, and the networks stay where they were"),
    "half device": _("only one of the two networks moves to the device"),
}
MEAN = 'nn.KLDivLoss(reduction="batchmean")'
DIVERGENCE = "divergence(student_log_probs, teacher_probs)"
NO_GRAD = "            with torch.no_grad():\n                teacher_outputs = teacher_model(**inputs)\n"
GRAD = "            teacher_outputs = teacher_model(**inputs)\n"
STUDENT = "torch.log_softmax(student_outputs.logits / temperature, dim=1)"
TEACHER = "torch.softmax(teacher_outputs.logits / temperature, dim=1)"
MOVES = "    teacher_model.to(device)\n", "    student_model.to(device)\n"
EDITS = {
    "soft": (
        (STUDENT, "student_outputs.logits / temperature"),
        (TEACHER, "teacher_outputs.logits / temperature"),
    ),
    "no log": ((STUDENT, STUDENT.replace("log_softmax", "softmax")),),
    "squared": (
        (STUDENT, "student_outputs.logits / temperature"),
        (TEACHER, "teacher_outputs.logits / temperature"),
        (MEAN, "nn.MSELoss()"),
    ),
    "temperature": (
        (STUDENT, "torch.log_softmax(student_outputs.logits, dim=1)"),
        (TEACHER, "torch.softmax(teacher_outputs.logits, dim=1)"),
        ("temperature**2 * ", ""),
    ),
    "no square": (("temperature**2 * ", ""),),
    "teacher only": ((STUDENT, "torch.log_softmax(student_outputs.logits, dim=1)"),),
    "reduction": ((MEAN, "nn.KLDivLoss()"),),
    "summed": ((MEAN, 'nn.KLDivLoss(reduction="sum")'),),
    "swapped": ((DIVERGENCE, "divergence(teacher_probs.log(), student_log_probs.exp())"),),
    "mode": (("    teacher_model.eval()\n", ""),),
    "student mode": (("    student_model.train()\n", "    student_model.eval()\n"),),
    "gradients": ((NO_GRAD, GRAD),),
    "teacher learns": (
        (NO_GRAD, GRAD),
        ("Adam(student_model.parameters()", "Adam([*student_model.parameters(), *teacher_model.parameters()]"),
    ),
    "device": ((MOVES[0], ""), (MOVES[1], "")),
    "half device": ((MOVES[0], ""),),
}


def mistakes() -> dict[str, Mistake]:
    """The listing itself, and the mended program with one fault left in."""
    found = {name: Mistake(MESSAGES[name], given) for name, given in EDITS.items()}
    return {"listing": Mistake(MESSAGES["listing"], source=STARTER), **found}
