"""The systems by name."""

from typing import Any

from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.systems import (
    attention_run,
    bert_finetune,
    distill,
    keras_distill,
    keras_mobilenetv2_binary,
    keras_text_classify,
    keras_vgg16_classifier,
    keras_vgg16_frozen,
    pytorch_resnet18_cifar10,
    pytorch_resnet18_folder,
    pytorch_transfer,
    text_classify,
    text_distill,
    text_transfer,
)
from tl_course.systems.system import Purpose, System

_SYSTEMS: dict[str, System] = {
    module.SYSTEM.name: module.SYSTEM
    for module in (
        keras_vgg16_classifier,
        keras_distill,
        pytorch_resnet18_folder,
        keras_vgg16_frozen,
        keras_mobilenetv2_binary,
        distill,
        pytorch_transfer,
        pytorch_resnet18_cifar10,
        text_transfer,
        attention_run,
        bert_finetune,
        text_distill,
        text_classify,
        keras_text_classify,
    )
}


def names() -> tuple[str, ...]:
    """The names that `run` knows, images first, each kind in the order of the documents' listings."""
    return tuple(_SYSTEMS)


def get(name: str) -> System:
    """The system of this name. Raises BadInput, which lists them, where there is none."""
    if name not in _SYSTEMS:
        raise BadInput(
            _("a system out of {names}").format(names=", ".join(_SYSTEMS)),
            repr(name),
            _("choose one of these; tl-course run --list says what each does"),
        )
    return _SYSTEMS[name]


def listing(purpose: Purpose | None = None) -> list[dict[str, Any]]:
    """One row a system: name, framework, documents (numbers of the code listings it puts right), title, backbone, kind.

    Args:
        purpose: only those that classify "image" or "text", show "attention", or do "distillation" of either.
    """
    return [
        {
            "name": system.name,
            "framework": system.framework,
            "documents": list(system.documents),
            "title": system.title,
            "backbone": system.backbone,
            "kind": system.kind,
        }
        for system in _SYSTEMS.values()
        if purpose in (None, system.purpose)
    ]
