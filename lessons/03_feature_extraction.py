# ---
# title: "03 Feature extraction"
# minutes: 90
# know_first: "Lesson 00"
# aims: "test"
# ---

# %% [markdown]
# ## Text

# %%
from tl_course import check, start

start("03_feature_extraction")

# %% exercise: masked-mean
