"""Run the cases: our side in this process, the peer's in its own."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import types
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from multiprocessing.connection import Connection

from anypose.engine.device import Device  # first: it imports torch safely

import torch  # isort: skip
from hydra.utils import instantiate

from benchmarks import cases, report
from benchmarks.apart import Peer, Requests, process
from benchmarks.harness import Row, Settings, WrongResult
from benchmarks.training import compose


def choices() -> list[str]:
    """What can be measured, as typed."""
    return [module.name.replace("_", "-") for module in pkgutil.iter_modules(cases.__path__)]


def case(name: str) -> types.ModuleType:
    """The module behind a choice."""
    return importlib.import_module(f"benchmarks.cases.{name.replace('-', '_')}")


@contextmanager
def settled(options: argparse.Namespace, *overrides: str) -> Iterator[Settings]:
    """The device and the threads as the command line says."""
    torch.set_num_threads(1 if options.cpu_time else options.threads or os.cpu_count() or 1)
    tf32 = [f"device.tf32={options.precision == 'tf32'}"] if options.device == "cuda" else []
    device: Device
    with instantiate(compose([f"device={options.device}", *tf32, *overrides]).device) as device:
        yield Settings(
            device, options.precision, torch.get_num_threads(), options.cpu_time, options.quick, options.peer_dir
        )


def measure(options: argparse.Namespace, settings: Settings) -> tuple[dict[str, list[Row]], list[str]]:
    """The rows of each choice, printed as they come, and the results that were wrong."""
    print(report.title(settings))
    results: dict[str, list[Row]] = {}
    problems = []
    for name in options.what or choices():
        rows = results[name] = []
        print(report.header(name), flush=True)
        try:
            with partner(name, options, settings) as peer:
                for row in case(name).run(replace(settings, partner=peer)):
                    rows.append(row)
                    print(report.line(row), flush=True)
        except WrongResult as error:
            problems.append(f"{name}: {error}")
    return results, problems


def partner(name: str, options: argparse.Namespace, settings: Settings) -> AbstractContextManager[Peer | None]:
    """The peer's own process, on the CPU; elsewhere there is no such setting, and the device's memory is shared."""
    if settings.device.type != "cpu" or name == "floors":
        return nullcontext()
    return process(peer_side, name, options)


def peer_side(connection: Connection, name: str, options: argparse.Namespace) -> None:
    """In the peer's process: the same case, whose comparisons do what is asked of them, until nobody asks any more."""
    with suppress(EOFError), settled(options, "device.keep_memory=false") as settings:
        for _ in case(name).run(replace(settings, partner=Requests(connection))):
            pass
