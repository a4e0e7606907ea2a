"""Trains on a cluster of two nodes and takes away the one that trains: ``python -m tests.jobs.lose_a_node``.

A process of its own, for a process can be connected to one cluster only. Arguments: data, artifact, storage.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster
from ray.util.placement_group import placement_group_table

from engine.data.dataset import Dataset
from engine.learning.experiment import set_up
from jobs.training.distributed import train_distributed
from tests.jobs.test_faults import SLOWLY
from tests.jobs.test_pretrain import config


def main(data: Path, out: Path, storage: Path) -> None:
    os.environ["RAY_AUTH_MODE"] = "disabled"
    cluster = Cluster()
    patiently(cluster, num_cpus=0, _system_config={"health_check_period_ms": 500})  # five misses: it is gone
    nodes = [patiently(cluster, num_cpus=1) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False)
    experiment = set_up(Dataset.load(data), config(*SLOWLY, "train.workers=1"))
    lost = None
    for report in train_distributed(experiment, data, out, storage, "r"):
        print("pass", report.passes_done, flush=True)
        if report.passes_done == 2 and lost is None:
            lost = where_it_trains()
            cluster.remove_node(next(n for n in nodes if n.node_id == lost), allow_graceful=False)
    alive = [n["NodeID"] for n in ray.nodes() if n["Alive"]]
    assert lost is not None
    assert lost not in alive
    groups = [group["state"] for group in placement_group_table().values()]
    print("placement groups", sorted(set(groups)), flush=True)
    ray.shutdown()
    cluster.shutdown()


def patiently(cluster: Cluster, **options: Any) -> Any:
    """Ray gives a node 30 s to start, which on a busy machine may be too few."""
    for _ in range(5):
        try:
            return cluster.add_node(**options)
        except Exception as error:
            print("again:", error, flush=True)
    return cluster.add_node(**options)


def where_it_trains() -> str:
    (group,) = placement_group_table().values()
    return str(group["bundles_to_node_id"][0])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
