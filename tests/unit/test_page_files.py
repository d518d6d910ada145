"""The page's files as they lie in the package: nothing from outside, no markup of text, the stated sums."""

import gzip
import hashlib
import re
from pathlib import Path

import pytest

STATIC = Path(__file__).resolve().parents[2] / "passerby" / "web" / "static"
OWN = sorted(p for p in STATIC.iterdir() if p.suffix in (".js", ".css", ".html"))


def test_onnxruntime_is_the_one_that_is_stated():
    stated = dict(re.findall(r"\| `([^`]+)` \| `([0-9a-f]{64})` \|", (STATIC / "ort" / "README.md").read_text("utf-8")))
    assert len(stated) == 3
    for name, told in stated.items():
        path = STATIC / "ort" / name
        data = path.read_bytes() if path.exists() else gzip.decompress(path.with_name(f"{name}.gz").read_bytes())
        assert hashlib.sha256(data).hexdigest() == told, name
    code = {p.name.removesuffix(".gz") for p in (STATIC / "ort").iterdir() if p.suffix not in (".md", ".txt")}
    assert code - {"ThirdPartyNotices.txt"} == set(stated)
    assert "MIT License" in (STATIC / "ort" / "LICENSE.txt").read_text("utf-8")


@pytest.mark.parametrize("path", OWN, ids=lambda p: p.name)
def test_page_loads_nothing_from_elsewhere_and_makes_no_markup_of_text(path):
    text = path.read_text("utf-8")
    assert not re.search(r"""(src|href|import|from|url)\W{0,2}["'(](https?:)?//""", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
    assert len(text.splitlines()) <= 320
    assert max(map(len, text.splitlines())) <= 120


def test_page_fits_a_strict_policy():
    """No script, style or handler inside the markup: the server's Content-Security-Policy would refuse it."""
    text = (STATIC / "index.html").read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=", text)
    assert re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL) == [""]


def test_page_and_code_speak_of_the_same_elements():
    html = (STATIC / "index.html").read_text("utf-8")
    made = set(re.findall(r'id="([\w-]+)"', html))
    assert len(made) == len(re.findall(r'id="([\w-]+)"', html))
    used = {name for path in OWN for name in re.findall(r'\$\("([\w-]+)"\)', path.read_text("utf-8"))}
    assert used
    assert used <= made
