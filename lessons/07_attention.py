# ---
# title: "07 Attention"
# minutes: 150
# know_first: "lessons 02 (self-attention from its formula) and 05 (fine-tuning text); matrix products; one of PyTorch and Keras"
# after: ["05"]
# aims: "get attention maps out of a model without being fooled, look at them in several ways, find by a score what heads do, and know, measured, what an attention map does not tell you"
# ---

# %% [markdown]
# ## The idea
#
# In every layer and every head of a Transformer each token asks, and all tokens answer. The token that asks is the **query** (查询), those that answer offer a **key** (键), by which they are found,
# and a **value** (值), which is what they hand over:
#
# $$A = \mathrm{softmax}\!\Big(\frac{Q K^\top}{\sqrt d}\Big), \qquad \text{output} = A\,V .$$
#
# The **attention map** (注意力图) $A$ is a table of tokens by tokens. Row $i$ says in which shares token $i$ mixes the values of all tokens, so it sums to one. That is all it says. It is tempting to read it as *the model decided
# because of this word*. This lesson gets maps out correctly, shows them, finds out what heads do, and then measures how far that temptation carries.
#
# | a map says | a map does not say |
# |:--|:--|
# | where a head takes its mixture from, in this layer | what is *in* the values it takes |
# | shares, which sum to one even when there is nothing to look for | whether the result is used further on |
# | something about token *positions* in a layer | something about input *words*: above layer 0 every position already holds a mixture |
#
# The model is MiniLM, six layers of twelve heads. Numbers with a spread name what the spread is over.

# %%
import numpy as np
import torch

from tl_course import attention, attention_plots, check, claim, data, diagrams, evidence, plots, start, zoo
from tl_course.attention_view import view
from tl_course.pytorch.attention import attention_maps, gradient_x_input, leave_one_out

start("07_attention")
diagrams.flow(
    [
        ("tokens", "(t, 384)", "data"),
        ("queries, keys", "12 heads of 32", "plain"),
        ("attention map", "softmax: (12, t, t)", "plain"),
        ("mixed values", "(t, 384)", "plain"),
        ("next layer", "+ residual", "plain"),
    ],
    "Where the map stands in a layer",
    ["", "", "× V", ""],
)

# %%
encoder = zoo.load("minilm", attention="eager", device="cpu")
sentence = "The acting was wonderful, but the story was far too long."
maps = attention_maps(encoder, [sentence])
print(maps)
attention_plots.one_head(maps, layer=0, head=2)

# %% [markdown]
# **Predict before you run.** Every row sums to one. What do the *columns* sum to? What would a column sum of 9 mean?

# %%
every = maps.of(0)  # (layers, heads, tokens, tokens)
columns = every.sum(axis=2)
first = columns[..., 0].mean()
claim(
    "rows sum to one in all 72 heads, columns do not: on average over the heads, [CLS] receives at least four times the share of an average token",
    np.allclose(every.sum(axis=-1), 1, atol=1e-5) and first > 4 * 1.0,
    measured=f"row sums off by at most {np.abs(every.sum(axis=-1) - 1).max():.0e}; column sum of [CLS] {first:.1f}, of the average token 1.0",
)

# %% [markdown]
# ## 1. Getting maps right
#
# Three ways to get a picture that is no attention map. All three are in circulation, and none of them raises an error by itself.
#
# ### No maps at all (融合注意力)
#
# Fast attention (`sdpa`, flash attention) never holds the map in memory: that is why it is fast. Ask such a model for maps and it hands over what it has.
#
# **Predict before you run.** `output_attentions=True` on a model loaded in the default way. An error, a slower run, or what?

# %%
fast = zoo.load("minilm", device="cpu")  # sdpa, the default
tokens = fast.preprocess([sentence])
with torch.inference_mode():
    given = fast.model(**tokens, output_attentions=True).attentions
print(f"attentions: {given}")

# %%
from textwrap import fill

from tl_course.errors import BadInput

try:
    attention_maps(fast, [sentence])
except BadInput as error:
    print(fill(str(error), 100))

# %% [markdown]
# An empty tuple, and a line in a log that few people read. Code that loops over layers then draws nothing, without a complaint. `attention_maps` refuses and says what to do; it does not switch by itself,
# because switching changes how your model runs afterwards.

# %% exercise: silent-maps

# %% [markdown]
# ### Maps in training mode (训练模式下的 dropout)
#
# BERT drops attention weights at random while it trains, and scales up those that are left.
#
# **Predict before you run.** Rate 0.1, model left in `train()`. Do the rows still sum to one?

