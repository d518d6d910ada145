"""Whatever the label files of any format hold: one line of error or a sound SampleSet, in bounded memory."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_sets import MADE, picture

from passerby.data import READERS, load_data
from passerby.data.kinds import KINDS
from passerby.errors import PasserbyError

LABELLED = sorted(set(READERS) - {"classes", "folder"})
TEXTS = (".xml", ".txt", ".json", ".yaml", ".odgt", ".idl", ".csv")
WORDS = (
    *(b"", b"\0", b"\n", b"\r", b'"', b"'", b"<", b"&", b"[", b"{", b"}", b"(", b",", b";", b":", b"-", b"*a", b"&a "),
    *(b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud800", b"\xe2\x80\xa8", b"\x85", b"\x1b[31m"),
    *(b"nan", b"NaN", b"inf", b"-Infinity", b"1e999", b"-1e308", b"1e308", b"9" * 400, b"9" * 5000, b"0x10", b"1_0"),
    *(
        b"../",
        b"/etc/passwd",
        b"x" * 300,
        b"/" * 3000,
        b"CON",
        b"[[[[" * 9,
        b"null",
        b"true",
        b"!!timestamp x",
        b"<<: ",
    ),
)
VALUES = (
    *(None, True, -1, 0, 0.5, 1e308, -1e308, float("nan"), float("inf"), 10**30, 10**400, 2**31, 2**63),
    *("", "x", "\0", "\n", "../x.png", "/etc/passwd", "x" * 300, "\ud800", "7", "nan", "\u202e"),
    *([], {}, [[]], [{}], {"a": 1}, [None] * 4, ["x"] * 4, [10**400] * 4, [1e308] * 4, [float("nan")] * 4),
)
SOUND = ((1, 2, 11, 22), (30, 10, 50, 30))


def check_line(text):
    """One line that a terminal can print, and a person can read."""
    assert text
    assert text.isprintable()
    assert len(text) < 2000


def survives(row, path):
    """Read a set: a PasserbyError of one printable line, or samples with sound boxes only."""
    try:
        found = load_data(f"{row}:{path}")
    except PasserbyError as e:
        return check_line(str(e))
    for sample in found:
        t = sample.truth
        assert np.isfinite(t.boxes).all()
        assert (t.boxes[:, :2] >= 0).all()
        assert (t.boxes[:, 2:] <= [sample.width, sample.height]).all()
        assert (t.boxes[:, 2:] > t.boxes[:, :2]).all()
        assert ((t.labels >= 0) & (t.labels < len(found.labels))).all()
        assert sample.path.resolve().is_relative_to(path.resolve())
    for note in found.notes:
        assert note.kind in KINDS
        assert note.text.isprintable()
    assert all(label.isprintable() for label in found.labels)
    return found


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """For each format: (folder, {label file: its bytes})."""
    out = {}
    for row in LABELLED:
        root = tmp_path_factory.mktemp("hostile") / row
        MADE[row](root, SOUND)
        out[row] = root, {p: p.read_bytes() for p in sorted(root.rglob("*")) if p.suffix in TEXTS}
    return out


def swap(row, root, file, content):
    """Read the set with other content in one file, and put the file back."""
    before = file.read_bytes()
    try:
        file.write_bytes(content)
        return survives(row, root)
    finally:
        file.write_bytes(before)


@pytest.mark.parametrize("row", LABELLED)
def test_the_sets_are_sound_to_begin_with(sets, row):
    found = survives(row, sets[row][0])
    assert (len(found), found.objects(), found.notes) == (3, len(SOUND), ())


@pytest.mark.parametrize("row", LABELLED)
@given(st.data())
def test_words_put_in_bytes_flipped_and_files_cut_short(sets, row, data):
    root, files = sets[row]
    file = data.draw(st.sampled_from(sorted(files)))
    content = bytearray(files[file])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        way = data.draw(st.sampled_from(["put in", "put over", "flip", "cut", "repeat"]))
        word = data.draw(st.sampled_from(WORDS))
        if way == "put in":
            content[at:at] = word
        elif way == "put over":
            content[at : at + data.draw(st.integers(0, 12))] = word
        elif way == "flip" and at < len(content):
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        elif way == "cut":
            del content[at:]
        else:
            content[at:at] = content[max(0, at - 40) : at] * data.draw(st.integers(1, 20))
    swap(row, root, file, bytes(content))


@pytest.mark.parametrize("row", LABELLED)
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda t: t.encode("utf-8", "surrogatepass")))
def test_label_files_of_anything(sets, row, content):
    root, files = sets[row]
    for file in files:
        swap(row, root, file, content)


@pytest.mark.parametrize("row", LABELLED)
def test_every_word_of_every_label_file_is_replaced_by_every_other(sets, row):
    root, files = sets[row]
    spots = [(file, m.span()) for file, content in files.items() for m in re.finditer(rb"[\w.+/-]+", content)]
    for file, (start, end) in spots[:: len(spots) // 15 + 1]:
        for word in WORDS:
            swap(row, root, file, files[file][:start] + word + files[file][end:])


def places(value, path=()):
    """The path to every value in plain JSON."""
    yield path
    rows = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in rows:
        yield from places(inner, (*path, key))


def with_value(raw, path, value):
    """A copy with another value at that path."""
    if not path:
        return value
    out = copy.deepcopy(raw)
    at = out
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return out


COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 60, "height": 40}],
    "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 0, "segmentation": []}],
    "categories": [{"id": 1, "name": "head"}],
}
ODGT = {
    "ID": "a",
    "gtboxes": [
        {"tag": "person", "fbox": [1, 2, 3, 4], "vbox": [1, 2, 3, 4], "hbox": [1, 2, 3, 4]}
        | {"head_attr": {"ignore": 0, "occ": 0}, "extra": {"ignore": 0}}
    ],
}
TENSORBOX = [{"image_path": "a.png", "rects": [{"x1": 1, "y1": 2, "x2": 3, "y2": 4}]}]


@pytest.mark.parametrize(
    ("row", "name", "raw"),
    [("coco", "train.json", COCO), ("crowdhuman", "annotation_train.odgt", ODGT), ("brainwash", "x.json", TENSORBOX)],
)
def test_json_of_wrong_types_at_every_field(tmp_path, row, name, raw):
    for suffix in (".png", ".jpg"):
        picture(tmp_path / f"a{suffix}")
    file = tmp_path / name
    file.write_text(json.dumps(raw))
    assert survives(row, tmp_path).objects() in (1, 3)
    for path in places(raw):
        for value in VALUES:
            file.write_text(json.dumps(with_value(raw, path, value)))
            survives(row, tmp_path)
        if path and isinstance(path[-1], str):
            lacking = with_value(raw, path[:-1], {k: v for k, v in at(raw, path[:-1]).items() if k != path[-1]})
            file.write_text(json.dumps(lacking))
            survives(row, tmp_path)


def at(raw, path):
    """The value at a path."""
    for key in path:
        raw = raw[key]
    return raw


@pytest.mark.parametrize("field", ["path", "train", "val", "names", "nc", "kpt_shape"])
def test_data_yaml_of_wrong_types_at_every_field(tmp_path, field):
    picture(tmp_path / "images" / "a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.4\n")
    for value in VALUES:
        raw = {"path": ".", "train": "images", "val": "images", "names": ["head"], "nc": 1} | {field: value}
        (tmp_path / "data.yaml").write_text("".join(f"{k}: {json.dumps(v)}\n" for k, v in raw.items()))
        survives("yolo", tmp_path)


LAUGHS = "".join(f'<!ENTITY l{k} "{f"&l{k - 1};" * 10}">' for k in range(1, 12))
BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>11</xmax><ymax>22</ymax></bndbox>"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "start",
    [
        f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]>',
        '<!DOCTYPE a [<!ENTITY l11 SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://localhost/x"> %x;]>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd">',
    ],
)
def test_xml_entities_are_refused_unread(sets, start, encoding):
    root, _ = sets["voc"]
    text = f"<annotation><object><name>&l11;</name>{BOX}</object></annotation>"
    head = f'<?xml version="1.0" encoding="{encoding}"?>'
    found = swap("voc", root, root / "Annotations" / "a.xml", f"{head}{start}{text}".encode(encoding))
    assert [s.name for s in found] == ["b", "c"]
    assert [n.text for n in found.notes] == ["it declares XML entities, which no annotation needs: refused"]


DEEP = 200_000
NESTED = {
    "voc": b"<annotation>" + b"<a>" * DEEP + b"</a>" * DEEP + b"</annotation>",
    "coco": b'{"images": [' + b"[" * DEEP,
    "yolo": b"train: images/train\nnames: " + b"[" * DEEP,
    "crowdhuman": b'{"ID": "a", "gtboxes": ' + b'{"a":' * DEEP + b"\n",
    "wider_face": b"0--P/a.jpg\n" * (DEEP // 100),
    "brainwash": b'"a.png": ' + b"(" * DEEP + b")" * DEEP,
    "inria": b"# PASCAL Annotation Version 1.00\n" + b'Image filename : "' * DEEP,
    "csv": b"filename,class,xmin,ymin,xmax,ymax\n" + b'"' * DEEP,
}


@pytest.mark.parametrize("row", LABELLED)
def test_deep_nesting(sets, row):
    root, files = sets[row]
    names = {"voc": "a.xml", "inria": "a.txt", "yolo": "data.yaml"}
    file = next(p for p in files if p.name == names.get(row, p.name) and "val" not in p.name)
    swap(row, root, file, NESTED[row])


MILLION = 1_000_000
FLOODS = {  # one picture, a million objects: what stands before them, one of them, what stands after
    "voc": (b"<annotation>", b"<object/>", b"</annotation>"),
    "coco": (
        b'{"categories": [{"id": 1, "name": "head"}], "images": [{"id": 1, "file_name": "a.png"}], "annotations": [',
        b'{"image_id":1,"category_id":1,"bbox":[1,2,9,9]},',
        b'{"image_id":1,"category_id":1,"bbox":[1,2,9,9]}]}',
    ),
    "yolo": (b"", b"0 .5 .5 .2 .2\n", b""),
    "crowdhuman": (b'{"ID": "a", "gtboxes": [', b"[],", b"[]]}"),
    "wider_face": (b"0--P/a.jpg\n1000000\n", b"1 2 9 9 0 0 0 0 0 0\n", b""),
    "brainwash": (b'"a.png": ', b"(1,2,9,9),", b"(1,2,9,9);"),
    "inria": (
        b'# PASCAL Annotation Version 1.00\nImage filename : "Train/pos/a.png"\n',
        b'Bounding box for object 1 "PASperson" (Xmin, Ymin) - (Xmax, Ymax) : (1, 2) - (9, 9)\n',
        b"",
    ),
    "csv": (b"filename,class,xmin,ymin,xmax,ymax\n", b"a.png,head,1,2,9,9\n", b""),
}
MEASURE = """
import sys
from passerby.data import READERS, load_data
from passerby.errors import PasserbyError

