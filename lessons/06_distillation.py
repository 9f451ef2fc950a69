# ---
# title: "06 Knowledge distillation"
# minutes: 240
# know_first: "lessons 03 to 05; cross-entropy and KL divergence; one of PyTorch and Keras"
# after: ["05"]
# aims: "write the distillation loss and say what every factor in it does, teach a smaller network from a larger one with and without labels, know when that wins and when not, and recognise the faults of the usual listings"
# ---

# %% [markdown]
# ## The idea
#
# A label says "this is a 3". A trained network, the **teacher** (教师模型), says more: "a 3, but if not, then an 8 or a 5, and surely no 1". **Knowledge distillation** (知识蒸馏; Hinton, Vinyals & Dean, 2015, after Bucilă et al., 2006) trains
# a second network, the **student** (学生模型), on these **soft targets** (软标签), usually because the student is smaller and cheaper to run. With the teacher's **logits** (未归一化得分) $v$, the student's $z$, a **temperature** (温度) $T$ and
# the share $\alpha$ of the teacher:
#
# $$p = \mathrm{softmax}(v / T), \quad q = \mathrm{softmax}(z / T),$$
# $$L = \alpha\, T^2 \sum_k p_k \log \frac{p_k}{q_k} + (1 - \alpha)\, \mathrm{CE}(\mathrm{softmax}(z), y).$$
#
# Three things the formula does *not* say, and which this lesson measures. The teacher need not be pretrained, nor larger, nor of the same kind. The first term needs **no labels**, so it can be used on any input. And nothing guarantees
# that the student gets better than it would have become on the labels: that depends on what the teacher knows that the labels do not say.
#
# | | starts from | learns from | result |
# |:--|:--|:--|:--|
# | feature extraction, fine-tuning (lessons 03 to 05) | the source model's **weights** | labels of the target | the same architecture, adapted |
# | distillation | any weights, often random | the teacher's **outputs** | another, usually smaller, network |
#
# All spreads are one sample standard deviation over seeds.

# %%
import sys

import numpy as np
import torch
from torch import nn

from tl_course import check, claim, data, diagrams, evidence, plots, start, zoo
from tl_course.pytorch import distill_losses

start("06_distillation")
sys.path.append(str(evidence.FOLDER))  # the scripts of the long experiments, to run slices of them
torch.set_num_threads(1)  # small networks: more threads gain little
import distill_training as dt

diagrams.flow(
    [
        ("inputs", "labels optional", "data"),
        ("teacher", "eval, no gradient", "frozen"),
        ("soft targets", "softmax(v / T)", "plain"),
        ("loss", "T² KL(p ‖ q)", "plain"),
        ("student", "softmax(z / T)", "trained"),
    ],
    "Distillation: the student also gets the inputs; gradients flow into the student only",
    ["once", "cached", "", ""],
)

# %% [markdown]
# ## 1. What a teacher says beyond the label (软标签)
#
# A small network learns the ten digits (8 x 8 pixels). Then we read its probabilities for test images, averaged by true class, at three temperatures.
#
# **Predict before you run.** At $T = 1$, how much probability do the nine wrong classes get together? Which digit does the network find most like a 3? Does raising $T$ change which classes look alike, or only how well you can see it?

# %%
digits = data.load("digits")


def digit_teacher(seed):
    """An MLP that knows all ten digits."""
    labels = dt.by_labels(digits.train.y)
    return dt.train(dt.mlp((128, 128), 10, seed), digits.train.x, labels, num_steps=800, seed=seed, lr=1e-3)


def soften(logits, temperature):
    """softmax(logits / T), (N, K)."""
    return torch.from_numpy(logits / temperature).softmax(dim=1).numpy()


teachers = [digit_teacher(seed) for seed in range(5)]
test_logits = [dt.logits_of(teacher, digits.test.x) for teacher in teachers]
names = [str(k) for k in range(10)]


def by_class(temperature):
    """Mean soft target of each true class, (10, 10), over the five teachers."""
    softened = np.mean([soften(logits, temperature) for logits in test_logits], axis=0)
    return np.stack([softened[digits.test.y == k].mean(axis=0) for k in range(10)])


plots.matrix(by_class(1.0), names, names, "T = 1: nearly the labels", "class", "true class", limits=(0, 0.3))

# %%
plots.matrix(by_class(8.0), names, names, "T = 8: which digits look alike", "class", "true class", limits=(0, 0.3))

# %%
off_diagonal = {T: 1 - np.diag(by_class(T)).mean() for T in (1.0, 4.0, 8.0, 20.0)}
like_three = np.argsort(-by_class(8.0)[3])[1:4]
same_order = all(
    (soften(v, 1.0).argsort(1)[:, -3:] == soften(v, 8.0).argsort(1)[:, -3:]).mean() > 0.99 for v in test_logits
)
claim(
    "at T = 1 the wrong classes share less than 15 %, at T = 8 more than half; the order of each image's first three classes stays; what looks most like a 3 is among 2, 5, 8 and 9",
    off_diagonal[1.0] < 0.15 and off_diagonal[8.0] > 0.5 and same_order and like_three[0] in (2, 5, 8, 9),
    measured=", ".join(f"T = {T:g}: {share:.1%} on wrong classes" for T, share in off_diagonal.items())
    + f"; like a 3: {', '.join(map(str, like_three))}",
)

# %% [markdown]
# Dividing logits by $T$ changes no order. It brings the small probabilities, which say how the teacher generalises, to a size at which they count in the loss. Hinton calls them **dark knowledge** (暗知识). Note the limit: they are the teacher's opinion. Where the
# teacher is wrong, so are they.
#
# ## 2. The loss, taken apart (损失函数)
#
# Four decisions hide in one line of code:
#
# - **Direction.** $\mathrm{KL}(p \Vert q)$ with the teacher first, *forward* KL: the student is punished for giving no probability where the teacher has some. Exchanged, it is another loss.
# - **Reduction.** Sum over classes, mean over examples. PyTorch calls it `batchmean`; its plain `mean` divides by the number of classes as well, so alpha means something else for 10 classes and for 1,000.
# - **Arguments.** `F.kl_div` wants *log*-probabilities first. It takes raw logits without a word.
# - **The factor $T^2$**: next section.
#
# **Predict before you run.** Cross-entropy with the soft targets is KL plus the teacher's entropy. Do the two give the student the same gradient? By which factor is `mean` off? What does `kl_div` return for raw logits on both sides?

