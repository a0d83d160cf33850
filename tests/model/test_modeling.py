from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText, DynamicCache

from minigemini import MiniGeminiConfig, MiniGeminiForConditionalGeneration, MiniGeminiModel
from minigemini.model.modeling_minigemini import logger
from minigemini.model.transformers_versions import CACHE

IMAGE, PAD = 99, 0
TOKENS = 9  # of one picture: 42 pixels in patches of 14
SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
TEXT = {**SMALL, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 100, "pad_token_id": PAD}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "gemma": {},
    "mistral": {"sliding_window": None},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen2": {},
    "qwen3": {},
}
CLIP = {**SMALL, "model_type": "clip_vision_model", "num_hidden_layers": 3, "image_size": 42, "patch_size": 14}
SIGLIP = {**CLIP, "model_type": "siglip_vision_model"}
CONVNEXT = {"architecture": "convnext_atto", "model_args": {"depths": [1, 1, 1, 1], "dims": [8, 12, 16, 20]}}


def config(family: str = "llama", vision: dict = CLIP, high_res: int | None = 96, **options) -> MiniGeminiConfig:
    text = {**TEXT, "model_type": family, **FAMILIES[family], **options.pop("text", {})}
    if vision is SIGLIP:
        options["vision_feature_select_strategy"] = "full"
    return MiniGeminiConfig(
        text_config=text,
        vision_config=vision,
        high_res_vision_config=None if high_res is None else {**CONVNEXT, "image_size": high_res},
        image_token_id=IMAGE,
        **options,
    )


def make(*args, **options) -> Any:
    torch.manual_seed(0)
    model = MiniGeminiForConditionalGeneration(config(*args, **options)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "gamma" in name:  # ConvNeXt starts as the identity
                parameter.fill_(0.5)
    return model


def pixels(images: int, high_res: int | None = 96, seed: int = 1) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    low = torch.randn(images, 3, 42, 42, generator=generator)
    if high_res is None:
        return {"pixel_values": low}
    return {
        "pixel_values": low,
        "high_res_pixel_values": torch.randn(images, 3, high_res, high_res, generator=generator),
    }


def prompt(*lengths: int | None) -> torch.Tensor:
    """Words, with a picture where None stands."""
    torch.manual_seed(2)
    pieces = [torch.full((TOKENS,), IMAGE) if n is None else torch.randint(3, 90, (n,)) for n in lengths]
    return torch.cat(pieces)[None]


@pytest.mark.parametrize("family", FAMILIES)
def test_any_decoder(family, tmp_path):
    model = make(family)
    ids, images = prompt(4, None, 6), pixels(1)
    out = model(input_ids=ids, labels=ids.masked_fill(ids == IMAGE, -100), **images)
    assert out.loss.isfinite()
    blind = model(input_ids=ids, **pixels(1, seed=7)).logits
    assert not torch.allclose(blind[:, -1], out.logits[:, -1], atol=1e-6), "the picture does not reach the last word"
    generated = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=3, **images)
    assert generated.shape == (1, ids.shape[1] + 3)

    model.save_pretrained(tmp_path)
    loaded: Any = MiniGeminiForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    again, report = loaded
    assert not any(report.values()), report
    assert torch.equal(again(input_ids=ids, **images).logits, out.logits)


@pytest.mark.parametrize("vision", [CLIP, SIGLIP], ids=["clip", "siglip"])
@pytest.mark.parametrize(("grid", "whole", "views"), [(1, False, 1), (2, False, 4), (2, True, 5)])
def test_towers_and_grids(vision, grid, whole, views):
    model = make(vision=vision, high_res=96 * grid, image_grid=grid, image_global=whole)
    low = torch.randn(2, views, 3, 42, 42)
    high = torch.randn(2, 3, 96 * grid, 96 * grid)
    out = model.get_image_features(low[:, 0] if views == 1 else low, high, output_mining_attentions=True)
    assert [feature.shape for feature in out.pooler_output] == [(views * TOKENS, 32)] * 2
    assert out.mining_attentions.shape == (2, views * TOKENS, 8, 8)
    assert out.mining_residual_norms.shape == (2, views * TOKENS)
    assert model.config.tokens_per_image == views * TOKENS


