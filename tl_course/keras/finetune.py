"""Ways to adapt a pretrained classifier: what trains when, and how fast. All of them are `fit`, once or in stages.

Every function takes the options of `fit` (augment, patience, seed …), trains the classifier in place and returns the
history of all its epochs, each marked with its stage. Keras would go on training what was trainable when the model was
compiled; as every stage is a `fit`, which traces its train step anew, that cannot happen here.
"""

from typing import Unpack

import numpy as np

from tl_course.data.dataset import Dataset
from tl_course.errors import BadInput
from tl_course.fit_options import FitOptions
from tl_course.history import History
from tl_course.i18n import _
from tl_course.keras.classifier import Classifier
from tl_course.keras.fit import fit
from tl_course.keras.freezing import freeze_backbone, stages, unfreeze
from tl_course.keras.text_classifier import TextClassifier


def linear_probe(
    classifier: Classifier | TextClassifier,
    dataset: Dataset,
    *,
    num_epochs: int = 30,
    lr: float = 1e-2,
    **options: Unpack[FitOptions],
) -> History:
    """Train the head alone; the backbone is frozen, statistics included, and stays frozen (Kornblith et al., 2019).

    Args:
        classifier: its backbone's features decide what can be reached.
        dataset: train and val are used.
        num_epochs: cheap without augmentation, as the features are computed once.
        lr: peak rate.
        options: see `fit`.
    """
    freeze_backbone(classifier.model)
    return History.join([("linear probe", fit(classifier, dataset, num_epochs=num_epochs, lr=lr, **options))])


def fine_tune(
    classifier: Classifier | TextClassifier,
    dataset: Dataset,
    *,
    num_epochs: int = 10,
    lr: float = 1e-3,
    statistics: bool = True,
    **options: Unpack[FitOptions],
) -> History:
    """Train everything at once.

    Args:
        classifier: all of it is unfrozen.
        dataset: train and val are used.
        num_epochs: rounds over the training examples.
        lr: peak rate of the head, and of the backbone unless options give `backbone_lr`.
        statistics: let BatchNorm's statistics follow the new images; False leaves frozen ones frozen.
        options: see `fit`.
    """
    unfreeze(classifier.model, statistics=statistics)
    return History.join([("fine-tune", fit(classifier, dataset, num_epochs=num_epochs, lr=lr, **options))])


def lp_ft(
    classifier: Classifier | TextClassifier,
    dataset: Dataset,
    *,
    num_epochs: int = 10,
    lr: float = 1e-4,
    probe_epochs: int | None = None,
    probe_lr: float = 1e-2,
    statistics: bool = False,
    **options: Unpack[FitOptions],
) -> History:
    """A linear probe, then everything at a lower rate (Kumar et al., 2022).

    The gradients of a random head pull the backbone's features about; those of a trained one hardly do. What the
    pretrained features can do out of distribution is kept better than by fine-tuning from a random head.

    Args:
        classifier: trained in both stages.
        dataset: train and val are used.
        num_epochs: rounds of the second stage.
        lr: peak rate of the second stage.
        probe_epochs: rounds of the first stage; None means as many as the second.
        probe_lr: peak rate of the first stage.
        statistics: as in `fine_tune`, in the second stage; by default they stay those of the pretraining.
        options: see `fit`; they hold in both stages.
    """
    first = num_epochs if probe_epochs is None else probe_epochs
    probe = linear_probe(classifier, dataset, num_epochs=first, lr=probe_lr, **options)
    tuned = fine_tune(classifier, dataset, num_epochs=num_epochs, lr=lr, statistics=statistics, **options)
    return History.join([("linear probe", probe), ("fine-tune", tuned)])


def gradual_unfreezing(
    classifier: Classifier | TextClassifier,
    dataset: Dataset,
    *,
    num_stages: int = 3,
    num_epochs: int = 3,
    lr: float = 1e-3,
    statistics: bool = False,
    **options: Unpack[FitOptions],
) -> History:
    """The head first, then the backbone with it, group by group from the head down (Howard & Ruder, ULMFiT, 2018).

    Args:
        classifier: trained in every stage.
        dataset: train and val are used.
        num_stages: groups of about equally many `freezing.stages` that the backbone is unfrozen in.
        num_epochs: rounds of each stage; there are num_stages + 1.
        lr: peak rate of the head in every stage; options may lower the backbone's (`backbone_lr`, `layer_decay`).
        statistics: let the statistics of what is unfrozen follow the new images; by default they stay frozen.
        options: see `fit`; they hold in every stage.

    Raises:
        BadInput: fewer groups than one, or more than the backbone has stages.
    """
    parts = stages(classifier.model)[:-1]
    if not 1 <= num_stages <= len(parts):
        raise BadInput(
            _("num_stages from 1 to {most}").format(most=len(parts)), str(num_stages), _("3 is a good start")
        )
    freeze_backbone(classifier.model)
    history = [("head", fit(classifier, dataset, num_epochs=num_epochs, lr=lr, **options))]
    for group in reversed(np.array_split(np.arange(len(parts)), num_stages)):
        names = [parts[i][0] for i in group]
        unfreeze([layer for i in group for layer in parts[i][1]], statistics=statistics)
        label = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
        history.append((label, fit(classifier, dataset, num_epochs=num_epochs, lr=lr, **options)))
    return History.join(history)
