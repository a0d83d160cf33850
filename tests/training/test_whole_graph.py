"""What DDP and ZeRO wait for is there in every batch, and changes nothing."""

from typing import Any

import pytest
import tiny
import torch

from minigemini.training.modules import FROZEN, ModulePlan, apply_plans, modules_by_name
from minigemini.training.whole_graph import keep_graph_whole

SEE = ("vision_tower", "high_res_vision_tower", "patch_info_mining", "multi_modal_projector")
WORDS = torch.arange(10, 22)[None]


@pytest.fixture
def model(tiny_parts) -> Any:
    torch.manual_seed(0)
    return tiny.new_model(tiny_parts)


def with_picture(model: Any) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    ids = torch.cat([WORDS, torch.full((1, tiny.IMAGE_TOKENS), model.config.image_token_id), WORDS], dim=1)
    return {
        "input_ids": ids,
        "labels": ids.masked_fill(ids == model.config.image_token_id, -100),
        "pixel_values": torch.randn(1, 3, 28, 28),
        "high_res_pixel_values": torch.randn(1, 3, tiny.HIGH_RES_SIZE, tiny.HIGH_RES_SIZE),
    }


def without_gradient(model: Any) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.grad is None}


def test_a_batch_of_text_alone(model):
    plain = model(input_ids=WORDS, labels=WORDS).loss
    keep_graph_whole(model.train())
    loss = model(input_ids=WORDS, labels=WORDS).loss
    assert torch.equal(loss, plain)
    loss.backward()
    assert not without_gradient(model)
    for name in SEE:
        assert all(not parameter.grad.any() for parameter in model.model.get_submodule(name).parameters()), name


def test_a_batch_with_pictures(model):
    """Also the layer behind the selected one, and the biases that have no effect: with a gradient of zero."""
    batch = with_picture(model)
    plain = model(**batch).loss
    plain.backward()
    expected = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert any(name.startswith("model.vision_tower.encoder.layers.2.") for name in without_gradient(model))
    model.zero_grad()
    keep_graph_whole(model.train())
    loss = model(**batch).loss
    assert torch.equal(loss, plain)
    loss.backward()
    assert not without_gradient(model)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.grad, expected.get(name, torch.zeros_like(parameter))), name


def test_what_sees_is_called_in_the_same_order_with_and_without_pictures(model):
    """ZeRO-3 gathers by it."""
    called: list[str] = []
    for name, module in model.named_modules():
        module.register_forward_pre_hook(lambda module, given, name=name: called.append(name))
    keep_graph_whole(model.train())
    model(**with_picture(model))
    expected = called.copy()
    called.clear()
    model(input_ids=WORDS)
    assert called == expected


def test_nothing_is_looked_at_in_vain(model):
    """In use, and where nothing that sees is trained."""
    called: list[int] = []
    model.model.vision_tower.register_forward_hook(lambda *_: called.append(1))
    keep_graph_whole(model)
    model(input_ids=WORDS)
    writes = dict.fromkeys(("language_model", "lm_head"), ModulePlan("full"))
    apply_plans(model.train(), dict.fromkeys(modules_by_name(model), FROZEN) | writes)
    model(input_ids=WORDS)
    assert not called
    model.model.multi_modal_projector.requires_grad_(True)
    model(input_ids=WORDS)
    assert called == [1]


def test_image_tokens_without_pictures_are_still_an_error(model):
    keep_graph_whole(model.train())
    ids = with_picture(model)["input_ids"]
    with pytest.raises(ValueError, match="the images give 0 features"):
        model(input_ids=ids, labels=ids)
