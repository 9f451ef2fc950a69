"""Train fashion_resnet on Fashion-MNIST; writes tl_course/zoo/weights/fashion_resnet.safetensors and a JSON report.

    python benchmarks/evidence/train_fashion_resnet.py [--num-epochs 20] [--seed 0] [--resume]

The schedule is fixed beforehand and the last epoch is kept. The first 2,000 training images are held out to watch
progress; the test images are looked at once, at the end.
"""

import argparse
import gzip
import json
import platform
import time
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from tl_course import assets
from tl_course.zoo.fashion_resnet_torch import FashionResNet

HERE = Path(__file__).resolve().parent
WEIGHTS = HERE.parents[1] / "tl_course" / "zoo" / "weights" / "fashion_resnet.safetensors"
CHECKPOINT = HERE / "fashion_resnet.checkpoint.pt"
NUM_VALIDATION = 2_000
MAX_SHIFT = 2  # pixels
CLASS_NAMES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


@dataclass(frozen=True)
class Settings:
    """Everything that decides the result."""

    seed: int = 0
    num_epochs: int = 20
    batch_size: int = 128
    lr: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4


def read(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Part "train" or "t10k" of Fashion-MNIST in its published order: images (N, 28, 28, 1) in [0, 1], labels (N,)."""
    folder = Path(assets.path("fashion_mnist"))
    with (
        gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as images,
        gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as labels,
    ):
        x = np.frombuffer(images.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)
        y = np.frombuffer(labels.read(), np.uint8, offset=8)
    return x.astype(np.float32) / np.float32(255), y.astype(np.int64)


def normalise(x: np.ndarray, mean: float, std: float) -> Tensor:
    """Images (N, 28, 28, 1) in [0, 1] -> tensor (N, 1, 28, 28) of mean 0 and standard deviation 1."""
    return torch.from_numpy((x.transpose(0, 3, 1, 2) - np.float32(mean)) / np.float32(std)).contiguous()


def augment(x: Tensor, background: float, generator: torch.Generator) -> Tensor:
    """Mirror half of the images and shift each by up to MAX_SHIFT pixels; `background` fills what comes in."""
    n, _, height, width = x.shape
    mirrored = torch.rand(n, generator=generator) < 0.5
    x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    padded = functional.pad(x, [MAX_SHIFT] * 4, value=background)[:, 0]  # (N, H + 4, W + 4)
    shift = torch.randint(0, 2 * MAX_SHIFT + 1, (2, n, 1, 1), generator=generator)
    rows = shift[0] + torch.arange(height)[None, :, None]
    columns = shift[1] + torch.arange(width)[None, None, :]
    return padded[torch.arange(n)[:, None, None], rows, columns][:, None]


@torch.inference_mode()
def predict(model: FashionResNet, x: Tensor) -> Tensor:
    """Normalised images (N, 1, 28, 28) -> predicted classes (N,)."""
    model.eval()
    batches = [x_batch.to(memory_format=torch.channels_last) for x_batch in x.split(500)]
    return torch.cat([model(x_batch).argmax(1) for x_batch in batches])


class Training:
    """Model, optimiser and one-cycle schedule (Smith & Topin, 2018) that can be stopped after any epoch and resumed."""

    def __init__(self, settings: Settings, num_steps_per_epoch: int, background: float) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.background = background
        self.epoch = 0
        self.seconds = 0.0
        self.model = FashionResNet().to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, max_lr=settings.lr, epochs=settings.num_epochs, steps_per_epoch=num_steps_per_epoch
        )

    def run_epoch(self, x: Tensor, y: Tensor) -> float:
        """One pass over the training images in an order that depends on seed and epoch only -> mean loss."""
        start = time.perf_counter()
        generator = torch.Generator().manual_seed(1_000 * self.settings.seed + self.epoch)
        self.model.train()
        losses = []
        for batch in torch.randperm(len(x), generator=generator).split(self.settings.batch_size):
            images = augment(x[batch], self.background, generator).contiguous(memory_format=torch.channels_last)
            loss = functional.cross_entropy(self.model(images), y[batch])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            losses.append(loss.item())
        self.epoch += 1
        self.seconds += time.perf_counter() - start
        return float(np.mean(losses))

    def _parts(self) -> dict:
        return {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}

    def save(self, path: Path) -> None:
        """Write everything needed to go on after this epoch."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        torch.save({**state, "epoch": self.epoch, "seconds": self.seconds}, path)

    def resume(self, path: Path) -> None:
        """Go on where `save` left off."""
        state = torch.load(path, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.epoch, self.seconds = state["epoch"], state["seconds"]


def report(training: Training, predicted: np.ndarray, y: np.ndarray) -> dict:
    """Settings, versions and test accuracy, in all and per class."""
    per_class = {name: float((predicted[y == i] == i).mean()) for i, name in enumerate(CLASS_NAMES)}
    return {
        "settings": asdict(training.settings),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "date": date.today().isoformat(),
        "threads": torch.get_num_threads(),
        "training_seconds": round(training.seconds, 1),
        "num_parameters": sum(parameter.numel() for parameter in training.model.parameters()),
        "test_accuracy": float((predicted == y).mean()),
        "test_accuracy_per_class": per_class,
    }


def main() -> None:
    """Train, test once, write weights and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-epochs", type=int, default=Settings.num_epochs)
    parser.add_argument("--seed", type=int, default=Settings.seed)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resume", action="store_true", help="go on from the last finished epoch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = Settings(seed=arguments.seed, num_epochs=arguments.num_epochs)

    train_x, train_y = read("train")
    mean, std = round(float(train_x.mean()), 4), round(float(train_x.std()), 4)
    x, y = normalise(train_x, mean, std), torch.from_numpy(train_y)
    x_val, y_val, x, y = x[:NUM_VALIDATION], y[:NUM_VALIDATION], x[NUM_VALIDATION:], y[NUM_VALIDATION:]

    training = Training(settings, -(-len(x) // settings.batch_size), background=-mean / std)
    if arguments.resume:
        training.resume(CHECKPOINT)
    while training.epoch < settings.num_epochs:
        loss = training.run_epoch(x, y)
        training.save(CHECKPOINT)
        accuracy = (predict(training.model, x_val) == y_val).float().mean().item()
        print(f"epoch {training.epoch:2d}  loss {loss:.4f}  val {accuracy:.4f}  {training.seconds:.0f} s", flush=True)

    test_x, test_y = read("t10k")
    result = report(training, predict(training.model, normalise(test_x, mean, std)).numpy(), test_y)
    weights = {key: value.contiguous() for key, value in training.model.state_dict().items()}
    WEIGHTS.parent.mkdir(exist_ok=True)
    metadata = {"mean": str(mean), "std": str(std), "class_names": "|".join(CLASS_NAMES)}
    save_file(weights, WEIGHTS, metadata=metadata)
    result |= {"mean": mean, "std": std, "file_bytes": WEIGHTS.stat().st_size}
    (HERE / "fashion_resnet.json").write_text(json.dumps(result, indent=2) + "\n")
    CHECKPOINT.unlink()
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
