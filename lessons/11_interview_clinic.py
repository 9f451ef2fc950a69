# ---
# title: "11 Interview clinic"
# minutes: 450
# know_first: "lessons 03 to 07; the clinic asks for what they taught, and says which section teaches it"
# after: ["06", "07"]
# aims: "read a program as a reviewer does, say what it will do before it runs, find the faults that raise no error, mend them and prove it; then practise questions, code and whole interviews until they are dull"
# ---

# %% [markdown]
# ## The idea
#
# An interviewer hands you forty lines of somebody's training script and asks: *what happens when I run this?* Then: *would you ship it?* The hard faults raise no error. The loss falls, the accuracy looks fine, and the program is wrong.
#
# This **clinic** (诊所) has fourteen such programs. Each is what a tutorial on transfer learning prints, written anew as a short function with the faults that tutorials really have. For each one:
#
# 1. **Read** it (阅读). The panel shows it with line numbers and what its author wanted.
# 2. **Predict** (预测) what happens when it runs. One option is right; choose before you look further.
# 3. **Find** (找错): type the numbers of the lines where something is wrong. A step that is missing counts at the line where it should stand. A false alarm takes a find away, so naming every line earns nothing.
# 4. **Mend** it (修复) in the exercise's cell below the panel. `check` runs the program on small data and proves each fault gone, or not.
# 5. **Read the review** (复盘): what the log shows, why nobody notices, what it does in production, and the check that would have caught it.
#
# Your score is the mean of what you *found* by reading and what you *mended*. The same works in a terminal: `tl-course practice clinic`.

# %%
from textwrap import shorten

from tl_course import check, claim, exercises, start
from tl_course.compat import make_importable
from tl_course.practice import clinic, panel

make_importable()  # torchvision, which two of the programs import
start("11_interview_clinic")

# %% [markdown]
# ## 1. How to read (怎样读)
#
# Most people read a program from the top. A reviewer follows the *data*, and asks eight questions. Every fault of this clinic answers one of them badly.
#
# | ask | and look at |
# |:--|:--|
# | What reaches the network? | size, scale, channel order, padding and its mask; the same in training and in service? |
# | What comes out, and of which shape? | logits or probabilities; one row per example, or per token? |
# | What reaches the loss? | its arguments' order, the form of the labels, temperature, reduction |
# | What moves? | which parameters the optimiser holds, which have gradients, whether Keras was compiled again |
# | In which mode? | dropout and BatchNorm in training and in evaluation; `no_grad` is something else |
# | Where is it? | model and data on the same device |
# | On which split? | what was chosen on which data, and what the reported number was measured on |
# | What is reported? | one batch or all, accuracy alone or the confusion matrix, the thing that was promised? |
#
# Errors that stop a program are the kind ones. Ask of every line that runs: *if this were wrong, what would I see?* Where the answer is "nothing", write the check first.

# %% [markdown]
# ## 2. Pictures, in Keras (图像与 Keras)
#
# **Case 1.** A classifier on VGG16.

# %% tags=["varies"]
panel.clinic("clinic-vgg16-classifier")

# %% exercise: clinic-vgg16-classifier

# %% tags=["varies"]
panel.review("clinic-vgg16-classifier")

# %% [markdown]
# **Case 2.** VGG16 teaches a small student.

# %% tags=["varies"]
panel.clinic("clinic-vgg16-student")

# %% exercise: clinic-vgg16-student

# %% tags=["varies"]
panel.review("clinic-vgg16-student")

# %% [markdown]
# **Case 3.** A frozen VGG16, and the fine-tuning that was promised.

# %% tags=["varies"]
panel.clinic("clinic-frozen-vgg16")

# %% exercise: clinic-frozen-vgg16

# %% tags=["varies"]
panel.review("clinic-frozen-vgg16")

# %% [markdown]
# **Case 4.** Two classes, MobileNetV2 and augmentation.

# %% tags=["varies"]
panel.clinic("clinic-mobilenet-binary")

# %% exercise: clinic-mobilenet-binary

# %% tags=["varies"]
panel.review("clinic-mobilenet-binary")

# %% [markdown]
# ## 3. Pictures, in PyTorch (图像与 PyTorch)
#
# **Case 5.** ResNet18 on a folder of photographs.

# %% tags=["varies"]
panel.clinic("clinic-resnet18-folder")

