"""Files of ExecuTorch, Core ML and Qualcomm counted: .pte and .mlpackage files that their makers' own tools wrote."""

import shutil

import pytest
from device_fixtures import FILES, MACS, PARAMETERS, write_mlpackage, write_pte

from passerby.errors import ModelError
from passerby.runtime.costs import costs_of_layers


@pytest.mark.parametrize("name", ["small.pte", "small.int8.pte", "small.mlpackage"])
def test_a_network_by_hand(name):
    costs = costs_of_layers(FILES / name)
    assert (costs.parameters, costs.macs) == (PARAMETERS, MACS)
    assert [t.shape for t in (*costs.inputs, *costs.outputs)] == [(1, 3, 16, 16), (1, 64, 5)]
    assert [x.parameters for x in costs.layers if x.macs] == [3 * 8 * 9 + 8, 8 * 9 + 8, 8 * 4 + 4, 12 * 5 + 5]
    assert costs.how == "the file"


def test_of_an_int8_file_the_rounded_layer_alone_is_int8():
    plain, rounded = (costs_of_layers(FILES / f"small{s}.pte") for s in ("", ".int8"))
    assert [x.precision for x in plain.layers if x.macs] == ["float32"] * 4
    assert [x.precision for x in rounded.layers if x.macs] == ["float32", "float32", "int8", "float32"]
    assert plain.stored - rounded.stored == 3 * 8 * 4  # the biases stay of 32 bits
    third = next(x for x in rounded.layers if x.precision == "int8" and x.macs)
    assert (third.memory, third.shape) == (8 * 8 * 4, (1, 8, 8, 4))


def test_what_executorch_runs_itself_stands_between_what_xnnpack_runs():
    kinds = [x.operator for x in costs_of_layers(FILES / "small.pte").layers]
    assert kinds.index("MaxPooling2d") < kinds.index("upsample_nearest2d") < kinds.index("Concatenate2")


def test_what_is_handed_to_nobody_is_counted_through_its_views():
    """ExecuTorch's own kernels alone: a matrix product reads its weights turned, and views are no instructions."""
    costs = costs_of_layers(FILES / "small.portable.pte")
    assert (costs.parameters, costs.macs) == (PARAMETERS, MACS)
    kinds = [x.operator for x in costs.layers]
    assert kinds[kinds.index("cat") : kinds.index("cat") + 3] == ["cat", "view", "permute_copy"]
    assert {x.memory for x in costs.layers if x.operator == "view"} == {0}
    pooled = next(x for x in costs.layers if x.operator.startswith("max_pool2d"))
    assert (pooled.shape, pooled.memory) == ((1, 4, 4, 4), 4 * 4 * 4 * (4 + 8))  # maxima, and where they were


def test_an_ml_program_of_half_floats_keeps_half_the_bytes():
    costs = costs_of_layers(FILES / "small.mlpackage")
    assert {x.precision for x in costs.layers if x.macs} == {"float16"}
    assert sum(x.weights for x in costs.layers) == 2 * PARAMETERS


@pytest.mark.parametrize("name", ["small.pte", "small.int8.pte"])
def test_a_pte_that_is_cut_short_is_refused_at_every_length(tmp_path, name):
    data = (FILES / name).read_bytes()
    whole = costs_of_layers(FILES / name)
    path = tmp_path / "cut.pte"
    for length in range(0, len(data), 97):
        path.write_bytes(data[:length])
        try:
            assert costs_of_layers(path) == whole  # only weights or padding are missing, which are not looked at
        except ModelError as e:
            assert "cut.pte: not an ExecuTorch file, or cut short" in str(e)  # noqa: PT017


def test_work_for_another_backend_is_named(tmp_path):
    path = tmp_path / "other.pte"
    path.write_bytes((FILES / "small.pte").read_bytes().replace(b"XnnpackBackend", b"MyOtherBackend"))
    with pytest.raises(ModelError, match="what XNNPACK runs, and this hands work to MyOtherBackend"):
        costs_of_layers(path)


def test_a_package_that_is_cut_short_or_lacks_a_part_is_refused(tmp_path):
    path = tmp_path / "cut.mlpackage"
    shutil.copytree(FILES / "small.mlpackage", path)
    model = path / "Data" / "com.apple.CoreML" / "model.mlmodel"
    data = model.read_bytes()
    for length in range(0, len(data), 97):
        model.write_bytes(data[:length])
        with pytest.raises(ModelError, match=r"cut\.mlpackage: holds no ML program of Core ML, or is cut short"):
            costs_of_layers(path)
    model.unlink()
    with pytest.raises(ModelError, match=r"cut\.mlpackage: cannot be read"):
        costs_of_layers(path)
    (path / "Manifest.json").write_text("[]")
    with pytest.raises(ModelError, match="holds no ML program"):
        costs_of_layers(path)


def test_a_dlc_is_counted_of_the_graph_that_it_was_made_of(tmp_path, tiny_model):
    path = tmp_path / "tiny.dlc"
    path.write_bytes(bytes(10))
    with pytest.raises(ModelError, match=r"format is not public; layers are counted of the tiny\.onnx .* copy it"):
        costs_of_layers(path)
    shutil.copy(tiny_model, tmp_path / "tiny.onnx")
    costs, source = costs_of_layers(path), costs_of_layers(tmp_path / "tiny.onnx")
    assert costs.layers == source.layers
    assert costs.how == "tiny.onnx beside it, which it was made of"


def test_executorch_writes_today_what_the_kept_files_hold(tmp_path):
    pytest.importorskip("executorch")
    for name, how in (("", {}), (".int8", {"rounded": True}), (".portable", {"delegated": False})):
        name = f"small{name}.pte"
        write_pte(tmp_path / name, **how)
        assert costs_of_layers(tmp_path / name) == costs_of_layers(FILES / name)


def test_coremltools_writes_today_what_the_kept_package_holds(tmp_path):
    pytest.importorskip("coremltools")
    write_mlpackage(tmp_path / "small.mlpackage")
    assert costs_of_layers(tmp_path / "small.mlpackage") == costs_of_layers(FILES / "small.mlpackage")
