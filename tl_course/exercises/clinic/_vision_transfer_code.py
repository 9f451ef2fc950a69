"""The code of the clinic's generic vision transfer: the listing, mended programs, and half-mended ones."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

STARTER = '''
import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms


def migrate_pretrained_model(
    pretrained_model, target_dataset, num_classes, num_epochs, lr, batch_size, image_size, held_out, device
):
    """Fine-tune a pretrained network of any family on new classes, and measure its accuracy."""
    model = pretrained_model
    model.fc = nn.Linear(model.fc.in_features, num_classes)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    transform = transforms.Compose([
        transforms.Resize((image_size, image_size)),
        transforms.ToTensor(),
        transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    ])
    train_loader = DataLoader(target_dataset, batch_size=batch_size, shuffle=True)
    for epoch in range(num_epochs):
        model.train()
        for inputs, labels in train_loader:
            inputs = transform(inputs).to(device)
            labels = labels.to(device)
            loss = nn.CrossEntropyLoss()(model(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    correct, total = 0, 0
    with torch.no_grad():
        for images, truth in train_loader:
            predicted = model(transform(images).to(device)).argmax(dim=1)
            correct += (predicted == truth.to(device)).sum().item()
            total += len(truth)
    return model, correct / total
'''

REFERENCE = '''
import copy

import torch
from torch import nn
from torch.utils.data import DataLoader, random_split
from torchvision import transforms


def replace_head(model, num_classes):
    name, head = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Linear)][-1]
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, nn.Linear(head.in_features, num_classes))


def batches(loader, device):
    for inputs, labels in loader:
        yield inputs.to(device), labels.to(device)


def migrate_pretrained_model(
    pretrained_model, target_dataset, num_classes, num_epochs, lr, batch_size, image_size, held_out, device
):
    """Fine-tune a copy of a pretrained network of any family, and measure it on images held out."""
    model = copy.deepcopy(pretrained_model)
    replace_head(model, num_classes)
    model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    transform = transforms.Compose([
        transforms.Resize((image_size, image_size)),
        transforms.ToTensor(),
        transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    ])

    def collate(rows):
        images, labels = zip(*rows)
        return torch.stack([transform(image) for image in images]), torch.tensor(labels)

    train, test = random_split(target_dataset, [len(target_dataset) - held_out, held_out])
    train_loader = DataLoader(train, batch_size=batch_size, shuffle=True, collate_fn=collate)
    test_loader = DataLoader(test, batch_size, collate_fn=collate)
    for epoch in range(num_epochs):
        model.train()
        for inputs, labels in batches(train_loader, device):
            loss = nn.CrossEntropyLoss()(model(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    correct, total = 0, 0
    with torch.no_grad():
        for inputs, labels in batches(test_loader, device):
            correct += (model(inputs).argmax(dim=1) == labels).sum().item()
            total += len(labels)
    return model, correct / total
'''

WRAPPED = """
from copy import deepcopy

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import transforms


class Prepared(Dataset):
    def __init__(self, rows, size):
        self.rows = rows
        self.resize = transforms.Compose([transforms.ToTensor(), transforms.Resize((size, size), antialias=True)])
        self.scale = transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        image, label = self.rows[index]
        return self.scale(self.resize(image)), label


def with_head(module, count):
    for name, child in reversed(list(module.named_children())):
        if isinstance(child, nn.Linear):
            module.add_module(name, nn.Linear(child.in_features, count))
            return True
        if with_head(child, count):
            return True
    return False


def migrate_pretrained_model(
    pretrained_model, target_dataset, num_classes, num_epochs, lr, batch_size, image_size, held_out, device
):
    model = deepcopy(pretrained_model)
    with_head(model, num_classes)
    model = model.to(device=device)
    rows = Prepared(target_dataset, image_size)
    order = torch.randperm(len(rows)).tolist()
    loader = DataLoader(Subset(rows, order[held_out:]), batch_size, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr)
    model.train()
    for _ in range(num_epochs):
        for x, y in loader:
            model.zero_grad()
            nn.functional.cross_entropy(model(x.to(device)), y.to(device)).backward()
            optimizer.step()
    model.eval()
    with torch.inference_mode():
        hits = [model(x.to(device)).argmax(1).cpu() == y for x, y in DataLoader(Subset(rows, order[:held_out]))]
    return model, torch.cat(hits).float().mean().item()
