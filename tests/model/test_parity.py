"""Converted checkpoints against recorded inputs and outputs of the original system (public MGM code at 769820c, tiny random
weights): every step of a picture, embeddings, logits, loss, greedy answers, gradients, pixels."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from released import OPENAI, converted
from safetensors.torch import load_file
from shared import RECORDED, needs_recorded

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiImageProcessor, MiniGeminiProcessor
from minigemini.checkpoints.convert_mgm.architecture import our_name
from minigemini.checkpoints.convnext import load_high_res_vision_tower, normalisation
from minigemini.model.patch_info_mining import PatchInfoMining

pytestmark = needs_recorded

CHECKPOINTS = {
    "llama_std": "llama_std/MGM-7B-tiny",
    "llama_multi_image": "llama_std/MGM-7B-tiny",
    "llama_hd_global": "llama_hd_global/MGM-7B-HD-tiny",
    "gemma_std": "gemma_std/MGM-2B-tiny",
}
TOKENS = {"llama_std": 16, "llama_multi_image": 16, "gemma_std": 16, "llama_hd_global": 80}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    made = {path: converted(path, tmp_path_factory.mktemp("mgm") / "out") for path in sorted(set(CHECKPOINTS.values()))}
    return {kind: made[path] for kind, path in CHECKPOINTS.items()}


@pytest.fixture(scope="module")
def models(folders) -> dict[str, Any]:
    return {kind: MiniGeminiForConditionalGeneration.from_pretrained(path).eval() for kind, path in folders.items()}


@pytest.fixture
def standard(models) -> Any:
    return models["llama_std"]


def recorded(kind: str, name: str) -> dict[str, torch.Tensor]:
    return load_file(RECORDED / kind / f"case_{name}.safetensors")


def assert_near(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-4) -> None:
    """Relative to the largest value, in the recordings' float32."""
    error = (found.float() - expected).abs().max() / expected.abs().max()
    assert error < tolerance, f"{error:.1e} of the largest value"


@torch.no_grad()
def test_every_step_of_a_picture(standard):
    case = load_file(RECORDED / "llama_std" / "case_single.safetensors")
    pyramid = standard.model.high_res_vision_tower(case["in.images_aux"])
    for s, stage in enumerate(pyramid):
        torch.testing.assert_close(stage, case[f"mid.hr_stage_{s}"], atol=2e-5, rtol=0)
    out = standard.get_image_features(case["in.images"], case["in.images_aux"], output_mining_attentions=True)
    torch.testing.assert_close(out.last_hidden_state, case["mid.lr_features"], atol=2e-5, rtol=0)
    mined, _ = standard.model.patch_info_mining(case["mid.lr_features"][:, None], pyramid)
    expected = case["mid.lr_features"] + case["mid.resampler0.out_mined"]
    torch.testing.assert_close(mined[:, 0], expected, atol=2e-5, rtol=0)
    torch.testing.assert_close(out.pooler_output, case["mid.projector_out"], atol=2e-5, rtol=0)

    logits = (case["mid.vlm_uni_query"][:, :, None] * case["mid.vlm_uni_aux"]).sum(-1) / 32**0.5
    torch.testing.assert_close(out.mining_attentions.flatten(2), logits.softmax(-1), atol=2e-5, rtol=0)


@torch.no_grad()
def test_crops_and_the_whole_in_the_order_of_the_original(models):
    case = recorded("llama_hd_global", "single")
    features = models["llama_hd_global"].get_image_features(case["in.images"], case["in.images_aux"]).pooler_output
    torch.testing.assert_close(torch.stack(list(features)), case["mid.projector_out"], atol=2e-5, rtol=0)


