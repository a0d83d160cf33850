import copy
from typing import Any, NamedTuple

import mining_definition
import pytest
import torch

from minigemini.model.patch_info_mining import PatchInfoMining, grid_to_tiles, interpolation_matrix, tiles_to_grid


class Case(NamedTuple):
    fine: int  # side of the finest stage
    tokens_per_side: int
    grid: int = 1
    whole: bool = False
    channels: tuple[int, ...] = (8, 12, 16, 20)
    width: int = 24
    pictures: int = 2


CASES = {
    "768/336": Case(192, 24, pictures=1),
    "1536/672, 2 x 2 crops and the whole": Case(384, 24, 2, True, (4, 6, 8, 10), 16, pictures=1),
    "2 x 2 crops": Case(48, 3, 2),
    "2 x 2 crops and the whole": Case(64, 4, 2, True),
    "2 x 2 crops of 4 x 4 positions and the whole": Case(32, 4, 2, True),
    "3 x 3 crops and the whole": Case(48, 2, 3, True, pictures=3),
    "4 x 4 crops and the whole": Case(64, 2, 4, True),
    "odd channels": Case(32, 4, 2, True, (5, 7, 11, 13), 9),
    "ratios of ConvNeXt-base": Case(32, 4, 1, False, (8, 16, 32, 64), 64),
    "ratios of ConvNeXt-large": Case(32, 4, 1, False, (12, 24, 48, 96), 64),
    "ratios of ConvNeXt-xxlarge": Case(32, 4, 1, False, (24, 48, 96, 192), 64),
    "one token": Case(16, 1),
    **{f"{p} x {p} positions a token": Case(8 * p, 8) for p in range(1, 17)},
}
PLAIN = Case(32, 4)


def make(case: Case, seed: int = 0) -> tuple[PatchInfoMining, torch.Tensor, list[torch.Tensor]]:
    """A module with no weight at its initial value, tokens and a pyramid, all in float64."""
    torch.manual_seed(seed)
    mining = PatchInfoMining(case.width, list(case.channels), case.tokens_per_side, case.grid, case.whole).double()
    for parameter in mining.parameters():
        scale = 0.3 if parameter.ndim == 1 else parameter.shape[1] ** -0.5  # logits of the same size at any width
        parameter.data.add_(scale * torch.randn_like(parameter))
    views, tokens_per_view = case.grid**2 + case.whole, case.tokens_per_side**2
    tokens = torch.randn(case.pictures, views, tokens_per_view, case.width, dtype=torch.float64)
    # Stages of unequal size and with an offset: what LayerNorm must see through.
    pyramid = [
        (s + 1) * torch.randn(case.pictures, c, case.fine // 2**s, case.fine // 2**s, dtype=torch.float64) + s
        for s, c in enumerate(case.channels)
    ]
    return mining, tokens, pyramid


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found.double() - expected).norm() / expected.norm()).item()


def forward_errors(case: Case) -> tuple[float, float]:
    """Of the mined tokens and of the attention, float32 against the definition in float64."""
    mining, tokens, pyramid = make(case)
    expected, expected_attention = mining_definition.mined_tokens(mining, tokens, pyramid, case.grid)
    found, attention = mining.float()(tokens.float(), [stage.float() for stage in pyramid])
    # Of what is mined alone: in the sum with the tokens its error would not show.
    return relative_error(found - tokens.float(), expected - tokens), relative_error(attention, expected_attention)


def gradient_errors(case: Case) -> dict[str, float]:
    """Of all weights, of the tokens and of the pyramid, which a trained tower gets: float32 against float64."""
    mining, tokens, pyramid = make(case)
    leaves = [tokens, *pyramid]
    for leaf in leaves:
        leaf.requires_grad_()
    out = mining_definition.mined_tokens(mining, tokens, pyramid, case.grid)[0]
    weights = torch.randn_like(out)
    parameters = dict(mining.named_parameters())
    live = [name for name in parameters if name not in ("key_norm.bias", "key_projection.bias")]
    assert len(live) == 10  # of three norms and three projections
    expected = torch.autograd.grad((out * weights).sum(), [parameters[name] for name in live] + leaves)

    single: Any = copy.deepcopy(mining).float()
    single_leaves = [leaf.detach().float().requires_grad_() for leaf in leaves]
    (single(single_leaves[0], single_leaves[1:])[0] * weights.float()).sum().backward()
    found: Any = [single.get_parameter(name).grad for name in live] + [leaf.grad for leaf in single_leaves]
    names = [*live, "tokens", *(f"stage {s}" for s in range(len(pyramid)))]
    return {name: relative_error(f, e) for name, f, e in zip(names, found, expected, strict=True)}


