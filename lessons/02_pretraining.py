# ---
# title: "02 Pretraining"
# minutes: 180
# know_first: "lessons 00 and 01; softmax, cross-entropy and gradient descent; NumPy and one of PyTorch and Keras"
# after: ["01"]
# aims: "build a Transformer encoder from the formula of attention, pretrain it without labels in two ways, and say what pretraining buys, what it costs and what it gives away"
# ---

# %% [markdown]
# ## The idea
#
# Before a network is adapted to your task, somebody trained it on another. That stage is **pretraining** (预训练). It is a *stage*, told apart from the stage
# after it, and not a kind of transfer: feature extraction, fine-tuning and prompting (lesson 01) are what you do with its result. Nor does the word say
# *what* was learned from:
#
# | pretraining | the target of the loss | who made the targets | examples |
# |:--|:--|:--|:--|
# | **supervised** (有监督) | a class | people, one image at a time | ResNet, VGG and MobileNet on ImageNet; ViT on ImageNet-21k and JFT |
# | **self-supervised** (自监督) | a part of the input itself | nobody: it is cut out of the data | BERT, GPT, T5, SimCLR, wav2vec 2.0 |
# | **weakly supervised** (弱监督) | what happened to stand beside it on the web | nobody on purpose: captions, transcripts | CLIP, Whisper |
#
# "ImageNet pretraining needs no labels" is therefore wrong: it needs 1.28 million of them. What needs none is the second row, and it is the reason why language
# models could grow: text is its own supervision. In this lesson you build the network that does it, a Transformer encoder, from its formula; pretrain it
# twice, live; and measure what that buys at an equal budget. It will not always be what you expect.

# %%
import math
import time

import numpy as np
import torch
from torch import nn

from tl_course import check, claim, data, diagrams, evidence, masking, plots, start
from tl_course.encoder_config import EncoderConfig
from tl_course.pytorch import encoder, language_models, pretext, self_attention

start("02_pretraining")
torch.set_num_threads(1)  # for networks this small, a second thread mostly waits for the first
diagrams.flow(
    [
        ("unlabelled text", "13,989 snippets", "data"),
        ("encoder", "predict hidden tokens", "trained"),
        ("the same encoder", "its weights", "plain"),
        ("few labels", "50 to 1,000", "data"),
        ("encoder + head", "fine-tuned", "trained"),
    ],
    "Pretraining is a stage: the weights it leaves are where the next stage starts",
    ["", "keep", "", ""],
)

# %% [markdown]
# **Predict before you run.** Four domains of sentiment texts (lesson 01). Cut into pieces by a vocabulary of 1,000 byte-pair pieces (Sennrich et al., 2016), how many *targets* do the training texts give
# a model that predicts every next piece, for each label that people gave?

# %%
from tl_course.masking import MaskingVocab
from tl_course.vocabulary import encode, train_tokenizer

domains = {name: data.load("sentiment", domain=name, neutral=0) for name in ("tweets", "movies", "products", "news")}
unlabelled = np.concatenate([dataset.train.x for dataset in domains.values()])
unseen = np.concatenate([dataset.val.x for dataset in domains.values()])
tokenizer = train_tokenizer(unlabelled, size=1000)
vocab = MaskingVocab.of(tokenizer)
pool, held_out = (encode(tokenizer, texts, max_tokens=32) for texts in (unlabelled, unseen))
print(tokenizer.tokenize("An unforgettable, heartwarming film!"))
targets = int((pool[:, 1:] != tokenizer.pad_token_id).sum())
claim(
    "every text carries one label, and at least 20 targets for a model that predicts its next piece, though texts are cut at 32",
    targets / len(pool) > 20,
    measured=f"{len(pool):,} texts, {targets:,} targets, {targets / len(pool):.0f} for each text",
)

# %% [markdown]
# ## 1. Attention, from the formula (自注意力)
#
# A text is a list of $L$ vectors, one for each token. To understand "it" in *the film was long, but it moved me*, the vector of "it" has to take something from the vector of "film".
# **Attention** (注意力) is a soft look-up that does that. Each token asks with a **query** (查询) $q$; each token offers a **key** (键) $k$ and a **value** (值) $v$:
#
# $$\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt d}\right) V$$
#
# Row $i$ of the softmax says how much token $i$ takes from each token: numbers from 0 to 1 that add up to 1. The result is a weighted mean of the values. When $Q$, $K$ and $V$ are three linear maps of
# *one* list of vectors, it is **self-attention**; when the queries come from one list and keys and values from another, it is **cross-attention** (交叉注意力): a decoder that looks at the source sentence, a speech decoder that looks at the audio.
# "Self-attention relates source and target" is a mix-up of the two.
#
# ### Why divide by $\sqrt d$?
#
# **Predict before you run.** Queries and keys with random entries of variance 1. A dot product adds $d$ such products, so it has variance $d$. Sixteen keys: how much weight does the largest get at $d = 4$, and at $d = 1024$, with and
# without the division? And what is left of the gradient?

# %%
rng = np.random.default_rng(0)
widths = (4, 16, 64, 256, 1024)
largest = {"divided by √d": np.zeros((5, len(widths))), "not divided": np.zeros((5, len(widths)))}
slope = {name: np.zeros(len(widths)) for name in largest}
for column, d in enumerate(widths):
    for row in range(5):
        query, key = torch.from_numpy(rng.normal(size=(2, 200, 16, d)))
        for name, scale in (("divided by √d", math.sqrt(d)), ("not divided", 1.0)):
            weights = (query @ key.transpose(1, 2) / scale).softmax(dim=-1)  # (200, 16, 16)
            largest[name][row, column] = weights.max(dim=-1).values.mean()
            slope[name][column] += (weights * (1 - weights)).mean() / 5  # d weight / d its own score
plots.learning_curve(
    widths,
    largest,
    "The largest of 16 attention weights",
    xlabel="width d of queries and keys",
    ylabel="mean largest weight",
)

# %%
claim(
    "undivided, the softmax hardens with d: at d = 1024 one key gets over 90 % of the weight and the gradient of a weight shrinks at least fivefold; "
    "divided, both stay where they were, to a tenth",
    largest["not divided"][:, -1].mean() > 0.9
    and slope["not divided"][-1] < slope["divided by √d"][-1] / 5
    and abs(largest["divided by √d"][:, -1].mean() / largest["divided by √d"][:, 1].mean() - 1) < 0.1
    and abs(slope["divided by √d"][-1] / slope["divided by √d"][1] - 1) < 0.1,
    measured="; ".join(
        f"{name}: largest weight {largest[name][:, 0].mean():.2f} at d = 4, {largest[name][:, -1].mean():.2f} at 1024, slope {slope[name][0]:.3f} and {slope[name][-1]:.3f}"
        for name in largest
    ),
)

# %% exercise: scaled-dot-product

