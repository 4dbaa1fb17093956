#!/usr/bin/env python3
"""The isolation forest beside scikit-learn: CPU seconds to fit and to score, on one core, in interleaved runs.

    cargo build --release -p lapwing-learn --example forest_speed
    OMP_NUM_THREADS=1 python3 benches/forest.py [ROWS] [WIDTH] [ROUNDS]

Needs scikit-learn. Both sides get the same table (the formula is in crates/learn/examples/forest_speed.rs), 100 trees of
256 rows, contamination="auto", n_jobs=1. Absolute numbers drift with the machine; compare the ratios.
"""

import pathlib
import statistics
import subprocess
import sys
import time

import numpy
import sklearn
from sklearn.ensemble import IsolationForest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target" / "release" / "examples" / "forest_speed"


def mix(value):
    with numpy.errstate(over="ignore"):
        z = (value + numpy.uint64(1)) * numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        return z ^ (z >> numpy.uint64(31))


def table(rows, width):
    index = numpy.arange(rows * width, dtype=numpy.uint64)
    parts = [mix(numpy.uint64(4) * index + numpy.uint64(part)) >> numpy.uint64(40) for part in range(4)]
    spread = sum(parts).astype(numpy.float64) / (1 << 24)
    row, column = index // numpy.uint64(width), index % numpy.uint64(width)
    cluster = mix(~row) % numpy.uint64(3)
    values = spread**3 + (cluster * (column % numpy.uint64(3))).astype(numpy.float64) * 4.0
    return values.astype(numpy.float32).reshape(rows, width)


def scikit_learn(data, seed):
    forest = IsolationForest(n_estimators=100, max_samples=256, contamination="auto", n_jobs=1, random_state=seed)
    started = time.process_time()
    forest.fit(data)
    fitted = time.process_time()
    scores = forest.score_samples(data)
    return fitted - started, time.process_time() - fitted, -scores.mean()


def lapwing(rows, width):
    words = subprocess.run([PROGRAM, str(rows), str(width)], check=True, capture_output=True, text=True).stdout.split()
    return float(words[1]), float(words[3]), float(words[5])


def main():
    rows, width, rounds = (int(given) for given in (sys.argv[1:] + ["1000000", "14", "3"][len(sys.argv) - 1 :]))
    data = table(rows, width)
    theirs, ours = [], []
    for seed in range(rounds):
        theirs.append(scikit_learn(data, seed))
        ours.append(lapwing(rows, width))
    print(f"scikit-learn {sklearn.__version__}, {rows} rows of {width}, {rounds} rounds, CPU seconds on one core")
    for name, place in (("fit", 0), ("score", 1)):
        each = [[run[place] for run in runs] for runs in (theirs, ours)]
        middle = [statistics.median(values) for values in each]
        ratio = statistics.median(their / our for their, our in zip(*each))
        print(f"{name:5}  scikit-learn {middle[0]:8.4f}  lapwing {middle[1]:8.4f}  ratio {ratio:6.2f}")
    print(f"mean score: scikit-learn {statistics.mean(run[2] for run in theirs):.4f}, lapwing {ours[0][2]:.4f}")
    print(f"lapwing: {statistics.median(run[1] for run in ours) / rows * 1e9:.0f} ns per row")


if __name__ == "__main__":
    main()