@torch.no_grad()
def test_mining_alone(standard):
    """Its recorded input is the concatenated map, which ours never makes: one stage of all channels."""
    case = load_file(RECORDED / "llama_std" / "resampler_edge.safetensors")
    mining = PatchInfoMining(32, [240], tokens_per_side=4)
    mining.load_state_dict(standard.model.patch_info_mining.state_dict())
    mined, _ = mining(case["plain.in_lr"][:, None], [case["plain.in_hr"]])
    torch.testing.assert_close(mined[:, 0] - case["plain.in_lr"], case["plain.out_mined"], atol=2e-5, rtol=0)
    # The original turns a broken query into an even look around; here it stays broken, so that it is noticed.
    assert case["nan_q.out_mined"].isfinite().all()
    broken, _ = mining(case["nan_q.in_lr"][:, None], [case["plain.in_hr"]])
    assert broken.isnan().any()


@torch.no_grad()
def test_projected_features_of_every_case(models):
    for kind, name in CASES:
        case = recorded(kind, name)
        if "mid.projector_out" in case:
            pixels = case["in.images"], case.get("in.images_aux")
            features = models[kind].get_image_features(*pixels).pooler_output
            scale = models[kind].config.image_feature_scale  # the original's Gemma scales it later, with the words
            assert scale == (8.0 if kind == "gemma_std" else 1.0)
            assert_near(torch.stack(list(features)) / scale, case["mid.projector_out"])


CASES = [
    ("llama_std", "single"),
    ("llama_std", "mixed_right"),
    ("llama_std", "mixed_left"),
    ("llama_std", "no_hr"),
    ("llama_std", "text_only"),
    ("llama_multi_image", "multi_image"),
    ("llama_multi_image", "multi_mixed"),
    ("llama_hd_global", "single"),
    ("llama_hd_global", "mixed_right"),
    ("llama_hd_global", "mixed_left"),
    ("gemma_std", "single"),
    ("gemma_std", "mixed_right"),
    ("gemma_std", "mixed_left"),
]


def batch_of(kind: str, name: str, image_token_id: int, asked: str = "in.") -> dict[str, torch.Tensor]:
    """A recorded case in our form: an id for every image token, pictures only for samples that show one.

    Args:
        asked: "in." for the training batch, "in.gen_" for the prompts.
    """
    case = recorded(kind, name)
    pixels = recorded(kind, "mixed_right") if name in ("mixed_left", "truncated_late") else case
    all_ids = case[f"{asked}input_ids"]
    attended = case.get(f"{asked}attention_mask", torch.ones_like(all_ids)).bool()
    all_labels = case.get("in.labels", all_ids) if asked == "in." else all_ids
    ids, labels, shown, next_picture = [], [], [], 0
    for sample, kept, label in zip(all_ids, attended, all_labels, strict=True):
        sample, label = sample[kept], label[kept]
        picture = sample == -200  # the original's mark
        count = int(picture.sum())
        shown += range(next_picture, next_picture + count)
        next_picture += max(count, 1)  # the original takes a picture for a sample of text as well
        repeats = torch.where(picture, TOKENS[kind], 1)
        ids.append(sample.masked_fill(picture, image_token_id).repeat_interleave(repeats))
        labels.append(label.masked_fill(picture, -100).repeat_interleave(repeats))

    def pad(rows: list[torch.Tensor], value: int) -> torch.Tensor:
        side = "left" if asked == "in.gen_" or name == "mixed_left" else "right"
        return torch.nn.utils.rnn.pad_sequence(rows, True, value, padding_side=side)

    batch = {"input_ids": pad(ids, 0), "attention_mask": pad([torch.ones_like(row) for row in ids], 0)}
    if asked == "in.":
        batch["labels"] = pad(labels, -100)
    if shown and "in.images" in pixels:
        batch["pixel_values"] = pixels["in.images"][shown]
        if "in.images_aux" in pixels:
            batch["high_res_pixel_values"] = pixels["in.images_aux"][shown]
    return batch


