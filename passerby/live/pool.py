"""Models that many callers share: streams, uploads, browsers; too many at once are refused instead of queueing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from passerby.cores import cores
from passerby.errors import BusyError, SettingError, did_you_mean
from passerby.records import Detections, Floats, Pixels
from passerby.runtime.detector import Detector
from passerby.runtime.localiser import Localiser, open_model
from passerby.runtime.model_file import find_model, read_spec
from passerby.spec import ModelSpec


class Pool:
    """One model, many callers.

    detector  or a localiser; thread-safe, as both are
    workers   calls that run at once
    waiting   calls that may stand in line beside those that run
    """

    def __init__(self, detector: Detector | Localiser, workers: int = 1, waiting: int = 16) -> None:
        if workers < 1 or waiting < 0:
            raise SettingError(f"workers is {workers}, waiting is {waiting}; want at least 1 and 0")
        self.detector, self.workers, self.waiting = detector, workers, waiting
        self._permits = threading.BoundedSemaphore(workers)
        self._lock = threading.Lock()
        self._inside = 0
        self._pace = 0.05  # seconds that a call takes lately; for saying when to come again

    @property
    def spec(self) -> ModelSpec:
        """Of the model."""
        return self.detector.spec

    def detect(self, pixels: Pixels, threshold: float | None = None, wait: float | None = None) -> Detections:
        """Detect in one picture, (H, W, 3) uint8 RGB; blocks until it is done.

        threshold  None: the model's own
        wait       seconds in line after which the caller gives up; None: for callers who are a known few, such as
                   streams, who are never refused

        Raises BusyError when the line is full or does not move.
        """
        with self.turn(wait):
            return self.detector(pixels, threshold)

    def look(
        self, pixels: Pixels, threshold: float | None = None, wait: float | None = None
    ) -> tuple[Detections, Floats]:
        """As `detect`, and where the model saw what it is made for: (rows, columns) float32, 0 to 1."""
        with self.turn(wait):
            return self.detector.look(pixels, threshold)

    @contextmanager
    def turn(self, wait: float | None = None) -> Iterator[None]:
        """A place among those who may use the detector now, for the length of one call. Raises as `detect` does."""
        with self._lock:
            if wait is not None and self._inside >= self.workers + self.waiting:
                raise self._busy()
            self._inside += 1
        try:
            if not self._permits.acquire(timeout=wait):
                raise self._busy()
            try:
                begun = time.perf_counter()
                yield
                self._pace += 0.1 * (time.perf_counter() - begun - self._pace)
            finally:
                self._permits.release()
        finally:
            with self._lock:
                self._inside -= 1

    def _busy(self) -> BusyError:
        retry = self._pace * (self.workers + self.waiting) / self.workers
        return BusyError("more pictures come than this machine can look at; try again later", max(1.0, retry))


class Models:
    """The models that the operator listed, opened when first used.

    names  shipped models or .onnx files; a file is known by its stem. The first is the default
    engine, threads  as for Detector; workers, waiting  as for Pool

    Raises SettingError for two of one name, and as `find_model` and `read_spec` do.
    """

    def __init__(
        self, names: Sequence[str], engine: str = "auto", threads: int = 0, workers: int = 0, waiting: int = 16
    ) -> None:
        self._paths: dict[str, Path] = {}
        for name in names:
            path = find_model(name)
            if path.stem in self._paths:
                raise SettingError(f"two models are called '{path.stem}'; rename one of the files")
            self._paths[path.stem] = path
        if not self._paths:
            raise SettingError("no model is named; want at least one")
        self._specs = {name: read_spec(path) for name, path in self._paths.items()}
        self._engine, self._threads, self._workers, self._waiting = engine, threads, workers, waiting
        self._pools: dict[str, Pool] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """The public names, the default first."""
        return tuple(self._paths)

    def spec(self, name: str | None = None) -> ModelSpec:
        """The facts of a model. Raises SettingError for one that is not listed."""
        return self._specs[self._name(name)]

    def path(self, name: str | None = None) -> Path:
        """The file of a model. Raises SettingError for one that is not listed."""
        return self._paths[self._name(name)]

    def pool(self, name: str | None = None) -> Pool:
        """The model's pool. Raises SettingError for one that is not listed, ModelError for one that is broken."""
        name = self._name(name)
        with self._lock:
            if name not in self._pools:
                self._pools[name] = open_pool(
                    self._paths[name], self._engine, self._threads, self._workers, self._waiting
                )
            return self._pools[name]

    def name_of(self, pool: Pool) -> str | None:
        """The name of a pool that was opened here, else None."""
        with self._lock:
            return next((name for name, own in self._pools.items() if own is pool), None)

    def _name(self, name: str | None) -> str:
        if name is None:
            return next(iter(self._paths))
        if name not in self._paths:
            raise SettingError(f"no model '{name[:60]}'{did_you_mean(name[:60], self._paths)}")
        return name


def open_pool(model: Path, engine: str = "auto", threads: int = 0, workers: int = 0, waiting: int = 16) -> Pool:
    """A pool with its model loaded.

    workers  pictures that the network looks at at once; 0: chosen (one a core, each with one thread). Where they are
             several, one call more is let in: what comes before and after the network would leave a worker idle
    """
    workers = workers or cores()
    detector = open_model(model, engine=engine, threads=threads, streams=workers)
    return Pool(detector, workers + (workers > 1), waiting)
