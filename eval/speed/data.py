"""What preparing training data costs: the first start, the second one, and what each of two processes keeps.

python eval/speed/data.py                   # 600,000 records: on two cores about twenty minutes, and 3 GB of disk until it ends
python eval/speed/data.py --records 20000   # fewer; everything grows with their number, but for imports and the tokenizer

The records are as long as LLaVA's, words without sense, 94 % of them with one of 10,000 small JPEGs. Each start is a pair of fresh
processes. Times are of the clock and of the processor (of the slower process), after imports and the tokenizer; memory is what a process
has for itself (pages of prepared files that it looks at are the system's, and can be given back at any time).
"""

import argparse
import gc
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image

from minigemini.checkpoints.load import load_processor
from minigemini.data.check import check
from minigemini.data.mixture import EpochSampler, Mixture
from minigemini.data.sources import DataRecipe, Source
from minigemini.training.fingerprint import records_of
from minigemini.training.processes import gather

PROCESSES = 2
PICTURES = 10_000
WITH_PICTURE = 0.94
READ = 2000  # items that each process reads in the end
GIB = 1 << 30
WORDS = [
    "the",
    "a",
    "picture",
    "shows",
    "red",
    "blue",
    "green",
    "circle",
    "square",
    "of",
    "on",
    "table",
    "above",
    "below",
    "left",
    "right",
    "small",
    "large",
    "and",
    "is",
    "what",
]


def write(folder: Path, records: int) -> Path:
    """LLaVA's JSON list with 1 to 3 questions a record, about 1.2 KB each."""
    rng = np.random.default_rng(0)
    pictures = min(PICTURES, records)
    for number in range(pictures):
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(folder / f"{number}.jpg")
    file = folder / "data.json"
    with file.open("w", encoding="utf-8") as stream:
        for number in range(records):
            turns = []
            for turn in range(2 * int(rng.integers(1, 4))):
                text = " ".join(rng.choice(WORDS, int(rng.integers(8, 20) if turn % 2 == 0 else rng.integers(20, 120))))
                turns.append({"from": ("human", "gpt")[turn % 2], "value": text})
            record: dict[str, Any] = {"id": f"record-{number}", "conversations": turns}
            if rng.random() < WITH_PICTURE:
                record["image"] = f"{number % pictures}.jpg"
                turns[0]["value"] = "<image>\n" + turns[0]["value"]
            stream.write(("[" if number == 0 else ",\n") + json.dumps(record))
        stream.write("]")
    return file


def start(rank: int, file: Path, folder: Path, meeting: Path, results: Path) -> None:
    """One process of a training run, up to its first batch."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=PROCESSES)
    processor = load_processor("nano")
    recipe = DataRecipe([Source(str(file))], max_length=4096)
    before, clock, work = own_memory(), time.perf_counter(), time.process_time()
    data = check(recipe, processor, (rank, PROCESSES), gather, show_progress=rank == 0, folder=folder, workers=1)
    mixture = Mixture(data.sources)
    checked = time.perf_counter()
    records_of(mixture)
    order = list(EpochSampler(mixture, "group_by_length", 128, seed=0))
    took, worked = time.perf_counter() - clock, time.process_time() - work
    began = time.perf_counter()
    for index in order[rank : READ * PROCESSES : PROCESSES]:
        assert len(mixture[index].tokens.ids)
    an_item = (time.perf_counter() - began) / min(READ, len(order) // PROCESSES)
    del order
    gc.collect()
    found = {
        "records": len(mixture),
        "shards made": data.made,
        "start s": took,
        "of it check s": checked - clock,
        "processor s": worked,
        "item ms": 1000 * an_item,
        "kept GiB": own_memory() / GIB,
        "kept beyond imports GiB": (own_memory() - before) / GIB,
        "peak GiB": peak_of_own_and_mapped() / GIB,
    }
    (results / f"{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


def own_memory() -> int:
    """Bytes that are of this process alone."""
    return psutil.Process().memory_full_info().uss


def peak_of_own_and_mapped() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def both(file: Path, folder: Path, scratch: Path, name: str) -> dict[str, float]:
    """The worst of the two processes in each number."""
    results = scratch / name
    results.mkdir()
    arguments = (file, folder, scratch / f"{name}-meeting", results)
    torch.multiprocessing.spawn(start, arguments, nprocs=PROCESSES)
    found = [json.loads((results / f"{rank}.json").read_text()) for rank in range(PROCESSES)]
    return {key: max(one[key] for one in found) for key in found[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=600_000)
    parser.add_argument(
        "--out", type=Path, help="a folder for the data, on a disk with room (default: a temporary one)"
    )
    arguments = parser.parse_args()
    os.environ["LOCAL_WORLD_SIZE"] = str(PROCESSES)
    with tempfile.TemporaryDirectory(dir=arguments.out) as name:
        scratch = Path(name)
        file = write(scratch, arguments.records)
        first = both(file, scratch / "prepared", scratch, "first")
        second = both(file, scratch / "prepared", scratch, "second")
        size = sum(one.stat().st_size for one in (scratch / "prepared").iterdir())
        print(
            f"{arguments.records:,} records, {file.stat().st_size / 1e6:,.0f} MB of JSON, {size / 1e6:,.0f} MB prepared"
        )
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print(f"| {'the worse of two processes':26} | first start | second start |\n| --- | ---: | ---: |")
    for key in first:
        print(f"| {key:26} | {first[key]:,.2f} | {second[key]:,.2f} |")
    ratio = second["processor s"] / first["processor s"]
    print(
        f"\nsecond / first, processor seconds: {ratio:.1%} (target: 10 %); by the clock {second['start s'] / first['start s']:.1%}"
    )
    print(f"kept by each process: {max(first['kept GiB'], second['kept GiB']):.2f} GiB (target: 1.0)")


if __name__ == "__main__":
    main()