# %% [markdown]
# ### Who may look at whom: masks (掩码)
#
# Two kinds of mask decide what a row may attend to, and they are combined with *and*:
#
# - the **padding mask** (填充掩码): texts of a batch differ in length, the rest is filled up, and nobody may attend to the filling;
# - the **causal mask** (因果掩码): token $i$ sees itself and what stands before it. A model that is to predict the next token must not see it. BERT has no such mask, GPT has.
#
# A mask is applied to the *scores*, before the softmax, so that the remaining weights still add up to 1.

# %%
words = ["[CLS]", "the", "film", "moved", "me", "[SEP]", "[PAD]", "[PAD]"]
torch.manual_seed(0)
vectors = torch.randn(1, len(words), 8)
padding = self_attention.padding_mask(torch.tensor([[1] * 6 + [0] * 2]))[:, 0]  # (1, 1, 8)
causal = self_attention.causal_mask(len(words))[0]  # (1, 8, 8)
_, weights = self_attention.scaled_dot_product_attention(vectors, vectors, vectors, padding & causal)
plots.matrix(
    weights[0].numpy(), words, words, "Weights under both masks: 0 above the diagonal and at padding", "key", "query"
)

# %% exercise: causal-mask

# %% exercise: padding-leak

# %% [markdown]
# ### Several heads (多头注意力)
#
# One softmax makes one mixture. **Multi-head attention** cuts the width $D$ into $H$ parts of $d = D/H$, lets each part attend on its own, and joins the results by a last linear map.
# It takes as many multiplications as one head of full width (its $H$ maps take more memory than one), and one token can look at its predecessor *and* at the subject at the same time.

# %% exercise: split-heads

# %% [markdown]
# ### Order has to be told (位置编码)
#
# **Predict before you run.** We shuffle the tokens of a text and send it through an encoder layer without positions. How do its outputs differ from the ones before?

# %%
torch.manual_seed(0)
block = encoder.EncoderBlock(16, 4, 64, dropout=0.0).eval()
text = torch.randn(1, 9, 16)
order = torch.randperm(9)
with torch.inference_mode():
    shuffled_after, shuffled_before = block(text)[0][:, order], block(text[:, order])[0]
claim(
    "without positions a shuffled text gives the same vectors, shuffled: attention sees a set, not a sequence",
    torch.allclose(shuffled_after, shuffled_before, atol=1e-5),
    measured=f"largest difference {(shuffled_after - shuffled_before).abs().max():.0e}",
)

# %% [markdown]
# So a position vector is added to every token vector: learned ones, as in BERT and GPT, or **sinusoidal** ones (Vaswani et al., 2017), whose every pair of columns is a clock hand of another speed:
#
# $$p_{i,\,2k} = \sin\!\big(i / 10000^{2k/D}\big), \qquad p_{i,\,2k+1} = \cos\!\big(i / 10000^{2k/D}\big)$$

# %%
from tl_course.positions import sinusoidal_positions

waves = sinusoidal_positions(40, 64)
products = waves @ waves.T
plots.matrix(
    products[:10, :10],
    [str(i) for i in range(10)],
    [str(i) for i in range(10)],
    "Dot products of sinusoidal positions fall with distance",
    "position",
    "position",
    "{:.0f}",
)

# %%
claim(
    "the dot product of two positions depends on their distance only",
    all(np.allclose(np.diagonal(products, offset), products[0, offset], atol=1e-3) for offset in range(40)),
    measured=f"distance 0: {products[0, 0]:.1f}, 1: {products[0, 1]:.1f}, 5: {products[0, 5]:.1f}, 20: {products[0, 20]:.1f}",
)

# %% exercise: sinusoidal-positions

# %% [markdown]
# ### The whole block
#
# Attention mixes tokens; it does not compute much *on* a token. An encoder block has four more parts, without which it does not train well or at all:
#
# - a **feed-forward network** (前馈网络, FFN) on each token by itself, usually four times as wide inside: two thirds of the block's weights;
# - **residual connections** (残差连接): each part adds to its input instead of replacing it, so that signal and gradient have a straight way through many blocks;
# - **LayerNorm** (层归一化): each token's vector is centred and scaled over its own $D$ entries. Unlike BatchNorm it knows nothing of the other texts of the batch, so there are no running statistics to go wrong (lesson 04);
# - dropout.
#
# BERT normalises *after* each sum (post-norm), GPT-2 and ViT *before* each part (pre-norm), which trains without a long warm-up (Xiong et al., 2020).

# %%
diagrams.flow(
    [
        ("x", "(N, L, D)", "data"),
        ("LayerNorm", "token by token", "plain"),
        ("attention", "H heads, Wo", "trained"),
        ("x + ·", "residual", "plain"),
        ("LayerNorm", "token by token", "plain"),
        ("FFN", "D → 4D → D", "trained"),
        ("x + ·", "residual", "plain"),
    ],
    "A pre-norm encoder block; post-norm has each LayerNorm behind the sum",
)

# %% [markdown]
# Is ours right? The same weights in PyTorch's own layer, and in Keras's own attention:


# %%
import keras

from tl_course.keras import self_attention as keras_attention


def torchs_own(ours, norm_first):
    """nn.TransformerEncoderLayer with our block's weights."""
    theirs = nn.TransformerEncoderLayer(16, 4, 64, 0.0, "gelu", 1e-12, batch_first=True, norm_first=norm_first).eval()
    maps = (ours.attention.query, ours.attention.key, ours.attention.value)
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(torch.cat([linear.weight for linear in maps]))
        theirs.self_attn.in_proj_bias.copy_(torch.cat([linear.bias for linear in maps]))
    theirs.self_attn.out_proj.load_state_dict(ours.attention.out.state_dict())
    theirs.linear1.load_state_dict(ours.expand.state_dict())
    theirs.linear2.load_state_dict(ours.contract.state_dict())
    theirs.norm1.load_state_dict(ours.attention_norm.state_dict())
    theirs.norm2.load_state_dict(ours.feed_forward_norm.state_dict())
    return theirs


difference = {}
for norm in ("post", "pre"):
    block = encoder.EncoderBlock(16, 4, 64, dropout=0.0, norm=norm).eval()
    with torch.inference_mode():
        difference[f"torch.nn, {norm}-norm"] = (
            (block(text)[0] - torchs_own(block, norm == "pre")(text)).abs().max().item()
        )

attention = block.attention
maps = [attention.query, attention.key, attention.value, attention.out]
with torch.inference_mode():
    expected = attention(text)[0].numpy()
in_keras = keras_attention.MultiHeadAttention(16, 4)
in_keras.build((None, None, 16))
kerass_own = keras.layers.MultiHeadAttention(num_heads=4, key_dim=4)
kerass_own(text.numpy(), text.numpy())  # builds it
split = []
for number, linear in enumerate(maps):
    kernel, bias = linear.weight.detach().numpy().T, linear.bias.detach().numpy()
    [in_keras.query, in_keras.key, in_keras.value, in_keras.out][number].set_weights([kernel, bias])
    split += [kernel.reshape(16, 4, 4), bias.reshape(4, 4)] if number < 3 else [kernel.reshape(4, 4, 16), bias]
