"""A Hugging Face BERT folder as plain arrays under the names of our own encoder; needs no framework."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from tl_course.encoder_config import EncoderConfig
from tl_course.errors import BadInput
from tl_course.i18n import _

# Their names -> ours, piece by piece.
_RENAMES = (
    (r"^bert\.", ""),  # checkpoints with a head keep the encoder under "bert."
    (r"LayerNorm\.gamma$", "LayerNorm.weight"),  # the first checkpoints, converted from TensorFlow
    (r"LayerNorm\.beta$", "LayerNorm.bias"),
    (r"^encoder\.layer\.", "blocks."),
    (r"attention\.self\.", "attention."),
    (r"attention\.output\.dense\.", "attention.out."),
    (r"attention\.output\.LayerNorm\.", "attention_norm."),
    (r"intermediate\.dense\.", "expand."),
    (r"output\.dense\.", "contract."),
    (r"output\.LayerNorm\.", "feed_forward_norm."),
    (r"^embeddings\.LayerNorm\.", "embeddings.norm."),
    (r"^embeddings\.word_embeddings\.", "embeddings.tokens."),
    (r"^embeddings\.position_embeddings\.", "embeddings.positions."),
    (r"^embeddings\.token_type_embeddings\.", "embeddings.segments."),
)
_OURS = re.compile(r"^(blocks\.\d+|embeddings)\..*\.(weight|bias)$")
_NEEDED = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}


def read_bert(folder: str | Path) -> tuple[EncoderConfig, dict[str, np.ndarray]]:
    """The sizes and weights in a folder with config.json and model.safetensors.

    Returns:
        The configuration, and float32 arrays by the names of `Encoder.state_dict()` in PyTorch. Poolers and heads are
        left out.

    Raises:
        BadInput: files that are missing, or a model that is no BERT as Devlin et al. (2019) describe it: another
            family, activation or kind of position.
    """
    from safetensors.numpy import load_file

    folder = Path(folder)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise BadInput(
                _("a folder with config.json and model.safetensors"),
                _("{folder} without {name}").format(folder=folder, name=name),
                _("pass assets.path('minilm'), or a folder that save_pretrained wrote"),
            )
    config = _config(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    arrays = {_our_name(name): array for name, array in load_file(folder / "model.safetensors").items()}
    return config, {name: array.astype(np.float32) for name, array in arrays.items() if _OURS.match(name)}


def _config(theirs: dict[str, Any]) -> EncoderConfig:
    for key, value in _NEEDED.items():
        if theirs.get(key, value) != value:
            raise BadInput(
                _("a BERT with {key} {value}").format(key=key, value=repr(value)),
                repr(theirs[key]),
                _("load it with zoo.load(name, framework='pytorch') instead"),
            )
    return EncoderConfig(
        vocab_size=theirs["vocab_size"],
        max_tokens=theirs["max_position_embeddings"],
        dim=theirs["hidden_size"],
        num_layers=theirs["num_hidden_layers"],
        num_heads=theirs["num_attention_heads"],
        hidden_dim=theirs["intermediate_size"],
        dropout=theirs["hidden_dropout_prob"],
        num_segments=theirs["type_vocab_size"],
        eps=theirs["layer_norm_eps"],
    )


def _our_name(name: str) -> str:
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return name
