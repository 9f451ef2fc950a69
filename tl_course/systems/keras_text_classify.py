"""Listing 69 once more, in Keras: documents sorted into classes by a fine-tuned encoder, with its evaluation.

transformers has no models for Keras any more; the course's own encoder carries MiniLM's weights. Everything else is as
in text-classify, its twin in PyTorch.

BERT for sequences: Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers, NAACL 2019.
"""

from pathlib import Path
from typing import Any

from tl_course.data import Dataset
from tl_course.history import History
from tl_course.systems.system import Demonstration, TextSystem, Training
from tl_course.systems.text_demonstration import write_topics


def train(classifier: Any, dataset: Dataset, training: Training) -> History:
    """Everything at once, the pretrained encoder at a fiftieth of the head's rate."""
    from tl_course.keras.finetune import fine_tune

    return fine_tune(
        classifier,
        dataset,
        num_epochs=training.num_epochs,
        lr=5e-3,
        backbone_lr=1e-4 if training.pretrained else 5e-4,
        batch_size=16,
        patience=2,
        seed=training.seed,
        progress=training.progress,
    )


def write(path: Path) -> None:
    """Four kinds of texts."""
    write_topics(path, {"train": 60, "val": 16, "test": 50})


SYSTEM = TextSystem(
    name="keras-text-classify",
    framework="keras",
    documents=(69,),
    title="the same in Keras: documents sorted into classes, from a table",
    backbone="minilm",
    num_epochs=4,
    train=train,
    demonstration=Demonstration(write, num_epochs=3, note="texts of four domains, as a stand-in for topics of news"),
)
