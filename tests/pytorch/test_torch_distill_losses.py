"""Distillation losses against values by hand, against torch's own kl_div, and against the mistakes people make."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax

from tl_course.errors import BadInput
from tl_course.pytorch.distill_losses import (
    attention_transfer_loss,
    distilbert_loss,
    hint_loss,
    kd_loss,
    kd_loss_from_probabilities,
    relation_loss,
)

RNG = torch.Generator().manual_seed(0)
STUDENT, TEACHER = torch.randn(6, 5, generator=RNG), 3 * torch.randn(6, 5, generator=RNG)
LABELS = torch.tensor([0, 1, 2, 3, 4, 0])


def by_torch(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² KL as torch computes it: 'batchmean' sums over classes and averages over examples."""
    known, wanted = log_softmax(student / temperature, dim=1), softmax(teacher / temperature, dim=1)
    return temperature**2 * kl_div(known, wanted, reduction="batchmean")


def gradient(loss: Callable[[Tensor], Tensor], student: Tensor = STUDENT) -> Tensor:
    leaf = student.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(leaf), leaf)
    return found


def test_a_value_by_hand() -> None:
    # Two examples, two classes, T = 2, alpha = 1/4.
    # Example 1: teacher (2 ln 3, 0) / 2 -> p = (3/4, 1/4); student (0, 0) -> q = (1/2, 1/2).
    #   KL = 3/4 ln(3/2) + 1/4 ln(1/2); CE of label 0 at T = 1: ln 2.
    # Example 2: teacher (0, 0) -> p = (1/2, 1/2); student (2 ln 2, 0) / 2 -> q = (2/3, 1/3).
    #   KL = 1/2 ln(3/4) + 1/2 ln(3/2); CE of label 1: softmax(2 ln 2, 0) = (4/5, 1/5), so ln 5.
    first = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)  # 0.13081
    second = 0.5 * math.log(0.75) + 0.5 * math.log(1.5)  # 0.05889
    expected = 0.25 * 4 * (first + second) / 2 + 0.75 * (math.log(2) + math.log(5)) / 2  # 0.95832
    student = torch.tensor([[0.0, 0.0], [2 * math.log(2), 0.0]])
    teacher = torch.tensor([[2 * math.log(3), 0.0], [0.0, 0.0]])
    found = kd_loss(student, teacher, torch.tensor([0, 1]), temperature=2.0, alpha=0.25)
    assert float(found) == pytest.approx(expected, rel=1e-6) == pytest.approx(0.95832, abs=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_it_is_torchs_kl_div_times_t_squared_and_cross_entropy(temperature: float) -> None:
    found = kd_loss(STUDENT, TEACHER, LABELS, temperature=temperature, alpha=0.3)
    expected = 0.3 * by_torch(STUDENT, TEACHER, temperature) + 0.7 * cross_entropy(STUDENT, LABELS)
    torch.testing.assert_close(found, expected)


def test_without_labels_alpha_says_nothing_and_alpha_one_leaves_them_out() -> None:
    soft = by_torch(STUDENT, TEACHER, 4.0)
    for found in (kd_loss(STUDENT, TEACHER, alpha=0.2), kd_loss(STUDENT, TEACHER, LABELS, alpha=1.0)):
        torch.testing.assert_close(found, soft)
    torch.testing.assert_close(kd_loss(STUDENT, TEACHER, LABELS, alpha=0.0), cross_entropy(STUDENT, LABELS))


def test_every_example_weighs_the_same_labelled_or_not() -> None:
    some = torch.where(torch.arange(6) < 2, LABELS, -1)
    known, unknown = kd_loss(STUDENT[:2], TEACHER[:2], LABELS[:2]), kd_loss(STUDENT[2:], TEACHER[2:])
    torch.testing.assert_close(kd_loss(STUDENT, TEACHER, some), (2 * known + 4 * unknown) / 6)


def test_at_a_high_temperature_it_matches_zero_mean_logits() -> None:
    found = gradient(lambda student: kd_loss(student, TEACHER, temperature=1e3))
    z, v = (logits - logits.mean(dim=1, keepdim=True) for logits in (STUDENT, TEACHER))
    torch.testing.assert_close(found, (z - v) / (5 * 6), rtol=0.02, atol=2e-3)  # K = 5, mean over N = 6


def test_t_squared_keeps_the_gradient_from_vanishing() -> None:
    norms = {t: float(gradient(lambda s, t=t: kd_loss(s, TEACHER, temperature=t)).norm()) for t in (5.0, 50.0)}
    bare = {t: norm / t**2 for t, norm in norms.items()}
    assert 0.5 < norms[50.0] / norms[5.0] < 2 and bare[50.0] / bare[5.0] < 0.02


def test_the_direction_is_from_the_teacher_to_the_student() -> None:
    turned = kd_loss(TEACHER, STUDENT, temperature=1.0)
    assert abs(float(kd_loss(STUDENT, TEACHER, temperature=1.0)) - float(turned)) > 0.1


def test_the_mean_over_all_elements_would_be_too_small_by_the_number_of_classes() -> None:
    wrong = kl_div(log_softmax(STUDENT / 4, dim=1), softmax(TEACHER / 4, dim=1), reduction="none").mean()
    torch.testing.assert_close(kd_loss(STUDENT, TEACHER), 16 * 5 * wrong)


def test_raw_logits_in_kl_div_are_nan_and_here_they_are_not() -> None:
    with pytest.warns(UserWarning, match="reduction"):  # torch's own 'mean'
        assert math.isnan(float(kl_div(STUDENT, TEACHER)))
    assert math.isfinite(float(kd_loss(1e4 * STUDENT, 1e4 * TEACHER, LABELS, temperature=0.1)))


def test_half_precision_is_computed_in_float32() -> None:
    half = kd_loss(STUDENT.bfloat16(), TEACHER.bfloat16(), LABELS)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, kd_loss(STUDENT.bfloat16().float(), TEACHER.bfloat16().float(), LABELS))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_probabilities_say_as_much_as_logits(temperature: float) -> None:
    found = kd_loss_from_probabilities(STUDENT, TEACHER.softmax(1), LABELS, temperature=temperature)
    torch.testing.assert_close(found, kd_loss(STUDENT, TEACHER, LABELS, temperature=temperature))


