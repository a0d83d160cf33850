"""Patch info mining, and the whole way from pictures to image tokens, in one graph: compiled and exported."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor, nn

from minigemini.model.patch_info_mining import PatchInfoMining

CHANNELS = [8, 12, 16, 20]


@pytest.fixture(autouse=True)
def forget_graphs() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def mining(grid: int) -> PatchInfoMining:
    """3 x 3 tokens; with a grid also of the whole. Tracing costs seconds for each view, whatever the sizes."""
    torch.manual_seed(0)
    return PatchInfoMining(24, CHANNELS, 3, grid, grid > 1)


def mining_inputs(pictures: int, fine: int, grid: int) -> tuple[Tensor, list[Tensor]]:
    pyramid = [torch.randn(pictures, c, fine // 2**s, fine // 2**s) for s, c in enumerate(CHANNELS)]
    return torch.randn(pictures, grid**2 + (grid > 1), 9, 24), pyramid


class ImageEncoder(nn.Module):
    """Pixels -> image tokens and the attention of the mining; both towers, the mining and the projector."""

    def __init__(self) -> None:
        super().__init__()
        self.model = tiny.image_encoder(96)

    def forward(self, pixel_values: Tensor, high_res_pixel_values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out: Any = self.model.get_image_features(pixel_values, high_res_pixel_values, output_mining_attentions=True)
        return out.pooler_output, out.mining_attentions, out.mining_residual_norms


def pictures(number: int, side: int) -> tuple[Tensor, Tensor]:
    return torch.randn(number, 3, 42, 42), torch.randn(number, 3, side, side)


def assert_same(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def gradients(module: Any, tokens: Tensor, pyramid: list[Tensor], parameters: list[nn.Parameter]) -> list[Tensor]:
    leaves = [leaf.clone().requires_grad_() for leaf in (tokens, *pyramid)]
    mined, attention = module(leaves[0], leaves[1:])
    return list(torch.autograd.grad(mined.square().sum() + attention.square().sum(), [*leaves, *parameters]))


INDUCTOR = pytest.param(
    "inductor",
    marks=[
        pytest.mark.slow,
        pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler"),
    ],
)


@pytest.mark.parametrize("backend", ["aot_eager", INDUCTOR])
def test_mining_compiled(backend):
    """In one graph, with gradients of everything; aot_eager traces both ways as inductor does and compiles nothing."""
    module = mining(grid=2)
    tokens, pyramid = mining_inputs(2, 48, grid=2)
    compiled = torch.compile(module, backend=backend, fullgraph=True)
    parameters = list(module.parameters())
    assert_same(gradients(compiled, tokens, pyramid, parameters), gradients(module, tokens, pyramid, parameters))


@torch.no_grad()
def test_mining_compiled_for_one_size_after_another():
    """From the second size on torch takes sizes for symbols, of which no tables could be made."""
    module = mining(grid=1)
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    for number, fine in [(2, 24), (3, 24), (2, 48)]:
        tokens, pyramid = mining_inputs(number, fine, grid=1)
        assert_same(compiled(tokens, pyramid), module(tokens, pyramid))


@torch.no_grad()
@pytest.mark.parametrize("backend", ["eager", INDUCTOR])
def test_image_encoder_compiled(backend):
    encoder = ImageEncoder()
    encoder(*pictures(1, 96))  # in the first call transformers puts its hooks into the low-resolution tower
    compiled = torch.compile(encoder, backend=backend, fullgraph=True)
    images = pictures(2, 96)
    assert_same(compiled(*images), encoder(*images))


@pytest.mark.parametrize(("strict", "grid"), [(False, 2), pytest.param(True, 1, marks=pytest.mark.slow)])
def test_mining_exported(strict, grid):
    """For any number of pictures; the tables of the size are constants of the graph. The module is as it was."""
    module, size = mining(grid), 24 * grid
    number = torch.export.Dim("number", min=1, max=64)
    exported = torch.export.export(
        module, mining_inputs(2, size, grid), dynamic_shapes=({0: number}, [{0: number}] * 4), strict=strict
    )
    for other in (1, 5):
        inputs = mining_inputs(other, size, grid)
        assert_same(exported.module()(*inputs), module(*inputs))


@torch.no_grad()
@pytest.mark.parametrize("side", [192, pytest.param(96, marks=pytest.mark.slow)])
def test_image_encoder_exported(side, tmp_path):
    """At the size of the configuration (96) and at another; saved and loaded."""
    encoder = ImageEncoder()
    number = torch.export.Dim("number", min=1, max=64)
    exported = torch.export.export(encoder, pictures(2, side), dynamic_shapes=({0: number}, {0: number}))
    torch.export.save(exported, tmp_path / "encoder.pt2")
    loaded = torch.export.load(tmp_path / "encoder.pt2").module()
    for other in (1, 3):
        images = pictures(other, side)
        assert_same(loaded(*images), encoder(*images))


@torch.no_grad()
def test_image_encoder_under_autocast():
    encoder, images = ImageEncoder(), pictures(2, 96)
    features, attention, norms = encoder(*images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, found_attention, found_norms = encoder(*images)
    assert found_attention.dtype == torch.float32
    assert (found.float() - features).norm() < 3e-2 * features.norm()
    torch.testing.assert_close(found_attention.sum((-2, -1)), torch.ones_like(found_norms))
    assert (found_attention - attention).norm() < 3e-2 * attention.norm()
    assert (found_norms - norms).norm() < 3e-2 * norms.norm()
