"""What a text classifier's file holds beside its weights, the same in both frameworks: tokenizer and options."""

from collections.abc import Mapping
from typing import Any

from tl_course.compat import make_importable
from tl_course.errors import BadInput
from tl_course.i18n import _

_TOKENS = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token", "bos_token", "eos_token")
_KEYS = ("pooling", "dropout", "max_tokens", "config", "tokenizer", "special_tokens")


def describe(
    tokenizer: Any, max_tokens: int, config: Mapping[str, Any], pooling: str, dropout: float
) -> dict[str, Any]:
    """Plain JSON values: the head's options, the encoder's configuration, the tokenizer's own JSON and special tokens.

    Args:
        tokenizer: a fast one of Hugging Face.
        max_tokens: longer texts are cut there.
        config: of the encoder.
        pooling, dropout: of the classifier.
    """
    special = {name: str(value) for name in _TOKENS if (value := getattr(tokenizer, name, None)) is not None}
    return {
        "pooling": pooling,
        "dropout": dropout,
        "max_tokens": max_tokens,
        "config": dict(config),
        "tokenizer": tokenizer.backend_tokenizer.to_str(),
        "special_tokens": special,
    }


def rebuild_tokenizer(details: Mapping[str, Any]) -> Any:
    """The tokenizer that was described: no network, no other file.

    Raises:
        BadInput: a part of the description is missing.
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
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(details["tokenizer"]),
        model_max_length=details["max_tokens"],
        **details["special_tokens"],
    )
