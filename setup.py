"""Package metadata. Tool settings live in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "w2sprobe/__init__.py").read_text()).group(1)

DATA = ("css", "html", "j2", "js", "json", "yaml")  # kinds of files beside the modules

EXTRAS = {
    "cpu": ["faiss-cpu>=1.8"],
    # the FAISS project's own wheels: CUDA 12 for the first, CUDA 13 and cuVS for the second
    "gpu": ["faiss-gpu>=1.15"],
    "gpu-cuvs": ["faiss-gpu-cuvs>=1.15"],
    "4bit": ["bitsandbytes>=0.50"],
    "tensorboard": ["tensorboard>=2.14"],
    "trackio": ["trackio>=0.21"],
    "inspect": ["inspect_ai>=0.3.100"],
    "gguf": ["gguf>=0.10"],
    "compression": ["hdf5plugin>=4.4"],
    "cleanlab": ["cleanlab>=2.9"],
    "umap": ["umap-learn>=0.5.6"],
    "ray": ["ray[default]>=2.45"],  # the first with wheels for Python 3.13
    "docs": [
        "ipykernel>=6.29",
        "mkdocs>=1.6",
        "mkdocs-material>=9.5.50",
        "mkdocstrings>=0.29",
        "mkdocstrings-python>=1.16",
        "nbclient>=0.10",
        "nbformat>=5.10",
    ],
    "dev": [
        "axe-playwright-python>=0.1.4",
        "bitsandbytes>=0.50",
        "build>=1.2",
        "cleanlab>=2.9",
        "hdf5plugin>=4.4",
        "hypothesis>=6.100",
        "import-linter==2.*",
        "mypy==2.4.*",  # linters are pinned, so that a new rule fails no old commit
        "playwright>=1.50",
        "pre-commit>=4.0",
        "pytest>=8.2",
        "pytest-xdist>=3.6",
        "ray[default]>=2.45",
        "ruff==0.17.*",
        "setuptools>=77",  # a test builds the wheel with it, without a package index
        "statsmodels>=0.14.4",  # tests compare intervals and tests with its own
        "tensorboard>=2.14",
    ],
}

setup(
    name="w2sprobe",
    version=VERSION,
    description="Weak-to-strong generalisation: activation caches, probes, students, PGR",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license_expression="Apache-2.0",
    keywords=["weak-to-strong generalisation", "probing", "label noise", "language models"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(11, 15)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.15",
    packages=find_packages(include=["w2sprobe", "w2sprobe.*"]),
    package_data={"w2sprobe": ["py.typed", *(f"**/*.{kind}" for kind in DATA)]},
    install_requires=[
        "accelerate>=1.3",  # transformers asks it to unwrap compiled models
        "click>=8.2",  # its test runner keeps stdout apart from stderr
        "datasets>=4.6",
        "datasketch>=2.0",
        "fsspec>=2024.5",  # universal_pathlib 0.3 needs it
        "h5py>=3.10",
        "huggingface_hub>=1.5",  # transformers 5.5 needs it
        "jinja2>=3.1.3",
        "matplotlib>=3.8",
        "numba>=0.60",
        "numpy>=1.26",
        "peft>=0.19",  # with 0.18, saved 4-bit adapters predict differently by 0.001
        "plotly>=6.0",  # plotly.js 3
        "psutil>=5.9.4",
        "pyarrow>=21",  # datasets 4.6 needs it
        "pydantic>=2.7",
        "pyyaml>=6.0.1",  # 6.0 no longer builds from source
        "rich>=13.7",
        "safetensors>=0.4.3",
        "scikit-learn>=1.6",
        "scipy>=1.15",  # exact Wilcoxon tests where there are ties or zeros
        "threadpoolctl>=3.1",
        "torch>=2.5",  # torch.OutOfMemoryError
        # before 5.3 and 5.5, code that a model's config.json names was run, trusted or not:
        # CVE-2026-4372 (GHSA-29pf-2h5f-8g72) and CVE-2026-5241 (GHSA-fgcw-684q-jj6r)
        "transformers>=5.5",
        "universal_pathlib>=0.3",  # URLs that are not pathlib.Path
        "xxhash>=3.4.1",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["w2sprobe = w2sprobe.cli:main"]},
)
