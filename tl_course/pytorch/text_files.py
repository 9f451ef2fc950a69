"""A text encoder without its weights as plain JSON values, tokenizer included, and back: no network, no other file."""

import json
from collections.abc import Mapping
from typing import Any

from tl_course.compat import make_importable
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.zoo.texts import TextModel

_TOKENS = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token", "bos_token", "eos_token")
_KEYS = ("pooling", "dropout", "max_tokens", "config", "tokenizer", "special_tokens")


def describe(backbone: TextModel, pooling: str, dropout: float) -> dict[str, Any]:
    """What `rebuild` needs: max_tokens, config, the tokenizer's own JSON, its special tokens, the head's options.

    Args:
        backbone: with a fast tokenizer.
        pooling, dropout: of the `TextNetwork`.
    """
    tokenizer = backbone.tokenizer
    special = {name: str(value) for name in _TOKENS if (value := getattr(tokenizer, name, None)) is not None}
    return {
        "pooling": pooling,
        "dropout": dropout,
        "max_tokens": backbone.max_tokens,
        "config": json.loads(backbone.model.config.to_json_string(use_diff=False)),
        "tokenizer": tokenizer.backend_tokenizer.to_str(),
        "special_tokens": special,
    }


def rebuild(name: str, details: Mapping[str, Any], device: str | None) -> TextModel:
    """The encoder that was described, with random weights, and its tokenizer, equal to the original.

    Args:
        name: of the backbone.
        details: what `describe` gave.
        device: see `zoo.load`.

    Raises:
        BadInput: a part is missing, or this version of transformers does not know the kind of model.
    """
    missing = [key for key in _KEYS if key not in details]
    if missing:
        raise BadInput(
            _("a text classifier's file with {parts}").format(parts=", ".join(_KEYS)),
            _("none of {missing}").format(missing=", ".join(missing)),
            _("save the classifier again"),
        )
    make_importable()
    from tokenizers import Tokenizer
    from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

    settings = dict(details["config"])
    try:
        config = AutoConfig.for_model(settings.pop("model_type"), **settings)
        model = AutoModel.from_config(config, attn_implementation="sdpa")
    except (KeyError, ValueError) as error:
        raise BadInput(
            _("an encoder that transformers knows"), str(error).splitlines()[0], _("update transformers")
        ) from error
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(details["tokenizer"]),
        model_max_length=details["max_tokens"],
        **details["special_tokens"],
    )
    return TextModel(name, None, model, tokenizer, details["max_tokens"], device)