# %%
with torch.no_grad():
    encoder.model.train()
    dropped = np.stack([layer.numpy() for layer in encoder.model(**tokens, output_attentions=True).attentions])
    encoder.model.eval()
off = np.abs(dropped.sum(axis=-1) - 1)
share_of_zeros = (dropped == 0).mean()
claim(
    "in training mode rows are off by 0.05 on average or more, single ones by 0.5 or more, and about a tenth of all weights is exactly zero",
    off.mean() > 0.05 and off.max() > 0.5 and 0.05 < share_of_zeros < 0.2,
    measured=f"off by {off.mean():.2f} on average, {off.max():.2f} at most; {share_of_zeros:.1%} zeros",
)

# %% exercise: dropout-rows

# %% [markdown]
# ### Hidden states drawn as attention (把隐藏状态当作注意力)
#
# A listing that is often copied takes `last_hidden_state.mean(1)`, draws it with `imshow`, and calls the picture *self-attention*. The colours look convincing.
#
# **Predict before you run.** What is its shape for one sentence? Name two properties that tell you, without looking at the code, that it cannot be attention.

# %%
tweets = data.load("sentiment", domain="tweets")
with torch.inference_mode():
    drawn = [
        fast.model(**fast.preprocess([text])).last_hidden_state.mean(dim=1).numpy()
        for text in [sentence, *tweets.test.x[:20]]
    ]
sums = np.array([row.sum() for row in drawn])
claim(
    "what the listing draws has one row a text and 384 columns, no token axis; at least a third of it is negative, and what a row sums to is anything",
    drawn[0].shape == (1, 384) and min((row < 0).mean() for row in drawn) > 1 / 3 and sums.std(ddof=1) > 0.5,
    measured=f"shape {drawn[0].shape}, {(drawn[0] < 0).mean():.0%} negative, sum {sums[0]:.2f}; sums of 20 tweets {sums[1:].min():.2f} to {sums[1:].max():.2f}",
)

# %% [markdown]
# **Tokens by tokens, never negative, rows sum to one, nothing to padding**: four checks that cost nothing. Every map of this course goes through them, from whichever framework it comes.

# %% exercise: hidden-as-attention

# %% [markdown]
# ## 2. Ways of looking
#
# **All heads at once.** Rows of the picture are layers, columns heads. Look for diagonals, stripes and noise.

# %%
attention_plots.all_heads(maps)

# %% [markdown]
# **Lines** show one head, or one token's row. First layer 1, head 8. Then what the second *was* attends to in layer 2, head 9; in the view below, look what *wonderful*, which occurs only once, does in that head:

# %%
attention_plots.lines(maps, layer=1, head=8)

# %%
attention_plots.lines(maps, layer=2, head=9, query=9)

# %% [markdown]
# **By hand.** Choose layer and head, point at a token. The view is one page without anything from outside; `view(maps).save("view.html")` keeps it.

# %% tags=["varies"]
view(maps, layer=1, head=8)

# %% [markdown]
# **Whole words.** WordPiece cuts rare words into pieces. To read a map by words, attention *to* a word is the sum over its pieces, attention *from* a word their average (Clark et al., 2019): the only choice by which rows
# still sum to one.

# %%
pieces = attention_maps(encoder, ["The screenplay was unwatchably convoluted."])
merged, words = attention.merge_pieces(pieces.of(0), pieces.tokens_of(0))
print(pieces.tokens_of(0))
print(words)
claim(
    "merged by words, every row still sums to one",
    np.allclose(merged.sum(axis=-1), 1, atol=1e-5) and len(words) < len(pieces.tokens_of(0)),
    measured=f"{len(pieces.tokens_of(0))} pieces, {len(words)} words",
)

# %% exercise: merge-wordpieces

# %% [markdown]
# ## 3. What heads do, found by a score (注意力头)
#
# One sentence and 72 pictures: whatever pattern you expect, you will find it somewhere. A **score** over many texts, with chance beside it, is harder to fool. Chance is the score of uniform attention; and as a control, the
# same network with *random weights*.
#
# **Predict before you run.** Much is written about BERT's heads resting on **[SEP]**. How large is the share of attention that tokens of MiniLM give to [SEP], and to [CLS]? The uniform share is about 5 %.

