"""Further pretraining: an encoder reads unlabelled texts of the target domain before it is fine-tuned.

Gururangan et al., Don't Stop Pretraining, 2020; Howard & Ruder, ULMFiT, 2018, call it language-model fine-tuning.
"""

from collections.abc import Iterable

from tl_course.fit_options import batch_sizes
from tl_course.keras.batchnorm import seeded
from tl_course.keras.language_models import MaskedLM, pretrain
from tl_course.keras.text_classifier import TextClassifier
from tl_course.masking import MaskingVocab
from tl_course.pretraining import PretrainingHistory
from tl_course.text_batches import pad
from tl_course.zoo.texts_keras import KerasTextModel


def further_pretrain(
    model: TextClassifier | KerasTextModel,
    texts: Iterable[str],
    *,
    num_epochs: int = 1,
    head_epochs: int = 1,
    lr: float = 5e-5,
    head_lr: float = 1e-3,
    batch_size: int = 32,
    rate: float = 0.15,
    warmup: float = 0.1,
    weight_decay: float = 0.01,
    seed: int = 0,
    progress: bool = True,
) -> PretrainingHistory:
    """Train the encoder in place to restore hidden tokens of unlabelled texts.

    The language model's head is new, and gone afterwards. It first trains alone, on the frozen encoder: the gradients
    of a random head would pull the encoder about.

    Args:
        model: a text classifier, or a text model of the zoo; its own head is left as it is.
        texts: of the target domain. Labels are not needed; test texts are not to be used.
        num_epochs: rounds over the texts in which the encoder trains.
        head_epochs: rounds before that, for the new head alone.
        lr: peak rate of the encoder's rounds.
        head_lr: peak rate of the head's rounds.
        batch_size, rate, warmup, weight_decay, seed: see `language_models.pretrain`.
        progress: show a progress bar.

    Returns:
        The loss of every step, the head's rounds first.

    Raises:
        BadInput: no texts, or a tokenizer without a mask token.
        CourseError: the loss is not a number any more.
    """
    backbone = model.backbone if isinstance(model, TextClassifier) else model
    token_ids, _mask = pad(backbone.token_ids(texts), backbone.tokenizer.pad_token_id)
    with seeded(seed):
        language_model = MaskedLM(backbone.model)
    steps = len(batch_sizes(len(token_ids), batch_size))
    options = {"vocab": MaskingVocab.of(backbone.tokenizer), "batch_size": batch_size, "rate": rate, "warmup": warmup}
    options |= {"weight_decay": weight_decay, "pad_id": backbone.tokenizer.pad_token_id, "progress": progress}
    flags = [(weight, weight.trainable) for weight in backbone.model.weights]
    history = PretrainingHistory("masked")
    for alone, rounds, peak in ((True, head_epochs, head_lr), (False, num_epochs, lr)):
        for weight, trains in flags:
            weight.trainable = trains and not alone
        if rounds:
            part = pretrain(language_model, token_ids, "masked", rounds * steps, lr=peak, seed=seed, **options)
            history.loss += part.loss
            history.seconds += part.seconds
    return history