@pytest.mark.parametrize("name", CASES)
def test_is_the_defining_formula(name):
    mining, tokens, pyramid = make(CASES[name])
    found, attention = mining(tokens, pyramid)
    expected, expected_attention = mining_definition.mined_tokens(mining, tokens, pyramid, CASES[name].grid)
    assert relative_error(found, expected) < 1e-13
    assert relative_error(attention, expected_attention) < 1e-13


@pytest.mark.parametrize("name", CASES)
def test_float32_is_as_good_as_float32_can_be(name):
    mined, attention = forward_errors(CASES[name])
    assert mined < 1e-6
    assert attention < 1e-6


@pytest.mark.parametrize("name", [name for name in CASES if name != "1 x 1 positions a token"])  # there many are zero
def test_float32_gradients(name):
    errors = gradient_errors(CASES[name])
    assert max(errors.values()) < 5e-6, errors


@pytest.mark.slow
def test_float32_at_full_width():
    """The widths of CLIP-L and ConvNeXt-L, 768/336."""
    case = Case(192, 24, 1, False, (192, 384, 768, 1536), 1024, pictures=1)
    assert max(forward_errors(case)) < 1e-6
    errors = gradient_errors(case)
    assert max(errors.values()) < 5e-6, errors


@pytest.mark.parametrize(("key_eps", "value_eps"), [(1e-5, 1e-2), (1e-2, 1e-5), (1e-6, 1e-1)])
def test_norms_of_keys_and_values_with_eps_of_their_own(key_eps, value_eps):
    case = CASES["2 x 2 crops and the whole"]
    mining, tokens, pyramid = make(case)
    pyramid = [0.1 * stage for stage in pyramid]  # so that eps matters
    usual = mining(tokens, pyramid)[0]
    mining.key_norm.eps, mining.value_norm.eps = key_eps, value_eps
    found, attention = mining(tokens, pyramid)
    expected, expected_attention = mining_definition.mined_tokens(mining, tokens, pyramid, case.grid)
    assert relative_error(found, expected) < 1e-13
    assert relative_error(attention, expected_attention) < 1e-13
    assert relative_error(usual, expected) > 1e-4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["2 x 2 crops and the whole", "odd channels", "ratios of ConvNeXt-large"])
def test_half_precision_is_no_worse_than_the_definition_in_it(name, dtype):
    """Both get the same rounded weights and inputs."""
    case = CASES[name]
    mining, tokens, pyramid = make(case)
    half = copy.deepcopy(mining).to(dtype)
    tokens, pyramid = tokens.to(dtype), [stage.to(dtype) for stage in pyramid]
    exact = copy.deepcopy(half).double()
    truth = mining_definition.mined_tokens(exact, tokens.double(), [s.double() for s in pyramid], case.grid)
    found, definition = half(tokens, pyramid), mining_definition.mined_tokens(half, tokens, pyramid, case.grid)
    assert found[0].dtype == dtype
    assert relative_error(found[0], truth[0]) < relative_error(definition[0], truth[0])
    assert relative_error(found[1], truth[1]) < 0.5 * relative_error(definition[1], truth[1])  # softmax in float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_large_activations_stay_finite(dtype):
    """The largest that float16 can hold: sums of their squares are beyond it, as are sums of a few of them."""
    case = CASES["2 x 2 crops and the whole"]
    mining, tokens, pyramid = make(case)
    tokens = 1e3 * tokens
    pyramid = [6e4 * stage.sign() * (1 - 0.1 * torch.rand_like(stage)) for stage in pyramid]
    pyramid[3] = pyramid[3].abs()  # also on one side: a mean that is large
    mining.to(dtype)
    tokens, pyramid = tokens.to(dtype), [stage.to(dtype).requires_grad_() for stage in pyramid]
    found, attention = mining(tokens, pyramid)
    (found - tokens).square().mean().backward()
    assert found.isfinite().all()
    assert attention.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in mining.parameters() if parameter.grad is not None)
    assert all(stage.grad.isfinite().all() for stage in pyramid if stage.grad is not None)
    exact = copy.deepcopy(mining).double()
    expected = mining_definition.mined_tokens(exact, tokens.double(), [s.double() for s in pyramid], case.grid)
    assert relative_error(attention, expected[1]) < {torch.bfloat16: 5e-2, torch.float16: 1e-2}[dtype]


