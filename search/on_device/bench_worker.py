"""A bench worker: a Mac that joins a Ray cluster, and measures the packages that searches send it.

It is a Ray node with no CPU to lend, so that no other work lands on it, and one custom resource named after the chip
that it measures. Ray calls clusters with Macs experimental and wants them asked for
(https://docs.ray.io/en/latest/cluster/getting-started.html).
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from palettune.device_bench.devices.device import Device, find_device
from palettune.device_bench.measurement.hardware import hardware_name
from palettune.device_bench.measurement.measurement import Measurement, Runtime, measure
from palettune.device_bench.package.package_archive import unpack
from palettune.space.errors import UserError

__all__ = ["MAC", "Bench", "BenchWorkerError", "join", "node_command", "resource_of"]

MAC = "palettune_mac"
"""The resource that every bench worker has."""
_ATTACHED = "PALETTUNE_ATTACHED_DEVICE"


class BenchWorkerError(UserError):
    """A Mac that cannot join the cluster."""


def resource_of(chip: str) -> str:
    """Return the custom resource of bench workers that measure on a chip: ``palettune_a17_pro``."""
    return "palettune_" + re.sub(r"\W+", "_", chip.lower()).strip("_")


class Bench:
    """Actor on the bench worker, in a process of its own; its backend stays loaded between measurements.

    Args:
        runtime: what talks to Core ML there.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._backend = runtime(os.environ.get(_ATTACHED))

    def ready(self) -> tuple[str, str]:
        """Return name and system of the device, once it is prepared."""
        return self._backend.device()

    def measure(self, package: bytes, unit: str, runs: int) -> Measurement:
        """Measure one package, sent as ``pack`` makes it.

        Raises:
            UserError: what Core ML will not run, with its reason.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = unpack(package, Path(folder) / "sent.mlpackage")
            return measure(path, unit, runs=runs, backend=self._backend)


def join(
    address: str,
    attached: str | None,
    stated: str | None,
    said: Callable[[str], None],
    hardware: Callable[[str | None, str | None], str] = hardware_name,
) -> None:
    """Join this Mac to a cluster and stay until interrupted.

    Args:
        address: HOST:PORT of the cluster's head.
        attached: own name of an attached iPhone or iPad to measure on; None for this Mac.
        stated: what it is, where Xcode does not tell.
        said: called with one line once the node is about to start.
        hardware: tells what is measured on.

    Raises:
        UserError: this is no Mac, the device is unknown or not attached, or there is no cluster at the address.
    """
    device = find_device(hardware(attached, stated))
    _check_reachable(address)
    command, environment = node_command(address, device, attached)
    said(f"measuring on {attached or 'this Mac'} ({device.name}, {device.chip.name}) for {address}; Ctrl-C leaves")
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _, errors = process.communicate()
    except KeyboardInterrupt:
        process.terminate()
        process.wait(timeout=30)
        raise
    if process.returncode:
        last = "\n".join(errors.strip().splitlines()[-3:])
        raise BenchWorkerError(
            f"the node ended with {process.returncode}: {last}\nRay and Python must be of the same version (Ray "
            f"exactly, Python up to its second number) on both machines"
        )


def node_command(address: str, device: Device, attached: str | None) -> tuple[list[str], Mapping[str, str]]:
    """Return the command that starts the node, and its environment."""
    resources = {MAC: 1, resource_of(device.chip.name): 1}
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--address", address, "--block"]
    command += ["--num-cpus", "0", "--num-gpus", "0", "--resources", json.dumps(resources)]
    settings = {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",
        "RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    kept = {name: value for name, value in os.environ.items() if name != _ATTACHED}
    return command, kept | settings | ({_ATTACHED: attached} if attached is not None else {})


def _check_reachable(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise BenchWorkerError(f"--ray-address {address}: expected HOST:PORT, as `ray start --head` prints it")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise BenchWorkerError(
            f"--ray-address {address}: nothing answers there ({error}); start the cluster with `ray start --head` on "
            "its first machine, and search with --ray-address auto"
        ) from error
