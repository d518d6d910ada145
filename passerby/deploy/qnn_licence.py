"""Qualcomm's licence: said before the first use of its libraries, asked once, and the answer kept."""

from __future__ import annotations

import os
from pathlib import Path

from passerby.errors import OutputError, SettingError

VARIABLE = "PASSERBY_ACCEPT_QNN"
WORDS = (
    "the extra [qnn] (onnxruntime-qnn) brings Qualcomm's proprietary libraries, under Qualcomm's own licence "
    "(Qualcomm_LICENSE.pdf in its package), not passerby's"
)


def need_accepted(accept: bool) -> None:
    """Raises SettingError, with what to do, unless the licence was accepted: now, before, or by the environment.

    accept  whether the user says so now; the answer is kept then. Raises OutputError where it cannot be
    """
    if accept:
        _keep()
    elif os.environ.get(VARIABLE) != "1" and not kept_at().is_file():
        raise SettingError(f"{WORDS}: read it, and say once --accept-qualcomm-licence (or set {VARIABLE}=1)")


def kept_at() -> Path:
    """The file that says that the licence was accepted, in the user's own settings (XDG_CONFIG_HOME, or ~/.config)."""
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "passerby" / "qualcomm-licence-accepted"


def _keep() -> None:
    path = kept_at()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Accepted by --accept-qualcomm-licence: {WORDS}.\n", encoding="utf-8")
    except OSError as e:
        raise OutputError(f"{path}: cannot be written ({e.strerror or e}); set {VARIABLE}=1 instead") from e
