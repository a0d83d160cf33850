"""Patch info mining: every low-resolution token reads the high-resolution positions under it.

The definition, per picture, with low-resolution tokens ``x_n`` and the high-resolution pyramid upsampled bilinearly to
its finest stage and concatenated (``h_i``, C channels; position i belongs to the cell of one token):

    q_n = W_q LN_q(x_n) + b_q        k_i = W_k LN_k(h_i) + b_k        v_i = W_v LN_v(h_i) + b_v
    mined_n = sum_i softmax_i(q_n . k_i / sqrt(D)) v_i        over the P x P positions of the cell of n

(Mini-Gemini, arXiv:2403.18814, section 3.2). Computed so, it costs more than the low-resolution tower. Here it is
computed exactly, but

1. the key projection is absorbed into the query: with ``u_n = gamma_k * (W_k^T q_n)`` and the normalised position
   ``g_i = (h_i - mean_i) / std_i`` the logits are ``u_n . g_i``, up to a term without i that softmax drops;
2. the value projection comes after the pooling: ``mined_n = W_v (gamma_v * sum_i a_ni g_i + beta_v) + b_v``;
3. no stage is upsampled: interpolation is linear, so dot products and pooled sums are taken at a stage's own
   positions, and only the scalars are interpolated;
4. means and variances come from there too. Each stage's own mean over channels is taken off first (what is left is
   ``z``), so that ``var_i`` is a sum of squares, without cancellation; ``|interpolated z|^2`` follows from the Gram
   matrix of the few ``z`` around a cell.

The bias of the key projection and the bias of the key LayerNorm have no effect (point 1). They stay parameters, for
checkpoints have them, and get a gradient of exactly zero, so that no distributed engine waits for it.

Shapes: B pictures, n x n cells (one per token) of P x P positions, K x K positions of a stage around a cell, D width of
the low-resolution tower, C_s channels of stage s.
"""

import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.utils.generic import maybe_autocast

EPS = 1e-5  # of the LayerNorms over queries, keys and values, as released; each norm has its own `eps`


