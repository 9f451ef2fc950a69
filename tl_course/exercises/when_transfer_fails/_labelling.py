"""Let a tiny model with Dropout label examples, and look at what that did to the model."""

from tl_course.exercises.engine.plain import as_array


def probe_pytorch(candidate, inputs):
    """Label with a tiny model with Dropout; look at its mode and at the graph afterwards."""
    import torch
    from torch import nn

    linear = nn.Linear(*inputs["kernel"].shape, bias=False)
    linear.load_state_dict({"weight": torch.from_numpy(inputs["kernel"].T.copy())})
    model = nn.Sequential(nn.ReLU(), nn.Dropout(0.5), linear).train(inputs["training"])
    kept, classes, confidence = candidate(model, torch.from_numpy(inputs["x"]), inputs["threshold"])
    return {
        "kept": as_array(kept),
        "classes": as_array(classes),
        "confidence": as_array(confidence),
        "mode kept": all(module.training == inputs["training"] for module in model.modules()),
        "gradient": bool(getattr(confidence, "requires_grad", False)),
    }


def probe_keras(candidate, inputs):
    """Label with a tiny model with Dropout inside a gradient tape."""
    import keras
    import tensorflow as tf
    from keras import layers

    dense = layers.Dense(inputs["kernel"].shape[1], use_bias=False)
    model = keras.Sequential([keras.Input((5,)), layers.ReLU(), layers.Dropout(0.5), dense])
    dense.set_weights([inputs["kernel"]])
    with tf.GradientTape() as tape:
        kept, classes, confidence = candidate(model, tf.constant(inputs["x"]), inputs["threshold"])
    flows = tf.is_tensor(confidence) and tape.gradient(confidence, dense.kernel.value) is not None
    found = {"kept": as_array(kept), "classes": as_array(classes), "confidence": as_array(confidence)}
    return {**found, "mode kept": True, "gradient": flows}
