"""Joining a cluster: the node is real, what it says of its hardware is pretended."""

import platform
import socket
import subprocess
import sys
import time

import pytest
import ray
from ray.cluster_utils import Cluster

from palettune.device_bench.devices.device import DeviceError, find_device
from palettune.search.command_line.cli import main
from palettune.search.on_device.bench_worker import MAC, BenchWorkerError, join, node_command, resource_of


def pretend(attached, stated):
    return stated or "M2"


def test_bad_input_says_what_to_do():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(BenchWorkerError, match=r"nothing answers there.*ray start --head"):
        join(closed, None, None, str, pretend)
    for address in ("somewhere", "host:port", ":6379"):
        with pytest.raises(BenchWorkerError, match="expected HOST:PORT"):
            join(address, None, None, str, pretend)
    with pytest.raises(DeviceError, match="did you mean 'iPhone 15 Pro'"):
        join(closed, None, "iPhone 15 Por", str, pretend)


@pytest.mark.skipif(platform.system() == "Darwin", reason="the error is for other systems")
def test_elsewhere_than_on_a_mac_the_command_ends_with_2(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["palettune", "bench-worker", "--ray-address", "127.0.0.1:6379"])
    with pytest.raises(SystemExit) as ending:
        main()
    assert ending.value.code == 2
    assert "a bench worker is a Mac" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.ray
def test_the_node_joins_with_its_resources_and_no_cpu():
    ray.shutdown()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    command, environment = node_command(cluster.address, find_device("iPhone 15 Pro"), "Ann's iPhone")
    assert environment["PALETTUNE_ATTACHED_DEVICE"] == "Ann's iPhone"
    node = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        deadline = time.monotonic() + 60
        while MAC not in ray.cluster_resources() and time.monotonic() < deadline:
            time.sleep(0.2)
        found = ray.cluster_resources()
        assert (found[MAC], found[resource_of("A17 Pro")], found["CPU"]) == (1, 1, 1)
    finally:
        node.terminate()
        node.wait(timeout=30)
        ray.shutdown()
        cluster.shutdown()
