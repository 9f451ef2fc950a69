"""From PyTorch to one .onnx file, which onnxruntime runs without PyTorch."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tl_course import onnx_file
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.onnx_file import Description
from tl_course.pytorch.classifier import Classifier
from tl_course.pytorch.features import evaluation_mode
from tl_course.pytorch.text_classifier import TextClassifier, TextNetwork

if TYPE_CHECKING:
    from onnx import ModelProto


class _TwoInputs(nn.Module):
    """A TextNetwork whose token batch comes as two arguments, as a graph's inputs must."""

    def __init__(self, network: TextNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """int64 (N, L) twice -> logits (N, K)."""
        return self.network({"input_ids": input_ids, "attention_mask": attention_mask})


def export_onnx(classifier: Classifier | TextClassifier, path: str | Path, *, image_size: int | None = None) -> Path:
    """Write a classifier as one .onnx file, with class names and preprocessing; `exported_model.load_onnx` reads it.

    The graph takes any number of inputs, and texts of any length up to `max_tokens`. It comes from `torch.export`,
    which records the operations of one run in evaluation mode (torch.onnx's exporter; TorchScript is not used).

    Args:
        classifier: left as it was.
        path: usually ends in .onnx.
        image_size: height and width of the images, needed only where the classifier takes any.

    Raises:
        BadInput: an image classifier without a size, or not a classifier in PyTorch.
    """
    if isinstance(classifier, TextClassifier):
        return onnx_file.write(path, _text_graph(classifier), _describe_texts(classifier))
    if not isinstance(classifier, Classifier):
        remedy = _("pass a tl_course.pytorch Classifier or TextClassifier")
        raise BadInput(_("a classifier in PyTorch"), type(classifier).__name__, remedy)
    backbone = classifier.backbone
    size = backbone.image_size or image_size
    if size is None:
        raise BadInput(
            _("an image size"), _("a classifier that takes any"), _("say which: export_onnx(…, image_size=28)")
        )
    images = torch.zeros(2, backbone.channels, size, size, device=classifier.device)
    model = _graph(classifier.model, {"images": images}, {"images": {0: torch.export.Dim("batch")}})
    description = Description(
        "image", classifier.class_names, "pytorch", image_size=size, mean=backbone.mean, std=backbone.std
    )
    return onnx_file.write(path, model, description)


def _text_graph(classifier: TextClassifier) -> "ModelProto":
    tokens = classifier.preprocess(["a short text", "a somewhat longer one than the other"])
    inputs = {name: tokens[name] for name in ("input_ids", "attention_mask")}
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    return _graph(_TwoInputs(classifier.model), inputs, dict.fromkeys(inputs, axes))


def _describe_texts(classifier: TextClassifier) -> Description:
    tokenizer = classifier.tokenizer
    return Description(
        "text",
        classifier.class_names,
        "pytorch",
        tokenizer=tokenizer.backend_tokenizer.to_str(),
        pad_id=tokenizer.pad_token_id,
        max_tokens=classifier.backbone.max_tokens,
    )


def _graph(model: nn.Module, inputs: dict[str, Tensor], axes: dict[str, dict[int, Any]]) -> "ModelProto":
    """The ONNX graph of a model in evaluation mode.

    Args:
        model: takes the inputs in their order.
        inputs: an example of each, by name.
        axes: which axes may have any length.
    """
    with evaluation_mode(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, about its own code
        program = torch.onnx.export(
            model,
            tuple(inputs.values()),
            dynamo=True,
            input_names=list(inputs),
            output_names=["logits"],
            dynamic_shapes=tuple(axes.values()),
            verbose=False,
        )
    if program is None:
        raise BadInput(_("a model that can be exported"), type(model).__name__, _("use the course's classifiers"))
    return program.model_proto
