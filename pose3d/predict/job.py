"""One command of predict: where files go, what is done already, Ctrl-C, and the summary of each source."""

from __future__ import annotations

import errno
import glob
import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from anypose.engine.interruptions import interruptions, leave
from anypose.engine.results import format_table
from anypose.engine.run import command, write_json
from anypose.motion import Motion
from pose3d.predict.pipeline import Pipeline
from pose3d.predict.settings import COMMANDS_OWN
from pose3d.predict.show import Show
from pose3d.predict.sinks import Sinks, open_sinks
from pose3d.predict.source import expand, is_pattern, natural
from pose3d.predict.video import source_name

log = logging.getLogger(__name__)

JOBS_OWN = ("source", "output", "overwrite", "formats", "show")  # settings that say where to and not what
PLANNED = 60.0  # a source of many minutes is heard of so often [s]


class Job:
    """The sources of one command.

    Args:
        cfg: conf/predict.yaml, composed.
    """

    def __init__(self, cfg: DictConfig) -> None:
        whole = OmegaConf.to_container(cfg, resolve=True)
        assert isinstance(whole, dict)
        self.settings = {str(k): v for k, v in whole.items() if k not in (*JOBS_OWN, *COMMANDS_OWN)}
        self.overwrite, self.show = cfg.overwrite, Show() if cfg.show else None
        given = [cfg.formats] if isinstance(cfg.formats, str) else cfg.formats
        self.formats = None if given is None or list(given) == ["all"] else list(given)
        hydra = HydraConfig.get()
        self.sweeping = hydra.mode == RunMode.MULTIRUN
        self.overrides = list(hydra.overrides.task)
        self.own = Path(hydra.runtime.output_dir)  # of this job of a sweep
        now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        self.folder = Path(cfg.output or (os.path.relpath(self.own) if self.sweeping else f"runs/predict/{now}"))
        self.stems = stems(expand(cfg.source))
        self.rows: list[dict[str, Any]] = []

    def summary_file(self, source: str) -> Path:
        """Where the summary of a source lies once it is done."""
        return self.folder / f"{self.stems[source]}.summary.json"

    def is_done(self, source: str) -> bool:
        """Whether an earlier command finished this source in the same folder."""
        file = self.summary_file(source)
        if self.overwrite or not file.is_file():
            return False
        summary = json.loads(file.read_text(encoding="utf-8"))
        if summary["source"] != source or summary["settings"] != self.settings:
            raise FileExistsError(
                f"{file} is of source={summary['source']} with other settings. Write elsewhere (output=), or say "
                "overwrite=true."
            )
        log.info("%s is done already: %s. overwrite=true does it again.", source, file)
        self.rows.append(row(source, summary))
        return True

    @contextmanager
    def writing(self, source: str, pipeline: Pipeline) -> Iterator[Watched]:
        """The sinks of a source. The first Ctrl-C ends the source with the frame it is at, and finishes its files."""
        start, finished = time.perf_counter(), False
        sinks = open_sinks(self.folder, self.formats, self.stems[source], self.overwrite)
        sinks.dress(pipeline.bodies and pipeline.bodies.meshes)
        with interruptions() as caught:
            try:
                with sinks:
                    yield Watched(sinks, pipeline, caught, self.show)
                    finished = True
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise OSError(
                        errno.ENOSPC,
                        f"The disk of {self.folder} is full. What was written before is whole",
                        str(source),
                    ) from error
                raise
            finally:
                if not finished and not pipeline.ids:
                    for file in sinks.files:  # nobody was in it
                        file.unlink(missing_ok=True)
                elif not finished and pipeline.frames:
                    log.info("%s: %d frames are written to %s.", source, pipeline.frames, self.folder)
            self.finish(source, pipeline, sinks, time.perf_counter() - start, bool(caught))
        if caught:
            leave(caught[0], f"{pipeline.frames} frames of {source} are written to {self.folder}.")

    def finish(self, source: str, pipeline: Pipeline, sinks: Sinks, seconds: float, stopped: bool) -> None:
        """Write the summary, and say where everything is."""
        watch = pipeline.stopwatch
        stages, cpu = ({k: round(v, 3) for k, v in one.items()} for one in (watch.seconds, watch.cpu_seconds))
        summary = {
            "source": source,
            "command": command(),
            "frames": pipeline.frames,
            "people": len(pipeline.ids),
            "seconds": round(seconds, 3),
            "frames_per_second": round(pipeline.frames / max(seconds, 1e-9), 2),
            "seconds_of_stages": stages,
            "cpu_seconds_of_stages": cpu,
            **pipeline.ground.skate.report(),
            **({"body": pipeline.bodies.report()} if pipeline.bodies is not None else {}),
            "dropped_frames": pipeline.dropped,
            "warnings": pipeline.warnings,
            "files": sinks.summary(),
            "left_out": sinks.left_out,
            "settings": self.settings,
        }
        if not stopped:
            write_json(self.summary_file(source), summary)
        self.rows.append(row(source, summary))
        print(told(summary, self.summary_file(source)), flush=True)

    def report(self) -> float:
        """Print the table of several sources, leave what a sweep's table reads, and give the frames a second."""
        if len(self.rows) > 1 and not self.sweeping:
            print(format_table(self.rows))
        frames, seconds = (sum(r[key] for r in self.rows) for key in ("frames", "seconds"))
        speed = frames / max(seconds, 1e-9)
        if self.sweeping:
            self.own.mkdir(parents=True, exist_ok=True)
            write_json(self.own / "environment.json", {"overrides": self.overrides, "command": command()})
            people = max(r["people"] for r in self.rows)
            scores = {"frames": frames, "people": people, "seconds": seconds, "frames/s": speed}
            write_json(self.own / "summary.json", scores)
        return speed


