"""Which reply belongs to which gold answer.

By id; by id and question where the ids do not tell rows apart; by the number of the row for lmms-eval. Both sides must
have the same rows: what is missing, unknown or there twice is refused, never dropped.
"""

from collections import Counter
from collections.abc import Sequence

from minigemini.benchmarks.benchmark import Benchmark
from minigemini.benchmarks.formats.lines import Row
from minigemini.benchmarks.prompts import PLEASE

AGAIN = ", again"


def join(benchmark: Benchmark, rows: Sequence[Row], gold: Sequence[Row]) -> list[Row]:
    """The rows in the order of the gold answers, with their kind and reference, and ids that are unique.

    Raises:
        ValueError: rows are missing, unknown or there twice, or the target a tool stored is not the gold answer.
    """
    if rows and "row" in rows[0]:
        return _by_number(benchmark, rows, gold)
    keys, gold_keys = keys_of(benchmark, rows), keys_of(benchmark, gold)
    unknown = sorted(set(keys) - set(gold_keys))
    plain = [key_of(benchmark, row) for row in rows]
    twice = [key for key, one in zip(keys, plain, strict=True) if key != one and key in unknown] or repeated(keys)
    missing = sorted(set(gold_keys) - set(keys))
    for what, wrong in (("there twice", twice), ("without a gold answer", unknown), ("missing", missing)):
        if wrong:
            raise ValueError(
                f"{benchmark.name}: {len(wrong)} rows are {what}, such as {wrong[0]!r} ({len(rows)} rows, {len(gold)} gold answers)"
            )
    found = dict(zip(keys, rows, strict=True))
    return [_joined(found[key], one, key) for key, one in zip(gold_keys, gold, strict=True)]


def identify(benchmark: Benchmark, rows: Sequence[Row]) -> list[Row]:
    """Rows that bring their gold answers, with ids that are unique. Raises ValueError: a row is there twice."""
    keys = [key_of(benchmark, row) for row in rows]  # of our own predictions, where a repeated question has its number
    twice = repeated(keys)
    if twice:
        raise ValueError(f"{benchmark.name}: {len(twice)} rows are there twice, such as {twice[0]!r}")
    return [{**row, "id": key} for row, key in zip(rows, keys, strict=True)]


def keys_of(benchmark: Benchmark, rows: Sequence[Row]) -> list[str]:
    """Keys of rows; a key that occurs again gets a number, as one question of SEED-Bench is in its list twice."""
    seen: Counter[str] = Counter()
    keys = []
    for row in rows:
        key = key_of(benchmark, row)
        seen[key] += 1
        keys.append(key if seen[key] == 1 else f"{key}{AGAIN} {seen[key] - 1}")
    return keys


def key_of(benchmark: Benchmark, row: Row) -> str:
    question = f" {question_key(row.get('question', ''))}" if benchmark.told_by_question else ""
    return (row["id"] + question).rstrip()


def repeated(keys: Sequence[str]) -> list[str]:
    """The keys that occur more than once, each once."""
    return [key for key, count in Counter(keys).items() if count > 1]


def question_key(question: str) -> str:
    """Of a question that one file has with MME's request and the other without, or in another case or without its "?"."""
    return PLEASE.sub("", question).strip().rstrip("?").strip().lower()


def _by_number(benchmark: Benchmark, rows: Sequence[Row], gold: Sequence[Row]) -> list[Row]:
    numbers = [row["row"] for row in rows]
    if numbers != list(range(len(gold))):
        missing = sorted(set(range(len(gold))) - set(numbers))
        raise ValueError(
            f"{benchmark.name}: {len(rows)} rows for {len(gold)} gold answers; "
            + (f"doc_id {missing[0]} is missing" if missing else "a doc_id is unknown or there twice")
        )
    joined = []
    for row, one, key in zip(rows, gold, keys_of(benchmark, gold), strict=True):
        answer = one["reference"].get("answer")
        if isinstance(answer, str) and isinstance(row["target"], str) and answer.lower() != row["target"].lower():
            raise ValueError(
                f"{benchmark.name}, doc_id {row['row']}: lmms-eval's target is {row['target']!r}, the gold answer {answer!r}: "
                "the gold answers are in another order"
            )
        joined.append(_joined(row, one, key))
    return joined


def _joined(row: Row, gold: Row, id: str) -> Row:
    return {
        **row,
        "id": id,
        "kind": gold["kind"] or row["kind"],
        "reference": {**row["reference"], **gold["reference"]},
    }
