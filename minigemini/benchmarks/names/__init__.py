"""The benchmarks, one file each: all that is particular to it. Add yours to the list."""

from minigemini.benchmarks.benchmark import Benchmark, Form, Protocol
from minigemini.benchmarks.names.ai2d import AI2D
from minigemini.benchmarks.names.blink import BLINK
from minigemini.benchmarks.names.chartqa import CHARTQA
from minigemini.benchmarks.names.docvqa import DOCVQA, INFOVQA
from minigemini.benchmarks.names.draw_decision import DRAW_DECISION
from minigemini.benchmarks.names.gqa import GQA
from minigemini.benchmarks.names.hallusionbench import HALLUSIONBENCH
from minigemini.benchmarks.names.llava_bench import LLAVA_BENCH
from minigemini.benchmarks.names.mathvista import MATHVISTA
from minigemini.benchmarks.names.mmbench import MMBENCH, MMBENCH_CN
from minigemini.benchmarks.names.mme import MME
from minigemini.benchmarks.names.mmmu import MMMU
from minigemini.benchmarks.names.mmmu_pro import MMMU_PRO
from minigemini.benchmarks.names.mmstar import MMSTAR
from minigemini.benchmarks.names.mmvet import MMVET
from minigemini.benchmarks.names.ocrbench import OCRBENCH
from minigemini.benchmarks.names.pope import POPE
from minigemini.benchmarks.names.realworldqa import REALWORLDQA
from minigemini.benchmarks.names.scienceqa import SCIENCEQA
from minigemini.benchmarks.names.seed_bench import SEED_BENCH
from minigemini.benchmarks.names.tabletop import TABLETOP
from minigemini.benchmarks.names.textvqa import TEXTVQA
from minigemini.benchmarks.names.vizwiz import VIZWIZ
from minigemini.benchmarks.names.vqav2 import VQAV2

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        *(
            TEXTVQA,
            VQAV2,
            VIZWIZ,
            GQA,
            SCIENCEQA,
            POPE,
            MME,
            MMBENCH,
            MMBENCH_CN,
            SEED_BENCH,
            MMMU,
            MMMU_PRO,
            MATHVISTA,
        ),
        *(AI2D, MMSTAR, BLINK, REALWORLDQA, CHARTQA, DOCVQA, INFOVQA, OCRBENCH, HALLUSIONBENCH, MMVET, LLAVA_BENCH),
        *(TABLETOP, DRAW_DECISION),
    )
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


def form_of(benchmark: str, protocol: str) -> Form:
    """Raises ValueError: a tool asks under this protocol, or nobody prescribes its prompt."""
    _, chosen = protocol_of(benchmark, protocol)
    if chosen.form is not None:
        return chosen.form
    scored = f"minigemini eval score {benchmark} FILE --protocol {protocol}"
    if protocol == "lmms" and chosen.task:
        asked = (
            "lmms-eval --model minigemini --model_args pretrained=CHECKPOINT --output_path OUT --log_samples --tasks"
        )
        raise ValueError(
            f"{benchmark}@{protocol}: lmms-eval itself asks our model: {asked} {chosen.task}, then {scored} --format lmms-eval"
        )
    if chosen.task:
        asked = f"minigemini eval vlmevalkit --model CHECKPOINT --vlmevalkit CHECKOUT -- --work-dir OUT --data {chosen.task}"
        raise ValueError(
            f"{benchmark}@{protocol}: VLMEvalKit itself asks our model: {asked}, then {scored} --format vlmevalkit"
        )
    known = ", ".join(name for name, one in BENCHMARKS[benchmark].protocols.items() if one.form is not None)
    raise ValueError(
        f"{benchmark}@{protocol}: nobody prescribes its prompt, so it cannot be run (prompts are known for: {known}); answers "
        f"made elsewhere can be scored: {scored}"
    )
