# ---
# title: "09 Choosing a model"
# minutes: 140
# know_first: "lessons 03 and 04; what a covariance and a likelihood are; NumPy and one of PyTorch and Keras"
# after: ["04"]
# aims: "narrow a hub of thousands of models down to a few by facts, rank these on your own data in seconds, know how far such a ranking can be trusted, read a model card, and notice when no pretrained model is the right one"
# ---

# %% [markdown]
# ## The idea
#
# A hub offers thousands of pretrained models (预训练模型). Fine-tuning all of them on your task would settle the question, and costs what you wanted to save. So one chooses in two steps:
#
# 1. **Rule out by facts** (硬性条件): task, input, licence, memory, latency, language, what it was trained on. No experiment needed; most candidates go here.
# 2. **Rank what is left** on a few hundred of *your* labelled examples by a **transferability score** (可迁移性度量): one forward pass, no training of the network.
#
# | score | asks | needs | range |
# |:--|:--|:--|:--|
# | k-NN (最近邻) | are neighbours of one class? | features, labels | accuracy |
# | linear probe (线性探测) | can a hyperplane separate them? | features, labels | accuracy |
# | LogME (对数最大证据) | how probable are the labels under a linear model, averaged over its weights? | features, labels | log density |
# | H-score | how much of the features' variance lies between classes? | features, labels | 0 to $K-1$ |
# | LEEP | what do the source classes say about the target classes? | the *source head*, labels | at most 0 |
# | CKA (中心核对齐) | do two models see the same thing? | features of both, no labels | 0 to 1 |
#
# Each is a guess at the fine-tuned result. This lesson computes them, then asks the question that is usually left out: **how often are they right?**

# %%
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from tl_course import (
    check,
    claim,
    data,
    diagrams,
    evidence,
    plots,
    probes,
    selection_plots,
    selection_scores,
    start,
    zoo,
)
from tl_course.selection import rank_models, score_features
from tl_course.selection_scores import RankAgreement, rank_agreement

start("09_choosing_a_model")
diagrams.flow(
    [
        ("hub", "thousands", "plain"),
        ("facts", "licence, size …", "plain"),
        ("candidates", "3 to 12", "frozen"),
        ("scores", "one forward pass", "data"),
        ("finalists", "2 or 3", "trained"),
    ],
    "Facts first, scores second, training last",
    ["", "rule out", "rank", "train"],
)

# %% [markdown]
# ## 1. Rule out by facts
#
# Go down this table in order. A "no" ends a candidate's run, however good its accuracy.
#
# | question | where the answer stands | take, or leave |
# |:--|:--|:--|
# | **Task and input** (任务): does it take what I have: greyscale, 8-channel, Chinese, 4,000 tokens? | preprocessing and tokenizer of the card | leave what sees your input only after losing what matters in it (lesson 03) |
# | **Licence** (许可证): may *I* use *these weights* for *this*? | the card, the licence file, the licence of the data and of the base model | leave "non-commercial", "research only" or none stated, where you sell; look at each layer, see below |
# | **Memory** (显存): parameters × 4 bytes to run in float32; about × 16 to train with AdamW, and activations on top | parameter count | leave what does not fit with its activations; or take a probe or LoRA (lesson 05) |
# | **Latency** (延迟): at *your* batch size, on *your* machine | measure; parameters and FLOPs mislead | leave what misses the limit at the 95th percentile, not on average |
# | **Pretraining data** (预训练数据): does it hold my domain, my language, my *test set*? | data sheet, date of collection | leave what has read your test set; prefer what has seen your kind of input |
# | **Relatedness** (相关性): does the source task need what mine needs? | lesson 01; the ranking below | fine detail, counting, orientation are thrown away by a source that did not need them |
# | **Labels** (标注): 20, 500, 50,000? | your own count | few: features that are good as they are; many: the start matters less, and from scratch becomes a rival |
# | **Upkeep** (维护): a pinned version, safetensors, someone who answers? | repository | leave files that have to be unpickled to be read |
#
# Nothing in it asks for the best accuracy on somebody else's benchmark. Here are the facts of what the course carries:

# %%
from tl_course.assets import ASSETS
from tl_course.zoo.images_torch import TorchImageModel

for name, source in (
    ("mobilenet_v2", "ImageNet, photographs"),
    ("fashion_resnet", "Fashion-MNIST"),
    ("tiny_vit", "digits on photographs"),
    ("minilm", "a billion pairs of sentences"),
):
    model = zoo.load(name, device="cpu")
    count = sum(p.numel() for p in model.model.parameters())
    print(
        f"{name:16}{source:30}{count:12,} parameters{4 * count / 1e6:7.1f} MB to run{16 * count / 1e6:8.1f} MB to train"
    )

