from palettune.device_bench.cost.latency_model import prepare_latency
from palettune.device_bench.cost.placement import ComputeUnit
from palettune.device_bench.cost.shapes import ShapeBuilder
from palettune.device_bench.measurement.latency_record import PREDICTED, measured_record, predicted_tags
from palettune.device_bench.measurement.measurement import Measurement


def test_predicted_and_measured_share_no_name_and_say_where_they_come_from():
    b = ShapeBuilder()
    b.linear("l", (512, 512), 64)
    model = prepare_latency(b.build(), device="iPhone 15 Pro", unit="CPU_AND_NE")
    predicted = predicted_tags(model)
    measured = measured_record(
        Measurement(
            "Ann's iPhone", "iPhone 18.1", ComputeUnit.CPU_AND_NE, None, 1.5, 0.1, 1.4, 50, 1.02, False,
            {"neural_engine": 0.9, "cpu": 0.1},
        ),
        "A17 Pro",
    )  # fmt: skip
    assert PREDICTED not in measured.metrics
    assert not set(predicted) & set(measured.tags)
    assert predicted["latency_ms.chip"] == "A17 Pro"
    assert measured.metrics["measured_latency_ms.residency.neural_engine"] == 0.9
    assert measured.metrics["measured_latency_ms.runs"] == 50
    assert "measured_latency_ms.load" not in measured.metrics
    assert measured.tags["measured_latency_ms.os"] == "iPhone 18.1"
    assert measured.tags["measured_latency_ms.chip"] == predicted["latency_ms.chip"]
    assert measured.tags["measured_latency_ms.runs"] == "50"
    assert measured.tags["measured_latency_ms.residency"] == "90% neural_engine, 10% cpu"