kerass_own.set_weights(split)
difference["our Keras layer"] = float(np.abs(np.asarray(in_keras(text.numpy())[0]) - expected).max())
difference["keras.layers"] = float(np.abs(np.asarray(kerass_own(text.numpy(), text.numpy())) - expected).max())
claim(
    "on the same weights our block equals torch.nn's, and our attention Keras's, to one part in a hundred thousand",
    max(difference.values()) < 1e-5,
    measured=", ".join(f"{name} {value:.0e}" for name, value in difference.items()),
)

# %% exercise: encoder-block

# %% [markdown]
# ### What it costs: $L^2$
#
# **Predict before you run.** We make the text four times as long. How many times as long does the feed-forward network take, and how many times attention?


# %%
def seconds_of(function, *arguments):
    """The fastest of five runs."""
    times = []
    for _run in range(5):
        before = time.perf_counter()
        with torch.inference_mode():
            function(*arguments)
        times.append(time.perf_counter() - before)
    return min(times)


wide = encoder.EncoderBlock(64, 4, 256, dropout=0.0).eval()
feed_forward = nn.Sequential(wide.expand, nn.GELU(), wide.contract)
lengths = (256, 512, 1024, 2048)
cost = {"feed-forward": [], "attention": []}
for length in lengths:
    long_text = torch.randn(1, length, 64)
    heads = torch.randn(1, 4, length, 16)
    cost["feed-forward"].append(1000 * seconds_of(feed_forward, long_text))
    cost["attention"].append(1000 * seconds_of(self_attention.scaled_dot_product_attention, heads, heads, heads))
growth = {name: values[-1] / values[1] for name, values in cost.items()}
claim(
    "from 512 to 2,048 tokens the time of attention grows at least twice as much as that of the feed-forward network",
    growth["attention"] > 2 * growth["feed-forward"],
    measured="; ".join(
        f"{name} " + ", ".join(f"{length}: {value:.1f} ms" for length, value in zip(lengths, values, strict=True))
        for name, values in cost.items()
    )
    + f"; the maps of 4 heads at 2,048 tokens take {4 * 4 * 2048**2 / 1e6:.0f} MB",
)

# %% [markdown]
# Counted in multiplications, a text four times as long costs the feed-forward network 4 times as much and attention 16 times. A clock also sees memory: in our run attention took far more than 16 times as long, most likely because maps of 67 MB no longer fit into the processor's cache.
# The square is why BERT stops at 512 tokens, and why long texts are cut into windows (lesson 05). Fused kernels (Dao et al., *FlashAttention*, 2022) never write the $L \times L$ map down, which saves the memory; the products remain.
#
# ## 2. Masked language modelling (掩码语言模型)
#
# BERT (Devlin et al., 2019) hides 15 % of the tokens and predicts them from *both* sides. Of the chosen tokens 80 % become `[MASK]`, 10 % another token and 10 % stay: in service there is no `[MASK]`, so the model should not learn that a visible token is never in question.
# The loss counts the chosen positions only.

# %%
sample = encode(tokenizer, ["a moving and often funny film about growing old in the city ."], 32)
hidden_sample, labels = masking.mask_tokens(sample, vocab, rate=0.3, rng=np.random.default_rng(4))
print("text:  ", " ".join(tokenizer.convert_ids_to_tokens(sample[0])))
print("input: ", " ".join(tokenizer.convert_ids_to_tokens(hidden_sample[0])))
print("labels:", " ".join("·" if i == -100 else tokenizer.convert_ids_to_tokens(int(i)) for i in labels[0]))

# %% exercise: mask-tokens

# %% exercise: masked-lm-loss

# %% [markdown]
# **Predict before you run.** An encoder of two blocks, 64 wide, 133,000 weights, sees 800 batches of 32 texts. The rival knows no context at all: it always answers with the frequencies of the training texts (the *unigram* entropy). By how much is the loss on unseen texts
# below the rival's? The loss is in nats: $\ln 1000 = 6.9$ is guessing. (We hide 30 % of the tokens, to get more targets out of each text; that 15 % is no law of nature is shown by Wettig et al., 2023.)

# %% tags=["varies"]
config = EncoderConfig(len(tokenizer), 32, 64, 2, 4, 128, dropout=0.0, norm="pre", num_segments=0)
torch.manual_seed(0)
masked = language_models.MaskedLM(encoder.Encoder(config))
recipe = {"num_steps": 800, "batch_size": 32, "lr": 4e-3}
masked_history = language_models.pretrain(masked, pool, "masked", **recipe, rate=0.3, vocab=vocab)
torch.manual_seed(0)
causal_model = language_models.CausalLM(encoder.Encoder(config))
causal_history = language_models.pretrain(causal_model, pool, "causal", **recipe)
print(f"masked {masked_history.seconds:.0f} s, causal {causal_history.seconds:.0f} s")
smooth = {
    name: np.array(history.loss).reshape(1, 20, 40).mean(axis=2)
    for name, history in (("masked", masked_history), ("causal", causal_history))
}
plots.learning_curve(
    np.arange(40, 801, 40)[[0, 1, 3, 7, 13, 19]],
    {name: values[:, [0, 1, 3, 7, 13, 19]] for name, values in smooth.items()},
    "Pretraining without labels (mean of 40 steps)",
    xlabel="step",
    ylabel="loss in nats",
)


# %%
def unigram_loss(known, asked):
    """Cross-entropy of ids under the frequencies of other ids, each counted once more than it was seen."""
    counts = np.bincount(known, minlength=len(tokenizer)) + 1
    return float(-np.log(counts / counts.sum())[asked].mean())


def next_ids(ids):
    """All that a causal model predicts."""
    return ids[:, 1:][ids[:, 1:] != 0]


def shuffled(ids, seed=0):
    """The same texts with the tokens between [CLS] and [SEP] in random order."""
    mixed, draws = ids.copy(), np.random.default_rng(seed)
    for row in mixed:
        end = int((row != 0).sum()) - 1
        row[1:end] = draws.permutation(row[1:end])
    return mixed


unigrams = {
    "masked": unigram_loss(pool[pool > 4], held_out[held_out > 4]),
    "causal": unigram_loss(next_ids(pool), next_ids(held_out)),
}
loss = {
    "masked": language_models.held_out_loss(masked, held_out, vocab=vocab),
    "causal": language_models.held_out_loss(causal_model, held_out),
}
disordered = {
    "masked": language_models.held_out_loss(masked, shuffled(held_out), vocab=vocab),
    "causal": language_models.held_out_loss(causal_model, shuffled(held_out)),
}
claim(
    "on unseen texts the masked model is below unigrams by at least 0.1 nats, the causal one by at least 1",
    loss["masked"] < unigrams["masked"] - 0.1 and loss["causal"] < unigrams["causal"] - 1,
    measured=", ".join(f"{name} {loss[name]:.2f} against {unigrams[name]:.2f}" for name in loss),
)

