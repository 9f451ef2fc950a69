# ---
# title: "10 Small, and shipped"
# minutes: 150
# know_first: "lessons 03, 04 and 06; what a convolution, a singular value and an integer of 8 bits are"
# after: ["06"]
# aims: "make a trained model smaller in six ways, know what each of them saves and what not, measure size, time and memory so that the numbers mean something, and hand the model over in a file that runs without the framework it was trained in"
# ---

# %% [markdown]
# ## The idea
#
# A model is trained once and used a million times. **Model compression** (模型压缩) makes the use cheaper: fewer numbers, fewer bits a number, fewer operations. Here are six ways, on one network, in one table:
#
# | | what it changes | disk | time of a prediction | needs training data |
# |:--|:--|:--|:--|:--|
# | magnitude pruning (幅值剪枝) | small weights become 0 | only after compression | **nothing**, without sparse kernels | to repair the damage |
# | structured pruning (结构化剪枝) | whole channels go | smaller | faster | to repair the damage |
# | low rank (低秩分解) | $W \approx B A$ | smaller | faster, if the rank is low enough | to repair the damage |
# | BatchNorm folding (批归一化折叠) | $W, b$ do BatchNorm's work | a little | mostly faster | no |
# | int8 quantisation (量化) | 8 bits instead of 32 | a quarter | faster, if the processor has integer kernels | a few inputs, no labels |
# | distillation (知识蒸馏, lesson 06) | another, smaller network | as you choose | as you choose | much, labels or not |
#
# **What this lesson is not about.** Tutorials list pruning and quantisation as ways to save *training*. They come after it, and most of them need more of it. What saves training is another list: section 10.
#
# The network is the course's FashionResNet (308,074 parameters), fine-tuned on 1,500 handwritten digits. All times below are printed with their spread and never asserted: they are this machine's, now.

# %%
import copy
import tempfile
import warnings
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from tl_course import check, claim, data, diagrams, plots, start

start("10_small_and_shipped")
diagrams.flow(
    [
        ("trained model", "float32", "trained"),
        ("made small", "prune, factorise", "plain"),
        ("tuned again", "one epoch", "trained"),
        ("exported", ".onnx", "plain"),
        ("int8", "a quarter", "frozen"),
        ("predictions", "onnxruntime", "data"),
    ],
    "From a trained model to a shipped one",
    ["", "", "check", "ranges", ""],
)

# %% tags=["varies"]
from tl_course.pytorch.classifier import Classifier
from tl_course.pytorch.fit import fit

digits = data.load("mnist")
order = np.random.RandomState(0).permutation
digits = replace(digits, train=digits.train.take(order(len(digits.train))[:1500]))
test = digits.test.take(order(len(digits.test))[:1000])
options = {"batch_size": 32, "progress": False, "restore_best": False}
original = Classifier.build("fashion_resnet", digits.class_names, device="cpu")
fit(original, digits, num_epochs=4, lr=3e-3, backbone_lr=3e-3, **options)


def accuracy(classifier):
    """Share of the 1,000 test digits that a classifier, exported or not, gets right."""
    return float(np.mean(classifier.predict(test.x) == test.y))


print(f"{accuracy(original):.1%} of {len(test)} test digits")

# %% [markdown]
# With 1,000 test digits the standard error of an accuracy near 97 % is half a point, and 0.7 for the difference of two on *different* digits. Here all models answer the same digits, so what counts are those on which exactly one of two is right: with 20 of these the
# standard error is 0.45 points. And each row is one training run. Read nothing into differences below a point; the claims below ask for more.
#
# ## 1. Out of the framework: ONNX (模型导出)
#
# Compare models where they will run. **ONNX** is a file format for graphs of operations, and **onnxruntime** runs them with neither PyTorch nor TensorFlow. `export_onnx` records one run (`torch.export`), translates its operations, and puts what the
# graph alone does not know beside it: class names, image size, mean and standard deviation, for texts the whole tokenizer.
#
# Exporting is a translation, so it is **checked against the original**: at several batch sizes, because a batch size frozen into the graph is the usual fault.
#
# **Predict before you run.** How far are the logits apart? Which operations of the network will you not find in the graph?

# %%
from collections import Counter

import onnx

from tl_course.exported_model import load_onnx
from tl_course.pytorch.export import export_onnx

folder = Path(tempfile.mkdtemp())
export_onnx(original, folder / "original.onnx")
served = load_onnx(folder / "original.onnx", threads=1)
apart = {n: float(np.abs(served.logits(test.x[:n]) - original.logits(test.x[:n])).max()) for n in (1, 7, 32, 100)}
operations = Counter(node.op_type for node in onnx.load(folder / "original.onnx").graph.node)
print(dict(operations))
claim(
    "the exported model's logits are the original's to 1e-4 at every batch size, and the graph holds no BatchNorm any more",
    max(apart.values()) < 1e-4 and operations["BatchNormalization"] == 0,
    measured=", ".join(f"batch of {n}: {value:.0e}" for n, value in apart.items()),
)

