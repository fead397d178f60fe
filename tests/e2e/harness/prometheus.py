# SPDX-License-Identifier: Apache-2.0
"""A strict reader of the Prometheus text format (version 0.0.4): what a scraper would refuse is refused here."""

import math
import re

_SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: (-?\d+))?$")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
_TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}


class Metrics:
    def __init__(self):
        self.types = {}
        self.helps = {}
        self.samples = {}  # (name, tuple of sorted labels) → value

    def value(self, name, **labels):
        """One sample's value; without labels the sum over all label sets of the name."""
        if labels:
            return self.samples[(name, tuple(sorted(labels.items())))]
        values = [value for (key, _), value in self.samples.items() if key == name]
        if not values:
            raise KeyError(name)
        return sum(values)


def parse(text):
    if text and not text.endswith("\n"):
        raise ValueError("the last line has no newline")
    metrics = Metrics()
    for line in text.splitlines():
        if line == "":
            continue
        if line.startswith("#"):
            _comment(metrics, line)
            continue
        match = _SAMPLE.match(line)
        if match is None:
            raise ValueError(f"not a sample: {line!r}")
        name, labels, value = match.group(1), _labels(match.group(2) or ""), float(match.group(3))
        family = _family(metrics, name)
        if metrics.types[family] == "counter" and not value >= 0:
            raise ValueError(f"a counter below zero: {line!r}")
        if (name, labels) in metrics.samples:
            raise ValueError(f"twice the same sample: {line!r}")
        metrics.samples[(name, labels)] = value
    _check_histograms(metrics)
    return metrics


def _comment(metrics, line):
    words = line.split(" ", 3)
    if len(words) < 3 or words[1] not in ("HELP", "TYPE"):
        return
    name = words[2]
    if words[1] == "HELP":
        metrics.helps[name] = words[3] if len(words) > 3 else ""
        return
    if name in metrics.types:
        raise ValueError(f"twice a TYPE for {name}")
    if len(words) != 4 or words[3] not in _TYPES:
        raise ValueError(f"not a TYPE line: {line!r}")
    metrics.types[name] = words[3]


def _labels(text):
    found, position = {}, 0
    while position < len(text):
        match = _LABEL.match(text, position)
        if match is None:
            raise ValueError(f"not labels: {text!r}")
        found[match.group(1)] = match.group(2)
        position = match.end()
    return tuple(sorted(found.items()))


def _family(metrics, name):
    for suffix in ("_bucket", "_sum", "_count"):
        if name.endswith(suffix) and metrics.types.get(name.removesuffix(suffix)) in ("histogram", "summary"):
            return name.removesuffix(suffix)
    if name not in metrics.types:
        raise ValueError(f"no TYPE before {name}")
    return name


def _check_histograms(metrics):
    for family, kind in metrics.types.items():
        if kind != "histogram":
            continue
        series = {}
        for (name, labels), value in metrics.samples.items():
            if name == family + "_bucket":
                bound = dict(labels)["le"]
                rest = tuple(pair for pair in labels if pair[0] != "le")
                series.setdefault(rest, []).append((math.inf if bound == "+Inf" else float(bound), value))
        for rest, buckets in series.items():
            buckets.sort()
            counts = [value for _, value in buckets]
            if counts != sorted(counts):
                raise ValueError(f"{family}: buckets are not cumulative")
            if buckets[-1][0] != math.inf or counts[-1] != metrics.samples.get((family + "_count", rest)):
                raise ValueError(f"{family}: the +Inf bucket is not the count")
            if (family + "_sum", rest) not in metrics.samples:
                raise ValueError(f"{family}: no sum")
