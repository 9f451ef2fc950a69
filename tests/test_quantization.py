"""8-bit models are smaller, answer nearly alike, and are whole files; what a model costs is measured."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from tl_course import data
from tl_course.errors import BadInput
from tl_course.exported_model import load_onnx
from tl_course.model_cost import Latency, cost, latency
from tl_course.pytorch.classifier import Classifier
from tl_course.pytorch.export import export_onnx
from tl_course.quantization import quantize_dynamic, quantize_static

DIGITS = data.load("mnist")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    classifier = Classifier.build("fashion_resnet", DIGITS.class_names, device="cpu")
    return export_onnx(classifier, tmp_path_factory.mktemp("quantization") / "digits.onnx")


def weight_types(path: Path) -> set[int]:
    return {tensor.data_type for tensor in onnx.load(path).graph.initializer if np.prod(tensor.dims) > 500}


def agreement(one: Path, other: Path) -> float:
    return float(np.mean(load_onnx(one).predict(DIGITS.test.x[:200]) == load_onnx(other).predict(DIGITS.test.x[:200])))


def test_static_int8_is_a_quarter_and_answers_alike(original: Path) -> None:
    made = quantize_static(original, original.with_name("static.onnx"), DIGITS.train.x[:100])
    assert made.stat().st_size < 0.35 * original.stat().st_size
    assert weight_types(made) == {onnx.TensorProto.INT8}
    assert agreement(original, made) > 0.95
    assert load_onnx(made).description == load_onnx(original).description


def test_ranges_come_from_the_calibration_inputs(original: Path) -> None:
    wrong = quantize_static(original, original.with_name("black.onnx"), np.zeros((40, 28, 28, 1), np.float32))
    assert agreement(original, wrong) < 0.8
    with pytest.raises(BadInput, match="calibration"):
        quantize_static(original, original.with_name("none.onnx"), DIGITS.train.x[:0])
    assert not original.with_name("none.onnx").exists()


def test_dynamic_int8_takes_matrix_products_only(original: Path) -> None:
    made = quantize_dynamic(original, original.with_name("dynamic.onnx"))
    assert weight_types(made) == {onnx.TensorProto.FLOAT, onnx.TensorProto.INT8}
    assert agreement(original, made) > 0.95


def test_cost_is_that_of_the_file(original: Path) -> None:
    found = cost(original, DIGITS.test.x[:32], rounds=3)
    assert found.size == original.stat().st_size
    assert set(found.latency) == {1, 32} and all(len(times.seconds) == 3 for times in found.latency.values())
    assert found.latency[32].median > found.latency[1].median
    assert found.size < found.peak_memory < 200e6
    with pytest.raises(BadInput, match="at least 32"):
        cost(original, DIGITS.test.x[:8])


def test_latency_is_the_median_after_a_warm_up() -> None:
    calls: list[int] = []
    assert len(latency(lambda: calls.append(1), rounds=5, warm_up=2).seconds) == 5 and len(calls) == 7
    times = Latency((0.001, 0.002, 0.003, 0.004, 9.0))
    assert times.median == 0.003 and times.quartiles == (0.002, 0.004) and str(times) == "3.00 ms (2.00 to 4.00)"
    with pytest.raises(BadInput, match="2 rounds"):
        latency(calls.clear, rounds=1)
