"""Let a candidate extract features with a tiny backbone, and watch what the backbone gets and what becomes of it."""

import numpy as np

from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.feature_extraction._backbones import counting, keras_backbone, torch_backbone


def _observed(result, passes: dict[str, int], recorded: bool, before: dict, after: dict) -> dict:
    """What both probes report."""
    features = as_array(result)
    changed = [name for name in before if not np.array_equal(before[name], after[name])]
    seen = {"features": features, "kind": type(result).__name__, "dtype": str(features.dtype)}
    return {**seen, **passes, "recorded": recorded, "changed": ", ".join(changed)}


def probe_pytorch(candidate, inputs):
    """Extract features, and watch what the backbone gets and what becomes of it."""
    import torch

    backbone = torch_backbone(inputs["weights"], dropout=0.5).train(inputs["training"])
    sizes, recorded = [], []
    backbone.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    backbone.register_forward_hook(lambda module, args, output: recorded.append(output.requires_grad))

    def state():
        return {
            "weights": as_array(torch.cat([p.flatten() for p in backbone.parameters()])),
            "BatchNorm statistics": as_array(torch.cat([b.float().flatten() for b in backbone.buffers()])),
            "training mode": [module.training for module in backbone.modules()],
            "precision": [str(p.dtype) for p in backbone.parameters()],
            "requires_grad": [p.requires_grad for p in backbone.parameters()],
        }

    before = state()
    images = torch.from_numpy(inputs["images"].transpose(0, 3, 1, 2).copy())
    result = candidate(backbone, images, inputs["batch_size"])
    return _observed(result, {"passes": len(sizes), "largest": max(sizes, default=0)}, any(recorded), before, state())


def probe_keras(candidate, inputs):
    """Extract features, and watch what the backbone gets and what becomes of it."""
    inner = keras_backbone(inputs["weights"], dropout=0.5)
    backbone = counting(inner)
    backbone.trainable = inputs["training"]
    backbone.compile(run_eagerly=True)

    def state():
        variables = [np.concatenate([as_array(w).ravel() for w in ws]) for ws in (inner.weights[:3], inner.weights[3:])]
        flags = [layer.trainable for layer in (backbone, *inner.layers)]
        return {"weights": variables[0], "BatchNorm statistics": variables[1], "trainable": flags}

    before = state()
    result = candidate(backbone, inputs["images"], inputs["batch_size"])
    passes = {"passes": int(as_array(backbone.passes)), "largest": int(as_array(backbone.largest))}
    return _observed(result, passes, False, before, state())
