"""A teacher is trained, then two students alike: one learns from its answers, one from the labels alone.

Both students start from the same weights, take about as many steps at the same rates, and keep their best weights on
the validation examples: what is between them is what the teacher had to say. The teacher is in evaluation mode, gets no
gradient, and answers for every example once.

Hinton, Vinyals & Dean, Distilling the Knowledge in a Neural Network, 2015.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tl_course.data import Split
from tl_course.fit_options import check_kd_options
from tl_course.history import History
from tl_course.i18n import _
from tl_course.systems import unlabelled
from tl_course.systems.building import library
from tl_course.systems.comparison import Compared, compare
from tl_course.systems.system import Distillation, Prepared, Request, RunOptions, Training, TrainingSystem


@dataclass(frozen=True)
class Distilled:
    """What distillation leaves.

    Attributes:
        teacher: trained, and as it was then.
        student: the classifier that learnt from the teacher.
        alone: the one that learnt from the labels alone.
        history: of the student's training.
        facts: what is worth telling, as plain values.
    """

    teacher: Any
    student: Any
    alone: Any
    history: History
    facts: dict[str, Any]

    def compared(self, test: Split, folder: Path) -> tuple[Compared, ...]:
        """The figures of all three; see `comparison.compare`."""
        networks = {_("teacher"): self.teacher, _("student"): self.student, _("student, labels alone"): self.alone}
        return compare(networks, test, folder)


def softness(plan: Distillation, options: RunOptions) -> tuple[float, float]:
    """Temperature and alpha of a run: what it was told, or the system's own. Raises BadInput for one out of range."""
    temperature, alpha = options.get("temperature"), options.get("alpha")
    chosen = plan.temperature if temperature is None else temperature, plan.alpha if alpha is None else alpha
    check_kd_options(*chosen)
    return chosen


def distil(
    system: TrainingSystem,
    made: Prepared,
    training: Training,
    request: Request,
    epochs: int | None,
    say: Callable[[str], None],
) -> Distilled:
    """Train the teacher, which is `made.classifier`, and its students.

    Args:
        system: with a distillation.
        made: teacher and data.
        training: the teacher's.
        request: options, temperature and alpha among them.
        epochs: of the students; None takes the system's own number.
        say: takes a line before each stage.

    Raises:
        BadInput: examples without classes that cannot be used, or options out of range.
    """
    plan = system.distillation
    if plan is None:
        raise TypeError(system)
    options, teacher = request.options, made.classifier
    extra = unlabelled.read(plan, request, made.dataset)
    student, alone = (plan.student(teacher, request.seed) for _twin in range(2))
    say(_("teacher: {name}").format(name=request.backbone))
    teacher_history = system.train(teacher, made.dataset, training)

    num_epochs = epochs or (plan.demonstration_epochs if request.data is None else plan.num_epochs)
    num_extra = 0 if extra is None else len(extra)
    temperature, alpha = softness(plan, options)
    recipe = {**plan.recipe, "seed": request.seed, "progress": training.progress}
    labelled = len(made.dataset.train)
    say(
        _("student: {name}, from the teacher's answers to {count} examples with a class and {extra} without").format(
            name=student.backbone.name, count=labelled, extra=num_extra
        )
    )
    history = library(system.framework, "distill").distill(
        teacher,
        student,
        made.dataset,
        num_epochs=num_epochs,
        temperature=temperature,
        alpha=alpha,
        unlabelled=extra,
        **recipe,
    )
    rounds = int(np.ceil(num_epochs * (labelled + num_extra) / labelled))
    say(_("the same student from the labels alone, with as many steps"))
    library(system.framework, "fit").fit(alone, made.dataset, num_epochs=rounds, **recipe)
    facts = {
        "student": student.backbone.name,
        "temperature": temperature,
        "alpha": alpha,
        "unlabelled": num_extra,
        "teacher_epochs": len(teacher_history),
        "labels_alone_epochs": rounds,
    }
    return Distilled(teacher, student, alone, history, facts)