# %% [markdown]
# ### Reading a model card (模型卡)
#
# A **model card** (Mitchell et al., 2019) says what a model is for, what it was trained on, how it was measured, on whom it fails. Read it for five things: the *intended use* and what is ruled out; the *data*, with date and licence; the
# *evaluation*, by groups, not only overall; the *preprocessing*; the *licence*. What the licence is attached to is the usual mistake: **code, weights and data have one each.** Apache-2.0 on a repository says nothing about weights in another place; a fine-tuned model inherits its base's terms;
# a benchmark's images may be for research only. What the makers state for the course's own:

# %%
for name in ("mobilenet_v2", "minilm", "fashion_mnist", "mnist"):
    print(f"{name:16}{ASSETS[name].licence}")

# %% [markdown]
# The first line is typical of what you will meet: a licence for the package, *none for the weights apart*, and a data set (ImageNet) whose images are not its makers' to license. For a lesson that will do; for a product it is a question for somebody who answers for it. CC BY-SA asks for
# attribution and the same licence for what you pass on.

# %% exercise: choose-under-budget

# %% [markdown]
# ## 2. Rank the rest on your data
#
# A hundred labelled digits, ten per class. The candidates: Fashion-ResNet in PyTorch and in Keras, the same untrained, the tiny ViT (which was trained to find digits on photographs), MobileNetV2 (ImageNet), as a bare module because its input has to be
# made from greyscale, and the plain pixels.
#
# **Predict before you run.** Write the order down. Where do you put the pixels?


