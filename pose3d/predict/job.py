"""One command of predict: where files go, what is done already, Ctrl-C, and the summary of each source."""

from __future__ import annotations

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
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, QuotedString
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from anypose.engine.durable import check_folder, remove_empty
from anypose.engine.interruptions import interruptions, leave
from anypose.engine.results import format_table
from anypose.engine.run import command, write_json
from anypose.motion import Motion
from anypose.whole import FULL
from pose3d.predict.bodies import Bodies
from pose3d.predict.pipeline import Pipeline
from pose3d.predict.settings import COMMANDS_OWN
from pose3d.predict.show import Show
from pose3d.predict.sinks import Sinks, open_sinks
from pose3d.predict.source import EXAMPLE, URL, expand, is_pattern, natural
from pose3d.predict.video import source_name

log = logging.getLogger(__name__)

JOBS_OWN = ("source", "output", "overwrite", "formats", "show", "parents")  # settings that say where to and not what
PLANNED = 60.0  # a source of many minutes is heard of so often [s]
MOST_PARENTS = 8  # folders in the name of a file


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
        folder = cfg.output or (os.path.relpath(self.own) if self.sweeping else f"runs/predict/{now}")
        self.folder = check_folder(folder, "output")
        self.stems = stems(expand(cfg.source), cfg.parents)
        self.rows: list[dict[str, Any]] = []
        self.failed: list[str] = []

    def summary_file(self, source: str) -> Path:
        """Where the summary of a source lies once it is done."""
        return self.folder / f"{self.stems[source]}.summary.json"

    def is_done(self, source: str) -> bool:
        """Whether an earlier command finished this source in the same folder."""
        file = self.summary_file(source)
        if self.overwrite or not file.is_file():
            return False
        summary = read_summary(file)
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
        start, finished, made = time.perf_counter(), False, not self.folder.exists()
        sinks = open_sinks(self.folder, self.formats, self.stems[source], self.overwrite)
        if pipeline.bodies is not None:
            sinks.dress(lambda skeleton, rest: worn(pipeline).meshes(skeleton, rest))
        with interruptions() as caught:
            try:
                with sinks:
                    yield Watched(sinks, pipeline, caught, self.show)
                    finished = True
            except (ValueError, OSError) as error:
                if isinstance(error, OSError) and error.errno in FULL:
                    raise OSError(
                        f"source={source}: the disk of {self.folder} is full. What was written before is whole."
                    ) from error
                if len(self.stems) == 1 or caught or source not in str(error):
                    raise
                self.failed.append(source)
                log.error("%s", error)
                return  # the others go on
            finally:
                if not finished and not pipeline.ids:
                    for file in sinks.files:  # nobody was in it
                        file.unlink(missing_ok=True)
                    if made:
                        remove_empty(self.folder)
                elif not finished and (frames := min((sink.frames for sink in sinks.sinks.values()), default=0)):
                    log.info("%s: frames written to %s: %d.", source, self.folder, frames)
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
            "assumed": pipeline.assumed,
            "warnings": pipeline.warnings,
            "files": sinks.summary(),
            "left_out": sinks.left_out,
            "settings": self.settings,
        }
        if not stopped:
            write_json(self.summary_file(source), summary)
        self.rows.append(row(source, summary))
        print(told(summary, None if stopped else self.summary_file(source)), flush=True)

    def report(self) -> float:
        """Print the table of several sources, leave what a sweep's table reads, and give the frames a second."""
        if len(self.rows) > 1 and not self.sweeping:
            print(format_table(self.rows))
        if self.failed:
            raise ValueError(
                f"{len(self.failed)} of {len(self.stems)} sources failed, as said above: {', '.join(self.failed[:5])}"
                f"{' ...' if len(self.failed) > 5 else '.'}"
            )
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
    """Sinks that stop the pipeline when the window was asked to, and time themselves.

    Attributes:
        pictures: whether any of them shows pictures.
        caught: signals that ask to stop, once they come.
    """

    def __init__(self, sinks: Sinks, pipeline: Pipeline, caught: list[int], show: Show | None) -> None:
        self.sinks, self.pipeline, self.caught, self.show = sinks, pipeline, caught, show
        self.pictures = show is not None or any(sink.shows for sink in sinks.sinks.values())
        self.told = time.monotonic()

    def write(self, motion: Motion, pictures: Sequence[np.ndarray] | None) -> None:
        """A chunk for every file, and for the window."""
        with self.pipeline.stopwatch("write"):
            self.sinks.write(motion, pictures)
        if self.show and not self.show(motion, pictures, self.pipeline):
            self.pipeline.stopping = True
        if time.monotonic() - self.told > PLANNED:
            self.told = time.monotonic()
            log.info("%s: %d frames, %.1f s of it.", motion.name, self.pipeline.frames, motion.times[-1])


