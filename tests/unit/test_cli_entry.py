"""The command itself, as a process: what it printed arrives whole, and its exit code too, though it leaves at once."""

import json
import subprocess
import sys
from pathlib import Path

PICTURES = Path(__file__).resolve().parents[2] / "examples" / "pictures"


def passerby(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "passerby", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_all_lines_arrive_through_a_pipe():
    done = passerby("detect", str(PICTURES), *[str(PICTURES)] * 3, "--json", "--threads", "1")
    assert done.returncode == 0
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 8


def test_the_exit_code_of_an_error_arrives():
    done = passerby("detect", "no-such.jpg")
    assert done.returncode == 3
    assert done.stderr == "passerby: no-such.jpg: no such file or folder\n"
    assert passerby("--help").returncode == 0
    assert passerby("detekt").returncode == 2
