"""The subcommands of ``minigemini eval`` that are about drawing; see ``command_line.py``."""

import argparse
import json
from pathlib import Path

from minigemini.evaluation.run_options import add_clip, add_command, add_generator, add_run_options

PICTURE_COMMANDS = ("draw-decision", "best-of-n", "geneval", "clip-score")


def add_picture_commands(commands: argparse._SubParsersAction) -> None:
    add_eval_draw_decision(commands)
    add_eval_best_of_n(commands)
    add_eval_geneval(commands)
    add_eval_clip_score(commands)


def add_eval_draw_decision(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "eval draw-decision",
        run_eval_draw_decision,
        help="does a model draw when a picture is wanted, and only then? Nothing is drawn",
        description="Answer a labelled set of wishes for pictures and of what only sounds like them, and report balanced accuracy, "
        "missed and false draws, the share of well-formed prompts, and each category.",
    )
    parser.add_argument("--items", type=Path, help="another labelled set than eval/draw_decision.jsonl")
    add_run_options(parser, model="that answers", batch_size=16)


def run_eval_draw_decision(parsed: argparse.Namespace) -> int:
    from minigemini.evaluation.running.evaluate import evaluate
    from minigemini.evaluation.running.suite import Settings

    overrides = [f"batch_size={parsed.batch_size}"]
    if parsed.items is not None:
        overrides.append(f"parts.draw_decision.path={json.dumps(str(parsed.items.resolve()))}")
    return evaluate("draw_decision", parsed.model, parsed.out, Settings(overrides=overrides))


def add_eval_best_of_n(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "eval best-of-n",
        run_eval_best_of_n,
        help="of n pictures the model keeps the one it likes best: the gain, on the tabletop",
        description="Draw n pictures of each true tabletop prompt, ask the model of each whether everything in the prompt is there, "
        "and compare the first, the chosen and the best picture by the oracle.",
    )
    add_generator(parser)
    parser.add_argument("--n", type=int, default=4, help="pictures of each prompt (default: %(default)s)")
    parser.add_argument("--prompts", metavar="N", type=int, default=100, help="(default: %(default)s)")
    parser.add_argument("--steps", type=int, help="of the generator, instead of its own")
    parser.add_argument("--guidance", type=float, help="likewise")
    add_run_options(parser, model="that chooses", batch_size=32)


def run_eval_best_of_n(parsed: argparse.Namespace) -> int:
    from minigemini.evaluation.drawing.best_of_n import Drawings, best_of_n

    drawings = Drawings(parsed.n, parsed.prompts, parsed.steps, parsed.guidance)
    return best_of_n(parsed.model, parsed.generator, parsed.out, drawings, parsed.batch_size)


def add_eval_geneval(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "eval geneval",
        run_eval_geneval,
        help="GenEval's prompts and rules with any detector, which is named in the score",
        description="Draw four pictures of each of GenEval's prompts, find the objects in them, and score them by GenEval's rules. "
        "The official detector cannot be installed today, so the score is GenEval-like[DETECTOR], never GenEval.",
    )
    add_generator(parser)
    help = (
        "folder or hub id of an object detector of transformers: with COCO's classes (facebook/detr-resnet-50) or told "
        "them (google/owlv2-base-patch16-ensemble)"
    )
    parser.add_argument("--detector", required=True, help=help)
    parser.add_argument("--prompts", metavar="FILE", type=Path, required=True, help="evaluation_metadata.jsonl")
    parser.add_argument("--model", help="writes the prompts that are drawn (default: they are drawn as they are)")
    parser.add_argument("--judge", help="a model that chooses one of the four pictures; the gain is reported")
    add_clip(parser, "names the colours")
    add_run_options(parser, limit="the first N prompts of each tag", batch_size=8)


def run_eval_geneval(parsed: argparse.Namespace) -> int:
    from minigemini.evaluation.drawing.geneval_run import Cast, geneval

    cast = Cast(parsed.generator, parsed.detector, parsed.model, parsed.judge, parsed.clip)
    return geneval(cast, parsed.prompts, parsed.out, parsed.limit, parsed.batch_size)


def add_eval_clip_score(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "eval clip-score",
        run_eval_clip_score,
        help="how well pictures fit their captions by a CLIP, which is named in the score",
        description="CLIP score (100 max(cos, 0)) and caption-to-image R@1 of the pictures of a run (such as the folder `drawn` of "
        "`eval geneval`) or of any JSONL with picture and caption a line.",
    )
    parser.add_argument("pictures", metavar="RUN", type=Path, help="folder with predictions.jsonl, or a JSONL")
    add_clip(parser, "that looks")
    add_run_options(parser)


def run_eval_clip_score(parsed: argparse.Namespace) -> int:
    from minigemini.evaluation.drawing.clip_score import clip_score

    return clip_score(parsed.pictures, parsed.out, parsed.clip)
