"""Listing 62 made right: one function that adapts any encoder of Hugging Face to new classes, in PyTorch.

The encoder gets a head, which it does not have by itself (its output has no `.loss`, and labels passed to it are
swallowed); model and texts are on one device; accuracy is measured on texts that neither the weights nor the choice of
epoch have seen. First the head is trained, then everything at a low rate (Kumar et al., Fine-Tuning can Distort
Pretrained Features and Underperform Out-of-Distribution, ICLR 2022).
"""

from typing import Any

from tl_course.data import Dataset
from tl_course.history import History
from tl_course.systems.system import Demonstration, TextSystem, Training
from tl_course.systems.text_demonstration import write_tweets


def train(classifier: Any, dataset: Dataset, training: Training) -> History:
    """The head alone, on features that are computed once, then everything."""
    from tl_course.pytorch.finetune import lp_ft

    return lp_ft(
        classifier,
        dataset,
        num_epochs=training.num_epochs,
        lr=1e-4 if training.pretrained else 5e-4,
        probe_epochs=10 * training.num_epochs,
        batch_size=16,
        patience=5,
        seed=training.seed,
        progress=training.progress,
    )


SYSTEM = TextSystem(
    name="text-transfer",
    framework="pytorch",
    documents=(62,),
    title="any encoder of Hugging Face (--backbone OWNER/NAME): a new head, then everything, from a table",
    backbone="minilm",
    num_epochs=4,
    train=train,
    demonstration=Demonstration(write_tweets, num_epochs=3, note="tweets, positive or negative"),
)
