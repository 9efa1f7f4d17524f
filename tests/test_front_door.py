"""What a user's own script imports, as it would."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import research
from research.errors import UserError
from research.records import Number, Results, Table, write_table
from research.tracking import open_run
from research.tracking.folder import FolderStore
from research.tracking.record import Lineage, write_lineage


@pytest.mark.parametrize("library", ["torch", "numpy", "mlflow", "pandas", "tyro"])
def test_nothing_is_imported_before_it_is_asked_for(library: str) -> None:
    code = "import sys, research; research.methods; print(sys.argv[1] in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, library], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'open_runs'"):
        research.open_runs  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'fsgm'"):
        research.methods.fsgm  # noqa: B018


def test_every_method_is_found_by_its_name() -> None:
    files = Path(research.methods.__file__).parent.glob("[!_]*.py")
    assert set(research.methods.__all__) == {path.stem for path in files}
    assert research.methods.fgsm.fgsm.__module__ == "research.methods.fgsm"


def test_data_are_loaded_by_name(tmp_path: Path) -> None:
    data = research.load_data("photos", size=16)
    assert data.train.images.dtype == torch.uint8
    assert data.shape == (3, 16, 16)
    with pytest.raises(UserError, match="there is no data set 'fotos': did you mean 'photos'"):
        research.load_data("fotos")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="train"):
        research.load_data("folder", tmp_path)


def test_a_run_is_opened_by_study_and_by_id(record: Results, tmp_path: Path) -> None:
    write_lineage(record.folder, Lineage(started=1, ended=2))
    (tmp_path / "store").mkdir()
    record.folder.rename(tmp_path / "store" / record.run.id)
    log = f"folder:{tmp_path / 'store'}"
    assert [run.id for run in FolderStore(tmp_path / "store").runs()] == [record.run.id]
    for name in ("ae", record.run.id[:6]):
        run = open_run(name, log)
        assert run.run.id == record.run.id
        assert run.numbers["knn_pixels"].value == 0.5512
        assert run.picture("map").is_file()
    with pytest.raises(UserError, match="no run in"):
        open_run("cnn", log)


def test_a_table_becomes_a_frame(tmp_path: Path) -> None:
    rows = (("a", Number(1.5, half_width=0.25, n=3), 3), ("b", None, 4), ("c", Number(2.5), 5))
    write_table(tmp_path, "t", Table(("name", "mse", "count"), rows))
    frame = Results(run=None, folder=tmp_path).frame("t")  # type: ignore[arg-type]
    assert list(frame.columns) == ["name", "mse", "mse ±", "count"]
    np.testing.assert_array_equal(frame["mse"], [1.5, np.nan, 2.5])
    np.testing.assert_array_equal(frame["mse ±"], [0.25, np.nan, np.nan])
