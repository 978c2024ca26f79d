import pytest

from w2sprobe.bench.device.peaks import PEAKS, peak_tflops


@pytest.mark.parametrize(
    ("name", "bfloat16"),
    [
        ("NVIDIA H200", 989),
        ("NVIDIA H200 NVL", 835),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-40GB", 312),
        ("NVIDIA A100 80GB PCIe", 312),
        ("NVIDIA L40S", 362),
        ("NVIDIA L4", 121),
        ("NVIDIA A10", 125),
        ("NVIDIA GeForce RTX 4090", 165),
    ],
)
def test_names_as_torch_reports_them(name: str, bfloat16: float) -> None:
    assert peak_tflops(name)["bfloat16"] == bfloat16


@pytest.mark.parametrize("name", ["CPU", "", "NVIDIA A10G", "NVIDIA L40", "RTX 4080"])
def test_other_devices_have_no_peak(name: str) -> None:
    assert peak_tflops(name) == {}


def test_products_of_16_bits_are_the_faster_ones() -> None:
    assert all(peaks["bfloat16"] > peaks["float32"] for peaks in PEAKS.values())
