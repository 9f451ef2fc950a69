"""The code of the clinic's ResNet18 on a folder of images: the listing, mended programs, and half-mended ones."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

IMPORTS = """
import torch
from torch import nn, optim
from torch.utils.data import DataLoader
from torchvision import datasets, transforms
"""

STARTER = (
    IMPORTS
    + '''

def make_loader(folder, batch_size):
    transform = transforms.Compose([
        transforms.ToTensor(),
    ])
    dataset = datasets.ImageFolder(folder, transform=transform)
    return DataLoader(dataset, batch_size=batch_size, shuffle=True)


def measure(model, loader):
    correct = 0
    with torch.no_grad():
        for inputs, labels in loader:
            correct += (model(inputs).argmax(dim=1) == labels).sum().item()
    return correct / len(loader.dataset)


def train_classifier(root, resnet18, num_classes, num_epochs, lr, batch_size, image_size):
    """Fine-tune a pretrained ResNet18 on root/train and evaluate it after every epoch."""
    model = resnet18(weights="DEFAULT")
    model.fc = nn.Linear(512, num_classes)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=lr)
    train_loader = make_loader(f"{root}/train", batch_size)
    losses, accuracies = [], []
    for epoch in range(num_epochs):
        for inputs, labels in train_loader:
            optimizer.zero_grad()
            outputs = model(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
        accuracies.append(measure(model, train_loader))
    return model, losses, accuracies
'''
)

REFERENCE = (
    IMPORTS
    + '''

def make_loader(folder, image_size, batch_size, shuffle):
    transform = transforms.Compose([
        transforms.Resize((image_size, image_size)),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ])
    dataset = datasets.ImageFolder(folder, transform=transform)
    return DataLoader(dataset, batch_size=batch_size, shuffle=shuffle)


def measure(model, loader):
    model.eval()
    correct = 0
    with torch.no_grad():
        for inputs, labels in loader:
            correct += (model(inputs).argmax(dim=1) == labels).sum().item()
    return correct / len(loader.dataset)


def train_classifier(root, resnet18, num_classes, num_epochs, lr, batch_size, image_size):
    """Fine-tune a pretrained ResNet18 on root/train and evaluate it on root/val after every epoch."""
    model = resnet18(weights="DEFAULT")
    model.fc = nn.Linear(512, num_classes)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=lr)
    train_loader = make_loader(f"{root}/train", image_size, batch_size, True)
    val_loader = make_loader(f"{root}/val", image_size, batch_size, False)
    losses, accuracies = [], []
    for epoch in range(num_epochs):
        model.train()
        total = 0.0
        for inputs, labels in train_loader:
            optimizer.zero_grad()
            outputs = model(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
        losses.append(total / len(train_loader.dataset))
        accuracies.append(measure(model, val_loader))
    return model, losses, accuracies
'''
)

AUGMENTED = (
    IMPORTS
    + """

NORMALIZE = [transforms.ToTensor(), transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]


def run(model, loader, criterion, optimizer=None):
    model.train(optimizer is not None)
    losses, hits = [], []
    with torch.set_grad_enabled(optimizer is not None):
        for x, y in loader:
            logits = model(x)
            loss = criterion(logits, y)
            if optimizer is not None:
                model.zero_grad()
                loss.backward()
                optimizer.step()
            losses += [loss.item()] * len(y)
            hits += (logits.argmax(1) == y).tolist()
    return sum(losses) / len(losses), sum(hits) / len(hits)


def train_classifier(root, resnet18, num_classes, num_epochs, lr, batch_size, image_size):
    crop = [transforms.RandomResizedCrop(image_size), transforms.RandomHorizontalFlip()]
    plain = [transforms.Resize(image_size + 4), transforms.CenterCrop(image_size)]
    train = datasets.ImageFolder(root + "/train", transforms.Compose(crop + NORMALIZE))
    val = datasets.ImageFolder(root + "/val", transforms.Compose(plain + NORMALIZE))
    model = resnet18(weights="IMAGENET1K_V1")
    model.fc = nn.Linear(model.fc.in_features, num_classes)
    optimizer = optim.Adam(model.parameters(), lr)
    losses, accuracies = [], []
    for _ in range(num_epochs):
        losses.append(run(model, DataLoader(train, batch_size, shuffle=True), nn.CrossEntropyLoss(), optimizer)[0])
        accuracies.append(run(model, DataLoader(val, 2 * batch_size), nn.CrossEntropyLoss())[1])
    return model, losses, accuracies