# %%
rng = np.random.default_rng(0)
z, v = (torch.from_numpy(3 * rng.normal(size=(6, 10))) for _ in range(2))
y = torch.from_numpy(rng.integers(0, 10, 6))
T, alpha = 4.0, 0.7
p, q = (np.exp(x / T) / np.exp(x / T).sum(axis=1, keepdims=True) for x in (v.numpy(), z.numpy()))
hard = -np.log((np.exp(z.numpy()) / np.exp(z.numpy()).sum(axis=1, keepdims=True))[np.arange(6), y.numpy()]).mean()
by_hand = alpha * T**2 * (p * np.log(p / q)).sum(axis=1).mean() + (1 - alpha) * hard
ours = distill_losses.kd_loss(z, v, y, temperature=T, alpha=alpha).item()
terms = nn.functional.kl_div((z / T).log_softmax(1), (v / T).softmax(1), reduction="none")  # (6, 10)
batchmean, mean = terms.sum().item() / 6, terms.mean().item()  # what the two reductions do
reverse = distill_losses.kd_loss(v, z, temperature=T).item() / distill_losses.kd_loss(z, v, temperature=T).item()
raw = nn.functional.kl_div(z, v, reduction="batchmean").item()


def gradient_of(loss_of):
    """d loss / d z of the student's logits."""
    student = z.clone().requires_grad_(True)
    loss_of(student).backward()
    return student.grad


kl_gradient = gradient_of(
    lambda s: nn.functional.kl_div((s / T).log_softmax(1), (v / T).softmax(1), reduction="batchmean")
)
raw_gradient = gradient_of(lambda s: nn.functional.kl_div(s, v, reduction="batchmean"))
ce_gradient = gradient_of(lambda s: nn.functional.cross_entropy(s / T, (v / T).softmax(1)))
from_probabilities = distill_losses.kd_loss_from_probabilities(z, v.softmax(1), y, temperature=T, alpha=alpha).item()
claim(
    "kd_loss is the value by hand; 'mean' is off by exactly the 10 classes; soft cross-entropy and KL have one gradient; the other direction is another loss; raw logits give NaN, and a finite gradient, -v / N, all the same; from probabilities it is the same",
    abs(ours - by_hand) < 1e-5
    and abs(batchmean / mean - 10) < 1e-6
    and (kl_gradient - ce_gradient).abs().max() < 1e-9
    and abs(reverse - 1) > 0.02
    and np.isnan(raw)
    and (raw_gradient + v / 6).abs().max() < 1e-9
    and abs(from_probabilities - ours) < 1e-5,
    measured=f"kd_loss {ours:.6f}, by hand {by_hand:.6f}; batchmean / mean = {batchmean / mean:.1f}; reverse / forward = {reverse:.2f}; raw logits: {raw}",
)

# %% [markdown]
# **NaN, and yet it trains.** The logarithm of a negative target is NaN, so the printed loss is useless; but the *gradient* of `kl_div(z, v)` is $-v / N$, a perfectly finite number that pushes $z$ towards large values where $v$ is large. That is why a listing that prints NaN
# can still show an accuracy above chance, some tens of points under its teacher. A loss nobody looks at is no loss.
#
# **Probabilities instead of logits.** A service or a Keras model with a softmax at its end gives $p$ only. $p^{1/T}$, brought to sum 1, is $\mathrm{softmax}(v / T)$: nothing is lost but what rounding took. Feeding $p$ where logits are expected is another matter: numbers between 0 and 1,
# divided by $T$, are nearly flat, and so is what the student learns.

# %% exercise: kd-loss

# %% exercise: raw-logits

# %% exercise: mean-reduction

# %% exercise: probability-targets

# %% [markdown]
# ## 3. Why $T^2$, and what happens for large $T$ (温度的平方)
#
# The gradient of $\mathrm{KL}$ with respect to one logit of the student is $(q_k - p_k) / T$. Expand the exponentials for large $T$, with $K$ classes:
#
# $$\frac{\partial\, \mathrm{KL}}{\partial z_k} = \frac{1}{T}(q_k - p_k) \;\approx\; \frac{1}{T}\left(\frac{1 + z_k / T}{K + \sum_j z_j / T} - \frac{1 + v_k / T}{K + \sum_j v_j / T}\right) \;\approx\; \frac{1}{K T^2}\left((z_k - \bar z) - (v_k - \bar v)\right).$$
#
# So it shrinks as $1 / T^2$, the label term does not, and without the factor $T^2$ a larger temperature quietly switches the teacher off. With it, the limit is a plain regression: **match the logits, each row brought to mean zero**.
#
# **Predict before you run.** From $T = 1$ to $T = 50$: by how much does the gradient's length fall without $T^2$?

# %%
temperatures = np.array([1.0, 2.0, 4.0, 8.0, 20.0, 50.0])
lengths = {"without T²": np.zeros((5, 6)), "with T²": np.zeros((5, 6))}
gaps = []
for seed in range(5):
    draw = np.random.default_rng(seed)
    student_logits, teacher_logits = (torch.from_numpy(2 * draw.normal(size=(32, 10))) for _ in range(2))
    centred = [x - x.mean(dim=1, keepdim=True) for x in (student_logits, teacher_logits)]
    limit = (centred[0] - centred[1]) / 10 / 32  # K classes, mean over 32 examples
    for column, temperature in enumerate(temperatures):
        student = student_logits.clone().requires_grad_(True)
        distill_losses.kd_loss(student, teacher_logits, temperature=float(temperature)).backward()
        lengths["with T²"][seed, column] = student.grad.norm()
        lengths["without T²"][seed, column] = student.grad.norm() / temperature**2
    gaps.append((student.grad - limit).norm().item() / limit.norm().item())
figure = plots.learning_curve(
    temperatures, lengths, "Length of the gradient from the teacher", xlabel="temperature", ylabel="gradient's norm"
)
figure.axes[0].set_yscale("log")
figure

# %%
fall = lengths["without T²"][:, 0] / lengths["without T²"][:, -1]
steady = lengths["with T²"][:, 2] / lengths["with T²"][:, -1]
claim(
    "without T² the gradient falls by more than a thousand from T = 1 to T = 50; with it, it changes by less than a quarter from T = 4 on; at T = 50 it is the matching of zero-mean logits to 5 %",
    fall.min() > 1000 and np.abs(steady - 1).max() < 0.25 and max(gaps) < 0.05,
    measured=f"falls by {fall.mean():,.0f} ± {fall.std(ddof=1):,.0f}; T = 4 against 50: {steady.mean():.3f}; distance from the limit {np.mean(gaps):.1%}; five draws",
)

