"""Passwords in addresses are never stored, shown or uploaded."""

import sys
from pathlib import Path

import pytest

from research import __main__ as command
from research import records
from research.errors import UserError, hidden
from research.machine import environment
from research.records import Number, Table
from research.tracking.remote import RemoteStore


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ada:s3cret@host:5000/a", "http://***@host:5000/a"),
        ("see 'https://ada:s3cret@host'.", "see 'https://***@host'."),
        ("https://s3cret@github.example/x", "https://***@github.example/x"),
        ("postgresql+psycopg2://ada:s3/cr@et@db/runs", "postgresql+psycopg2://***@db/runs"),
        ("mysql://:s3cret@db", "mysql://***@db"),
        ("postgresql://db/runs?user=ada&password=s3cret&x=1",
         "postgresql://db/runs?user=ada&password=***&x=1"),
        ("http://host/?api_key=s3cret", "http://host/?api_key=***"),
        ("http://host/a@b and ada:pw@host", "http://host/a@b and ada:pw@host"),
        ("a <b@c.example> https://d.example/e", "a <b@c.example> https://d.example/e"),
        ("sqlite:////tmp/a b/mlflow.db", "sqlite:////tmp/a b/mlflow.db"),
    ],
)  # fmt: skip
def test_an_address_loses_its_password_and_nothing_else(text: str, shown: str) -> None:
    assert hidden(text) == shown


ADDRESS = "http://ada:s3cret@127.0.0.1:9"


def test_an_error_shows_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "s3cret" not in str(UserError(f"no run in {ADDRESS} begins with 'x'"))
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError) as error:
        RemoteStore(ADDRESS, tmp_path).runs()
    assert "127.0.0.1" in str(error.value) and "s3cret" not in str(error.value)


def test_an_unknown_store_shows_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://ada:s3cret@db/runs")
    assert command.main(["studies"]) == 2
    said = "".join(capsys.readouterr())
    assert "postgresql://***@db/runs" in said and "s3cret" not in said


def test_none_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["research", "run", "ae", "--log", ADDRESS])
    environment.save(tmp_path / "environment", environment.Checkout(diff=f"+uri = '{ADDRESS}'\n"))
    records.write_json(tmp_path / "run.json", {"config": {"source": ADDRESS}, "seeds": [ADDRESS]})
    records.write_table(tmp_path, "of", Table(("where", "n"), ((ADDRESS, Number(1)),)))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"argv.txt", "git.diff", "run.json", "of.csv"}
    texts = {path.name: path.read_text(encoding="utf-8", errors="replace") for path in files}
    assert [name for name, text in texts.items() if "s3cret" in text] == []
    assert "***@127.0.0.1:9" in texts["argv.txt"] and "***@127.0.0.1:9" in texts["of.csv"]
