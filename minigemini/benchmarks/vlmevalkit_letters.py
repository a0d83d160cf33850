"""A protocol that several benchmarks have word for word."""

from minigemini.benchmarks.benchmark import Protocol
from minigemini.benchmarks.rules import option_letter


def vlmevalkit_letters(task: str) -> Protocol:
    """
    Args:
        task: the benchmark's name there.
    """
    return Protocol(
        option_letter.rule_with_choices(option_letter.vlmevalkit),
        "VLMEvalKit's matching of letters and option texts, no judge",
        task=task,
    )