# %% [markdown]
# **Play with it.** Three test images: the one of which the teacher is surest, the one it only just gets right, and the one it gets most wrong. Move the temperature with the mouse or the arrow keys. From which $T$ on can you see which digits
# look like the first one? Does any $T$ correct the third? And what does the student's gradient do while the bars become flat?

# %% tags=["varies"]
from tl_course.plots_to_play import soft_targets

of_the_right = soften(test_logits[0], 1.0)[np.arange(len(digits.test.y)), digits.test.y]
is_right = test_logits[0].argmax(axis=1) == digits.test.y
shown = [of_the_right.argmax(), np.where(is_right, of_the_right, 1).argmin(), of_the_right.argmin()]
soft_targets(test_logits[0][shown], digits.test.y[shown], names, digits.test.x[shown])

# %% [markdown]
# The surer the teacher, the larger the $T$ that shows what else it sees: there is no one right temperature for all images. No $T$ corrects a mistake, as none changes an order; it only makes the teacher less sure of it. And while the bars go flat, the gradient without
# $T^2$ vanishes, for two reasons at once (the targets come near the student's own answers, and $1 / T$); with $T^2$ it keeps its size, and in the limit is the length of the teacher's centred logits over $K$.
#
# Which $T$? Small: the student copies decisions. Large: it copies all logits, the noise of the very unlikely classes included. Two to eight is usual; a student much smaller than its teacher often does better with less. Choose it on validation data like any
# other setting, and *with* $T^2$, so that alpha keeps its meaning meanwhile.

# %% exercise: missing-temperature

# %% [markdown]
# ## 4. A digit the student has never seen (从未见过的 3)
#
# Hinton's most telling experiment: the teacher knows all ten digits; the student is trained on images **without a single 3**. On labels alone it can never answer 3. On soft targets it has seen no 3 either, only how much each *other* image looks like one.
# Then one number is changed: the student's bias for 3 is raised, since the class was rare in its training.
#
# **Predict before you run.** What share of the 3s does the student on soft targets recognise? And what does the changed bias do for the student on labels?

# %%
from distill_no_three import best_bias, scores

no_three = digits.train.take(np.flatnonzero(digits.train.y != 3))
is_three = np.arange(10) == 3
recognised = {name: np.zeros(5) for name in ("teacher", "labels", "labels, bias", "soft", "soft, bias")}
overall = {name: np.zeros(5) for name in recognised}
for seed, teacher in enumerate(teachers):
    answers = dt.logits_of(teacher, no_three.x)
    lessons_for = {"labels": dt.by_labels(no_three.y), "soft": dt.by_answers(answers, 4.0)}
    found = {"teacher": test_logits[seed]}
    for name, loss_of in lessons_for.items():
        student = dt.train(dt.mlp((64, 64), 10, 100 + seed), no_three.x, loss_of, num_steps=400, seed=seed)
        found[name] = dt.logits_of(student, digits.test.x)
        bias = best_bias(dt.logits_of(student, digits.val.x), digits.val.y)  # chosen on validation images
        found[f"{name}, bias"] = found[name] + bias * is_three
    for name, logits in found.items():
        recognised[name][seed], _others, overall[name][seed] = scores(logits, digits.test.y)
plots.bar_with_spread(recognised, "8 x 8 digits: 3s recognised, five seeds", ylabel="share of the 3s", xlabel="student")

# %%
claim(
    "trained on labels the student recognises no 3, and a bias up to 10 does not help; on soft targets it recognises more than 70 % of a digit it never saw, in every seed, and with the bias more than 85 %",
    recognised["labels"].max() == 0
    and recognised["labels, bias"].max() < 0.3
    and recognised["soft"].min() > 0.7
    and recognised["soft, bias"].min() > 0.85,
    measured="; ".join(
        f"{name} {100 * values.mean():.1f} ± {100 * values.std(ddof=1):.1f} % of 3s, {overall[name].mean():.1%} of all"
        for name, values in recognised.items()
    ),
)

# %% [markdown]
# The same with CNNs on 28 x 28 digits, five seeds (`python benchmarks/evidence/distill_no_three.py`):

# %%
larger = evidence.load("distill_no_three")
three = {name: np.array(values) for name, values in larger["results"]["accuracy"].items()}  # (seeds, [3s, others, all])
plots.bar_with_spread(
    {name: values[:, 0] for name, values in three.items()},
    "28 x 28 digits, CNNs: 3s recognised, five seeds",
    ylabel="share of the 3s",
    xlabel="student",
)

# %%
by_temperature = np.array(larger["results"]["on the missing digit by temperature"]).mean(axis=0)
claim(
    "the CNN recognises no 3 on labels, under a fifth on soft targets, and more than 80 % in every seed once its bias is raised by about 3.5; a higher temperature helps before the correction",
    three["labels"][:, 0].max() == 0
    and 0 < three["soft answers"][:, 0].mean() < 0.2
    and three["soft, bias corrected"][:, 0].min() > 0.8
    and by_temperature[0] < by_temperature[1] < by_temperature[2]
    and 3 < np.mean(larger["results"]["bias"]) < 4.5,
    measured="; ".join(f"{name} {v[:, 0].mean():.1%} ± {v[:, 0].std(ddof=1):.1%}" for name, v in three.items())
    + f"; bias {np.mean(larger['results']['bias']):.2f}; "
    + ", ".join(f"T = {t:g}: {s:.1%}" for t, s in zip(larger["settings"]["temperatures"], by_temperature, strict=True)),
)

# %% [markdown]
# Two networks, two stories. The MLP on soft targets answers most 3s at once. The CNN's features tell 3s apart as well, more than nine in ten, but its answer is held down by the bias: the class was never right in training. Hinton reports 98.6 % of the 3s after raising the bias by 3.5, with 60,000 images. **One
# number, set on validation data that do contain 3s, brought most of it back**: before you call a class unlearned, look at its prior (lesson 08, label shift).

# %% exercise: no-three-bias

# %% [markdown]
# ## 5. When it wins, and when not (何时有效)
#
# "Distillation makes the student better" is true under a condition: the teacher has to know something that the student's labels do not say. Eight by eight digits again, 3 or 10 labels per class, five draws, a student with 32 hidden units, the same number of steps everywhere:
#
# - a **strong** teacher, trained on all 1,078 labels, answers to the student's few images, or to all images (whose labels nobody uses);
# - a **weak** teacher, larger than the student, that has **no more than the same few labels**.
#
# **Predict before you run.** Put the five bars in order. Does the weak teacher help when it may answer to unlabelled images? `python benchmarks/evidence/distill_data.py` makes the figure again.

