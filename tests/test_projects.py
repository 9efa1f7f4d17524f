"""Projects outside this repository: their root, and whose studies, templates and commit count."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Template

from research import __main__ as command
from research import paths, studies
from research.cli import needs, papers, projects
from research.errors import UserError
from research.grading import audit
from research.machine import environment
from research.report import render, source
from research.report.citations import Citations, bibliography
from research.tracking import staleness
from tests.samples import a_run

STUDY = '"""Why {0}?\n\nSource: {0}\n"""\nPRESETS = {{}}\nFIGURES = {{}}\n' + (
    "def children(config): return []\ndef study(config, log): return {0!r}\n"
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project of the user's own, in which this process then works."""
    folder = tmp_path / "mine"
    (folder / "paper").mkdir(parents=True)
    for name in ("ROOT", "PAPER", "TEMPLATES"):
        lower = "" if name == "ROOT" else name.lower()
        monkeypatch.setattr(paths, name, folder / lower)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield folder
    for name, module in [*sys.modules.items()]:
        if str(getattr(module, "__file__", "")).startswith(str(folder)):
            del sys.modules[name]
    monkeypatch.undo()
    studies._look()


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# --- the root ------------------------------------------------------------------------------------


def test_the_root_is_the_nearest_folder_with_papers(tmp_path: Path) -> None:
    (tmp_path / "paper").mkdir()
    inner = tmp_path / "a/mine/deep/er"
    inner.mkdir(parents=True)
    assert paths.project(inner) == tmp_path
    (tmp_path / "a/mine/paper").mkdir()
    assert paths.project(inner) == tmp_path / "a/mine"
    assert paths.project(tmp_path / "a/mine/paper") == tmp_path / "a/mine"