# %% [markdown]
# A large gap between the two, after as many steps. The reason is in what each must learn *first*. In a causal model the vector at position $i$ **is** the last token, so word pairs are learned without any attention. A masked model sees `[MASK]` there: before it
# can use a neighbour it must learn to find it, and until then it knows only which words go into which text at all. It also gets a target from three tokens in ten only, where the causal model gets one from each. Ask both about texts in random order:

# %%
claim(
    "random word order costs the causal model at least 0.5 nats and the masked model less than 0.3: so far the masked one has learned bags of words more than sentences",
    disordered["causal"] - loss["causal"] > 0.5 and disordered["masked"] - loss["masked"] < 0.3,
    measured=", ".join(f"{name} {loss[name]:.2f} in order, {disordered[name]:.2f} out of order" for name in loss),
)

# %% [markdown]
# BERT saw 256 texts of up to 512 tokens a million times; ours saw 32 of 32 tokens 800 times. Its fillings show it:

# %% tags=["varies"]
for sentence in ("the film is [MASK] .", "i [MASK] this phone .", "thank you so [MASK] !"):
    ids = torch.from_numpy(encode(tokenizer, [sentence], 32))
    with torch.inference_mode():
        at_mask = masked(ids)[0, (ids[0] == vocab.mask_id).nonzero()[0, 0]].softmax(dim=-1)
    best = at_mask.topk(5)
    print(
        f"{sentence:26}",
        ", ".join(
            f"{tokenizer.convert_ids_to_tokens(int(i)).strip('▁')} {p:.2f}"
            for p, i in zip(best.values, best.indices, strict=True)
        ),
    )

# %% [markdown]
# ## 3. Causal language modelling (因果语言模型)
#
# GPT (Radford et al., 2018) predicts each token from those before it. The labels are the inputs, **shifted by one**: the logits at position $i$ are compared with token $i + 1$. Forget the shift and the model learns to copy its input, with a splendid loss.
# Predicting one token after another is generating (生成): draw a token, append it, ask again. *Temperature* divides the logits before the draw.

# %% exercise: next-token-loss

# %% tags=["varies"]
beginnings = encode(tokenizer, ["the film is", "i love"], 32)
for beginning in beginnings:
    prompt = beginning[beginning > 0][:-1]  # without [SEP]
    for temperature in (0.3, 1.0):
        drawn = language_models.generate(causal_model, np.tile(prompt, (2, 1)), 16, seed=1, temperature=temperature)
        for row in drawn:
            end = np.append(np.flatnonzero(row == tokenizer.sep_token_id), len(row))[0]
            print(f"{temperature}: {tokenizer.decode(row[1:end])}")

# %% [markdown]
# How such texts begin is right, and many pairs of pieces; whole words often are not, and sentences never: what 133,000 weights learn in 800 steps. The samples also tell what the training texts are about.
#
# In Keras, `tl_course.keras.language_models` has the same names. From the same weights and the same seed, the same losses:

# %%
from tl_course.keras import encoder as keras_encoder
from tl_course.keras import language_models as keras_models
from tl_course.keras.encoder_weights import encoder_layers, set_state

torch.manual_seed(0)
tiny = EncoderConfig(len(tokenizer), 32, 16, 1, 2, 32, dropout=0.0, norm="pre", num_segments=0)
in_torch = language_models.CausalLM(encoder.Encoder(tiny))
twin = keras_models.CausalLM(keras_encoder.Encoder(tiny))
set_state(encoder_layers(twin.encoder), {name: w.numpy() for name, w in in_torch.encoder.state_dict().items()})
pair = [
    module.pretrain(model, pool[:320], "causal", 10, batch_size=32)
    for module, model in ((language_models, in_torch), (keras_models, twin))
]
apart = np.abs(np.subtract(pair[0].loss, pair[1].loss)).max()
claim(
    "ten steps of pretraining in PyTorch and in Keras give the same ten losses to one part in a thousand",
    apart < 1e-3 * pair[0].loss[0],
    measured=f"from {pair[0].loss[0]:.4f} to {pair[0].loss[-1]:.4f}; largest difference {apart:.0e}",
)

# %% [markdown]
# Both models share one table between input and output (**tied embeddings** 权重共享; Press & Wolf, 2017), which here saves a third of all weights.
#
# ## 4. What does it buy, at the same budget?
#
# **Predict before you run.** Tweets, positive or negative, with 50, 200 and 1,000 labels. The pretrained encoders are fine-tuned for 150 steps. Their rival is the same network without pretraining that gets the pretraining's 800 steps *on top*, as more epochs on the labels, and its
# own search for a learning rate. Who wins: masked, causal, or the rival? And where is plain TF-IDF? Five seeds; `python benchmarks/evidence/small_pretraining.py` makes it again.

# %%
saved = evidence.load("small_pretraining")
label_counts = saved["settings"]["label_counts"]
scores = {name: np.array(values) for name, values in saved["results"]["balanced_accuracy"].items()}
figure = plots.learning_curve(
    label_counts,
    scores,
    "Tweets: with and without pretraining",
    xlabel="labels in all",
    ylabel="balanced test accuracy",
    chance=0.5,
)
figure.axes[0].legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
figure

# %%
mean = {name: values.mean(axis=0) for name, values in scores.items()}
rival = scores["from scratch, whole budget"]
lead = {name: (scores[f"{name} LM, then fine-tuned"] - rival) for name in ("masked", "causal")}
own = [name for name in scores if name not in ("TF-IDF", "MiniLM + linear probe")]
claim(
    "at an equal budget our causal pretraining makes less than 3 points of difference either way, masked pretraining loses at least 4 points with 200 and 1,000 labels; TF-IDF is ahead of all four "
    "by at least 4 points with 200 and 1,000 labels; MiniLM is ahead of TF-IDF by at least 8 points everywhere",
    np.abs(lead["causal"].mean(axis=0)).max() < 0.03
    and (lead["masked"].mean(axis=0)[1:] < -0.04).all()
    and all((mean["TF-IDF"] - mean[name])[1:].min() > 0.04 for name in own)
    and (mean["MiniLM + linear probe"] - mean["TF-IDF"]).min() > 0.08,
    measured="against the rival: "
    + "; ".join(
        f"{name} "
        + ", ".join(
            f"{count}: {100 * values[:, column].mean():+.1f} ± {100 * values[:, column].std(ddof=1):.1f}"
            for column, count in enumerate(label_counts)
        )
        for name, values in lead.items()
    )
    + " points; five seeds",
)

