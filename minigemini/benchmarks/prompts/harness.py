"""Protocols whose questions another tool asks: lmms-eval and VLMEvalKit drive our model, so their prompts are theirs alone.

What they are called there, by the benchmark's name here (lmms-eval 0.7.3; VLMEvalKit e8e78f0).
"""

from __future__ import annotations

LMMS_EVAL_TASKS = {
    "textvqa": "textvqa_val",
    "vqav2": "vqav2_val",
    "vizwiz": "vizwiz_vqa_val",
    "gqa": "gqa",
    "scienceqa": "scienceqa",
    "pope": "pope",
    "mme": "mme",
    "seed_bench": "seedbench",
    "mmmu": "mmmu_val",
    "mmstar": "mmstar",
    "blink": "blink",
    "realworldqa": "realworldqa",
    "ocrbench": "ocrbench",
}
VLMEVALKIT_DATA = {
    "scienceqa": "ScienceQA_TEST",
    "pope": "POPE",
    "mme": "MME",
    "mmbench": "MMBench_DEV_EN",
    "mmbench_cn": "MMBench_DEV_CN",
    "seed_bench": "SEEDBench_IMG",
    "mmmu": "MMMU_DEV_VAL",
    "mmmu_pro": "MMMU_Pro_10c",
    "ai2d": "AI2D_TEST",
    "mmstar": "MMStar",
    "blink": "BLINK",
    "realworldqa": "RealWorldQA",
    "hallusionbench": "HallusionBench",
}


def commands_of(benchmark: str, protocol: str) -> str | None:
    """What to run for answers under such a protocol, and then for the number; None where no tool asks."""
    if protocol == "lmms" and benchmark in LMMS_EVAL_TASKS:
        tool, task = "lmms-eval", LMMS_EVAL_TASKS[benchmark]
        asked = (
            "lmms-eval --model minigemini --model_args pretrained=CHECKPOINT --output_path OUT --log_samples --tasks "
            + task
        )
        written = f"OUT/*/*_samples_{task}.jsonl"
        if benchmark == "blink":  # a file for each of its tasks
            asked, written = f"{asked}; cat OUT/*/*_samples_blink_*.jsonl > blink.jsonl", "blink.jsonl"
    elif protocol == "vlmevalkit" and benchmark in VLMEVALKIT_DATA:
        tool, task = "vlmevalkit", VLMEVALKIT_DATA[benchmark]
        asked = f"minigemini eval vlmevalkit --model CHECKPOINT --vlmevalkit CHECKOUT -- --work-dir OUT --data {task}"
        written = f"OUT/*/*_{task}.tsv"
    else:
        return None
    return f"{asked}; minigemini eval score {benchmark} {written} --format {tool} --protocol {protocol}"
