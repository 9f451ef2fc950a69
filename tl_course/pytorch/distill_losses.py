"""Losses of knowledge distillation: what a student learns from a teacher's outputs, features and relations, in PyTorch.

Every loss is a scalar in float32, and nothing flows back into what the teacher gave. The same functions with the same
numbers are in tl_course/keras/distill_losses.py.
"""

import torch
from torch import Tensor, nn

from tl_course.distill_inputs import UNLABELLED
from tl_course.errors import BadInput
from tl_course.fit_options import are_probabilities, check_kd_options
from tl_course.i18n import _
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
    the classes and averaged over the examples ('batchmean'; PyTorch's 'mean' divides by the classes as well). Without
    labels it is T² KL alone, whatever alpha is.

    Why T²: the gradient of KL with respect to a student's logit is (q - p) / T, and q - p shrinks by another 1 / T as
    T grows. T² takes both out, so that alpha keeps its meaning when T changes. As T → ∞ the gradient of T² KL becomes
    (z - v) / K an example, with z and v the student's and the teacher's logits, each row brought to mean 0: the logits
    themselves are matched. As T → 0 the teacher's first choice is all that is left.

    It cannot work where both are one network (KL is 0), nor tell logits from probabilities in every case; and a soft
    term says nothing of use where the teacher is wrong (Cho & Hariharan, 2019).

    Args:
        student_logits: (N, K), before softmax.
        teacher_logits: (N, K), before softmax, of the same examples and of the same classes in the same order.
        labels: class numbers, int64 (N,); -1 where there is none: such an example has T² KL alone.
        temperature: T, above 0; 1 leaves the probabilities as they are, 2 to 20 is usual.
        alpha: share of the teacher, 0 to 1.

    Raises:
        BadInput: shapes that do not fit, teacher_logits that are probabilities, or an option out of range.
    """
    student, teacher = _logits(student_logits, teacher_logits, labels)
    check_kd_options(temperature, alpha)
    if are_probabilities(teacher.cpu().numpy()):
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
    student, teacher = _logits(student_logits, teacher_probabilities, labels)
    check_kd_options(temperature, alpha)
    if not are_probabilities(teacher.cpu().numpy()):
        raise BadInput(
            _("teacher_probabilities whose rows sum to 1"),
            _("values from {low:.3g} to {high:.3g}").format(low=float(teacher.min()), high=float(teacher.max())),
            _("logits go into kd_loss"),
        )
    log_probabilities = teacher.clamp_min(torch.finfo(torch.float32).tiny).log()  # softmax(log p) = p: it is a logit
    return _mean_loss(student, log_probabilities, labels, temperature, alpha)


def hint_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Mean squared difference of hidden features (Romero et al., FitNets, 2015): mean over all elements of (s - t)².

    The student's features usually have another width: send them through a layer that is trained along (a projector:
    Linear, or a 1x1 convolution for maps) and thrown away afterwards.

    Args:
        student_features: (N, ...), after the projector.
        teacher_features: the same shape.

    Raises:
        BadInput: shapes that differ.
    """
    if student_features.shape != teacher_features.shape:
        raise BadInput(
            _("features of one shape"),
            _shapes(student_features, teacher_features),
            _("a projector brings the student's features to the teacher's shape"),
        )
    return nn.functional.mse_loss(student_features.float(), teacher_features.detach().float())


def attention_transfer_loss(student_maps: Tensor, teacher_maps: Tensor) -> Tensor:
    """Where the networks look, as far as activations show it (Zagoruyko & Komodakis, 2017).

    A feature map becomes one picture, a(A) = mean over channels of A², flattened and brought to length 1. The loss is
    the mean over examples and positions of (a(student) - a(teacher))². Channels may differ, positions may not.

    Args:
        student_maps: (N, C, H, W), channels first.
        teacher_maps: (N, C', H, W).

    Raises:
        BadInput: not feature maps, or of different numbers or sizes.
    """
    shapes = student_maps.shape, teacher_maps.shape
    if {len(shape) for shape in shapes} != {4} or len({(len(shape), shape[0], shape[2:]) for shape in shapes}) > 1:
        raise BadInput(
            _("feature maps (N, C, H, W) of equal N, H and W"),
            _shapes(student_maps, teacher_maps),
            _("take maps of one resolution, or resize one: torch.nn.functional.interpolate"),
        )
    return nn.functional.mse_loss(_attention_picture(student_maps), _attention_picture(teacher_maps.detach()))


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
    _check_values(student_values, teacher_values, mask, num_heads)
    real = mask.bool()
    known, wanted = (
        _log_relations(values.float(), real, num_heads) for values in (student_values, teacher_values.detach())
    )  # (N, H, L, L)
    terms = (wanted.exp() * (wanted - known)).masked_fill(~real[:, None, None, :], 0.0)
    each = terms.sum(dim=-1).masked_fill(~real[:, None, :], 0.0)  # (N, H, L)
    return each.sum() / (num_heads * real.sum())


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
        labels: int64 (N, L), -100 where nothing is to be restored, or (N,).
        student_hidden, teacher_hidden: last hidden states (N, L, D), of equal width.
        mask: (N, L), non-zero for a token, 0 for padding.
        temperature: T, above 0.
        soft_weight, hard_weight, cosine_weight: of the three terms.

    Raises:
        BadInput: shapes that do not fit, no label at all, or an option out of range.
    """
    check_kd_options(temperature, 1.0)
    shapes_fit = student_logits.shape == teacher_logits.shape and labels.shape == student_logits.shape[:-1]
    if not shapes_fit or student_hidden.shape != teacher_hidden.shape or mask.shape != student_hidden.shape[:2]:
        got = [tuple(part.shape) for part in (student_logits, teacher_logits, labels, student_hidden, teacher_hidden)]
        raise BadInput(
            _("logits of one shape, a label for each row of them, hidden states (N, L, D) of one shape, mask (N, L)"),
            ", ".join(map(str, [*got, tuple(mask.shape)])),
            _("both networks need the same tokens, and hidden states of one width"),
        )
    if not (labels != IGNORED).any():
        raise BadInput(_("a label for at least one token"), _("none"), _("hide some tokens first: masking"))
    real = mask.bool()
    student, teacher = student_logits.float(), teacher_logits.detach().float()
    rows = real if labels.ndim == 2 else torch.ones_like(labels, dtype=torch.bool)
    soft = _soft_rows(student[rows], teacher[rows], temperature).mean()
    hard = nn.functional.cross_entropy(student.flatten(0, -2), labels.flatten(), ignore_index=IGNORED)
    cosine = nn.functional.cosine_similarity(student_hidden.float()[real], teacher_hidden.detach().float()[real], dim=1)
    return soft_weight * soft + hard_weight * hard + cosine_weight * (1 - cosine).mean()


def kd_rows(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, alpha: float) -> Tensor:
    """What `kd_loss` averages, one value an example (N,), without its checks: for training loops.

    Args:
        student, teacher: logits float32 (N, K); nothing flows back into the teacher only if it carries no gradient.
        labels: int64 (N,), `UNLABELLED` where there is none: such a row is T² KL alone.
        temperature, alpha: see `kd_loss`.
    """
    share = torch.where(labels == UNLABELLED, 1.0, alpha)
    hard = nn.functional.cross_entropy(student, labels, ignore_index=UNLABELLED, reduction="none")
    return share * _soft_rows(student, teacher, temperature) + (1 - share) * hard


def _mean_loss(student: Tensor, teacher: Tensor, labels: Tensor | None, temperature: float, alpha: float) -> Tensor:
    if labels is None:
        return _soft_rows(student, teacher, temperature).mean()
    return kd_rows(student, teacher, labels, temperature, alpha).mean()


def _soft_rows(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² KL(softmax(teacher / T) ‖ softmax(student / T)) of every row: (N, K) -> (N,)."""
    known, wanted = (nn.functional.log_softmax(logits / temperature, dim=1) for logits in (student, teacher))
    return temperature**2 * nn.functional.kl_div(known, wanted, reduction="none", log_target=True).sum(dim=1)


def _logits(student: Tensor, teacher: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
    """Both in float32, the teacher's without gradient, when they are (N, K) of the same N and K."""
    if student.ndim != 2 or student.shape != teacher.shape:
        raise BadInput(
            _("student and teacher of one shape (N, K)"),
            _shapes(student, teacher),
            _("give both the same examples, and the teacher a head for the student's classes"),
        )
    if labels is not None:
        _check_labels(labels, *student.shape)
    return student.float(), teacher.detach().float()


def _check_labels(labels: Tensor, num_rows: int, num_classes: int) -> None:
    numbers = not labels.is_floating_point() and labels.shape == (num_rows,)
    if not numbers or (num_rows and not UNLABELLED <= labels.min() <= labels.max() < num_classes):
        raise BadInput(
            _("labels ({rows},), numbers from 0 to {last}, or -1 for none").format(rows=num_rows, last=num_classes - 1),
            _("shape {shape} of {type}").format(shape=tuple(labels.shape), type=labels.dtype)
            if not numbers
            else _("{low} to {high}").format(low=int(labels.min()), high=int(labels.max())),
            _("pass one class number a row, not probabilities"),
        )


def _attention_picture(maps: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H * W), each row of length 1."""
    return nn.functional.normalize(maps.float().square().mean(dim=1).flatten(1), dim=1)


def _log_relations(values: Tensor, real: Tensor, num_heads: int) -> Tensor:
    """(N, L, D) -> (N, H, L, L): log softmax over the real tokens; about minus infinity for padding."""
    heads = values.unflatten(2, (num_heads, -1)).transpose(1, 2)  # (N, H, L, d)
    scores = heads @ heads.transpose(2, 3) / heads.shape[-1] ** 0.5
    return scores.masked_fill(~real[:, None, None, :], torch.finfo(torch.float32).min).log_softmax(dim=-1)


def _check_values(student: Tensor, teacher: Tensor, mask: Tensor, num_heads: int) -> None:
    if not student.ndim == teacher.ndim == 3 or not student.shape[:2] == teacher.shape[:2] == mask.shape:
        raise BadInput(
            _("values (N, L, D) and (N, L, D'), and a mask (N, L)"),
            _("{values} and a mask {mask}").format(values=_shapes(student, teacher), mask=tuple(mask.shape)),
            _("both networks need the same tokens, padded alike"),
        )
    widths = student.shape[2], teacher.shape[2]
    if num_heads < 1 or any(width % num_heads for width in widths):
        raise BadInput(
            _("num_heads that divides both widths"),
            _("{heads} heads, widths {one} and {other}").format(heads=num_heads, one=widths[0], other=widths[1]),
            _("12 fits 384 and 768"),
        )


def _shapes(student: Tensor, teacher: Tensor) -> str:
    return _("student {student}, teacher {teacher}").format(student=tuple(student.shape), teacher=tuple(teacher.shape))
