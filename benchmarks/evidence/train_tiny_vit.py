"""Train tiny_vit on cluttered_digits; writes tl_course/zoo/weights/tiny_vit.safetensors and a JSON report.

    python benchmarks/evidence/train_tiny_vit.py [--num-epochs 60] [--seed 0] [--threads 1] [--resume]

The schedule is fixed beforehand and the last epoch is kept. Every epoch shows each of the 3,000 training digits once,
slightly turned, sheared and scaled, at a new place of a new background; in the first fifth of the epochs the places
spread from the centre. The validation images show progress; the test images are looked at once, at the end.
"""

import argparse
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from tl_course import assets, data
from tl_course.data.cluttered import BACKGROUNDS, compose
from tl_course.data.dataset import Split
from tl_course.data.photos import FILES, read_photo, regions
from tl_course.schedules import warmup_cosine
from tl_course.zoo.tiny_vit_sizes import MEAN, STD
from tl_course.zoo.tiny_vit_torch import TinyViT

HERE = Path(__file__).resolve().parent
WEIGHTS = HERE.parents[1] / "tl_course" / "zoo" / "weights" / "tiny_vit.safetensors"
CHECKPOINT = HERE / "tiny_vit.checkpoint.pt"


@dataclass(frozen=True)
class Settings:
    """Everything that decides the result."""

    seed: int = 0
    num_epochs: int = 60
    batch_size: int = 25
    lr: float = 2e-3
    warmup: float = 0.05
    weight_decay: float = 0.05
    turn: float = 12.0  # degrees, at most
    shear: float = 0.15
    scale: float = 0.1
    centred: float = 0.2  # share of the epochs over which digits move out from the centre to any place


def bend(digits: np.ndarray, settings: Settings, rng: np.random.RandomState) -> np.ndarray:
    """Digits (N, 28, 28, 1), each turned, sheared and scaled a little about the centre."""
    n = len(digits)
    angle = np.deg2rad(settings.turn) * rng.uniform(-1, 1, n)
    shear = settings.shear * rng.uniform(-1, 1, n)
    stretch = 1 + settings.scale * rng.uniform(-1, 1, (2, n))
    zero = np.zeros(n)
    rows = [
        [stretch[0] * np.cos(angle), stretch[0] * (shear - np.sin(angle)), zero],
        [stretch[1] * np.sin(angle), stretch[1] * np.cos(angle), zero],
    ]
    matrices = torch.from_numpy(np.stack([np.stack(row, axis=-1) for row in rows], axis=1).astype(np.float32))
    grid = functional.affine_grid(matrices, [n, 1, 28, 28], align_corners=False)
    bent = functional.grid_sample(torch.from_numpy(digits).permute(0, 3, 1, 2), grid, align_corners=False)
    return bent.clamp(0, 1).permute(0, 2, 3, 1).numpy()


def epochs(digits: Split, settings: Settings, size: int, first: int) -> Iterator[Split]:
    """The training images of one epoch after another; each depends on seed and epoch only."""
    folder = assets.path("photos")
    photographs = [read_photo(folder / FILES[name], colour=False) for name in BACKGROUNDS]
    backgrounds = [(photo, regions(*photo.shape[:2])["train"]) for photo in photographs]
    for epoch in range(first, settings.num_epochs):
        rng = np.random.RandomState([settings.seed, epoch])
        order = rng.permutation(len(digits))
        spread = min(1.0, (epoch + 1) / max(1.0, settings.centred * settings.num_epochs))
        yield compose(bend(digits.x[order], settings, rng), digits.y[order], backgrounds, size, rng, spread)


def normalise(x: np.ndarray) -> Tensor:
    """Images (N, H, W, 1) in [0, 1] -> tensor (N, 1, H, W), about mean 0 and standard deviation 1."""
    return (torch.from_numpy(x).permute(0, 3, 1, 2) - MEAN[0]) / STD[0]