def test_a_probability_of_zero_is_finite_in_value_and_gradient() -> None:
    sure = torch.eye(5)[LABELS]
    found = gradient(lambda student: kd_loss_from_probabilities(student, sure, temperature=4.0))
    assert found.isfinite().all()
    torch.testing.assert_close(
        kd_loss_from_probabilities(STUDENT, sure, temperature=1.0), cross_entropy(STUDENT, LABELS)
    )


def test_probabilities_are_not_taken_for_logits_nor_logits_for_probabilities() -> None:
    with pytest.raises(BadInput, match="before softmax"):
        kd_loss(STUDENT, TEACHER.softmax(1), LABELS)
    with pytest.raises(BadInput, match="logits go into kd_loss"):
        kd_loss_from_probabilities(STUDENT, TEACHER, LABELS)


@pytest.mark.parametrize("loss", [kd_loss, kd_loss_from_probabilities])
def test_other_classes_are_refused_naming_both_shapes(loss: Callable[..., Tensor]) -> None:
    with pytest.raises(BadInput, match=r"student \(6, 5\), teacher \(6, 1000\)"):
        loss(STUDENT, torch.full((6, 1000), 1e-3), LABELS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"alpha": 1.5}, "alpha"),
        ({"alpha": -0.1}, "alpha"),
        ({"labels": LABELS.float()}, "class number"),
        ({"labels": LABELS[:, None]}, "class number"),
        ({"labels": LABELS + 1}, "from 0 to 4"),
    ],
)
def test_what_is_out_of_range_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        kd_loss(STUDENT, TEACHER, **{"labels": LABELS, **options})


def maps(channels: int, seed: int) -> Tensor:
    return torch.randn(2, channels, 3, 4, generator=torch.Generator().manual_seed(seed))


def values(width: int, seed: int) -> Tensor:
    return torch.randn(2, 4, width, generator=torch.Generator().manual_seed(seed))


MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
RESTORE = torch.tensor([[-100, 2, -100, -100], [1, -100, -100, 4]])


def distilbert(student: Tensor, teacher: Tensor, **options: float) -> Tensor:
    logits = values(5, 5)
    return distilbert_loss(logits, logits + 1, RESTORE, student, teacher, MASK, **options)


LOSSES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Tensor, Tensor]] = {
    "kd": (kd_loss, STUDENT, TEACHER),
    "probabilities": (kd_loss_from_probabilities, STUDENT, TEACHER.softmax(1)),
    "hint": (hint_loss, maps(3, 0), maps(3, 1)),
    "attention": (attention_transfer_loss, maps(3, 0), maps(5, 1)),
    "relation": (lambda s, t: relation_loss(s, t, MASK, 2), values(4, 0), values(6, 1)),
    "distilbert": (distilbert, values(6, 0), values(6, 1)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_flows_back_into_the_teacher(name: str) -> None:
    loss, student, teacher = LOSSES[name]
    student, teacher = student.clone().requires_grad_(), teacher.clone().requires_grad_()
    loss(student, teacher).backward()
    assert teacher.grad is None and student.grad is not None and student.grad.abs().sum() > 0


def test_a_hint_is_the_mean_squared_difference() -> None:
    assert float(hint_loss(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 2.0]]))) == 2.0  # (2² + 0²) / 2
    with pytest.raises(BadInput, match="projector"):
        hint_loss(maps(3, 0), maps(5, 0))


