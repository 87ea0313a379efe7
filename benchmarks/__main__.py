"""Measure our hot paths beside a peer's.

python -m benchmarks                              everything, on the best device
python -m benchmarks mlp chunks --quick
python -m benchmarks --cpu-time --check           one thread, processor time: ratios that hold on a busy machine
python -m benchmarks eval --peer-dir ~/peers      against checkouts of 3d_pose_baseline_pytorch and VideoPose3D
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from anypose.engine.device import Cpu, Cuda, Npu

from benchmarks import report  # isort: skip
from benchmarks.measuring import choices, measure, settled


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line; ends the process with a sentence where it makes no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", help=f"any of {', '.join(choices())}; all where none is named")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "npu"])
    parser.add_argument("--precision", default="fp32", choices=["fp32", "tf32", "bf16"], help="of both sides")
    clock = parser.add_mutually_exclusive_group()
    clock.add_argument("--threads", type=int, metavar="N", help="CPU threads, timed by the clock on the wall")
    clock.add_argument("--cpu-time", action="store_true", help="one CPU thread, timed by what the process used")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and less data")
    parser.add_argument("--check", action="store_true", help="fail where a ratio is below its threshold")
    parser.add_argument("--set-thresholds", action="store_true", help="set thresholds at 80 %% of these ratios")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, too")
    parser.add_argument("--peer-dir", type=Path, metavar="DIR", help="where checkouts of the peers lie")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.what) - set(choices()))
    if unknown:
        parser.error(f"nothing is called {', '.join(unknown)}; there are {', '.join(choices())}")
    if (options.check or options.set_thresholds) and not options.cpu_time:
        parser.error("thresholds hold for one thread and processor time: add --cpu-time")
    if options.cpu_time and options.device not in ("auto", "cpu"):
        parser.error(f"--cpu-time measures the processor, and --device {options.device} works elsewhere")
    if options.peer_dir and not options.peer_dir.is_dir():
        parser.error(f"--peer-dir {options.peer_dir} is not a folder")
    if options.device == "auto":
        options.device = "cpu" if options.cpu_time else next(k.type for k in (Npu, Cuda, Cpu) if k.problem() is None)
    if options.precision == "tf32" and options.device != "cuda":
        parser.error(f"--precision tf32 is of cuda, this is --device {options.device}")
    return options


def main(arguments: list[str]) -> int:
    """Measure and print; 1 where a result is wrong or, with --check, a ratio too small."""
    options = parse(arguments)
    with settled(options) as settings:
        results, problems = measure(options, settings)
    if options.json:
        report.write_json(options.json, results, settings)
    if options.set_thresholds:
        report.update_thresholds(results, settings)
    if options.check:
        problems += report.failures(results, settings)
    print(*problems, sep="\n", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
