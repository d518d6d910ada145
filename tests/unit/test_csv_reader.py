"""CSV made by hand: headers under several names, files without one, and rows that are wrong."""

from __future__ import annotations

import pytest
from made_sets import picture, write

from passerby.data import load_data
from passerby.errors import DataError

HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax"
ROW = "a.png,60,40,head,1,2,11,22"


@pytest.fixture
def read(tmp_path):
    """Reads a file of these lines beside the pictures a.png and b.png of 60 x 40."""
    for name in "ab":
        picture(tmp_path / "set" / f"{name}.png")

    def of(*lines, name="train.csv", split=""):
        return load_data(f"csv:{write(tmp_path / 'set' / name, *lines)}#{split}")

    return of


def boxes(found):
    return {s.name: s.truth.boxes.tolist() for s in found}


def notes(found):
    return [(n.kind, n.item, n.line) for n in found.notes]


ONE = {"a": [[1, 2, 11, 22]]}


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (HEADER, ROW),
        ("xmin,ymin,xmax,ymax,class,filename", "1,2,11,22,head,a.png"),
        ("Image Path,X-Min,Y-Min,X-Max,Y-Max,Label", "a.png,1,2,11,22,head"),
        ("image_id;x1;y1;x2;y2;name", "a;1;2;11;22;head"),
        ("file\tx0\ty0\tx1\ty1\tcategory", "a.png\t1\t2\t11\t22\thead"),
        ("path,left,top,right,bottom,class_name", "./a.png,1,2,11,22,head"),
        ("image,x,y,w,h,class", "a.png,1,2,10,20,head"),
        ("image,x,y,width,height,class", "a.png,1,2,10,20,head"),
        ("image,bbox_x,bbox_y,bbox_width,bbox_height,class", "a.png,1,2,10,20,head"),
        ('"filename","xmin","ymin","xmax","ymax","class"', '"a.png","1","2","11","22","head"'),
    ],
)
def test_columns_go_by_several_names_in_any_order(read, header, row):
    found = read(header, row)
    assert boxes(found) == ONE
    assert found.labels == ("head",)
    assert found.notes == ()


def test_without_a_header_the_columns_are_those_of_retinanet(read):
    found = read("a.png,1,2,11,22,head", "b.png,,,,,", "a.png,3,4,8,10,person")
    assert boxes(found) == {"a": [[1, 2, 11, 22], [3, 4, 8, 10]], "b": []}
    assert found.labels == ("head", "person")
    assert boxes(read("b.png,,,,,", "a.png,1,2,11,22,head")) == {"b": [], **ONE}


def test_width_and_height_beside_corners_are_the_pictures(read):
    found = read(HEADER, "a.png,600,400,head,1,2,11,22")
    assert [n.text for n in found.notes] == ["stated 600 x 400, picture 60 x 40"]
    assert boxes(found) == ONE


def test_difficult_and_ignore_are_marks(read):
    found = read(f"{HEADER},difficult,iscrowd", f"{ROW},1,0", f"{ROW},0,1", f"{ROW},False,no", f"{ROW},,")
    assert found[0].truth.difficult.tolist() == [True, False, False, False]
    assert found[0].truth.ignore.tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("row", "kind", "words"),
    [
        ("a.png,60,40,head,1,2,11", "bad-object", "7 columns, want 8"),
        ("a.png,60,40,head,1,2,11,x", "bad-object", "want four numbers, not '1, 2, 11, x'"),
        ("a.png,60,40,head,1,2,11,", "bad-object", "want four numbers"),
        ("a.png,60,40,,1,2,11,22", "bad-object", "it has no class name"),
        ("a.png,60,40,head,1,2,1,22", "no-area", "no area"),
        ("a.png,60,40,head,nan,2,1,22", "not-a-number", "not a finite number"),
        ("a.png,60,40,head,1e999,2,1,22", "not-a-number", "not a finite number"),
    ],
)
def test_a_row_that_is_wrong_is_told_with_number_and_line(read, row, kind, words):
    found = read(HEADER, ROW, "", row)
    assert notes(found) == [(kind, 1, 4)]
    assert words in found.notes[0].text
    assert boxes(found) == ONE


