"""Qualcomm's libraries through ONNX Runtime (the extra [qnn]): .dlc files, context binaries, and the HTP emulator."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime

from passerby.errors import MissingExtraError, ModelError
from passerby.runtime.outputs import Array, first_line, lay_out

EP = "QNNExecutionProvider"
WRITER, EMULATOR = "libQnnIr.so", "libQnnHtp.so"
# The chip that a context binary is for, and that the emulator plays: Snapdragon 8 Gen 2, Hexagon v73.
CHIP = {"soc_model": "43", "htp_arch": "73"}
_once = threading.Lock()


def is_installed() -> bool:
    """Whether the extra [qnn] is."""
    return importlib.util.find_spec("onnxruntime_qnn") is not None


def write_dlc(source: Path, out: Path) -> None:
    """Write an .onnx graph as a .dlc file: float, or int8 where it is QDQ.

    Raises MissingExtraError, and ModelError where an operator is not taken or Qualcomm's library fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = {"backend_path": _library(WRITER), "dump_qnn_ir_dlc": "1", "dump_qnn_ir_dlc_dir": folder}
        _open(source, options)
        written = list(Path(folder).glob("*.dlc"))
        if len(written) != 1:
            raise ModelError(f"{source}: Qualcomm's library wrote {len(written)} .dlc files for it, want one")
        out.write_bytes(written[0].read_bytes())


def write_context(source: Path, out: Path, half: bool = False) -> None:
    """Write an .onnx graph, compiled for CHIP, as an HTP context binary; a float graph needs half.

    Raises as `write_dlc` does.
    """
    with tempfile.TemporaryDirectory() as folder:
        entries = {
            "ep.context_enable": "1",
            "ep.context_embed_mode": "0",
            "ep.context_file_path": str(Path(folder) / "context.onnx"),
        }
        _open(source, {"backend_path": _library(EMULATOR), **CHIP, **_halved(half)}, entries)
        written = list(Path(folder).glob("*.bin"))
        if len(written) != 1:
            raise ModelError(f"{source}: Qualcomm's library wrote {len(written)} context binaries for it, want one")
        out.write_bytes(written[0].read_bytes())


@dataclass(frozen=True)
class Emulated:
    """An .onnx graph on the HTP emulator of an x86 processor: exact about numbers, not about time.

    name, outputs  as `runtime.outputs.Answering` has them
    """

    session: Any
    name: str
    outputs: tuple[str, ...]

    def answer(self, pixels: Array) -> list[Array]:
        """The input -> every output, in the order of `outputs`."""
        port = self.session.get_inputs()[0]
        kind = "float32" if port.type == "tensor(float)" else "uint8"
        with quiet_stdout():
            return list(self.session.run(None, {port.name: lay_out(pixels, kind, port.shape)}))


def emulate(source: Path, half: bool = False) -> Emulated:
    """An .onnx graph loaded into the emulator; a float graph needs half, since HTP multiplies no float32.

    Raises as `write_dlc` does.
    """
    import onnxruntime_qnn

    session = _open(source, {"backend_path": _library(EMULATOR), **CHIP, **_halved(half)})
    outputs = tuple(o.name for o in session.get_outputs())
    precision = "float16" if half else "int8"
    return Emulated(session, f"qnn-htp-emulator {onnxruntime_qnn.__version__} {precision}", outputs)


@contextlib.contextmanager
def quiet_stdout() -> Iterator[None]:
    """What Qualcomm's libraries print on stdout goes to stderr: stdout is for programs."""
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _open(source: Path, options: dict[str, str], entries: dict[str, str] | None = None) -> Any:
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4  # errors come back as exceptions
    settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")  # all of the graph, or an error
    for key, value in (entries or {}).items():
        settings.add_session_config_entry(key, value)
    try:
        with quiet_stdout():
            settings.add_provider_for_devices(_devices(), options)
            return onnxruntime.InferenceSession(str(source), settings)
    except Exception as e:  # its errors have no public base class
        raise ModelError(f"{source}: Qualcomm's libraries do not take it ({first_line(e)})") from e


def _devices() -> list[Any]:
    import onnxruntime_qnn

    with _once:
        found = [d for d in onnxruntime.get_ep_devices() if d.ep_name == EP]
        if not found:
            onnxruntime.register_execution_provider_library(EP, onnxruntime_qnn.get_library_path())
            found = [d for d in onnxruntime.get_ep_devices() if d.ep_name == EP]
    return found


def _library(name: str) -> str:
    try:
        import onnxruntime_qnn
    except ImportError as e:
        raise MissingExtraError("onnxruntime-qnn", "qnn") from e
    return str(Path(onnxruntime_qnn.LIB_DIR_FULL_PATH) / name)


def _halved(half: bool) -> dict[str, str]:
    return {"enable_htp_fp16_precision": "1"} if half else {}
