"""Losses of knowledge distillation: what a student learns from a teacher's outputs, features and relations, in Keras.

Every loss is a scalar in float32, and nothing flows back into what the teacher gave. The same functions with the same
numbers are in tl_course/pytorch/distill_losses.py.
"""

import keras
import numpy as np
from keras import ops

from tl_course.distill_inputs import UNLABELLED
from tl_course.errors import BadInput
from tl_course.fit_options import are_probabilities, check_kd_options
from tl_course.i18n import _
from tl_course.keras.distill_checks import (
    Tensor,
    agree,
    check_distilbert,
    check_labels,
    check_values,
    numbers_of,
    shapes,
)
from tl_course.masking import IGNORED


def kd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor | None = None,
    *,
    temperature: float = 4.0,
    alpha: float = 0.5,
) -> Tensor:
    """Learn the teacher's probabilities, softened, and the labels beside them (Hinton, Vinyals & Dean, 2015).

        alpha T² mean_n Σ_k p_nk (log p_nk - log q_nk) + (1 - alpha) mean_n CE(softmax(student_n), label_n)

    with p = softmax(teacher / T) and q = softmax(student / T): forward KL, from the teacher to the student, summed over
    the classes and averaged over the examples. Without labels it is T² KL alone, whatever alpha is.

    Why T²: the gradient of KL with respect to a student's logit is (q - p) / T, and q - p shrinks by another 1 / T as
    T grows. T² takes both out, so that alpha keeps its meaning when T changes. As T → ∞ the gradient of T² KL becomes
    (z - v) / K an example, with z and v the student's and the teacher's logits, each row brought to mean 0: the logits
    themselves are matched. As T → 0 the teacher's first choice is all that is left.

    It cannot work where both are one network (KL is 0), nor tell logits from probabilities in every case; and a soft
    term says nothing of use where the teacher is wrong (Cho & Hariharan, 2019).

    Args:
        student_logits: (N, K), before softmax.
        teacher_logits: (N, K), before softmax, of the same examples and of the same classes in the same order.
        labels: class numbers, integers (N,); -1 where there is none: such an example has T² KL alone.
        temperature: T, above 0; 1 leaves the probabilities as they are, 2 to 20 is usual.
        alpha: share of the teacher, 0 to 1.

    Raises:
        BadInput: shapes that do not fit, logits that are probabilities, or an option out of range.
    """
    student, teacher = _logits(student_logits, teacher_logits)
    check_kd_options(temperature, alpha)
    values = numbers_of(teacher)
    if values is not None and are_probabilities(values):
        raise BadInput(
            _("teacher_logits, before softmax"),
            _("rows of probabilities, each of sum 1"),
            _("take the output before softmax, or use kd_loss_from_probabilities"),
        )
    return _mean_loss(student, teacher, labels, temperature, alpha)


def kd_loss_from_probabilities(
    student_logits: Tensor,
    teacher_probabilities: Tensor,
    labels: Tensor | None = None,
    *,
    temperature: float = 4.0,
    alpha: float = 0.5,
) -> Tensor:
    """`kd_loss` where the teacher gives probabilities only, as behind a softmax layer or a service.

    p^(1/T), brought to sum 1, is softmax(logits / T), as softmax forgets no more than a constant a row. So it equals
    `kd_loss`, but for classes whose probability was rounded to 0: they count as the smallest float32 above 0.

    Args:
        student_logits: (N, K), before softmax.
        teacher_probabilities: (N, K), rows that sum to 1.
        labels, temperature, alpha: see `kd_loss`.

    Raises:
        BadInput: shapes that do not fit, rows that are no probabilities, or an option out of range.
    """
    student, teacher = _logits(student_logits, teacher_probabilities)
    check_kd_options(temperature, alpha)
    values = numbers_of(teacher)
    if values is not None and not are_probabilities(values):
        raise BadInput(
            _("teacher_probabilities whose rows sum to 1"),
            _("values from {low:.3g} to {high:.3g}").format(low=values.min(), high=values.max()),
            _("logits go into kd_loss"),
        )
    log_probabilities = ops.log(ops.maximum(teacher, float(np.finfo(np.float32).tiny)))  # softmax(log p) = p: a logit
    return _mean_loss(student, log_probabilities, labels, temperature, alpha)


