"""The grader's view: what is asked beside what is printed, from files that may be anyone's."""

import html
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pikepdf
import pytest
from PIL import Image

from research import __main__ as command
from research.errors import UserError
from research.grading import assignments, audit
from research.grading.assignments import Assignment, Requirement, judged
from research.provenance import page_text
from research.provenance import trail as provenance
from research.provenance.entries import Claimed, Exhibited, Told
from research.report import Built
from tests.trails import a_number, a_run

Trail = dict[str, Any]


def asking(**facts: Any) -> Requirement:
    settings = facts.pop("settings", {})
    wanted = {kind: tuple(facts.get(kind, ())) for kind in assignments.KINDS}
    return Requirement("one", "Do one thing.", "assignment 1", wanted, settings, "bonus" in facts)


# --- what is asked -------------------------------------------------------------------------------

PLACE: dict[str, Any] = {"page": 1, "rectangle": (0, 0, 1, 1)}


def shown(name: str) -> Exhibited:
    return Exhibited(name=name, artifact="", sha256="", data=(), **PLACE)


SETTING = Told(id="v-0", kind="setting", name="train.lr", run="1", value=0.001, format=None,
               printed="0.001", **PLACE)  # fmt: skip
BETTER = Claimed(
    id="c-1", run="1", name="better", outcome="undecided", effect=0.5, low=None, high=None, unit="",
    values=(), p=None, n=1, test="t", direction="greater", threshold=0.0, printed="", page=None,
    rectangle=None,
)  # fmt: skip
PRINTED: Any = SimpleNamespace(
    exhibits=[("figure", shown("kernels_a")), ("figure", shown("kernels_b")),
              ("table", shown("errors"))],
    numbers=(
        a_number(name="mse"), a_number(name="mse", page=3), SETTING,
        a_number(name="accuracy", run="2"), a_number(name="cnn:loss", run="2"),
    ),
    reads={"cnn": a_run(id="2")},
    claims=(BETTER,),
    run=a_run(id="1", config={"train.lr": 0.001, "eps": [0, 0.1], "data.name": "photos"}),
)  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "status", "answers", "unmet"),
    [
        ({"figures": ["kernels_a"]}, "answered", ["kernels_a"], ()),
        ({"figures": ["kernels_*"]}, "answered", ["kernels_a", "kernels_b"], ()),
        ({"figures": ["kernels"]}, "missing", [], ("figure kernels",)),
        ({"tables": ["errors"], "claims": ["better"]}, "answered", ["errors", "better"], ()),
        ({"tables": ["errors", "x_*"]}, "in part", ["errors"], ("table x_*",)),
        ({"numbers": ["mse"]}, "answered", ["mse"], ()),
        ({"numbers": ["train.lr"]}, "missing", [], ("number train.lr",)),
        ({"numbers": ["cnn:accuracy", "cnn:loss"]}, "answered", ["cnn:accuracy", "cnn:loss"], ()),
        ({"numbers": ["accuracy"]}, "missing", [], ("number accuracy",)),
        ({"figures": ["errors"]}, "missing", [], ("figure errors",)),
        ({"settings": {"train.lr": 0.001, "eps": [0.0, 0.1]}}, "answered", [], ()),
        (
            {"settings": {"train.lr": 0.01}, "tables": ["errors"]},
            "departs", ["errors"], ("train.lr: asked is 0.01, the run has 0.001",),
        ),
        ({"settings": {"eps": [0]}}, "departs", [], ("eps: asked is 0, the run has 0 0.1",)),
        ({"settings": {"k": 3}}, "departs", [], ("k: asked is 3, the run has no such setting",)),
        ({"settings": {"k": 3}, "tables": ["x"]}, "missing", [],
         ("table x", "k: asked is 3, the run has no such setting")),
    ],
)  # fmt: skip
def test_a_requirement_is_looked_up_in_the_record(
    facts: dict[str, Any], status: str, answers: list[str], unmet: tuple[str, ...]
) -> None:
    found = judged(asking(**facts), PRINTED)
    assert found.status == status
    assert [one.name for one in found.answers] == answers
    assert (*found.missing, *found.departures) == unmet


