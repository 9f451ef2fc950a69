"""Texts to train on, as token ids: tokenised once, batched by length, padded batch by batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tl_course.pytorch.batches import Examples, head_inputs
from tl_course.text_batches import AT_ONCE, length_buckets, pad
from tl_course.zoo.texts import inference_batches

TokenBatch = dict[str, Tensor]
"""input_ids and attention_mask, int64 (n, L) each."""


@dataclass(frozen=True)
class TextExamples:
    """Token ids and labels of one split, with the interface of `batches.Examples`.

    Attributes:
        ids: token ids of each of N texts.
        y: int64 (N,), on the device that the batches go to.
        pad_id: the padding token.
    """

    ids: Sequence[np.ndarray]
    y: Tensor
    pad_id: int

    def __len__(self) -> int:
        return len(self.y)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text, (N,)."""
        return np.array([len(row) for row in self.ids])

    def epoch(self, rng: np.random.Generator, batch_size: int) -> Iterator[tuple[TokenBatch, Tensor]]:
        """Token batches and labels of every text once, in an order that `rng` draws."""
        for chosen in length_buckets(self.lengths, batch_size, rng):
            yield self.tokens(chosen), self.y[self._on_device(chosen)]

    def tokens(self, chosen: np.ndarray) -> TokenBatch:
        """The texts at these positions (n,), padded to the longest of them."""
        input_ids, mask = pad([self.ids[i] for i in chosen], self.pad_id)
        return {"input_ids": self._on_device(input_ids), "attention_mask": self._on_device(mask)}

    def logits(self, model: nn.Module, batch_size: int = AT_ONCE) -> Tensor:
        """(N, K), in the order of the texts. The model is in evaluation mode."""
        batches = inference_batches(self.lengths, batch_size, self.y.device)
        rows = torch.cat([model(self.tokens(batch)) for batch in batches])
        return rows[self._on_device(np.argsort(np.concatenate(batches)))]

    def features(self, model: nn.Module) -> Examples | None:
        """What reaches the model's head, as inputs for the head alone; see `batches.head_inputs`."""
        order = np.concatenate(inference_batches(self.lengths, AT_ONCE, self.y.device))
        by_length = TextExamples([self.ids[i] for i in order], self.y, self.pad_id)  # runs in its own order
        inputs = head_inputs(model, by_length.logits, len(self))
        if inputs is None:
            return None
        return Examples(inputs[self._on_device(np.argsort(order))], self.y, nn.Identity(), 1)

    def _on_device(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.y.device, non_blocking=True)
