"""Peak speeds of GPUs, as their data sheets state them."""

import re

# TFLOP/s of matrix products without sparsity, in bfloat16 (tensor cores, sums in float32) and in
# float32 (no TF32). NVIDIA's data sheets state twice the first number, with sparsity, for Hopper
# and Ada. First entry whose words are all in the device's name.
PEAKS: dict[tuple[str, ...], dict[str, float]] = {
    ("H200", "NVL"): {"bfloat16": 835, "float32": 60},
    ("H200",): {"bfloat16": 989, "float32": 67},
    ("H100", "PCIe"): {"bfloat16": 756, "float32": 51},
    ("H100", "NVL"): {"bfloat16": 835, "float32": 60},
    ("H100",): {"bfloat16": 989, "float32": 67},
    ("A100",): {"bfloat16": 312, "float32": 19.5},
    ("L40S",): {"bfloat16": 362, "float32": 91.6},
    ("L4",): {"bfloat16": 121, "float32": 30.3},
    ("A10",): {"bfloat16": 125, "float32": 31.2},
    ("RTX", "4090"): {"bfloat16": 165, "float32": 82.6},
}


def peak_tflops(name: str) -> dict[str, float]:
    """Peak TFLOP/s of a GPU by type of number; empty for a device that the table lacks.

    Parameters
    ----------
    name : str
        As torch and nvidia-smi report it.

    Examples
    --------
    >>> peak_tflops("NVIDIA H100 80GB HBM3")["bfloat16"]
    989
    >>> peak_tflops("NVIDIA A100-SXM4-80GB")["bfloat16"]
    312
    """
    words = set(re.split(r"[\s-]+", name))
    return next((peaks for key, peaks in PEAKS.items() if words.issuperset(key)), {})