ENTRY = '[[requirement]]\nid = "a"\ntext = "A."\nsource = "s"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pages = ", "is not TOML"),
        ('assignment = "x"', r"needs \[\[requirement\]\] entries"),
        (f'{ENTRY}tables = ["t"]\n' * 2, "each with an id of its own"),
        (ENTRY, "'a' needs one of figures, tables, numbers, claims, settings"),
        (f'{ENTRY}table = ["t"]', "'a' has no key 'table'"),
        ('[[requirement]]\nid = "a"\ntables = ["t"]', "'a' needs text"),
        (f'pages = [3, 2]\n{ENTRY}tables = ["t"]', r"pages are \[fewest, most\]"),
        (f'pages = 3\n{ENTRY}tables = ["t"]', r"pages are \[fewest, most\]"),
    ],
)
def test_a_file_of_another_form_is_a_mistake_in_one_line(
    text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "ae.toml").write_text(text)
    with pytest.raises(UserError, match=f"ae.toml.*{message}") as told:
        assignments.load(tmp_path / "ae.toml")
    assert "\n" not in str(told.value)


# --- pages ---------------------------------------------------------------------------------------

ASKED = {
    "ae": Assignment(
        "Assignment 4",
        (2, 3),
        (
            asking(figures=["kernels"], tables=["errors"], numbers=["mse_pca"]),
            asking(figures=["deconvnet"]),
            asking(numbers=["nothing"], bonus=True),
            asking(settings={"train.epochs": 100}),
        ),
    )
}


def page_of(one: audit.Audit, out: Path) -> str:
    return audit.write([one], out)[0].read_text()


def test_a_submission_is_judged(built: Built, tmp_path: Path) -> None:
    one = audit.audit(built.pdf, ASKED)
    assert [judgement.status for judgement in one.judgements] == [
        "answered", "missing", "missing", "departs",
    ]  # fmt: skip
    assert (one.demanded, dict(one.counts)) == (3, {"answered": 1, "missing": 1, "departs": 1})
    text = page_of(one, tmp_path / "out")
    shown = " ".join(html.unescape(text).split())
    for phrase in (
        "<b>Verified.</b>", one.file, "1 of 3 demanded are answered", "Pages asked for: 2 to 3",
        "mse_pca = 0.0045", "not printed: figure deconvnet",
        "train.epochs: asked is 100, the run has 12", "sample", "3: 0, 1, 2",
        "commit 0123456789abcdef0123456789abcdef01234567", "photos, 4,000 to train",
    ):  # fmt: skip
        assert phrase in shown, phrase
    assert "secret-user" not in text
    assert shown.count("<img ") == len(built.provenance["figures"]) + len(
        built.provenance["tables"]
    )


def test_a_picture_is_what_stands_in_its_place(tmp_path: Path) -> None:
    """A page with one red square; its place in pixels by hand: PDF counts from the bottom."""
    document = pikepdf.new()
    document.add_blank_page(page_size=(200, 300))
    page = document.pages[0]
    page.obj.Contents = document.make_stream(b"1 0 0 rg 40 200 50 60 re f")
    page.obj.Resources = pikepdf.Dictionary()
    document.save(tmp_path / "a.pdf")
    content = (tmp_path / "a.pdf").read_bytes()
    places: dict[str, tuple[int, list[float]]] = {
        "square": (1, [40, 200, 90, 260]), "beside": (1, [90, 200, 140, 260]),
        "over the edge": (1, [-50, -50, 500, 500]), "nowhere": (2, [0, 0, 9, 9]),
        "empty": (1, [5, 5, 5, 5]), "below": (1, [0, -9, 9, -1]),
    }  # fmt: skip
    found = page_text.pictures(content, places, dpi=72)
    images = {name: Image.open(io.BytesIO(one)).convert("RGB") for name, one in found.items()}
    assert {name: image.size for name, image in images.items()} == {
        "square": (50, 60), "beside": (50, 60), "over the edge": (200, 300),
    }  # fmt: skip
    assert images["square"].getcolors() == [(50 * 60, (255, 0, 0))]
    assert images["beside"].getcolors() == [(50 * 60, (255, 255, 255))]


def test_a_study_that_nobody_described_is_shown_without_requirements(
    built: Built, tmp_path: Path
) -> None:
    one = audit.audit(built.pdf, {})
    assert one.judgements == ()
    assert "Nobody has written down" in page_of(one, tmp_path)


def test_every_submission_has_a_page_and_two_of_one_name_have_two(
    built: Built, tmp_path: Path
) -> None:
    copies = [tmp_path / place / "ae.pdf" for place in ("ann", "bob")]
    copies += [tmp_path / "index.pdf"]
    for copy in copies:
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(built.pdf, copy)
    with pikepdf.open(copies[1], allow_overwriting_input=True) as document:
        document.save(copies[1], linearize=True)
    audits = audit.compared([audit.audit(copy, ASKED) for copy in copies])
    pages = audit.write(audits, tmp_path / "out")
    assert [page.name for page in pages] == ["ann-ae.html", "bob-ae.html", "index-2.html"]
    assert audits[0].alike == (
        f"built from the same run as {copies[1]}",
        f"the same file as {copies[2]}",
    )
    index = (tmp_path / "out/index.html").read_text()
    assert all(f'href="{page.name}"' in index for page in pages)
    assert 'href="../ann/ae.pdf#page=' in pages[0].read_text()


