"""Listing 68 made right: an encoder with half the layers learns from the whole one, on a table of texts, in PyTorch.

Teacher and student are two networks: where one model is loaded twice the two agree from the first step, the divergence
is 0 and nothing is learnt. The student gets every second layer of the pretrained encoder; the teacher, fine-tuned
before, answers in evaluation mode for texts with a label and, more usefully, for texts without one.

Every second layer: Sanh et al., DistilBERT, a distilled version of BERT, 2019; fine-tuned teachers on unlabelled texts:
Turc et al., Well-Read Students Learn Better: On the Importance of Pre-training Compact Models, 2019.
"""

from pathlib import Path
from typing import Any

from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.systems.system import Demonstration, Distillation, TextSystem
from tl_course.systems.text_classify import train
from tl_course.systems.text_demonstration import write_tweets, write_tweets_alone


def student(teacher: Any, seed: int) -> Any:
    """The teacher with every second of its layers, the first among them."""
    from tl_course.pytorch.students import shallow_student

    depth = teacher.backbone.model.config.num_hidden_layers
    if depth < 2:
        raise BadInput(
            _("a teacher of two layers or more"),
            _("{name}, with {depth}").format(name=teacher.backbone.name, depth=depth),
            _("pass another --backbone"),
        )
    return shallow_student(teacher, tuple(range(0, depth, 2)))


def write_unlabelled(path: Path) -> None:
    """Four hundred tweets."""
    write_tweets_alone(path, 400)


SYSTEM = TextSystem(
    name="text-distill",
    framework="pytorch",
    documents=(68,),
    title="half the layers learn from a fine-tuned encoder (--backbone OWNER/NAME for BERT), from a table",
    backbone="minilm",
    num_epochs=4,
    train=train,
    demonstration=Demonstration(write_tweets, num_epochs=3, note="tweets, positive or negative"),
    distillation=Distillation(
        student,
        num_epochs=6,
        demonstration_epochs=3,
        write_unlabelled=write_unlabelled,
        recipe={"lr": 5e-3, "backbone_lr": 1e-4, "batch_size": 16, "patience": 3},
        temperature=2.0,
        alpha=0.9,
    ),
)
