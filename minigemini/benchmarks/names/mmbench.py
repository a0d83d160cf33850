"""MMBench dev, English and Chinese (Liu et al. 2023). Three data sets are called so: dev_20230712 (4377 rows, 1176 questions; LLaVA's and
MGM's), VLMEvalKit's MMBench_DEV_EN (1164 questions) and V11.
"""

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from minigemini.benchmarks.benchmark import Benchmark, Form, Line, Protocol
from minigemini.benchmarks.formats.hub import of_lmms
from minigemini.benchmarks.formats.llava_layout import LlavaFolder, table_file
from minigemini.benchmarks.formats.parquet import Record
from minigemini.benchmarks.formats.vlmevalkit import EMPTY, choices_of
from minigemini.benchmarks.judge import Ask, Judge, Said, question_of
from minigemini.benchmarks.prompts import LETTER, options, required_choices
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules import circular, option_letter
from minigemini.benchmarks.rules.option_letter import LETTERS
from minigemini.benchmarks.rules.verdict import NOTHING, reference_of

CHINESE_LETTER = "\n请直接回答选项字母。"


def columns(record: Record, number: int) -> Question:
    hint = record.row.get("hint")
    return record.choice(
        record.get("index"), record.text("category"), record.gold_text("answer"), choices_of(record.row),
        hint="" if hint in (None, *EMPTY) else hint,
    )  # fmt: skip


def asked(suffix: str) -> Form:
    """The list of options ends at the first empty one (LLaVA c121f04): a real option "None" is lost, with what follows it."""

    def text(question: Question) -> str:
        hint = f"{question.hint}\n" if question.hint else ""
        return f"{hint}{question.text}\n{options(list(takewhile(bool, required_choices(question))))}{suffix}"

    return Form(text, 1024)


JUDGE_PROMPT = """\
A model was asked a question with options and replied in its own words. Which option does the reply mean? Do not answer the question \
yourself: it does not matter which option is right. If the reply means none of them, or more than one, the letter is Z.

Question: {question}
Options:
{choices}

The model's reply: {prediction}

Reply with one letter and nothing else.
Letter: """


def judge_fields(line: Line) -> dict[str, str]:
    return {
        "question": question_of(line),
        "choices": options(reference_of(line, "choices")),
        "prediction": line["prediction"],
    }


def judge_is_needed(line: Line) -> bool:
    return option_letter.vlmevalkit(line["prediction"], reference_of(line, "choices")) is NOTHING


def judge(ask: Ask, prompt: str, line: Line) -> Said:
    """The judge's reply is read by the same rule as the model's; "Z" is no option (VLMEvalKit e8e78f0). One try; where the tool
    guesses, the judge failed.
    """
    reply, model = ask(prompt, 0.0, 16)
    return {"extraction": option_letter.vlmevalkit(reply, reference_of(line, "choices")).answer or "", "model": model}


def upload(lines: Sequence[Line], folder: Path) -> Path:
    """The table for OpenMMLab's server: index, question, options, prediction."""
    from openpyxl import Workbook
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    book = Workbook()
    sheet = book.active
    assert sheet is not None
    most = max(len(line["reference"]["choices"]) for line in lines)
    sheet.append(["index", "question", *LETTERS[:most], "prediction"])
    for line in lines:
        choices = line["reference"]["choices"]
        texts = [*choices, *[""] * (most - len(choices))]
        # control characters, which a model can write and a cell holds only so
        reply = ILLEGAL_CHARACTERS_RE.sub(lambda found: f"_x{ord(found[0]):04x}_", line["prediction"])
        sheet.append([int(line["id"]), line["reference"].get("question", ""), *texts, reply])
    path = folder / "upload.xlsx"
    book.save(path)
    return path


def make(
    name: str, title: str, sizes: dict[int, str], config: str, task: str, suffix: str, folder: LlavaFolder
) -> Benchmark:
    rule = circular.rule(option_letter.vlmevalkit)
    return Benchmark(
        name,
        title,
        sizes=sizes,
        protocols={
            "llava": Protocol(
                rule,
                "circular; the letter is matched as the server does before it asks ChatGPT",
                circular.metrics,
                form=asked(suffix),
            ),
            "vlmevalkit": Protocol(
                rule, "circular, on VLMEvalKit's own cleaning of the data", circular.metrics, task=task
            ),
        },
        hub=of_lmms("MMBench", "dev", config),
        columns=columns,
        options=True,
        llava=folder,
        judge=Judge(JUDGE_PROMPT, judge_fields, judge, {"extraction": ""}, judge_is_needed),
        upload=upload,
    )


MMBENCH = make(
    "mmbench",
    "MMBench dev (en)",
    {4377: "dev_20230712"},
    "en",
    "MMBench_DEV_EN",
    LETTER,
    LlavaFolder(("mmbench",), table_file("mmbench_dev_20230712.tsv")),
)
MMBENCH_CN = make(
    "mmbench_cn",
    "MMBench dev (cn)",
    {},
    "cn",
    "MMBench_DEV_CN",
    CHINESE_LETTER,
    LlavaFolder(("mmbench_cn", "mmbench"), table_file("mmbench_dev_cn_20231003.tsv")),
)
