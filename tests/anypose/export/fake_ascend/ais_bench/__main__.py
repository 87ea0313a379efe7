"""Stands in for `python3 -m ais_bench`: a folder of .bin in, a folder named by the time of .bin out."""

import argparse
import time
from pathlib import Path

import numpy as np

from ais_bench.infer.interface import InferSession

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--input")
parser.add_argument("--output")
parser.add_argument("--outfmt", default="BIN", choices=["NPY", "BIN", "TXT"])
parser.add_argument("--batchsize", type=int, default=1)
parser.add_argument("--loop", type=int, default=1)
parser.add_argument("--device", type=int, default=0)
arguments = parser.parse_args()

session = InferSession(arguments.device, arguments.model, loop=arguments.loop)
folder = Path(arguments.output) / time.strftime("%Y_%m_%d-%H_%M_%S")
folder.mkdir(parents=True)
for file in sorted(Path(arguments.input).iterdir()):
    for i, output in enumerate(session.infer([np.fromfile(file, np.float32)])):
        output.tofile(folder / f"{file.stem}_{i}.bin")