class PatchInfoMining(nn.Module):
    """Adds to every low-resolution token what it finds in the high-resolution picture.

    Its weights know channels, not sizes: a pyramid of any size will do whose every cell has whole positions.

    Args:
        hidden_size: D.
        stage_channels: C_s of each stage, finest first; stage s + 1 has half the side of stage s.
        tokens_per_side: n of one view.
        image_grid, image_global: as in the configuration.
    """

    def __init__(
        self,
        hidden_size: int,
        stage_channels: list[int],
        tokens_per_side: int,
        image_grid: int = 1,
        image_global: bool = False,
    ):
        super().__init__()
        self.tokens_per_side, self.grid, self.has_global_view = tokens_per_side, image_grid, image_global
        channels = sum(stage_channels)
        self.query_norm = nn.LayerNorm(hidden_size, eps=EPS)
        self.query_projection = nn.Linear(hidden_size, hidden_size)
        self.key_norm = AbsorbedLayerNorm(channels, eps=EPS)
        self.key_projection = AbsorbedLinear(channels, hidden_size)
        self.value_norm = PooledLayerNorm(channels, eps=EPS)
        self.value_projection = PooledLinear(channels, hidden_size)

    def forward(self, tokens: Tensor, pyramid: list[Tensor]) -> tuple[Tensor, Tensor]:
        """
        Args:
            tokens: [B, T, n * n, D], the views of each picture: crops row by row, then the whole view if there is one.
            pyramid: per stage [B, C_s, side_s, side_s].

        Returns:
            The tokens with what they mined added, [B, T, n * n, D], and the attention [B, T, n * n, P, P] of each token
            over the positions of its cell (of the shrunk map, for the whole view); it sums to 1.
        """
        with maybe_autocast(device_type=tokens.device.type, enabled=False):
            stages = [centred(stage) for stage in pyramid]
        # The crops are cells of one large map. The whole view reads the map shrunk to the size of a crop's.
        crops = self.grid**2
        mined, attention = self._mine(tiles_to_grid(tokens[:, :crops], self.grid), stages, shrink=1)
        mined, attention = grid_to_tiles(mined, self.grid), grid_to_tiles(attention, self.grid)
        if self.has_global_view:
            whole = self._mine(tokens[:, crops], stages, shrink=self.grid)
            mined = torch.cat([mined, whole[0][:, None]], dim=1)
            attention = torch.cat([attention, whole[1][:, None]], dim=1)
        return (tokens + mined).to(tokens.dtype), attention

    def _mine(self, tokens: Tensor, stages: list[tuple[Tensor, Tensor]], shrink: int) -> tuple[Tensor, Tensor]:
        """Tokens [B, cells * cells, D] -> mined [B, cells * cells, D] and attention [B, cells * cells, P, P]."""
        # Sizes as plain numbers also for torch.compile, which may have made symbols of them: tables depend on them.
        sides = [len(range(z.shape[1])) for z, _ in stages]
        cells = self.tokens_per_side * self.grid // shrink
        readers = [StageReader(side, sides[0], sides[0] // shrink, cells, tokens.device) for side in sides]
        query = self.query_projection(self.query_norm(tokens)) * tokens.shape[-1] ** -0.5
        reading_query = self.key_projection(query)
        # What lies between the projections in (at least) float32, also under autocast.
        with maybe_autocast(device_type=tokens.device.type, enabled=False):
            reading_query = self.key_norm(reading_query.to(stages[0][0].dtype))
            pooled, attention = pool(reading_query, stages, readers, self.key_norm.eps, self.value_norm.eps)
            values = self.value_norm(pooled)
        return self.value_projection(values), attention


def centred(stage: Tensor) -> tuple[Tensor, Tensor]:
    """[B, C, S, S] -> (z [B, S, S, C] without its mean over channels, the mean [B, S, S, 1]), at least in float32."""
    stage = stage.permute(0, 2, 3, 1).to(torch.promote_types(stage.dtype, torch.float32)).contiguous()
    mean = stage.mean(-1, keepdim=True)
    return stage - mean, mean


def pool(
    query: Tensor,
    stages: list[tuple[Tensor, Tensor]],
    readers: "list[StageReader]",
    key_eps: float,
    value_eps: float,
) -> tuple[Tensor, Tensor]:
    """Attend with ``query`` [B, cells * cells, C] over the normalised positions of each cell.

    Returns:
        sum_i a_i g_i, [B, cells * cells, C]; and a, [B, cells * cells, P, P].
    """
    queries = query.split([z.shape[-1] for z, _ in stages], dim=-1)
    cells = [reader.cells(z) for reader, (z, _) in zip(readers, stages, strict=True)]
    means = [reader.interpolate(reader.cells(mean)[..., 0]) for reader, (_, mean) in zip(readers, stages, strict=True)]
    channels = query.shape[-1]

    mean = torch.stack([m * (z.shape[-1] / channels) for m, z in zip(means, cells, strict=True)]).sum(0)
    offsets = [m - mean for m in means]  # of a stage's mean from the mean of all channels
    variance = torch.zeros_like(mean)
    logits = torch.zeros_like(mean)
    for reader, z, offset, u in zip(readers, cells, offsets, queries, strict=True):
        variance = variance + (reader.squared_norms(z) + z.shape[-1] * offset.square()) / channels
        dots = torch.einsum("bnkc,bnc->bnk", z, u)
        logits = logits + reader.interpolate(dots) + offset * u.sum(-1)[..., None, None]

    logits = logits * (variance + key_eps).rsqrt()
    attention = logits.flatten(-2).softmax(-1).view_as(logits)
    weights = attention * (variance + value_eps).rsqrt()
    pooled = [
        torch.einsum("bnk,bnkc->bnc", reader.spread(weights), z) + (weights * offset).sum((-2, -1))[..., None]
        for reader, z, offset in zip(readers, cells, offsets, strict=True)
    ]
    return torch.cat(pooled, dim=-1), attention


class StageReader:
    """How the cells of a view read one stage of the pyramid.

    The stage's map (side ``native``) is thought to be interpolated bilinearly (align_corners=False) to the finest side
    ``fine``, then shrunk so to ``positions``, then cut into ``cells`` x ``cells`` cells. Along an axis all this is one
    matrix, the same for both axes; a cell sees only a window of K of its columns. Where a window would be larger than
    the cell itself (fine stages of the shrunk view), the map is shrunk first and the cells read it one to one.
    """

    def __init__(self, native: int, fine: int, positions: int, cells: int, device: torch.device):
        self.shrink_index, self.shrink_weight, self.index, self.weight = tables_on(
            native, fine, positions, cells, device
        )
        self.shrinks = self.shrink_index.shape != (native, 1)  # else every position is only itself
        self.one_to_one = self.index.shape[1] == positions // cells

    def cells(self, maps: Tensor) -> Tensor:
        """[B, native, native, C] -> the positions around each cell, [B, cells * cells, K * K, C]."""
        if self.shrinks:
            maps = self._shrink(maps)
        pictures, side = maps.shape[:2]
        cells, window = self.index.shape
        if self.one_to_one:
            maps = maps.unflatten(2, (cells, window)).unflatten(1, (cells, window)).transpose(2, 3)
            return maps.reshape(pictures, cells * cells, window * window, maps.shape[-1])
        # Windows overlap. They are looked up as words are, because that is fast both ways.
        index = (self.index[:, None, :, None] * side + self.index[:, None]).reshape(cells * cells, window * window)
        first = torch.arange(pictures, device=maps.device)[:, None, None] * (side * side)
        return F.embedding(first + index, maps.flatten(0, 2))

    def _shrink(self, maps: Tensor) -> Tensor:
        """[B, native, native, C] -> [B, positions, positions, C]; every position is a weighted bag of a few others."""
        pictures, side, channels = maps.shape[0], maps.shape[1], maps.shape[-1]
        size, taps = self.shrink_index.shape
        index = self.shrink_index[:, None, :, None] * side + self.shrink_index[:, None]
        weight = self.shrink_weight[:, None, :, None] * self.shrink_weight[:, None]
        first = torch.arange(pictures, device=maps.device)[:, None, None] * (side * side)
        bags = (first + index.reshape(size * size, taps * taps)).flatten(0, 1)
        weights = weight.reshape(1, size * size, taps * taps).expand(pictures, -1, -1).flatten(0, 1).to(maps.dtype)
        sums = F.embedding_bag(bags, maps.reshape(-1, channels), mode="sum", per_sample_weights=weights)
        return sums.view(pictures, size, size, channels)

    def interpolate(self, values: Tensor) -> Tensor:
        """Numbers around each cell [B, cells * cells, K * K] -> at its positions [B, cells * cells, P, P]."""
        values = self._square(values)
        if not self.one_to_one:
            weight = self.weight.to(values.dtype)
            values = torch.einsum("bijkl,ipk,jql->bijpq", values, weight, weight)
        return values.flatten(1, 2)

    def spread(self, values: Tensor) -> Tensor:
        """The adjoint of `interpolate`: [B, cells * cells, P, P] -> [B, cells * cells, K * K]."""
        cells = self.index.shape[0]
        values = values.unflatten(1, (cells, cells))
        if not self.one_to_one:
            weight = self.weight.to(values.dtype)
            values = torch.einsum("bijpq,ipk,jql->bijkl", values, weight, weight)
        return values.flatten(3, 4).flatten(1, 2)

    def squared_norms(self, z: Tensor) -> Tensor:
        """|interpolated z|^2 at each position of each cell: [B, cells * cells, K * K, C] -> [B, cells * cells, P, P]."""
        if self.one_to_one:
            return self._square(torch.linalg.vector_norm(z, dim=-1).square()).flatten(1, 2)
        gram = torch.matmul(z, z.transpose(-1, -2))  # [B, cells * cells, K * K, K * K]
        cells, window = self.index.shape
        gram = gram.unflatten(3, (window, window)).unflatten(2, (window, window)).unflatten(1, (cells, cells))
        weight = self.weight.to(z.dtype)
        pairs = weight[..., :, None] * weight[..., None, :]  # [cells, P, K, K]
        rows = torch.einsum("bijklmo,ipkm->bijplo", gram, pairs)
        return torch.einsum("bijplo,jqlo->bijpq", rows, pairs).flatten(1, 2)

    def _square(self, values: Tensor) -> Tensor:
        cells, window = self.index.shape
        return values.unflatten(2, (window, window)).unflatten(1, (cells, cells))


@torch.compiler.assume_constant_result
def tables_on(native: int, fine: int, positions: int, cells: int, device: torch.device) -> tuple[Tensor, ...]:
    """`tables` on a device; constants in a compiled or exported graph."""
    # While torch exports, tensors may be placeholders, which nobody else may find in the cache.
    copy = _copied.__wrapped__ if torch.compiler.is_compiling() else _copied
    return copy(native, fine, positions, cells, device)


@functools.cache
@torch.inference_mode(False)  # tensors made in inference mode would be of no use to training
def _copied(native: int, fine: int, positions: int, cells: int, device: torch.device) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(table).to(device) for table in tables(native, fine, positions, cells))


@functools.cache
def tables(native: int, fine: int, positions: int, cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Indices and weights of the shrinking [size, taps] and of the windows [cells, K], [cells, P, K]."""
    matrix = interpolation_matrix(fine, positions) @ interpolation_matrix(native, fine)
    shrink_index, shrink_weight = windows(matrix, positions)
    index, weight = windows(matrix, cells)
    if index.shape[1] >= positions // cells:
        index, weight = windows(np.eye(positions), cells)
    else:
        shrink_index, shrink_weight = windows(np.eye(native), native)
    return shrink_index, shrink_weight[:, 0].astype(np.float32), index, weight.astype(np.float32)


def interpolation_matrix(native: int, size: int) -> np.ndarray:
    """[size, native]: linear interpolation of an axis, as torch's with align_corners=False."""
    source = np.clip((np.arange(size) + 0.5) * native / size - 0.5, 0, native - 1)
    low = np.minimum(np.floor(source).astype(np.int64), max(native - 2, 0))
    matrix = np.zeros((size, native))
    rows = np.arange(size)
    matrix[rows, low] = 1 - (source - low)
    if native > 1:
        matrix[rows, low + 1] = source - low
    return matrix


def windows(matrix: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """The columns that each block of rows uses: index [cells, K] and weights [cells, rows per cell, K]."""
    blocks = matrix.reshape(cells, -1, matrix.shape[1])
    used = (blocks != 0).any(1)
    first = used.argmax(1)
    last = used.shape[1] - 1 - used[:, ::-1].argmax(1)
    width = int((last - first).max()) + 1
    index = np.minimum(first, matrix.shape[1] - width)[:, None] + np.arange(width)
    return index, np.take_along_axis(blocks, index[:, None], 2)


def tiles_to_grid(tiles: Tensor, grid: int) -> Tensor:
    """[B, g * g, n * n, ...], crops row by row -> [B, (g n) * (g n), ...], the whole picture row by row."""
    side = round(tiles.shape[2] ** 0.5)
    tiles = tiles.unflatten(2, (side, side)).unflatten(1, (grid, grid)).transpose(2, 3)
    return tiles.flatten(1, 4)


def grid_to_tiles(picture: Tensor, grid: int) -> Tensor:
    """The inverse of `tiles_to_grid`."""
    side = round(picture.shape[1] ** 0.5) // grid
    tiles = picture.unflatten(1, (grid, side, grid, side)).transpose(2, 3)
    return tiles.flatten(3, 4).flatten(1, 2)


# The modules below hold the weights of ordinary LayerNorm and Linear layers, under the same names. They are
# applied elsewhere than those would be, hence own modules: an engine that gathers parameters when their module is
# called (ZeRO-3) finds them, and one that replaces nn.Linear (quantisation, vLLM) leaves them alone.


class AbsorbedLayerNorm(nn.Module):
    """Scale of a LayerNorm over keys, applied to the queries. Its bias has no effect and a gradient of zero."""

    def __init__(self, channels: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, query: Tensor) -> Tensor:
        return query * self.weight + 0.0 * self.bias


class AbsorbedLinear(nn.Module):
    """Key projection, applied (transposed) to the queries: [..., D] -> [..., C]. Its bias has no effect."""

    def __init__(self, channels: int, hidden_size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(hidden_size, channels))
        self.bias = nn.Parameter(torch.empty(hidden_size))
        for parameter in (self.weight, self.bias):  # as nn.Linear starts
            nn.init.uniform_(parameter, -(channels**-0.5), channels**-0.5)

    def forward(self, query: Tensor) -> Tensor:
        return torch.matmul(query + 0.0 * self.bias, self.weight)


class PooledLayerNorm(nn.Module):
    """Scale and bias of a LayerNorm over values, applied after the pooling."""

    def __init__(self, channels: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, pooled: Tensor) -> Tensor:
        return pooled * self.weight + self.bias


class PooledLinear(nn.Module):
    """Value projection of what was pooled, in its precision: [..., C] -> [..., D].

    The definition rounds the values of all positions, and the mean of many has little of that left; to be no worse in
    half precision, what is one vector for each token must not be rounded before its projection.
    """

    def __init__(self, channels: int, hidden_size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(hidden_size, channels))
        self.bias = nn.Parameter(torch.empty(hidden_size))
        for parameter in (self.weight, self.bias):  # as nn.Linear starts
            nn.init.uniform_(parameter, -(channels**-0.5), channels**-0.5)

    def forward(self, pooled: Tensor) -> Tensor:
        return F.linear(pooled, self.weight.to(pooled.dtype), self.bias.to(pooled.dtype))
