"""The options that the commands of ``minigemini eval`` share."""

import argparse

from minigemini.output_path import output_folder

MODEL = "checkpoint folder, hub id or shipped name (default: %(default)s)"


def add_run_options(
    parser: argparse.ArgumentParser,
    model: str | None = None,
    limit: str | None = None,
    bits: bool = False,
    batch_size: int | None = None,
) -> None:
    """``--out``, and those of the others that the command has.

    Args:
        model: what ``--model`` does, for its help.
        limit: what ``--limit`` leaves, likewise.
        batch_size: the default.
    """
    parser.add_argument(
        "--out", type=output_folder, required=True, help="folder for results; an interrupted run goes on there"
    )
    if model is not None:
        parser.add_argument("--model", default="nano", help=f"{model}: {MODEL}")
    if limit is not None:
        parser.add_argument("--limit", type=int, metavar="N", help=limit)
    if bits:
        help = "load the language model's layers in 4 or 8 bits (needs bitsandbytes)"
        parser.add_argument("--bits", type=int, choices=(4, 8), help=help)
    if batch_size is not None:
        parser.add_argument("--batch-size", metavar="N", type=int, default=batch_size, help="(default: %(default)s)")