# %%
wins = evidence.load("distill_data")
accuracy_of = {
    setting: {name: np.array(values) for name, values in rows.items()}
    for setting, rows in wins["results"]["accuracy"].items()
}
shown = {
    "labels": "labels",
    "weak teacher, same images": "teacher with the same few, soft",
    "weak teacher, unlabelled": "teacher with the same few, unlabelled",
    "strong teacher, same images": "same images, soft",
    "strong teacher, unlabelled": "unlabelled, soft",
}
few_rows = accuracy_of["3 labels a class"]
plots.bar_with_spread(
    {name: few_rows[key] for name, key in shown.items()},
    "3 labels per class, five draws",
    xlabel="what the student learns from",
)

# %%
gain = {
    setting: {name: rows[key] - rows["labels"] for name, key in shown.items()} for setting, rows in accuracy_of.items()
}
three_each, ten_each = gain["3 labels a class"], gain["10 labels a class"]
claim(
    "a strong teacher gains at least 5 points on the very images the student has labels for, and at least as much on unlabelled ones, at 3 labels per class; at 10 labels it gains less, yet something; "
    "a teacher with no more than the same labels gains nothing on average in either setting, with or without unlabelled images",
    three_each["strong teacher, same images"].mean() > 0.05
    and three_each["strong teacher, unlabelled"].mean() > three_each["strong teacher, same images"].mean()
    and 0 < ten_each["strong teacher, unlabelled"].mean() < three_each["strong teacher, unlabelled"].mean()
    and max(rows[name].mean() for rows in gain.values() for name in rows if name.startswith("weak")) < 0.005,
    measured="; ".join(
        f"{setting}, labels {accuracy_of[setting]['labels'].mean():.1%}: "
        + ", ".join(
            f"{name} {100 * v.mean():+.1f} ± {100 * v.std(ddof=1):.1f}" for name, v in rows.items() if name != "labels"
        )
        for setting, rows in gain.items()
    ),
)

# %% [markdown]
# The teacher's *size* did nothing here, its *knowledge* everything. The weak teacher is larger than the student, and yet its answers hold only what the few labels held; on unlabelled images it spreads its own mistakes (lesson 08, pseudo-labels). The strong teacher's answers to 30 images carry part of what a thousand labels taught it,
# and to a thousand images a little more at 3 labels per class (1.7 ± 1.3 points), no more at 10 (−0.3 ± 1.4). So before you distil, ask what the teacher has seen that the student has not: other labels, other data, pretraining, or an ensemble's votes. If the answer is nothing, expect nothing, or a point less: the weak teacher's students were 1 to 2 behind.
#
# Small gains from a teacher with the same data are reported too, mostly with augmentation and long schedules, where soft targets act as a regulariser. With few seeds they cannot be told from luck.
#
# One draw made again:

# %%
import distill_data

again = distill_data.one_draw(digits, 3, 0)
gap = max(abs(again[key] - few_rows[key][0]) for key in shown.values())
claim(
    "the committed results are what the code gives today, to 4 points",
    gap < 0.04,
    measured=", ".join(f"{name} {again[key]:.1%}" for name, key in shown.items()),
)

# %% [markdown]
# ## 6. Is a better teacher a better teacher? (容量差距)
#
# Two beliefs to test. *The stronger the teacher, the better the student*: Cho & Hariharan (2019) and Mirzadeh et al. (2020) find that a student can be left behind by a teacher far above it, the **capacity gap**. And *a teacher trained with label smoothing* (标签平滑) *teaches worse*, since
# smoothing erases which wrong classes are alike (Müller, Kornblith & Hinton, 2019); Shen et al. (2021) dispute it.
#
# A student with 16 hidden units, 100 labelled images, ten seeds. The teachers: the student's own architecture (that is **self-distillation**, 自蒸馏; Furlanello et al., *born-again networks*, 2018; `self_distill` does it over generations), larger ones, one that has seen ten times as many labels, and one trained with smoothing.
# `python benchmarks/evidence/distill_teachers.py`
#
# **Predict before you run.** Which teacher makes the best student? Is the effect of smoothing larger than the spread?

# %%
by_teacher = evidence.load("distill_teachers")
columns = {
    name: {key: np.array(values) for key, values in by_teacher["results"][name].items()}
    for name in ("teacher", "student", "agreement")
}
plots.matrix(
    np.array([[columns[name][key].mean() for name in columns] for key in columns["teacher"]]),
    list(columns["teacher"]),
    ["teacher", "student", "agreement"],
    "Mean of ten seeds",
    "share of the test images",
    "teacher's hidden units",
    number_format="{:.3f}",
)

# %%
without = columns["student"]["labels"]
by_choice = {
    name: values - without for name, values in columns["student"].items() if name != "labels"
}  # paired by seed
smoothing = columns["student"]["64, 64, smoothed"] - columns["student"]["64, 64"]
same_data = [name for name in by_choice if name != "64, 64, all labels"]
claim(
    "with the same 100 images no teacher gains on the labels, neither the student's own architecture nor far wider ones; the teacher that saw ten times the labels gains at least 3 points; "
    "the smoothed teacher is the better network, and what it does to its student is less than the spread over seeds",
    max(by_choice[name].mean() for name in same_data) < 0.01
    and min(by_choice[name].mean() for name in same_data) > -0.03
    and by_choice["64, 64, all labels"].mean() > 0.03
    and columns["teacher"]["64, 64, smoothed"].mean() > columns["teacher"]["64, 64"].mean()
    and abs(smoothing.mean()) < smoothing.std(ddof=1),
    measured=f"labels alone {without.mean():.1%} ± {without.std(ddof=1):.1%}; gain, paired by seed: "
    + ", ".join(f"{name} {100 * v.mean():+.1f} ± {100 * v.std(ddof=1):.1f}" for name, v in by_choice.items())
    + f"; smoothing {100 * smoothing.mean():+.1f} ± {100 * smoothing.std(ddof=1):.1f} points",
)

# %% [markdown]
# No capacity gap shows here, and no gain from size either: the three teachers of growing size, trained on the same 100 images without smoothing, differ by a point, their students by less than the spread. None of them helped, self-distillation included: on average their students are about a point behind the labels alone. A student agrees with its teacher on 92 to 97 % of the test images, *also where the teacher is wrong*: this is what it was asked to do (Stanton et al., 2021).
#
# On smoothing the honest answer at this scale is: **inside the noise**. Müller and his co-authors saw the loss on MNIST and CIFAR-10 with all their training images; a hundred small digits can neither confirm nor refute it. Had we shown one seed, it could have "shown" either.

