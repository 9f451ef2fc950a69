"""Attention maps out of PyTorch models, on tiny ones: refused where there are none, never in training mode."""

import numpy as np
import pytest
import torch
from torch import nn

from tl_course.compat import make_importable, torchvision
from tl_course.errors import BadInput
from tl_course.pytorch.attention import attention_maps, gradient_x_input, leave_one_out, occlusion
from tl_course.zoo.images_torch import TorchImageModel

WORDS = ("[PAD]", "[CLS]", "[SEP]", "a", "b", "c", "d", "e")


class WordTokenizer:
    """What the functions ask of a Hugging Face tokenizer."""

    pad_token_id, cls_token_id, sep_token_id, unk_token_id = 0, 1, 2, 7

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [WORDS[number] for number in ids]


BATCH = {
    "input_ids": torch.tensor([[1, 3, 4, 7, 2], [1, 5, 2, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
}


def bert(attention: str) -> nn.Module:
    make_importable()
    from transformers import AutoModel, BertConfig

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=8,
        hidden_size=8,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=16,
        hidden_dropout_prob=0.5,
    )
    config.attention_probs_dropout_prob = 0.5
    return AutoModel.from_config(config, attn_implementation=attention).train()


class BagOfWords(nn.Module):
    """Sums of embeddings, so that every measure has a value that is known."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(8, 2)
        self.positions = nn.Embedding(8, 2)

    def forward(self, input_ids, attention_mask):
        place = torch.arange(input_ids.shape[1]).expand_as(input_ids)
        return ((self.words(input_ids) + 0 * self.positions(place)) * attention_mask.unsqueeze(-1)).sum(dim=1)


def vision_transformer() -> nn.Module:
    torch.manual_seed(0)
    return torchvision().models.VisionTransformer(16, 4, 2, 2, 8, 16, num_classes=3)


def test_maps_of_a_bert_are_those_of_evaluation_mode_and_the_mode_is_restored():
    model = bert("eager")
    maps = attention_maps(model, BATCH, tokenizer=WordTokenizer())
    assert model.training and all(module.training for module in model.modules())
    with torch.no_grad():
        expected = model.eval()(**BATCH, output_attentions=True).attentions
    np.testing.assert_allclose(maps.weights, torch.stack(expected))
    assert maps.tokens_of(1) == ("[CLS]", "c", "[SEP]") and maps.of(1).shape == (3, 2, 3, 3)
    assert maps.special[0].tolist() == [True, False, False, False, True]


def test_a_model_with_fused_attention_is_refused_with_the_way_out():
    model = bert("sdpa")
    with pytest.raises(BadInput, match=r"set_attn_implementation\('eager'\)"):
        attention_maps(model, BATCH, tokenizer=WordTokenizer())
    model.set_attn_implementation("eager")
    assert len(attention_maps(model, BATCH, tokenizer=WordTokenizer())) == 2


def test_bare_modules_need_a_tokenizer_and_a_batch():
    with pytest.raises(BadInput, match="which knows the special tokens"):
        attention_maps(bert("eager"), BATCH)
    with pytest.raises(BadInput, match="tokenise the texts first"):
        attention_maps(bert("eager"), ["a text"])
    with pytest.raises(BadInput, match=r"tl_course\.keras\.attention"):
        attention_maps("minilm", ["a text"])


def test_maps_of_a_torchvision_transformer_equal_its_layers_own():
    model, images = vision_transformer(), torch.rand(2, 3, 16, 16)
    maps = attention_maps(model, images)
    assert maps.grid == (4, 4) and maps.weights.shape == (2, 2, 2, 17, 17)
    assert maps.special_of(0).tolist() == [True] + 16 * [False] and maps.tokens_of(0)[6] == "1,1"
    caught = []
    layer = next(module for module in model.modules() if isinstance(module, nn.MultiheadAttention))
    hook = layer.register_forward_pre_hook(lambda _layer, args: caught.append(args[0]))
    model.eval()(images)
    hook.remove()
    expected = layer(*caught * 3, need_weights=True, average_attn_weights=False)[1]
    np.testing.assert_allclose(maps.weights[0], expected.detach(), atol=1e-6)


def test_a_convolutional_network_has_no_maps():
    with pytest.raises(BadInput, match="networks of convolutions have no attention maps"):
        attention_maps(nn.Sequential(nn.Conv2d(3, 2, 3)), torch.rand(1, 3, 16, 16))


def test_in_a_linear_model_all_measures_equal_each_words_own_evidence():
    model = BagOfWords().train()
    evidence = (model.words.weight[:, 1] - model.words.weight[:, 0]).detach().numpy()
    expected = [evidence[[1, 3, 4, 7, 2]], evidence[[1, 5, 2]]]
    for measured in (gradient_x_input(model, BATCH, target=1), leave_one_out(model, BATCH, target=1, batch_size=2)):
        for values, known in zip(measured, expected, strict=True):
            np.testing.assert_allclose(values, known, atol=1e-5)
    replaced = leave_one_out(model, BATCH, target=1, replace_with=6)
    np.testing.assert_allclose(replaced[1], expected[1] - evidence[6], atol=1e-5)
    assert model.training and all(parameter.grad is None for parameter in model.parameters())


def test_without_a_target_the_predicted_class_is_asked_about():
    model = BagOfWords()
    predicted = model(**BATCH).argmax(dim=1).tolist()
    for measure in (gradient_x_input, leave_one_out):
        for index, target in enumerate(predicted):
            np.testing.assert_allclose(measure(model, BATCH)[index], measure(model, BATCH, target=target)[index])


def test_an_encoder_without_head_is_no_classifier():
    with pytest.raises(BadInput, match="put a head on the encoder first"):
        gradient_x_input(bert("eager"), BATCH)


def test_occlusion_is_largest_where_the_model_looks():
    class Corner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, x):
            corner = self.scale * x[:, :, :4, 4:8].mean(dim=(1, 2, 3))
            return torch.stack([-corner, corner], dim=1)

    model = TorchImageModel(
        "corner", None, Corner(), 2, mean=[0, 0, 0], std=[1, 1, 1], image_size=None, min_size=4, device="cpu"
    )
    images = np.zeros((1, 8, 12, 3), np.float32)
    images[:, :4, 4:8] = 1
    fall = occlusion(model, images, 4, target=1)
    assert fall.shape == (1, 2, 3)
    np.testing.assert_allclose(fall[0], [[0, 2 * (1 - 1 / 6), 0], [0, 0, 0]], atol=1e-5)
    with pytest.raises(BadInput, match="divides 8 and 12"):
        occlusion(model, images, 5)