def test_the_whole_view_comes_first_and_attends_to_the_whole_picture():
    model = make(high_res=192, image_grid=2, image_global=True)
    low, high = torch.randn(1, 5, 3, 42, 42), torch.randn(1, 3, 192, 192)
    features = model.get_image_features(low, high).pooler_output[0]
    other = low.clone()
    other[:, 4] += 1  # the pixels of the whole view come last
    changed = (model.get_image_features(other, high).pooler_output[0] != features).any(1)
    assert changed.tolist() == [True] * TOKENS + [False] * 4 * TOKENS


@pytest.mark.parametrize(("grid", "whole"), [(1, False), (2, True)])
def test_what_the_high_resolution_tower_added(grid, whole):
    """Relative to the token, in the order of the image tokens."""
    model = make(high_res=96 * grid, image_grid=grid, image_global=whole)
    views = model.config.views_per_image
    low, high = torch.randn(2, views, 3, 42, 42), torch.randn(2, 3, 96 * grid, 96 * grid)
    low = low[:, 0] if views == 1 else low
    found: list[torch.Tensor] = []
    handle = model.model.patch_info_mining.register_forward_hook(lambda _, given, out: found.extend([given[0], out[0]]))
    out = model.get_image_features(low, high, output_mining_attentions=True)
    handle.remove()
    before, after = found
    expected = (after - before).norm(dim=-1) / before.norm(dim=-1)
    order = [4, 0, 1, 2, 3] if whole else [0]
    torch.testing.assert_close(out.mining_residual_norms, expected[:, order].flatten(1))
    assert out.mining_residual_norms.min() > 0.01
    assert model.get_image_features(low, high).mining_residual_norms is None
    assert model.get_image_features(low, output_mining_attentions=True).mining_residual_norms is None


def test_high_resolution_is_a_dial():
    """Without high-resolution pixels the model is the plain low-resolution one, with the same weights."""
    model, plain = make(), make(high_res=None)
    plain.load_state_dict(model.state_dict(), strict=False)
    ids, images = prompt(4, None, 6), pixels(1)
    mined = model(input_ids=ids, **images).logits
    low = model(input_ids=ids, pixel_values=images["pixel_values"]).logits
    assert torch.equal(low, plain(input_ids=ids, pixel_values=images["pixel_values"]).logits)
    assert not torch.allclose(low, mined, atol=1e-4)
    with pytest.raises(ValueError, match="no high-resolution tower"):
        plain(input_ids=ids, **images)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_sample_gives_the_same_alone_and_in_a_batch(side):
    model = make()
    samples = [prompt(12), prompt(3, None, 4), prompt(2, None, 5, None, 3), prompt(7)]
    images = pixels(3)
    rows = [sample[0] for sample in samples]
    batch = {
        "input_ids": torch.nn.utils.rnn.pad_sequence(rows, True, PAD, padding_side=side),
        "attention_mask": torch.nn.utils.rnn.pad_sequence(
            [torch.ones_like(row) for row in rows], True, 0, padding_side=side
        ),
    }
    together = model(**batch, **images).logits
    first = 0
    for row, sample in enumerate(samples):
        count = int((sample == IMAGE).sum()) // TOKENS
        own = {key: value[first : first + count] for key, value in images.items()} if count else {}
        first += count
        alone = model(input_ids=sample, **own).logits[0]
        torch.testing.assert_close(together[row][batch["attention_mask"][row].bool()], alone, atol=2e-6, rtol=1e-5)
    if side == "left":
        generated = model.generate(**batch, **images, max_new_tokens=4, do_sample=False)[:, -4:]
        own = {key: value[1:3] for key, value in images.items()}
        alone = model.generate(
            input_ids=samples[2], attention_mask=torch.ones_like(samples[2]), **own, max_new_tokens=4, do_sample=False
        )
        assert torch.equal(generated[2], alone[0, -4:])


