"""ncnn (the extra [ncnn]): runs a .param file with its .bin beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from passerby.cores import cores
from passerby.errors import MissingExtraError, ModelError
from passerby.runtime.outputs import Array, Model

CUT = "copy both files, or export them again"


class NcnnNet:
    """ncnn on the CPU. It reads what `export` wrote: pixels as floats 0..255, channels first, normalised inside."""

    def __init__(self, model: Model, where: str, threads: int, streams: int = 1) -> None:
        try:
            import ncnn
        except ImportError as e:
            raise MissingExtraError(f"ncnn (for {Path(where).name})", "ncnn") from e
        if not isinstance(model, Path):
            raise ModelError(f"{where}: an ncnn model is two files, .param and .bin; give the path of the .param")
        weights = model.with_suffix(".bin")
        if not weights.is_file():
            raise ModelError(f"{where}: its weights {weights.name} are not beside it; copy them there")
        _need_text(model, where)
        self.mat, self.net = ncnn.Mat, ncnn.Net()
        self.net.opt.num_threads = max(1, (threads or cores()) // streams)
        if self.net.load_param(str(model)) or self.net.load_model(str(weights)):
            raise ModelError(f"{where}: ncnn cannot load it; {CUT}")
        if len(self.net.input_names()) != 1:
            raise ModelError(f"{where}: has inputs {self.net.input_names()}, want one; {CUT}")
        self.input = self.net.input_names()[0]
        self.outputs = tuple(self.net.output_names())
        self.name = f"ncnn {ncnn.__version__} float32"

    def answer(self, pixels: Array) -> list[Array]:
        """The input -> every output, in the order of `outputs`."""
        planes = np.ascontiguousarray(pixels[0].transpose(2, 0, 1), np.float32)
        with self.net.create_extractor() as extractor:
            extractor.input(self.input, self.mat(planes))
            found = [extractor.extract(name) for name in self.outputs]
            if any(code for code, _ in found):
                raise ModelError(f"{self.input}: ncnn stopped (code {max(code for code, _ in found)}); {CUT}")
            return [np.array(mat)[None] for _, mat in found]


def _need_text(path: Path, where: str) -> None:
    """Refuses what is no .param file, before ncnn prints its own words about it. Raises ModelError."""
    try:
        with path.open(encoding="ascii") as f:
            first = f.readline().strip()
    except (OSError, UnicodeDecodeError) as e:
        raise ModelError(f"{where}: no ncnn .param file ({e}); {CUT}") from e
    if first != "7767517":
        raise ModelError(f"{where}: no ncnn .param file (it begins with '{first[:20]}'); {CUT}")
