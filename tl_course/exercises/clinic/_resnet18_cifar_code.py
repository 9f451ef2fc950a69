"""The code of the clinic's ResNet18 on CIFAR-10: the listing, mended programs, and half-mended ones."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

STARTER = '''
import torch
from torch import nn, optim
from torch.utils.data import DataLoader
from torchvision import transforms


def measure(net, loader):
    correct, total = 0, 0
    with torch.no_grad():
        for images, labels in loader:
            _, predicted = torch.max(net(images), 1)
            total += labels.size(0)
            correct += (predicted == labels).sum().item()
    return correct / total


def train_cifar(resnet18, cifar10, num_epochs, lr, batch_size, image_size, held_out):
    """Fine-tune a pretrained ResNet18 on CIFAR-10 and measure it on the test images."""
    net = resnet18(weights="DEFAULT")
    net.fc = nn.Linear(500, 10)
    transform = transforms.Compose([
        transforms.ToTensor(),
        transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ])
    trainset = cifar10(train=True, transform=transform)
    trainloader = DataLoader(trainset, batch_size=batch_size, shuffle=True)
    testset = cifar10(train=False, transform=transform)
    testloader = DataLoader(testset, batch_size=batch_size)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(net.parameters(), lr=lr, momentum=0.9)
    history = {"loss": []}
    for epoch in range(num_epochs):
        running_loss = 0.0
        for inputs, labels in trainloader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
        history["loss"].append(running_loss / len(trainloader))
    return net, history, measure(net, testloader)
'''

REFERENCE = '''
import torch
from torch import nn, optim
from torch.utils.data import DataLoader, Subset
from torchvision import transforms

AUGMENT = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
SCALE = [transforms.ToTensor(), transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]


def measure(net, loader):
    net.eval()
    correct, total = 0, 0
    with torch.no_grad():
        for images, labels in loader:
            _, predicted = torch.max(net(images), 1)
            total += labels.size(0)
            correct += (predicted == labels).sum().item()
    return correct / total


def train_cifar(resnet18, cifar10, num_epochs, lr, batch_size, image_size, held_out):
    """Fine-tune a pretrained ResNet18 on CIFAR-10; validate after each epoch, and test once, at the end."""
    net = resnet18(weights="DEFAULT")
    net.fc = nn.Linear(512, 10)
    resize = transforms.Resize(image_size)
    trainset = cifar10(train=True, transform=transforms.Compose([*AUGMENT, resize, *SCALE]))
    valset = cifar10(train=True, transform=transforms.Compose([resize, *SCALE]))
    testset = cifar10(train=False, transform=transforms.Compose([resize, *SCALE]))
    order = torch.randperm(len(trainset))
    trainloader = DataLoader(Subset(trainset, order[held_out:]), batch_size=batch_size, shuffle=True)
    valloader = DataLoader(Subset(valset, order[:held_out]), batch_size)
    testloader = DataLoader(testset, batch_size)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(net.parameters(), lr=lr, momentum=0.9)
    history = {"loss": [], "val": []}
    for epoch in range(num_epochs):
        net.train()
        running_loss = 0.0
        for inputs, labels in trainloader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
        history["loss"].append(running_loss / len(trainloader))
        history["val"].append(measure(net, valloader))
    return net, history, measure(net, testloader)
'''

STEM = """
import torch
from torch import nn
from torch.utils.data import DataLoader, random_split
from torchvision import transforms

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


class View(torch.utils.data.Dataset):
    def __init__(self, images, *steps):
        self.images = images
        self.transform = transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image, label = self.images[index]
        return self.transform(image), label


@torch.inference_mode()
def share_right(net, images, batch_size):
    net.eval()
    hits = [net(x).argmax(dim=1) == y for x, y in DataLoader(View(images), batch_size)]
    return torch.cat(hits).float().mean().item()


