"""A classifier in one file: weights, preprocessing and class names, checked as a whole when it is read.

The file is safetensors: plain tensors and a header of text. Reading one runs no code, unlike a pickle. The header holds
a SHA-256 of everything else, so a file that was cut off or changed is noticed.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from tl_course.errors import BadInput
from tl_course.i18n import _

FORMAT_VERSION = 1
_KEY = "tl_course"  # of the header's entry that is ours

Kind = Literal["image", "text"]


@dataclass(frozen=True)
class ClassifierFile:
    """What the file holds.

    Attributes:
        framework: "pytorch" or "keras".
        backbone: its name in the zoo.
        image_size: height and width the images are resized to; None leaves them as they are.
        mean, std: the normalisation, one value a channel; empty for texts.
        class_names: what the logits stand for, in order.
        weights: arrays by name, the framework's own names and layouts.
        details: anything else that is needed to build the model again, as plain JSON values; for texts the encoder's
            configuration and its tokenizer.
        kind: what it classifies, "image" or "text".
    """

    framework: str
    backbone: str
    image_size: int | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]
    weights: Mapping[str, np.ndarray] = field(repr=False)
    details: Mapping[str, Any] = field(default_factory=dict, repr=False)
    kind: Kind = "image"


def write(path: str | Path, content: ClassifierFile) -> Path:
    """Write the file, replacing one that is there only when all is written; missing folders are made."""
    path = Path(path)
    weights = {name: np.asarray(array, order="C") for name, array in content.weights.items()}
    header = {"format_version": FORMAT_VERSION, **_description(content)}
    metadata = {_KEY: json.dumps({**header, "sha256": _digest(header, weights)}), "format": "np"}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        save_file(weights, unfinished, metadata)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def read(path: str | Path, framework: str | None = None, kind: Kind | None = None) -> ClassifierFile:
    """Read and check the file.

    Args:
        path: what `write` wrote.
        framework: refuse a file of another; None takes either.
        kind: refuse a classifier of something else; None takes any.

    Raises:
        BadInput: the file is missing, cut off, changed, or not of this kind, version or framework.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(_("a classifier's file"), _("nothing at {path}").format(path=path), _("check the path"))
    try:
        with safe_open(path, framework="np") as file:
            header = json.loads((file.metadata() or {}).get(_KEY, "null"))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    except (SafetensorError, OSError, ValueError) as error:
        raise _refused(_("a whole safetensors file"), f"{path.name}: {error}") from error
    if not isinstance(header, dict):
        raise _refused(_("a classifier of this course"), _("{name}, other tensors").format(name=path.name))
    version, kept = header.get("format_version"), header.pop("sha256", None)
    if version != FORMAT_VERSION:
        got = _("version {version}").format(version=version)
        raise BadInput(_("format version {version}").format(version=FORMAT_VERSION), got, _("update the course"))
    if kept != _digest(header, weights):
        raise _refused(
            _("the file as it was saved"), _("{name}, whose content was changed since").format(name=path.name)
        )
    del header["format_version"]
    lists = {name: tuple(header[name]) for name in ("mean", "std", "class_names")}
    content = ClassifierFile(**{**header, **lists}, weights=weights)
    _check_use(content, framework, kind)
    return content


def check_class_names(class_names: Any) -> tuple[str, ...]:
    """The names as a tuple, when they are one or more different strings.

    Raises:
        BadInput: they are not.
    """
    expected = _("class names: one or more different strings")
    if isinstance(class_names, str):
        raise BadInput(expected, repr(class_names), _("put it in a list"))
    names = tuple(class_names)
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise BadInput(expected, repr(names)[:80], _("take those of the data set: dataset.class_names"))
    return names


def _check_use(content: ClassifierFile, framework: str | None, kind: Kind | None) -> None:
    """Raise BadInput for a classifier of another framework, or of something else."""
    module = "text_classifier" if content.kind == "text" else "classifier"
    remedy = _("load it with tl_course.{framework}.{module}").format(framework=content.framework, module=module)
    if framework is not None and content.framework != framework:
        raise BadInput(
            _("a classifier in {framework}").format(framework=framework),
            _("one in {framework}").format(framework=content.framework),
            remedy,
        )
    if kind is not None and content.kind != kind:
        raise BadInput(
            _("a classifier of this kind: {kind}").format(kind=kind),
            _("one of this kind: {kind}").format(kind=content.kind),
            remedy,
        )


def _description(content: ClassifierFile) -> dict[str, Any]:
    """All but the weights, as it comes back from JSON."""
    plain = {name: value for name, value in vars(content).items() if name != "weights"}
    return json.loads(json.dumps({**plain, "details": dict(content.details)}))


def _digest(header: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the description and every array's name, type, shape and bytes."""
    total = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(weights):
        array = weights[name]
        total.update(f"{name} {array.dtype.str} {array.shape}".encode())
        total.update(np.asarray(array, order="C").data)
    return total.hexdigest()


def _refused(expected: str, got: str) -> BadInput:
    return BadInput(expected, got, _("save the classifier again, or copy the file again from where it came"))
