"""Only learn/ imports torch, and beside it only deploy/ imports onnx: proven in clean processes."""

import subprocess
import sys

HEAVY = ("torch", "safetensors", "onnx", "onnxscript", "matplotlib")

EVERYTHING_ELSE = f"""
import importlib, pathlib, sys
import passerby
root = pathlib.Path(passerby.__file__).parent
names = [".".join(("passerby", *p.relative_to(root).with_suffix("").parts)) for p in sorted(root.rglob("*.py"))]
rewrites = [n for n in names if n.startswith("passerby.deploy.quantise.") and not n.endswith("__init__")]
names = [n for n in names if ".learn" not in n and not n.endswith("__main__") and n not in rewrites]
assert len(names) > 40
for name in names:
    importlib.import_module(name.removesuffix(".__init__"))
for name in passerby.__all__:
    getattr(passerby, name)
found = [n for n in {HEAVY} if n in sys.modules]
assert not found, found
for name in rewrites:  # what writes graphs anew: behind `need_onnx`
    importlib.import_module(name)
assert "onnx" in sys.modules and "torch" not in sys.modules
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