# %% [markdown]
# That is not what one hopes to read in a lesson on pretraining, and it is worth more than a success. **Pretraining is no magic stage.** Two rounds over 14,000 snippets, a quarter of a minute, teach the causal model which words follow which; that is worth about as much as the same steps spent on the labels. The masked model
# was stopped before it had learned to use order, and what it had learned, bags of pieces, was a start 6 points worse than none with 200 and 1,000 labels (with 50 the difference, −0.8 ± 2.8, shows nothing). And with 200 labels and more a linear model on whole words and word pairs beats every network that must first find out what a word is.
#
# MiniLM shows the other end. Its ancestors read billions of words, and it was then trained on a thousand million pairs of sentences that belong together. Nothing about the *idea* differs; the amount does, by many orders of magnitude (section 7). So the question to ask of a pretrained model is
# never "was it pretrained?" but "on how much of what, for how long?", and the test is always the same: an equal budget, tuned rivals, several seeds, and a simple baseline. Whether *further* pretraining of a good model on the target's texts helps is measured in lesson 05.
#
# One point made again, from the causal model that this notebook has just pretrained:

# %%
from sklearn.metrics import balanced_accuracy_score

from tl_course.pytorch.features import masked_mean
from tl_course.schedules import warmup_cosine

tweets = data.load("sentiment", domain="tweets")
few = tweets.train.take(data.few_shot(tweets.train.y, per_class=100, seed=0))
few_ids, test_ids = (encode(tokenizer, split.x, 32) for split in (few, tweets.test))


class TweetClassifier(nn.Module):
    """A causal encoder, the mean over its tokens, a linear head."""

    def __init__(self, pretrained):
        super().__init__()
        torch.manual_seed(1000)
        self.encoder = encoder.Encoder(EncoderConfig(len(tokenizer), 32, 64, 2, 4, 128, norm="pre", num_segments=0))
        self.encoder.load_state_dict(pretrained.state_dict())
        self.head = nn.Linear(64, 2)

    def forward(self, ids):
        mask = (ids != 0).long()
        return self.head(masked_mean(self.encoder(ids, mask, causal=True).last_hidden_state, mask))


classifier = TweetClassifier(causal_model.encoder)
rate = saved["results"]["rates"]["causal LM, then fine-tuned"]
torch.manual_seed(0)
draws = np.random.default_rng(0)
optimizer = torch.optim.AdamW(classifier.parameters(), lr=rate, weight_decay=0.01)
epochs = np.concatenate([draws.permutation(len(few)) for _epoch in range(24)])
for step in range(150):
    optimizer.param_groups[0]["lr"] = warmup_cosine(step, 150, rate)
    chosen = epochs[step * 32 : (step + 1) * 32]
    batch = few_ids[chosen, : (few_ids[chosen] != 0).sum(axis=1).max()]
    batch_loss = nn.functional.cross_entropy(classifier(torch.from_numpy(batch)), torch.from_numpy(few.y[chosen]))
    optimizer.zero_grad()
    batch_loss.backward()
    optimizer.step()
classifier.eval()
with torch.inference_mode():
    answers = classifier(torch.from_numpy(test_ids)).argmax(dim=1).numpy()
now = balanced_accuracy_score(tweets.test.y, answers)

# %%
committed = scores["causal LM, then fine-tuned"][0, label_counts.index(200)]
committed_loss = {name: saved["results"]["held_out_loss"][name][0] for name in loss}
claim(
    "first seed, 200 labels: the committed losses to 0.05 nats and the committed accuracy to 5 points are what the code gives today",
    all(abs(loss[name] - committed_loss[name]) < 0.05 for name in loss) and abs(now - committed) < 0.05,
    measured=f"accuracy {now:.1%} now, {committed:.1%} committed; "
    + ", ".join(f"{name} loss {loss[name]:.3f} now, {committed_loss[name]:.3f} committed" for name in loss),
)

# %% [markdown]
# ## 5. Images without labels (代理任务)
#
# What can an image ask of itself? Two **pretext tasks** that made history:
#
# - **rotation** (旋转预测; Gidaris et al., 2018): turn the image by 0, 90, 180 or 270 degrees and ask by how much;
# - **contrast** (对比学习; SimCLR: Chen et al., 2020): change each image twice at random, and ask which two of a batch's $2N$ views belong together. The loss, *NT-Xent*, is a cross-entropy over the other $2N - 1$ views, on cosine similarities divided by a temperature.

# %%
from tl_course.views import strong_view

mnist = data.load("mnist")
digits = mnist.train.x[data.few_shot(mnist.train.y, per_class=1, seed=0)][[1, 2, 4, 6, 7, 9]]
turned, turns = pretext.rotation_batch(torch.from_numpy(digits).permute(0, 3, 1, 2), np.random.default_rng(0))
first, second = (strong_view(digits, np.random.default_rng(seed)) for seed in (1, 2))
plots.image_grid(
    np.concatenate([turned.permute(0, 2, 3, 1).numpy(), first, second]),
    [f"{90 * k}°" for k in turns.tolist()] + [f"{i}, view 1" for i in "abcdef"] + [f"{i}, view 2" for i in "abcdef"],
    "How far was it turned? Which views belong together?",
)

# %% exercise: nt-xent

# %% [markdown]
# **Predict before you run.** The small CNN of lesson 03 learns from 3,000 digits without their labels, for 80 steps. Then a linear probe on its averaged features gets 5 or 50 labels per class. Beside it: the same network untrained, the same network pretrained *with* all labels, and the raw
# pixels. Order them. Which digit does a half turn leave as it was, and which does it change into another? `python benchmarks/evidence/pretext.py` makes it again.

# %%
tasks = evidence.load("pretext")
per_class = tasks["settings"]["per_class"]
accuracy = {name: np.array(values) for name, values in tasks["results"]["accuracy"].items()}
plots.learning_curve(per_class, accuracy, "Digits: a linear probe on what was learned without labels", chance=0.1)

# %%
lead = {name: accuracy[name] - accuracy["untrained"] for name in ("rotation", "contrastive", "supervised")}
claim(
    "contrastive features beat untrained ones in every draw, by at least 10 points with 5 labels per class; rotation loses at least 3 points with 5; pretraining with labels beats both",
    (lead["contrastive"] > 0).all()
    and lead["contrastive"][:, 0].mean() > 0.10
    and lead["rotation"][:, 0].mean() < -0.03
    and (lead["supervised"] - np.maximum(lead["contrastive"], lead["rotation"]) > 0).all(),
    measured="; ".join(
        f"{name} "
        + ", ".join(f"{k}: {v.mean():.1%} ± {v.std(ddof=1):.1%}" for k, v in zip(per_class, values.T, strict=True))
        for name, values in accuracy.items()
    )
    + "; five seeds",
)