# %% tags=["varies"]
short = [text for text in tweets.test.x.tolist() if 6 <= len(text.split()) <= 18][:80]
many = attention_maps(encoder, short)
scores = {
    "previous token": attention.previous_token,
    "next token": attention.next_token,
    "repeated token": attention.repeated_token,
    "[CLS]": attention.first_token,
    "[SEP]": attention.separator,
}
by_head = {name: score(many) for name, score in scores.items()}  # each (layers, heads)
chance = {name: float(score(many.uniform()).mean()) for name, score in scores.items()}
untrained = attention_maps(zoo.load("minilm", weights=None, attention="eager", device="cpu"), short)
control = {name: float(score(untrained).max()) for name, score in scores.items()}
for name, values in by_head.items():
    layer, head = np.unravel_index(values.argmax(), values.shape)
    print(
        f"{name:15} strongest: layer {layer} head {head:2} {values.max():.2f}   all heads {values.mean():.2f}\n"
        f"{'':15} chance {chance[name]:.2f}   random weights, strongest {control[name]:.2f}"
    )

# %%
claim(
    "one head looks at the previous token almost always (0.95 or more) and one mostly at the next (0.5 or more); heads for repeated tokens reach twice chance; no "
    "head of a random network comes near",
    by_head["previous token"].max() > 0.95
    and by_head["next token"].max() > 0.5
    and by_head["repeated token"].max() > 2 * chance["repeated token"]
    and all(control[name] < 0.5 * by_head[name].max() for name in ("previous token", "next token", "repeated token")),
    measured=", ".join(
        f"{name} {by_head[name].max():.2f}" for name in ("previous token", "next token", "repeated token")
    )
    + f"; {len(short)} tweets",
)

# %%
plots.matrix(
    by_head["[CLS]"],
    [str(layer) for layer in range(6)],
    [str(head) for head in range(12)],
    "Share of attention that goes to [CLS]",
    "head",
    "layer",
    limits=(0, 1),
)

# %%
late = by_head["[CLS]"][1:]
claim(
    "the sink of this model is [CLS], not [SEP]: from layer 1 on [CLS] takes at least 0.35 of all attention, five times its uniform share; [SEP] takes less than its uniform share",
    late.mean() > 0.35 and late.mean() > 5 * chance["[CLS]"] and by_head["[SEP]"].mean() < chance["[SEP]"],
    measured=f"[CLS] {late.mean():.2f} (uniform {chance['[CLS]']:.2f}), [SEP] {by_head['[SEP]'].mean():.3f} (uniform {chance['[SEP]']:.3f})",
)

# %% [markdown]
# A row must sum to one, also when a head has nothing to say about a token. Trained heads learn to *park* the rest on a token whose value changes little: an **attention sink** (注意力汇). In BERT it is mostly [SEP] (Clark et al., 2019). Here,
# after MiniLM was distilled and tuned to compare sentences, it is [CLS]. What you read about one model is not true of its relative: score it. And a picture of what "the model looks at" that leaves the sink in shows the sink.

# %% exercise: head-score

# %% [markdown]
# ## 4. Through all layers: rollout and flow (注意力展开与注意力流)
#
# The map of layer 5 speaks about positions in layer 5. To get from there down to the input tokens, Abnar & Zuidema (2020) offer two ways, both on head averages $\bar A_l$ and with half of each layer given to the residual connection:
#
# $$\text{rollout} = \prod_l \tfrac12 (\bar A_l + I),$$
# $$\text{flow}_{ij} = \text{maximum flow from } i \text{ at the top to } j \text{ at the bottom, capacities } \tfrac12 (\bar A_l + I).$$
#
# Why $+ I$? Because most of what stands at a position comes from the same position one layer below, through the residual connection (残差连接), which no attention map shows.
#
# **Predict before you run.** Rollout without the $I$: what does the product of six maps with a strong [CLS] column look like?

# %%
names = maps.tokens_of(0)
attention_plots.token_table(attention.rollout(every), names, "Rollout through six layers, half of it residual")

# %%
bare = attention.rollout(every, residual=0)
between_rows = attention.total_variation(bare[:, None], bare[None]).max()
with_residual = attention.rollout(every)
flow = attention.attention_flow(every, query=4)
to_words = flow[1:-1]
claim(
    "without the residual half all rows of the product are the same to 0.02: it cannot tell tokens apart; with it, each word's own input is above the average of the other words; "
    "the flow from 'wonderful' reaches [CLS] best and all words nearly alike, within 0.15",
    between_rows < 0.02
    and all(with_residual[i, i] > np.delete(with_residual[i, 1:-1], i - 1).mean() for i in range(1, len(names) - 1))
    and flow.argmax() == 0
    and np.ptp(to_words) < 0.15,
    measured=f"largest distance of two rows without residual {between_rows:.3f}; flow to [CLS] {flow[0]:.2f}, to words {to_words.min():.2f} to {to_words.max():.2f}",
)

