"""CITATION.cff: how to cite what is handed on.

References:
    Citation File Format 1.2.0 (Druskat et al., 2021).
"""

import json
from collections.abc import Iterator

from research.archive.material import Material
from research.report.authors import Person

NAME = "CITATION.cff"


def cff(material: Material) -> str:
    """The file: title, authors with their ORCIDs, date and commit. YAML, each text as in JSON."""
    trail = material.trail
    fields = {
        "cff-version": "1.2.0",
        "message": "Please cite the paper when you use its code, record or data.",
        "type": "software",
        "title": trail.title,
        "date-released": trail.run.ended[:10],
        "commit": material.commit,
        "repository-code": material.repository,
        "license": material.authors.licence,
    }
    lines = [f"{key}: {_text(value)}" for key, value in fields.items() if value]
    lines += _list("keywords", map(_text, material.keywords))
    lines += ["authors:", *(line for person in material.authors.people for line in _person(person))]
    lines += ["identifiers:", "  - type: other", f"    value: {_text(f'run {trail.run.id}')}",
              "    description: the run that the paper was built from"]  # fmt: skip
    return "\n".join(lines) + "\n"


def _person(person: Person) -> Iterator[str]:
    fields = {
        "family-names": person.family,
        "given-names": person.given,
        "email": person.email,
        "affiliation": "; ".join(person.affiliations),
        "orcid": person.orcid and f"https://orcid.org/{person.orcid}",
    }
    begin = "  - "
    for key, value in fields.items():
        if value:
            yield f"{begin}{key}: {_text(value)}"
            begin = "    "


def _list(key: str, values: Iterator[str]) -> list[str]:
    items = [f"  - {value}" for value in values]
    return [f"{key}:", *items] if items else []


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