def test_the_environment_names_another_root(tmp_path: Path) -> None:
    (tmp_path / "paper").mkdir()
    program = "from research import paths; print(paths.ROOT, paths.RUNS, paths.DATA, sep='\\n')"
    around = {key: value for key, value in os.environ.items() if not key.startswith("RESEARCH_")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=around | {"RESEARCH_ROOT": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == [str(tmp_path / name) for name in ("", "runs", "data")]


@pytest.mark.parametrize("verb", ["run", "report", "show", "studies", "reproduce", "redraw", "ui"])
def test_without_a_project_a_verb_says_so_in_a_line(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths, "PAPER", tmp_path / "paper")
    assert command.main([verb, "ae"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "a project is needed" in err and "research new NAME" in err


def test_a_root_of_the_environment_that_is_no_project_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "PAPER", tmp_path / "paper")
    monkeypatch.setenv("RESEARCH_ROOT", str(tmp_path))
    with pytest.raises(UserError, match=f"must be a folder with paper/, got {tmp_path}"):
        needs.project()


# --- studies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["studies", "research/studies"])
def test_studies_are_the_projects_and_by_name_the_packages(place: str, project: Path) -> None:
    write(project / place / "own_one.py", STUDY.format("own"))
    write(project / place / "long/__init__.py", STUDY.format("long"))
    write(project / place / "_helper.py", "")
    write(project / place / "no-name.py", "")
    assert [entry.slug for entry in studies.own()] == ["long", "own-one"]
    assert {"ae", "long", "own-one"} < {entry.slug for entry in studies.entries()}
    assert studies.entry("own-one").question == "Why own?"
    module = studies.module_of("own-one")
    assert module.study(None, None) == "own" and module.__name__ == "research.studies.own_one"
    assert studies.module_of("mlp").__file__ == str(paths.PACKAGE / "studies/mlp/__init__.py")


def test_a_study_of_the_project_takes_the_place_of_the_packages(project: Path) -> None:
    sys.modules.pop("research.studies.mlp", None)
    write(project / "studies/mlp.py", STUDY.format("mine"))
    assert studies.entry("mlp").question == "Why mine?"
    assert studies.module_of("mlp").study(None, None) == "mine"


def test_a_study_imports_what_lies_in_the_project(project: Path) -> None:
    write(project / "nets_of_mine.py", "WIDTH = 3\n")
    write(project / "studies/_shared.py", "DEPTH = 4\n")
    head = "from nets_of_mine import WIDTH\nfrom research.studies._shared import DEPTH\n"
    write(project / "studies/sized.py", STUDY.format("sized") + head)
    module = studies.module_of("sized")
    assert (module.WIDTH, module.DEPTH) == (3, 4)


def test_a_study_that_is_no_python_is_told_in_a_line(project: Path) -> None:
    write(project / "studies/broken.py", '"""Why?"""\n\ndef study(:\n')
    with pytest.raises(UserError, match=r"broken\.py, line 3: a study must be Python"):
        studies.entry("broken")
    assert [entry.slug for entry in studies.own()] == ["broken"]  # beside which others are listed
    write(project / "studies/bare.py", "PRESETS = {}\n")
    with pytest.raises(UserError, match="bare lacks FIGURES, children, study"):
        studies.module_of("bare")


def test_what_an_assignment_asks_is_overridden_by_file(project: Path) -> None:
    text = (paths.PACKAGE / "studies/mlp.toml").read_text(encoding="utf-8")
    title = audit.assignments()["mlp"].title
    assert title in text
    write(project / "studies/mlp.toml", text.replace(title, "Mine"))
    assert audit.assignments()["mlp"].title == "Mine"
    assert audit.assignments()["ae"].title != "Mine"


# --- staleness, commit, templates ----------------------------------------------------------------


def test_the_projects_code_makes_a_run_stale(project: Path) -> None:
    head = "import nets_of_mine\nfrom research.methods import signs\n"
    write(project / "studies/own_one.py", head + STUDY.format("own"))
    nets = write(project / "nets_of_mine.py", "WIDTH = 3\n")
    code = staleness.code("own-one", "sample", project)
    assert {"nets_of_mine", "research.studies.own_one", "research.methods.signs"} < {*code}
    run = a_run(study="own-one", code=code, versions=environment.versions())
    assert staleness.stale(run, project) == {}
    nets.write_text("WIDTH = 4\n")
    assert staleness.stale(run, project) == {"code": ("nets_of_mine.py",)}
    nets.write_text("WIDTH = 3\n")
    write(project / "studies/own_one.py", head + STUDY.format("other"))
    assert staleness.stale(run, project) == {"code": ("studies/own_one.py",)}


def test_the_commit_is_the_projects_and_the_packages_version_stands_beside_it(
    project: Path,
) -> None:
    def git(*words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        done = subprocess.run(
            ["git", *who, *words], cwd=project, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    write(project / "studies/own.py", "one = 1\n")
    git("init", "--quiet")
    assert environment.checkout(project).commit == "unknown"
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    write(project / "studies/own.py", "one = 2\n")
    code = environment.checkout(project)
    assert code.commit == git("rev-parse", "HEAD") and "+one = 2" in code.diff
    assert environment.versions().get(environment.PACKAGE) == environment.packages().get(
        environment.PACKAGE
    )
    pyproject = tomllib.loads((paths.SOURCE / "pyproject.toml").read_text(encoding="utf-8"))
    assert pyproject["project"]["name"] == environment.PACKAGE


def test_templates_are_overridden_file_by_file(project: Path) -> None:
    def title() -> Template:
        return render.environment(paths.TEMPLATES).get_template("title.html.jinja")

    assert title().filename == str(paths.PACKAGED / "title.html.jinja")
    own = write(project / "templates/title.html.jinja", "mine")
    assert title().render() == "mine"
    assert paths.template(paths.TEMPLATES, "title.html.jinja") == own
    assert paths.template(paths.TEMPLATES, "text.css") == paths.PACKAGED / "text.css"
    text = source.read(write(project / "paper/x.md", "---\ntitle: X\n---\n\n## Abstract\n\nX.\n"))
    assert papers._watched() == [paths.PAPER, paths.TEMPLATES, paths.PACKAGED]
    assert paths.template(paths.TEMPLATES, "watch.js").is_file()
    bibliography(text, paths.TEMPLATES, Citations).number("lecun1998")
    write(project / "templates/references.bib", "@misc{mine, title = {Mine}}")
    assert bibliography(text, paths.TEMPLATES, Citations).number("mine") == 1
    with pytest.raises(UserError, match="no entry"):
        bibliography(text, paths.TEMPLATES, Citations).number("lecun1998")
    write(project / "templates/audit/index.html.jinja", "{{ rows }} in mine")
    assert render.page(paths.TEMPLATES, "audit", "index.html.jinja", rows=3) == "3 in mine"


def test_an_installed_package_brings_its_templates(tmp_path: Path) -> None:
    package = tmp_path / "site-packages/research"
    package.mkdir(parents=True)
    assert paths.packaged(package) == tmp_path / "site-packages/templates"
    (package / "templates").mkdir()
    assert paths.packaged(package) == package / "templates"


# --- research new --------------------------------------------------------------------------------


def test_a_new_project_overwrites_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mypaper"
    assert command.main(["new", str(folder)]) == 0
    made = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {path.relative_to(folder).as_posix() for path in made} == {
        ".gitignore", "Makefile", "README.md", "paper/author.toml", "paper/width.md",
        "paper/references.bib", "studies/width.py",
    }  # fmt: skip
    assert (folder / "README.md").read_text().startswith("# mypaper\n")
    assert len((folder / "Makefile").read_text().splitlines()) == 6
    for path in made:
        if path.name not in ("Makefile", "width.md"):
            path.unlink()
    capsys.readouterr()
    assert command.main(["new", str(folder)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "lack Makefile, paper/width.md," in err
    assert len([path for path in folder.rglob("*") if path.is_file()]) == 2


def test_a_new_project_goes_beside_what_is_there(tmp_path: Path) -> None:
    training = write(tmp_path / "train.py", "mine")
    assert "studies/width.py" in projects.make(tmp_path)
    assert training.read_text() == "mine"
    with pytest.raises(UserError, match=r"got .*train"):
        projects.make(training / "inner")


def test_its_makefile_has_a_rule_for_each_verb(tmp_path: Path) -> None:
    projects.make(tmp_path)
    goals = ["report-width", "final-width", "anonymous-width", "run-width", "studies", "ui"]
    # what the make of `make test` hands down would speak within this one
    outer = {name: value for name, value in os.environ.items() if not name.startswith("M")}
    told = subprocess.run(
        ["make", "-n", *goals],
        cwd=tmp_path, env=outer | {"FLAGS": "--x"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.splitlines() == [
        "research report width --x", "research report width --final --x",
        "research report width --anonymous --x", "research run width --x",
        "research studies --x", "research ui --x",
    ]  # fmt: skip