"""
)

COLLATED = (
    IMPORTS
    + """

def train_classifier(root, resnet18, num_classes, num_epochs, lr, batch_size, image_size):
    prepare = transforms.Compose([
        transforms.ToTensor(),
        transforms.Resize((image_size, image_size), antialias=True),
        transforms.Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    ])

    def collate(batch):
        return torch.stack([prepare(image) for image, _ in batch]), torch.tensor([label for _, label in batch])

    loaders = {
        split: DataLoader(datasets.ImageFolder(f"{root}/{split}"), batch_size, split == "train", collate_fn=collate)
        for split in ("train", "val")
    }
    model = resnet18(weights="DEFAULT")
    model.fc = nn.Linear(512, num_classes)
    optimizer = optim.Adam(model.parameters(), lr=lr)
    losses, accuracies = [], []
    for epoch in range(num_epochs):
        model.train()
        seen = []
        for inputs, labels in loaders["train"]:
            loss = nn.functional.cross_entropy(model(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen.append(loss.detach())
        losses.append(torch.stack(seen).mean().item())
        model.eval()
        with torch.inference_mode():
            hits = [(model(x).argmax(1) == y).float() for x, y in loaders["val"]]
        accuracies.append(torch.cat(hits).mean().item())
    return model, losses, accuracies
"""
)

MESSAGES = {
    "size": _("a batch is one tensor: pictures of different heights and widths have no common shape"),
    "short side": _("one number for the size fixes the shorter side only: portraits and landscapes still differ"),
    "scale": _("the pretrained layers are shown pixels on another scale than the one they were trained on"),
    "half": _("the pixels are scaled, but not by the statistics that belong to these weights"),
    "scale in training": _("training and evaluation prepare their pictures differently"),
    "modes": _("the network is never switched: it is evaluated with the statistics of the batch it happens to be in"),
    "stays in eval": _("after the first evaluation nobody switches back: from then on training runs in inference mode"),
    "always eval": _("the network trains in inference mode: its BatchNorm statistics stay those of the source"),
    "held out": _("the accuracy is measured on the pictures the network has just been trained on"),
    "half held out": _("the held-out pictures are trained on as well"),
    "last batch": _("the reported loss is that of whichever batch came last"),
    "summed": _("the batches' losses are added up and never divided: the number grows with the data set"),
    "in order": _("training pictures come class by class, in the folder's order"),
}
RESIZE = "        transforms.Resize((image_size, image_size)),\n"
NORMALIZE = "        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),\n"
EPOCH_LOSS = "losses.append(total / len(train_loader.dataset))"
EDITS = {
    "size": ((RESIZE, ""),),
    "short side": (("transforms.Resize((image_size, image_size))", "transforms.Resize(image_size)"),),
    "scale": ((NORMALIZE, ""),),
    "half": ((NORMALIZE, "        transforms.Normalize([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),\n"),),
    "scale in training": (
        (NORMALIZE, "    ] + [transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])] * shuffle)\n"),
        ("    ])\n", ""),
    ),
    "last batch": (
        ("        total = 0.0\n", ""),
        ("            total += loss.item() * len(labels)\n", ""),
        (EPOCH_LOSS, "losses.append(loss.item())"),
    ),
    "summed": ((EPOCH_LOSS, "losses.append(total)"),),
    "held out": (("measure(model, val_loader)", "measure(model, train_loader)"),),
    "half held out": (('f"{root}/train"', 'f"{root}/val"'),),
    "modes": (("    model.eval()\n", ""), ("        model.train()\n", "")),
    "stays in eval": (("        model.train()\n", ""),),
    "always eval": (("        model.train()\n", "        model.eval()\n"),),
    "in order": (("batch_size, True)", "batch_size, False)"),),
}


def mistakes() -> dict[str, Mistake]:
    """The listing itself, and the mended program with one fault left in."""
    found = {name: Mistake(MESSAGES[name], given) for name, given in EDITS.items()}
    return {"listing": Mistake(MESSAGES["size"], source=STARTER), **found}
