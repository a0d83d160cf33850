"""Measure how fast the package is, and write it down.

python eval/speed/run.py                       # all; on two cores about ten minutes
python eval/speed/run.py mining preprocessing  # these, and keep what was measured of the others
python eval/speed/run.py --toy --out /tmp/toy  # everything at toy size, in a minute: do the benchmarks run?
"""

import argparse
import json
import os
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import encoder
import flops
import generation
import mining
import preprocessing
import real_size
import torch
import train_step
from machine import describe, name_of, roofs
from report import document, fill
from side_by_side import say

from minigemini.training.provenance import source_state

FOLDER = Path(__file__).parent
BENCHMARKS = {
    "mining": mining.run,
    "encoder": encoder.run,
    "flops": flops.run,
    "generation": generation.run,
    "preprocessing": preprocessing.run,
    "train_step": train_step.run,
    "real_size": real_size.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all when none is given")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--toy", action="store_true", help="toy sizes; the numbers mean nothing, so --out is needed")
    parser.add_argument("--out", type=Path, help="a folder other than results/; the README is left alone then")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.names) - set(BENCHMARKS)):
        parser.error(f"no benchmark named {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    if arguments.toy and arguments.out is None:
        parser.error("--toy needs --out: toy numbers do not belong among the results")

    out = arguments.out or FOLDER / "results"
    out.mkdir(parents=True, exist_ok=True)
    machine = describe(arguments.device)
    say(json.dumps(machine))
    if arguments.device == "cpu" and machine["load_before"] > 0.5:
        say(f"the load is {machine['load_before']}: something else is running, and the times will not be good")
    name = name_of(machine)
    file = out / f"{name}.json"
    result: dict[str, Any] = {"name": name, "benchmarks": {}}
    if file.exists():
        result = json.loads(file.read_text(encoding="utf-8"))
    top = roofs(arguments.device, torch.bfloat16 if arguments.device == "cuda" else torch.float32, arguments.toy)
    for benchmark in arguments.names or BENCHMARKS:
        started = time.perf_counter()
        tables = BENCHMARKS[benchmark](arguments.device, arguments.toy, top)
        result["benchmarks"][benchmark] = {
            "measured": datetime.now(UTC).date().isoformat(),
            "seconds": time.perf_counter() - started,
            **source_state(),
            "machine": machine,
            "roofs": asdict(top),
            "tables": [asdict(table) for table in tables],
        }
        # After each, so that a failure of the next loses nothing.
        temporary = file.with_suffix(".tmp")
        temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, file)
        for table in tables:
            print(table.markdown(), flush=True)
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob("*.json"))]
    file.with_suffix(".md").write_text(document(result), encoding="utf-8")
    if arguments.out is None:
        fill(FOLDER / "README.md", [document(result) for result in results])
    say(f"written: {file} and {file.with_suffix('.md')}{'' if arguments.out else ', and the tables of the README'}")


if __name__ == "__main__":
    main()