@torch.inference_mode()
def predict(model: TinyViT, x: np.ndarray) -> np.ndarray:
    """Images (N, H, W, 1) in [0, 1] -> predicted classes (N,)."""
    model.eval()
    return torch.cat([model(batch).argmax(1) for batch in normalise(x).split(250)]).numpy()


class Training:
    """Model and optimiser (AdamW: Loshchilov & Hutter, 2019) that can be stopped after any epoch and resumed."""

    def __init__(self, settings: Settings, num_images: int) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.steps_per_epoch = -(-num_images // settings.batch_size)
        self.epoch = 0
        self.seconds = 0.0
        self.model = TinyViT()
        matrices = [parameter for parameter in self.model.parameters() if parameter.ndim == 2]
        others = [parameter for parameter in self.model.parameters() if parameter.ndim != 2]
        groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=settings.lr)

    def run_epoch(self, images: Split) -> float:
        """One pass over the images -> mean loss."""
        start = time.perf_counter()
        self.model.train()
        total = self.steps_per_epoch * self.settings.num_epochs
        x, y = normalise(images.x), torch.from_numpy(images.y)
        losses = []
        batches = zip(x.split(self.settings.batch_size), y.split(self.settings.batch_size), strict=True)
        for number, (x_batch, y_batch) in enumerate(batches, start=self.epoch * self.steps_per_epoch):
            for group in self.optimizer.param_groups:
                group["lr"] = self.settings.lr * warmup_cosine(number, total, self.settings.warmup)
            loss = functional.cross_entropy(self.model(x_batch), y_batch)
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            losses.append(loss.item())
        self.epoch += 1
        self.seconds += time.perf_counter() - start
        return float(np.mean(losses))

    def save(self, path: Path) -> None:
        """Write everything needed to go on after this epoch."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save({**state, "epoch": self.epoch, "seconds": self.seconds}, path)

    def resume(self, path: Path) -> None:
        """Go on where `save` left off."""
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.seconds = state["epoch"], state["seconds"]


def report(training: Training, val: float, predicted: np.ndarray, y: np.ndarray) -> dict:
    """Settings, versions and accuracy, in all and per class."""
    return {
        "settings": asdict(training.settings),
        "sizes": asdict(training.model.sizes),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "date": date.today().isoformat(),
        "threads": torch.get_num_threads(),
        "training_seconds": round(training.seconds, 1),
        "num_parameters": sum(parameter.numel() for parameter in training.model.parameters()),
        "val_accuracy": val,
        "test_accuracy": float((predicted == y).mean()),
        "test_accuracy_per_class": {str(k): round(float((predicted[y == k] == k).mean()), 4) for k in range(10)},
    }


def main() -> None:
    """Train, test once, write weights and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-epochs", type=int, default=Settings.num_epochs)
    parser.add_argument("--seed", type=int, default=Settings.seed)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="go on from the last finished epoch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = Settings(seed=arguments.seed, num_epochs=arguments.num_epochs)

    digits = data.load("mnist").train
    training = Training(settings, len(digits))
    if arguments.resume:
        training.resume(CHECKPOINT)
    images = data.load("cluttered_digits", size=training.model.sizes.image_size)
    assert images.val is not None
    val = 0.0
    for epoch in epochs(digits, settings, training.model.sizes.image_size, training.epoch):
        loss = training.run_epoch(epoch)
        training.save(CHECKPOINT)
        val = float((predict(training.model, images.val.x) == images.val.y).mean())
        print(f"epoch {training.epoch:3d}  loss {loss:.4f}  val {val:.4f}  {training.seconds:.0f} s", flush=True)

    result = report(training, val, predict(training.model, images.test.x), images.test.y)
    weights = {key: value.contiguous() for key, value in training.model.state_dict().items()}
    save_file(weights, WEIGHTS, metadata={"class_names": "|".join(images.class_names)})
    result["file_bytes"] = WEIGHTS.stat().st_size
    (HERE / "tiny_vit.json").write_text(json.dumps(result, indent=2) + "\n")
    CHECKPOINT.unlink()
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
