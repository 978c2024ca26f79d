"""Probes beside their peers: `w2sprobe bench` from a checkout.

python -m benchmarks.probe_speed [search|knn|logistic|topofilter|memory|sweep|growth ...] [--rows N]
"""

from w2sprobe.cli.bench import command

if __name__ == "__main__":
    command()