def test_a_missing_picture_is_told_once(read):
    found = read(HEADER, ROW, "gone.png,60,40,head,1,2,11,22", "gone.png,60,40,head,1,2,11,22")
    assert notes(found) == [("no-picture", -1, 3)]


def test_a_quoted_field_may_hold_the_separator_and_lines(read, tmp_path):
    picture(tmp_path / "set" / "a, b.png")
    found = read(HEADER, '"a, b.png",60,40,"he', 'ad",1,2,11,22', ROW)
    assert list(boxes(found)) == ["a, b", "a"]
    assert found.labels == ("he ad", "head")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["filename,class"], "no columns for the box among filename, class; want xmin"),
        (["filename,xmin,ymin,xmax,ymax"], "no column for the class among"),
        (["class,xmin,ymin,xmax,ymax"], "no column for the file among"),
        (["a.png,1,2,11,22"], "no columns for the box"),
        (["filename,class,xmin,ymin,xmax,ymax\x0ba.png,1"], "ymin, xmax, ymax a.png, 1; want"),
        (["filename,xmin,ymin,xmax,ymax,cl\x1bss"], "xmax, ymax, cl ss; want"),
        ([], "it is empty"),
        ([HEADER, '"' + "x" * 200_000], "not readable CSV: field larger than field limit"),
        ([HEADER, "x" * 1_000_001], "line 2 is over 1 MB long"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(read, lines, words):
    with pytest.raises(DataError) as caught:
        read(*lines)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


def test_utf_16_is_named(read, tmp_path):
    (tmp_path / "set" / "x.csv").write_bytes(f"{HEADER}\n{ROW}\n".encode("utf-16"))
    with pytest.raises(DataError, match="UTF-16 text; save it as UTF-8"):
        load_data(f"csv:{tmp_path}/set/x.csv")


def test_a_byte_order_mark_and_windows_lines_are_read(read, tmp_path):
    (tmp_path / "set" / "x.csv").write_bytes(f"\ufeff{HEADER}\r\n{ROW}\r\n".encode())
    assert boxes(load_data(f"csv:{tmp_path}/set/x.csv")) == ONE


def test_a_column_split_chooses_rows(read):
    lines = (f"{HEADER},split", f"{ROW},train", "b.png,60,40,head,1,2,11,22,val", "b.png,60,40,head,3,4,8,10,")
    found = read(*lines, name="all.csv")
    assert [(s.name, s.split) for s in found] == [("a", "train"), ("b", "val"), ("b", "all")]
    assert list(boxes(read(*lines, name="all.csv", split="val"))) == ["b"]
    assert [s.split for s in read(*lines, name="all.csv", split="val,train")] == ["train", "val"]
    with pytest.raises(DataError, match=r"no split 'vall' \(did you mean 'val'\?\)"):
        read(*lines, name="all.csv", split="vall")


def test_roboflows_folders_are_splits(tmp_path):
    for split in ("train", "valid"):
        picture(tmp_path / "set" / split / "a.png")
        write(tmp_path / "set" / split / "_annotations.csv", HEADER, ROW)
    found = load_data(str(tmp_path / "set"))
    assert found.reason == "it holds train/_annotations.csv with boxes"
    assert [(s.split, s.path.parent.name) for s in found] == [("train", "train"), ("valid", "valid")]


@pytest.mark.parametrize("place", ["", "images", "train", "images/train"])
def test_pictures_are_looked_for_in_four_places(tmp_path, place):
    picture(tmp_path / "set" / place / "c.png")
    found = load_data(f"csv:{write(tmp_path / 'set' / 'train.csv', HEADER, ROW.replace('a.png', 'c.png'))}")
    assert found[0].path == tmp_path / "set" / place / "c.png"


def test_a_table_of_something_else_is_not_taken_for_boxes(tmp_path):
    picture(tmp_path / "set" / "a.png")
    write(tmp_path / "set" / "classes.csv", "head,0", "person,1")
    write(tmp_path / "set" / "results.csv", "epoch,loss", "1,0.5")
    assert load_data(str(tmp_path / "set")).source == "folder:set"
