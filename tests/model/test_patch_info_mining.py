import copy
from typing import Any

import mining_definition
import pytest
import torch

from minigemini.model.patch_info_mining import PatchInfoMining, grid_to_tiles, interpolation_matrix, tiles_to_grid

# name: fine side, n, grid, whole view
GEOMETRIES = {
    "as released: 8 x 8 positions a token": (32, 4, 1, False),
    "4 x 4 positions: cells between the coarse positions": (16, 4, 1, False),
    "12 x 12 positions": (24, 2, 1, False),
    "2 x 2 crops": (48, 3, 2, False),
    "2 x 2 crops and the whole": (64, 4, 2, True),
    "3 x 3 crops and the whole": (48, 2, 3, True),
    "2 x 2 crops of 4 x 4 positions and the whole": (32, 4, 2, True),
}
WIDTH, CHANNELS = 24, [8, 12, 16, 20]


def make(geometry: str, seed: int = 0) -> tuple[PatchInfoMining, torch.Tensor, list[torch.Tensor], int]:
    """A module with no weight at its initial value, tokens and a pyramid, all in float64."""
    fine, side, grid, whole = GEOMETRIES[geometry]
    torch.manual_seed(seed)
    mining = PatchInfoMining(WIDTH, CHANNELS, side, grid, whole).double()
    for parameter in mining.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    tokens = torch.randn(2, grid**2 + whole, side**2, WIDTH, dtype=torch.float64)
    # Stages of unequal size and with an offset: what LayerNorm must see through.
    pyramid = [
        (s + 1) * torch.randn(2, c, fine // 2**s, fine // 2**s, dtype=torch.float64) + s for s, c in enumerate(CHANNELS)
    ]
    return mining, tokens, pyramid, grid


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found.double() - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_is_the_defining_formula(geometry):
    mining, tokens, pyramid, grid = make(geometry)
    found, attention = mining(tokens, pyramid)
    expected, expected_attention = mining_definition.mined_tokens(mining, tokens, pyramid, grid)
    assert relative_error(found, expected) < 1e-13
    assert relative_error(attention, expected_attention) < 1e-13


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_float32_is_as_good_as_float32_can_be(geometry):
    mining, tokens, pyramid, grid = make(geometry)
    expected = mining_definition.mined_tokens(mining, tokens, pyramid, grid)[0] - tokens
    found = mining.float()(tokens.float(), [stage.float() for stage in pyramid])[0] - tokens.float()
    assert relative_error(found, expected) < 1e-6


@pytest.mark.parametrize("geometry", ["as released: 8 x 8 positions a token", "2 x 2 crops and the whole"])
def test_float32_gradients(geometry):
    """Of all weights, of the tokens and of the pyramid, which a trained tower gets."""
    mining, tokens, pyramid, grid = make(geometry)
    leaves = [tokens, *pyramid]
    for leaf in leaves:
        leaf.requires_grad_()
    out = mining_definition.mined_tokens(mining, tokens, pyramid, grid)[0]
    weights = torch.randn_like(out)
    parameters = dict(mining.named_parameters())
    live = [name for name in parameters if name not in ("key_norm.bias", "key_projection.bias")]
    expected = torch.autograd.grad((out * weights).sum(), [parameters[name] for name in live] + leaves)

    single: Any = copy.deepcopy(mining).float()
    single_leaves = [leaf.detach().float().requires_grad_() for leaf in leaves]
    out = single(single_leaves[0], single_leaves[1:])[0]
    (out * weights.float()).sum().backward()
    found: Any = [single.get_parameter(name).grad for name in live] + [leaf.grad for leaf in single_leaves]
    names = [*live, "tokens", *(f"stage {s}" for s in range(4))]
    errors = {name: relative_error(f, e) for name, f, e in zip(names, found, expected, strict=True)}
    assert max(errors.values()) < 5e-6, errors


def test_biases_without_effect_get_a_gradient_of_exactly_zero():
    mining, tokens, pyramid, _ = make("as released: 8 x 8 positions a token")
    before = mining(tokens, pyramid)[0]
    before.square().sum().backward()
    for bias in (mining.key_norm.bias, mining.key_projection.bias):
        assert bias.grad is not None
        assert bias.grad.count_nonzero() == 0
        bias.data.add_(5.0)
    assert torch.equal(mining(tokens, pyramid)[0], before)


def test_attention_is_a_distribution_and_points_at_the_position_read():
    """One position of one cell is made to match its token's query; the attention is there, and the output is its value."""
    mining, tokens, pyramid, _ = make("as released: 8 x 8 positions a token")
    with torch.no_grad():
        query = mining.query_projection(mining.query_norm(tokens[:, 0]))
        wanted = mining.key_norm.weight * (query @ mining.key_projection.weight)
        pyramid = [torch.zeros_like(stage) for stage in pyramid]
        row, column = 9, 18  # in the cell of token (1, 2), at (1, 2) of it
        pyramid[0][0, :, row, column] = 1e3 * wanted[0, 1 * 4 + 2, : CHANNELS[0]]
        _, attention = mining(tokens, pyramid)
    torch.testing.assert_close(attention.sum((-2, -1)), torch.ones_like(attention[..., 0, 0]))
    assert attention[0, 0, 1 * 4 + 2].argmax() == 1 * 8 + 2
    assert attention[0, 0, 1 * 4 + 2].max() > 1.5 * attention[0, 0, 1 * 4 + 2].flatten().median()


def test_statistics_stay_float32_under_autocast():
    mining, tokens, pyramid, grid = make("as released: 8 x 8 positions a token")
    pyramid = [1000 + stage for stage in pyramid]  # bfloat16 has no digits left for what is on top of this
    expected = mining_definition.mined_tokens(mining, tokens, pyramid, grid)[0] - tokens
    mining, tokens, pyramid = mining.float(), tokens.float(), [stage.float() for stage in pyramid]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out, attention = mining(tokens, pyramid)
    assert attention.dtype == torch.float32
    torch.testing.assert_close(attention.sum((-2, -1)), torch.ones_like(attention[..., 0, 0]))
    assert relative_error(out - tokens, expected) < 2e-2


def test_a_bad_position_shows():
    """Nothing hides a NaN; the original put zeros there."""
    mining, tokens, pyramid, _ = make("as released: 8 x 8 positions a token")
    pyramid[0][0, 0, 0, 0] = torch.nan
    out, _ = mining(tokens, pyramid)
    assert out[0, 0, 0].isnan().all()
    assert out[0, 0, 1:].isfinite().all()
    assert out[1].isfinite().all()


def test_tiles_and_grid_are_inverse():
    picture = torch.arange(36).view(1, 36, 1)  # 6 x 6, row by row
    tiles = grid_to_tiles(picture, 2)
    assert tiles[0, 1, :, 0].tolist() == [3, 4, 5, 9, 10, 11, 15, 16, 17]
    assert torch.equal(tiles_to_grid(tiles, 2), picture)


@pytest.mark.parametrize(("native", "size"), [(6, 48), (48, 24), (48, 16), (5, 5), (1, 8), (2, 16), (7, 3)])
def test_interpolation_matrix_is_what_torch_does(native, size):
    rows = torch.eye(native, dtype=torch.float64)[None]
    expected = torch.nn.functional.interpolate(rows, size=size, mode="linear", align_corners=False)[0].T
    torch.testing.assert_close(torch.from_numpy(interpolation_matrix(native, size)), expected)