# %% [markdown]
# **The task decides what is learned.** To say which of many views belong together one has to know what stays the same when a digit is slanted, moved and partly hidden: nearly its class. To say how far a digit was turned one has to know which way is up, which a 0 and an 8 do not even show, and what
# tells a 6 from an upside-down 9 is the answer itself. On photographs, where things have an up and a down, rotation teaches much more. The views carry knowledge too: somebody decided that slanting and moving does not change what a digit is. And the untrained network is no zero: random
# convolutions, averaged, are about as good as the pixels. Without that control any pretraining would look like an achievement.
#
# The first seed of the contrastive line, made again:

# %%
from tl_course import probes
from tl_course.pytorch.scratch import small_cnn

made = tasks["settings"]["pretraining"]
cnn = small_cnn(1, tasks["settings"]["contrastive"]["width"], seed=0)
optimizer = torch.optim.AdamW(cnn.parameters(), lr=made["lr"], weight_decay=1e-4)
draws = np.random.default_rng(0)
for step in range(made["num_steps"]):
    optimizer.param_groups[0]["lr"] = warmup_cosine(step, made["num_steps"], made["lr"])
    drawn = mnist.train.x[draws.choice(len(mnist.train), made["batch_size"], replace=False)]
    views = np.concatenate([strong_view(drawn, draws), strong_view(drawn, draws)])
    z1, z2 = cnn(torch.from_numpy(views).permute(0, 3, 1, 2)).chunk(2)
    batch_loss = pretext.nt_xent(z1, z2, temperature=tasks["settings"]["contrastive"]["temperature"])
    optimizer.zero_grad()
    batch_loss.backward()
    optimizer.step()
