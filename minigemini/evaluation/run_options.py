"""The options that commands of ``minigemini eval`` share, each said once."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from minigemini.output_path import output_file, output_folder

MODEL = "checkpoint folder, hub id or shipped name (default: %(default)s)"


def add_command(
    commands: argparse._SubParsersAction,
    name: str,
    run: Callable[[argparse.Namespace], int],
    help: str,
    description: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=help, description=description)
    parser.set_defaults(run=run)
    return parser


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
    help = "folder for results; an interrupted run goes on there"
    parser.add_argument("--out", type=output_folder, required=True, help=help)
    if model is not None:
        parser.add_argument("--model", default="nano", help=f"{model}: {MODEL}")
    if limit is not None:
        parser.add_argument("--limit", type=int, metavar="N", help=limit)
    if bits:
        help = "load the language model's layers in 4 or 8 bits (needs bitsandbytes)"
        parser.add_argument("--bits", type=int, choices=(4, 8), help=help)
    if batch_size is not None:
        parser.add_argument("--batch-size", metavar="N", type=int, default=batch_size, help="(default: %(default)s)")


def add_judged_by(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--benchmark", help="by which to judge predictions.jsonl")
    parser.add_argument("--protocol", help="likewise (default: the benchmark's first)")


def add_gold(parser: argparse.ArgumentParser, help: str) -> None:
    parser.add_argument("--gold", type=Path, help=help)


def add_format(parser: argparse.ArgumentParser, *more: str) -> None:
    formats: Sequence[str] = ("minigemini", "llava", "lmms-eval", "vlmevalkit", "mgm", *more)
    help = "of the predictions (default: our predictions.jsonl)"
    parser.add_argument("--format", choices=formats, default="minigemini", help=help)


def add_json(parser: argparse.ArgumentParser, help: str) -> None:
    parser.add_argument("--json", type=output_file, metavar="OUT", help=help)


def add_generator(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--generator", default="nano", help=f"that draws: {MODEL}")


def add_clip(parser: argparse.ArgumentParser, help: str) -> None:
    help = f"{help}: folder or hub id of a CLIP (default: %(default)s)"
    parser.add_argument("--clip", default="openai/clip-vit-large-patch14", help=help)
