"""Listing 66 made right: BERT's own recipe for fine-tuning, in PyTorch.

A linear head on the first token, [CLS]; AdamW with warmup and decay, one low rate for everything, two to four epochs;
the loss is taken of one vector a text, not of every token; evaluation is on texts that training has not seen. With so
few texts the first token of an encoder that was pretrained for mean pooling (MiniLM) needs more epochs than BERT's.

Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers, NAACL 2019, appendix A.3; Mosbach et al., On the
Stability of Fine-tuning BERT, ICLR 2021 (warmup, bias correction).
"""

from typing import Any

from tl_course.data import Dataset
from tl_course.history import History
from tl_course.systems.system import Demonstration, TextSystem, Training
from tl_course.systems.text_demonstration import write_tweets


def train(classifier: Any, dataset: Dataset, training: Training) -> History:
    """Everything at once, at one rate, warmed up over the first tenth of the steps."""
    from tl_course.pytorch.finetune import fine_tune

    return fine_tune(
        classifier,
        dataset,
        num_epochs=training.num_epochs,
        lr=5e-5 if classifier.backbone.name != "minilm" else 3e-4,
        weight_decay=0.01,
        batch_size=16,
        seed=training.seed,
        progress=training.progress,
    )


SYSTEM = TextSystem(
    name="bert-finetune",
    framework="pytorch",
    documents=(66,),
    title="BERT's recipe: a head on [CLS], warmup, everything trained at one rate, from a table",
    backbone="minilm",
    num_epochs=4,
    train=train,
    demonstration=Demonstration(write_tweets, num_epochs=3, note="tweets, positive or negative"),
    pooling="cls",
)
