"""A linear backbone that counts how often it runs, and a linear head, trained by a candidate."""

from tl_course.exercises.engine.plain import as_array

ARGUMENTS = ("probe_steps", "probe_lr", "tune_steps", "tune_lr")


def probe_pytorch(candidate, inputs):
    """Train in place; report weights, passes through the backbone and what is trainable afterwards."""
    import torch
    from torch import nn

    backbone = nn.Linear(*inputs["backbone"].shape, bias=False)
    backbone.load_state_dict({"weight": torch.from_numpy(inputs["backbone"].T.copy())})
    head = nn.Linear(*inputs["kernel"].shape)
    head.load_state_dict(
        {"weight": torch.from_numpy(inputs["kernel"].T.copy()), "bias": torch.from_numpy(inputs["bias"].copy())}
    )
    passes = []
    backbone.register_forward_hook(lambda module, args, output: passes.append(len(output)))
    x, y = torch.from_numpy(inputs["x"]), torch.from_numpy(inputs["y"])
    candidate(backbone, head, x, y, **{name: inputs[name] for name in ARGUMENTS})
    return {
        "backbone": as_array(backbone.weight).T,
        "kernel": as_array(head.weight).T,
        "bias": as_array(head.bias),
        "passes": len(passes),
        "trainable": all(p.requires_grad for module in (backbone, head) for p in module.parameters()),
    }


def probe_keras(candidate, inputs):
    """Train in place; report weights, passes through the backbone and what is trainable afterwards."""
    import keras
    import tensorflow as tf
    from keras import layers

    passes = tf.Variable(tf.constant(0))  # counts in graphs as well

    class Counting(layers.Dense):
        """A dense layer that notes each pass."""

        def call(self, x):
            """The layer's outputs."""
            passes.assign_add(1)
            return super().call(x)

    backbone, head = Counting(inputs["backbone"].shape[1], use_bias=False), layers.Dense(inputs["kernel"].shape[1])
    backbone.build((None, len(inputs["backbone"])))
    head.build((None, len(inputs["kernel"])))
    backbone.set_weights([inputs["backbone"]])
    head.set_weights([inputs["kernel"], inputs["bias"]])
    x, y = keras.ops.convert_to_tensor(inputs["x"]), keras.ops.convert_to_tensor(inputs["y"])
    candidate(backbone, head, x, y, **{name: inputs[name] for name in ARGUMENTS})
    return {
        "backbone": as_array(backbone.kernel),
        "kernel": as_array(head.kernel),
        "bias": as_array(head.bias),
        "passes": int(passes.numpy()),
        "trainable": len(backbone.trainable_weights) + len(head.trainable_weights) == 3,
    }