def each_source(overrides: Sequence[str]) -> list[str]:
    """For -m source=videos/*.mp4: one job for every file."""
    given = [override for override in overrides if override.startswith("source=")]
    if not given or not {"-m", "--multirun"} & set(sys.argv):
        return []
    try:
        value = OverridesParser.create().parse_override(given[-1]).value()
    except HydraException:
        return []  # `check_words` says what is wrong with it
    chosen = value.list if isinstance(value, ChoiceSweep) else [value]
    parts = [one.text if isinstance(one, QuotedString) else one for one in chosen]
    if not all(isinstance(part, str | int) for part in parts):
        return []  # lists are sources of one job
    files = []
    for part in map(str, parts):
        files += sorted(glob.glob(part, recursive=True), key=natural) if is_pattern(part) else [part]
    if not files:
        return []
    more = []
    keys = {override.partition("=")[0] for override in overrides}
    if "output" in keys and "parents" not in keys:  # all write there, and a job knows of no other
        needed = parents_needed(files)
        stems(files, needed)
        more = [f"parents={needed}"] if needed else []
    return ["source=" + ",".join("'" + file.replace("'", "\\'") + "'" for file in files), *more]


def stems(sources: Sequence[str], parents: int | None = None) -> dict[str, str]:
    """What the files of each source are called.

    Args:
        sources: paths and URLs, patterns expanded.
        parents: how many folders of its path stand before a source's name; None for as many as tell them apart.

    Raises:
        ValueError: for two that would be called the same.
    """
    alike: dict[str, list[str]] = {}
    for source in dict.fromkeys(sources):
        alike.setdefault(source_name(source), []).append(source)
    by_name: dict[str, str] = {}
    for twins in alike.values():
        count = parents_needed(twins) if parents is None else parents
        for source in twins:
            name = stem(source, count)
            if (other := by_name.setdefault(name, source)) != source:
                raise ValueError(
                    f"source={other} and source={source} would both be written to {name}.*. Give one of them another "
                    "name, or another output=."
                )
    named = {source: name for name, source in by_name.items()}
    return {source: named[source] for source in dict.fromkeys(sources)}


def parents_needed(sources: Sequence[str]) -> int:
    """How many folders tell the names of sources apart; 0 where no number does."""
    different = set(sources)
    for count in range(MOST_PARENTS + 1):
        if len({stem(source, count) for source in different}) == len(different):
            return count
    return 0


def stem(source: str, parents: int) -> str:
    """The name of a source's files: "walk", and with a folder "monday_walk"."""
    if not parents or URL.match(source) or source == EXAMPLE or source.isdecimal():
        return source_name(source)
    folders = Path(source).expanduser().resolve().parent.parts[1:]
    return "_".join([*folders[-parents:], source_name(source)])


def read_summary(file: Path) -> dict[str, Any]:
    """What `Job.finish` wrote.

    Raises:
        ValueError: where somebody else did, or half of it.
    """
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
        row(summary["source"], summary)
    except (ValueError, LookupError, TypeError, RecursionError):
        summary = {}
    if not isinstance(summary, dict) or "settings" not in summary:
        raise ValueError(f"{file} is damaged, or no summary of predict's. Remove it, or say overwrite=true.")
    return summary


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


def told(summary: dict[str, Any], file: Path | None) -> str:
    """What the screen says of a source; `file` is its summary, None where it was stopped and has none."""
    stages = ", ".join(f"{stage} {spent:.2f} s" for stage, spent in summary["seconds_of_stages"].items())
    lines = [
        f"{summary['source']}: {summary['frames']} frame{'' if summary['frames'] == 1 else 's'}, "
        f"{summary['people']} {'person' if summary['people'] == 1 else 'people'}, {summary['seconds']:.1f} s, "
        f"{summary['frames_per_second']:.1f} frames/s ({stages}; they overlap).",
        f"Standing feet slid {summary['skate_before_mm']} mm a frame and rose or sank {summary['rise_before_mm']} mm; "
        f"in the files {summary['skate_after_mm']} and {summary['rise_after_mm']} mm "
        f"({summary['contact_frames']} frames of a standing foot).",
        *([f"Assumed: {', '.join(summary['assumed'])}."] if summary["assumed"] else []),
        *(f"  {one['format']:9}{one['path']}" for one in summary["files"]),
        *([f"  {'summary':9}{file}"] if file else []),
    ]
    return "\n".join(lines)


def worn(pipeline: Pipeline) -> Bodies:
    """The bodies of the source that a pipeline is at: they are others for every source."""
    assert pipeline.bodies is not None
    return pipeline.bodies