"""

BY_NAME = (
    REFERENCE.replace(
        REFERENCE[REFERENCE.index("    name, head") : REFERENCE.index("def batches")],
        """    if hasattr(model, "fc"):
        model.fc = nn.Linear(model.fc.in_features, num_classes)
    elif hasattr(model, "heads"):
        model.heads.head = nn.Linear(model.heads.head.in_features, num_classes)
    elif isinstance(model.classifier, nn.Linear):
        model.classifier = nn.Linear(model.classifier.in_features, num_classes)
    else:
        model.classifier[-1] = nn.Linear(model.classifier[-1].in_features, num_classes)


""",
    )
    .replace("random_split(target_dataset, [len(target_dataset) - held_out, held_out])", "split(target_dataset)")
    .replace(
        "    train, test",
        """    def split(rows):
        first = len(rows) - held_out
        return Subset(rows, range(first)), Subset(rows, range(first, len(rows)))

    train, test""",
    )
    .replace("DataLoader, random_split", "DataLoader, Subset")
)

MESSAGES = {
    "listing": _("no family gets through: one stops at its first batch, the others before"),
    "kept": _("the network that was handed in is changed: it cannot do its old task any more"),
    "shallow": _("a copy of the outer shell only: the layers inside are still the caller's"),
    "head": _("only one family of networks keeps its head under that name"),
    "extra": _("a new layer is hung beside the old head, and nobody calls it"),
    "whole classifier": _("more than the last layer is thrown away"),
    "device": _("the data move to the device, and the network stays where it was"),
    "before head": _("the network moves first, and its new head is made afterwards, where it was before"),
    "transform": _("pictures of different sizes, not yet tensors, are to form a batch before anything prepares them"),
    "test as train": _("the accuracy is measured on the images that were trained on"),
    "leak": _("the images that are measured on are among those trained on"),
    "training mode": _("the accuracy is measured in training mode"),
}
SPLIT = "train, test = random_split(target_dataset, [len(target_dataset) - held_out, held_out])"
HEAD = "setattr(model.get_submodule(parent), child, nn.Linear(head.in_features, num_classes))"
EDITS = {
    "kept": (("copy.deepcopy(pretrained_model)", "pretrained_model"),),
    "shallow": (("copy.deepcopy(", "copy.copy("),),
    "head": (
        ("    replace_head(model, num_classes)\n", "    model.fc = nn.Linear(model.fc.in_features, num_classes)\n"),
    ),
    "extra": (("    replace_head(model, num_classes)\n", "    model.fc = nn.Linear(512, num_classes)\n"),),
    "whole classifier": ((HEAD, 'setattr(model, name.split(".")[0], nn.Linear(head.in_features, num_classes))'),),
    "device": (("    model.to(device)\n", ""),),
    "before head": (
        ("    model.to(device)\n", ""),
        ("copy.deepcopy(pretrained_model)", "copy.deepcopy(pretrained_model).to(device)"),
    ),
    "transform": (
        ("batch_size=batch_size, shuffle=True, collate_fn=collate", "batch_size=batch_size, shuffle=True"),
        ("DataLoader(test, batch_size, collate_fn=collate)", "DataLoader(test, batch_size)"),
        ("yield inputs.to(device)", "yield transform(inputs).to(device)"),
        ("def batches(loader, device)", "def batches(loader, device, transform)"),
        ("batches(train_loader, device)", "batches(train_loader, device, transform)"),
        ("batches(test_loader, device)", "batches(test_loader, device, transform)"),
    ),
    "test as train": (("batches(test_loader, device)", "batches(train_loader, device)"),),
    "leak": ((SPLIT, f"{SPLIT}\n    train = target_dataset"),),
    "training mode": (("    model.eval()\n", ""),),
}


def mistakes() -> dict[str, Mistake]:
    """The listing itself, and the mended program with one fault left in."""
    found = {name: Mistake(MESSAGES[name], given) for name, given in EDITS.items()}
    return {"listing": Mistake(MESSAGES["listing"], source=STARTER), **found}