@torch.no_grad()
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_embeddings_logits_and_loss(models, kind, name):
    model, case = models[kind], recorded(kind, name)
    batch = batch_of(kind, name, model.config.image_token_id)
    real = batch["attention_mask"].bool()
    with_pictures: list[torch.Tensor] = []
    hook = model.model.language_model.register_forward_pre_hook(
        lambda module, args, kwargs: with_pictures.append(kwargs["inputs_embeds"]), with_kwargs=True
    )
    out = model(**batch)
    hook.remove()
    if "prepared.inputs_embeds" in case:
        scale = model.config.image_feature_scale  # recorded before the original's Gemma scales all
        assert_near(with_pictures[0][real] / scale, case["prepared.inputs_embeds"][real])
    assert out.logits.shape == case["out.logits"].shape  # no logit is added for the image token
    assert_near(out.logits[real], case["out.logits"][real])
    if "out.loss" in case:
        torch.testing.assert_close(out.loss, case["out.loss"], rtol=1e-5, atol=0)


def expected_answers(kind: str, name: str) -> torch.Tensor:
    """Recorded greedy ids, 16 each; with transformers 4.36 they begin with a token that was not generated."""
    return recorded(kind, name)["gen.ids"][:, -16:]


def answers(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return model.generate(**batch, max_new_tokens=16, do_sample=False)[:, batch["input_ids"].shape[1] :]


@torch.no_grad()
@pytest.mark.parametrize(("kind", "name"), [case for case in CASES if case[1] not in ("mixed_right", "multi_mixed")])
def test_greedy_answers(models, kind, name):
    """Of single prompts, and of batches padded on the left."""
    batch = batch_of(kind, name, models[kind].config.image_token_id, asked="in.gen_")
    assert answers(models[kind], batch).tolist() == expected_answers(kind, name).tolist()


@torch.no_grad()
@pytest.mark.parametrize(("kind", "name"), [("llama_std", "mixed_right"), ("llama_multi_image", "multi_mixed")])
def test_a_batch_answers_as_its_samples_do_alone(models, kind, name):
    """The original continues rows padded on the right from their padding; only its longest row is as if alone."""
    model = models[kind]
    batch = batch_of(kind, name, model.config.image_token_id, asked="in.gen_")
    together = answers(model, batch)
    first = 0
    lengths = batch["attention_mask"].sum(1)
    for row, (ids, attended) in enumerate(zip(batch["input_ids"], batch["attention_mask"].bool(), strict=True)):
        own = ids[attended][None]
        alone = {"input_ids": own, "attention_mask": torch.ones_like(own)}
        if pictures := int((own == model.config.image_token_id).sum()) // TOKENS[kind]:
            pixels = ("pixel_values", "high_res_pixel_values")
            alone |= {key: batch[key][first : first + pictures] for key in pixels}
            first += pictures
        assert answers(model, alone)[0].tolist() == together[row].tolist()
        original = expected_answers(kind, name)[row].tolist()
        assert (together[row].tolist() == original) == bool(lengths[row] == lengths.max()), row


@torch.no_grad()
def test_nothing_is_truncated(standard):
    """The original cut this batch at 100 positions. Up to there the logits are the same, but ours go on, and learn from it."""
    case = recorded("llama_std", "truncated_late")
    batch = batch_of("llama_std", "truncated_late", standard.config.image_token_id)
    out = standard(**batch)
    kept = case["prepared.attention_mask"].bool()
    assert_near(out.logits[:, :100][kept], case["out.logits"][kept])
    assert out.logits.shape[1] == 150
    torch.testing.assert_close(out.loss, recorded("llama_std", "mixed_right")["out.loss"], rtol=1e-5, atol=0)


@torch.no_grad()
def test_gelu_of_gemma_is_the_exact_one(models):
    """The recorded logits with the approximation are told from the recorded exact ones."""
    case, other = recorded("gemma_std", "single"), recorded("gemma_std", "single_gelu_tanh")
    out = models["gemma_std"](**batch_of("gemma_std", "single", models["gemma_std"].config.image_token_id))
    exact = (out.logits - case["out.logits"]).abs().max()
    assert exact < 0.1 * (out.logits - other["out.logits"]).abs().max()


@pytest.mark.parametrize("towers", ["frozen_towers", "optimize_towers"])
def test_gradients(models, towers):
    """Biases of keys have no effect, and rounding noise for a gradient."""
    model = models["llama_std"]
    grads = load_file(RECORDED / "llama_grads" / f"grads_mixed_right_{towers}.safetensors")
    model.zero_grad()
    model(**batch_of("llama_std", "mixed_right", model.config.image_token_id)).loss.backward()
    expected = {name.removeprefix("grad."): grad for name, grad in grads.items() if name.startswith("grad.")}
    for name, grad in expected.items():
        found = model.get_parameter(our_name(name)).grad
        if grad.norm() < 1e-8:
            assert found.norm() < 1e-8, name
        else:
            error = (found - grad).norm() / grad.norm()
            assert error < 1e-4, f"{name}: {error}"
    assert len(expected) == {"frozen_towers": 20, "optimize_towers": 72}[towers]


@pytest.mark.parametrize("kind", ["llama_std", "llama_hd_global"])
def test_pixels_of_a_converted_processor(folders, kind):
    """Odd sizes, tall and wide, padded."""
    suffix = "grid2_global" if kind == "llama_hd_global" else "grid1"
    expected = load_file(RECORDED / "preprocess" / f"cli_pad_{suffix}.safetensors")
    processor = MiniGeminiProcessor.from_pretrained(folders[kind])
    for file in sorted((RECORDED / "preprocess" / "images").glob("*.png")):
        out = processor.image_processor(Image.open(file), return_tensors="pt")
        hr, lr = expected[f"{file.name}/images_aux"], expected[f"{file.name}/images"]
        torch.testing.assert_close(out["high_res_pixel_values"], hr, atol=1e-6, rtol=0)
        torch.testing.assert_close(out["pixel_values"], lr, atol=2e-6, rtol=0)


@pytest.mark.parametrize(("size", "grid"), [(768, 1), (1536, 2)])
def test_pixels_at_full_size(size, grid):
    pixels = load_file(RECORDED / "preprocess" / "real_sizes_pad.safetensors")
    process = MiniGeminiImageProcessor(high_res_size=size, image_grid=grid)
    for file in sorted((RECORDED / "preprocess" / "images").glob("*.png")):
        out = process(Image.open(file), return_tensors="pt")
        high_res, low_res = out["high_res_pixel_values"], out["pixel_values"]
        expected = pixels[f"{file.name}/{size}/hr_every_13th"]
        torch.testing.assert_close(high_res[..., ::13, ::13], expected, atol=1e-6, rtol=0)
        if grid > 1:
            rows = [torch.cat(list(low_res[0, row * grid : (row + 1) * grid]), -1) for row in range(grid)]
            low_res = torch.cat(rows, -2)[None]
        expected = pixels[f"{file.name}/{size}/lr_every_5th"]
        torch.testing.assert_close(low_res[..., ::5, ::5], expected, atol=2e-6, rtol=0)


def test_open_clip_folder():
    """Its weights are a pickle, read without executing anything."""
    folder = OPENAI / "openclip-convnext-large-d-320-laion2B-s29B-b131K-ft-soup"
    with pytest.raises(ValueError, match="convnext_mgmtiny"):
        load_high_res_vision_tower(str(folder), 128, torch.float32)
    expected = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
    assert normalisation(str(folder)) == expected


@pytest.mark.parametrize("pad", [True, False])
@pytest.mark.parametrize(("suffix", "grid", "whole"), [("", 1, False), ("_global", 2, True)])
def test_pixels(pad, suffix, grid, whole):
    name = f"cli_{'pad' if pad else 'crop'}_grid{grid}{suffix}"
    pixels = load_file(RECORDED / "preprocess" / f"{name}.safetensors")
    process = MiniGeminiImageProcessor(
        size={"height": 56, "width": 56}, high_res_size=128 * grid, do_pad=pad, image_grid=grid, image_global=whole
    )
    files = sorted((RECORDED / "preprocess" / "images").glob("*.png"))
    assert len(files) == 3
    for file in files:
        out = process(Image.open(file), return_tensors="pt")
        torch.testing.assert_close(out["high_res_pixel_values"], pixels[f"{file.name}/images_aux"], atol=1e-6, rtol=0)
        torch.testing.assert_close(out["pixel_values"], pixels[f"{file.name}/images"], atol=2e-6, rtol=0)
