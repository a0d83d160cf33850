"""Patch info mining alone, as the package computes it, against the formula that defines it."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from counting import count, roofline
from definition import mined_tokens
from machine import Roofs
from report import Table, at_least, at_most
from side_by_side import BUDGET_SECONDS, Job, Step, ratio, side_by_side

from minigemini.model.patch_info_mining import PatchInfoMining

HERE, DEFINITION = "here", "definition"


@dataclass(frozen=True)
class Geometry:
    fine_side: int  # of the finest map
    tokens_per_side: int
    grid: int = 1
    whole: bool = False
    width: int = 1024
    channels: tuple[int, ...] = (192, 384, 768, 1536)  # ConvNeXt-L


GEOMETRIES = {
    "768/336": Geometry(192, 24),
    "1536/672, grid 2 + whole": Geometry(384, 24, grid=2, whole=True),
}
TOYS = {
    "toy": Geometry(32, 4, width=24, channels=(8, 12, 16, 20)),
    "toy, grid 2 + whole": Geometry(64, 4, grid=2, whole=True, width=24, channels=(8, 12, 16, 20)),
}


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    geometry: str
    gradients: str  # "" for none, "mining's" when the towers are frozen, "all" when they are trained too
    pictures: int = 1
    compiled: bool = False
    definition_needs_gb: float = 2.0  # of memory, on a CPU

    @property
    def name(self) -> str:
        gradients = f"forward + backward ({self.gradients} gradients)" if self.gradients else "forward"
        pictures = f" x {self.pictures}" if self.pictures > 1 else ""
        return f"{self.geometry}{pictures}, {gradients}{', compiled' if self.compiled else ''}"


def cases(device: str, toy: bool) -> list[Case]:
    if toy:
        one, four = TOYS
        return [Case(one, ""), Case(four, "all")]
    one, four = GEOMETRIES
    if device == "cpu":
        return [
            Case(one, "", definition_needs_gb=2),
            Case(one, "mining's", definition_needs_gb=4),
            Case(one, "all", definition_needs_gb=5),
            Case(four, "", definition_needs_gb=6),
            Case(four, "mining's", definition_needs_gb=15),
        ]
    sizes = [(one, 1), (one, 8), (four, 1)]
    return [
        Case(geometry, gradients, pictures, compiled)
        for geometry, pictures in sizes
        for gradients in ("", "mining's")
        for compiled in (False, True)
    ]


def build(way: str, case: Case, device: str, dtype: torch.dtype) -> Step:
    size = (GEOMETRIES | TOYS)[case.geometry]
    mining = PatchInfoMining(size.width, list(size.channels), size.tokens_per_side, size.grid, size.whole)
    mining.to(device, dtype)
    random = partial(torch.randn, device=device, dtype=dtype, requires_grad=case.gradients == "all")
    tokens = random(case.pictures, size.grid**2 + size.whole, size.tokens_per_side**2, size.width)
    pyramid = [
        random(case.pictures, channels, size.fine_side >> stage, size.fine_side >> stage)
        for stage, channels in enumerate(size.channels)
    ]
    gradient = torch.randn(tokens.shape, device=device, dtype=dtype)

    def defined(tokens: torch.Tensor, pyramid: list[torch.Tensor]) -> Any:
        return mined_tokens(mining, tokens, pyramid, size.grid)

    mine: Any = mining if way == HERE else defined
    if case.compiled:
        mine = torch.compile(mine)

    def forward() -> None:
        with torch.no_grad():
            mine(tokens, pyramid)

    def forward_backward() -> None:
        for tensor in (*mining.parameters(), tokens, *pyramid):
            tensor.grad = None
        mine(tokens, pyramid)[0].backward(gradient)

    return forward_backward if case.gradients else forward


def targets(case: Case, device: str) -> tuple[float, float]:
    """Times faster, and share of the memory."""
    if device == "cuda":
        return 8, 1 / 4
    return (9 if case.gradients else 15), 1 / 4


def run(device: str, toy: bool, roofs: Roofs) -> list[Table]:
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    rows, rates = [], []
    for case in cases(device, toy):
        jobs = [
            Job(HERE, build, (HERE, case, device, dtype)),
            Job(DEFINITION, build, (DEFINITION, case, device, dtype), 0 if toy else case.definition_needs_gb),
        ]
        measured = side_by_side(f"mining {case.name}", jobs, device, budget=0 if toy else BUDGET_SECONDS)
        here, there = measured[HERE], measured[DEFINITION]
        faster, memory = targets(case, device)
        times = ratio(there.median(), here.median())
        share = ratio(here.peak_gb, there.peak_gb)
        rows.append(
            {
                "mining": case.name,
                "here s": here.median(),
                "definition s": there.not_run or there.median(),
                "times faster": times,
                "target": at_least(faster, times),
                "here peak GB": here.peak_gb,
                "definition peak GB": there.peak_gb,
                "share of the memory": share,
                "target ": at_most(memory, share),
                "runs": f"{here.runs}, {there.runs}",
            }
        )
        for way, result in measured.items():
            uncompiled = Case(case.geometry, case.gradients, case.pictures)
            counts = count(build(way, uncompiled, "meta", dtype))
            rates.append(roofline(case.name, way, counts, result.median(), roofs))
    precision = str(dtype).removeprefix("torch.")
    return [
        Table(f"Patch info mining alone, {precision}: medians, and the peak of memory beyond weights and inputs", rows),
        Table("Where the time goes: what the operators compute and move, against what the machine can do", rates),
    ]