# %% exercise: clinic-resnet18-folder

# %% tags=["varies"]
panel.review("clinic-resnet18-folder")

# %% [markdown]
# **Case 6.** ResNet18 on CIFAR-10.

# %% tags=["varies"]
panel.clinic("clinic-resnet18-cifar")

# %% exercise: clinic-resnet18-cifar

# %% tags=["varies"]
panel.review("clinic-resnet18-cifar")

# %% [markdown]
# **Case 7.** One function for every vision network.

# %% tags=["varies"]
panel.clinic("clinic-vision-transfer")

# %% exercise: clinic-vision-transfer

# %% tags=["varies"]
panel.review("clinic-vision-transfer")

# %% [markdown]
# ## 4. Teachers and students (知识蒸馏)
#
# **Case 8.** A loop for knowledge distillation.

# %% tags=["varies"]
panel.clinic("clinic-teacher-student")

# %% exercise: clinic-teacher-student

# %% tags=["varies"]
panel.review("clinic-teacher-student")

# %% [markdown]
# **Case 9.** BERT taught by BERT.

# %% tags=["varies"]
panel.clinic("clinic-bert-distill")

# %% exercise: clinic-bert-distill

# %% tags=["varies"]
panel.review("clinic-bert-distill")

# %% [markdown]
# ## 5. Text (文本)
#
# **Case 10.** A function that loads BERT and fine-tunes it.

# %% tags=["varies"]
panel.clinic("clinic-bert-function")

# %% exercise: clinic-bert-function

# %% tags=["varies"]
panel.review("clinic-bert-function")

# %% [markdown]
# **Case 11.** A fine-tuning script for sentences.

# %% tags=["varies"]
panel.clinic("clinic-bert-finetune")

# %% exercise: clinic-bert-finetune

# %% tags=["varies"]
panel.review("clinic-bert-finetune")

# %% [markdown]
# **Case 12.** A classifier of news, with evaluation.

# %% tags=["varies"]
panel.clinic("clinic-news-classifier")

# %% exercise: clinic-news-classifier

# %% tags=["varies"]
panel.review("clinic-news-classifier")

# %% [markdown]
# ## 6. Attention (注意力)
#
# **Case 13.** A picture of attention.

# %% tags=["varies"]
panel.clinic("clinic-attention-plot")

# %% exercise: clinic-attention-plot

# %% tags=["varies"]
panel.review("clinic-attention-plot")

# %% [markdown]
# **Case 14.** A script for the heads.

# %% tags=["varies"]
panel.clinic("clinic-attention-script")

# %% exercise: clinic-attention-script

# %% tags=["varies"]
panel.review("clinic-attention-script")

# %% [markdown]
# ## 7. What the fourteen have in common (共同点)
#
# Two questions decide how dangerous a fault is: does the program stop, and would its own log show it? Each program is run here as its author left it, on the small data of its exercise, and so is each mended one.

# %% tags=["varies"]
as_printed = {case: clinic.judge_program(case, case.program) for case in clinic.all_cases()}
mended = {case: clinic.judge_program(case, case.exercise.variant(case.framework).reference) for case in as_printed}
stops = {
    case: next((line.message for line in lines if "it stopped with" in line.message), "")
    for case, lines in as_printed.items()
}
for case, message in stops.items():
    print(
        f"{case.id.removeprefix('clinic-'):18} {len(case.faults)} faults   {shorten(message, 95, placeholder=' …') or 'runs to its end'}"
    )

# %%
silent = [case for case, message in stops.items() if not message]
claim(
    "of the programs as printed nothing that is checked is right, of the mended ones everything; most stop with an error, and at least three run to their end",
    not any(line.passed for lines in as_printed.values() for line in lines)
    and all(line.passed for lines in mended.values() for line in lines)
    and 3 <= len(silent) < len(as_printed) / 2,
    measured=f"{sum(len(case.faults) for case in as_printed)} faults in {len(as_printed)} programs, {len(silent)} of which run to their end",
)