# %% [markdown]
# ## 7. A teacher in eval, without gradient, asked once (`distill`)
#
# Three mistakes about the teacher raise no error. In **training mode** its dropout is on and its BatchNorm statistics move: other answers every time, and a teacher that drifts. Its parameters get **gradients**, if nobody stops them; with one optimizer for both, it even learns from its student. And it is
# run **again in every epoch**, although it cannot change its mind. The course's `distill(teacher, student, dataset, …)` excludes the three by construction: the teacher is run in evaluation mode and in `no_grad`, once for each input, and its answers are kept.
#
# Kept under which key? Under *what the teacher saw*: a SHA-256 of the pixels or texts and of the teacher's weights. Not under the row's number: shuffle the data or augment them, and row 17 is another image. With augmentation the views are drawn first, and teacher and student see the same pixels, since
# "a good teacher is patient and **consistent**" (Beyer et al., 2022).
#
# Now a real case. The teacher is MobileNetV2 with a linear head, trained on five labelled crops of each of 18 photographs; the student a small CNN with random weights that sees the crops at half the width. Both have the same 90 labels; the difference is 1,710 crops that nobody has labelled. `python benchmarks/evidence/distill_photos.py`
#
# **Predict before you run.** How many parameters does the student have, in percent of the teacher's? Does it come close to its teacher? Can it be *better*?

# %%
photo_runs = evidence.load("distill_photos")
photo_accuracy = {name: np.array(values) for name, values in photo_runs["results"]["accuracy"].items()}
plots.bar_with_spread(
    photo_accuracy, "18 photographs, 5 labels per class, five draws", xlabel="network and what it learned from"
)

# %%
photo_size = photo_runs["results"]["parameters"]
photo_gain = photo_accuracy["1,800 crops, soft"] - photo_accuracy["90 labels"]  # paired by draw
over_teacher = photo_accuracy["1,800 crops, soft"] - photo_accuracy["teacher"]
claim(
    "the student has less than a tenth of the parameters, at most 220,000; on unlabelled crops it gains at least 4 points on the same student with the labels alone, and on average it is better than its teacher; "
    "all 1,800 labels would have been worth more",
    photo_size["student"] < min(photo_size["teacher"] / 10, 220_000)
    and photo_gain.mean() > 0.04
    and over_teacher.mean() > 0.02
    and photo_accuracy["1,800 labels"].mean() > photo_accuracy["1,800 crops, soft"].mean() + 0.02,
    measured=f"{photo_size['student']:,} of {photo_size['teacher']:,} parameters ({photo_size['student'] / photo_size['teacher']:.1%}); "
    + ", ".join(f"{name} {v.mean():.1%} ± {v.std(ddof=1):.1%}" for name, v in photo_accuracy.items())
    + f"; gain on labels {100 * photo_gain.mean():+.1f} ± {100 * photo_gain.std(ddof=1):.1f}, on the teacher {100 * over_teacher.mean():+.1f} ± {100 * over_teacher.std(ddof=1):.1f} points",
)

# %% [markdown]
# **Better than its teacher**, with a twentieth of the parameters and no further label. It sounds like a free lunch and is none. Our reading, which the runs allow but do not prove: the teacher is a linear head, fitted to 90 crops on features made for ImageNet; the student fits its *whole* network to these 18 photographs, on 1,800 crops in three views each, and the teacher's errors there, which differ
# from crop to crop, partly average out. A student copies what is consistent in its teacher. What the teacher gets wrong consistently, the student gets wrong too.
#
# Now with the library, on fewer crops: `distill` asks the teacher for every crop once, keeps the answers, and hands back a history.

# %% tags=["varies"]
from dataclasses import replace

from tl_course.pytorch import distill as distillation
from tl_course.pytorch import finetune
from tl_course.pytorch.classifier import Classifier
from tl_course.pytorch.fit import evaluate
from tl_course.pytorch.students import small_cnn
from tl_course.teacher_cache import TeacherCache

photos = data.load("photos", size=64, per_photo={"train": 20, "val": 4, "test": 10})
few_photos = replace(photos, train=photos.train.take(data.few_shot(photos.train.y, 5, 0)))
photo_teacher = Classifier.build("mobilenet_v2", photos.class_names, image_size=64, seed=0, device="cpu")
finetune.linear_probe(photo_teacher, few_photos, num_epochs=30, lr=1e-2, progress=False)
before = {name: value.clone() for name, value in photo_teacher.model.state_dict().items()}
cache = TeacherCache()
photo_student = small_cnn(photos.class_names, image_size=32, seed=0, device="cpu")
options = {"unlabelled": photos.train.x, "cache": cache, "lr": 3e-3, "temperature": 2.0, "progress": False}
history = distillation.distill(photo_teacher, photo_student, few_photos, num_epochs=6, **options)
plots.training_curves(history, "A small CNN learns from MobileNetV2")

# %% [markdown]
# The two losses are not comparable: in training T² KL and cross-entropy together, in validation the cross-entropy with labels, as in every other lesson.

# %%
runs_of_teacher = cache.misses
distillation.distill(
    photo_teacher,
    small_cnn(photos.class_names, image_size=32, seed=1, device="cpu"),
    few_photos,
    num_epochs=1,
    **options,
)
untouched = all(torch.equal(before[name], value) for name, value in photo_teacher.model.state_dict().items())
count = {
    name: sum(w.numel() for w in c.model.parameters())
    for name, c in (("teacher", photo_teacher), ("student", photo_student))
}
claim(
    "six epochs asked the teacher once, a second student asked it not at all; the teacher is bit for bit what it was and has no gradient; the student has less than a tenth of its parameters and at most 220,000",
    cache.misses == runs_of_teacher
    and cache.hits >= 1
    and untouched
    and all(w.grad is None for w in photo_teacher.model.features.parameters())
    and count["student"] < min(count["teacher"] / 10, 220_000),
    measured=f"{runs_of_teacher} run of the teacher, {cache.hits} answered from the cache; {count['student']:,} of {count['teacher']:,} parameters",
)

# %% exercise: teacher-gradient

# %% exercise: stale-cache

# %% exercise: class-mismatch

# %% exercise: same-model