def hint_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Mean squared difference of hidden features (Romero et al., FitNets, 2015): mean over all elements of (s - t)².

    The student's features usually have another width: send them through a layer that is trained along (a projector:
    Dense, or a 1x1 convolution for maps) and thrown away afterwards.

    Args:
        student_features: (N, ...), after the projector.
        teacher_features: the same shape.

    Raises:
        BadInput: shapes that differ.
    """
    student, teacher = _pair(student_features, teacher_features)
    if not agree(student.shape, teacher.shape):
        raise BadInput(
            _("features of one shape"),
            shapes(student, teacher),
            _("a projector brings the student's features to the teacher's shape"),
        )
    return ops.mean(ops.square(student - teacher))


def attention_transfer_loss(student_maps: Tensor, teacher_maps: Tensor) -> Tensor:
    """Where the networks look, as far as activations show it (Zagoruyko & Komodakis, 2017).

    A feature map becomes one picture, a(A) = mean over channels of A², flattened and brought to length 1. The loss is
    the mean over examples and positions of (a(student) - a(teacher))². Channels may differ, positions may not.

    Args:
        student_maps: (N, H, W, C), channels last.
        teacher_maps: (N, H, W, C').

    Raises:
        BadInput: not feature maps, or of different numbers or sizes.
    """
    student, teacher = _pair(student_maps, teacher_maps)
    if len(student.shape) != 4 or len(teacher.shape) != 4 or not agree(student.shape[:3], teacher.shape[:3]):
        raise BadInput(
            _("feature maps (N, H, W, C) of equal N, H and W"),
            shapes(student, teacher),
            _("take maps of one resolution, or resize one: keras.ops.image.resize"),
        )
    return ops.mean(ops.square(_attention_picture(student) - _attention_picture(teacher)))


def relation_loss(student_values: Tensor, teacher_values: Tensor, mask: Tensor, num_heads: int) -> Tensor:
    """How tokens relate to each other by their value vectors (Wang et al., MiniLM, 2020, section 3.2).

    In each of `num_heads` heads, R = softmax(V Vᵀ / √d) with d the head's width; the loss is the mean over heads and
    real tokens of KL(R_teacher ‖ R_student). Widths may differ, as R is (L, L). Padding neither relates nor counts.

    Args:
        student_values: (N, L, D), what the attention layer's value projection gives.
        teacher_values: (N, L, D').
        mask: (N, L), non-zero for a token, 0 for padding: the tokenizer's attention_mask.
        num_heads: H, a divisor of D and of D'; the heads of a relation need not be those of the networks.

    Raises:
        BadInput: shapes that do not fit, or widths that H does not divide.
    """
    student, teacher = _pair(student_values, teacher_values)
    mask = ops.cast(ops.convert_to_tensor(mask), "bool")
    check_values(student, teacher, mask, num_heads)
    known, wanted = (_log_relations(values, mask, num_heads) for values in (student, teacher))  # (N, H, L, L)
    terms = ops.where(mask[:, None, None, :], ops.exp(wanted) * (wanted - known), 0.0)
    each = ops.where(mask[:, None, :], ops.sum(terms, axis=-1), 0.0)  # (N, H, L)
    return ops.sum(each) / (num_heads * ops.sum(ops.cast(mask, "float32")))


def distilbert_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    student_hidden: Tensor,
    teacher_hidden: Tensor,
    mask: Tensor,
    *,
    temperature: float = 2.0,
    soft_weight: float = 5.0,
    hard_weight: float = 2.0,
    cosine_weight: float = 1.0,
) -> Tensor:
    """DistilBERT's triple loss (Sanh et al., 2019), with the weights and temperature of the authors' training run.

        soft_weight T² KL + hard_weight CE + cosine_weight mean (1 - cos(student_hidden, teacher_hidden))

    For masked language modelling the logits are (N, L, V) and the labels (N, L); KL is the mean over real tokens, CE
    over the tokens with a label. For classification they are (N, K) and (N,). The cosine is taken over real tokens.

    Args:
        student_logits, teacher_logits: (N, L, V) or (N, K), before softmax.
        labels: integers (N, L), -100 where nothing is to be restored, or (N,).
        student_hidden, teacher_hidden: last hidden states (N, L, D), of equal width.
        mask: (N, L), non-zero for a token, 0 for padding.
        temperature: T, above 0.
        soft_weight, hard_weight, cosine_weight: of the three terms.

    Raises:
        BadInput: shapes that do not fit, no label at all, or an option out of range.
    """
    check_kd_options(temperature, 1.0)
    student, teacher = _pair(student_logits, teacher_logits)
    hidden, wanted = _pair(student_hidden, teacher_hidden)
    labels, real = ops.convert_to_tensor(labels), ops.cast(ops.convert_to_tensor(mask), "bool")
    check_distilbert(student, teacher, labels, hidden, wanted, real)
    rows = real if len(labels.shape) == 2 else ops.ones_like(labels, dtype="bool")
    soft = temperature**2 * _mean(_divergence(student, teacher, temperature), rows)
    labelled = labels != IGNORED
    cross_entropy = keras.losses.sparse_categorical_crossentropy(
        ops.where(labelled, labels, 0), student, from_logits=True
    )
    cosine = ops.sum(_unit(hidden) * _unit(wanted), axis=-1)  # (N, L)
    hard, apart = _mean(cross_entropy, labelled), _mean(1 - cosine, real)
    return soft_weight * soft + hard_weight * hard + cosine_weight * apart


def kd_rows(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, alpha: float) -> Tensor:
    """What `kd_loss` averages, one value an example (N,), without its checks: for training loops.

    Args:
        student, teacher: logits float32 (N, K); nothing flows back into the teacher only if it carries no gradient.
        labels: integers (N,), `UNLABELLED` where there is none: such a row is T² KL alone.
        temperature, alpha: see `kd_loss`.
    """
    labelled = labels != UNLABELLED
    hard = keras.losses.sparse_categorical_crossentropy(ops.where(labelled, labels, 0), student, from_logits=True)
    soft = temperature**2 * _divergence(student, teacher, temperature)
    return ops.where(labelled, alpha * soft + (1 - alpha) * hard, soft)


def _mean_loss(student: Tensor, teacher: Tensor, labels: Tensor | None, temperature: float, alpha: float) -> Tensor:
    if labels is None:
        return temperature**2 * ops.mean(_divergence(student, teacher, temperature))
    numbers = ops.convert_to_tensor(labels)
    check_labels(numbers, student)
    return ops.mean(kd_rows(student, teacher, numbers, temperature, alpha))


def _divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL(softmax(teacher / T) ‖ softmax(student / T)) of logits (..., K): (...)."""
    known, wanted = (ops.log_softmax(logits / temperature, axis=-1) for logits in (student, teacher))
    return ops.sum(ops.exp(wanted) * (wanted - known), axis=-1)


def _attention_picture(maps: Tensor) -> Tensor:
    """Feature maps (N, H, W, C) -> pictures (N, H W) of length 1."""
    count, height, width = ops.shape(maps)[:3]
    flat = ops.reshape(ops.mean(ops.square(maps), axis=-1), (count, height * width))
    return flat / ops.maximum(ops.norm(flat, axis=1, keepdims=True), 1e-12)


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the values where `chosen`, bool of the same shape, is True."""
    return ops.sum(ops.where(chosen, values, 0.0)) / ops.sum(ops.cast(chosen, "float32"))


def _unit(vectors: Tensor) -> Tensor:
    """Vectors (..., D) of length 1."""
    return vectors / ops.maximum(ops.norm(vectors, axis=-1, keepdims=True), 1e-8)


def _log_relations(values: Tensor, mask: Tensor, num_heads: int) -> Tensor:
    """Value vectors (N, L, D) -> log softmax(V Vᵀ / √d) in each head (N, H, L, L), padding left out of the sum."""
    count, length, dim = ops.shape(values)
    heads = ops.swapaxes(ops.reshape(values, (count, length, num_heads, dim // num_heads)), 1, 2)  # (N, H, L, d)
    scores = ops.matmul(heads, ops.swapaxes(heads, -2, -1)) / (dim // num_heads) ** 0.5
    scores = ops.where(mask[:, None, None, :], scores, -1e9)
    return scores - ops.logsumexp(scores, axis=-1, keepdims=True)


def _pair(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both as float32 tensors, the teacher's without a way back."""
    return ops.cast(student, "float32"), ops.stop_gradient(ops.cast(teacher, "float32"))


def _logits(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """`_pair` of what is (N, K) on both sides."""
    student, teacher = _pair(student, teacher)
    if len(student.shape) != 2 or not agree(student.shape, teacher.shape):
        raise BadInput(
            _("student and teacher of one shape (N, K)"),
            shapes(student, teacher),
            _("give both the same examples, and the teacher a head for the student's classes"),
        )
    return student, teacher
