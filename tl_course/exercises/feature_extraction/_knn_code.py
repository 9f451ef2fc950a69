"""Right answers to knn-predict: the reference and two alternatives for each framework."""

NUMPY = '''
import numpy as np


def knn_predict(train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, k: int) -> np.ndarray:
    """Predict each test example's class by a vote of its k nearest training examples.

    Args:
        train_x: training features, float, shape (N, D), no row all zero.
        train_y: their classes, integer, shape (N,).
        test_x: test features, float, shape (M, D), no row all zero.
        k: how many neighbours vote, 1 to N; nearest means the largest cosine similarity.

    Returns:
        Classes, integer, shape (M,). Where classes have equally many votes, that of the nearest neighbour among them.
    """
    directions = train_x / np.linalg.norm(train_x, axis=1, keepdims=True)  # (N, D)
    similarity = test_x @ directions.T  # (M, N): a test row's own length does not change its ranking
    nearest = np.argsort(-similarity, axis=1)[:, :k]  # (M, k), nearest first
    labels = train_y[nearest]
    votes = (labels[:, :, None] == labels[:, None, :]).sum(axis=2)  # (M, k): how many share each neighbour's label
    return labels[np.arange(len(labels)), votes.argmax(axis=1)]
'''

NUMPY_COUNTER = """
from collections import Counter

import numpy as np


def knn_predict(train_x, train_y, test_x, k):
    found = []
    for query in test_x:
        cosine = [query @ row / (np.linalg.norm(query) * np.linalg.norm(row)) for row in train_x]
        ranked = sorted(range(len(cosine)), key=cosine.__getitem__, reverse=True)
        found.append(Counter(int(train_y[i]) for i in ranked[:k]).most_common(1)[0][0])
    return np.array(found)
"""

NUMPY_DISTANCES = """
import numpy as np


def knn_predict(train_x, train_y, test_x, k):
    # between vectors of length 1 the Euclidean distance ranks as the cosine does
    a = train_x / np.sqrt((train_x**2).sum(1))[:, None]
    b = test_x / np.sqrt((test_x**2).sum(1))[:, None]
    distance = ((b[:, None] - a[None]) ** 2).sum(-1)
    classes = np.unique(train_y)
    result = np.empty(len(b), dtype=np.int64)
    for row, near in enumerate(distance.argsort(1)[:, :k]):
        counts = {c: (train_y[near] == c).sum() for c in classes}
        top = max(counts.values())
        result[row] = next(train_y[i] for i in near if counts[train_y[i]] == top)
    return result
"""

PYTORCH = '''
import torch
from torch.nn import functional as F


def knn_predict(train_x: torch.Tensor, train_y: torch.Tensor, test_x: torch.Tensor, k: int) -> torch.Tensor:
    """Predict each test example's class by a vote of its k nearest training examples.

    Args:
        train_x: training features, float, shape (N, D), no row all zero.
        train_y: their classes, integer, shape (N,).
        test_x: test features, float, shape (M, D), no row all zero.
        k: how many neighbours vote, 1 to N; nearest means the largest cosine similarity.

    Returns:
        Classes, integer, shape (M,). Where classes have equally many votes, that of the nearest neighbour among them.
    """
    similarity = test_x @ F.normalize(train_x).T  # (M, N): a test row's own length does not change its ranking
    nearest = similarity.topk(k).indices  # (M, k), nearest first
    labels = train_y[nearest]
    votes = (labels[:, :, None] == labels[:, None, :]).sum(dim=2)  # (M, k): how many share each neighbour's label
    return labels[torch.arange(len(labels)), votes.argmax(dim=1)]
'''

PYTORCH_COUNTER = """
from collections import Counter

import torch


def knn_predict(train_x, train_y, test_x, k):
    cosine = torch.cosine_similarity(test_x[:, None], train_x[None], dim=-1)
    nearest = cosine.argsort(dim=1, descending=True)[:, :k]
    return torch.tensor([Counter(labels).most_common(1)[0][0] for labels in train_y[nearest].tolist()])
"""

PYTORCH_ONE_HOT = """
import torch
from torch.nn import functional as F


def knn_predict(train_x, train_y, test_x, k):
    train_x = train_x / train_x.norm(dim=1, keepdim=True)
    test_x = test_x / test_x.norm(dim=1, keepdim=True)
    nearest = torch.cdist(test_x, train_x).topk(k, largest=False).indices
    votes = F.one_hot(train_y)[nearest].float()  # (M, k, C)
    early = torch.linspace(0.4 / k, 0, k)[None, :, None]  # less than a vote in all, more for nearer neighbours
    first = (votes * early).amax(dim=1)
    return (votes.sum(dim=1) + first).argmax(dim=1)
"""

KERAS = '''
from keras import ops


def knn_predict(train_x, train_y, test_x, k: int):
    """Predict each test example's class by a vote of its k nearest training examples.

    Args:
        train_x: training features, float, shape (N, D), no row all zero.
        train_y: their classes, integer, shape (N,).
        test_x: test features, float, shape (M, D), no row all zero.
        k: how many neighbours vote, 1 to N; nearest means the largest cosine similarity.

    Returns:
        Classes, integer, shape (M,). Where classes have equally many votes, that of the nearest neighbour among them.
    """
    similarity = ops.matmul(test_x, ops.transpose(ops.normalize(train_x)))  # (M, N)
    nearest = ops.top_k(similarity, k)[1]  # (M, k), nearest first
    labels = ops.take(train_y, nearest)
    votes = ops.count_nonzero(labels[:, :, None] == labels[:, None, :], axis=2)  # (M, k): how many share it
    winner = ops.top_k(votes, 1)[1]  # (M, 1): where most votes are; of equal ones the first
    return ops.take_along_axis(labels, winner, axis=1)[:, 0]
'''

KERAS_COUNTER = """
from collections import Counter

import numpy as np
from keras import ops


def knn_predict(train_x, train_y, test_x, k):
    train_x, train_y, test_x = (ops.convert_to_numpy(array) for array in (train_x, train_y, test_x))
    found = []
    for query in test_x:
        cosine = train_x @ query / np.linalg.norm(train_x, axis=1)
        ranked = np.argsort(cosine)[::-1]
        found.append(Counter(train_y[ranked[:k]].tolist()).most_common(1)[0][0])
    return ops.convert_to_tensor(np.array(found))
"""

KERAS_ONE_HOT = """
from keras import ops


def knn_predict(train_x, train_y, test_x, k):
    train_x = train_x / ops.norm(train_x, axis=1, keepdims=True)
    test_x = test_x / ops.norm(test_x, axis=1, keepdims=True)
    distance = ops.sum((test_x[:, None] - train_x[None]) ** 2, axis=-1)
    nearest = ops.argsort(distance, axis=1)[:, :k]
    votes = ops.one_hot(ops.take(train_y, nearest), int(ops.max(train_y)) + 1)  # (M, k, C)
    early = ops.linspace(0.4 / k, 0, k)[None, :, None]  # less than a vote in all, more for nearer neighbours
    return ops.argmax(ops.sum(votes, axis=1) + ops.max(votes * early, axis=1), axis=-1)
"""
