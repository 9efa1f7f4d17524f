"""The entities of an RO-Crate: who did what with what, and the files.

./  ── mentions ─▶ the run      object: data sets, settings   result: the record
    └─ mentions ─▶ the writing  object: record, write-up      result: the paper
"""

import mimetypes
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from research.archive import citation, croissant
from research.archive.material import Material, files
from research.provenance.attachment import NAME as TRAIL
from research.provenance.entries import Measured
from research.records import sha256
from research.report.authors import Person

if TYPE_CHECKING:
    from rocrate.model.entity import Entity
    from rocrate.rocrate import ROCrate

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
SHA256 = "https://w3id.org/ro/terms/workflow-run#sha256"
CODE = "code/"
_DONE = "http://schema.org/CompletedActionStatus"
_ENDS = "; the ends are those of its 95 % interval"
_WRITE_UP = "text/markdown"


def metadata(material: Material, folder: Path) -> dict[str, Any]:
    """The content of ro-crate-metadata.json for the files that lie in a folder."""
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms["sha256"] = SHA256
    people = [
        _person(person, number, crate) for number, person in enumerate(material.authors.people, 1)
    ]
    parts = {name: _file(name, path, crate) for name, path in files(folder) if not _within(name)}
    _root(material, people, crate)
    code = _code(material, crate, whole=(folder / CODE).is_dir())
    run, writing = (
        _run(material, people, code, parts, crate),
        _writing(material, people, code, parts, crate),
    )
    crate.root_dataset["mentions"] = [run, writing]
    graph: dict[str, Any] = crate.metadata.generate()
    return graph


def _within(name: str) -> bool:
    """Whether a file is described by what it lies in."""
    return name.startswith(CODE) or name == "ro-crate-metadata.json"


def _add(crate: "ROCrate", id: str, kind: str | list[str], **properties: Any) -> "Entity":
    """A contextual entity with those properties that say something."""
    from rocrate.model.contextentity import ContextEntity

    stated = {key: _one(value) for key, value in properties.items() if value not in ("", None, [])}
    added: Entity = crate.add(ContextEntity(crate, id, {"@type": kind, **stated}))
    return added


