"""A student with half of MiniLM's layers, on tweets: what do a teacher and unlabelled tweets add to a few labels?

The teacher is MiniLM, fine-tuned on 1,500 labelled tweets. The student has three of its six layers: the blocks 0, 2
and 4, copied from pretrained MiniLM or, as DistilBERT's authors do, from the teacher. Its team has 100 or 300 labels,
the teacher's 1,500, or all 2,052 tweets of the training split without labels and the teacher's answers. Five draws of
the labels, which also choose heads, order and dropout. One peak rate for all students: the best of lesson 05's
`text_instability`. The table of word vectors stays as it is. The teacher's answers are kept in the results, so that a
lesson can distil from them without the teacher.

    python benchmarks/evidence/distill_text.py
"""

import copy
import time

import numpy as np
import text_training as tt
import torch
from common import summary, write_json
from torch import Tensor, nn

from tl_course import data
from tl_course.pytorch.distill_losses import kd_loss
from tl_course.text_batches import length_buckets

SEEDS = (0, 1, 2, 3, 4)
LAYERS = (0, 2, 4)
TEACHER_LABELS, TEACHER_EPOCHS, TEACHER_LR = 1500, 3, 2e-4
LABELS, NUM_EPOCHS = (100, 300), 6
DISTILL_EPOCHS, TEMPERATURE = 2, 2.0
LR = 3e-4


def shallow(network: tt.TextNetwork, seed: int, keep_head: bool = False) -> tt.TextNetwork:
    """The same network with three of its layers; the head fresh, or the network's own."""
    student = tt.TextNetwork(network.encoder, 2, seed)
    blocks = student.encoder.encoder
    blocks.layer = nn.ModuleList([blocks.layer[place] for place in LAYERS])
    student.encoder.config.num_hidden_layers = len(LAYERS)
    if keep_head:
        student.head.load_state_dict(network.head.state_dict())
    return student


def soft_loss(teacher_logits: Tensor, temperature: float = TEMPERATURE):
    """The soft term alone, for texts whose teacher's logits (N, K) are known."""
    return lambda logits, chosen: kd_loss(logits, teacher_logits[chosen], temperature=temperature)


@torch.inference_mode()
def logits_of(network: nn.Module, tokens: list[list[int]]) -> Tensor:
    """(N, K), in inference mode."""
    network.eval()
    found = torch.zeros(len(tokens), 2)
    for chosen in length_buckets([len(ids) for ids in tokens], 64):
        found[chosen] = network(**tt.padded(tokens, chosen))
    return found


def texts_a_second(networks: dict[str, nn.Module], tokens: list[list[int]], rounds: int = 9) -> dict[str, float]:
    """Median over interleaved rounds, batches of 32, one thread, processor time."""
    seconds = {name: [] for name in networks}
    for _ in range(rounds):
        for name, network in networks.items():
            network.eval()
            begin = time.process_time()
            with torch.inference_mode():
                for chosen in length_buckets([len(ids) for ids in tokens], 32):
                    network.encoder(**tt.padded(tokens, chosen))  # float32, as it is served
            seconds[name].append(time.process_time() - begin)
    return {name: len(tokens) / float(np.median(values)) for name, values in seconds.items()}


