"""Attention maps out of PyTorch models, and two measures of what matters that ask the model itself.

Maps: what each token takes from each other token. Gradient × input and leave-one-out: what the answer depends on.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tl_course.attention import AttentionMaps
from tl_course.attention_inputs import check_tokenizer, covered_copies, image_maps, text_maps
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.pytorch.features import evaluation_mode
from tl_course.pytorch.text_classifier import TextNetwork


def attention_maps(model: Any, inputs: Any, *, tokenizer: Any = None) -> AttentionMaps:
    """The attention of every layer and head, in evaluation mode and without gradients; the model is left as it was.

    Args:
        model: a text model of the zoo or a classifier on one, with texts (N,); a Hugging Face encoder or the course's
            `Encoder`, with a tokenised batch and `tokenizer`; a vision transformer of the zoo with images
            (N, H, W, C) in [0, 1]; or any vision transformer made of `nn.MultiheadAttention` (torchvision's) with
            normalised images (N, C, H, W).
        inputs: what the model takes, see above.
        tokenizer: for a bare text module: says which tokens are special.

    Raises:
        BadInput: the model gives no maps, because it runs fused attention (sdpa, flash), which never computes them;
            or what it gives is no attention.
    """
    module, batch, tokenizer = _prepared(model, inputs, tokenizer)
    with evaluation_mode(module), torch.no_grad():
        if isinstance(batch, Tensor):
            return _image_maps(module, batch)
        return _text_maps(module, batch, tokenizer)


def gradient_x_input(model: Any, inputs: Any, *, target: int | None = None) -> list[np.ndarray]:
    """What each token's embedding adds to the answer, to first order: gradient · embedding (Shrikumar et al., 2016).

    The answer is the log-odds of the target class.

    Args:
        model: a text classifier with texts (N,), or a module that gives logits (N, K), with a tokenised batch.
        inputs: see `attention_maps`.
        target: the class; None takes each input's predicted class.

    Returns:
        One array (t,) per input, padding dropped; positive where the token speaks for the class.
    """
    module, batch, _tokenizer = _prepared(model, inputs, None, logits=True)
    with evaluation_mode(module), torch.enable_grad(), _watched_embedding(module, batch) as caught:
        answer = _log_odds(_logits(module, batch), target)
        (gradient,) = torch.autograd.grad(answer.sum(), caught[0])
        values = (gradient * caught[0]).sum(dim=-1).detach().cpu().numpy()  # (N, T)
    return [row[keep] for row, keep in zip(values, _mask(batch).cpu().numpy(), strict=True)]


def leave_one_out(
    model: Any, inputs: Any, *, target: int | None = None, replace_with: int | None = None, batch_size: int = 128
) -> list[np.ndarray]:
    """How far the log-odds of the answer fall when a token is left out: the model is asked again for every token.

    Args:
        model, inputs, target: see `gradient_x_input`.
        replace_with: a token id to put in its place ([MASK], [UNK]); None hides the token behind the attention mask, so
            that no other token attends to it and pooling passes it by.
        batch_size: texts per forward pass.

    Returns:
        One array (t,) per input, padding dropped; positive where the token speaks for the class.
    """
    module, batch, _tokenizer = _prepared(model, inputs, None, logits=True)
    if "attention_mask" not in batch:
        raise BadInput(_("a batch with attention_mask"), ", ".join(batch), _("pass all that the tokenizer returns"))
    rows = []
    with evaluation_mode(module), torch.no_grad():
        for index in range(len(batch["input_ids"])):
            keep = batch["attention_mask"][index].bool()
            one = {key: value[index : index + 1, keep] for key, value in batch.items()}
            rows.append(_left_out(module, one, target, replace_with, batch_size))
    return rows


def occlusion(model: Any, images: np.ndarray, patch_size: int, *, target: int | None = None) -> np.ndarray:
    """How far the log-odds of the answer fall when a patch is painted over with the image's mean colour.

    Zeiler & Fergus (2014).

    Args:
        model: an image model of the zoo, or a classifier on one.
        images: float32 (N, H, W, C) in [0, 1].
        patch_size: side of a patch, which divides H and W.
        target: the class; None takes each image's predicted class.

    Returns:
        float32 (N, H / patch_size, W / patch_size).
    """
    falls = []
    for image in images:
        covered, grid = covered_copies(image, patch_size)
        module, batch, _tokenizer = _prepared(model, covered, None, logits=True)
        with evaluation_mode(module), torch.no_grad():
            falls.append(_falls(_logits(module, batch), target).reshape(grid))
    return np.stack(falls)


def _prepared(model: Any, inputs: Any, tokenizer: Any, logits: bool = False) -> tuple[nn.Module, Any, Any]:
    """The module to run, its batch, and the tokenizer: from a zoo model, a classifier around one, or a bare module."""
    if isinstance(model, nn.Module):
        if isinstance(inputs, Mapping):
            return model, {key: value.to(_device(model)) for key, value in inputs.items()}, tokenizer
        if isinstance(inputs, Tensor):
            return model, inputs.to(_device(model)), tokenizer
        raise BadInput(
            _("a tokenised batch or a tensor of images for a bare module"),
            type(inputs).__name__,
            _("tokenise the texts first, or pass a model of the zoo, which does it itself"),
        )
    owner = getattr(model, "backbone", model)
    if not isinstance(getattr(owner, "model", None), nn.Module):
        raise BadInput(
            _("a PyTorch model of the zoo, a classifier on one, or an nn.Module"),
            type(model).__name__,
            _("for Keras use tl_course.keras.attention"),
        )
    return (model if logits else owner).model, owner.preprocess(inputs), getattr(owner, "tokenizer", None)


def _text_maps(module: nn.Module, batch: Mapping[str, Tensor], tokenizer: Any) -> AttentionMaps:
    check_tokenizer(tokenizer)
    maps = module(**batch, output_attentions=True).attentions
    return text_maps(_arrays(maps), batch["input_ids"].cpu().numpy(), _mask(batch).cpu().numpy(), tokenizer)


def _image_maps(module: nn.Module, images: Tensor) -> AttentionMaps:
    encode = getattr(module, "encode", None)
    if encode is not None:
        maps = encode(images, output_attentions=True).attentions
    else:
        with _maps_of_modules(module) as maps:
            module(images)
    height, width = images.shape[-2:]
    return image_maps(_arrays(maps), (height, width), getattr(module, "patch_size", None))


def _arrays(maps: Sequence[Tensor] | None) -> list[np.ndarray]:
    return [each.float().cpu().numpy() for each in maps or () if each is not None]


@contextmanager
def _maps_of_modules(module: nn.Module) -> Iterator[list[Tensor]]:
    """Ask every `nn.MultiheadAttention` for its weights, head by head, whatever its caller asked for."""
    maps: list[Tensor] = []
    with ExitStack() as hooks:
        for layer in module.modules():
            if isinstance(layer, nn.MultiheadAttention):
                wanted = {"need_weights": True, "average_attn_weights": False}
                before = layer.register_forward_pre_hook(
                    lambda _layer, args, kwargs, wanted=wanted: (args, {**kwargs, **wanted}), with_kwargs=True
                )
                hooks.callback(before.remove)
                hooks.callback(layer.register_forward_hook(lambda _layer, _args, output: maps.append(output[1])).remove)
        yield maps


@contextmanager
def _watched_embedding(module: nn.Module, batch: Mapping[str, Tensor]) -> Iterator[list[Tensor]]:
    """The token embeddings of the next forward pass (N, T, D), made a leaf so that they get a gradient."""
    ids, caught = batch["input_ids"], []

    def watch(_layer: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        if caught or args[0].shape != ids.shape or not torch.equal(args[0], ids):
            return None  # positions or segments
        caught.append(output.detach().requires_grad_())
        return caught[0]

    with ExitStack() as hooks:
        for layer in module.modules():
            if isinstance(layer, nn.Embedding):
                hooks.callback(layer.register_forward_hook(watch).remove)
        yield caught


def _left_out(
    module: nn.Module, one: Mapping[str, Tensor], target: int | None, replace_with: int | None, batch_size: int
) -> np.ndarray:
    """One text (1, t) -> falls in log-odds (t,)."""
    length = one["input_ids"].shape[1]
    many = {key: value.repeat(length + 1, 1) for key, value in one.items()}  # the last row stays whole
    each = torch.arange(length, device=one["input_ids"].device)
    if replace_with is None:
        many["attention_mask"][each, each] = 0
    else:
        many["input_ids"][each, each] = replace_with
    starts = range(0, length + 1, batch_size)
    pieces = [_logits(module, {key: value[s : s + batch_size] for key, value in many.items()}) for s in starts]
    return _falls(torch.cat(pieces), target)


def _falls(logits: Tensor, target: int | None) -> np.ndarray:
    """Logits (n + 1, K), the last row of the whole input -> how far the log-odds fall in the others, (n,)."""
    answer = _log_odds(logits, int(logits[-1].argmax()) if target is None else target)
    return (answer[-1] - answer[:-1]).cpu().numpy()


def _logits(module: nn.Module, batch: Any) -> Tensor:
    spread = isinstance(batch, Mapping) and not isinstance(module, TextNetwork)
    output = module(**batch) if spread else module(batch)
    logits = getattr(output, "logits", output)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[1] < 2:
        raise BadInput(
            _("a classifier that gives logits (N, K), K at least 2"),
            type(output).__name__ if not isinstance(logits, Tensor) else _("shape {s}").format(s=tuple(logits.shape)),
            _("put a head on the encoder first"),
        )
    return logits


def _log_odds(logits: Tensor, target: int | None) -> Tensor:
    """Log-odds (N,) of the target class, of each row's own prediction when it is None."""
    classes = torch.full((len(logits),), -1 if target is None else target, device=logits.device)
    chosen = (logits.argmax(dim=1) if target is None else classes).unsqueeze(1)
    others = logits.scatter(1, chosen, -torch.inf).logsumexp(dim=1)
    return logits.gather(1, chosen).squeeze(1) - others


def _mask(batch: Mapping[str, Tensor]) -> Tensor:
    given = batch.get("attention_mask")
    return torch.ones_like(batch["input_ids"], dtype=torch.bool) if given is None else given.bool()


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device
