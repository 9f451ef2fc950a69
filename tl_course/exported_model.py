"""An exported classifier at work: onnxruntime and NumPy, neither PyTorch nor TensorFlow.

model = load_onnx("model.onnx")
model.predict_proba(images)  # float32 (N, H, W, C) in [0, 1]; or texts
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tl_course import onnx_file
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.onnx_file import Description
from tl_course.text_batches import AT_ONCE, length_buckets, pad
from tl_course.zoo.inputs import check_batch_size, check_images, check_texts


class Exported:
    """What `load_onnx` gives: a graph with everything around it.

    Attributes:
        description: kind, framework, image_size, mean, std, max_tokens …
        session: the onnxruntime.InferenceSession.
    """

    def __init__(self, session: Any, description: Description) -> None:
        self.session = session
        self.description = description
        self._tokenizer: Any = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.kind}, {len(self.class_names)} classes)"

    @property
    def kind(self) -> onnx_file.Kind:
        """What it classifies, "image" or "text"."""
        return self.description.kind

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names; class k is `class_names[k]`."""
        return self.description.class_names

    @property
    def image_size(self) -> int:
        """Height and width that images are resized to; 0 for texts."""
        return self.description.image_size

    @property
    def channels(self) -> int:
        """3 for colour, 1 for grey; 0 for texts."""
        return len(self.description.mean)

    def preprocess(self, inputs: Any) -> dict[str, np.ndarray]:
        """Images or texts -> the graph's inputs by name, all in one batch.

        Raises:
            BadInput: images that do not match dtype, shape, channel order or range; no texts.
        """
        if self.kind == "image":
            return {"images": self._prepare(check_images(inputs, self.channels, 1))}
        return self._padded(self._token_ids(inputs))

    def logits(self, inputs: Any, batch_size: int = AT_ONCE) -> np.ndarray:
        """Images float32 (N, H, W, C) in [0, 1], or texts (N,) -> float32 (N, K).

        Raises:
            BadInput: as `preprocess`, or batch_size below 1.
        """
        check_batch_size(batch_size)
        if self.kind == "image":
            images = check_images(inputs, self.channels, 1)
            batches = (images[start : start + batch_size] for start in range(0, len(images), batch_size))
            return np.concatenate([self._run({"images": self._prepare(batch)}) for batch in batches])
        ids = self._token_ids(inputs)
        out = np.empty((len(ids), len(self.class_names)), np.float32)
        for chosen in length_buckets([len(row) for row in ids], batch_size):
            out[chosen] = self._run(self._padded([ids[i] for i in chosen]))
        return out

    def predict_proba(self, inputs: Any, batch_size: int = AT_ONCE) -> np.ndarray:
        """Images or texts -> probabilities float32 (N, K), the softmax of the logits."""
        logits = self.logits(inputs, batch_size)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def predict(self, inputs: Any, batch_size: int = AT_ONCE) -> np.ndarray:
        """Images or texts -> the most likely class of each, int64 (N,); its name is `class_names[k]`."""
        return self.logits(inputs, batch_size).argmax(axis=1).astype(np.int64)

    def _run(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        return self.session.run(None, inputs)[0]

    def _prepare(self, images: np.ndarray) -> np.ndarray:
        """(N, H, W, C) in [0, 1] -> resized, normalised, in the graph's layout."""
        size = self.image_size
        if images.shape[1:3] != (size, size):
            images = resize(images, size)
        mean, std = (np.array(values, np.float32) for values in (self.description.mean, self.description.std))
        scaled = (images - mean) / std
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)) if self.description.layout == "NCHW" else scaled

    def _token_ids(self, texts: Iterable[str]) -> list[list[int]]:
        if self._tokenizer is None:
            from tokenizers import Tokenizer

            self._tokenizer = Tokenizer.from_str(self.description.tokenizer)
            self._tokenizer.enable_truncation(self.description.max_tokens)
            self._tokenizer.no_padding()
        return [encoding.ids for encoding in self._tokenizer.encode_batch(check_texts(texts))]

    def _padded(self, ids: list[list[int]]) -> dict[str, np.ndarray]:
        input_ids, mask = pad(ids, self.description.pad_id)
        return {"input_ids": input_ids, "attention_mask": mask}


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """Images float32 (N, H, W, C) -> (N, size, size, C), bilinear and antialiased, as both frameworks resize here."""
    from PIL import Image

    out = np.empty((len(images), size, size, images.shape[3]), np.float32)
    for number, channel in np.ndindex(len(images), images.shape[3]):
        plane = Image.fromarray(np.ascontiguousarray(images[number, :, :, channel]))
        out[number, :, :, channel] = np.asarray(plane.resize((size, size), Image.Resampling.BILINEAR))
    return out


def load_onnx(path: str | Path, threads: int | None = None) -> Exported:
    """The classifier in an .onnx file that `export_onnx` or `quantization` wrote.

    Args:
        path: of the file.
        threads: processor threads for one prediction; None: as many as there are cores.

    Raises:
        BadInput: the file is missing, cut off or changed, no ONNX at all, or an ONNX file of another origin.
    """
    import onnxruntime

    content, unchanged = onnx_file.read_bytes(path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's have no base class of their own
        got = f"{Path(path).name}: {str(error).splitlines()[0][:120]}"
        remedy = _("export the classifier again, or copy the file again from where it came")
        raise BadInput(_("a whole .onnx file"), got, remedy) from error
    metadata = session.get_modelmeta().custom_metadata_map
    return Exported(session, onnx_file.describe(metadata, unchanged, Path(path).name))
