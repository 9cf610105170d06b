"""`python benchmarks/bench`, from wherever: see cli.py."""

import runpy
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[2])
runpy.run_module("benchmarks.bench.cli", run_name="__main__")