def test_generate_encodes_pictures_once_and_expands_them_for_beams():
    model = make()
    ids, images = prompt(4, None, 6), pixels(1)
    calls = []
    handle = model.model.high_res_vision_tower.register_forward_hook(lambda *_: calls.append(1))
    model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **images, max_new_tokens=4, num_beams=3)
    handle.remove()
    assert len(calls) == 1
    encoded = {"image": model.get_image_features(**images)}
    given = model(input_ids=ids, mm_encoder_outputs=encoded).logits
    assert torch.equal(given, model(input_ids=ids, **images).logits)
    with pytest.raises(ValueError, match="not both"):
        model(input_ids=ids, mm_encoder_outputs=encoded, **images)


def test_wrong_inputs_name_the_numbers():
    model = make()
    with pytest.raises(ValueError, match=r"18 image tokens \(id 99\).*9 features \(1 images of 9 tokens\)"):
        model(input_ids=prompt(2, None, 2, None), **pixels(1))
    with pytest.raises(ValueError, match=r"pixel_values must be \[N, 3, 42, 42\], not \[1, 3, 56, 56\]"):
        model(input_ids=prompt(2, None), pixel_values=torch.zeros(1, 3, 56, 56))
    with pytest.raises(ValueError, match=r"high_res_pixel_values must be \[1, 3, S, S\].*\[2, 3, 96, 96\]"):
        model(input_ids=prompt(2, None), **{**pixels(2), "pixel_values": torch.zeros(1, 3, 42, 42)})
    with pytest.raises(ValueError, match="use 'default' for a tower with a class token"):
        make(vision_feature_select_strategy="full")(input_ids=prompt(2, None), **pixels(1))
    with pytest.raises(ValueError, match="exactly one"):
        model()


def test_mining_is_not_left_out_without_a_word(monkeypatch):
    """Said once; nothing to say where there is nothing to mine, or pixels to mine."""
    said: list[str] = []
    model, plain = make(), make(high_res=None)
    ids, images = prompt(2, None), pixels(1)
    logger.warning_once.cache_clear()
    monkeypatch.setattr(logger, "warning", said.append)
    model(input_ids=ids, **images)
    plain(input_ids=ids, pixel_values=images["pixel_values"])
    assert not said
    for _ in range(2):
        model(input_ids=ids, pixel_values=images["pixel_values"])
    assert len(said) == 1
    assert "without high_res_pixel_values" in said[0]
    assert "do_high_res=False" in said[0]


@pytest.mark.parametrize("image_token", [IMAGE, 100], ids=["embedded", "behind the vocabulary"])
def test_a_conversation_goes_on_from_its_cache(image_token):
    """Only new pictures are given; old ones again, or none for new tokens, are errors that say so."""
    model = make()
    model.config.image_token_id = image_token
    first, second = (prompt(*lengths) for lengths in ((4, None, 3), (2, None, 5)))
    first[first == IMAGE] = second[second == IMAGE] = image_token
    both = torch.cat([first, second], dim=1)
    images = pixels(2)
    old, new = ({key: value[rows] for key, value in images.items()} for rows in (slice(0, 1), slice(1, 2)))
    whole = model(input_ids=both, **images).logits

    def cache() -> dict[str, DynamicCache]:
        made = {CACHE: DynamicCache(config=model.config)}
        model(input_ids=first, **made, **old)
        return made

    torch.testing.assert_close(
        model(input_ids=second, **cache(), **new).logits, whole[:, first.shape[1] :], atol=2e-6, rtol=1e-5
    )
    with pytest.raises(ValueError, match=r"9 image tokens .*18 features.*with a cache, give the new pictures only"):
        model(input_ids=second, **cache(), **images)
    with pytest.raises(ValueError, match="image tokens .*no images were given"):
        model(input_ids=second, **cache())
    with pytest.raises(ValueError, match="image tokens .*no images were given"):
        model(input_ids=first)
    options = {"attention_mask": torch.ones_like(both), "max_new_tokens": 2, "do_sample": False}
    expected = model.generate(input_ids=both, **images, **options)
    assert torch.equal(model.generate(input_ids=both, **cache(), **new, **options), expected)
    with pytest.raises(ValueError, match="give the new pictures only"):
        model.generate(input_ids=both, **cache(), **images, **options)