def main() -> None:
    """Run everything and write the file."""
    begin = time.perf_counter()
    tweets, pretrained = data.load("sentiment", domain="tweets"), tt.TextNetwork(tt.minilm().model, 2, 0)
    model = tt.minilm()
    train, test = tweets.train, tweets.test
    tokens, test_tokens = (tt.tokens_of(model, split.x) for split in (train, test))

    def fitted(network: nn.Module, places: np.ndarray, seed: int, loss_of=None, **how) -> nn.Module:
        network.encoder.embeddings.word_embeddings.requires_grad_(False)
        tt.train(network, [tokens[i] for i in places], train.y[places], seed=seed, loss_of=loss_of, **how)
        return network

    known = np.random.RandomState(0).permutation(len(train))[:TEACHER_LABELS]
    how = {"lr": TEACHER_LR, "num_epochs": TEACHER_EPOCHS}
    teacher = fitted(copy.deepcopy(pretrained), known, 0, **how)
    teacher_says = tt.predict(teacher, test_tokens)
    teacher_test = np.array([np.mean(teacher_says == test.y), tt.balanced_accuracy(teacher_says, test.y)])
    print(f"teacher: accuracy, balanced {teacher_test.round(3)}, {time.perf_counter() - begin:.0f} s", flush=True)
    teacher_logits = logits_of(teacher, tokens)

    everything = np.arange(len(train))
    few, many = {"lr": LR, "num_epochs": NUM_EPOCHS}, {"lr": LR, "num_epochs": DISTILL_EPOCHS}
    runs = {  # name: (start, keep the head, number of labels or texts without, how)
        "100 labels": (pretrained, False, 100, few),
        "300 labels": (pretrained, False, 300, few),
        "300 labels, teacher's layers": (teacher, True, 300, few),
        "1,500 labels": (pretrained, False, TEACHER_LABELS, {"lr": LR, "num_epochs": TEACHER_EPOCHS}),
        "unlabelled, soft": (pretrained, False, everything, many),
        "unlabelled, soft, teacher's layers": (teacher, True, everything, many),
    }
    found = {name: np.zeros((len(SEEDS), 2)) for name in runs}
    agreement = {name: np.zeros(len(SEEDS)) for name in runs}
    for row, seed in enumerate(SEEDS):
        for name, (start, keep_head, given, options) in runs.items():
            soft = not isinstance(given, int)
            places = given if soft else np.random.RandomState(seed).permutation(known)[:given]
            loss_of = soft_loss(teacher_logits[places]) if soft else None
            student = fitted(shallow(start, seed, keep_head), places, seed, loss_of, **options)
            says = tt.predict(student, test_tokens)
            found[name][row] = np.mean(says == test.y), tt.balanced_accuracy(says, test.y)
            agreement[name][row] = np.mean(says == teacher_says)
        print(
            f"seed {seed}, {time.perf_counter() - begin:.0f} s: "
            + "; ".join(f"{name} {values[row, 0]:.3f}" for name, values in found.items()),
            flush=True,
        )
    for name, values in found.items():
        print(f"{name}: {summary(values[:, 0])}", flush=True)
    speed = texts_a_second({"teacher": teacher, "student": student}, test_tokens[:256])
    parameters = {
        name: sum(p.numel() for p in net.parameters()) for name, net in (("teacher", teacher), ("student", student))
    }
    settings = {
        "rows": "seeds",
        "layers": LAYERS,
        "teacher": {"labels": TEACHER_LABELS, "num_epochs": TEACHER_EPOCHS, "lr": TEACHER_LR, "seeds": 1},
        "labels": [*LABELS, TEACHER_LABELS],
        "unlabelled": len(train),
        "test_texts": len(test),
        "temperature": TEMPERATURE,
        "alpha": 1.0,
        "labels_alone": few | {"num_epochs with 1,500": TEACHER_EPOCHS},
        "distilled": many,
        "batch_size": tt.BATCH_SIZE,
        "precision": "bfloat16 matrix products in training; speed in float32, one thread",
        "seconds": round(time.perf_counter() - begin),
    }
    results = {
        "accuracy": {name: values[:, 0] for name, values in found.items()},
        "balanced_accuracy": {name: values[:, 1] for name, values in found.items()},
        "agreement": agreement,
        "teacher": {"accuracy": teacher_test[0], "balanced_accuracy": teacher_test[1]},
        "parameters": parameters,
        "texts_a_second": speed,
        "teacher_logit_difference": (teacher_logits[:, 1] - teacher_logits[:, 0]).double().numpy().round(2),
    }
    write_json("distill_text", settings, SEEDS, results)


if __name__ == "__main__":
    main()
