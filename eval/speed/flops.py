"""Floating-point operations, by torch's own counter (matrix products, convolutions, attention)."""

import encoder
import mining
import torch
from counting import count
from machine import Roofs
from mining import DEFINITION, HERE, Case
from report import Table, at_most


def run(device: str, toy: bool, roofs: Roofs) -> list[Table]:
    """The same on every device: nothing is computed."""
    ways = (HERE, DEFINITION)
    rows = []
    for geometry in mining.TOYS if toy else mining.GEOMETRIES:
        for gradients in ("", "mining's", "all"):
            case = Case(geometry, gradients)
            here, there = (count(mining.build(way, case, "meta", torch.float32)) for way in ways)
            rows.append(row(f"mining {case.name}", here.flops, there.flops, at_most(1 / 40, here.flops / there.flops)))
    here, there = (count(encoder.build(way, toy, 1, False, "meta", torch.float32)) for way in ways)
    rows.append(row("the whole encoder, forward", here.flops, there.flops, ""))
    return [Table("GFLOP of one picture (a multiplication and an addition are two)", rows)]


def row(work: str, here: int, definition: int, target: str) -> dict[str, str | float]:
    return {
        "work": work,
        "here GFLOP": here / 1e9,
        "definition GFLOP": definition / 1e9,
        "definition / here": definition / here,
        "share": here / definition,
        "target": target,
    }
