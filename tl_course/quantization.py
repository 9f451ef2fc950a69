"""Weights and activations of an exported classifier as 8-bit integers, through onnxruntime's own quantiser.

An integer q from -128 to 127 stands for scale * (q - zero_point): a quarter of float32's bytes, and integer arithmetic
where the processor has it (Jacob et al., 2018). The graph is changed after training; nothing is trained.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tl_course import onnx_file
from tl_course.errors import BadInput
from tl_course.exported_model import Exported, load_onnx
from tl_course.i18n import _
from tl_course.text_batches import AT_ONCE


def quantize_dynamic(source: str | Path, target: str | Path) -> Path:
    """Weights of matrix products in int8; the range of every activation is measured while the model runs.

    For Transformers, whose time goes into matrix products. It needs no data. Convolutions stay in float32: measuring
    ranges would cost them more than integers save. Embedding tables become integers too.

    Args:
        source: an .onnx file of `export_onnx`; left as it is.
        target: where to write; `load_onnx` reads it.

    Raises:
        BadInput: as `load_onnx`.
    """
    description = load_onnx(source, threads=1).description
    import onnx

    graph = onnx.load(source)
    graph.graph.ClearField("value_info")  # shapes as they were before the quantiser turns matrices over
    with _workspace() as folder:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        made = folder / "made.onnx"
        quantize_dynamic(
            graph, made, op_types_to_quantize=["MatMul", "Gather"], per_channel=True, weight_type=QuantType.QInt8
        )
        return _write(made, target, description)


def quantize_static(source: str | Path, target: str | Path, calibration: Any, *, per_channel: bool = True) -> Path:
    """Weights and activations in int8, with ranges fixed beforehand from calibration inputs.

    For convolutional networks. Every activation gets the range it had on the calibration inputs, so these have to be
    like those to come: a few hundred training examples, never test examples. What falls outside is clipped.

    Args:
        source: an .onnx file of `export_onnx`; left as it is.
        target: where to write; `load_onnx` reads it.
        calibration: images float32 (N, H, W, C) in [0, 1], or texts (N,), without labels.
        per_channel: a scale for every output channel of the weights, instead of one for all.

    Raises:
        BadInput: as `load_onnx` and `Exported.preprocess`.
    """
    exported = load_onnx(source, threads=1)
    if len(calibration) == 0:
        raise BadInput(_("calibration inputs"), _("none"), _("pass some hundred training examples"))
    with _workspace() as folder:
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

        made = folder / "made.onnx"
        quantize_static(
            _prepared(source, folder),
            made,
            _reader(exported, calibration),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=per_channel,
        )
        return _write(made, target, exported.description)


def _reader(exported: Exported, calibration: Any) -> Any:
    """What onnxruntime's calibration asks for one batch after another."""
    from onnxruntime.quantization import CalibrationDataReader

    starts = range(0, len(calibration), AT_ONCE)
    batches = iter([exported.preprocess(calibration[start : start + AT_ONCE]) for start in starts])

    class Batches(CalibrationDataReader):
        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(batches, None)

    return Batches()


def _prepared(source: str | Path, folder: Path) -> Path:
    """The graph with shapes inferred and its constants folded, as the quantiser wants it."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = folder / "prepared.onnx"
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    return prepared


def _write(made: Path, target: str | Path, description: onnx_file.Description) -> Path:
    import onnx

    return onnx_file.write(target, onnx.load(made), description)


@contextmanager
def _workspace() -> Iterator[Path]:
    """A folder for the steps in between, and none of onnxruntime's advice meanwhile."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    finally:
        logging.disable(before)