def test_gradient_checkpointing_changes_nothing():
    model = make().train()
    ids, images = prompt(4, None, 6), pixels(1)
    grads = []
    for checkpointing in (False, True):
        if checkpointing:
            model.gradient_checkpointing_enable()
            assert model.model.high_res_vision_tower.gradient_checkpointing
        model.zero_grad()
        model(input_ids=ids, labels=ids, **images).loss.backward()
        found = {name: parameter.grad for name, parameter in model.named_parameters()}
        grads.append({name: grad.clone() for name, grad in found.items() if grad is not None})
    assert grads[0].keys() == grads[1].keys()
    for name, grad in grads[0].items():
        torch.testing.assert_close(grads[1][name], grad, atol=1e-6, rtol=1e-4, msg=name)


def test_tied_weights(tmp_path):
    model = make("gemma", text={"tie_word_embeddings": True})
    assert model.config.tie_word_embeddings
    assert model.lm_head.weight is model.get_input_embeddings().weight
    model.save_pretrained(tmp_path)
    again = MiniGeminiForConditionalGeneration.from_pretrained(tmp_path)
    assert again.lm_head.weight is again.get_input_embeddings().weight
    assert make().lm_head.weight is not make().get_input_embeddings().weight


def test_auto_classes(tmp_path):
    model = make()
    model.save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is MiniGeminiConfig
    assert type(AutoModelForImageTextToText.from_pretrained(tmp_path)) is MiniGeminiForConditionalGeneration
    assert type(AutoModel.from_config(model.config)) is MiniGeminiModel


def test_half_precision_load_keeps_the_interpolation_exact(tmp_path):
    model = make()
    model.save_pretrained(tmp_path)
    again = MiniGeminiForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert again.model.patch_info_mining.value_projection.weight.dtype == torch.bfloat16
    assert not list(again.model.patch_info_mining.buffers())  # nothing there that a dtype could round
    ids, images = prompt(4, None, 6), pixels(1)
    expected, found = model(input_ids=ids, **images).logits, again(input_ids=ids, **images).logits.float()
    assert (found - expected).norm() < 0.05 * expected.norm()


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_attention_back_ends_reach_both_towers(attention):
    model = make()
    model.set_attn_implementation(attention)
    assert model.model.language_model.config._attn_implementation == attention
    assert model.model.vision_tower.config._attn_implementation == attention
    ids, images = prompt(4, None, 6), pixels(1)
    torch.testing.assert_close(
        model(input_ids=ids, **images).logits, make()(input_ids=ids, **images).logits, atol=1e-6, rtol=1e-5
    )


def test_new_modules_start_as_torch_starts_linear_layers():
    """As the original's do; the language model's scale (0.02) would not fit widths that are not its own."""
    model = MiniGeminiModel(config())
    for linear in (
        model.multi_modal_projector.linear_1,
        model.patch_info_mining.key_projection,
        model.patch_info_mining.value_projection,
    ):
        bound = linear.weight.shape[1] ** -0.5
        assert 0.9 * bound < linear.weight.abs().max() <= bound
        assert 0 < linear.bias.abs().max() <= bound
    assert torch.equal(model.patch_info_mining.value_norm.weight, torch.ones(56))
    assert model.language_model.layers[0].mlp.up_proj.weight.std() < 0.03


def test_text_stays_at_hand_without_pictures():
    model = make()
    ids = prompt(8)
    assert model(input_ids=ids).image_hidden_states is None
    language_model = model.model.language_model(input_ids=ids).last_hidden_state
    assert torch.equal(model.model(input_ids=ids).last_hidden_state, language_model)
    embeds = model.get_input_embeddings()(ids)
    assert torch.equal(model(inputs_embeds=embeds).logits, model(input_ids=ids).logits)


def test_pictures_through_embeddings():
    model = make()
    ids, images = prompt(4, None, 6), pixels(1)
    embeds = model.get_input_embeddings()(ids)
    torch.testing.assert_close(model(inputs_embeds=embeds, **images).logits, model(input_ids=ids, **images).logits)
