"""``minigemini eval ...`` as the command line knows it: options here, everything else where it is imported from when it runs."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from minigemini.evaluation.drawing.command_line import PICTURE_COMMANDS, add_picture_commands
from minigemini.evaluation.run_options import (
    MODEL,
    add_command,
    add_format,
    add_gold,
    add_json,
    add_judged_by,
    add_run_options,
)
from minigemini.output_path import output_file

if TYPE_CHECKING:
    from minigemini.evaluation.running.suite import Settings

OVERRIDES = "key.path=value"
# `eval score` and so on, beside `eval SUITE`, whose suite is a name of the user's
EVAL_COMMANDS = ("ablate", "score", "judge", "diff", "report", "vlmevalkit", *PICTURE_COMMANDS)


def add_eval(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "eval",
        run_eval,
        help="evaluate a model on a suite, with controls and confidence intervals",
        description="Answer the suite's benchmarks and score the answers. Several processes: accelerate launch -m minigemini eval "
        "..., or torchrun --nproc_per_node 8 -m minigemini eval ... Beside SUITE there are "
        + ", ".join(f"`eval {name}`" for name in EVAL_COMMANDS)
        + "; each has its own --help.",
    )
    _add_what_answers(parser)
    parser.add_argument("--no-controls", dest="controls", action="store_false", help="leave out the control models")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a floor is missed")
    add_eval_ablate(commands)
    add_eval_score(commands)
    add_eval_judge(commands)
    add_eval_diff(commands)
    add_eval_report(commands)
    add_eval_vlmevalkit(commands)
    add_picture_commands(commands)


def _add_what_answers(parser: argparse.ArgumentParser) -> None:
    help = "a suite of eval/suites/ by name (smoke, tabletop, edits, paper, full), a YAML file, or benchmarks: mme,mmmu@mgm"
    parser.add_argument("suite", help=help)
    parser.add_argument("overrides", nargs="*", metavar=OVERRIDES, help="values that win over the suite")
    help = "where the published benchmarks' data is (default: the suite's)"
    parser.add_argument("--data", metavar="FOLDER", help=help)
    limit = "at most N examples of each kind; of published benchmarks, the rows of N images"
    add_run_options(parser, model="that answers", limit=limit, bits=True)


def run_eval(parsed: argparse.Namespace) -> int:
    from minigemini.evaluation.running.evaluate import evaluate

    return evaluate(parsed.suite, parsed.model, parsed.out, _settings(parsed), parsed.controls, parsed.strict)


def _settings(parsed: argparse.Namespace) -> "Settings":
    from minigemini.evaluation.running.suite import Settings

    data = [] if parsed.data is None else [f"data={json.dumps(parsed.data)}"]
    return Settings(parsed.limit, parsed.overrides + data, parsed.bits)


def add_eval_ablate(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "eval ablate",
        run_eval_ablate,
        help="what the high-resolution pictures are worth: mining off, blank, other sizes, blind, with paired intervals",
        description="Answer a suite again with mining off, with blank high-resolution pictures, with larger ones and without any picture, "
        "and compare each with the whole model on the same rows.",
    )
    _add_what_answers(parser)
    help = "side of the high-resolution pictures; may be repeated (default: twice the model's)"
    parser.add_argument("--high-res-size", type=int, action="append", default=[], metavar="PIXELS", help=help)


def run_eval_ablate(parsed: argparse.Namespace) -> int:
    from minigemini.evaluation.running.ablate import ablate

    return ablate(parsed.suite, parsed.model, parsed.out, parsed.high_res_size, _settings(parsed))


def add_eval_score(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "eval score",
        run_eval_score,
        help="score predictions of any tool on a published benchmark, without a model",
        description="Score predictions by the published rule of a benchmark. An answer that the rule cannot read is wrong, "
        "and their rate is printed; every number has its protocol and a 95 %% interval beside it.",
    )
    parser.add_argument("benchmark", help="such as textvqa, pope, mme, mmbench, mmmu (another word lists them all)")
    parser.add_argument("file", type=Path, help="predictions; a folder for mme-tool and for the shards of mgm")
    add_gold(parser, "gold answers, for formats that do not bring them; see eval/README.md")
    parser.add_argument("--protocol", help="llava, lmms, vlmevalkit, ... (default: the benchmark's first)")
    add_format(parser, "mme-tool", "grades")
    help = "show beside the score what the tool's own fallback for unreadable answers gives (a random choice, seed 42)"
    parser.add_argument("--official-random", action="store_true", help=help)
    add_json(parser, "write the numbers and every verdict to this file")


def run_eval_score(parsed: argparse.Namespace) -> int:
    from minigemini.benchmarks.score import Predictions
    from minigemini.evaluation.reporting.scored import score_file

    predictions = Predictions(parsed.file, parsed.gold, parsed.format)
    return score_file(parsed.benchmark, predictions, parsed.protocol, parsed.official_random, parsed.json)


def add_eval_judge(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "eval judge",
        run_eval_judge,
        help="let a language model grade predictions (MM-Vet, LLaVA-Bench, MathVista, HallusionBench, MMBench)",
        description="Ask a judge behind any OpenAI-compatible URL about every prediction that needs one, and write the predictions "
        "with what it says to OUT; `eval score BENCHMARK OUT` then gives the number. Replies are kept in the cache: an interrupted run "
        "goes on, and nothing is asked twice. The key, if the server wants one, is read from OPENAI_API_KEY and never stored.",
    )
    parser.add_argument("benchmark", help="mmvet, llava_bench, mathvista, hallusionbench, mmbench or mmbench_cn")
    parser.add_argument("file", metavar="PREDICTIONS", type=Path, help="as for `eval score`")
    parser.add_argument("--url", required=True, help="of the server, such as http://localhost:8000/v1")
    parser.add_argument("--judge-model", metavar="NAME", required=True, help="the name by which the server knows it")
    parser.add_argument("--cache", metavar="FILE", type=output_file, required=True, help="JSONL of all replies so far")
    parser.add_argument("--out", type=output_file, required=True, help="JSONL of judged predictions")
    add_gold(parser, "gold answers and questions, where PREDICTIONS lack them")
    add_format(parser)
    help = "a prompt with {question}, {answer}, {prediction}, ... instead of ours, such as the published one"
    parser.add_argument("--judge-prompt", metavar="FILE", type=Path, help=help)


def run_eval_judge(parsed: argparse.Namespace) -> int:
    from minigemini.benchmarks.score import Predictions
    from minigemini.evaluation.judging.ask import judge_file

    predictions = Predictions(parsed.file, parsed.gold, parsed.format)
    judge = (parsed.url, parsed.judge_model, parsed.cache)
    return judge_file(parsed.benchmark, predictions, *judge, parsed.out, parsed.judge_prompt)


def add_eval_diff(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "eval diff",
        run_eval_diff,
        help="compare two runs on the same rows: flips, exact McNemar, paired intervals; for CI",
        description="Is B better or worse than A? Both are output folders of `eval`, JSON of `eval score`, or "
        "predictions.jsonl with --benchmark. The verdict is on the benchmark's first number. Exit code: 0 when B is not worse "
        "(better, or not resolvable), 1 when it is worse or the two cannot be compared.",
    )
    parser.add_argument("a", metavar="A", type=Path, help="the baseline")
    parser.add_argument("b", metavar="B", type=Path, help="what is compared with it")
    add_judged_by(parser)
    add_json(parser, "write the comparison, with the rows that flipped")


def run_eval_diff(parsed: argparse.Namespace) -> int:
    from minigemini.evaluation.reporting.diff import diff

    return diff(parsed.a, parsed.b, parsed.benchmark, parsed.protocol, parsed.json)


def add_eval_report(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "eval report",
        run_eval_report,
        help="a judged run as one HTML page: pictures, answers, verdicts, filters; no server, no network",
        description="Every row with picture, prompt, answer, gold answer, parse path and verdict, and filters for them, in one "
        "HTML file. RUN is an output folder of `eval`, JSON of `eval score`, or predictions.jsonl with --benchmark.",
    )
    parser.add_argument("path", metavar="RUN", type=Path, help="what to show")
    parser.add_argument("--out", type=output_file, default=Path("report.html"), help="(default: %(default)s)")
    help = "an earlier run on the same rows, to show the flips"
    parser.add_argument("--against", metavar="RUN", type=Path, help=help)
    add_judged_by(parser)
    parser.add_argument("--data", metavar="FOLDER", type=Path, help="the images of other predictions than eval's own")
    parser.add_argument("--model", help="that answered (of an eval folder): also draw where its answers looked")
    help = "for at most N rows (default: %(default)s)"
    parser.add_argument("--pictures", metavar="N", type=int, default=100, help=help)


def run_eval_report(parsed: argparse.Namespace) -> int:
    from minigemini.evaluation.reporting.page import Beside, report

    beside = Beside(parsed.data, parsed.model, parsed.pictures)
    return report(parsed.path, parsed.out, parsed.against, parsed.benchmark, parsed.protocol, beside)


def add_eval_vlmevalkit(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "eval vlmevalkit",
        run_eval_vlmevalkit,
        help="VLMEvalKit's run.py with one of our models",
        description="Run VLMEvalKit with one of our models, in VLMEvalKit's own environment (lmms-eval cannot be in it). Everything "
        "after -- goes to its run.py: minigemini eval vlmevalkit --model nano --vlmevalkit ../VLMEvalKit -- --data MMBench_DEV_EN. "
        "Result tables are written as tsv unless PRED_FORMAT says otherwise.",
    )
    parser.add_argument("--model", default="nano", help=MODEL)
    parser.add_argument("--vlmevalkit", metavar="PATH", type=Path, required=True, help="a checkout of VLMEvalKit")
    parser.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="of run.py, after --")


def run_eval_vlmevalkit(parsed: argparse.Namespace) -> int:
    from minigemini.evaluation.harnesses.vlmevalkit_run import run

    return run(parsed.model, parsed.vlmevalkit, parsed.arguments)
