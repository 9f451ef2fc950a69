# ---
# title: "00 Start here"
# minutes: 10
# know_first: "some Python and NumPy; no deep learning yet"
# after: []
# aims: "run a cell, see what transfer buys, answer an exercise, read a verdict, take a hint, start again"
# ---

# %% [markdown]
# Welcome. This course teaches **transfer learning** (迁移学习): taking what a model learned on one task, the *source* (源任务), and
# using it on another, the *target* (目标任务). Everything runs on your own machine, without a network and without a GPU. Every
# measured result comes from a cell that you can run, or from a longer run whose results and command are in the repository.
#
# This first notebook takes about ten minutes. Run each cell with **Shift + Enter**, from top to bottom.
#
# **How a lesson is built.** An idea, a picture, a real run, then exercises. Before a run we ask you to *predict* what will
# happen: a wrong prediction is what you remember. A green box headed *Measured* is a **claim**: a sentence that is
# checked against the figures in that very cell. If they no longer support it, the course's own tests fail.

# %%
from tl_course import check, claim, data, hint, plots, probes, progress, reset, solution, start, zoo

start("00_start_here")

# %% [markdown]
# ## A first look: what transfer buys
#
# Below are small crops of eighteen photographs and textures. The task: tell which photograph a crop was cut from. Training and
# test crops come from different regions of each photograph, so no pixel of a test crop is in a training crop.

# %%
photos = data.load("photos", size=64, per_photo={"train": 20, "val": 1, "test": 10})
first_of_each = [int((photos.train.y == label).argmax()) for label in range(photos.num_classes)]
plots.image_grid(photos.train.x[first_of_each], list(photos.class_names), "One training crop of each class")

# %% [markdown]
# **Predict before you run.** You get five labelled crops of each photograph, 90 in all, and classify a new crop by its most
# similar labelled ones (*k nearest neighbours*). Guessing is right in 1 of 18 cases, 5.6 %. How often will it be right when
# similarity is measured
#
# 1. on the raw pixels?
# 2. on the 1,280 numbers that a network trained on ImageNet computes from a crop, a network that was not trained for this task?
#
# Write both numbers down, then run the cell. It draws the five crops anew for each of five seeds.

# %%
import numpy as np

network = zoo.load("mobilenet_v2", image_size=96)
inputs = {
    "raw pixels": [split.x.reshape(len(split.x), -1) for split in (photos.train, photos.test)],
    "ImageNet features": [network.features(split.x) for split in (photos.train, photos.test)],
}
accuracy = {name: [] for name in inputs}
for seed in range(5):
    chosen = data.few_shot(photos.train.y, per_class=5, seed=seed)
    for name, (train, test) in inputs.items():
        result = probes.knn_probe(train[chosen], photos.train.y[chosen], test, photos.test.y)
        accuracy[name].append(result.accuracy)

plots.bar_with_spread(
    {name: np.array(values) for name, values in accuracy.items()}, "Five labelled crops per class, five seeds"
)

# %%
pixels, features = (np.mean(accuracy[name]) for name in inputs)
claim(
    "with five labels per class, ImageNet features are right at least 40 points more often than raw pixels",
    features - pixels > 0.40,
    measured=f"pixels {pixels:.1%}, features {features:.1%}, mean of 5 seeds",
)

# %% [markdown]
# Nothing was trained in that cell. The network's knowledge of other images was enough: that is transfer. Raw pixels are a weak rival, though;
# lesson 03 measures the gain against a fair one, and it is smaller. The rest of the course is about when this works, how to get more out of it, and when it fails.
#
# ## Your first exercise
#
# An exercise has a statement, a cell for your answer, and a cell that checks it. In the answer's cell, replace
#
# ```python
# # YOUR CODE HERE
# raise NotImplementedError()
# ```
#
# with your code, run the cell, then run the check below it; in JupyterLab the button **Check** under it does both. Keep the cell's
# first line: it tells whose answer it is. A check runs your code in a process of its own with a time limit, so no answer can break
# the notebook, and you may try as often as you like. Your answer must stand by itself: it may use what its own cell or earlier cells
# import and define.

