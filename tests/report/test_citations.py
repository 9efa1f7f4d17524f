"""References from BibTeX and biblatex, as people keep them."""

import html
import re
from pathlib import Path

import pytest

from research.errors import UserError
from research.report import pandoc
from research.report.citations import Citations
from tests.samples import SAMPLE


def listed(path: Path, *keys: str) -> list[tuple[str, str, str]]:
    """Label, key and HTML of each reference, formulas between dollars."""
    path.with_name("plain.csl").write_bytes((SAMPLE / "plain.csl").read_bytes())
    citations = Citations(path, "plain")
    for key in keys:
        citations.number(key)
    document, _ = pandoc.tree(" ".join(f"[@{{{key}}}]" for key in keys))
    citations.cited(document, document["blocks"])
    return citations.listed(lambda tex: f"${tex}$")


def cited(folder: Path, bibliography: str | bytes, *keys: str) -> list[str]:
    """The references as text."""
    path = folder / "refs.bib"
    raw = bibliography if isinstance(bibliography, bytes) else bibliography.encode()
    path.write_bytes(raw)
    found = listed(path, *keys)
    assert [key for _, key, _ in found] == list(keys)
    return [re.sub("<[^>]*>", "", html.unescape(words)).replace("\xa0", " ")
            for _, _, words in found]  # fmt: skip


ENTRIES = {
    "@thesis{k, author={Rivers, Ada}, title={On Pooling}, institution={Uni X}, type={phdthesis}, "
    "date={2022}}": "A. Rivers. On pooling. PhD thesis, Uni X, 2022.",
    "@phdthesis{k, author={de la Cruz, Ana}, title={On {Pooling}}, school={Uni X}, year=2001}":
        "A. de la Cruz. On Pooling. PhD thesis, Uni X, 2001.",
    "@mastersthesis{k, author={B, A}, title={T}, school={S}, year={2000}}":
        "A. B. T. Master’s thesis, S, 2000.",
    "@article{k, author={Rivers, Ada}, title={On Pooling}, journaltitle={Journal of Tests}, "
    "date={2021-04}, volume={3}, number={2}, pages={1--9}}":
        "A. Rivers. On pooling. Journal of Tests, 3(2):1–9, 2021.",
    "@article{k, author={A, B and C, D and E, F}, title={T}, journal={J}, date={2014-05/2014-06}}":
        "B. A, D. C, and F. E. T. J, 2014.",
    "@online{k, author={Rivers, Ada}, title={A Note}, date={2021-04-03}, urldate={2022-05-06}, "
    "url={https://example.org/a_b%20c}}": "A. Rivers. A note. April 3, 2021. URL: "
        "https://example.org/a_b%20c, accessed May 6, 2022.",
    "@software{k, author={{The Foo Team} and von Neumann, Jr., John}, title={{foo}}, "
    "version={1.2}, date={2020}}": "The Foo Team and J. von Neumann Jr. foo. version 1.2, 2020.",
    "@dataset{k, author={X, Y}, title={Data}, date={2023}, publisher={Zenodo}, doi={10.5/z.1}}":
        "Y. X. Data. Zenodo, 2023. doi:10.5/z.1.",
    "@inproceedings{k, author={M{\\\"u}ller, J{\\\"o}rg}, title={Inherits}, crossref={pr}, "
    "pages={3--4}}\n@proceedings{pr, title={Tests of Things}, editor={Doe, Jane}, "
    "publisher={ACM}, date={2014-05-01}, location={Paris}}":
        "J. Müller. Inherits. In Tests of Things, J. Doe, ed., 3–4. ACM, Paris, 2014.",
    "@inreference{k, title={Entropy}, booktitle={The Great Book}, date={1999}}":
        "Entropy. In The Great Book. 1999.",
    "@string{jot = \"Tests\"}\n@article{k, author={A, B}, title={T}, journal=jot # \" of X\", "
    "year=2001, month=mar, foo={bar}, eprint={1409.1556}, eprinttype={arxiv}}":
        "B. A. T. Tests of X, 2001. URL: https://arxiv.org/abs/1409.1556.",
    "@article{k, author={Rivers, Ada and others}, title={The $\\ell_2$ \\& \\textit{Max} {CIFAR} "
    "{{Nested Capitals}} -- 10\\% of~{H{\\'e}}}, journaltitle={Caf\\'e}, date={2021}}":
        "A. Rivers and others. The $\\ell_2$ & max CIFAR Nested Capitals – 10% of Hé. Café, 2021.",
    "@misc{k, title={No Author No Year}}": "No author no year.",
    "@misc{k, author={{OpenAI}}, title={{GPT-4}}, howpublished={\\url{https://x.org}}, year=2023, "
    "note={Accessed: 2023-01-01}}": "OpenAI. GPT-4. https://x.org, 2023. Accessed: 2023-01-01.",
    "@article{k, author={Nguyễn, Văn and 王, 小明}, title={Über Größe}, date={2020}, "
    "langid={german}, journaltitle={J}}": "V. Nguyễn and 王小明. Über Größe. J, 2020.",
    "@book{k, editor={Roe, R.}, title={Edited Book}, publisher={CUP}, edition={2}, date={2014}}":
        "R. Roe, ed. Edited Book. 2nd edition, CUP, 2014.",
    "@techreport{k, author={A, B}, title={T}, institution={I}, number={TR-1}, year=2000}":
        "B. A. T. Technical Report TR-1, I, 2000.",
    "@inproceedings{k, author={A, B}, title={T}, booktitle={Proc. of the {IEEE} Conf. on Tests}, "
    "year=2000}": "B. A. T. In Proc. of the IEEE Conf. on Tests. 2000.",
    "@misc{k, author={A, B}, title={T}, date={2020/2022}}": "B. A. T. 2020–2022.",
    "@misc{k, author={A, B}, title={T}, date={2020-05~}, urldate={x}}": "B. A. T. 2020.",
    "@techreport{k, author={A, B}, title={T}, institution={I}, year=2000}":
        "B. A. T. Technical Report, I, 2000.",
}  # fmt: skip
"""Entries as Zotero and others write them, and what has to be printed."""


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_is_printed(tmp_path: Path, entry: str) -> None:
    assert cited(tmp_path, entry, "k") == [ENTRIES[entry]]