def _one(value: Any) -> Any:
    """A list of one thing as that thing, as RO-Crate asks for."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _root(material: Material, people: list["Entity"], crate: "ROCrate") -> None:
    trail, licence = material.trail, material.authors.licence
    profile = _add(crate, PROFILE, "CreativeWork", name="Process Run Crate", version="0.5")
    root = crate.root_dataset
    root["name"] = trail.title
    root["description"] = (
        f"{trail.run.question} The paper, the record of the run that it was built from, and the "
        "data sets."
    )
    root["datePublished"] = trail.run.ended
    root["conformsTo"] = profile
    root["author"] = _one(people)
    root["license"] = _licence(licence, crate)
    root["identifier"] = trail.run.id
    if material.keywords:
        root["keywords"] = ", ".join(material.keywords)


def _licence(name: str, crate: "ROCrate") -> "Entity":
    if name:
        url = f"https://spdx.org/licenses/{name}"
        return _add(
            crate, url, "CreativeWork", name=name, description=f"The licence {name} of SPDX's list."
        )
    description = "None stated: all rights are the authors'."
    return _add(crate, "#licence", "CreativeWork", name="No licence", description=description)


def _person(person: Person, number: int, crate: "ROCrate") -> "Entity":
    places = [
        crate.get(f"#organisation-{_slug(name)}")
        or _add(crate, f"#organisation-{_slug(name)}", "Organization", name=name)
        for name in person.affiliations
    ]
    id = f"https://orcid.org/{person.orcid}" if person.orcid else f"#author-{number}"
    names = {"givenName": person.given, "familyName": person.family if person.given else ""}
    return _add(
        crate, id, "Person", name=person.name, **names, email=person.email, affiliation=places
    )


def _slug(text: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in text).split())


def _file(name: str, path: Path, crate: "ROCrate") -> "Entity":
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    work = {
        "name": name,
        "encodingFormat": _WRITE_UP if name.endswith(".md") else kind,
        "contentSize": str(path.stat().st_size),
        "sha256": sha256(path),
    }
    added: Entity = crate.add_file(path, name, properties=work)
    return added


def _code(material: Material, crate: "ROCrate", *, whole: bool) -> "Entity":
    """The program; in a bundle its files too."""
    run = material.trail.run
    versions = {name: version for name, version in run.versions.items() if name != "python"}
    needed = [
        _add(crate, f"#package-{name}", "SoftwareApplication", name=name, softwareVersion=version)
        for name, version in versions.items()
    ]
    python = _add(
        crate, "#python", "ComputerLanguage", name="Python", version=run.versions.get("python", "")
    )
    about = {"name": "The code", "description": "The code of study and paper at the run's commit."}
    held = crate.add_dataset(dest_path=CODE, properties=about) if whole else None
    return _add(
        crate, "#program", "SoftwareSourceCode",
        name=f"The study “{run.study}”",
        description="Trains the models, measures, and writes the paper from the stored record.",
        version=material.commit, codeRepository=material.repository, url=material.repository,
        programmingLanguage=python, softwareRequirements=needed, hasPart=held,
    )  # fmt: skip


def _run(
    material: Material, people: list["Entity"], code: "Entity", parts: dict[str, "Entity"],
    crate: "ROCrate",
) -> "Entity":  # fmt: skip
    run = material.trail.run
    described = [part for name, part in parts.items() if name.endswith(f"/{croissant.NAME}")]
    settings = [
        _add(crate, f"#setting-{name}", "PropertyValue", name=name, value=_plain(value))
        for name, value in run.config.items()
        if name not in run.local
    ]
    return _add(
        crate, f"#run-{run.id}", "CreateAction",
        name=run.name, description=run.question, startTime=run.started, endTime=run.ended,
        actionStatus=_DONE, agent=people, instrument=code, object=[*described, *settings],
        result=[part for name, part in parts.items() if name.startswith("record/")],
    )  # fmt: skip


def _writing(
    material: Material, people: list["Entity"], code: "Entity", parts: dict[str, "Entity"],
    crate: "ROCrate",
) -> "Entity":  # fmt: skip
    pdf, trail = parts[f"paper/{material.pdf.name}"], parts[f"paper/{TRAIL}"]
    pdf["name"], pdf["author"] = material.trail.title, _one(people)
    pdf["description"] = "The paper; its record says where each number and figure comes from."
    pdf["variableMeasured"] = list(_numbers(material, crate))
    crate.root_dataset["mainEntity"] = pdf
    if citation.NAME in parts:
        parts[citation.NAME]["encodingFormat"] = "application/yaml"
    read = [
        parts[name]
        for name in parts
        if name.startswith("record") and name.endswith((".json", ".svg"))
    ]
    read += [
        part for name, part in parts.items() if name.startswith("paper/") and name.endswith(".md")
    ]
    return _add(
        crate, "#writing", "CreateAction",
        name="Writing of the paper", description="The paper is written from the stored record.",
        actionStatus=_DONE, agent=people, instrument=code, object=read, result=[pdf, trail],
    )  # fmt: skip


def _numbers(material: Material, crate: "ROCrate") -> Iterator["Entity"]:
    """Each number that the paper prints in its text, once."""
    once = {
        f"{number.run[:8]}-{number.name}": number
        for number in material.trail.numbers
        if isinstance(number, Measured)
    }
    for id, entity in once.items():
        low, high = entity.number(entity.value).bounds or (None, None)
        ends = "" if low is None else _ENDS
        yield _add(
            crate, f"#number-{id}", "PropertyValue",
            name=entity.name, value=entity.value, minValue=low, maxValue=high, unitText=entity.unit,
            description=f"Printed as {entity.printed} on page {entity.page}{ends}",
        )  # fmt: skip


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) else str(value)