# %% [markdown]
# ## 8. Beyond logits: hints, attention, relations (中间层知识)
#
# A network with two classes says one number an input. Its hidden layers say more. Four losses that are in use, all in `tl_course.pytorch.distill_losses` and in Keras:
#
# | loss | compares | needs | source |
# |:--|:--|:--|:--|
# | `hint_loss` | hidden features, by squared error | a **projector** (投影层) where widths differ; it is trained along and thrown away | FitNets (Romero et al., 2015) |
# | `attention_transfer_loss` | *where* activations are large: mean over channels of $A^2$, length 1 | maps of one resolution; any number of channels | Zagoruyko & Komodakis (2017) |
# | `relation_loss` | how tokens relate: $\mathrm{softmax}(V V^\top / \sqrt d)$, by KL | the same tokens; any width | MiniLM (Wang et al., 2020) |
# | `distilbert_loss` | logits (soft), masked words (hard), hidden states (cosine) | the same width and tokenizer | DistilBERT (Sanh et al., 2019) |
#
# The second and third need no projector, because what they compare has no width: (H, W) pictures and (L, L) matrices. MiniLM, our text encoder, descends from a network that was made by the third; every second of its layers was kept afterwards.
#
# **Predict before you run.** Which of the losses notice if the teacher's features are multiplied by 5? If its channels are shuffled?

# %%
generator = torch.Generator().manual_seed(0)
maps = torch.randn(4, 8, 5, 5, generator=generator)  # (N, C, H, W)
values = torch.randn(2, 6, 24, generator=generator)  # (N, L, D)
mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
shuffled = maps[:, torch.randperm(8, generator=generator)]
rotation = torch.linalg.qr(torch.randn(24, 24, generator=generator)).Q
changed_padding = torch.where(mask[:, :, None] == 1, values, 100.0)
found = {
    "hint, x 5": distill_losses.hint_loss(maps, 5 * maps).item(),
    "hint, channels shuffled": distill_losses.hint_loss(maps, shuffled).item(),
    "attention, x 5": distill_losses.attention_transfer_loss(maps, 5 * maps).item(),
    "attention, channels shuffled": distill_losses.attention_transfer_loss(maps, shuffled).item(),
    "attention, twice the channels": distill_losses.attention_transfer_loss(
        maps, torch.cat([maps, maps], dim=1)
    ).item(),
    "relation, rotated": distill_losses.relation_loss(values, values @ rotation, mask, num_heads=1).item(),
    "relation, other padding": distill_losses.relation_loss(values, changed_padding, mask, num_heads=1).item(),
    "relation, x 5": distill_losses.relation_loss(values, 5 * values, mask, num_heads=1).item(),
}
for name, value in found.items():
    print(f"{name:32}{value:10.6f}")
claim(
    "hints notice scale and order of channels; attention transfer notices neither, nor the number of channels; relations ignore a rotation of all vectors and whatever stands at padding, but not their scale",
    min(found["hint, x 5"], found["hint, channels shuffled"], found["relation, x 5"]) > 0.1
    and max(abs(found[name]) for name in found if name.startswith("attention")) < 1e-6
    and abs(found["relation, rotated"]) < 1e-4
    and abs(found["relation, other padding"]) < 1e-6,
    measured=f"{len(found)} values, printed above",
)

# %% [markdown]
# More losses mean more weights between them, and none is free: each ties the student's inside to the teacher's. Start with logits; add a hidden loss if the student is deep and narrow, or has few classes, and keep it if validation data say so.

# %% exercise: hint-loss

# %% exercise: attention-transfer

# %% exercise: relation-loss

# %% [markdown]
# ## 9. Half of MiniLM, on tweets (文本蒸馏)
#
# DistilBERT starts the student from the teacher: every second layer, embeddings and head are **copied**. The task is the mood of tweets (lesson 05). The teacher: MiniLM, six layers, fine-tuned on 1,500 labelled tweets. The student: layers 0, 2 and 4. Its team has 100 or 300 labels, or all of the
# teacher's 1,500; or the 2,052 training tweets *without* labels, and the teacher's answers to them. `python benchmarks/evidence/distill_text.py` makes the figure again.
#
# **Predict before you run.** How much of the teacher's accuracy does the distilled student keep? How far behind is the same student on labels alone? How much faster is half the depth: two times, or less, since embeddings and head stay?

# %%
halves = evidence.load("distill_text")
student_runs = {name: np.array(values) for name, values in halves["results"]["accuracy"].items()}
teacher_accuracy = halves["results"]["teacher"]["accuracy"]
plots.bar_with_spread(
    {"teacher, 6 layers": np.array([teacher_accuracy])} | student_runs,
    "Mood of 1,051 tweets: students with 3 layers, five draws",
    xlabel="learned from",
    number_format="{:.3f}",
)

# %%
kept = {name: values / teacher_accuracy for name, values in student_runs.items()}
speed = halves["results"]["texts_a_second"]
size = halves["results"]["parameters"]
soft, soft_from_teacher = student_runs["unlabelled, soft"], student_runs["unlabelled, soft, teacher's layers"]
claim(
    "distilled on unlabelled tweets, the three layers keep at least 97 % of the teacher's accuracy, in every draw and from either start; from pretrained layers they are ahead of the same student on 300 labels by at least 2 points in every draw, "
    "from the teacher's layers by at least 1 on average, and from all of the teacher's 1,500 labels not by a point; "
    "on one core the encoder runs at least 1.8 times as many texts, and yet has more than 70 % of the parameters",
    min(kept[name].min() for name in kept if name.startswith("unlabelled")) > 0.97
    and (soft - student_runs["300 labels"]).min() > 0.02
    and (soft_from_teacher - student_runs["300 labels, teacher's layers"]).mean() > 0.01
    and abs((soft - student_runs["1,500 labels"]).mean()) < 0.01
    and (student_runs["300 labels"] - student_runs["100 labels"]).mean() > 0.01
    and speed["student"] / speed["teacher"] > 1.8
    and 0.7 < size["student"] / size["teacher"] < 0.8,
    measured=f"teacher {teacher_accuracy:.1%}; "
    + "; ".join(
        f"{name} {v.mean():.1%} ± {v.std(ddof=1):.1%} ({kept[name].mean():.1%} kept)"
        for name, v in student_runs.items()
    )
    + f"; {speed['student'] / speed['teacher']:.2f} times as fast, {size['student'] / 1e6:.1f} of {size['teacher'] / 1e6:.1f} million parameters",
)