def size(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) * 1024

before = size("VmRSS")
try:
    found = load_data(sys.argv[1])
    print(",".join(sorted(found.note_counts())), end=" ")
except PasserbyError:
    print("refused", end=" ")
print(size("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured by /proc")
@pytest.mark.parametrize(
    ("row", "bad"),
    [
        *((row, False) for row in LABELLED),
        *((row, True) for row in ("coco", "yolo", "wider_face", "brainwash", "csv")),
    ],
)
def test_a_million_objects_in_one_picture_take_bounded_memory(tmp_path, row, bad):
    made = MADE[row](tmp_path / row, SOUND)
    start, one, end = FLOODS[row]
    if bad:
        one = one.replace(b"9,9", b"9,x").replace(b"9, 9", b"9, x").replace(b"9 9", b"9 x").replace(b".2\n", b"x\n")
        one = one.replace(b'"bbox":[1,2,9,x]', b'"bbox":[1,2,9]')
    content = start + one * MILLION + end
    made.file.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, f"{row}:{made.path}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told, grown = done.stdout.split(" ")
    assert set(told.split(",")) & {"refused", "too-many", "bad-labels", "bad-object"}
    assert int(grown) < 4 * len(content) + 150_000_000, f"{int(grown) / 1e6:.0f} MB for {len(content) / 1e6:.0f} MB"
