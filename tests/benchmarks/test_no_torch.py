"""What is asked and how it is judged needs no torch, wherever it stands."""

import subprocess
import sys


def test_no_module_of_benchmarks_loads_torch():
    code = (
        "import importlib, pkgutil, sys, minigemini.benchmarks as benchmarks\n"
        "names = [module.name for module in pkgutil.walk_packages(benchmarks.__path__, 'minigemini.benchmarks.')]\n"
        "for name in names: importlib.import_module(name)\n"
        "print(len(names) > 60, [name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "True []\n", done.stderr