# --- a stranger's files --------------------------------------------------------------------------


def rewritten(built: Built, change: Callable[[Trail], object], out: Path) -> Path:
    """The paper with another record, sealed by whoever wrote it."""
    with pikepdf.open(built.pdf) as document:
        trail = json.loads(document.attachments["provenance.json"].get_file().read_bytes())
        change(trail)
        if trail.get("seal"):
            trail["seal"] = provenance.seal(trail)
        content = json.dumps(trail).encode()
        stream = document.attachments["provenance.json"].obj.EF.F
        stream.write(content)
        document.save(out)
    return out


def forge_title(trail: Trail) -> None:
    trail["title"] = "<script>alert(1)</script>"
    trail["run"]["question"] = '"><img src=x onerror=alert(1)>'


def forge_place(trail: Trail) -> None:
    trail["figures"][0] |= {"page": 99999, "rectangle": [-1e9, -1e9, 1e9, 1e9]}


def forge_study(trail: Trail) -> None:
    trail["run"]["study"] = "../../../etc/passwd"


def forge_modules(trail: Trail) -> None:
    trail["run"]["code"] = {"research./etc/passwd": "0", "research.nothing": "1"}


def forge_seeds(trail: Trail) -> None:
    trail["run"]["seeds"] = 7


def forge_compute(trail: Trail) -> None:
    trail["run"]["compute"] = {"hardware": {}}


FORGED = {
    "a script": forge_title,
    "a place beyond the pages": forge_place,
    "a study elsewhere": forge_study,
    "seeds of another form": forge_seeds,
    "compute of another form": forge_compute,
    "no figures": lambda trail: trail.pop("figures"),
    "no pages": lambda trail: trail.pop("pages"),
    "an empty record": lambda trail: trail.clear(),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_record_is_shown_as_text_and_told(name: str, built: Built, tmp_path: Path) -> None:
    one = audit.audit(rewritten(built, FORGED[name], tmp_path / "a.pdf"), ASKED)
    assert not one.verdict.ok
    text = page_of(one, tmp_path / "out")
    assert "<b>Not verified.</b>" in text
    assert html.escape(str(one.verdict.problems[0])[:30]) in text
    assert "<script" not in text
    assert "<img src=x" not in text


def test_a_record_that_names_modules_elsewhere_opens_nothing(built: Built, tmp_path: Path) -> None:
    """What only the record tells, and no page prints, its own seal may vouch for."""
    one = audit.audit(rewritten(built, forge_modules, tmp_path / "a.pdf"), ASKED)
    assert one.verdict.ok
    assert any("code (" in line for line in one.stale)


def test_other_submissions_are_judged_beside_a_bad_one(
    built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.pdf").write_bytes(b"no PDF at all")
    code = command.main(
        ["audit", str(built.pdf), str(tmp_path / "bad.pdf"), "--out", str(tmp_path / "out")]
    )
    good, bad = capsys.readouterr().out.splitlines()
    assert code == 1
    assert "ae.pdf: verified; " in good
    assert "requirements answered → " in good
    assert f"bad.pdf: NOT verified, 1 found → {tmp_path / 'out/bad.html'}" in bad
    text = (tmp_path / "out/bad.html").read_text()
    assert "refused: it does not begin as a PDF does" in text
    assert "Requirements" not in text


def test_a_process_that_holds_much_address_space_reads_on(built: Built, tmp_path: Path) -> None:
    """As one with torch and mlflow does. Where a limit leaves nothing, C code ends by a crash."""
    code = (
        "import mmap, sys; held = mmap.mmap(-1, 6 << 30)\n"
        "from research import __main__; sys.exit(__main__.main(sys.argv[1:]))"
    )
    given = ["audit", str(built.pdf), "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", code, *given], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_a_verified_submission_alone_is_no_failure(built: Built, tmp_path: Path) -> None:
    assert command.main(["audit", str(built.pdf), "--out", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "research audit needs a file: research audit FILE.pdf"),
        (["nothing.pdf"], "a PDF is required, got nothing.pdf; give the path of one"),
    ],
)
def test_a_mistake_is_told_in_a_line(
    args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["audit", *args]) == 2
    assert capsys.readouterr().err == f"research: {message}\n"


def test_a_folder_that_cannot_be_made_is_told(
    built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file")
    assert command.main(["audit", str(built.pdf), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("research: a folder for the pages is required")
    assert error.count("\n") == 1