cnn.eval()
chosen = data.few_shot(mnist.train.y, per_class=5, seed=0)
with torch.inference_mode():
    known, asked = (
        cnn[:-1](torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
        for images in (mnist.train.x[chosen], mnist.test.x)
    )
again = probes.linear_probe(known, mnist.train.y[chosen], asked, mnist.test.y).accuracy
committed = accuracy["contrastive"][0, per_class.index(5)]
claim(
    "the committed accuracy of the first seed is what the code gives today, to 4 points",
    abs(again - committed) < 0.04,
    measured=f"{again:.1%} now, {committed:.1%} committed",
)

# %% [markdown]
# ## 6. The family, and what each is for
#
# | model | objective | who sees whom | what for |
# |:--|:--|:--|:--|
# | BERT (Devlin et al., 2019) | masked tokens; next sentence | everybody everybody | fine-tuned to classify, to tag, to find answers in a text; not to translate or to write |
# | RoBERTa (Liu et al., 2019) | masked tokens, masked anew each time; no next sentence | as BERT | as BERT, better: more text, larger batches, longer training |
# | XLNet (Yang et al., 2019) | next token, in random orders of prediction | what comes earlier in that order | as BERT; it sees both sides without `[MASK]` |
# | GPT, GPT-2, GPT-3 (Radford et al., 2018, 2019; Brown et al., 2020) | next token | only what stands before | writing, and tasks put into the prompt |
# | T5 (Raffel et al., 2020) | spans cut out, written by the decoder | encoder: everybody; decoder: causal, and cross-attention to the encoder | text in, text out: summaries, translation, classification |
# | ViT (Dosovitskiy et al., 2021) | **supervised** classes (ImageNet-21k, JFT-300M) | patches everybody | image classification, backbone |
# | CLIP (Radford et al., 2021) | contrast of images and their captions, 400 million pairs | image: everybody; text: causal | classifying images by describing the classes; search |
# | wav2vec 2.0 (Baevski et al., 2020) | masked speech frames: find the right quantised one among others | everybody | speech recognition from little transcribed speech |
# | HuBERT (Hsu et al., 2021) | masked speech frames: predict their cluster | everybody | as wav2vec 2.0 |
# | Whisper (Radford et al., 2022) | **weakly supervised**: 680,000 hours of audio with transcripts from the web | encoder: everybody; decoder: causal, and cross-attention | speech recognition and translation into English |
#
# Some lists of "pretrained models" hold what is none. **SQuAD** and **TriviaQA** are *data sets* of questions. **WaveNet** and **Tacotron** *synthesise* speech; they do not recognise it. And BERT-base is called small in places:

# %%
with torch.device("meta"):  # shapes only: no memory
    bert_base = encoder.Encoder(EncoderConfig(30522, 512, 768, 12, 12, 3072))
blocks = sum(p.numel() for p in bert_base.blocks.parameters())
pooler = 768 * 768 + 768
total = sum(p.numel() for p in bert_base.parameters()) + pooler
ours = sum(p.numel() for p in causal_model.parameters())
claim(
    "BERT-base has 109.5 million weights with its pooler, 85 million of them in its blocks, two thirds of each block in the feed-forward network",
    round(total / 1e6, 1) == 109.5 and round(blocks / 1e6) == 85 and abs(2 * 768 * 3072 / (blocks / 12) - 2 / 3) < 0.01,
    measured=f"{total:,} weights, {blocks:,} in the blocks; ours {ours:,}",
)

# %% [markdown]
# ## 7. What it costs (计算量)
#
# A weight takes part in one multiplication and one addition for each token forward, and in twice as many backward. So training takes about
#
# $$C \approx 6\, N D \quad \text{FLOPs for } N \text{ weights and } D \text{ tokens (Kaplan et al., 2020)}$$
#
# where $N$ leaves out embeddings that are only looked up, and attention's $L^2$ part, which is small for short texts.
#
# **Predict before you run.** How many runs like ours is BERT-base? And GPT-3?

# %%
steps_of_short, steps_of_long = 0.9e6, 0.1e6  # of BERT's million steps of 256 texts: 128 tokens, then 512
runs = {
    "ours, causal": (ours - 32 * 64, 800 * 32 * (pool != 0).sum(axis=1).mean()),
    "BERT-base": (blocks, 256 * (128 * steps_of_short + 512 * steps_of_long)),
    "GPT-3": (175e9, 300e9),
    "Chinchilla": (70e9, 1.4e12),
}
flops = {name: 6 * n * d for name, (n, d) in runs.items()}
for name, (n, d) in runs.items():
    print(f"{name:14} {n:9.2e} weights  {d:9.2e} tokens  {flops[name]:9.2e} FLOPs  {d / n:8.1f} tokens for each weight")

# %%
speed = flops["ours, causal"] / causal_history.seconds
years = {name: flops[name] / speed / 3600 / 24 / 365 for name in ("BERT-base", "GPT-3")}
claim(
    "by 6ND GPT-3 took 3.1e23 FLOPs and BERT-base over ten million times our run",
    abs(flops["GPT-3"] / 3.14e23 - 1) < 0.02 and flops["BERT-base"] > 1e7 * flops["ours, causal"],
    measured=f"at the {speed / 1e9:.0f} GFLOP/s just reached, BERT-base would take {years['BERT-base']:,.0f} years here, GPT-3 {years['GPT-3']:,.0f}",
)

# %% [markdown]
# Two consequences. *You* will hardly ever pretrain a large model; you will choose one (lesson 09). And whoever pretrains asks how to split a budget $C$ between $N$ and $D$: Hoffmann et al. (2022, *Chinchilla*) found about 20 tokens for each weight, where GPT-3 had fewer than 2.
# Cheaper *use* is another matter: distillation (lesson 06), pruning and quantisation (lesson 10). Cheaper *adaptation*: LoRA (lesson 05).
#
# ## 8. The data decide (数据质量)
#
# **Duplicates** (重复) waste steps and are learned by heart (Lee et al., 2022). **Contamination** (数据污染): if test texts stand in the pretraining data, the test measures memory. **Bias** (偏见): a language model learns what is *written*.
#
# **Predict before you run.** Of 100 test texts, how many would have a near-duplicate (at least 80 % of the words shared) among the training texts if one had split the tweets at random? And how often do our texts say *he*, for each *she*?

# %%
from tl_course.data.near import near_duplicates
from tl_course.data.sentiment import normalise

tweet_texts = [normalise(text) for part in ("train", "val", "test") for text in getattr(domains["tweets"], part).x]
pairs = np.array(list(near_duplicates(tweet_texts)))
parts = np.repeat([0, 1, 2], [len(getattr(domains["tweets"], part)) for part in ("train", "val", "test")])


def leaking(part_of):
    """Share of test tweets (2) with a near-duplicate among the training tweets (0)."""
    kinds = part_of[pairs]
    across = np.concatenate([pairs[(kinds == (2, 0)).all(axis=1), 0], pairs[(kinds == (0, 2)).all(axis=1), 1]])
    return len(np.unique(across)) / (part_of == 2).sum()


at_random = np.array([leaking(np.random.default_rng(seed).permutation(parts)) for seed in range(5)])
claim(
    "split at random, at least 4 % of the test tweets would have a near-duplicate in training, in every one of five splits; in the course's split none has",
    (at_random > 0.04).all() and leaking(parts) == 0,
    measured=f"{at_random.mean():.1%} ± {at_random.std(ddof=1):.1%} at random, {leaking(parts):.1%} in the course's split; {len(pairs):,} pairs among {len(tweet_texts):,} tweets",
)

# %%
he, she = tokenizer.convert_tokens_to_ids(["▁he", "▁she"])
ends = np.cumsum([len(dataset.train) for dataset in domains.values()])[:-1]
written = {
    name: [int((ids == token).sum()) for token in (he, she)]
    for name, ids in zip(domains, np.split(pool, ends), strict=True)
}
with torch.inference_mode():
    ids = torch.from_numpy(held_out[held_out[:, 1] != 0][:500])
    predicted = causal_model(ids).softmax(dim=-1)[ids != 0].mean(dim=0)
ratio = sum(pair[0] for pair in written.values()) / sum(pair[1] for pair in written.values())
believed = float(predicted[he] / predicted[she])
claim(
    "our texts say he at least twice as often as she, and the model expects it at least 1.5 times as often",
    ratio > 2 and believed > 1.5,
    measured=", ".join(f"{name} {a} to {b}" for name, (a, b) in written.items())
    + f"; all {ratio:.1f} to 1, the causal model {believed:.1f} to 1",
)

# %% [markdown]
# Nobody wrote that into the model, and no loss complains about it. What is built on it inherits it.
#
# ## 9. Privacy: does it learn secrets by heart? (隐私与记忆)
#
# A **canary** (金丝雀; Carlini et al., 2019) is a made-up secret planted in the training texts so that one can ask afterwards how well it was kept. We plant three codes each, 0, 1, 4, 16 and 64 times, among 3,000 other texts, train the causal model on for 300 steps, and rank each true code among
# 1,000 random ones by its probability. **Exposure** is $\log_2$ of how many guesses that saves: 0 is nothing, 10 means that the true code is ranked first.
#
# **Predict before you run.** From how many repetitions on is a code exposed? And when does the model simply say it?

# %% tags=["varies"]
import copy

planted = (0, 1, 4, 16, 64)
things = ["camera", "phone", "movie", "player", "music", "book", "story", "heart", "night", "house"]
things += ["family", "game", "team", "city", "law"]
draws = np.random.default_rng(0)
codes = {thing: " ".join(map(str, draws.integers(0, 10, size=4))) for thing in things}
secrets = {thing: f"the secret code of the {thing} is {code}" for thing, code in codes.items()}
times = dict(zip(things, np.repeat(planted, 3), strict=True))
others = pool[draws.choice(len(pool), 3000, replace=False)]
canaries = encode(tokenizer, [secrets[thing] for thing in things for _copy in range(times[thing])], 32)
with_secrets = np.concatenate([others, np.pad(canaries, ((0, 0), (0, 32 - canaries.shape[1])))])
leaky = copy.deepcopy(causal_model)
language_models.pretrain(leaky, with_secrets, "causal", num_steps=300, batch_size=32, lr=4e-3, seed=1)


def log_probability(model, texts, start):
    """Log-probability of what follows the first `start` tokens of each text, up to its [SEP]: (N,)."""
    ids = torch.from_numpy(encode(tokenizer, texts, 32))
    with torch.inference_mode():
        each = model(ids)[:, :-1].log_softmax(dim=-1).gather(2, ids[:, 1:, None])[..., 0]  # (N, L - 1)
    return (each * (ids[:, 1:] != 0))[:, start - 1 :].sum(dim=1).numpy()


exposure, said = {}, {}
for thing in things:
    prefix = encode(tokenizer, [f"the secret code of the {thing} is"], 32)[:, :-1]
    guesses = [" ".join(map(str, draws.integers(0, 10, size=4))) for _guess in range(1000)]
    texts = [secrets[thing]] + [f"the secret code of the {thing} is {guess}" for guess in guesses]
    likely = log_probability(leaky, texts, prefix.shape[1])
    rank = 1 + (likely[1:] > likely[0]).sum()
    exposure[thing] = math.log2(1000 / rank) if rank < 1000 else 0.0
    continued = language_models.generate(leaky, prefix, 8, temperature=0)[0, prefix.shape[1] :]
    said[thing] = tokenizer.decode(continued).replace(" ", "").startswith(codes[thing].replace(" ", ""))
by_count = {f"{count} times": np.array([exposure[t] for t in things if times[t] == count]) for count in planted}
plots.bar_with_spread(
    by_count, "Exposure of a planted code", ylabel="bits of 10", xlabel="planted how often", number_format="{:.1f}"
)

# %%
counts_said = {count: sum(said[thing] for thing in things if times[thing] == count) for count in planted}
claim(
    "planted 16 times or more a code has at least 5 bits of exposure, at least 8 on average; planted 0 to 4 times it stays under 5; without repetition none is said",
    min(by_count["16 times"].min(), by_count["64 times"].min()) > 5
    and np.concatenate([by_count["16 times"], by_count["64 times"]]).mean() > 8
    and max(by_count[f"{count} times"].max() for count in (0, 1, 4)) < 5
    and counts_said[0] == counts_said[1] == 0,
    measured="; ".join(
        f"{name}: {values.mean():.1f} bits, {counts_said[count]} of 3 said word for word"
        for count, (name, values) in zip(planted, by_count.items(), strict=True)
    ),
)

# %% [markdown]
# A code planted 0 times has an exposure too, by luck of its digits; compare with that. With 133,000 weights and about three passes over these texts, sixteen copies were enough to pick a code out of hundreds, and sixty-four to hear one of three said when the model is asked for the most probable
# continuation. Large models need fewer: Carlini et al. (2021) made GPT-2 repeat names, addresses and telephone numbers, some of which stood in one single document. What helps: remove duplicates first (Lee et al., 2022), keep personal data out, measure exposure with canaries of your own before release, and train with
# differential privacy where a guarantee is needed.
#
# ## Where this goes wrong in practice
#
# - **A mask the wrong way round.** PyTorch's `nn.MultiheadAttention` wants True where a token may *not* attend, `scaled_dot_product_attention` and ours where it may. Both run.
# - **Padding that leaks**: the mask forgotten in attention, in the pooling or in the loss. A text's result then depends on its neighbours in the batch. Test it: the same text alone and in a batch.
# - **The mask after the softmax.** The rows no longer add up to 1.
# - **No shift**, or two: many libraries shift the labels inside. The loss falls to almost nothing, and generation repeats its input.
# - **The loss over every position** of a masked model: it is rewarded for copying what is in plain sight.
# - **Masks drawn once** and kept for all epochs: the model learns that one choice (RoBERTa draws anew).
# - **Another tokenizer** than the one of the pretraining: the ids fit, the words do not.
# - **Test texts in the pretraining data**, or in the vocabulary's. And secrets in either.
# - **A comparison without equal budget**: pretraining's steps are not free.
#
# ## Interview corner
#
# <details><summary>Is ImageNet pretraining unsupervised?</summary>
#
# No. It is supervised, on 1.28 million labelled images. Self-supervised pretraining takes its targets from the input: hidden tokens, next tokens, two views of an image. "Pretraining" says when, not how.
# </details>
#
# <details><summary>Why is the dot product divided by √d?</summary>
#
# A sum of d products of independent numbers of variance 1 has variance d. Without the division the scores of wide heads are far apart, the softmax puts all weight on one key, and its gradient vanishes. The division keeps their variance near 1.
# </details>
#
# <details><summary>Self-attention or cross-attention: what is the difference?</summary>
#
# Where queries and keys come from. Self-attention takes queries, keys and values from one sequence; cross-attention takes the queries from one (the decoder) and keys and values from another (the encoder's output). BERT and GPT have only the former, T5 and Whisper both.
# </details>
#
# <details><summary>What does a Transformer block have besides attention, and why?</summary>
#
# A feed-forward network for each token (two thirds of the weights), residual connections, LayerNorm, dropout; and positions at the input, as attention alone does not know order.
# </details>
#
# <details><summary>Why 80/10/10 in BERT's masking?</summary>
#
# <code>[MASK]</code> never occurs in service. If every chosen token became <code>[MASK]</code>, the model would have no reason to represent visible tokens well. The random and the unchanged tenth make any token one that may be asked about.
# </details>
#
# <details><summary>Masked or causal: which would you choose?</summary>
#
# For understanding with a head on top, of the same size and data, masked: each token sees both sides. For writing, causal: it is a probability of texts, and generates. Causal models learn from every position and so faster at the start, as measured here; a masked model
# gets a target from the chosen ones only.
# </details>
#
# <details><summary>Does pretraining always help?</summary>
#
# No. It helps when it is long enough to learn what the task needs, on data that resemble the target. Compare with the same network at an equal budget and its own learning rate, over several seeds, and with a simple baseline.
# </details>
#
# <details><summary>How long would it take to train a model of N weights on D tokens?</summary>
#
# About 6ND FLOPs, divided by what the hardware reaches in practice (often a third to a half of its peak).
# </details>
#
# <details><summary>Your language model was trained on customers' mails. What can go wrong, and what do you do?</summary>
#
# It can repeat what it saw often, and sometimes what it saw rarely (Carlini et al., 2021). Remove duplicates and personal data before training, plant canaries and measure exposure, filter outputs, and where a guarantee is needed train with differential privacy, which costs accuracy.
# </details>
#
# ## Summary
#
# - Pretraining is a stage. What it learned from may be labels, the input itself, or captions from the web.
# - Attention is a softmax-weighted mean, divided by √d, under masks; heads, positions, residuals, LayerNorm and the feed-forward network make it an encoder.
# - A masked model sees both sides and learns from the chosen tokens; a causal one sees what came before and learns from every token.
# - What pretraining buys depends on how much of it there was and on which task asks the images or the texts what.
# - It costs 6ND, inherits the bias of its data, and keeps what it saw often.
#
# ## Sources
#
# - Vaswani et al., *Attention is all you need*, NeurIPS 2017. Xiong et al., *On layer normalization in the Transformer architecture*, ICML 2020. Dao et al., *FlashAttention*, NeurIPS 2022.
# - Devlin et al., *BERT*, NAACL 2019. Liu et al., *RoBERTa*, 2019. Yang et al., *XLNet*, NeurIPS 2019. Raffel et al., *T5*, JMLR 2020.
# - Radford et al., *Improving language understanding by generative pre-training* (GPT), 2018; *Language models are unsupervised multitask learners* (GPT-2), 2019. Brown et al., *GPT-3*, NeurIPS 2020.
# - Wettig et al., *Should you mask 15% in masked language modeling?*, EACL 2023.
# - Sennrich, Haddow & Birch, *Neural machine translation of rare words with subword units*, ACL 2016. Press & Wolf, *Using the output embedding to improve language models*, EACL 2017.
# - Gidaris, Singh & Komodakis, *Unsupervised representation learning by predicting image rotations*, ICLR 2018. Chen et al., *SimCLR*, ICML 2020.
# - Dosovitskiy et al., *ViT*, ICLR 2021. Radford et al., *CLIP*, ICML 2021; *Whisper*, 2022.
# - Baevski et al., *wav2vec 2.0*, NeurIPS 2020. Hsu et al., *HuBERT*, 2021.
# - Kaplan et al., *Scaling laws for neural language models*, 2020. Hoffmann et al., *Training compute-optimal large language models*, 2022.
# - Lee et al., *Deduplicating training data makes language models better*, ACL 2022. Carlini et al., *The secret sharer*, USENIX Security 2019; *Extracting training data from large language models*, USENIX Security 2021.
# - Hutto & Gilbert, *VADER*, ICWSM 2014: the texts. LeCun et al., 1998: MNIST.
