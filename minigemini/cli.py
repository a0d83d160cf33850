"""The command line: ``minigemini chat | train | merge | runs | eval | data | convert | draw-again | serve | verify-serving``.

Each command imports what it needs when it runs, so that ``--help`` needs no torch. What a user can mend (ValueError,
OSError) is printed as one line; set MINIGEMINI_TRACEBACK=1 to see where it came from.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from minigemini.evaluation.command_line import EVAL_COMMANDS, OVERRIDES, add_eval
from minigemini.output_path import output_file, output_folder
from minigemini.serving.command_line import SAFETY, add_serve, add_verify_serving
from minigemini.tabletop.questions import TRAINED

if TYPE_CHECKING:
    from minigemini.data.check import CheckedData


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["eval"] and arguments[1:2] and arguments[1] in EVAL_COMMANDS:
        arguments[:2] = [f"eval {arguments[1]}"]  # beside `eval SUITE`, whose suite is a name of the user's
    if arguments[:1] == ["train"]:
        arguments = with_resume_as_one_word(arguments)
    parser = new_parser()
    parsed, left = parser.parse_known_args(arguments)
    # argparse stops collecting overrides at the first option; those that come after it belong to them too
    if any(text.startswith("-") or "=" not in text for text in left) or (left and "overrides" not in parsed):
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    if left:
        parsed.overrides += left
    try:
        code = parsed.run(parsed)
        sys.stdout.flush()  # a reader that is gone, as of `| head`, is noticed here at the latest
        return code
    except BrokenPipeError:
        # What is left in the buffer would be tried again, and complained of, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as the shell says of a program that ended by SIGPIPE
    except (ValueError, OSError) as error:
        if os.environ.get("MINIGEMINI_TRACEBACK"):
            raise
        say_once(str(error))
        return 1
    except KeyboardInterrupt:
        print("\nminigemini: interrupted", file=sys.stderr)
        return 130


def say_once(words: str) -> None:
    """Tell what went wrong: of several processes each says its own, with its rank, and one of them what is the same in all."""
    processes = os.environ.get("WORLD_SIZE", "1")
    if processes == "1":
        print(f"minigemini: {words}", file=sys.stderr)
        return
    from minigemini.training.processes import is_first_to_say

    if is_first_to_say(words):
        print(f"minigemini: process {os.environ['RANK']} of {processes}: {words}", file=sys.stderr, flush=True)


def new_parser() -> argparse.ArgumentParser:
    """All commands with their options; ``eval score`` and its like are one word to it."""
    parser = argparse.ArgumentParser(
        prog="minigemini",
        description="A dual-encoder vision-language model of the Mini-Gemini kind: train it, evaluate it, talk to it.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (
        add_chat,
        add_train,
        add_merge,
        add_runs,
        add_eval,
        add_data,
        add_convert,
        add_draw_again,
        add_serve,
        add_verify_serving,
    ):
        add(commands)
    return parser


def add_train(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "train",
        help="train one stage by a recipe",
        description="Train one stage. Several processes: torchrun --nproc_per_node 8 -m minigemini train ..., "
        "or accelerate launch -m minigemini train ...",
    )
    parser.add_argument("recipe", help="a recipe of train/recipes/ by name (nano/align), or a YAML file")
    parser.add_argument("overrides", nargs="*", metavar=OVERRIDES, help="values that win over the recipe")
    parser.add_argument(
        "--resume",
        nargs="?",
        choices=("must", "auto"),
        metavar="auto",
        help="go on from the last whole checkpoint in the output folder; auto: begin if there is none",
    )
    parser.add_argument(
        "--resume-changed",
        metavar="KEY",
        action="append",
        default=[],
        help="with --resume: this key of the recipe (trainer.seed) may differ from the run that is gone on with; may be repeated",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what training would be and need, do one step, write nothing"
    )
    parser.add_argument("--gpus", type=int, help="of a dry run: plan memory for so many (default: 8)")
    parser.add_argument("--gpu-memory", type=float, metavar="GIB", help="of a dry run: of each (default: 80)")
    parser.set_defaults(run=run_train)


def with_resume_as_one_word(arguments: list[str]) -> list[str]:
    """``--resume auto`` as ``--resume=auto``, and ``--resume`` alone as ``--resume=must``: argparse would take the word behind it."""
    joined: list[str] = []
    for word in arguments:
        if word == "auto" and joined[-1] == "--resume=must":
            joined[-1] = "--resume=auto"
        else:
            joined.append("--resume=must" if word == "--resume" else word)
    return joined


def run_train(parsed: argparse.Namespace) -> int:
    if parsed.dry_run:
        return run_dry(parsed)
    if parsed.gpus is not None or parsed.gpu_memory is not None:
        raise ValueError("--gpus and --gpu-memory are for --dry-run; torchrun or accelerate launch start processes")
    from minigemini.training.run import train
    from minigemini.training.stopping import Stopped

    resume: dict[str | None, bool | Literal["auto"]] = {None: False, "must": True, "auto": "auto"}
    try:
        output = train(parsed.recipe, parsed.overrides, resume[parsed.resume], parsed.resume_changed)
    except Stopped as stopped:
        if os.environ.get("RANK", "0") == "0":
            print(f"minigemini: {stopped}", file=sys.stderr)
        return stopped.exit_code
    if os.environ.get("RANK", "0") == "0":
        print(f"trained; the checkpoint is in {output}")
    return 0


def run_dry(parsed: argparse.Namespace) -> int:
    if parsed.resume:
        raise ValueError("a dry run begins; it does not --resume")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError("a dry run is one process; --gpus says for how many it plans")
    from minigemini.training.dry_run import dry_run

    dry_run(parsed.recipe, parsed.overrides, parsed.gpus or 8, parsed.gpu_memory or 80.0)
    return 0


def add_runs(commands: argparse._SubParsersAction) -> None:
    kinds = commands.add_parser("runs", help="look at training runs").add_subparsers(metavar="COMMAND", required=True)
    compare = kinds.add_parser(
        "compare", help="draw the curves of runs over each other: losses, learning rate, tokens per second"
    )
    compare.add_argument("runs", nargs="+", type=Path, help="output folders of training, or checkpoints in them")
    compare.add_argument("--out", type=output_file, required=True, help="PNG to write")
    compare.set_defaults(run=run_runs_compare)


def run_runs_compare(parsed: argparse.Namespace) -> int:
    from minigemini.training.compare_runs import compare_runs

    compare_runs(parsed.runs, parsed.out)
    print(f"the curves are in {parsed.out}")
    return 0


def add_merge(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "merge",
        help="put an adapter (LoRA) into its base: one ordinary checkpoint",
        description="Put an adapter that was trained with train: lora, dora or qlora into the model that it names as its base, and write "
        "one ordinary checkpoint, in float32, with its processor. An adapter can also be used as it is, wherever a model is named.",
    )
    parser.add_argument("adapter", help="folder or hub id")
    parser.add_argument("out", metavar="OUT", type=output_folder, help="folder to write")
    parser.set_defaults(run=run_merge)


def run_merge(parsed: argparse.Namespace) -> int:
    from transformers.utils import logging

    from minigemini.checkpoints.merge import merge

    logging.disable_progress_bar()
    base = merge(parsed.adapter, parsed.out)
    print(f"merged into {base}; the checkpoint is in {parsed.out}")
    return 0


def add_data(commands: argparse._SubParsersAction) -> None:
    kinds = commands.add_parser("data", help="make, check or describe training data").add_subparsers(
        metavar="COMMAND", required=True
    )
    tabletop = kinds.add_parser(
        "tabletop", help="draw the synthetic tabletop world: align.json, finetune.json and images/"
    )
    tabletop.add_argument("out", type=output_folder, help="folder to write")
    tabletop.add_argument("--conversations", type=int, default=16000, help="for both stages (default: %(default)s)")
    tabletop.add_argument("--seed", type=int, default=0, help="another seed, other pictures (default: %(default)s)")
    tabletop.add_argument(
        "--questions",
        nargs="+",
        default=(),
        choices=tuple(TRAINED),
        metavar="KIND",
        help="finetune is questions of these kinds alone, not the nano's mixture: %(choices)s",
    )
    tabletop.set_defaults(run=run_data_tabletop)

    check = kinds.add_parser("check", help="check the data of a recipe, or a data file, and list every bad record")
    check.add_argument(
        "file",
        type=Path,
        help="a training recipe (a name or .yaml), or data: a JSON, parquet or tar file, or their folder",
    )
    check.add_argument("overrides", nargs="*", metavar=OVERRIDES, help="values that win over the recipe")
    check.add_argument("--image-folder", type=Path, help="of a data file: what image paths are relative to")
    check.set_defaults(run=run_data_check)

    prepare = kinds.add_parser(
        "prepare",
        help="check, decode and tokenise the data of a recipe on all cores, for training to find",
        description="Check, decode and tokenise the data of a training recipe on all cores, into the folder `data.prepared` (by default "
        "`prepared` beside the recipe's output). What is there already is not made again; whoever is interrupted goes on.",
    )
    prepare.add_argument("recipe", help="a training recipe by name (nano/align), or a YAML file")
    prepare.add_argument("overrides", nargs="*", metavar=OVERRIDES, help="values that win over the recipe")
    prepare.set_defaults(run=run_data_prepare)
    for parser in (check, prepare):
        parser.add_argument(
            "--list", type=output_file, default=Path("bad_records.txt"), help="where to list bad records, if any"
        )

    filtering = kinds.add_parser(
        "filter",
        help="drop records by rules, and log each drop; preview what thresholds would drop first",
        description="Measure the records of a data file, and keep those that pass the rules of a YAML file, in its order; "
        "data_recipes/README.md has the rules. OUT gets kept.jsonl, and dropped.jsonl with rule, value and threshold of every other. "
        "What is measured is kept there too: another threshold measures nothing again, and whoever is interrupted goes on.",
    )
    filtering.add_argument("rules", help="a YAML file with `filters:`, or a data recipe whose part has them")
    filtering.add_argument("file", type=Path, help="data: a JSON, parquet or tar file, or their folder")
    filtering.add_argument("overrides", nargs="*", metavar=OVERRIDES, help="values that win over the YAML file")
    filtering.add_argument("--image-folder", type=Path, help="what image paths are relative to")
    filtering.add_argument("--out", type=output_folder, required=True, help="folder to write")
    filtering.add_argument(
        "--preview",
        action="store_true",
        help="drop nothing: print what each rule would drop at several thresholds, and write OUT/preview.html with examples",
    )
    filtering.set_defaults(run=run_data_filter)

    card = kinds.add_parser(
        "card",
        help="what a mixture is made of: licences, origins, and which of its files are there",
        description="Print a data recipe of data_recipes/: the licences, where each part is from and where its files go. Exit code 1 if "
        "any of them is not there.",
    )
    card.add_argument("recipe", help="a data recipe by name (mgm_finetune), or a YAML file")
    card.add_argument(
        "--data", type=Path, default=Path("data"), metavar="FOLDER", help="where its files lie (default: %(default)s)"
    )
    card.set_defaults(run=run_data_card)


def run_data_filter(parsed: argparse.Namespace) -> int:
    from minigemini.data.check import cores
    from minigemini.filtering.apply import apply_rules, print_filtered
    from minigemini.filtering.measure import measure, parts_of
    from minigemini.filtering.rules import load_rules

    rules = load_rules(parsed.rules, parsed.file, parsed.overrides)
    folder = None if parsed.image_folder is None else str(parsed.image_folder)
    parts = measure(parts_of(parsed.file), folder, [named.rule for named in rules], parsed.out / "measured", cores())
    if parsed.preview:
        from minigemini.filtering.preview import preview
        from minigemini.filtering.preview_page import print_preview, write_preview

        found = preview(parts, rules)
        print_preview(found)
        write_preview(found, parts, parsed.out / "preview.html")
        print(f"examples are in {parsed.out / 'preview.html'}; without --preview it is done")
        return 0
    print_filtered(apply_rules(parts, rules, parsed.out))
    print(f"train on {parsed.out / 'kept.jsonl'} with image_folder: {folder or parsed.file.parent}")
    return 0


def run_data_card(parsed: argparse.Namespace) -> int:
    """Exit code 1 if a file is missing."""
    from minigemini.data.card import load_card, print_card

    missing = print_card(load_card(parsed.recipe), parsed.data)
    if missing:
        print(f"{missing} of its files are not in {parsed.data}")
    return 1 if missing else 0


def run_data_tabletop(parsed: argparse.Namespace) -> int:
    from minigemini.progress import progress_bar
    from minigemini.tabletop.training_data import write

    with progress_bar() as bar:
        task = bar.add_task("tabletop conversations", total=parsed.conversations)
        counts = write(
            parsed.out,
            parsed.conversations,
            parsed.seed,
            parsed.questions,
            lambda written: bar.update(task, completed=written),
        )
    print(f"{parsed.out}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    return 0


def run_data_check(parsed: argparse.Namespace) -> int:
    """Exit code 1 if there is a bad record."""
    from minigemini.data.check import check
    from minigemini.data.sources import DataRecipe, Source

    if parsed.file.exists() and parsed.file.suffix not in (".yaml", ".yml"):
        folder = None if parsed.image_folder is None else str(parsed.image_folder)
        found = check(DataRecipe([Source(str(parsed.file), folder)], max_length=sys.maxsize), processor=None)
    elif parsed.image_folder is not None:
        raise ValueError("--image-folder goes with a data file; a recipe says data.sources.0.image_folder")
    else:
        from minigemini.training.recipe import load_recipe
        from minigemini.training.run import load_processor

        recipe = load_recipe(parsed.file, parsed.overrides)
        found = check(recipe.data, load_processor(recipe))
    return tell_of_data(found, parsed.list)


def run_data_prepare(parsed: argparse.Namespace) -> int:
    """Exit code 1 if there is a bad record and the recipe does not leave them out."""
    from minigemini.data.check import check
    from minigemini.training.recipe import load_recipe, prepared_folder
    from minigemini.training.run import load_processor

    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise ValueError("data prepare is started once; it uses all cores")
    recipe = load_recipe(parsed.recipe, parsed.overrides)
    folder = prepared_folder(recipe)
    found = check(recipe.data, load_processor(recipe), folder=folder)
    code = tell_of_data(found, parsed.list)
    print(f"{found.made:,} of {found.shards:,} shards were made; the prepared data is in {folder}")
    return 0 if recipe.data.on_bad_record == "skip" else code


def tell_of_data(found: "CheckedData", listing: Path) -> int:
    from minigemini.data.check import report

    print(found.summary())
    if found.problems:
        print(report(found.problems, listing))
    return 1 if found.problems else 0


def add_convert(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "convert",
        help="turn a released MGM checkpoint into one that chat, training and from_pretrained load",
        description="Turn a released MGM checkpoint (2B to 34B, HD too) into one that chat, training and from_pretrained load. "
        "Every tensor is placed or accounted for in OUT/conversion.md. An interrupted conversion goes on when run again.",
    )
    parser.add_argument("source", metavar="SRC", help="folder or hub id, such as YanweiLi/MGM-7B")
    parser.add_argument("out", metavar="OUT", type=output_folder, help="folder to write")
    parser.add_argument("--vision-tower", metavar="PATH_OR_ID", help="CLIP, if it is none of the released checkpoints'")
    parser.add_argument("--high-res-vision-tower", metavar="PATH_OR_ID", help="its ConvNeXt, likewise")
    parser.set_defaults(run=run_convert)


def run_convert(parsed: argparse.Namespace) -> int:
    from minigemini.checkpoints.convert_mgm.convert import convert
    from minigemini.progress import progress_bar

    with progress_bar(in_bytes=True) as bar:
        task = bar.add_task("weights", visible=False)
        report = convert(
            parsed.source,
            parsed.out,
            parsed.vision_tower,
            parsed.high_res_vision_tower,
            lambda written, total: bar.update(task, completed=written, total=total, visible=True),
        )
    print(report.summary())
    print(f"converted; the checkpoint is in {parsed.out}, the report in {parsed.out / 'conversion.md'}")
    return 0


def add_draw_again(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("draw-again", help="draw a PNG of ours once more from the record inside it")
    parser.add_argument("file", type=Path, help="a PNG that was drawn by minigemini")
    parser.add_argument("--out", type=output_file, help="where to write it (default: NAME-again.png beside it)")
    parser.add_argument("--generator", help="folder, hub id or nano; needed unless the record names the shipped one")
    parser.add_argument("--device", help="torch device (default: a GPU if there is one)")
    parser.add_argument("--parent", type=Path, help="the picture it is an edit of; needed if the edit read its pixels")
    parser.add_argument("--mask", type=Path, help="where that was changed; needed if only a part of it was")
    parser.set_defaults(run=run_draw_again)


def run_draw_again(parsed: argparse.Namespace) -> int:
    from minigemini.generation.draw_again import run

    return run(parsed.file, parsed.out, parsed.generator, parsed.device, parsed.parent, parsed.mask)


def add_chat(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("chat", help="talk to a model, with pictures in and out")
    parser.add_argument("model", nargs="?", default="nano", help="checkpoint folder, hub id or nano (default)")
    parser.add_argument("--image", type=Path, action="append", default=[], help="show a picture; may be repeated")
    parser.add_argument("--prompt", help="say this, print the answer and end")
    parser.add_argument("--json", action="store_true", help="with --prompt: print the answer as JSON")
    parser.add_argument("--draw", choices=["auto", "always", "never"], default="auto", help="(default: %(default)s)")
    parser.add_argument("--system", default="", help="what the model is told before everything else")
    parser.add_argument("--temperature", type=float, default=0.0, help="0: the likeliest words (default); else sampled")
    parser.add_argument("--max-new-tokens", type=int, help="most tokens of an answer (default: as the checkpoint says)")
    parser.add_argument("--seed", type=int, default=0, help="of drawings; another one, another picture (default: 0)")
    parser.add_argument(
        "--out", type=output_folder, default=Path("."), help="folder for drawn pictures (default: here)"
    )
    parser.add_argument(
        "--generator",
        help="image generator: folder, hub id or nano (default: nano for the nano, else none: no pictures)",
    )
    parser.add_argument(
        "--offload",
        choices=["none", "model", "sequential"],
        default="none",
        help="what of the generator waits in the CPU's memory while a GPU draws (default: %(default)s)",
    )
    parser.add_argument(
        "--generator-bits", type=int, choices=(4, 8), help="load the generator's denoiser in 4 or 8 bits (on a GPU)"
    )
    parser.add_argument(
        "--bits", type=int, choices=(4, 8), help="load the language model's layers in 4 or 8 bits (needs bitsandbytes)"
    )
    parser.add_argument("--show-attention", type=Path, metavar="OUT.png", help="draw where the answer looked")
    parser.add_argument("--safety", metavar="MODULE:NAME", help=SAFETY)
    parser.set_defaults(run=run_chat)


def run_chat(parsed: argparse.Namespace) -> int:
    from minigemini.serving.options import ChatOptions
    from minigemini.serving.terminal import run

    draw: dict[str, Literal["auto"] | bool] = {"auto": "auto", "always": True, "never": False}
    return run(
        ChatOptions(
            model=parsed.model,
            generator=parsed.generator,
            images=parsed.image,
            prompt=parsed.prompt,
            as_json=parsed.json,
            system=parsed.system,
            temperature=parsed.temperature,
            max_new_tokens=parsed.max_new_tokens,
            draw=draw[parsed.draw],
            seed=parsed.seed,
            out=parsed.out,
            show_attention=parsed.show_attention,
            safety=parsed.safety,
            bits=parsed.bits,
            offload=parsed.offload,
            generator_bits=parsed.generator_bits,
        )
    )