# %% [markdown]
# Three remarks. The 2,052 texts without labels were worth more than 300 with, because somebody else had paid for 1,500: **distillation hands on what the teacher's labels bought**. Who owns all 1,500 can train the small model on them and needs no teacher. The teacher's layers carry its labels too:
# a student that starts from them is ahead before it has seen anything, and soft answers add little to that. And half of the layers is not half of the model: the table of word vectors alone has 11.7 million numbers, which cost memory, not time.
#
# A slice of it made again. The teacher's answers are in the committed file, so no teacher is needed, only `distill` with an **array of logits** as teacher:

# %% tags=["varies"]
from tl_course.pytorch import students
from tl_course.pytorch.text_classifier import TextClassifier

tweets = data.load("sentiment", domain="tweets")
difference = np.array(halves["results"]["teacher_logit_difference"], dtype=np.float32)  # positive minus negative
kept_answers = np.stack([-difference / 2, difference / 2], axis=1)  # logits (2052, 2): softmax needs no more
some = np.arange(640)
lesson_tweets = replace(tweets, train=tweets.train.take(some), val=tweets.val.take(np.arange(100)))
torch.set_num_threads(2)
half = students.shallow_student(
    TextClassifier.build("minilm", tweets.class_names, seed=0, device="cpu"), layers=(0, 2, 4)
)
distillation.distill(
    kept_answers[some],
    half,
    lesson_tweets,
    num_epochs=1,
    temperature=2.0,
    alpha=1.0,
    lr=1e-3,
    backbone_lr=3e-4,
    batch_size=16,
    restore_best=False,
    progress=False,
)
half_report = evaluate(half, tweets.test.take(np.arange(400)))
claim(
    "640 tweets without labels, one epoch, and a teacher that is not even there, only its answers: the student is at least 8 points above the larger class",
    half_report.accuracy > half_report.majority + 0.08,
    measured=f"{half_report.accuracy:.1%} of 400 test tweets, larger class {half_report.majority:.1%}",
)

# %% [markdown]
# With `shallow_student(teacher)` the layers would come from the fine-tuned teacher; here they come from MiniLM as it was pretrained. Note what was needed of the teacher: its logits, in the right order. That is how one distils from a model of the other framework, or from one that only a partner may run.
#
# DistilBERT's authors report 97 % of BERT's score with 40 % fewer parameters and 60 % more speed, after distilling on the *pretraining* texts with the triple loss, which took days on eight GPUs. Distilling for one task, as here, takes minutes, and gives a student for that task alone.

# %% exercise: student-layers

# %% [markdown]
# ## 10. The same in Keras
#
# `tl_course.keras.distill` has the same names and numbers. And for `compile` and `fit` as Keras users know them there is `Distiller`, a `keras.Model` whose `train_step` takes (inputs, (labels, teacher's logits)). The teacher is not inside: its answers come with the batches.

# %% tags=["varies"]
import keras
import tensorflow as tf

from tl_course.keras import distiller as keras_distiller
from tl_course.keras.distill_losses import kd_loss as keras_kd_loss

in_keras = float(
    keras_kd_loss(tf.constant(z.numpy()), tf.constant(v.numpy()), tf.constant(y.numpy()), temperature=T, alpha=alpha)
)
keras.utils.set_random_seed(0)
keras_student = keras.Sequential(
    [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(32, activation="relu"), keras.layers.Dense(10)]
)
distiller = keras_distiller.Distiller(keras_student, temperature=4.0, alpha=0.5)
distiller.compile(optimizer=keras.optimizers.Adam(3e-3), metrics=["accuracy"])
keras_teacher_logits = dt.logits_of(teachers[0], digits.train.x)  # a PyTorch teacher: it is only an array
distiller.fit(digits.train.x, (digits.train.y, keras_teacher_logits), epochs=12, batch_size=64, verbose=0)
keras_accuracy = np.mean(keras_student.predict(digits.test.x, verbose=0).argmax(axis=1) == digits.test.y)
claim(
    "Keras's kd_loss equals PyTorch's to 1e-6 of its value; a Keras student learns from a PyTorch teacher: above 88 % of the test digits",
    abs(in_keras - ours) < 1e-6 * max(1.0, abs(ours)) and keras_accuracy > 0.88,
    measured=f"{in_keras:.7f} and {ours:.7f}; student {keras_accuracy:.1%}",
)

# %% exercise: train-step

# %% exercise: swapped-arguments

# %% [markdown]
# ## 11. The systems of the tutorials, made to work
#
# Three listings, three commands. Each trains the teacher, the student, and **the same student on the labels alone**, on your data or on a demonstration, and reports accuracy with intervals, size and speed of all three; then `tl-course predict MODEL`.
#
# | listing | command |
# |:--|:--|
# | Keras: VGG16 to a small CNN | `tl-course run keras-distill --data FOLDER` |
# | PyTorch: teacher and student on images | `tl-course run distill --data FOLDER` |
# | BERT to a smaller BERT | `tl-course run text-distill --data FILE.csv --text COLUMN --label COLUMN` (`--backbone OWNER/NAME` for BERT) |
#
# The part of their reports that tutorials leave out is the third row. Without it nobody knows whether the teacher was worth its keep. Here on the demonstration, six photographs, cut short to four rounds:

# %% tags=["varies"]
import tempfile
from pathlib import Path

from tl_course import systems
from tl_course.systems import comparison

run = systems.run("distill", out=Path(tempfile.mkdtemp()) / "run", epochs=4, progress=False, say=lambda _: None)
print(comparison.render_text(run.compared))
system_teacher, *system_students = run.compared
claim(
    "the system reports three networks on the same test images: the teacher, and twice a student with less than a tenth of its parameters",
    len(system_students) == 2
    and all(10 * row.num_parameters < system_teacher.num_parameters for row in system_students),
    measured="; ".join(f"{row.name}: {row.accuracy:.1%}, {row.num_parameters:,} parameters" for row in run.compared),
)

