"""Weights that are trained in bfloat16: small steps are not lost, a run goes on bit for bit, and what the run says of it."""

import pytest
import torch
from safetensors.torch import load_file
from small_run import losses
from torch import nn

from minigemini import MiniGeminiForConditionalGeneration
from minigemini.cli import main
from minigemini.training import master_weights
from minigemini.training.master_weights import FILE, MasterWeights
from minigemini.training.run import train

MODULES = "patch_info_mining: {train: full}, multi_modal_projector: {train: full, dtype: bfloat16}"
LANGUAGE_MODEL = "language_model: {train: full, dtype: bfloat16}, lm_head: {train: full, dtype: bfloat16}"
IN_BFLOAT16 = [f"modules={{{MODULES}, {LANGUAGE_MODEL}}}", "trainer.bf16=true"]
SAVING = ["trainer.save_strategy=steps", "trainer.save_steps=1"]


def test_steps_too_small_for_bfloat16_are_gathered():
    weights = [nn.Parameter(torch.ones(3, dtype=torch.bfloat16)) for _ in range(2)]
    masters = MasterWeights([{"params": weights[:1]}])
    ((_, copy),) = masters.pairs
    of_copies, alone = torch.optim.SGD([copy], lr=1e-3), torch.optim.SGD(weights[1:], lr=1e-3)
    masters.follow(of_copies)
    for _ in range(100):
        for weight, optimizer in zip(weights, (of_copies, alone), strict=True):
            weight.grad = torch.ones_like(weight)
            optimizer.step()
    assert copy[0].item() == pytest.approx(0.9, abs=1e-5)
    assert weights[0].tolist() == copy.bfloat16().tolist()
    assert weights[1].tolist() == [1, 1, 1], "each step is rounded away"


@pytest.mark.parametrize("optimizer_class", [torch.optim.AdamW, torch.optim.SGD])
def test_step_in_parts_is_the_step_of_all_at_once(optimizer_class, monkeypatch):
    monkeypatch.setattr(master_weights, "AT_ONCE", 10)  # numbers; the last of the weights has more
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(2, 3) for _ in range(3)), nn.Linear(4, 5)).bfloat16()
    model.append(nn.LayerNorm(3))  # in float32
    same = [nn.Parameter(weight.detach().float()) for weight in model.parameters()]
    groups = [{"params": list(model.parameters()), "module": "all", "initial_lr": 0.1}]
    masters = MasterWeights(groups)
    optimizer, other = optimizer_class(groups, lr=0.1), optimizer_class(same, lr=0.1)
    masters.follow(optimizer)
    for _ in range(3):
        for weight, copy in zip(model.parameters(), same, strict=True):
            weight.grad = torch.randn_like(weight)
            copy.grad = weight.grad.float()
        optimizer.step()
        other.step()
        for weight, copy in zip(model.parameters(), same, strict=True):
            assert torch.equal(weight, copy.to(weight.dtype))
            assert weight.grad is None
    (group,) = optimizer.param_groups
    assert (group["module"], group["initial_lr"]) == ("all", 0.1)
    assert all(torch.equal(one, two) for one, two in zip(group["params"], same, strict=True))


@pytest.mark.parametrize("optimizer", ["adamw_torch_fused", "adamw_bnb_8bit"])
def test_a_resumed_run_is_the_uninterrupted_one(align, tmp_path, monkeypatch, optimizer):
    options = [*IN_BFLOAT16, *SAVING, f"trainer.optim={optimizer}"]
    whole = train(align, options)
    cut = [*options, f"trainer.output_dir={tmp_path / 'cut'}"]
    with monkeypatch.context() as patch:
        patch.setattr("minigemini.training.trainer.Progress.on_step_end", interrupt_at_step_3)
        with pytest.raises(KeyboardInterrupt):
            train(align, cut)
    resumed = train(align, cut, resume=True)
    assert (resumed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    one, two = (torch.load(folder / "checkpoint-4" / FILE) for folder in (whole, resumed))
    assert all(torch.equal(*copies) for copies in zip(one, two, strict=True))
    assert any((copy != copy.bfloat16()).any() for copy in one)
    saved = load_file(whole / "model.safetensors")
    assert saved["model.language_model.norm.weight"].dtype == saved["lm_head.weight"].dtype == torch.bfloat16
    assert saved["model.patch_info_mining.query_projection.weight"].dtype == torch.float32
    model = MiniGeminiForConditionalGeneration.from_pretrained(whole, dtype="auto")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def interrupt_at_step_3(self, args, state, control, **kwargs):
    if state.global_step == 3:
        raise KeyboardInterrupt


def test_it_learns_what_float32_learns(align, tmp_path):
    in_float32 = [option.replace(", dtype: bfloat16", "") for option in IN_BFLOAT16]
    options = ["trainer.num_train_epochs=5", "trainer.learning_rate=3e-3"]
    one = losses(train(align, [*IN_BFLOAT16, *options]))
    two = losses(train(align, [*in_float32, *options, f"trainer.output_dir={tmp_path / 'float32'}"]))
    assert one == pytest.approx(two, abs=0.05)
    assert two[-1] < two[0] - 1


def test_a_run_does_not_go_on_with_another_type(align):
    output = train(align, [*IN_BFLOAT16, *SAVING])
    (output / "trainer_state.json").unlink()
    for number in range(1, 5):
        (output / f"checkpoint-{number}" / FILE).unlink()
        (output / f"checkpoint-{number}" / "whole.json").unlink()
    with pytest.raises(ValueError, match=f"{FILE} not in it"):
        train(align, [*IN_BFLOAT16, *SAVING], resume=True)


def test_what_does_not_go_with_it_is_refused(align):
    with pytest.raises(ValueError, match="modules.multi_modal_projector: .*set trainer.bf16=true"):
        train(align, IN_BFLOAT16[:1])
    with pytest.raises(ValueError, match=r"modules.\w+: dtype does nothing under DeepSpeed"):
        train(align, [*IN_BFLOAT16, "trainer.deepspeed=train/deepspeed/zero2.json"])
    with pytest.raises(ValueError, match="modules.patch_info_mining: on a CPU torch has no LayerNorm"):
        train(align, [*IN_BFLOAT16, "modules.patch_info_mining.dtype=bfloat16"])


def test_a_dry_run_says_it_and_tries_it(align, capsys):
    assert main(["train", str(align), "--dry-run", *IN_BFLOAT16, "trainer.optim=adamw_bnb_8bit"]) == 0
    said = capsys.readouterr().out
    assert "lm_head" in said
    assert next(line for line in said.splitlines() if line.split()[:1] == ["lm_head"]).split()[6] == "bfloat16"
    assert "saved and loaded again, equal" in said