# %% exercise: to-unit-range

# %% [markdown]
# ## What a verdict says
#
# Each line is one thing that an answer must get right; lines earn points separately, but some count only once the
# answer is right otherwise. When a wrong answer behaves exactly like a
# misconception we know, the verdict says which. Here is the verdict on a wrong answer, so that you have seen one:

# %%
from tl_course.exercises.engine.checking import check_source

wrong_answer = """
import numpy as np

def to_unit_range(images):
    return images.astype(np.float32) / 256
"""
check_source("to-unit-range", "numpy", wrong_answer)

# %% [markdown]
# ## Stuck?
#
# `hint` shows one hint at a time, three in all, from a nudge to nearly there. Hints cost nothing. Once you have tried, `compare` shows
# your answer beside the reference, and `solution` the reference alone, in every framework; both with the questions an interviewer
# would ask next. **Hint** and **Compare** are buttons as well.

# %% tags=["varies"]
hint("to-unit-range")

# %% exercise: accuracy

# %% [markdown]
# ## Starting again, and what is kept
#
# - The button **Reset** puts the starting code back and your text aside; **Restore** brings it back, even days later. The calls
#   `reset("accuracy")` and `restore("accuracy")` do it in a new cell below; nothing of yours is removed.
# - Every attempt is kept, with your code, in one file on your machine; `progress()` shows where you stand, and so does the start page
#   (in JupyterLab's launcher, or `home()`): what is done, what is due again, and where to go on.
# - A kernel that hangs: *Kernel → Restart Kernel* in the menu. Your cells and your progress stay.

# %% tags=["varies"]
progress("00_start_here")

# %% [markdown]
# ## Three ways to use this course
#
# | You are | Use | What differs |
# |:--|:--|:--|
# | learning by yourself | these notebooks, their exercises and quizzes | checks use the same inputs each time; try as often as you like |
# | in a class | the same notebooks, handed in through nbgrader | grading draws new inputs, so an answer that only fits the public ones earns nothing |
# | preparing an interview | `tl-course check FILE --exercise ID --framework F` on a plain file | no notebook, no stub: write the function from memory, then answer the follow-up questions |
#
# Where an exercise exists in PyTorch and in Keras, answer in the one you use, or in both: the better answer counts.
#
# ## Where this goes wrong in practice
#
# - **The answer's cell is edited but not run.** A check judges the code as it was last run; run the answer's cell again, then the check.
# - **The first line of an answer's cell is removed.** Then the check cannot tell whose answer it is, and says so.
# - **A variable left over from a deleted cell.** Before you hand in: *Kernel → Restart Kernel and Run All Cells*.
#
# ## Interview corner
#
# <details><summary>In one sentence, what is transfer learning?</summary>
#
# Using what was learned on a source task or domain, usually a pretrained network's weights, to do better on a target with fewer labels or less training.
# </details>
#
# <details><summary>Five labels per class, and features beat raw pixels by 40 points. What would you want to know before believing in transfer?</summary>
#
# Whether the rival is a fair one (a tuned model on the target's own labels), whether training and test images are independent, and how large the spread
# over several draws is.
# </details>
#
# ## Summary
#
# - Transfer: features learned on a source task made an 18-class problem easy with five labels per class.
# - Answer, check, read the lines, take a hint, try again; the quiz below asks what stayed.
# - Next: **01 Concepts**, which says what transfers and how to measure it. **03 Feature extraction** does properly what this notebook did in passing.
#
# ## Sources
#
# - Sandler et al., *MobileNetV2: Inverted Residuals and Linear Bottlenecks*, CVPR 2018: the network used above.
# - Russakovsky et al., *ImageNet Large Scale Visual Recognition Challenge*, IJCV 2015: what it was trained on.
# - The photographs come with scikit-image (van der Walt et al., PeerJ 2014); `tl-course assets list` names source and licence.
