"""The benchmarks, and under which protocol which rule makes their number.

A protocol is named after the table or tool whose number it gives: ``llava`` (the tables of the LLaVA-1.5 and MGM papers),
``lmms`` (lmms-eval 0.7.3), ``vlmevalkit`` (VLMEvalKit e8e78f0 without a judge), ``official`` (the benchmark's own tool). The first one
of a benchmark is its default. The prompt belongs to the protocol as much as the rule: a number is only comparable with others of the
same protocol *and* prompt.

What proves them: every ``lmms`` rule gives the verdict of that tool's own functions, and its numbers, in ``make test-lmms-eval``; a
``vlmevalkit`` rule is there only where it reads a reply as MMMU's (328 and 223 right of 900) or MME's (cognition 248.93) does, which are
numbers of that tool on fixtures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.rules import (
    anls,
    circular,
    containment,
    exact_match,
    hallusionbench,
    llava_bench,
    lmms_letter,
    mathvista,
    mme,
    mmmu,
    mmvet,
    option_letter,
    pope,
    relaxed_accuracy,
    scienceqa,
    vqa_soft_accuracy,
    yes_no,
)
from minigemini.benchmarks.rules.verdict import Verdict
from minigemini.benchmarks.statistics.metric import Metric, accuracy, by_kind, mean_of_groups


@dataclass(frozen=True)
class Protocol:
    """
    Attributes:
        rule: judges one line.
        says: what it reproduces and what the prompt must be, for the reader of the number.
        metrics: the numbers, the published one first.
        fallback: what the tool makes of a reply that its rule cannot read; used only when asked for. The generator is
            seeded with 42, as the tools do, and runs through the lines in their order.
        check: refuses rows that are not those of the protocol.
    """

    rule: Callable[[Line], Verdict]
    says: str
    metrics: Callable[[Sequence[Verdict]], list[Metric]] = accuracy
    fallback: Callable[[Line, Random], Verdict] | None = None
    check: Callable[[Sequence[Line]], None] | None = None


@dataclass(frozen=True)
class Published:
    """A benchmark that others publish numbers on: the sizes its data has (with a name each), and its protocols."""

    title: str
    sizes: Mapping[int, str]
    protocols: Mapping[str, Protocol]


def mean_of(kinds: str) -> Callable[[Sequence[Verdict]], list[Metric]]:
    """Accuracy with every kind counting the same, under the name of the ``kinds``; then that of all rows and of each kind."""

    def metrics(verdicts: Sequence[Verdict]) -> list[Metric]:
        return [mean_of_groups(f"mean of {kinds}", verdicts, by_kind(verdicts)), *accuracy(verdicts)]

    return metrics


def _letters(read: option_letter.Reader, says: str) -> Protocol:
    return Protocol(option_letter.rule(read), says)


VLMEVALKIT_LETTERS = Protocol(
    option_letter.rule_with_choices(option_letter.vlmevalkit),
    "VLMEvalKit's matching of letters and option texts, no judge",
)
RRC = Protocol(anls.rule(anls.rrc_similarity), "ANLS as the Robust Reading Competition's script computes it")
DOCUMENTS = {
    "official": RRC,
    "lmms": Protocol(anls.rule(anls.lmms_similarity), "as the competition's script, on the stripped reply"),
    "paper": Protocol(anls.rule(anls.paper_similarity), "ANLS as its paper defines it: exactly one half is 0"),
}
MMBENCH = {
    "llava": Protocol(
        circular.rule(option_letter.vlmevalkit),
        "circular; the letter is matched as the server does before it asks ChatGPT",
        circular.metrics,
    ),
    "vlmevalkit": Protocol(
        circular.rule(option_letter.vlmevalkit), "circular, on VLMEvalKit's own cleaning of the data", circular.metrics
    ),
}
MMMU_VAL = {
    "llava": Protocol(
        mmmu.rule(mmmu.official_letter), "MMMU's own parser; MGM's table, greedy or not", fallback=mmmu.lucky
    ),
    "mgm": Protocol(
        mmmu.rule(mmmu.official_letter),
        "MMMU's own parser on answers decoded as MGM's script does: sampled at temperature 1 with 5 beams, with a seed a row; "
        "MGM's own seed depends on its number of GPUs",
        fallback=mmmu.lucky,
    ),
    "eval-only": Protocol(mmmu.eval_only, "MMMU's path for files of final answers: letters as they are"),
    "lmms": Protocol(mmmu.lmms_rule, "lmms-eval 0.7.3", fallback=mmmu.lucky),
    "vlmevalkit": Protocol(mmmu.vlmevalkit, "VLMEvalKit: open questions as a choice of two, no judge"),
}

BENCHMARKS: dict[str, Published] = {
    "textvqa": Published(
        "TextVQA val",
        {5000: "val"},
        {
            "llava": Protocol(
                vqa_soft_accuracy.m4c_accuracy, "m4c; LLaVA's and MGM's prompts hold reference OCR tokens"
            ),
            "lmms": Protocol(vqa_soft_accuracy.m4c_accuracy, "lmms-eval's m4c; its prompts hold no OCR tokens"),
        },
    ),
    "vqav2": Published(
        "VQAv2",
        {214354: "val"},
        {
            "llava": Protocol(
                vqa_soft_accuracy.uploaded_accuracy,
                "the server's rule for an upload cleaned by m4c; test-dev needs EvalAI",
            ),
            "official": Protocol(vqa_soft_accuracy.official_accuracy, "the official tool on the reply as it is"),
            "lmms": Protocol(
                vqa_soft_accuracy.lmms_vqav2_accuracy, "lmms-eval: the official cleaning, of equal answers too"
            ),
        },
    ),
    "vizwiz": Published(
        "VizWiz VQA",
        {4319: "val"},
        {
            "llava": Protocol(
                vqa_soft_accuracy.uploaded_accuracy, "the server's rule for an upload cleaned by m4c; test needs EvalAI"
            ),
            "lmms": Protocol(vqa_soft_accuracy.m4c_accuracy, "lmms-eval's m4c on val"),
        },
    ),
    "gqa": Published(
        "GQA testdev balanced",
        {12578: "testdev balanced"},
        {
            "llava": Protocol(exact_match.rule(exact_match.gqa), "GQA's eval.py on LLaVA's conversion"),
            "lmms": Protocol(exact_match.rule(exact_match.lmms_gqa), "lmms-eval: case and punctuation ignored"),
        },
    ),
    "scienceqa": Published(
        "ScienceQA test",
        {4241: "test", 2017: "test, with image"},
        {
            "llava": Protocol(scienceqa.rule(option_letter.llava_scienceqa), "LLaVA's parser", scienceqa.metrics),
            "lmms": Protocol(scienceqa.rule(lmms_letter.scienceqa), "lmms-eval's parser", scienceqa.metrics),
            "vlmevalkit": Protocol(
                scienceqa.rule(option_letter.vlmevalkit), VLMEVALKIT_LETTERS.says, scienceqa.metrics
            ),
        },
    ),
    "pope": Published(
        "POPE (COCO)",
        {8910: "commit e3e3926", 9000: "today's"},
        {
            "llava": Protocol(
                pope.rule(yes_no.pope),
                "POPE's script, mean of three F1; random split of 2910",
                pope.metrics,
                pope.taken_for_yes,
                pope.check_splits(2910),
            ),
            "lmms": Protocol(
                pope.rule(yes_no.whole_reply),
                "lmms-eval: the reply must be the word; pooled; random split of 3000",
                pope.pooled_metrics(pope.lmms_counts),
                check=pope.check_splits(3000),
            ),
            "vlmevalkit": Protocol(
                pope.rule(yes_no.one_of_the_words),
                "VLMEvalKit: one of the words; pooled; random split of 3000",
                pope.pooled_metrics(pope.vlmevalkit_counts),
                check=pope.check_splits(3000),
            ),
        },
    ),
    "mme": Published(
        "MME",
        {2374: "all 14 tasks"},
        {
            "llava": Protocol(mme.rule(yes_no.mme), "MME's eval_tool", mme.metrics),
            "lmms": Protocol(mme.rule(yes_no.mme_lmms), "lmms-eval's parser", mme.metrics),
            "vlmevalkit": Protocol(mme.rule(yes_no.one_of_the_words), "VLMEvalKit's parser, no judge", mme.metrics),
        },
    ),
    "mmbench": Published("MMBench dev (en)", {4377: "dev_20230712"}, MMBENCH),
    "mmbench_cn": Published("MMBench dev (cn)", {}, MMBENCH),
    "seed_bench": Published(
        "SEED-Bench, image",
        {14233: "image"},
        {
            "llava": _letters(
                option_letter.exact, "LLaVA's upload: the reply is the letter; not SEED's likelihood protocol"
            ),
            "lmms": _letters(lmms_letter.seed_bench, "lmms-eval: the first character"),
            "vlmevalkit": VLMEVALKIT_LETTERS,
        },
    ),
    "mmmu": Published("MMMU val", {900: "val"}, MMMU_VAL),
    "mmmu_pro": Published(
        "MMMU-Pro",
        {1730: "one setting"},
        {
            "official": Protocol(mmmu.rule(mmmu.pro_letter), "MMMU-Pro's evaluate.py", fallback=mmmu.lucky),
            "vlmevalkit": VLMEVALKIT_LETTERS,
        },
    ),
    "mathvista": Published(
        "MathVista testmini",
        {1000: "testmini"},
        {
            "llava": Protocol(
                mathvista.rule,
                "MathVista's scorer on a judge's extractions",
                mathvista.metrics,
                mathvista.nearest_to_nothing,
            ),
            "rules": Protocol(
                mathvista.rule_without_judge, "our rules instead of a judge: another number", mathvista.metrics
            ),
        },
    ),
    "ai2d": Published(
        "AI2D test",
        {3088: "test"},
        {
            "lmms": _letters(lmms_letter.ai2d, "lmms-eval: the reply is the letter, or begins with it and a period"),
            "vlmevalkit": VLMEVALKIT_LETTERS,
        },
    ),
    "mmstar": Published(
        "MMStar",
        {1500: "val"},
        {
            "official": Protocol(
                option_letter.rule(option_letter.mmstar),
                "MMStar's own script: the first character, or after a phrase",
                mean_of("categories"),
            ),
            "lmms": Protocol(
                lmms_letter.mmstar_rule, "lmms-eval: the surest letter of the reply", mean_of("finer categories")
            ),
            "vlmevalkit": Protocol(VLMEVALKIT_LETTERS.rule, VLMEVALKIT_LETTERS.says, mean_of("categories")),
        },
    ),
    "blink": Published(
        "BLINK val",
        {1901: "val"},
        {
            "official": Protocol(
                option_letter.rule_with_choices(option_letter.blink),
                "BLINK's own script without its judge: the letter, or the only one in brackets",
                mean_of("tasks"),
            ),
            "lmms": Protocol(
                option_letter.rule_with_choices(lmms_letter.blink),
                "lmms-eval: the letter alone, after 'answer', in brackets, or first",
                mean_of("tasks"),
            ),
            "vlmevalkit": Protocol(VLMEVALKIT_LETTERS.rule, VLMEVALKIT_LETTERS.says, mean_of("tasks")),
        },
    ),
    "realworldqa": Published(
        "RealWorldQA",
        {765: "test"},
        {
            "official": Protocol(
                exact_match.rule(exact_match.realworldqa), "the reply is the answer that the question asks for"
            ),
            "lmms": Protocol(
                exact_match.rule(exact_match.lmms_realworldqa), "lmms-eval: the surest letter of the reply, or the word"
            ),
            "vlmevalkit": VLMEVALKIT_LETTERS,
        },
    ),
    "chartqa": Published(
        "ChartQA test",
        {2500: "test"},
        {"lmms": Protocol(relaxed_accuracy.rule, "relaxed accuracy of the stripped reply", relaxed_accuracy.metrics)},
    ),
    "docvqa": Published("DocVQA val", {5349: "val"}, DOCUMENTS),
    "infovqa": Published("InfoVQA val", {2801: "val"}, DOCUMENTS),
    "ocrbench": Published(
        "OCRBench",
        {1000: "all"},
        {
            "official": Protocol(containment.rule, "the answer is in the reply; points", containment.metrics),
            "lmms": Protocol(containment.lmms_rule, "lmms-eval: full-width characters folded", containment.metrics),
        },
    ),
    "hallusionbench": Published(
        "HallusionBench",
        {951: "image", 1129: "all"},
        {
            "official": Protocol(hallusionbench.graded, "a judge's grades", hallusionbench.metrics),
            "vlmevalkit": Protocol(
                hallusionbench.rule, "VLMEvalKit: yes/no words, images only", hallusionbench.metrics
            ),
        },
    ),
    "mmvet": Published(
        "MM-Vet", {218: "v1"}, {"llava": Protocol(mmvet.rule, "mean of a judge's grades", mmvet.metrics)}
    ),
    "llava_bench": Published(
        "LLaVA-Bench (in the wild)",
        {60: "all"},
        {"llava": Protocol(llava_bench.rule, "grades against the reference answers'", llava_bench.metrics)},
    ),
}


def protocol_of(benchmark: str, protocol: str | None) -> tuple[str, Protocol]:
    """Name and protocol; the benchmark's first if none is named.

    Raises:
        ValueError: there is no such benchmark, or it has no such protocol.
    """
    if benchmark not in BENCHMARKS:
        raise ValueError(f"no scorer for {benchmark!r}; there are {', '.join(sorted(BENCHMARKS))}")
    known = BENCHMARKS[benchmark].protocols
    name = protocol or next(iter(known))
    if name not in known:
        raise ValueError(f"{benchmark} has no protocol {name!r}; it has {', '.join(known)}")
    return name, known[name]