# %% [markdown]
# An error message names one fault, and whoever mends that one has a program that runs, with the others left, which no message names.
# That is what code review is for. The checks that catch such faults are cheap, and the same everywhere:
#
# - **One batch by hand** (检查一个批次): print shape, type, range and label of what reaches the network.
# - **Loss at the start** (初始损失): near $\ln K$ for $K$ balanced classes, or something is wrong before training begins.
# - **Overfit ten examples** (过拟合十个样本): a network that cannot is wired wrongly.
# - **Shuffle the labels** (打乱标签): the reported accuracy must fall to chance. If it does not, it is measured on the training data or leaks.
# - **What moved?** (什么变了): compare every parameter and every buffer before and after one step.
# - **One against many** (单个与批量): an example's prediction alone equals its prediction in a batch.
# - **Save, load, predict** (保存与加载): through the code that serves, not the code that trained.

# %% [markdown]
# ## 8. Questions (问答卡片)
#
# More than two hundred cards, in English and Chinese: a question, what a full answer must contain, what people say instead and why it is wrong, what is asked next, and the section of this course that teaches it. Cards that are due come first, by [FSRS](https://github.com/open-spaced-repetition/free-spaced-repetition-scheduler), a spaced-repetition scheduler: what you know well comes back late, what you do not comes back soon.
#
# Answer in your own words *before* you look; recalling is what makes it stick (Roediger & Karpicke, 2006). In English, MiniLM estimates which key points you covered. It is an estimate, its precision and recall stand beside it, and it is fooled by fluent nonsense: **your own rating decides**.
#
# In a terminal: `tl-course practice`. For your phone: `tl-course practice export --anki --lang both --out cards.apkg`, or on paper with `--sheet --out cards.pdf`.

# %% tags=["varies"]
panel.show()

# %% [markdown]
# The second tab is a **mock interview** (模拟面试): 45 minutes, chosen by level and seed, four concept questions, two on debugging, one coding problem, one design question. The clock runs while a question is open. Then you tick what you said, and the report says where you stand, what you missed and what to read, and how that compares with your last one. It can be cut off at any moment, by you or by a crash, and goes on from there.

# %% [markdown]
# ## 9. Code (编程题)
#
# Every exercise of this course can be practised as in an interview: a blank file, a clock, no hint unless you ask, then the questions on cost and on what changes at scale. `tl-course practice code` picks one that you have not solved; `tl-course practice code masked-mean --framework keras` names it. These ones stand in no lesson:

# %%
problems = [
    exercise
    for exercise in exercises.all_exercises()
    if exercise.lesson == "11_interview_clinic" and exercise.kind == "build"
]
for exercise in problems:
    print(f"{exercise.id:26} {'*' * exercise.difficulty:5} {exercise.minutes:>2} min  {', '.join(exercise.variants)}")

# %%
claim(
    "at least twenty coding problems are for practice only",
    len(problems) >= 20,
    measured=f"{len(problems)} problems",
)

# %% [markdown]
# ## Interview corner
#
# <details><summary>You are shown a training script. Where do you look first?</summary>
#
# At the data that reaches the network and the number that is reported: one batch with its labels, and the split the metric comes from. Then the loss's arguments, what moves, and the modes. Style last.
# </details>
#
# <details><summary>The interviewer says "it works, accuracy is 99 %". What do you ask?</summary>
#
# On which data, chosen how, against which baseline, with how many examples of each class, and whether near-copies can be on both sides of the split. Then: what does it score with shuffled labels?
# </details>
#
# <details><summary>You found one fault. Why go on looking?</summary>
#
# Faults hide each other: one that stops the program hides all that follow, and one that lowers the score hides another that raises it. Mend one at a time, and keep the check that proves it.
# </details>
#
# <details><summary>How do you answer a question to which you do not know the answer?</summary>
#
# Say what you know that bears on it, what you would measure, and what result would change your mind. Vague sentences earn nothing; a wrong claim said with confidence costs.
# </details>
#
# ## Summary
#
# - Follow the data, not the lines. Eight questions find nearly every fault of this clinic.
# - Faults that raise no error are the expensive ones; each has a cheap check that shows it.
# - Predict before you run. A surprise is worth more than a confirmation.
# - Recall before you read, come back when it is due, and sit the whole interview against the clock at least twice.
#
# ## Sources
#
# - Sculley et al., *Hidden technical debt in machine learning systems*, NeurIPS 2015.
# - Karpathy, *A recipe for training neural networks*, 2019.
# - Roediger & Karpicke, *Test-enhanced learning*, Psychological Science 2006.
# - Ye, Su & Cao, *A stochastic shortest path algorithm for optimizing spaced repetition scheduling*, KDD 2022.
