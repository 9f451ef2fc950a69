"""Listing 69 made right: documents sorted into classes by a fine-tuned encoder, in PyTorch, with its evaluation.

The number of classes is that of the data; texts are padded batch by batch, with masks, and those that are too long are
counted; there are texts for training, validation and test, and none is in two of them; the rate is warmed up and low
for the pretrained layers; the confusion matrix, precision and recall that the listing promises are there.

BERT for sequences: Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers, NAACL 2019.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from tl_course.data import Dataset
from tl_course.history import History
from tl_course.systems.system import Demonstration, TextSystem, Training
from tl_course.systems.text_demonstration import write_topics


def train(classifier: Any, dataset: Dataset, training: Training) -> History:
    """Everything at once, the pretrained encoder at a fiftieth of the head's rate."""
    finetune = import_module(f"tl_course.{classifier.backbone.framework}.finetune")
    return finetune.fine_tune(
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
    name="text-classify",
    framework="pytorch",
    documents=(69,),
    title="documents sorted into classes by a fine-tuned encoder, from a table",
    backbone="minilm",
    num_epochs=4,
    train=train,
    demonstration=Demonstration(write, num_epochs=3, note="texts of four domains, as a stand-in for topics of news"),
)
