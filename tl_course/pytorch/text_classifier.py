"""A text encoder with a classification head, its tokenizer and its class names in one object, and in one file."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from tl_course import classifier_file, zoo
from tl_course.classifier_file import ClassifierFile, check_class_names
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.pytorch import text_files
from tl_course.pytorch.adapters import adapter_size, add_adapters
from tl_course.pytorch.classifier import load_weights
from tl_course.pytorch.features import evaluation_mode, masked_mean
from tl_course.pytorch.freezing import unfreeze
from tl_course.pytorch.heads import replace_head
from tl_course.pytorch.lora import merge_lora
from tl_course.pytorch.text_examples import TextExamples
from tl_course.text_batches import AT_ONCE, Pooling, check_max_tokens, check_text_head
from tl_course.zoo.inputs import check_batch_size
from tl_course.zoo.pretrained import Weights
from tl_course.zoo.texts import TextModel


class TextNetwork(nn.Module):
    """Encoder, pooling, dropout, linear head: a token batch -> logits (N, K).

    Args:
        encoder: returns last_hidden_state (N, L, D) for input_ids and attention_mask.
        width: D.
        num_classes: K.
        pooling: "mean" averages the tokens' vectors, padding left out; "cls" takes the first token's.
        dropout: share of the pooled vector that is dropped in training.
        seed: of the head.
    """

    def __init__(
        self, encoder: nn.Module, width: int, num_classes: int, pooling: Pooling, dropout: float, seed: int
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head: nn.Module = nn.utils.skip_init(nn.Linear, width, num_classes)
        self.to(next(encoder.parameters()).device)
        replace_head(self, num_classes, seed=seed, in_place=True)

    def forward(self, tokens: Mapping[str, Tensor]) -> Tensor:
        """input_ids, attention_mask (and token_type_ids), int64 (N, L) -> logits (N, K)."""
        return self.head(self.dropout(self.pooled(tokens)))

    def pooled(self, tokens: Mapping[str, Tensor]) -> Tensor:
        """The same -> one vector a text (N, D), before dropout and head."""
        hidden = self.encoder(**tokens).last_hidden_state  # (N, L, D)
        return masked_mean(hidden, tokens["attention_mask"]) if self.pooling == "mean" else hidden[:, 0]


class TextClassifier:
    """Texts in, class names out: the encoder, a fresh head, and the tokenizer the encoder was trained with.

    A pooling layer that the encoder brings (BERT's, trained for next-sentence prediction) is left out. Longer texts
    than `backbone.max_tokens` are cut there; `num_tokens` tells which.

    Args:
        backbone: a text model of the zoo, left as it is; its weights are copied.
        class_names: K names, each once; class k is `class_names[k]`.
        pooling: "mean" of the tokens' vectors, or "cls", the first token's.
        dropout: before the head, in training; the encoder keeps its own.
        seed: of the new head.

    Attributes:
        backbone: the zoo's object around the encoder: name, tokenizer, max_tokens, preprocess, features.
        model: the `TextNetwork`.
        class_names: K names.

    Raises:
        BadInput: not an encoder of texts in PyTorch with a fast tokenizer, an option out of range, or class names that
            are not one or more different strings.
    """

    def __init__(
        self,
        backbone: TextModel,
        class_names: Sequence[str],
        *,
        pooling: Pooling = "mean",
        dropout: float = 0.1,
        seed: int = 0,
    ) -> None:
        _check_backbone(backbone)
        check_text_head(pooling, dropout)
        self.class_names = check_class_names(class_names)
        self.backbone = copy.copy(backbone)
        self.backbone.model = copy.deepcopy(backbone.model)
        if getattr(self.backbone.model, "pooler", None) is not None:
            self.backbone.model.pooler = None
        self.model = TextNetwork(
            self.backbone.model, backbone.feature_dim, len(self.class_names), pooling, dropout, seed
        ).eval()

    @classmethod
    def build(
        cls,
        name: str,
        class_names: Sequence[str],
        *,
        weights: Weights = "pretrained",
        pooling: Pooling = "mean",
        max_tokens: int | None = None,
        dropout: float = 0.1,
        seed: int = 0,
        device: str | None = None,
    ) -> Self:
        """A classifier on a text encoder by name.

        Args:
            name: "minilm", or a Hugging Face name ("owner/name") or folder of an encoder.
            class_names: K names.
            weights: "pretrained", or None for random weights.
            pooling, dropout: see `TextClassifier`.
            max_tokens: texts are cut after so many tokens, special ones included; None: as many as the encoder takes.
            seed: of the head, and of random weights.
            device: "cpu", "cuda", "mps" …; None takes the accelerator where there is one.

        Raises:
            BadInput: as `zoo.load` and `TextClassifier`, or more tokens than the encoder takes.
        """
        names = check_class_names(class_names)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            backbone = zoo.load(name, "pytorch", weights, device=device)
        if isinstance(backbone, TextModel) and max_tokens is not None:
            backbone.max_tokens = check_max_tokens(max_tokens, backbone.max_tokens)
        return cls(backbone, names, pooling=pooling, dropout=dropout, seed=seed)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.backbone.name!r}, {len(self.class_names)} classes)"

    @property
    def tokenizer(self) -> Any:
        """The encoder's tokenizer, Hugging Face's."""
        return self.backbone.tokenizer

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.backbone.device

    def preprocess(self, texts: Iterable[str]) -> dict[str, Tensor]:
        """Texts (N,) -> input_ids, attention_mask, … int64 (N, L) on the model's device, for `model`."""
        return self.backbone.preprocess(texts)

    def num_tokens(self, texts: Iterable[str]) -> np.ndarray:
        """Texts (N,) -> how many tokens each has before it is cut, special ones included, int64 (N,)."""
        return self.backbone.num_tokens(texts)

    def examples(self, texts: Iterable[str], y: np.ndarray | None = None) -> TextExamples:
        """Texts (N,) and their class numbers (none: zeros), tokenised, ready to be batched.

        Raises:
            BadInput: one string instead of several, none at all, or an element that is not a string.
        """
        ids = [np.array(row, dtype=np.int64) for row in self.backbone.token_ids(texts)]
        labels = np.zeros(len(ids), np.int64) if y is None else np.asarray(y, dtype=np.int64)
        return TextExamples(ids, torch.from_numpy(labels).to(self.device), self.tokenizer.pad_token_id)

    def logits(self, texts: Iterable[str], batch_size: int = AT_ONCE) -> np.ndarray:
        """Texts (N,) -> float32 (N, K), in evaluation mode; the model is left as it was.

        Raises:
            BadInput: one string instead of several, none at all, or an element that is not a string.
        """
        check_batch_size(batch_size)
        examples = self.examples(texts)
        with evaluation_mode(self.model), torch.inference_mode():
            return examples.logits(self.model, batch_size).float().cpu().numpy()

    def predict_proba(self, texts: Iterable[str], batch_size: int = AT_ONCE) -> np.ndarray:
        """Texts -> probabilities float32 (N, K), the softmax of the logits."""
        return torch.from_numpy(self.logits(texts, batch_size)).softmax(dim=1).numpy()

    def predict(self, texts: Iterable[str], batch_size: int = AT_ONCE) -> np.ndarray:
        """Texts -> the most likely class of each, int64 (N,); its name is `class_names[k]`."""
        return self.logits(texts, batch_size).argmax(axis=1).astype(np.int64)

    def save(self, path: str | Path) -> Path:
        """Write everything needed to predict, the tokenizer included, into one file; returns its path.

        LoRA is merged into the saved weights (this classifier keeps it), adapters are saved as they are.
        """
        details = text_files.describe(self.backbone, self.model.pooling, self.model.dropout.p)
        details["adapters"] = adapter_size(self.model)
        merged = merge_lora(copy.deepcopy(self.model))
        state = {name: tensor.detach().cpu().numpy() for name, tensor in merged.state_dict().items()}
        content = ClassifierFile(
            "pytorch", self.backbone.name, None, (), (), self.class_names, state, details, kind="text"
        )
        return classifier_file.write(path, content)

    @classmethod
    def load(cls, path: str | Path, device: str | None = None) -> Self:
        """The classifier that `save` wrote; it predicts the same, and needs neither network nor zoo.

        Args:
            path: of the file.
            device: as in `build`.

        Raises:
            BadInput: the file is missing, cut off, changed, of another framework or kind, or incomplete.
        """
        content = classifier_file.read(path, "pytorch", "text")
        backbone = text_files.rebuild(content.backbone, content.details, device)
        made = cls(
            backbone, content.class_names, pooling=content.details["pooling"], dropout=content.details["dropout"]
        )
        if (size := content.details.get("adapters")) is not None:
            unfreeze(add_adapters(made.model, size))
        load_weights(made.model, content, "transformers")
        return made


def load(path: str | Path, device: str | None = None) -> TextClassifier:
    """`TextClassifier.load`: the classifier that `TextClassifier.save` wrote."""
    return TextClassifier.load(path, device)


def _check_backbone(backbone: object) -> None:
    if not isinstance(backbone, TextModel):
        raise BadInput(_("a text model in PyTorch"), repr(backbone), _("load one: zoo.load('minilm', 'pytorch')"))
    if getattr(backbone.model.config, "is_encoder_decoder", False):
        raise BadInput(
            _("an encoder"), _("{name}, encoder and decoder").format(name=backbone.name), _("take a BERT-like model")
        )
    if not backbone.tokenizer.is_fast or backbone.tokenizer.pad_token_id is None:
        raise BadInput(
            _("a fast tokenizer with a padding token"),
            type(backbone.tokenizer).__name__,
            _("take a model that comes with a tokenizer.json"),
        )
