"""Text encoders in Keras: BERT's weights in the course's own encoder, as transformers has no Keras models."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tl_course import assets
from tl_course.bert_folder import read_bert
from tl_course.compat import make_importable
from tl_course.keras.encoder import Encoder, load_bert
from tl_course.keras.features import l2_normalize, masked_mean
from tl_course.text_batches import length_buckets, pad
from tl_course.zoo.inputs import check_batch_size, check_texts
from tl_course.zoo.pretrained import MINILM_MAX_TOKENS, TextEncoder, Weights


class KerasTextModel(TextEncoder):
    """A transformer that encodes texts (Reimers & Gurevych, Sentence-BERT, 2019), in Keras.

    Args:
        name, weights: see `Pretrained`.
        model: called with input_ids, attention_mask, token_type_ids and output_attentions, as `Encoder` says.
        tokenizer: Hugging Face's fast tokenizer that goes with it.
        max_tokens: longer texts are cut after so many tokens.
    """

    def __init__(self, name: str, weights: Weights, model: Encoder, tokenizer: Any, max_tokens: int) -> None:
        super().__init__(name, "keras", weights, model, model.config.dim, tokenizer, max_tokens)
        self._forward: Callable[[Any, Any], Any] | None = None

    def preprocess(self, inputs: Iterable[str]) -> dict[str, np.ndarray]:
        """Texts (N,) -> input_ids, attention_mask, token_type_ids, int64 (N, L), L the longest text's tokens."""
        tokens = self.tokenizer(
            check_texts(inputs), padding=True, truncation=True, max_length=self.max_tokens, return_tensors="np"
        )
        return dict(tokens)

    def features(self, inputs: Iterable[str], batch_size: int = 64) -> np.ndarray:
        """Texts (N,) -> sentence vectors float32 (N, D): masked mean over the tokens, scaled to length 1.

        Texts are run longest first, so that a batch holds texts of like length and needs little padding; the result
        is in the order of `inputs`. One graph, traced once, serves batches of any shape.

        Raises:
            BadInput: one string instead of several, none at all, or an element that is not a string.
        """
        tokens = self.token_ids(inputs)
        check_batch_size(batch_size)
        out = np.empty((len(tokens), self.feature_dim), dtype=np.float32)
        for batch in length_buckets([len(ids) for ids in tokens], batch_size):
            input_ids, attention_mask = pad([tokens[i] for i in batch], self.tokenizer.pad_token_id)
            out[batch] = self._compiled()(tf.constant(input_ids, tf.int32), tf.constant(attention_mask, tf.int32))
        return out

    def _compiled(self) -> Callable[[Any, Any], Any]:
        """Token ids and mask (n, L) -> unit vectors (n, D), as one graph for any n and L."""
        if self._forward is not None:
            return self._forward

        def forward(input_ids: Any, attention_mask: Any) -> Any:
            hidden = self.model(input_ids, attention_mask, training=False).last_hidden_state  # (n, L, D)
            return l2_normalize(masked_mean(hidden, attention_mask))

        tokens = tf.TensorSpec((None, None), tf.int32)
        compiled = tf.function(forward).get_concrete_function(tokens, tokens)
        self._forward = compiled
        return compiled


def minilm(weights: Weights) -> KerasTextModel:
    """all-MiniLM-L6-v2 (Wang et al., MiniLM, 2020) with the numbers it has in PyTorch; from the course's assets."""
    return from_folder("minilm", Path(assets.path("minilm")), weights, MINILM_MAX_TOKENS)


def from_folder(name: str, folder: Path, weights: Weights, max_tokens: int | None = None) -> KerasTextModel:
    """A BERT in Hugging Face's layout (config.json, model.safetensors, tokenizer).

    Raises:
        BadInput: files that are missing, or a model of another family.
    """
    make_importable()  # transformers imports torchvision where it is installed
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    model = load_bert(folder) if weights is not None else Encoder(read_bert(folder)[0])
    limit = min(tokenizer.model_max_length, model.config.max_tokens) if max_tokens is None else max_tokens
    return KerasTextModel(name, weights, model, tokenizer, limit)