def test_a_doi_is_a_link_together_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "refs.bib").write_text("@misc{k, title={Tests}, doi={10.5/z.1}}")
    [(_, _, words)] = listed(tmp_path / "refs.bib", "k")
    assert words == 'Tests. <a href="https://doi.org/10.5/z.1">doi:10.5/z.1</a>.'


def test_only_what_is_cited_is_listed_in_its_order(tmp_path: Path) -> None:
    """What is not cited may be unfit to print; comments and odd keys are no entries or are some."""
    bibliography = (
        "% Encoding: UTF-8\n% @misc{old, title={Old}}\n@comment{jabref-meta: x}\n"
        "@misc{DBLP:conf/nips/A+1, title={One}}\n@misc{two, title={Two @misc{three, }}}\n"
        "@misc{bad, title={\\foobar}}\n@Misc{Two, title={Other}}\n"
    )
    keys = ("Two", "DBLP:conf/nips/A+1")
    assert cited(tmp_path, bibliography, *keys) == ["Other.", "One."]
    for unknown in ("old", "three", "jabref-meta: x"):
        with pytest.raises(UserError, match=f"refs.bib has no entry '{unknown}'"):
            cited(tmp_path, bibliography, unknown)
    assert cited(tmp_path, bibliography) == []


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
def test_encodings_with_their_mark(tmp_path: Path, encoding: str) -> None:
    raw = "@misc{k,\r\n title={Größe}}\r\n".encode(encoding)
    assert cited(tmp_path, raw, "k") == ["Größe."]


@pytest.mark.parametrize(
    ("bibliography", "message"),
    [
        ("@misc{k, title={Größe}}".encode("latin-1"), "refs.bib:1: text must be UTF-8, got the b"),
        ("\n@misc{k, title={x}\n year=2000}", "refs.bib:3: the bibliography cannot be read at col"),
        ("@misc{k, title={x, year=2000}\n", "refs.bib:2: the bibliography cannot be read at colu"),
        ("@misc{k, title={a}}\n\n@misc{k, title={b}}", "refs.bib:3: there is an entry 'k' in"),
        ("\n@misc{k, title={A \\foobar{x} b}}", "refs.bib:2: entry 'k': it holds '\\foobar{x}"),
        ("\n@misc{k, title={T}, date={17/05/2020}}", "refs.bib:2: entry 'k': its date must be"),
        ("@misc{k, title={T}, date = \"May 2020\"}", "refs.bib:1: entry 'k': its date must be"),
        ("@misc{k, title={T}, crossref={k}}", "refs.bib:1: entry 'k': its crossref 'k' leads back"),
        ("@misc{k, title={T}, crossref={m}} @misc{m, xdata={k}}",
         "refs.bib:1: entry 'm': its xdata 'k' leads back"),
        ("@misc{k, title={T}, crossref={lost}}\n@misc{last, title={x}}",
         "refs.bib:1: entry 'k': its crossref names no entry 'lost'. Did you mean 'last'?"),
        ("\n\n@misc{k, abstract={x}}\n", "refs.bib:3: entry 'k': nothing of it can be printed"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_with_its_line(
    tmp_path: Path, bibliography: str | bytes, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        cited(tmp_path, bibliography, "k")
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_a_missing_bibliography_or_style(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no bibliography refs\.bib in"):
        Citations(tmp_path / "refs.bib", "ieee")
    (tmp_path / "refs.bib").write_text("@misc{k, title={x}}")
    citations = Citations(tmp_path / "refs.bib", "nosuch")
    citations.number("k")
    document, _ = pandoc.tree("[@k]")
    with pytest.raises(UserError, match="no style of citations 'nosuch'"):
        citations.cited(document, document["blocks"])