class Watched:
    """Sinks that stop the pipeline when somebody asked for it, and time themselves."""

    def __init__(self, sinks: Sinks, pipeline: Pipeline, caught: list[int], show: Show | None) -> None:
        self.sinks, self.pipeline, self.caught, self.show = sinks, pipeline, caught, show
        self.pictures = show is not None or any(sink.shows for sink in sinks.sinks.values())  # are wanted
        self.told = time.monotonic()

    def write(self, motion: Motion, pictures: Sequence[np.ndarray] | None) -> None:
        """A chunk for every file, and for the window."""
        with self.pipeline.stopwatch("write"):
            self.sinks.write(motion, pictures)
        if self.show and not self.show(motion, pictures, self.pipeline):
            self.pipeline.stopping = True
        if self.caught:
            self.pipeline.stopping = True
        if time.monotonic() - self.told > PLANNED:
            self.told = time.monotonic()
            log.info("%s: %d frames, %.1f s of it.", motion.name, self.pipeline.frames, motion.times[-1])


def each_source(overrides: Sequence[str]) -> list[str]:
    """For -m source=videos/*.mp4: one job for every file."""
    given = [override for override in overrides if override.startswith("source=")]
    if not given or not {"-m", "--multirun"} & set(sys.argv):
        return []
    files = []
    for part in given[-1].removeprefix("source=").strip("'\"").split(","):
        files += sorted(glob.glob(part, recursive=True), key=natural) if is_pattern(part) else [part]
    return ["source=" + ",".join(f"'{file}'" for file in files)] if files else []


def stems(sources: Sequence[str]) -> dict[str, str]:
    """What the files of each source are called: its name, with its folder's where two have one name."""
    names = {source: source_name(source) for source in sources}
    taken = list(names.values())
    return {
        source: name if taken.count(name) == 1 else f"{Path(source).resolve().parent.name}_{name}"
        for source, name in names.items()
    }


def row(source: str, summary: dict[str, Any]) -> dict[str, Any]:
    """A line of the table."""
    return {
        "source": source,
        "frames": summary["frames"],
        "people": summary["people"],
        "seconds": summary["seconds"],
        "frames/s": summary["frames_per_second"],
        "skate mm": summary["skate_after_mm"],
    }


def told(summary: dict[str, Any], file: Path) -> str:
    """What the screen says of a source."""
    stages = ", ".join(f"{stage} {spent:.2f} s" for stage, spent in summary["seconds_of_stages"].items())
    lines = [
        f"{summary['source']}: {summary['frames']} frames, {summary['people']} people, {summary['seconds']:.1f} s, "
        f"{summary['frames_per_second']:.1f} frames/s ({stages}; they overlap).",
        f"Feet slide {summary['skate_before_mm']} mm a contact frame, {summary['skate_after_mm']} mm once held "
        f"({summary['contact_frames']} contact frames).",
        *(f"  {one['format']:6}{one['path']}" for one in summary["files"]),
        f"  {'sum':6}{file}",
    ]
    return "\n".join(lines)
