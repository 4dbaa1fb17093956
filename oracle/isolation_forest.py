#!/usr/bin/env python3
"""What scikit-learn's isolation forest reaches, for crates/learn/tests/oracle.rs to agree with.

    LAPWING_DATA=FOLDER python3 oracle/isolation_forest.py > oracle/isolation_forest.json

Needs scikit-learn, numpy and zstandard (or the program zstd); the versions used stand in the output. Tables:

* `synthetic`: the formula below, in whole numbers and exact fractions, so that any language gives the same bits;
* `nsl-kdd`: csv/nsl-kdd/KDDTrain+_20Percent.txt.zst; the 41 features, `normal` is benign;
* `iot23-multi-sample`: csv/iot23-multi-sample/train.csv.zst without the port and both labels; label 0 is benign.

Rows of even index (from 0, the header not counted) are the first part, the others the second. The forest learns the benign
rows of the first part and scores the whole second part. A numeric column is the decimal number read as a double, rounded to
single precision. A symbolic column becomes one column per text that it has among the rows learnt from, in byte order, where
1 says that the row has it. The SHA-256 of both matrices (little-endian floats) shows that both sides read the same.

Figures are means over the seeds: ROC-AUC, and average precision, with malicious rows as the positive class.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

import numpy
import sklearn
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score

SEEDS = [0, 1, 2, 3, 4]
SYMBOLIC = {"nsl-kdd": [1, 2, 3], "iot23-multi-sample": [1, 2, 6]}
FEATURES = {"nsl-kdd": range(41), "iot23-multi-sample": range(1, 14)}


def mix(value):
    mask = (1 << 64) - 1
    z = (value + 1) * 0x9E3779B97F4A7C15 & mask
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & mask
    return z ^ (z >> 31)


def synthetic():
    """4,000 rows of 8: sums of four uniform numbers; every tenth row is malicious, with three columns of its own drawn wide."""
    rows, labels = [], []
    for row in range(4000):
        malicious = row % 10 in (3, 4) and row % 20 < 10
        values = []
        for column in range(8):
            parts = [mix(4 * (8 * row + column) + part) >> 40 for part in range(4)]
            wide = malicious and (row // 10 + column) % 8 < 3
            values.append((5 * parts[0] - (3 << 23) if wide else sum(parts) / 2) / (1 << 24))
        rows.append(values)
        labels.append(malicious)
    return numpy.array(rows, dtype=numpy.float32), numpy.array(labels)


def read(path):
    try:
        import zstandard

        with open(path, "rb") as file:
            text = zstandard.ZstdDecompressor().stream_reader(file).read().decode()
    except ImportError:
        text = subprocess.run(["zstd", "-dc", path], check=True, capture_output=True).stdout.decode()
    return [line.split(",") for line in text.splitlines() if line]


def encoded(name, cells, labels):
    learnt = [row for index, row in enumerate(cells) if index % 2 == 0 and not labels[index]]
    columns = []
    for column in FEATURES[name]:
        if column in SYMBOLIC[name]:
            for known in sorted({row[column] for row in learnt}, key=str.encode):
                columns.append([1.0 if row[column] == known else 0.0 for row in cells])
        else:
            columns.append([float(row[column]) for row in cells])
    return numpy.array(columns, dtype=numpy.float64).T.astype(numpy.float32)


def tables(data):
    yield "synthetic", *synthetic()
    cells = read(data / "csv" / "nsl-kdd" / "KDDTrain+_20Percent.txt.zst")
    labels = numpy.array([row[41] != "normal" for row in cells])
    yield "nsl-kdd", encoded("nsl-kdd", cells, labels), labels
    cells = read(data / "csv" / "iot23-multi-sample" / "train.csv.zst")[1:]
    labels = numpy.array([row[14] != "0" for row in cells])
    yield "iot23-multi-sample", encoded("iot23-multi-sample", cells, labels), labels


def digest(matrix):
    return hashlib.sha256(numpy.ascontiguousarray(matrix, dtype="<f4").tobytes()).hexdigest()


def main():
    expected = {"scikit_learn": sklearn.__version__, "numpy": numpy.__version__, "seeds": SEEDS, "tables": {}}
    for name, matrix, labels in tables(pathlib.Path(os.environ["LAPWING_DATA"])):
        learnt, scored, truth = matrix[0::2][~labels[0::2]], matrix[1::2], labels[1::2]
        roc, precision, means = [], [], []
        for seed in SEEDS:
            forest = IsolationForest(n_estimators=100, max_samples=256, random_state=seed).fit(learnt)
            scores = -forest.score_samples(scored)
            roc.append(roc_auc_score(truth, scores))
            precision.append(average_precision_score(truth, scores))
            means.append(scores.mean())
        expected["tables"][name] = {
            "columns": matrix.shape[1],
            "rows_learnt": len(learnt),
            "rows_scored": len(scored),
            "sha256_learnt": digest(learnt),
            "sha256_scored": digest(scored),
            "roc_auc": round(float(numpy.mean(roc)), 6),
            "roc_auc_deviation": round(float(numpy.std(roc, ddof=1)), 6),
            "average_precision": round(float(numpy.mean(precision)), 6),
            "mean_score": round(float(numpy.mean(means)), 6),
        }
    json.dump(expected, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