# %% [markdown]
# ### What the usual listings get wrong
#
# | fault | what happens | here |
# |:--|:--|:--|
# | the teacher is never called, or the loss never gets `teacher_output` | a TypeError, or a student trained on labels alone | section 7, `distill` |
# | `CE(y, teacher_output)` as the soft term | no gradient to the student: it does not occur in it | exercise `swapped-arguments` |
# | `CE(y_pred, y_true)` in Keras | Keras takes the truth first: another loss, silently | exercise `swapped-arguments` |
# | a teacher of 1,000 ImageNet classes, a student of 10 | shapes fail; cut to ten columns, it is nonsense | exercise `class-mismatch` |
# | softmax outputs called "logits" | nearly flat targets at any T | exercise `probability-targets` |
# | `KLDivLoss()(student_logits, teacher_logits)` | NaN is printed; it trains all the same, badly | exercise `raw-logits` |
# | no temperature, or T without T² | the soft classes do not count, or the teacher is switched off as T grows | exercise `missing-temperature` |
# | `reduction="mean"` | the soft term is divided by the number of classes | exercise `mean-reduction` |
# | the teacher in training mode, with gradient | noisy targets, statistics that move, memory for nothing, even a teacher that learns | exercise `teacher-gradient` |
# | the teacher distils into itself (the same object, or an untouched copy) | KL is 0, nothing is learnt | exercise `same-model` |
# | a "small" student with 38.5 million parameters, most in one Dense after Flatten | large on disk; count before you claim | section 7 counts |
# | no student on labels alone, no spread | a gain that may be luck, or may not exist | sections 5, 6, 9 |
#
# ### Folklore, corrected
#
# | said | in fact |
# |:--|:--|
# | distillation is transfer learning of the same network | it transfers outputs into *another* network, which may start from random weights; weights need not be shared |
# | it needs a pretrained teacher | it needs a teacher that knows more than the labels say; a network trained from scratch on all labels does (section 5) |
# | it always beats the labels alone | not with a teacher that has no more than the same labels (section 5) |
# | it needs labels | the soft term does not: unlabelled inputs do as well (sections 5, 7 and 9) |
# | the student cannot be better than its teacher | it can: section 7's students see views and crops the teacher's head never trained on |
# | the larger the teacher, the better the student | what it *knows* counts; see section 6 |
# | a label-smoothed teacher ruins distillation | disputed; measure it against the spread (section 6) |
# | distillation is label smoothing | smoothing gives every wrong class the same; soft targets differ by input |
#
# ## Where this goes wrong in practice
#
# - **No baseline.** Train the student on the labels alone, with the same steps and augmentation. Otherwise a longer schedule gets the credit.
# - **Teacher and student see different views.** Answers for one crop, pixels of another: consistent by row number, wrong by content.
# - **The teacher's training images only.** It is nearly certain there, so its soft targets are nearly labels. Unlabelled data, or held-out data, say more.
# - **Preprocessing.** Each network needs its own normalisation, size and tokenizer, from the same raw input.
# - **Inherited faults.** The student takes over bias and shortcuts of the teacher, and its calibration. Test the student by groups, as lesson 08 does.
# - **Rights.** Some models' licences and terms of service forbid training others on their outputs. Read them first.
#
# ## Interview corner
#
# <details><summary>Why is the soft term multiplied by T²?</summary>
#
# Its gradient is (q − p) / T, and q − p shrinks by another 1 / T. Without T² the balance between soft and hard term changes with T. It is no matter of taste: with alpha = 0.5 and T = 20 the teacher would have a four-hundredth of its say.
# </details>
#
# <details><summary>What does T → ∞ do?</summary>
#
# It matches logits: the gradient of T² KL goes to (z − v) / K with both rows brought to mean zero. T → 0 leaves the teacher's first choice, a hard label.
# </details>
#
# <details><summary>The distillation loss prints NaN, yet accuracy rises. What happened?</summary>
#
# Raw logits in `KLDivLoss`: the log of a negative target is NaN, but the gradient with respect to the first argument is just minus the target. Pass `log_softmax` of the student and `softmax` of the teacher, `batchmean`.
# </details>
#
# <details><summary>Forward or reverse KL?</summary>
#
# Usually KL(teacher ‖ student): the student must cover what the teacher finds possible. The reverse lets a small student choose one mode; it is used for generating text with small students.
# </details>
#
# <details><summary>Is a stronger teacher always better?</summary>
#
# No. What matters is what it knows beyond the student's labels and whether the student can represent it. Far too large a gap can hurt (Cho & Hariharan, 2019); an earlier checkpoint or an assistant of middle size may help (Mirzadeh et al., 2020). Measure.
# </details>
#
# <details><summary>Can one distil without labels? Without the training data?</summary>
#
# Without labels, yes: the soft term needs inputs only, and they may come from elsewhere as long as they look like the task's. Without any inputs one has to make them, which is another field.
# </details>
#
# <details><summary>Distillation or label smoothing?</summary>
#
# Smoothing is one constant prior for every image. Soft targets depend on the image; that is their content.
# </details>
#
# <details><summary>What is the difference between no_grad and eval for the teacher?</summary>
#
# They are independent. `eval()` sets dropout and BatchNorm, `no_grad` builds no graph. A teacher needs both. The best is not to run it in the loop at all.
# </details>
#
# <details><summary>What are a teacher's cached answers keyed by?</summary>
#
# The content it saw, and its own weights. A row number is right until somebody shuffles, filters or augments.
# </details>
#
# ## Summary
#
# - Forward KL of softened probabilities, sum over classes, mean over examples, times T², alpha beside the labels.
# - Soft targets carry how classes look alike: enough to recognise a digit never seen.
# - It wins when the teacher knows more than the student's labels, and unlabelled inputs will do; with the same labels and no more, it does not.
# - The teacher: eval, no gradient, asked once, keyed by content, same pixels as the student.
# - Half of MiniLM's layers keep nearly all of its accuracy at about twice the speed.
# - Always beside it: the same student on labels alone, several seeds.
#
# ## Sources
#
# - Bucilă, Caruana & Niculescu-Mizil, *Model compression*, KDD 2006. Hinton, Vinyals & Dean, *Distilling the knowledge in a neural network*, 2015.
# - Romero et al., *FitNets*, ICLR 2015. Zagoruyko & Komodakis, *Paying more attention to attention*, ICLR 2017.
# - Furlanello et al., *Born-again neural networks*, ICML 2018. Cho & Hariharan, *On the efficacy of knowledge distillation*, ICCV 2019. Mirzadeh et al., *Improved knowledge distillation via teacher assistant*, AAAI 2020.
# - Müller, Kornblith & Hinton, *When does label smoothing help?*, NeurIPS 2019. Shen et al., *Is label smoothing truly incompatible with knowledge distillation?*, ICLR 2021.
# - Stanton et al., *Does knowledge distillation really work?*, NeurIPS 2021. Beyer et al., *Knowledge distillation: a good teacher is patient and consistent*, CVPR 2022.
# - Sanh et al., *DistilBERT*, 2019. Wang et al., *MiniLM*, NeurIPS 2020. Jiao et al., *TinyBERT*, EMNLP 2020.
# - Hutto & Gilbert, *VADER*, ICWSM 2014: texts and ratings. Sandler et al., *MobileNetV2*, CVPR 2018.