def test_one_module_mines_pyramids_of_any_size_in_turn():
    mining, tokens, _ = make(PLAIN)
    single, single_tokens = copy.deepcopy(mining).float(), tokens.float()
    for fine in (32, 8, 16, 64, 32, 48):
        _, _, pyramid = make(PLAIN._replace(fine=fine))
        single_pyramid = [stage.float() for stage in pyramid]
        with torch.inference_mode():  # what is kept from here must do for training
            single(single_tokens, single_pyramid)
        found, attention = single(single_tokens, single_pyramid)
        found.sum().backward()
        expected, _ = mining_definition.mined_tokens(mining, tokens, pyramid, 1)
        assert relative_error(found, expected) < 1e-6
        assert attention.shape[-1] == fine // 4


def test_biases_without_effect_get_a_gradient_of_exactly_zero():
    mining, tokens, pyramid = make(PLAIN)
    before = mining(tokens, pyramid)[0]
    before.square().sum().backward()
    for bias in (mining.key_norm.bias, mining.key_projection.bias):
        assert bias.grad is not None
        assert bias.grad.count_nonzero() == 0
        bias.data.add_(5.0)
    assert torch.equal(mining(tokens, pyramid)[0], before)


def test_attention_is_a_distribution_and_points_at_the_position_read():
    """One position of one cell is made to match its token's query; the attention is there, and the output is its value."""
    mining, tokens, pyramid = make(PLAIN)
    with torch.no_grad():
        query = mining.query_projection(mining.query_norm(tokens[:, 0]))
        wanted = mining.key_norm.weight * (query @ mining.key_projection.weight)
        pyramid = [torch.zeros_like(stage) for stage in pyramid]
        row, column = 9, 18  # in the cell of token (1, 2), at (1, 2) of it
        pyramid[0][0, :, row, column] = 1e3 * wanted[0, 1 * 4 + 2, : PLAIN.channels[0]]
        _, attention = mining(tokens, pyramid)
    torch.testing.assert_close(attention.sum((-2, -1)), torch.ones_like(attention[..., 0, 0]))
    assert attention[0, 0, 1 * 4 + 2].argmax() == 1 * 8 + 2
    assert attention[0, 0, 1 * 4 + 2].max() > 1.5 * attention[0, 0, 1 * 4 + 2].flatten().median()


def test_statistics_stay_float32_under_autocast():
    mining, tokens, pyramid = make(PLAIN)
    pyramid = [1000 + stage for stage in pyramid]  # bfloat16 has no digits left for what is on top of this
    expected = mining_definition.mined_tokens(mining, tokens, pyramid, 1)[0] - tokens
    mining, tokens, pyramid = mining.float(), tokens.float(), [stage.float() for stage in pyramid]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out, attention = mining(tokens, pyramid)
    assert attention.dtype == torch.float32
    torch.testing.assert_close(attention.sum((-2, -1)), torch.ones_like(attention[..., 0, 0]))
    assert relative_error(out - tokens, expected) < 2e-2


def test_a_bad_position_shows():
    """Nothing hides a NaN; the original put zeros there."""
    mining, tokens, pyramid = make(PLAIN)
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