# %% [markdown]
# ### BatchNorm folding
#
# Where did BatchNorm go? In evaluation mode it multiplies and adds fixed numbers, and the convolution in front can do both:
#
# $$w' = w \, \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}}, \qquad b' = (b - \mu) \, \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}} + \beta.$$
#
# The exporter did it unasked. In PyTorch you do it yourself; the course's `features` and `predict` do it for you on many images. Whether it is faster there depends on the network: MobileNetV2's 52 BatchNorms cost more beside their thin convolutions than nine here.

# %%
from tl_course import model_cost
from tl_course.pytorch import fold_batchnorm as folding

folded = folding.fold_batchnorm(original.model)
batch = original.preprocess(test.x[:32])
with torch.inference_mode():
    difference = float((folded(batch) - original.model(batch)).abs().max())
    print("with BatchNorm   ", model_cost.latency(lambda: original.model(batch)))
    print("folded           ", model_cost.latency(lambda: folded(batch)))
left = sum(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
claim(
    "folded, the network has no BatchNorm and gives the same logits to 1e-4",
    left == 0 and difference < 1e-4,
    measured=f"largest difference {difference:.0e}",
)

# %% exercise: fold-batchnorm

# %% [markdown]
# It is exact only in evaluation mode: in training BatchNorm uses the batch's own mean. Fold last, when nothing is trained any more, and never a BatchNorm *before* a convolution with padding (the padded zeros would have to be shifted too).
#
# ## 2. Measuring cost
#
# One timed run means nothing: the first ones allocate, and another program may take the processor at any moment. `model_cost.cost` runs three untimed rounds, then twenty, and gives the median with quartiles; at batch 1 (one user waits) and at batch 32
# (a queue of work); on one thread. Memory is what loading the file and running the larger batch add to a *fresh* process at its peak.

# %% tags=["varies"]
table = {}


def measure(name, file, tuned=""):
    """Accuracy and cost of an exported file, kept for the table at the end."""
    table[name] = (accuracy(load_onnx(file)), model_cost.cost(file, test.x), tuned)
    share, costs, _tuned = table[name]
    print(f"{name}: {share:.1%}, {costs.size / 1e6:.2f} MB, batch of 1 {costs.latency[1]}, of 32 {costs.latency[32]}")


measure("original", folder / "original.onnx")

# %% exercise: latency-median

# %% [markdown]
# ## 3. Magnitude pruning (幅值剪枝)
#
# Set the smallest weights of the whole network to zero (Han et al., 2015), and keep them there by a **mask** (掩码): the layer computes with $w \odot m$. Without the mask the next optimizer step brings them back.
#
# **Predict before you run.** How many of the weights can go before accuracy falls by more than 5 points? And after one more epoch with the masks on? How much faster is a network of 80 % zeros, how much smaller its file?

# %% tags=["varies"]
from tl_course.pytorch.pruning import magnitude_prune, make_permanent, prune_channels, sparsity

shares = (0.5, 0.8, 0.9)
pruned, after_pruning, after_tuning, zeros = {}, [], [], []
for share in shares:
    pruned[share] = copy.deepcopy(original)
    magnitude_prune(pruned[share].model, share)
    after_pruning.append(accuracy(pruned[share]))
    fit(pruned[share], digits, num_epochs=1, lr=1e-3, backbone_lr=1e-3, **options)
    after_tuning.append(accuracy(pruned[share]))
    zeros.append(sparsity(pruned[share].model))
plots.learning_curve(
    [100 * share for share in shares],
    {"pruned": np.array([after_pruning]), "and tuned for an epoch": np.array([after_tuning])},
    "Weights set to zero, one run",
    xlabel="percent of the weights that are 0",
    ylabel="test accuracy",
    chance=0.1,
)

# %%
claim(
    "half of the weights go for less than 2 points; 90 % cost at least 20, and one epoch with the masks on brings the network back to within 4 points; the zeros stay zero through it",
    accuracy(original) - after_pruning[0] < 0.02
    and accuracy(original) - after_pruning[2] > 0.2
    and accuracy(original) - after_tuning[2] < 0.04
    and np.allclose(zeros, shares, atol=1e-3),
    measured=", ".join(
        f"{share:.0%}: {a:.1%}, tuned {b:.1%}" for share, a, b in zip(shares, after_pruning, after_tuning, strict=True)
    ),
)

# %% exercise: magnitude-prune

# %% exercise: mask-forgotten

# %%
untuned = copy.deepcopy(original)
magnitude_prune(untuned.model, 0.8)
for name, classifier in (("80 % zeros, untuned", untuned), ("80 % zeros", pruned[0.8])):
    make_permanent(classifier.model)
    export_onnx(classifier, folder / f"{name}.onnx")
    measure(name, folder / f"{name}.onnx", tuned="1 epoch" if classifier is not untuned else "")
sizes = [(folder / f"{name}.onnx").stat().st_size for name in ("original", "80 % zeros")]
packed = [len(zlib.compress((folder / f"{name}.onnx").read_bytes())) for name in ("original", "80 % zeros")]
claim(
    "with 80 % zeros the file is as large as before, to 2 %; only packed (zip) it falls below half",
    abs(sizes[1] / sizes[0] - 1) < 0.02 and packed[1] < 0.5 * packed[0],
    measured=f"{sizes[0]:,} and {sizes[1]:,} bytes; packed {packed[0]:,} and {packed[1]:,}",
)

# %% [markdown]
# **Zeros are numbers.** The matrices kept their shapes, and an ordinary kernel multiplies by zero as by anything else. Unstructured pruning makes nothing faster unless the runtime has *sparse kernels* (稀疏算子), and those pay off only at very high sparsity, or in
# patterns made for them: of every four weights two zeros, on NVIDIA's GPUs since 2020. What you get here is a smaller download.
#
# ## 4. Structured pruning (结构化剪枝)
#
# Take out whole channels, and the matrices do shrink. A channel may go when exactly one other layer reads it: its filter, its BatchNorm's numbers and the reader's input weights go with it. In a residual network the channels at a block's *end* are added to
# others, so they stay; those inside a block can go.
#
# **Predict before you run.** Half of the inner channels gone: what share of the parameters? What accuracy, before and after an epoch?

# %%
narrow = copy.deepcopy(original)
narrow.backbone.model = prune_channels(original.model, 0.5)
narrow_untuned = accuracy(narrow)
fit(narrow, digits, num_epochs=1, lr=1e-3, backbone_lr=1e-3, **options)
export_onnx(narrow, folder / "half the channels.onnx")
measure("half the channels", folder / "half the channels.onnx", tuned="1 epoch")


def count(model):
    """How many parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


before, after = (net.get_submodule("stage2.conv1").weight.shape for net in (original.model, narrow.model))
claim(
    "the shapes have shrunk; a little more than half of the parameters is left; untuned it loses at least 20 points, and one epoch brings it back to within 3",
    (before[0], after[0]) == (64, 32)
    and 0.45 < count(narrow.model) / count(original.model) < 0.6
    and accuracy(original) - narrow_untuned > 0.2
    and accuracy(original) - table["half the channels"][0] < 0.03,
    measured=f"{tuple(before)} to {tuple(after)}, {count(original.model):,} to {count(narrow.model):,} parameters; "
    f"{narrow_untuned:.1%} untuned, {table['half the channels'][0]:.1%} tuned",
)

# %% [markdown]
# At the same share of removed weights, taking single weights harms less than taking channels: compare 50 % zeros above, 97.4 against 28.1 % (after an epoch both have 97.2, one run each). That is the price of a shape that hardware can use. And a fair rival is missing in many papers: the *small network trained from the start*
# (Liu et al., 2019, found it as good as the pruned one in many cases).

# %% exercise: structured-prune

# %% [markdown]
# ## 5. Low rank (低秩分解)
#
# A weight matrix $W \in \mathbb{R}^{m \times n}$ as a product $B A$ of rank $r$ takes $r (m + n)$ multiplications instead of $mn$, so it pays only below $r = mn / (m + n)$. The best $B A$ in squares is the singular value decomposition, cut off (Eckart & Young, 1936). A
# convolution is such a matrix too: $C_{out} \times (C_{in} k^2)$, which becomes a $k \times k$ convolution to $r$ channels and a 1x1 one.
#
# **Predict before you run.** Are trained weights of low rank? Keep a quarter of the singular values of each layer: what accuracy?

# %%
from tl_course.pytorch.low_rank import factorise, matrix

with torch.inference_mode():
    values = torch.linalg.svdvals(matrix(original.model.get_submodule("stage3.conv2")))
    energy = float(values[: len(values) // 4].square().sum() / values.square().sum())
thin, exact = copy.deepcopy(original), copy.deepcopy(original)
factorise(exact.model, 1.0)
full_rank_difference = float(np.abs(exact.logits(test.x[:100]) - original.logits(test.x[:100])).max())
replaced = factorise(thin.model, 0.25)
thin_untuned = accuracy(thin)
fit(thin, digits, num_epochs=1, lr=1e-3, backbone_lr=1e-3, **options)
export_onnx(thin, folder / "a quarter of the rank.onnx")
measure("a quarter of the rank", folder / "a quarter of the rank.onnx", tuned="1 epoch")
claim(
    "at full rank the product gives the original's logits; a quarter of the ranks leaves less than half of the parameters, and untuned next to no knowledge; an epoch brings it back to within 8 points",
    full_rank_difference < 1e-3
    and count(thin.model) < 0.5 * count(original.model)
    and thin_untuned < 0.5
    and accuracy(original) - table["a quarter of the rank"][0] < 0.08,
    measured=f"full rank differs by {full_rank_difference:.0e}; {count(thin.model):,} parameters in {len(replaced)} pairs; {thin_untuned:.1%} untuned, "
    f"{table['a quarter of the rank'][0]:.1%} tuned; a quarter of the singular values of stage3.conv2 hold {energy:.0%} of the squares",
)

# %% [markdown]
# A quarter of the singular values hold most of the squares, and yet what is cut off in nine layers one after the other destroys the network: of the settings tried here it is the one that an epoch repaired least. LoRA (lesson 05) says something else: that the *change* in
# fine-tuning is of low rank. The weights themselves are not, or less so.

# %% exercise: low-rank-linear

# %% [markdown]
# ## 6. int8 quantisation (量化)
#
# An integer $q \in [-128, 127]$ stands for a number, by a **scale** (缩放因子) $s$ and a **zero point** (零点) $z$ (Jacob et al., 2018):
#
# $$q = \mathrm{clip}\!\left(\mathrm{round}\!\left(\frac{x}{s}\right) + z,\ -128,\ 127\right), \qquad \hat x = s\,(q - z).$$
#
# The range must contain 0, and 0 must be exact: padding and ReLU produce it all the time. Weights are known, so their ranges are. **Activations** are not: *dynamic* quantisation measures their range while the model runs; *static* quantisation fixes it beforehand
# from **calibration** (校准) inputs. Per tensor, one scale serves a whole matrix; per channel, every output channel has its own.
#
# PyTorch's `torch.ao.quantization`, which most tutorials use, is deprecated and to be deleted; its successor is the package `torchao`. Since the file that ships is ONNX, the course quantises that, with onnxruntime's own tools: one way for both frameworks.

# %%
numbers = np.array([-0.31, -0.02, 0.0, 0.07, 0.4], np.float32)
scale = (max(numbers.max(), 0) - min(numbers.min(), 0)) / 255
zero_point = round(-128 - min(numbers.min(), 0) / scale)
integers = np.clip(np.round(numbers / scale) + zero_point, -128, 127).astype(np.int8)
back = scale * (integers.astype(np.float32) - zero_point)
print(integers, back.round(4))
claim(
    "no number moves by more than half a step (plus rounding of the zero point), and zero is exact",
    np.abs(back - numbers).max() <= scale and back[2] == 0,
    measured=f"scale {scale:.5f}, zero point {zero_point}, largest error {np.abs(back - numbers).max():.5f}",
)

# %% exercise: quantize-int8

# %% [markdown]
# **Predict before you run.** The network in int8, static with 200 training digits (no labels), and dynamic. What is left of the size, of the accuracy? Why might the dynamic one be of no use here?

# %%
from tl_course.quantization import quantize_dynamic, quantize_static

quantize_static(folder / "original.onnx", folder / "static int8.onnx", digits.train.x[:200])
quantize_dynamic(folder / "original.onnx", folder / "dynamic int8.onnx")
for name in ("static int8", "dynamic int8"):
    measure(name, folder / f"{name}.onnx", tuned="200 inputs" if name == "static int8" else "")
claim(
    "static int8 is less than a third of the size and loses at most 1.5 points; dynamic int8 leaves the convolutions as they were, and with them at least 95 % of the size",
    table["static int8"][1].size < table["original"][1].size / 3
    and table["original"][0] - table["static int8"][0] <= 0.015
    and table["dynamic int8"][1].size > 0.95 * table["original"][1].size,
    measured="; ".join(
        f"{name} {table[name][1].size / 1e6:.2f} MB, {table[name][0]:.1%}"
        for name in ("original", "static int8", "dynamic int8")
    ),
)

# %% [markdown]
# ### What calibration is for
#
# The range of every activation comes from the calibration inputs. Too narrow, and what is larger is clipped; too wide, and few of the 256 steps are used.
#
# **Predict before you run.** Calibrated on black images; on digits ten times darker; on 200 proper ones: what accuracy?

# %%
calibrations = {
    "black images": np.zeros_like(digits.train.x[:40]),
    "ten times darker": digits.train.x[:200] / 10,
    "8 digits": digits.train.x[:8],
    "200 digits": digits.train.x[:200],
}
calibrated = {
    name: accuracy(load_onnx(quantize_static(folder / "original.onnx", folder / "calibrated.onnx", images)))
    for name, images in calibrations.items()
}
claim(
    "calibrated on black or darkened images the same network loses at least 10 points; 200 proper inputs lose at most 1.5, and no label is needed",
    accuracy(original) - max(calibrated["black images"], calibrated["ten times darker"]) > 0.1
    and accuracy(original) - calibrated["200 digits"] <= 0.015,
    measured=", ".join(f"{name} {value:.1%}" for name, value in calibrated.items()),
)

# %% [markdown]
# Eight proper digits were enough here, because the extremes of a digit's activations vary little. Take more where inputs differ more, and look at outliers: one of them widens the range for all.

# %% exercise: calibration-range

# %% [markdown]
# ### Per tensor or per channel?
#
# MobileNetV2's depthwise filters differ in size by orders of magnitude. One scale for all leaves the small ones with a handful of steps. Head trained on frozen features, ten crops of each photograph:
#
# **Predict before you run.** int8, static, once with one scale for a layer's weights, once with one for each channel.

# %%
from tl_course.pytorch import finetune

photos = data.load("photos", size=64, per_photo={"train": 10, "val": 2, "test": 10})
mobile = Classifier.build("mobilenet_v2", photos.class_names, image_size=64, device="cpu")
finetune.linear_probe(mobile, photos, num_epochs=20, lr=1e-2, progress=False)
export_onnx(mobile, folder / "mobile.onnx")
in_int8 = {"float32": float(np.mean(mobile.predict(photos.test.x) == photos.test.y))}
for name, per_channel in (("per channel", True), ("per tensor", False)):
    file = quantize_static(
        folder / "mobile.onnx", folder / f"mobile {name}.onnx", photos.train.x, per_channel=per_channel
    )
    in_int8[name] = float(np.mean(load_onnx(file).predict(photos.test.x) == photos.test.y))
claim(
    "one scale a channel loses at most 15 points (180 test images: a standard error of 3); one scale for a whole layer leaves less than a third of the accuracy",
    in_int8["float32"] - in_int8["per channel"] < 0.15 and in_int8["per tensor"] < in_int8["float32"] / 3,
    measured=", ".join(f"{name} {value:.1%}" for name, value in in_int8.items())
    + f" of {len(photos.test)} photographs",
)

# %% [markdown]
# ## 7. Distil, then quantise
#
# The ways combine. Lesson 06's `distill` teaches a small CNN what the network answers; then the student goes through int8.
#
# **Predict before you run.** A student of 25,000 parameters, a twelfth, then a quarter of the bytes. How large is the file, and what does each step cost in accuracy?

# %%
from tl_course.pytorch.distill import distill
from tl_course.pytorch.students import small_cnn

student = small_cnn(digits.class_names, channels=1, image_size=28, width=8, device="cpu")
distill(original, student, digits, num_epochs=8, lr=1e-2, backbone_lr=1e-2, **options)
export_onnx(student, folder / "distilled.onnx")
quantize_static(folder / "distilled.onnx", folder / "distilled, int8.onnx", digits.train.x[:200])
for name in ("distilled", "distilled, int8"):
    measure(name, folder / f"{name}.onnx", tuned="8 epochs")
claim(
    "the student has less than a tenth of the parameters; in int8 its file is less than a fifteenth of the original's, for at most 6 points",
    count(student.model) < 0.1 * count(original.model)
    and table["distilled, int8"][1].size < table["original"][1].size / 15
    and table["original"][0] - table["distilled, int8"][0] < 0.06,
    measured=f"{count(student.model):,} parameters; "
    + ", ".join(
        f"{name} {table[name][0]:.1%} in {table[name][1].size:,} bytes" for name in ("distilled", "distilled, int8")
    ),
)

# %% [markdown]
# ## 8. The table
#
# Everything through the same runtime, on one thread, in one session.

# %% tags=["varies"]
print(f"{'':24}{'accuracy':>9}{'size':>10}{'batch of 1':>28}{'batch of 32':>30}{'memory':>10}  training")
for name, (share, costs, tuned) in table.items():
    one, many = (str(costs.latency[size]) for size in (1, 32))
    print(
        f"{name:24}{share:9.1%}{costs.size / 1e6:7.2f} MB{one:>28}{many:>30}{costs.peak_memory / 1e6:7.1f} MB  {tuned}"
    )

# %%
size = {name: costs.size for name, (_share, costs, _tuned) in table.items()}
claim(
    "zeros leave the file as it is; channels, ranks and integers make it smaller; distilled and quantised it is the smallest; none of the tuned ones is more than 8 points behind",
    abs(size["80 % zeros"] / size["original"] - 1) < 0.02
    and max(size[name] for name in ("half the channels", "a quarter of the rank", "static int8"))
    < 0.7 * size["original"]
    and min(size, key=size.get) == "distilled, int8"
    and all(table["original"][0] - share < 0.08 for name, (share, *_rest) in table.items() if "untuned" not in name),
    measured=", ".join(f"{name} {value / 1e6:.2f} MB" for name, value in size.items()),
)

# %% [markdown]
# Three things to see. First, **the zeros bought no time**. Second, the student without int8 is already so small that turning numbers into integers and back may take longer than it saves: in our runs int8 made the large network faster and the student slower. Third, the pruned
# networks had an epoch more than the original; a tuned row above it shows more training, not that pruning helps.
#
# Read time with its quartiles: where two rows overlap, the table does not say which is faster. At batch 1 a network this small spends much of its time on *calling* operations; two thin convolutions in place of one can cost more than they save.
# And memory at batch 32 is mostly activations: int8 weights alone would not shrink them, int8 activations do.
#
# ## 9. A text model: where dynamic int8 is right
#
# A Transformer spends its time in matrix products with changing activations, and their range is measured at little cost. So for text the usual choice is *dynamic* int8: no calibration data.
#
# **Predict before you run.** MiniLM, 22.7 million parameters, head trained on 100 tweets. Size and accuracy in int8?

# %%
from tl_course.pytorch.text_classifier import TextClassifier

tweets = data.load("sentiment", domain="tweets")
few = replace(tweets, train=tweets.train.take(data.few_shot(tweets.train.y, 50, 0)), val=tweets.val.take(np.arange(50)))
some = tweets.test.take(order(len(tweets.test))[:200])
mood = TextClassifier.build("minilm", tweets.class_names, max_tokens=64, device="cpu")
finetune.linear_probe(mood, few, num_epochs=30, lr=1e-2, progress=False)
export_onnx(mood, folder / "mood.onnx")
quantize_dynamic(folder / "mood.onnx", folder / "mood int8.onnx")
texts = {name: load_onnx(folder / f"{name}.onnx") for name in ("mood", "mood int8")}
right = {name: float(np.mean(model.predict(some.x) == some.y)) for name, model in texts.items()}
lengths_apart = [
    float(np.abs(texts["mood"].logits(part) - mood.logits(part)).max())
    for part in (["Great."], ["", "word " * 200], list(some.x[:33]))
]
megabytes = {name: (folder / f"{name}.onnx").stat().st_size / 1e6 for name in texts}
claim(
    "exported, the text model gives the original's logits to 1e-4 at every length and batch size; in int8 it takes less than a third of the space and loses at most 4 points",
    max(lengths_apart) < 1e-4
    and megabytes["mood int8"] < megabytes["mood"] / 3
    and right["mood"] - right["mood int8"] <= 0.04,
    measured=f"largest difference {max(lengths_apart):.0e}; "
    + ", ".join(f"{name} {megabytes[name]:.1f} MB, {right[name]:.1%}" for name in texts),
)

# %% tags=["varies"]
for name in texts:
    costs = model_cost.cost(folder / f"{name}.onnx", some.x[:32], rounds=4)
    print(
        f"{name:12} batch of 1 {costs.latency[1]}, of 32 {costs.latency[32]}, memory {costs.peak_memory / 1e6:.0f} MB"
    )

# %% [markdown]
# ## 10. What cuts training, and what only inference
#
# | | training | inference |
# |:--|:--|:--|
# | freezing (冻结), features kept (lesson 03) | **less**: no backward pass below the head, one forward pass in all | the same |
# | LoRA, adapters (lesson 05) | **less memory**: optimizer state of a hundredth or less; a third less time a step in lesson 05's run, as no gradients of frozen weights are computed | the same (merged), or a little more |
# | mixed precision (混合精度) | **less** time and memory, on hardware with bfloat16 or float16 | also, with float16 weights |
# | gradient checkpointing (梯度检查点) | **less memory**, for about a third more time | the same |
# | a smaller pretrained model, early stopping | **less** | less (the first) |
# | magnitude pruning | the same, plus fine-tuning after | the same, without sparse kernels |
# | structured pruning, low rank | the same, plus fine-tuning after | **less** |
# | BatchNorm folding | the same | **less** |
# | int8 after training | the same | **less**, with integer kernels |
# | quantisation-aware training | **more**: every step simulates the rounding | less |
# | distillation | **more**: a teacher first, then a student | **less** |
#
# So "use pruning and quantisation to reduce the cost of training" is wrong twice: they happen after training, and the repair is training. (Research on sparse or 8-bit *training* exists; it is not what these listings do. QLoRA keeps frozen weights in 4 bits to
# save memory in training: it is the exception, and the trained part stays in 16.)
#
# One number for gradient checkpointing, which no other lesson measures: activations kept for the backward pass.

# %%
from torch.utils.checkpoint import checkpoint


def kept_for_backward(forward):
    """Bytes of the tensors that autograd keeps between forward and backward pass, and the first layer's gradient."""
    kept = {}

    def note(tensor):
        kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    original.model.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = forward(batch).square().mean()
    loss.backward()
    return sum(kept.values()), original.model.stem[0].weight.grad.clone()


def in_segments(x):
    """The same network, but only the inputs of its three stages are kept; the rest is computed again."""
    x = original.model.stem(x)
    for stage in (original.model.stage1, original.model.stage2, original.model.stage3):
        x = checkpoint(stage, x, use_reentrant=False)
    return original.model.fc(x.mean(dim=(2, 3)))


plain_bytes, plain_gradient = kept_for_backward(original.model)
segment_bytes, segment_gradient = kept_for_backward(in_segments)
claim(
    "checkpointed, the forward pass keeps fewer bytes for the backward pass, and the gradient is the same",
    segment_bytes < 0.8 * plain_bytes and torch.allclose(plain_gradient, segment_gradient, rtol=1e-4, atol=1e-8),
    measured=f"{plain_bytes / 1e6:.1f} MB, checkpointed {segment_bytes / 1e6:.1f} MB, for 32 images",
)

# %% [markdown]
# ## 11. Shipping it (部署)
#
# | file | holds | runs with |
# |:--|:--|:--|
# | `.onnx` | graph, weights; here also classes and preprocessing | onnxruntime, anywhere |
# | `torch.export` (`.pt2`) | graph and weights, PyTorch's own | PyTorch, ExecuTorch, AOTInductor |
# | `.keras` | architecture, weights, optimizer | Keras |
# | `state_dict`, `.safetensors` | weights only: the code that builds the network must be there | the framework, and the code |
# | a pickle (`torch.save(model)`) | a reference to your code; **runs any code it holds when opened** | do not ship it |
#
# **TorchScript**, which older tutorials export to, is deprecated: `torch.jit.script` says so itself and points to `torch.export`.

# %%
program = torch.export.export(original.model, (batch,), dynamic_shapes=({0: torch.export.Dim("batch")},))
torch.export.save(program, folder / "digits.pt2")
again = torch.export.load(folder / "digits.pt2").module()
with warnings.catch_warnings(record=True) as caught, torch.inference_mode():
    warnings.simplefilter("always")
    exported_difference = float((again(batch[:5]) - original.model(batch[:5])).abs().max())
    torch.jit.script(torch.nn.ReLU())
said = [str(warning.message) for warning in caught if warning.category is DeprecationWarning]
claim(
    "torch.export's program, saved and loaded, gives the original's logits for another batch size; torch.jit.script calls itself deprecated",
    exported_difference < 1e-4 and any("torch.export" in message for message in said),
    measured=f"largest difference {exported_difference:.0e}; '{next(m for m in said if 'torch.export' in m)}'",
)

# %% [markdown]
# ### Keras
#
# The same functions, the same file: `tl_course.keras.export` writes ONNX (through tf2onnx) and `.keras`. The weights that Keras loads here are the ones the PyTorch network started from.

# %%
import keras

from tl_course.keras.classifier import Classifier as KerasClassifier
from tl_course.keras.export import export_onnx as export_keras
from tl_course.keras.export import save_keras

in_keras = KerasClassifier.build("fashion_resnet", digits.class_names)
keras_served = load_onnx(export_keras(in_keras, folder / "from keras.onnx"))
reloaded = keras.models.load_model(save_keras(in_keras, folder / "digits.keras"))
keras_logits = in_keras.logits(test.x[:40])
apart_keras = [
    float(np.abs(keras_served.logits(test.x[:40]) - keras_logits).max()),
    float(np.abs(np.asarray(reloaded(in_keras.preprocess(test.x[:40]), training=False)) - keras_logits).max()),
]
claim(
    "Keras's model through onnxruntime, and saved as .keras and loaded again, gives its own logits to 1e-4",
    max(apart_keras) < 1e-4,
    measured=f"ONNX {apart_keras[0]:.0e}, .keras {apart_keras[1]:.0e}",
)

# %% [markdown]
# ### Serving it
#
# No server is needed to be useful. In a shell, on a folder of images, or a table of texts:
#
#     tl-course predict digits.onnx FOLDER
#     tl-course predict mood.onnx texts.csv --text COLUMN
#
# The same in Python. Everything that is needed is in the file: images are read, turned upright, resized and normalised as in training.

# %%
from PIL import Image

from tl_course import systems

pictures = folder / "pictures"
pictures.mkdir()
for number in range(12):
    Image.fromarray((255 * test.x[number, :, :, 0]).astype(np.uint8)).save(pictures / f"{number:02}.png")
answers = systems.predict(folder / "static int8.onnx", sorted(pictures.iterdir()))
for answer in answers[:3]:
    print(f"{Path(answer.file).name}: {answer.label}, probability {answer.probability:.2f}")
for answer in systems.predict_texts(
    folder / "mood int8.onnx", ["The battery died after a week.", "soooo happy 2day :)"]
):
    print(f"{answer.text!r}: {answer.label}, probability {answer.probability:.2f}")
claim(
    "the int8 file, given twelve PNG files, names at least eleven digits rightly",
    sum(answer.label == digits.class_names[k] for answer, k in zip(answers, test.y[:12], strict=True)) >= 11,
    measured=" ".join(answer.label for answer in answers) + " for " + " ".join(map(str, test.y[:12])),
)

# %% [markdown]
# A file travels, and may arrive damaged. This one carries a digest of itself:

# %%
from tl_course.errors import BadInput

damaged = bytearray((folder / "static int8.onnx").read_bytes())
damaged[len(damaged) // 2] ^= 1  # one bit
(folder / "damaged.onnx").write_bytes(damaged)
try:
    load_onnx(folder / "damaged.onnx")
    refused = ""
except BadInput as error:
    refused = str(error).replace(str(folder), "")
claim("one flipped bit, and the file is refused", bool(refused), measured=refused)

# %% [markdown]
# ## Where this goes wrong in practice
#
# - **Pruning sold as speed.** Ask for the runtime, and for the time before and after on it.
# - **Masks left out in fine-tuning**: the zeros fill up again, and nobody counts them.
# - **Calibration on test data** (a leak), on other preprocessing, or on one class.
# - **A batch size frozen into the graph**: works on the test bench, fails on the last batch of the day. Check at several.
# - **Preprocessing left behind.** The graph is exported, the normalisation is not; predictions are plausible and wrong.
# - **Evaluation mode forgotten before exporting**: dropout and batch statistics in the graph.
# - **Accuracy compared in float32, shipped in int8.** Test the file that ships; also per class, for compression harms rare classes most (Hooker et al., 2019).
# - **One timed run**, the first one, on all cores of an idle machine.
#
# ## Interview corner
#
# <details><summary>Why does unstructured pruning to 80 % make inference no faster?</summary>
#
# The matrices keep their shape, and dense kernels multiply by zero as by anything. It needs sparse kernels and very high sparsity, or a pattern that hardware knows (2:4). Structured pruning changes the shapes.
# </details>
#
# <details><summary>Dynamic or static int8?</summary>
#
# Dynamic measures activation ranges while running: right for Transformers and LSTMs, no data needed. Static fixes them from calibration inputs: right for convolutional networks, faster, but the inputs must be like those to come.
# </details>
#
# <details><summary>Why must zero be exactly representable?</summary>
#
# Padding, ReLU and masks produce exact zeros in great numbers; a small error in each adds up to a bias.
# </details>
#
# <details><summary>Why per channel?</summary>
#
# One large filter would set the scale for all, and the small ones would get a few steps. Depthwise convolutions and folded BatchNorm make it worse. It costs one number a channel.
# </details>
#
# <details><summary>When does a rank-r factorisation save anything?</summary>
#
# When r (m + n) < m n. For a square matrix r must be below half of its side, and two small products have more overhead than one.
# </details>
#
# <details><summary>Can BatchNorm be folded during training?</summary>
#
# No: it then uses the batch's statistics. In evaluation mode it is a fixed affine map.
# </details>
#
# <details><summary>Which of these would you use to make <em>training</em> cheaper?</summary>
#
# None of the six. Freezing with kept features, LoRA, mixed precision, gradient checkpointing, a smaller model, early stopping.
# </details>
#
# <details><summary>How do you check an export?</summary>
#
# Logits against the original's at several batch sizes and lengths, with a stated tolerance; accuracy of the file itself on the test set; the preprocessing included.
# </details>
#
# ## Summary
#
# - Decide what must shrink: download, memory, latency of one, throughput of many. They have different remedies.
# - Fold BatchNorm: free. Static int8 for convolutions, dynamic for Transformers: nearly free, and about a quarter of the bytes.
# - Channels and ranks need an epoch to recover; zeros alone buy a smaller zip.
# - Distil, then quantise, when a tenth is needed.
# - Median and quartiles, batch 1 and 32, the shipped file on the shipped runtime.
# - One file with everything in it, checked against the original, refused when damaged.
#
# ## Sources
#
# - Han, Pool, Tran & Dally, *Learning both weights and connections for efficient neural networks*, NeurIPS 2015. Li et al., *Pruning filters for efficient ConvNets*, ICLR 2017. Liu et al., *Rethinking the value of network pruning*, ICLR 2019.
# - Jacob et al., *Quantization and training of neural networks for efficient integer-arithmetic-only inference*, CVPR 2018. Krishnamoorthi, *Quantizing deep convolutional networks for efficient inference*, 2018: per channel.
# - Denton et al., *Exploiting linear structure within convolutional networks*, NeurIPS 2014. Eckart & Young, *The approximation of one matrix by another of lower rank*, 1936.
# - Ioffe & Szegedy, *Batch normalization*, ICML 2015. Hinton, Vinyals & Dean, *Distilling the knowledge in a neural network*, 2015.
# - Chen et al., *Training deep nets with sublinear memory cost*, 2016: checkpointing. Micikevicius et al., *Mixed precision training*, ICLR 2018. Hu et al., *LoRA*, 2021. Dettmers et al., *QLoRA*, NeurIPS 2023.
# - Mishra et al., *Accelerating sparse deep neural networks*, 2021: 2:4 sparsity. Hooker et al., *What do compressed deep neural networks forget?*, 2019.
# - PyTorch 2.13's documentation on quantization and `torch.export`; onnxruntime's on quantization (read in 2026).