def test_attention_maps_are_squared_averaged_over_channels_and_brought_to_length_one() -> None:
    student = torch.tensor([[[[1.0, 0.0]], [[1.0, 0.0]]]])  # (1, 2, 1, 2): looks at the left alone -> (1, 0)
    teacher = torch.tensor([[[[2.0, -2.0]]]])  # (1, 1, 1, 2): at both sides alike -> (1, 1) / √2
    expected = ((1 - 0.5**0.5) ** 2 + 0.5) / 2
    assert float(attention_transfer_loss(student, teacher)) == pytest.approx(expected)
    assert float(attention_transfer_loss(student, -5 * student)) == pytest.approx(0, abs=1e-12)
    for wrong in (maps(3, 0)[:, :, :2], maps(3, 0)[:1], maps(3, 0)[0]):
        with pytest.raises(BadInput, match="N, H and W"):
            attention_transfer_loss(maps(3, 0), wrong)


def test_relations_are_those_of_a_plain_loop() -> None:
    student, teacher, total = values(4, 0), values(6, 1), 0.0
    for n, length in enumerate((3, 4)):
        for head in range(2):
            s, t = student[n, :length, 2 * head : 2 * head + 2], teacher[n, :length, 3 * head : 3 * head + 3]
            q, p = softmax(s @ s.T / 2**0.5, dim=1), softmax(t @ t.T / 3**0.5, dim=1)
            total += float((p * (p / q).log()).sum())
    assert float(relation_loss(student, teacher, MASK, 2)) == pytest.approx(total / (2 * 7), rel=1e-5)


def test_relations_ignore_padding_and_turns_of_the_space() -> None:
    student, teacher = values(4, 0), values(6, 1)
    other = student.clone()
    other[0, 3] = 100.0
    torch.testing.assert_close(relation_loss(other, teacher, MASK, 2), relation_loss(student, teacher, MASK, 2))
    turn = torch.linalg.qr(torch.randn(4, 4, generator=RNG)).Q
    assert float(relation_loss(student @ turn, student, MASK, 1)) == pytest.approx(0, abs=1e-6)
    with pytest.raises(BadInput, match="divides both widths"):
        relation_loss(student, teacher, MASK, 4)
    with pytest.raises(BadInput, match="mask"):
        relation_loss(student, teacher, MASK[:, :3], 2)


def test_distilberts_loss_is_the_sum_of_its_three_terms() -> None:
    logits, taught, hidden, wanted = values(5, 2), values(5, 3), values(6, 0), values(6, 1)
    found = distilbert_loss(logits, taught, RESTORE, hidden, wanted, MASK)
    real = MASK.bool()
    soft = by_torch(logits[real], taught[real], 2.0)
    hard = cross_entropy(logits[[0, 1, 1], [1, 0, 3]], torch.tensor([2, 1, 4]))
    cosine = nn.CosineEmbeddingLoss()(hidden[real], wanted[real], torch.ones(7))
    torch.testing.assert_close(found, 5 * soft + 2 * hard + cosine)
    weights = {"soft_weight": 0.0, "hard_weight": 0.0}
    assert float(distilbert_loss(logits, taught, RESTORE, 3 * wanted, wanted, MASK, **weights)) < 1e-6
    classes = distilbert_loss(logits[:, 0], taught[:, 0], torch.tensor([1, 2]), hidden, wanted, MASK)
    first = 5 * by_torch(logits[:, 0], taught[:, 0], 2.0) + 2 * cross_entropy(logits[:, 0], torch.tensor([1, 2]))
    torch.testing.assert_close(classes, first + cosine)


def test_distilberts_loss_needs_matching_shapes_and_a_label() -> None:
    logits, hidden = values(5, 2), values(6, 0)
    with pytest.raises(BadInput, match="one width"):
        distilbert_loss(logits, logits, RESTORE, hidden, values(4, 0), MASK)
    with pytest.raises(BadInput, match="at least one token"):
        distilbert_loss(logits, logits, torch.full((2, 4), -100), hidden, hidden, MASK)


def test_a_numpy_oracle_agrees_for_one_row() -> None:
    z, v = STUDENT[0].double().numpy() / 3, TEACHER[0].double().numpy() / 3
    q, p = (np.exp(x) / np.exp(x).sum() for x in (z, v))
    found = kd_loss(STUDENT[:1], TEACHER[:1], temperature=3.0)
    assert float(found) == pytest.approx(9 * float(np.sum(p * np.log(p / q))), rel=1e-5)