# %%
class FromGrey(nn.Module):
    """MobileNetV2's features for greyscale digits: enlarged, repeated to three channels, normalised."""

    def __init__(self, model: TorchImageModel, size: int = 64) -> None:
        super().__init__()
        self.features, self.size = model.model.features, size
        self.register_buffer("mean", torch.tensor(model.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(model.std).view(1, 3, 1, 1))

    def forward(self, x):
        x = nn.functional.interpolate(x, size=(self.size, self.size), mode="bilinear")  # (N, 1, 64, 64)
        return self.features((x.expand(-1, 3, -1, -1) - self.mean) / self.std)  # (N, 1280, 2, 2), pooled by rank_models


def pixels(images):
    """No model: the image as a vector."""
    return images.reshape(len(images), -1)


mnist = data.load("mnist")
few_mnist = replace(mnist, train=mnist.train.take(data.few_shot(mnist.train.y, per_class=10, seed=0)))
torch.manual_seed(0)
candidates = {
    "MobileNetV2": FromGrey(zoo.load("mobilenet_v2", device="cpu")),
    "tiny ViT": zoo.load("tiny_vit", device="cpu"),
    "Fashion-ResNet": zoo.load("fashion_resnet", device="cpu"),
    "Fashion-ResNet (Keras)": zoo.load("fashion_resnet", "keras"),
    "Fashion-ResNet, untrained": zoo.load("fashion_resnet", weights=None, device="cpu"),
    "pixels": pixels,
}
ranking = rank_models(candidates, few_mnist)
selection_plots.ranking(ranking, "100 handwritten digits: six candidates")

# %% tags=["varies"]
print(ranking.render_text())

# %%
row = {candidate.name: candidate for candidate in ranking.candidates}
probe = {name: candidate.scores.linear_probe for name, candidate in row.items()}
claim(
    "the ViT that has seen digits is first, and ahead of the plain pixels by less than 20 points; the pixels are at least 10 points ahead of Fashion-ResNet, pretrained as it is; the two frameworks give one row",
    ranking.names[0] == "tiny ViT"
    and probe["tiny ViT"] - probe["pixels"] < 0.2
    and probe["pixels"] - probe["Fashion-ResNet"] > 0.1
    and abs(row["Fashion-ResNet"].scores.logme - row["Fashion-ResNet (Keras)"].scores.logme) < 1e-3,
    measured=", ".join(f"{name} {value:.0%}" for name, value in probe.items()),
)

# %% [markdown]
# Two lessons before any theory. **A baseline belongs in the ranking**: on centred digits, pixels beat a pretrained network that does not fit. And **related beats large**: the smallest network of all, of the right kind, is ahead of one eleven times its size that has seen ImageNet.
#
# Now compare the columns. Do they agree? H-score puts the ViT, the best by every other score, in the middle. To judge who is right, one has to know what each column computes.
#
# ## 3. LogME: evidence instead of fit (证据)
#
# The probe answers with a cross-validated accuracy. It costs several fits, and in a hundred examples one example is a whole point. LogME asks a Bayesian's question instead: let the column $y \in \{0,1\}^N$ of "is it class $k$?" be linear in the features $F$, with a Gaussian prior on the weights, and integrate the weights out:
#
# $$p(y \mid F, \alpha, \beta) = \int \mathcal{N}\!\left(y;\, F w,\, \beta^{-1} I\right) \mathcal{N}\!\left(w;\, 0,\, \alpha^{-1} I\right) dw,$$
# $$\mathrm{LogME} = \frac{1}{NK} \sum_{k} \max_{\alpha, \beta}\, \log p(y_k \mid F, \alpha, \beta).$$
#
# The best *single* $w$ would reward every extra column. The *average* over $w$ punishes it: with more directions, a random $w$ rarely happens to fit. Two precisions are found by a fixed-point iteration (You et al., 2021; MacKay, 1992), from one SVD.
#
# **Predict before you run.** 60 examples, labels that have nothing to do with the features. Widths from 5 to 500. What does a least-squares fit say, what does LogME say?

# %%
rng = np.random.default_rng(0)
random_labels = np.arange(60) % 3
one_hot = np.eye(3)[random_labels]
print(f"{'width':>6}{'variance explained':>20}{'LogME':>9}")
fits, evidences = [], []
for width in (5, 20, 60, 500):
    noise = rng.normal(size=(60, width))
    residual = one_hot - noise @ np.linalg.lstsq(noise, one_hot, rcond=None)[0]
    fits.append(1 - (residual**2).sum() / (one_hot**2).sum())
    evidences.append(selection_scores.logme(noise, random_labels))
    print(f"{width:6}{fits[-1]:20.0%}{evidences[-1]:9.3f}")
informative = selection_scores.logme(one_hot + 0.5 * rng.normal(size=(60, 3)), random_labels)
claim(
    "from 60 columns on noise fits 60 random labels perfectly; LogME does not rise by more than 0.05 with width, and three informative columns are at least 0.3 above all of them",
    min(fits[2:]) > 0.999 and max(evidences) - evidences[0] < 0.05 and informative - max(evidences) > 0.3,
    measured=f"noise {evidences[0]:.3f} to {evidences[-1]:.3f}, three informative columns {informative:.3f}",
)

# %% exercise: logme

# %% [markdown]
# ## 4. H-score: variance between classes (类间方差)
#
# $$H = \mathrm{tr}\!\left(\mathrm{cov}(f)^{-1}\, \mathrm{cov}(\mathbb{E}[f \mid y])\right), \qquad 0 \le H \le K - 1.$$
#
# Bao et al. (2019). It is the classical discriminant criterion (Fisher, 1936) in another dress, and it has the classical illness: the inverse. With as many columns as examples, *some* direction separates *any* labels, and the inverse finds it. Ibrahim et al. (2022) repair it with a shrunk covariance (收缩协方差; Ledoit & Wolf, 2004),
# $(1-s)\,\mathrm{cov}(f) + s\,\bar\sigma^2 I$, the strength $s$ estimated from the features.
#
# **Predict before you run.** The features of MobileNetV2, 1,280 columns, on our 100 digits, with the right labels and with the labels *shuffled*. What does each form say?

# %%
from tl_course.pytorch.features import extract_features

wide = extract_features(candidates["MobileNetV2"], few_mnist.train.x)
shuffled = np.random.default_rng(0).permutation(few_mnist.train.y)
h_scores = {
    (form, name): selection_scores.h_score(wide, labels, shrinkage=shrinkage)
    for form, shrinkage in (("plain", 0.0), ("shrunk", None))
    for name, labels in (("right labels", few_mnist.train.y), ("shuffled", shuffled))
}
claim(
    "without shrinkage the H-score of 1,280 columns on 100 examples is at its limit, 9, with right and with shuffled labels alike; shrunk, the two come apart, but by less than 1",
    abs(h_scores["plain", "right labels"] - 9) < 1e-6
    and abs(h_scores["plain", "shuffled"] - 9) < 1e-6
    and 0.2 < h_scores["shrunk", "right labels"] - h_scores["shrunk", "shuffled"] < 1,
    measured=", ".join(f"{form}, {name} {value:.2f}" for (form, name), value in h_scores.items()),
)

# %% [markdown]
# The repair is partial: with 1,280 columns on 100 examples even the shrunk score of *shuffled* labels is near the limit, and what separates right from wrong is small beside what separates narrow from wide. So H-scores of models of different widths, on few examples, are hardly comparable: that is why its column disagreed above. It is at its best between models of one family, or with many more examples than columns.

# %% exercise: h-score

# %% [markdown]
# ## 5. LEEP: ask the old head (源任务分类头)
#
# A network that still has its source head answers every target image with probabilities $\theta_z$ over *source* classes. Count how source and target classes go together, and predict through that table (Nguyen et al., 2020):
#
# $$\hat p(y, z) = \frac1N \sum_{i:\, y_i = y} \theta_z(x_i), \qquad \mathrm{LEEP} = \frac1N \sum_i \log \sum_z \hat p(y_i \mid z)\, \theta_z(x_i) \;\le\; 0.$$
#
# **Predict before you run.** What do a T-shirt, a bag, a sandal have to do with digits? Which digits does Fashion-ResNet take for trousers?

# %%
from tl_course.selection_models import source_head

theta = source_head(candidates["Fashion-ResNet"])(few_mnist.train.x)  # (100, 10)
joint = np.stack([theta[few_mnist.train.y == digit].mean(axis=0) for digit in range(10)])
clothes = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
plots.matrix(
    joint,
    [str(digit) for digit in range(10)],
    clothes,
    "Digits, as the clothes that Fashion-ResNet takes them for",
    "source class: mean probability",
    "target class",
)

# %%
entropy = np.log(10)
told = {
    name: selection_scores.leep(source_head(candidates[name])(few_mnist.train.x), few_mnist.train.y)
    for name in ("tiny ViT", "Fashion-ResNet", "Fashion-ResNet, untrained")
}
claim(
    "an untrained network's LEEP is the labels' entropy, negative, to 0.01: it tells nothing; Fashion-ResNet's is higher by 0.1 to 0.6; the ViT, whose source classes are the digits, is at least 0.8 above Fashion-ResNet",
    abs(told["Fashion-ResNet, untrained"] + entropy) < 0.01
    and 0.1 < told["Fashion-ResNet"] + entropy < 0.6
    and told["tiny ViT"] - told["Fashion-ResNet"] > 0.8,
    measured=", ".join(f"{name} {value:.3f}" for name, value in told.items()) + f"; minus the entropy {-entropy:.3f}",
)

# %% [markdown]
# Its price: no head, no LEEP. Encoders, self-supervised backbones, and weights shipped without a classifier (as MobileNetV2's here) have none. And it asks what the *classes* share, where fine-tuning could use features that the head has thrown away.

# %% exercise: leep

# %% [markdown]
# ## 6. CKA: do two candidates see the same? (表征相似度)
#
# $$\mathrm{CKA}(X, Y) = \frac{\lVert Y^\top X \rVert_F^2}{\lVert X^\top X \rVert_F\, \lVert Y^\top Y \rVert_F}, \qquad \text{columns centred}.$$
#
# Kornblith et al. (2019). It says nothing about quality, and that is its use: two finalists with CKA near 1 are *one* finalist; take the cheaper, and try something different as the second.

# %%
plots.matrix(
    ranking.cka,
    ranking.names,
    [
        name.replace("Fashion-ResNet", "F-R").replace("MobileNetV2", "MNv2").replace("untrained", "raw")
        for name in ranking.names
    ],
    "Linear CKA on 100 digits",
    "candidate",
    "candidate",
    limits=(0, 1),
)

# %%
place = {name: i for i, name in enumerate(ranking.names)}
twins = ranking.cka[place["Fashion-ResNet"], place["Fashion-ResNet (Keras)"]]
few_rows, wide_columns = np.random.default_rng(0).normal(size=(2, 20, 1000))
claim(
    "the same weights in two frameworks have a CKA of 1 to 1e-5; two unrelated sets of 1,000 random columns on 20 examples already have one above 0.9",
    abs(twins - 1) < 1e-5 and selection_scores.linear_cka(few_rows, wide_columns) > 0.9,
    measured=f"twins {twins:.6f}, unrelated noise {selection_scores.linear_cka(few_rows, wide_columns):.2f}",
)

# %% [markdown]
# The second number is a warning: with more columns than examples linear CKA is too high. Compare on at least as many examples as columns, or compare with noise of the same shape.

# %% exercise: linear-cka

# %% [markdown]
# ## 7. How often are the scores right? (排序相关)
#
# A score is worth what its ranking is worth: **Kendall's tau** (肯德尔相关系数; Kendall, 1938) counts, over all pairs of models, how many are in the same order by score and by result, minus those that are not, as a share. 1: the same order. 0: no information. Scores of different targets cannot be compared, so pairs are formed
# within a target. An interval comes from drawing the *models* anew, since the question is what other candidates would have shown.
#
# Eleven networks: MobileNetV2 whole and cut after 7 and 14 of its 19 stages, Fashion-ResNet whole and cut, the tiny ViT, a small CNN pretrained on 8x8 digits or on photographs, and untrained ones. Three targets, 100 labels each, five draws; every pair is scored, then fine-tuned on the same 100 images, and
# the result is measured on images that no score has seen. Where the target is a network's own source, the pair is left out. `python benchmarks/evidence/choosing_models.py` makes it again.
#
# **Predict before you run.** Which score has the highest tau? How high? Where is the number of parameters?

# %%
trials = evidence.load("choosing_models")
names, scored = trials["settings"]["models"], trials["settings"]["scored"]
results = {name: np.array(values).mean(axis=0) for name, values in trials["results"]["accuracy"].items()}  # (models,)
table = {name: np.array(values).mean(axis=0) for name, values in trials["results"]["scores"].items()}
agreement = {score: RankAgreement(**values) for score, values in trials["results"]["agreement"].items()}
num_pairs = sum(int(np.isfinite(values).sum()) for values in results.values())
titles = {
    "leep": "LEEP",
    "logme": "LogME",
    "knn": "k-NN",
    "linear_probe": "linear probe",
    "h_score": "H-score, shrunk",
    "h_score_unshrunk": "H-score, plain",
    "parameters": "parameters",
}
selection_plots.agreement(
    {title: agreement[score] for score, title in titles.items()},
    f"Scores against fine-tuned results, {num_pairs} pairs",
)

# %%
tau = {score: agreement[score].tau for score in titles}
claim(
    "k-NN, the probe, LogME and LEEP agree with the results: tau 0.35 to 0.75, and the interval, each taken by itself, excludes 0; the H-score without shrinkage and the number of parameters stay below 0.3, and theirs holds 0; every interval is at least 0.5 wide",
    all(0.35 < tau[s] < 0.75 and agreement[s].low > 0 for s in ("knn", "linear_probe", "logme", "leep"))
    and all(tau[s] < 0.3 and agreement[s].low < 0 < agreement[s].high for s in ("h_score_unshrunk", "parameters"))
    and all(agreement[s].high - agreement[s].low > 0.5 for s in titles),
    measured="; ".join(
        f"{title} {agreement[s].tau:.2f} ({agreement[s].low:.2f} to {agreement[s].high:.2f})"
        for s, title in titles.items()
    ),
)

# %%
selection_plots.score_against_result(
    {name: values[:, scored.index("logme")] for name, values in table.items()},
    results,
    "One dot a network",
    "LogME",
    "test accuracy, fine-tuned",
)

# %% [markdown]
# Read the *widths* of the intervals before the dots. Taken one by one, four scores are better than chance: their 95 % intervals exclude 0. Three of them only just (from 0.03, 0.06 and 0.07), and the intervals are not corrected for our looking at seven scores; LogME (from 0.17) stands firmest. Which of the four is best eleven networks on three targets cannot show: papers that name a winner compare as few models, on targets of their choice (Agostinelli et al., 2022). Of those computed for every network LogME is in front, as its authors found, by less
# than a third of an interval. The panels show why it is not higher: on the right, where no network's frozen features tell cluttered digits apart well, the score hardly varies, and yet fine-tuning takes some networks to more than half.
#
# LEEP is computed for fewer networks (those with a head), among which the untrained ones are easy to tell: its tau is not to be compared with the others' one to one. On the same networks:

# %%
with_head = {name: np.isfinite(values[:, scored.index("leep")]) for name, values in table.items()}
same = {
    score: rank_agreement(
        {name: np.where(with_head[name], values[:, scored.index(score)], np.nan) for name, values in table.items()},
        results,
        num_draws=500,
    )
    for score in ("leep", "logme", "linear_probe")
}
claim(
    "on the networks that have a head, each of the three lies inside the other two's intervals: no difference to be seen",
    all(one.low <= other.tau <= one.high for one in same.values() for other in same.values()),
    measured="; ".join(
        f"{titles[s]} {found.tau:.2f} ({found.low:.2f} to {found.high:.2f})" for s, found in same.items()
    ),
)

# %% exercise: rank-correlation

# %% [markdown]
# ### One point made again
#
# Fashion-ResNet on the first draw of digits: the library's scores today against the committed ones.

# %%
again = score_features(
    candidates["Fashion-ResNet"].features(few_mnist.train.x), few_mnist.train.y, source_probabilities=theta
)
committed = dict(zip(scored, trials["results"]["scores"]["mnist"][0][names.index("Fashion-ResNet")], strict=True))
claim(
    "Fashion-ResNet, first draw of digits: LogME, LEEP and the probe are what was committed, to 0.01, 0.01 and 3 points",
    abs(again.logme - committed["logme"]) < 0.01
    and abs(again.leep - committed["leep"]) < 0.01
    and abs(again.linear_probe - committed["linear_probe"]) < 0.03,
    measured=f"now {again.logme:.3f}, {again.leep:.3f}, {again.linear_probe:.1%}; "
    f"committed {committed['logme']:.3f}, {committed['leep']:.3f}, {committed['linear_probe']:.1%}",
)

# %% [markdown]
# ### What it costs
#
# Scoring needs one forward pass over 100 images; trying all needs a training run for every candidate, and several where the rate has to be found. Processor time of the run above:

# %% tags=["varies"]
for target, spent in trials["settings"]["processor_seconds"].items():
    print(
        f"{target:20} scoring all, five draws: {spent['scores']:6.0f} s    fine-tuning all, five draws: {spent['fine-tuning']:6.0f} s"
    )

# %% [markdown]
# The forty steps on a hundred images here are about the shortest fine-tuning there is. With 10,000 images and ten epochs the right column grows a hundredfold and more; the left one needs no more than the few hundred images that the ranking is made on.
#
# ## 8. When a score picks the wrong model
#
# **Predict before you run.** For each target: what does fine-tuning the *score's* first choice lose against fine-tuning the best? How often is the best among the score's first three?

# %%
print(f"{'target':18}{'score':16}{'its choice':26}{'result':>8}   {'the best':26}{'result':>8}")
regret, in_three = {}, {}
for target, result in results.items():
    best = int(np.nanargmax(result))
    for score in ("linear_probe", "logme", "h_score"):
        values = np.where(np.isfinite(result), table[target][:, scored.index(score)], -np.inf)
        chosen = int(np.argmax(values))
        regret[target, score] = result[best] - result[chosen]
        in_three[target, score] = best in np.argsort(-values)[:3]
        print(
            f"{target:18}{titles[score]:16}{names[chosen]:26}{result[chosen]:8.1%}   {names[best]:26}{result[best]:8.1%}"
        )

# %%
by_probe = np.argsort(-table["mnist"][:, scored.index("linear_probe")])
fashion = names.index("Fashion-ResNet")
probe_place, tuned_place = list(by_probe).index(fashion) + 1, list(np.argsort(-results["mnist"])).index(fashion) + 1
claim(
    "fine-tuning LogME's first choice costs less than 4 points against the best, on every target; the probe's choice costs 10 and more on cluttered digits, the shrunk H-score's on two targets; on digits Fashion-ResNet is ninth of eleven by the probe, and second when fine-tuned",
    all(regret[target, "logme"] < 0.04 for target in results)
    and regret["cluttered_digits", "linear_probe"] > 0.1
    and sum(regret[target, "h_score"] > 0.1 for target in results) == 2
    and (probe_place, tuned_place) == (9, 2),
    measured="; ".join(f"{titles[s]} on {t} loses {value:.1%}" for (t, s), value in regret.items())
    + f"; the best is among the first three in {sum(in_three.values())} of {len(in_three)} cases",
)

# %% [markdown]
# **Why does the probe misjudge Fashion-ResNet?** It asks what can be read off *now*, by a hyperplane. Clothes taught that network edges and strokes at the right scale, and a last stage that turns nearly all digits into sandals: you saw it in section 5. Forty steps repair that last stage. The same kind of thing the other way round: the shrunk H-score falls for
# MobileNetV2's 1,280 columns, on all three targets.
#
# And on cluttered digits the probe is poor for *every* network: 14 to 29 %, where guessing gives 10. A ranking of features that all fail is largely noise. So: **look at the level before you look at the order.** Where the best probe is poor, carry more finalists into fine-tuning.
#
# One more thing the table holds. The last layer need not be the best place to stop:

# %%
whole, cut = names.index("MobileNetV2"), names.index("MobileNetV2, 14 stages")
gain = {target: result[cut] - result[whole] for target, result in results.items()}
claim(
    "fine-tuned, MobileNetV2 cut after 14 of 19 stages, a quarter of the parameters, is ahead of the whole by 10 points and more on both kinds of digits, and not behind on photographs",
    gain["mnist"] > 0.1 and gain["cluttered_digits"] > 0.1 and gain["photos"] > 0,
    measured=", ".join(f"{target} {value:+.1%}" for target, value in gain.items())
    + "; images of 32 pixels, 100 labels",
)

# %% [markdown]
# At 32 pixels the last stages see a map of a single position, so this is no verdict at 224; it is one on small images, which are common. Cut versions cost nothing to add to a ranking.
#
# ### Texts: choosing between near relatives
#
# Seven forms of MiniLM: cut after 1, 2, 4 or 6 layers, pooled by the mean or by `[CLS]`, the last two layers drawn anew, or all. Two domains, 48 labelled texts each, five draws. `python benchmarks/evidence/choosing_text_models.py` makes it again.
#
# **Predict before you run.** The candidates are much more alike than the image networks. Will the scores do better, or worse?

# %%
forms = evidence.load("choosing_text_models")
form_names = forms["settings"]["models"]
form_results = {name: np.array(values).mean(axis=0) for name, values in forms["results"]["accuracy"].items()}
form_probe = {
    name: np.array(values).mean(axis=0)[:, scored.index("linear_probe")]
    for name, values in forms["results"]["scores"].items()
}
form_agreement = {score: RankAgreement(**values) for score, values in forms["results"]["agreement"].items()}
selection_plots.score_against_result(
    form_probe, form_results, "Seven forms of MiniLM", "linear probe", "balanced test accuracy, fine-tuned"
)

# %%
form_regret = {name: result.max() - result[np.argmax(form_probe[name])] for name, result in form_results.items()}
claim(
    "between these relatives no score can be told from chance: every interval holds 0, and the four feature scores are below 0.3; yet the probe's first choice costs less than 5 points against the best",
    all(found.low < 0 < found.high for found in form_agreement.values())
    and all(form_agreement[s].tau < 0.3 for s in ("knn", "linear_probe", "logme", "h_score"))
    and max(form_regret.values()) < 0.05,
    measured="; ".join(
        f"{titles[s]} {found.tau:.2f} ({found.low:.2f} to {found.high:.2f})" for s, found in form_agreement.items()
    )
    + "; the probe's choice loses "
    + ", ".join(f"{value:.1%} on {name}" for name, value in form_regret.items()),
)

# %% [markdown]
# Most forms end within a few points of each other, about as far as draws of the labels differ: **a ranking cannot be right about differences that are not there**, and need not be. That is the common case at the end of a choice, when the unfit are gone: take the cheapest. Frozen, four layers look better than six on tweets; fine-tuned, six are level with them.
# And look at *parameters*: useless on images, in front on these two domains. That is how a lucky tau looks; its interval says so.
#
# ## 9. The ranking is a choice too: which data may it see? (数据泄漏)
#
# Whoever ranks candidates on the *test* split has trained on it, by choosing. Forty candidates that are all equally good, by construction: random halves of the same pixels.
#
# **Predict before you run.** The best of forty on 60 test images: how much better does it look there than on 1,440 others?

# %%
rng = np.random.default_rng(0)
labelled, judges = few_mnist.train, mnist.test.take(rng.permutation(len(mnist.test)))
seen_accuracy, fresh_accuracy = np.zeros(40), np.zeros(40)
for i in range(40):
    columns = rng.choice(784, 392, replace=False)
    both = pixels(labelled.x)[:, columns], labelled.y, pixels(judges.x)[:, columns], judges.y
    right = probes.knn_probe(*both).predictions == judges.y
    seen_accuracy[i], fresh_accuracy[i] = right[:60].mean(), right[60:].mean()
chosen = int(np.argmax(seen_accuracy))
flattery = (seen_accuracy[chosen] - seen_accuracy.mean()) - (fresh_accuracy[chosen] - fresh_accuracy.mean())
claim(
    "the chosen one's lead over the mean of the forty shrinks by at least 3 points on images that did not choose it",
    flattery > 0.03,
    measured=f"lead {seen_accuracy[chosen] - seen_accuracy.mean():+.1%} on the 60 it was chosen on, "
    f"{fresh_accuracy[chosen] - fresh_accuracy.mean():+.1%} on 1,440 others",
)

# %% [markdown]
# So `rank_models` looks at `train` alone, by cross-validation. The same holds for hubs: a leaderboard on which everybody has chosen for years is a test split that has been looked at a thousand times. And a model whose *pretraining* has read your test set needs no choosing to look good.

# %% exercise: leaky-ranking

# %% [markdown]
# ## 10. When to train from scratch (从头训练)
#
# Four cases, and each can be checked before you decide:
#
# | case | check |
# |:--|:--|
# | the ranking puts an untrained network, or the raw input, beside the pretrained ones | put both *into* the ranking, as above |
# | plenty of labels: on their own data, He et al. (2019) reach ImageNet pretraining's result on COCO from scratch, given long enough training | a learning curve with and without (lesson 01) |
# | input of another kind: spectra, 12-lead ECG, hexagonal grids, tables | what would the first layer even receive? |
# | size or licence forbid every candidate | distil a candidate's answers into a small network of your own (lesson 06), if its licence allows that |
#
# "From scratch" is seldom the right word for *few* labels: then a probe on poor features, or classical features, is the rival.
#
# ## Folklore, corrected
#
# | one hears | what is known |
# |:--|:--|
# | the best ImageNet accuracy transfers best | Kornblith, Shlens & Le (2019): a strong correlation over sixteen networks and twelve sets *of photographs*; for frozen features it breaks with how the network was regularised. Fang et al. (2023): on real-world sets that were not made like ImageNet, better ImageNet accuracy often brings nothing |
# | bigger is better | section 7: the number of parameters says nothing about the order that its interval could tell from 0 |
# | the last layer has the best features | section 8: cut after 14 of 19 stages, MobileNetV2 is ahead of the whole at this image size; the last layers are the most tied to the source (Yosinski et al., 2014) |
# | pretrained beats untrained features, always | section 2: pixels beat a pretrained network that does not fit; lesson 01 |
# | a new score replaces trying | Agostinelli et al. (2022): which score wins depends on sources, targets and the measure of agreement; no score wins throughout |
# | download counts show quality | they show age, defaults in tutorials, and scripts that fetch again on every run |
#
# ## A procedure
#
# 1. Write the facts down: task, licence, memory, latency, languages, date. Rule out. Usually three to twelve remain.
# 2. Label some hundred examples; keep a test set that nothing chooses on.
# 3. `rank_models` on the training examples, with the raw input and an untrained network among the candidates.
# 4. Keep the first three by probe or LogME; drop what is another's twin by CKA and costs more.
# 5. Fine-tune these three, several seeds each, rates chosen on validation data. If their difference is within the seeds' spread, take the cheapest.
# 6. Measure the winner once on the test set, by group too, and write a card of your own.
#
# ## Where this goes wrong in practice
#
# - **Wrong preprocessing for one candidate.** It comes last, and nobody asks why (lesson 03).
# - **Plain H-score, or any unregularised fit, with more columns than examples.** Perfect for any labels.
# - **Scores compared over different examples.** LogME and LEEP depend on the labels' entropy; only columns of one table can be compared.
# - **One draw of a hundred examples.** The folds' spread in the first figure is wider than most gaps.
# - **Latency of another machine, at another batch size.**
# - **The licence of the code taken for that of the weights.**
# - **Ranking frozen features, then fine-tuning everything.** Fine-tuning repairs features; the more labels, the less the frozen ranking holds.
#
# ## Interview corner
#
# <details><summary>You have 40 candidate backbones, 300 labels and one afternoon. What do you do?</summary>
#
# Rule out by licence, memory, latency, input. Rank the rest by a cross-validated probe or LogME on frozen features, raw input and an untrained network among them; fine-tune the first three with several seeds; test once.
# </details>
#
# <details><summary>Why does LogME not overfit where a linear fit does?</summary>
#
# It integrates the weights out instead of maximising over them. Extra directions spread the prior thinner, which costs log determinant; only directions that explain the labels pay for it.
# </details>
#
# <details><summary>When is LEEP impossible, and when misleading?</summary>
#
# Without a source head (encoders, self-supervised models). Misleading where the head throws away what fine-tuning would use: the classes have nothing in common, the features much.
# </details>
#
# <details><summary>Two candidates have a CKA of 0.99. What follows?</summary>
#
# They hold the same information up to rotation, as far as linear readers go. Take the cheaper. First check that there were more examples than columns.
# </details>
#
# <details><summary>A score has a tau of 0.6 over eleven models. Is that good?</summary>
#
# Four of five pairs in the right order; but with eleven models the interval is wide, and it says nothing about whether the *first* is right. Ask for the loss of its first choice, and whether the best is in its first three.
# </details>
#
# <details><summary>A model card says Apache-2.0. May you sell a product with it?</summary>
#
# It depends on what the licence is attached to: code, weights, base model and data each have their own terms. And on the data's origin. Ask somebody who answers for it.
# </details>
#
# <details><summary>Does higher ImageNet accuracy mean better transfer?</summary>
#
# On photographs like ImageNet's, mostly. Elsewhere often not; frozen features of strongly regularised networks can be worse. Measure on your data.
# </details>
#
# ## Summary
#
# - Facts rule out; scores rank; fine-tuning decides among the last three.
# - Put the raw input and an untrained network into every ranking.
# - LogME and a cross-validated probe need features only; LEEP needs a head; plain H-score needs more examples than columns.
# - A ranking is a hint with a wide interval: keep three, not one.
# - Choose on training data. The test split chooses nothing.
# - Licences: code, weights, base model, data.
#
# ## Sources
#
# - You, Liu, Wang & Long, *LogME: practical assessment of pre-trained models for transfer learning*, ICML 2021. MacKay, *Bayesian interpolation*, 1992.
# - Bao et al., *An information-theoretic approach to transferability in task transfer learning*, ICIP 2019. Ibrahim, Ponomareva & Mazumder, *Newer is not always better: rethinking transferability metrics, their peculiarities, stability and performance*, ECML PKDD 2022. Ledoit & Wolf, *A well-conditioned estimator for large-dimensional covariance matrices*, 2004. Fisher, 1936.
# - Nguyen, Hassner, Seeger & Archambeau, *LEEP: a new measure to evaluate transferability of learned representations*, ICML 2020.
# - Kornblith, Norouzi, Lee & Hinton, *Similarity of neural network representations revisited*, ICML 2019.
# - Kornblith, Shlens & Le, *Do better ImageNet models transfer better?*, CVPR 2019. Fang, Kornblith & Schmidt, *Does progress on ImageNet transfer to real-world datasets?*, NeurIPS 2023. He, Girshick & Dollár, *Rethinking ImageNet pre-training*, ICCV 2019.
# - Agostinelli, Pándy, Uijlings, Mensink & Ferrari, *How stable are transferability metrics evaluations?*, ECCV 2022. Yosinski, Clune, Bengio & Lipson, *How transferable are features in deep neural networks?*, NIPS 2014.
# - Mitchell et al., *Model cards for model reporting*, FAT* 2019. Kendall, *A new measure of rank correlation*, 1938.
