"""Text encoders from Hugging Face transformers: tokens in, one vector per text out."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tl_course import assets
from tl_course.compat import make_importable
from tl_course.i18n import _
from tl_course.pytorch.features import evaluation_mode, l2_normalize, masked_mean
from tl_course.text_batches import length_buckets, pad, token_buckets
from tl_course.zoo.hub import answers, unavailable
from tl_course.zoo.images_torch import default_device
from tl_course.zoo.inputs import check_batch_size, check_texts
from tl_course.zoo.pretrained import MINILM_MAX_TOKENS, TextEncoder, Weights

_POSITIONS = 512  # of a batch on a processor: measured with minilm, more are no faster and need more padding


class TextModel(TextEncoder):
    """A transformer that encodes texts (Reimers & Gurevych, Sentence-BERT, 2019).

    Args:
        name, weights: see `Pretrained`.
        model: a transformers model that returns last_hidden_state.
        tokenizer: the tokenizer that goes with it.
        max_tokens: longer texts are cut after so many tokens.
        device: where to put the model; None chooses the accelerator where there is one.
    """

    def __init__(
        self, name: str, weights: Weights, model: Any, tokenizer: Any, max_tokens: int, device: str | None = None
    ) -> None:
        model = model.to(default_device() if device is None else torch.device(device)).eval()
        super().__init__(name, "pytorch", weights, model, model.config.hidden_size, tokenizer, max_tokens)

    @property
    def device(self) -> torch.device:
        """Where the model is now."""
        return next(self.model.parameters()).device

    def preprocess(self, inputs: Iterable[str]) -> dict[str, Tensor]:
        """Texts (N,) -> input_ids, attention_mask, … (N, L) on the model's device, L the longest text's tokens."""
        tokens = self.tokenizer(
            check_texts(inputs), padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt"
        )
        return {key: value.to(self.device) for key, value in tokens.items()}

    def features(self, inputs: Iterable[str], batch_size: int = 64) -> np.ndarray:
        """Texts (N,) -> sentence vectors float32 (N, D): masked mean over the tokens, scaled to length 1.

        Texts are run longest first, at most batch_size at a time, so that a batch holds texts of like length and needs
        little padding; the result is in the order of `inputs`.

        Raises:
            BadInput: one string instead of several, none at all, or an element that is not a string.
        """
        tokens = self.token_ids(inputs)
        check_batch_size(batch_size)
        out = np.empty((len(tokens), self.feature_dim), dtype=np.float32)
        with evaluation_mode(self.model), torch.inference_mode():
            for batch in inference_batches([len(ids) for ids in tokens], batch_size, self.device):
                out[batch] = self._encode([tokens[i] for i in batch]).float().cpu().numpy()
        return out

    def _encode(self, tokens: list[list[int]]) -> Tensor:
        """One batch of token ids -> unit vectors (n, D)."""
        input_ids, mask = (torch.from_numpy(part).to(self.device) for part in pad(tokens, self.tokenizer.pad_token_id))
        hidden = self.model(input_ids=input_ids, attention_mask=mask).last_hidden_state  # (n, L, D)
        return l2_normalize(masked_mean(hidden, mask))


def inference_batches(lengths: Sequence[int] | np.ndarray, batch_size: int, device: torch.device) -> list[np.ndarray]:
    """Which texts to run together without gradients: small batches on a processor, full ones on an accelerator."""
    if device.type == "cpu":
        return token_buckets(lengths, batch_size, _POSITIONS)
    return length_buckets(lengths, batch_size)


def minilm(weights: Weights, device: str | None, attention: str) -> TextModel:
    """all-MiniLM-L6-v2 (Wang et al., MiniLM, 2020): 6 layers, 12 heads, 384 wide; from the course's assets, offline."""
    folder = str(Path(assets.path("minilm")))
    model, tokenizer = _from_folder(folder, weights, attention, local_files_only=True)
    return TextModel("minilm", weights, model, tokenizer, MINILM_MAX_TOKENS, device)


def from_hugging_face(name: str, weights: Weights, device: str | None, attention: str) -> TextModel:
    """A text encoder by its hub name ("owner/name") or folder: from the cache where it is there, else the network."""
    try:
        model, tokenizer = _from_folder(name, weights, attention, local_files_only=True)
    except (OSError, ValueError) as not_cached:
        if Path(name).is_dir():
            raise unavailable(name, not_cached) from not_cached
        from huggingface_hub.constants import ENDPOINT

        if not answers(ENDPOINT):
            raise unavailable(name, _("no copy in the cache and no connection to {url}").format(url=ENDPOINT)) from None
        try:
            model, tokenizer = _from_folder(name, weights, attention, local_files_only=False)
        except (OSError, ValueError) as error:
            raise unavailable(name, error) from error
    return TextModel(name, weights, model, tokenizer, min(tokenizer.model_max_length, _positions(model)), device)


def _positions(model: Any) -> int:
    """How many tokens a model has positions for. RoBERTa's family counts them from behind its padding token's id."""
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    return getattr(model.config, "max_position_embeddings", 512) - (0 if padding is None else padding + 1)


def _from_folder(source: str, weights: Weights, attention: str, *, local_files_only: bool) -> tuple[Any, Any]:
    """Model and tokenizer through transformers' own loaders; only safetensors, so that no pickle is run."""
    make_importable()  # transformers imports torchvision where it is installed
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=local_files_only)
    if weights is None:
        config = AutoConfig.from_pretrained(source, local_files_only=local_files_only)
        return AutoModel.from_config(config, attn_implementation=attention), tokenizer
    model = AutoModel.from_pretrained(
        source, local_files_only=local_files_only, use_safetensors=True, attn_implementation=attention
    )
    return model, tokenizer
