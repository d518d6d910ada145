"""Only learn/ imports torch: proven in clean processes."""

import subprocess
import sys

HEAVY = ("torch", "safetensors", "onnx", "onnxscript", "matplotlib")

EVERYTHING_ELSE = f"""
import importlib, pathlib, sys
import passerby
root = pathlib.Path(passerby.__file__).parent
names = [".".join(("passerby", *p.relative_to(root).with_suffix("").parts)) for p in sorted(root.rglob("*.py"))]
names = [n for n in names if ".learn" not in n and not n.endswith("__main__")]
assert len(names) > 40
for name in names:
    importlib.import_module(name.removesuffix(".__init__"))
for name in passerby.__all__:
    getattr(passerby, name)
found = [n for n in {HEAVY} if n in sys.modules]
assert not found, found
"""

DETECTING = f"""
import sys, numpy
import passerby
found = passerby.Detector(engine="onnxruntime")(numpy.zeros((64, 96, 3), numpy.uint8))
assert len(found) == 0
assert not [n for n in {HEAVY} if n in sys.modules]
"""

BARE_IMPORT = """
import sys
before = set(sys.modules)
import passerby
assert not {"numpy", "cv2", "onnxruntime"} & set(sys.modules)
"""


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_everything_but_learn_imports_without_torch():
    run(EVERYTHING_ELSE)


def test_detecting_loads_no_torch():
    run(DETECTING)


def test_importing_the_package_loads_nothing_heavy():
    run(BARE_IMPORT)
