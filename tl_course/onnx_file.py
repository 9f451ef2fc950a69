"""A classifier in one .onnx file: the graph, and beside it class names and preprocessing, checked as a whole when read.

ONNX is a protocol buffer. Two entries are added to its `metadata_props`: "tl_course", the description as JSON, and at
the very end "tl_course_sha256", the digest of every byte before it. A protocol buffer may be followed by more fields,
so any program that reads ONNX still reads the file, and a file that was cut off or changed is noticed.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tl_course.classifier_file import Kind, check_class_names
from tl_course.errors import BadInput
from tl_course.i18n import _

if TYPE_CHECKING:
    from onnx import ModelProto

FORMAT_VERSION = 1
KEY = "tl_course"
_SEAL_KEY = b"tl_course_sha256"
_METADATA_FIELD = 14  # of onnx.ModelProto


@dataclass(frozen=True)
class Description:
    """What the graph's inputs and outputs mean.

    Attributes:
        kind: what it classifies, "image" or "text".
        class_names: what the logits stand for, in order.
        framework: where it came from, "pytorch" or "keras".
        image_size: height and width the graph takes; 0 for texts.
        mean, std: the normalisation, one value a channel; empty for texts.
        layout: order of the axes the graph takes: "NCHW" as PyTorch's, "NHWC" as Keras's.
        tokenizer: its own JSON (Hugging Face tokenizers); empty for images.
        pad_id: the token id that fills up short texts.
        max_tokens: longer texts are cut there; 0 for images.
    """

    kind: Kind
    class_names: tuple[str, ...]
    framework: str
    image_size: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    tokenizer: str = field(default="", repr=False)
    pad_id: int = 0
    max_tokens: int = 0


def write(path: str | Path, model: "ModelProto", description: Description) -> Path:
    """Write the file, replacing one that is there only when all is written; missing folders are made.

    Args:
        path: usually ends in .onnx.
        model: takes "images" float32 in the description's layout, or "input_ids" and "attention_mask" int64 (N, L);
            gives logits (N, K). Other metadata is taken out of it: exporters write paths of source files there.
        description: of these.
    """
    path = Path(path)
    _clear_metadata(model)
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps({"format_version": FORMAT_VERSION, **asdict(description)})
    body = model.SerializeToString(deterministic=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        unfinished.write_bytes(body + _seal(body))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def _clear_metadata(model: "ModelProto") -> None:
    """Take out what the graph does not compute with."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def read_bytes(path: str | Path) -> tuple[bytes, bool]:
    """The file's bytes, and whether they are as `write` left them.

    Raises:
        BadInput: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(_("an .onnx file"), _("nothing at {path}").format(path=path), _("check the path"))
    content = path.read_bytes()
    length = len(_seal(b""))
    return content, content[-length:] == _seal(content[:-length])


def describe(metadata: dict[str, str], unchanged: bool, name: str) -> Description:
    """The description in a file's metadata.

    Args:
        metadata: its metadata_props.
        unchanged: what `read_bytes` found.
        name: of the file, for messages.

    Raises:
        BadInput: the file is not the course's, of another version, or was changed.
    """
    remedy = _("export it again: export_onnx(classifier, 'model.onnx')")
    if KEY not in metadata:
        got = _("{name}, which says nothing of classes and preprocessing").format(name=name)
        raise BadInput(_("an .onnx file exported by this course"), got, remedy)
    if not unchanged:
        raise BadInput(_("the .onnx file as exported"), _("{name}, changed since").format(name=name), remedy)
    values: dict[str, Any] = json.loads(metadata[KEY])
    version = values.pop("format_version", None)
    if version != FORMAT_VERSION:
        got = _("version {version}").format(version=version)
        raise BadInput(_("format version {version}").format(version=FORMAT_VERSION), got, _("update the course"))
    lists = {key: tuple(values[key]) for key in ("mean", "std")}
    return Description(**{**values, **lists, "class_names": check_class_names(values["class_names"])})


def _seal(body: bytes) -> bytes:
    """One more entry of metadata_props, as the protocol buffer's bytes: the digest of `body`. Its length is fixed."""
    value = hashlib.sha256(body).hexdigest().encode()
    pair = bytes([1 << 3 | 2, len(_SEAL_KEY)]) + _SEAL_KEY + bytes([2 << 3 | 2, len(value)]) + value
    return bytes([_METADATA_FIELD << 3 | 2, len(pair)]) + pair
