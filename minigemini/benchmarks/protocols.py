"""The benchmarks, and under which protocol which rule makes their number.

A protocol is named after the table or tool whose number it gives: ``llava`` (the tables of the LLaVA-1.5 and MGM papers),
``lmms`` (lmms-eval), ``vlmevalkit`` (VLMEvalKit without a judge), ``official`` (the benchmark's own tool). The first one of a
benchmark is its default. The prompt belongs to the protocol as much as the rule: a number is only comparable with others of the
same protocol *and* prompt.
"""

from __future__ import annotations

from collections.abc import Sequence

from minigemini.benchmarks.benchmark import Benchmark, Protocol
from minigemini.benchmarks.names.draw_decision import DRAW_DECISION
from minigemini.benchmarks.names.tabletop import TABLETOP
from minigemini.benchmarks.rules import (
    anls,
    circular,
    containment,
    exact_match,
    hallusionbench,
    llava_bench,
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


def mean_of_kinds(verdicts: Sequence[Verdict]) -> list[Metric]:
    """Accuracy with every kind counting the same, as MMStar's authors print it; then that of all rows and of each kind."""
    return [mean_of_groups("mean of categories", verdicts, by_kind(verdicts)), *accuracy(verdicts)]


def _letters(read: option_letter.Reader, says: str) -> Protocol:
    return Protocol(option_letter.rule(read), says)


VLMEVALKIT_LETTERS = Protocol(
    option_letter.rule_with_choices(option_letter.vlmevalkit),
    "VLMEvalKit's matching of letters and option texts, no judge",
)
RRC = Protocol(anls.rule(anls.rrc_similarity), "ANLS as the Robust Reading Competition's script computes it")
DOCUMENTS = {
    "official": RRC,
    "lmms": Protocol(RRC.rule, f"{RRC.says}; the same in lmms-eval"),
    "vlmevalkit": Protocol(RRC.rule, f"{RRC.says}; the same in VLMEvalKit"),
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
    "lmms": Protocol(mmmu.rule(mmmu.lmms_letter), "lmms-eval 0.7.3", fallback=mmmu.lucky),
    "vlmevalkit": Protocol(mmmu.vlmevalkit, "VLMEvalKit: open questions as a choice of two, no judge"),
}

BENCHMARKS: dict[str, Benchmark] = {
    "textvqa": Benchmark(
        "TextVQA val",
        {5000: "val"},
        {
            "llava": Protocol(
                vqa_soft_accuracy.m4c_accuracy, "m4c; LLaVA's and MGM's prompts hold reference OCR tokens"
            ),
            "lmms": Protocol(vqa_soft_accuracy.m4c_accuracy, "m4c; lmms-eval's prompts hold no OCR tokens"),
            "vlmevalkit": Protocol(vqa_soft_accuracy.vlmevalkit_accuracy, "VLMEvalKit's cleaning; no OCR tokens"),
        },
    ),
    "vqav2": Benchmark(
        "VQAv2",
        {214354: "val"},
        {
            "llava": Protocol(
                vqa_soft_accuracy.uploaded_accuracy,
                "the server's rule for an upload cleaned by m4c; test-dev needs EvalAI",
            ),
            "official": Protocol(vqa_soft_accuracy.official_accuracy, "the official tool on the reply as it is"),
            "lmms": Protocol(vqa_soft_accuracy.uploaded_accuracy, "lmms-eval: m4c, then the official rule"),
        },
    ),
    "vizwiz": Benchmark(
        "VizWiz VQA",
        {4319: "val"},
        {
            "llava": Protocol(
                vqa_soft_accuracy.uploaded_accuracy, "the server's rule for an upload cleaned by m4c; test needs EvalAI"
            ),
            "lmms": Protocol(vqa_soft_accuracy.m4c_accuracy, "lmms-eval: m4c on val"),
            "vlmevalkit": Protocol(
                vqa_soft_accuracy.vlmevalkit_share, "VLMEvalKit: share of equal answers, not VQA accuracy"
            ),
        },
    ),
    "gqa": Benchmark(
        "GQA testdev balanced",
        {12578: "testdev balanced"},
        {
            "llava": Protocol(exact_match.rule(exact_match.gqa), "GQA's eval.py on LLaVA's conversion"),
            "lmms": Protocol(exact_match.rule(exact_match.lmms_gqa), "lmms-eval: case and punctuation ignored"),
            "vlmevalkit": Protocol(exact_match.rule(exact_match.stripped), "VLMEvalKit: stripped, case ignored"),
        },
    ),
    "scienceqa": Benchmark(
        "ScienceQA test",
        {4241: "test", 2017: "test, with image"},
        {
            "llava": Protocol(scienceqa.rule(option_letter.llava_scienceqa), "LLaVA's parser", scienceqa.metrics),
            "lmms": Protocol(scienceqa.rule(option_letter.lmms_scienceqa), "lmms-eval's parser", scienceqa.metrics),
            "vlmevalkit": Protocol(
                scienceqa.rule(option_letter.vlmevalkit), VLMEVALKIT_LETTERS.says, scienceqa.metrics
            ),
        },
    ),
    "pope": Benchmark(
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
    "mme": Benchmark(
        "MME",
        {2374: "all 14 tasks"},
        {
            "llava": Protocol(mme.rule(yes_no.mme), "MME's eval_tool", mme.metrics),
            "lmms": Protocol(mme.rule(yes_no.mme_lmms), "lmms-eval's parser", mme.metrics),
            "vlmevalkit": Protocol(mme.rule(yes_no.one_of_the_words), "VLMEvalKit's parser, no judge", mme.metrics),
        },
    ),
    "mmbench": Benchmark("MMBench dev (en)", {4377: "dev_20230712"}, MMBENCH),
    "mmbench_cn": Benchmark("MMBench dev (cn)", {}, MMBENCH),
    "seed_bench": Benchmark(
        "SEED-Bench, image",
        {14233: "image"},
        {
            "llava": _letters(
                option_letter.exact, "LLaVA's upload: the reply is the letter; not SEED's likelihood protocol"
            ),
            "lmms": _letters(option_letter.first_character, "lmms-eval: the first character"),
            "vlmevalkit": VLMEVALKIT_LETTERS,
        },
    ),
    "mmmu": Benchmark("MMMU val", {900: "val"}, MMMU_VAL),
    "mmmu_pro": Benchmark(
        "MMMU-Pro",
        {1730: "one setting"},
        {
            "official": Protocol(mmmu.rule(mmmu.pro_letter), "MMMU-Pro's evaluate.py", fallback=mmmu.lucky),
            "vlmevalkit": VLMEVALKIT_LETTERS,
        },
    ),
    "mathvista": Benchmark(
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
    "ai2d": Benchmark(
        "AI2D test",
        {3088: "test"},
        {
            "vlmevalkit": VLMEVALKIT_LETTERS,
            "lmms": _letters(option_letter.lmms_exact, "lmms-eval: the reply is the letter"),
        },
    ),
    "mmstar": Benchmark(
        "MMStar",
        {1500: "val"},
        {
            "vlmevalkit": Protocol(VLMEVALKIT_LETTERS.rule, VLMEVALKIT_LETTERS.says, mean_of_kinds),
            "lmms": Protocol(
                option_letter.rule(option_letter.lmms_mmstar),
                "lmms-eval: the first character, or after a phrase",
                mean_of_kinds,
            ),
        },
    ),
    "blink": Benchmark(
        "BLINK val",
        {1901: "val"},
        {"vlmevalkit": VLMEVALKIT_LETTERS, "lmms": _letters(option_letter.lmms_blink, "lmms-eval: the first letter")},
    ),
    "realworldqa": Benchmark(
        "RealWorldQA",
        {765: "test"},
        {
            "lmms": Protocol(exact_match.rule(exact_match.realworldqa), "lmms-eval: the stripped reply is the answer"),
            "vlmevalkit": VLMEVALKIT_LETTERS,
        },
    ),
    "chartqa": Benchmark(
        "ChartQA test",
        {2500: "test"},
        {
            "lmms": Protocol(relaxed_accuracy.rule, "relaxed accuracy, reply not stripped", relaxed_accuracy.metrics),
            "vlmevalkit": Protocol(
                relaxed_accuracy.stripped_rule, "relaxed accuracy, stripped", relaxed_accuracy.metrics
            ),
        },
    ),
    "docvqa": Benchmark("DocVQA val", {5349: "val"}, DOCUMENTS),
    "infovqa": Benchmark("InfoVQA val", {2801: "val"}, DOCUMENTS),
    "ocrbench": Benchmark(
        "OCRBench",
        {1000: "all"},
        {
            "official": Protocol(containment.rule(False), "the answer is in the reply; points", containment.metrics),
            "vlmevalkit": Protocol(containment.rule(False), "as the official one", containment.metrics),
            "lmms": Protocol(containment.rule(True), "lmms-eval: formulas in lower case", containment.metrics),
        },
    ),
    "hallusionbench": Benchmark(
        "HallusionBench",
        {951: "image", 1129: "all"},
        {
            "vlmevalkit": Protocol(
                hallusionbench.rule, "VLMEvalKit: yes/no words, images only", hallusionbench.metrics
            ),
            "official": Protocol(hallusionbench.graded, "a judge's grades", hallusionbench.metrics),
        },
    ),
    "mmvet": Benchmark(
        "MM-Vet", {218: "v1"}, {"llava": Protocol(mmvet.rule, "mean of a judge's grades", mmvet.metrics)}
    ),
    "llava_bench": Benchmark(
        "LLaVA-Bench (in the wild)",
        {60: "all"},
        {"llava": Protocol(llava_bench.rule, "grades against the reference answers'", llava_bench.metrics)},
    ),
    "tabletop": TABLETOP,
    "draw_decision": DRAW_DECISION,
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