# %% [markdown]
# The flow hardly ranks the words at all: six layers of pipes, each half a residual, carry nearly everything anywhere. Both summaries assume that every value is worth the same and that a layer is half residual. Neither was measured: they are conventions. Section 5 asks whether they agree with what the model does.

# %% exercise: attention-rollout

# %% [markdown]
# ## 5. What attention is not: an explanation (注意力不是解释)
#
# Ask a fine-tuned classifier itself which tokens matter. **Leave-one-out** (留一法): hide a token and see how far the log-odds of the answer move (the exercise puts [MASK] in its place and takes the probability, which hardly moves where the model is sure). **Gradient × input** (梯度乘输入): the same to first order, one backward pass
# for all tokens. Both are about *this* model's *answer*; an attention map is about a mixture somewhere inside.
#
# The live part trains MiniLM on 200 tweets, a quarter of what the committed experiment takes.

# %%
from dataclasses import replace

from tl_course.pytorch.fit import fit
from tl_course.pytorch.text_classifier import TextClassifier

saved = evidence.load("attention_agreement")
setting = saved["settings"]
few = replace(
    tweets,
    train=tweets.train.take(data.few_shot(tweets.train.y, setting["per_class"] // 4, seed=0)),
    val=tweets.val.take(data.few_shot(tweets.val.y, 25, seed=0)),
)
classifier = TextClassifier(encoder, tweets.class_names, seed=0)
history = fit(
    classifier,
    few,
    num_epochs=setting["num_epochs"],
    lr=setting["lr"],
    backbone_lr=setting["backbone_lr"],
    seed=0,
    progress=False,
)
tuned = attention_maps(classifier, [sentence])
weights, content = tuned.of(0), ~tuned.special_of(0)
attention_plots.saliency(
    np.array(tuned.tokens_of(0))[content],
    {
        "attention received, last layer": attention.received(weights[-1])[content],
        "rollout": attention.received(attention.rollout(weights))[content],
        "gradient × input": gradient_x_input(classifier, [sentence])[0][content],
        "leave-one-out": leave_one_out(classifier, [sentence])[0][content],
    },
    f"Four measures of one sentence, predicted {tweets.class_names[classifier.predict([sentence])[0]]}",
)

# %% exercise: gradient-x-input

# %% exercise: leave-one-out

# %% [markdown]
# One sentence shows what is meant, and proves nothing. Now 100 tweets and five models. Each measure ranks the tokens of each tweet (special ones left out, absolute values); Kendall's τ compares two rankings: 1 the same order, 0
# unrelated. `python benchmarks/evidence/attention_agreement.py` makes the table again.
#
# **Predict before you run.** Which pair of *different* measures agrees best? Is attention nearer to leave-one-out than the gradient is?

# %%
measures = saved["results"]["measures"]
tau = np.array(saved["results"]["tau"])  # (seeds, measures, measures)
plots.matrix(tau.mean(axis=0), measures, measures, "Kendall's τ, 100 tweets, mean of 5 seeds", "", "", limits=(0, 1))

# %%
at = {name: number for number, name in enumerate(measures)}
loo, gradient = at["leave-one-out"], at["gradient × input"]
looks = [at[name] for name in ("first layer", "last layer", "all layers", "rollout")]
with_loo, others = tau[:, :, loo], [m for m in range(len(measures)) if m != loo]
between_layers = tau[:, at["first layer"], at["last layer"]]
claim(
    "no measure ranks the tokens as leave-one-out does: τ below 0.45 for each, in every seed; gradient × input is no nearer than the best of the attentions; the first layer and the last agree "
    "with each other no better, below 0.35",
    with_loo[:, others].max() < 0.45
    and with_loo[:, gradient].mean() < with_loo[:, looks].mean(axis=0).max()
    and between_layers.mean() < 0.35,
    measured="τ with leave-one-out: "
    + ", ".join(
        f"{measures[m]} {with_loo[:, m].mean():.2f} ± {with_loo[:, m].std(ddof=1):.2f}"
        for m in [*looks, gradient, at["[MASK] in its place"]]
    )
    + f"; first with last layer {between_layers.mean():.2f}; spread over five seeds",
)

# %% [markdown]
# Read the table twice. The first layer's attention and the last layer's agree with *each other* hardly better than with leave-one-out (τ 0.20 against 0.15 and 0.18): whoever reports attention has already chosen a layer, an average and a query. And the gradient, which many take for the
# honest alternative, is no nearer. Nor do the two ways of asking the model, hiding a token and replacing it by [MASK], give one ranking: most words of a tweet matter little, and the order of what matters little is noise. There is no ground truth in this table, only
# questions that are well posed and some that are not.
#
# One more row of that file. How alike are two models, fine-tuned on other draws with other seeds, by the same measure?

# %%
between_seeds = np.array(saved["results"]["tau_between_seeds"])  # (pairs of seeds, measures)
claim(
    "attention hardly notices the fine-tuning: between two seeds the first layer's ranking stays (τ 0.9 or more) and the average of all layers nearly (0.8 or more), while what "
    "the answer depends on changes (leave-one-out and gradient × input below 0.6)",
    between_seeds[:, at["first layer"]].min() > 0.9
    and between_seeds[:, at["all layers"]].min() > 0.8
    and between_seeds[:, [loo, gradient]].max() < 0.6,
    measured=", ".join(f"{measures[m]} {between_seeds[:, m].mean():.2f}" for m in [*looks, gradient, loo])
    + f"; {len(between_seeds)} pairs of seeds",
)

# %% [markdown]
# What stays the same while that on which the answer depends changes cannot be the reason for the answer. (Part of the change is noise in the order of words that matter little.)
#
# A test that needs no ranking: take the one token a measure calls most important, and hide it.

# %%
share = np.array(saved["results"]["share_of_largest_effect"])  # (seeds, measures + 1)
plots.bar_with_spread(
    {name: share[:, number] for number, name in enumerate(measures[:-1])} | {"drawn at random": share[:, -1]},
    "Effect of hiding the top token (the largest of the tweet is 1)",
    ylabel="share of the largest effect",
    xlabel="measure, five seeds",
)

# %%
lead = share[:, : len(measures) - 1] - share[:, [-1]]
claim(
    "what [MASK] ranks first has at least 0.7 of the largest effect, so the two interventions agree on the word that counts; the top token by attention, by rollout or by gradient × input has "
    "between 0.25 and 0.65, more than a random token, and rollout has least",
    share[:, at["[MASK] in its place"]].mean() > 0.7
    and all(0.25 < share[:, m].mean() < 0.65 for m in [*looks, gradient])
    and (lead.mean(axis=0) > 0.03).all()
    and share[:, : len(measures) - 1].mean(axis=0).argmin() == at["rollout"],
    measured=", ".join(f"{measures[m]} {share[:, m].mean():.2f}" for m in range(len(measures) - 1))
    + f", at random {share[:, -1].mean():.2f}",
)

# %%
chosen = [text for text in tweets.test.x.tolist() if setting["words"][0] <= len(text.split()) <= setting["words"][1]]
chosen = [chosen[i] for i in np.random.default_rng(0).permutation(len(chosen))[:40]]
live_maps, live_loo = attention_maps(classifier, chosen), leave_one_out(classifier, chosen)
live = np.nanmean(
    [
        attention.rank_correlation(
            attention.received(live_maps.of(i)[-1])[~live_maps.special_of(i)],
            np.abs(live_loo[i])[~live_maps.special_of(i)],
        )
        for i in range(len(chosen))
    ]
)
committed = with_loo[0, at["last layer"]]
claim(
    "a slice made again, the model trained on a quarter of the tweets and asked about 40 of the 100: the committed τ of the last layer with leave-one-out, to 0.12",
    abs(live - committed) < 0.12,
    measured=f"{live:.2f} now, {committed:.2f} committed",
)

# %% [markdown]
# ### Other attention, same answer (对抗注意力)
#
# Jain & Wallace (2019) asked: can the weights be changed without changing the prediction? Wiegreffe & Pinter (2019) answered: ask first whether the model needs its attention at all; train it with uniform weights. Both, on a model small enough to be
# clear: one attention layer over frozen token vectors, a linear head on the weighted sum, 1,000 tweets. Two kinds of vectors: static word embeddings, and MiniLM's last hidden states, each of which has seen the whole tweet.
# `python benchmarks/evidence/attention_adversary.py` makes it again.
#
# **Predict before you run.** For which kind of vectors can attention be moved farther without a change of the answer by more than 0.01? For which does uniform attention cost accuracy?

# %%
adversary = evidence.load("attention_adversary")
kinds = adversary["settings"]["kinds"]
found = {name: np.array(values) for name, values in adversary["results"].items()}
distance = found["adversarial distance"]
plots.bar_with_spread(
    {kind: distance[:, column] for column, kind in enumerate(kinds)},
    "Other attention, same answer to 0.01",
    ylabel="total variation, median of 200 tweets",
    xlabel="token vectors, five seeds",
)

# %%
static, contextual = range(2)
permuted = found["change when permuted"]  # median change of the probability
needs = found["accuracy learned"] - found["accuracy uniform"]  # (seeds, kinds)
claim(
    "over contextual vectors attention can be moved farther in every seed, by 0.8 or more on average, and permuting the weights changes the answer less in every seed; "
    "for neither kind is the gain of learned over uniform attention more than two standard errors",
    (distance[:, contextual] > distance[:, static]).all()
    and distance[:, contextual].mean() > 0.8
    and (permuted[:, contextual] < permuted[:, static]).all()
    and (np.abs(needs.mean(axis=0)) < 2 * needs.std(axis=0, ddof=1) / len(needs) ** 0.5).all(),
    measured="; ".join(
        f"{kind}: moved by {distance[:, c].mean():.2f} ± {distance[:, c].std(ddof=1):.2f}, permuted {permuted[:, c].mean():.2f} ± {permuted[:, c].std(ddof=1):.2f}, "
        f"accuracy {found['accuracy learned'][:, c].mean():.1%} learned, {100 * needs[:, c].mean():+.1f} ± {100 * needs[:, c].std(ddof=1):.1f} points against uniform"
        for c, kind in enumerate(kinds)
    )
    + "; 200 tweets, five seeds",
)

# %% [markdown]
# So the two papers ask different things. Where token vectors are contextual, every position holds something of the whole tweet, and almost opposite weights give the same answer. Where they are plain words, the weights are tied down more. Whether the model *needs* them, these
# five seeds do not say: 1.6 ± 1.9 points over uniform attention for words, 1.4 ± 2.8 for states. "Is attention an explanation?" has no answer before you say *of which model, by which definition, for which question*.
#
# A piece of it made again, as simply as can be: random attention weights over the fine-tuned model's contextual vectors of 60 tweets, its own head, and a search for other weights that give the same answer.

# %%
states = encoder.preprocess(short[:60])
with torch.no_grad():
    hidden = classifier.backbone.model(**states).last_hidden_state  # (60, T, 384)
real = states["attention_mask"].bool()
torch.manual_seed(0)
scorer = torch.nn.Linear(384, 1)
direction = classifier.model.head.weight.detach()
direction = direction[1] - direction[0]


def answer(shares):
    """Probability of the positive class for weights (N, T), with the fine-tuned head's direction."""
    return torch.sigmoid((shares.unsqueeze(-1) * hidden).sum(dim=1) @ direction)


with torch.no_grad():
    own = (4 * scorer(hidden).squeeze(-1)).masked_fill(~real, -torch.inf).softmax(dim=1)
    before = answer(own)
free = own.log().clamp(min=-8).requires_grad_()
optimizer, best = torch.optim.Adam([free], lr=0.1), torch.zeros(len(own))
for _ in range(150):
    other = free.masked_fill(~real, -torch.inf).softmax(dim=1)
    moved, far = (answer(other) - before).abs(), 0.5 * (other - own).abs().sum(dim=1)
    best = torch.where(moved <= 0.01, torch.maximum(best, far.detach()), best)
    optimizer.zero_grad()
    (100 * (moved - 0.005).clamp(min=0) - far).sum().backward()
    optimizer.step()
claim(
    "over contextual vectors other weights with the same answer are easily found: for half of the tweets at a distance of 0.3 or more",
    best.median() > 0.3,
    measured=f"median distance {best.median():.2f} with the probability kept to 0.01",
)

# %% [markdown]
# ## 6. Patches instead of words (视觉 Transformer)
#
# A vision transformer cuts the image into patches and treats them as tokens, with a class token in front, from which the answer is read. Here is one of ours, small enough to ship: it names the handwritten digit on a cluttered
# photograph (its patch vectors come from four small convolutions, so each has seen 23 by 23 pixels around its own 6 by 6). For these images we *know* where the digit is, so "does it look at the digit?" becomes a number: the share of a map's mass inside the digit's box. Chance is the share of the image that the box covers; the control is the same network with random weights.
#
# **Predict before you run.** The class token's row in the last layer, rollout, and occlusion (cover a patch, ask again; 遮挡): order them by their share inside the box.

# %%
from tl_course.pytorch.attention import occlusion

vit = zoo.load("tiny_vit", device="cpu")
blank = zoo.load("tiny_vit", weights=None, device="cpu")
clutter = data.load("cluttered_digits").test
clutter = clutter.take(np.linspace(0, len(clutter) - 1, 60).astype(int))  # all classes
pictures, boxes, patch = clutter.x, clutter.extras["box"], vit.model.patch_size
seen = attention_maps(vit, pictures)


def heat_maps(model, maps):
    """By measure, one value a patch: (N, rows, columns). Attention is the class token's row without itself."""
    rows = {
        "first layer": [maps.of(i)[0, :, 0].mean(axis=0) for i in range(len(maps))],
        "last layer": [maps.of(i)[-1, :, 0].mean(axis=0) for i in range(len(maps))],
        "rollout": [attention.rollout(maps.of(i))[0] for i in range(len(maps))],
    }
    on_patches = {name: np.stack(values)[:, 1:].reshape(-1, *maps.grid) for name, values in rows.items()}
    return on_patches | {"occlusion": np.clip(occlusion(model, pictures, patch), 0, None)}


heat = heat_maps(vit, seen)
shown = [10, 27, 50]
attention_plots.patch_overlay(
    [pictures[i] for i in shown for _ in heat],
    [values[i] for i in shown for values in heat.values()],
    [name for _ in shown for name in heat],
    "Where it looks, and what it depends on; the frame is the digit's box",
    [boxes[i] for i in shown for _ in heat],
)

# %%
inside = np.zeros((len(pictures), *seen.grid))  # share of each patch that lies in the digit's box
for number, (top, left, bottom, right) in enumerate(boxes):
    frame = np.zeros(pictures.shape[1:3])
    frame[top:bottom, left:right] = 1
    inside[number] = frame.reshape(seen.grid[0], patch, seen.grid[1], patch).mean(axis=(1, 3))
by_area = inside.mean(axis=(1, 2))  # (N,): chance


def share_inside(values):
    """Of the mass of (N, rows, columns), the share in the box: (N,)."""
    return (values * inside).sum(axis=(1, 2)) / values.sum(axis=(1, 2)).clip(1e-9)


mass = {name: share_inside(values) for name, values in heat.items()}
untrained_mass = {
    name: share_inside(values) for name, values in heat_maps(blank, attention_maps(blank, pictures)).items()
}
bars = {"chance: the box's area": by_area} | mass
bars |= {f"{name}, untrained": untrained_mass[name] for name in ("rollout", "occlusion")}
plots.bar_with_spread(
    {name: values.reshape(-1, 6).mean(axis=0) for name, values in bars.items()},
    "Share inside the digit's box (6 groups of images)",
    ylabel="share of the mass",
    xlabel="measure",
)

# %%
claim(
    "attention is in the digit's box more than chance has it (last layer and rollout, 0.05 or more), occlusion far more, and more than any attention here; but even with random weights "
    "occlusion is above chance: a bright digit changes any network's answer",
    min(mass["last layer"].mean(), mass["rollout"].mean()) > by_area.mean() + 0.05
    and mass["occlusion"].mean() > max(mass[name].mean() for name in ("first layer", "last layer", "rollout"))
    and mass["occlusion"].mean() > untrained_mass["occlusion"].mean() + 0.1
    and untrained_mass["occlusion"].mean() > by_area.mean() + 0.03,
    measured=f"box {by_area.mean():.2f} of the image; "
    + ", ".join(
        f"{name} {values.mean():.2f} ± {(values - by_area).std(ddof=1) / len(values) ** 0.5:.2f} (random weights {untrained_mass[name].mean():.2f})"
        for name, values in mass.items()
    )
    + f"; {len(pictures)} images, ± standard error",
)

# %% [markdown]
# Look at the first layer, too: half of the class token's attention there is in the box, more than rollout's share and more than twice the last layer's, after which the answer is read. A likely reason: in the first layer a patch stands for what is at its place; further up each
# position holds a mixture, and a map of positions need not point at the digit any more.

# %% exercise: patch-overlay

# %% [markdown]
# ## 7. The listing made right (文档中的系统)
#
# `tl-course run attention --data "your text"` does for any text, and with `--backbone` for any BERT-like model that is cached or reachable, what the listing of section 1 promised: all heads, one head, rollout, the interactive page, the scores.

# %%
import tempfile
from pathlib import Path

from tl_course import systems

result = systems.show_attention(sentence, out=Path(tempfile.mkdtemp()), say=lambda line: None)
for name, file in result.files.items():
    print(f"{name:8} {file.name}")

# %%
claim(
    "the system's maps are those of this lesson, and it names the same previous-token head",
    np.allclose(result.maps.of(), every, atol=1e-4)
    and np.unravel_index(result.scores["previous_token"].argmax(), (6, 12)) == (0, 2),
    measured=f"largest difference {np.abs(result.maps.of() - every).max():.0e}",
)

# %% [markdown]
# ## Where this goes wrong in practice
#
# - **`attentions == ()`**, or `None`, taken as "no attention". Load with eager attention for looking, with fused attention for running.
# - **Maps from a model in training mode.** Rows that do not sum to one are the sign.
# - **Something else drawn as attention**: hidden states, scores before the softmax, an average over texts of different length, padding included.
# - **The sink left in the picture.** Everything seems to look at [CLS] or [SEP], and differences between words disappear.
# - **The head picked after the fact.** With 72 heads one fits any story. Fix the score first, then test it on other texts, with chance and a random network beside it.
# - **"The model decided because of this word"** read off a map. Hide the word and see.
# - **Pieces, positions, padding mixed up**: tokens are not words, and position 5 of layer 4 is not word 5.
#
# ## Interview corner
#
# <details><summary>Which axis of an attention map sums to one, and what does a large column mean?</summary>
#
# Rows: each query shares out one unit among the keys. A large column means that many queries take from that token; if it is [CLS], [SEP] or a full stop, it is usually a sink, not importance.
# </details>
#
# <details><summary>You ask for attentions and get an empty tuple. Why?</summary>
#
# The model runs a fused kernel (sdpa, flash attention) that never materialises the matrix. Load it with <code>attn_implementation="eager"</code>, or call <code>set_attn_implementation("eager")</code>, for the inspection only.
# </details>
#
# <details><summary>Is attention an explanation?</summary>
#
# Not by itself. It is a quantity inside the model: faithful to where a layer mixes from, silent about what the values hold and what becomes of the result. Different definitions disagree, other weights can give the same output, and it agrees only
# moderately with leave-one-out. Use it for hypotheses, then intervene: remove tokens, ablate heads, patch activations.
# </details>
#
# <details><summary>Why does rollout add the identity?</summary>
#
# Each layer adds its output to its input. Without the identity the product ignores the residual path, and after a few layers with a sink all rows are the same.
# </details>
#
# <details><summary>What does attention flow do that rollout does not?</summary>
#
# It limits each connection by its capacity and asks how much can pass at all, instead of multiplying shares along every path. It costs a maximum-flow problem for each pair, and its values do not sum to one.
# </details>
#
# <details><summary>Leave-one-out or gradient × input?</summary>
#
# Leave-one-out asks the model the real question, at one forward pass for each token, off the distribution a little, and misses redundant words (each of two can be spared). Gradient × input costs one backward pass and is right only as
# far as the model is linear.
# </details>
#
# <details><summary>Why do heads attend to [SEP], [CLS] or a full stop?</summary>
#
# The softmax forces shares to sum to one. A head without anything to do parks its attention on a token whose value has little effect. Clark et al. (2019) show that gradients to these weights are small.
# </details>
#
# <details><summary>How would you show that a head does coreference, or syntax?</summary>
#
# A score on annotated text, fixed beforehand, against position baselines, chance and random weights; then ablate the head and see whether the ability suffers.
# </details>
#
# ## Summary
#
# - A row is a query and sums to one. Check four things before you believe a picture: tokens by tokens, no negatives, row sums, padding.
# - Eager attention, evaluation mode, attention mask.
# - Find heads by a score with chance beside it. In MiniLM: a previous-token head, a next-token head, repeated-token heads, and a sink on [CLS].
# - Rollout and flow carry maps down to the input, by convention rather than by measurement.
# - For "what does the answer depend on", ask the model: leave-one-out, gradients, ablation. Attention is a hint.
#
# ## Sources
#
# - Vaswani et al., *Attention is all you need*, NeurIPS 2017. Devlin et al., *BERT*, NAACL 2019. Wang et al., *MiniLM*, NeurIPS 2020.
# - Clark et al., *What does BERT look at?*, BlackboxNLP 2019: heads by score, [SEP] as a resting place, merging pieces.
# - Abnar & Zuidema, *Quantifying attention flow in Transformers*, ACL 2020.
# - Jain & Wallace, *Attention is not explanation*, NAACL 2019. Wiegreffe & Pinter, *Attention is not not explanation*, EMNLP 2019.
# - Shrikumar et al., *Not just a black box*, 2016: gradient × input. Zeiler & Fergus, *Visualizing and understanding convolutional networks*, ECCV 2014: occlusion.
# - Dosovitskiy et al., *An image is worth 16x16 words*, ICLR 2021. Mnih et al., *Recurrent models of visual attention*, NeurIPS 2014: cluttered digits.
# - Hutto & Gilbert, *VADER*, ICWSM 2014: the tweets.
