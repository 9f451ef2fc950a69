"""A text encoder without its weights as plain JSON values, tokenizer included, and back: no network, no other file."""

import json
from collections.abc import Mapping
from typing import Any

from tl_course import text_files
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.zoo.texts import TextModel


def describe(backbone: TextModel, pooling: str, dropout: float) -> dict[str, Any]:
    """What `rebuild` needs, and the head's options.

    Args:
        backbone: with a fast tokenizer.
        pooling, dropout: of the `TextNetwork`.
    """
    config = json.loads(backbone.model.config.to_json_string(use_diff=False))
    return text_files.describe(backbone.tokenizer, backbone.max_tokens, config, pooling, dropout)


def rebuild(name: str, details: Mapping[str, Any], device: str | None) -> TextModel:
    """The encoder that was described, with random weights, and its tokenizer, equal to the original.

    Args:
        name: of the backbone.
        details: what `describe` gave.
        device: see `zoo.load`.

    Raises:
        BadInput: a part is missing, or this version of transformers does not know the kind of model.
    """
    tokenizer = text_files.rebuild_tokenizer(details)
    from transformers import AutoConfig, AutoModel

    settings = dict(details["config"])
    try:
        config = AutoConfig.for_model(settings.pop("model_type"), **settings)
        model = AutoModel.from_config(config, attn_implementation="sdpa")
    except (KeyError, ValueError) as error:
        raise BadInput(
            _("an encoder that transformers knows"), str(error).splitlines()[0], _("update transformers")
        ) from error
    return TextModel(name, None, model, tokenizer, details["max_tokens"], device)
