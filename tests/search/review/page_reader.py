"""The page of a review as a browser takes it: its data, and what it computes from them, written again in Python."""

import base64
import gzip
import json
import math
import re
from statistics import median


def data_of(html):
    """The data that a page holds."""
    (packed,) = re.findall(r'<script id="data" type="application/gzip;base64">([^<]*)</script>', html)
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def encodings_of(data, row):
    """The encoding of each layer of a trial, by name."""
    names = [encoding["name"] for encoding in data["encodings"]]
    return {layer["name"]: names[ord(c) - 48] for layer, c in zip(data["layers"], row["configuration"], strict=True)}


def figure_of(data, layer, encoding, what):
    """A layer's figure in an encoding, of its menu or brought along."""
    place = [one["name"] for one in data["encodings"]].index(encoding)
    if place in layer["menu"]:
        return layer[what][layer["menu"].index(place)]
    return layer["brought"][what][layer["brought"]["encodings"].index(place)]


def total(data, encodings, what):
    """The sum over all layers of one of their lists."""
    return sum(figure_of(data, layer, encodings[layer["name"]], what) for layer in data["layers"])


def predicted(data, encodings):
    """The divergence of a configuration, as the page predicts it."""
    prediction, loss = data["prediction"], total(data, encodings, "loss")
    if loss <= 0:
        return prediction["unseen"]
    near = sorted((abs(math.log(point / loss)), ratio) for point, ratio in prediction["points"])
    ratios = [ratio for distance, ratio in near[: prediction["nearest"]] if distance < prediction["within"]]
    return loss * math.exp(median(ratios)) if ratios else loss


def milliseconds(data, encodings):
    """The latency of a configuration, as the page predicts it."""
    terms = data["latency"]
    busy = terms["busy_us"] + total(data, encodings, "busy_us")
    stream = terms["stream_us"] + total(data, encodings, "stream_us")
    slowed = stream + max(stream - terms["resident_us"], 0) * (terms["excess"] - 1)
    power = terms["overlap"]
    return (terms["floor_us"] + (busy**power + slowed**power) ** (1 / power)) / 1e3