def train_cifar(resnet18, cifar10, num_epochs, lr, batch_size, image_size, held_out):
    net = resnet18(weights="DEFAULT")
    net.conv1 = nn.Conv2d(3, 64, kernel_size=3, padding=1, bias=False)
    net.maxpool = nn.Identity()
    net.fc = nn.Linear(net.fc.in_features, 10)
    images = cifar10(train=True)
    train, val = random_split(images, [len(images) - held_out, held_out], torch.Generator().manual_seed(1))
    loader = DataLoader(View(train, transforms.RandomHorizontalFlip()), batch_size, shuffle=True)
    optimizer = torch.optim.SGD(net.parameters(), lr, momentum=0.9)
    history = {"loss": [], "val": []}
    for _ in range(num_epochs):
        total = 0
        for x, y in loader:
            net.train()
            loss = nn.functional.cross_entropy(net(x), y)
            net.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y)
        history["loss"].append(total / len(train))
        history["val"].append(share_right(net, val, batch_size))
    return net, history, share_right(net, cifar10(train=False), batch_size)
"""

FIRST_ROWS = REFERENCE.replace("torch.randperm(len(trainset))", "list(range(len(trainset)))").replace(
    "[*AUGMENT, resize, *SCALE]", "[transforms.RandomResizedCrop(image_size, (0.5, 1.0)), AUGMENT[1], *SCALE]"
)

MESSAGES = {
    "head": _("the new head is made for another number of features than this network gives"),
    "scale": _("the pixels are scaled by round numbers, not as the pretrained weights expect"),
    "scale in training": _("training and evaluation prepare their images differently"),
    "map": _("the network halves its maps five times: of so small an image only one position is left"),
    "augmentation": _("the same pixels come in every epoch: nothing stops the network from learning them by heart"),
    "everywhere": _("the images that are measured on are altered at random as well"),
    "validation": _("nothing is held out of the training images, so whatever is chosen is chosen on the test images"),
    "on test": _("the test images are looked at after every epoch: they are no test any more"),
    "leak": _("the images held out are trained on as well"),
    "modes": _("the network is never switched, and is measured with the statistics of the batch it happens to be in"),
    "stays in eval": _("after the first validation nobody switches back: from then on training runs in inference mode"),
    "always eval": _("the network trains in inference mode: its BatchNorm statistics stay those of the source"),
}
NORMALIZE = "transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))"
TRAIN = "transforms.Compose([*AUGMENT, resize, *SCALE])"
VAL = "valset = cifar10(train=True, transform=transforms.Compose([resize, *SCALE]))"
EDITS = {
    "head": (("nn.Linear(512, 10)", "nn.Linear(500, 10)"),),
    "scale": ((NORMALIZE, "transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))"),),
    "scale in training": ((TRAIN, "transforms.Compose([*AUGMENT, resize, SCALE[0]])"),),
    "map": (("transforms.Resize(image_size)", "transforms.Resize(32)"),),
    "augmentation": ((TRAIN, "transforms.Compose([resize, *SCALE])"),),
    "everywhere": ((VAL, "valset = trainset"),),
    "validation": (
        ("Subset(trainset, order[held_out:])", "trainset"),
        ('        history["val"].append(measure(net, valloader))\n', ""),
    ),
    "on test": (('history["val"].append(measure(net, valloader))', 'history["val"].append(measure(net, testloader))'),),
    "leak": (("Subset(trainset, order[held_out:])", "trainset"),),
    "modes": (("    net.eval()\n", ""), ("        net.train()\n", "")),
    "stays in eval": (("        net.train()\n", ""),),
    "always eval": (("        net.train()\n", "        net.eval()\n"),),
}


def mistakes() -> dict[str, Mistake]:
    """The listing itself, and the mended program with one fault left in."""
    found = {name: Mistake(MESSAGES[name], given) for name, given in EDITS.items()}
    return {"listing": Mistake(MESSAGES["head"], source=STARTER), **found}
