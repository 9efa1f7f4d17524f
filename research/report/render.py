"""Templates: the only module that knows the engine; what they arrange is made elsewhere."""

from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from research.errors import UserError
from research.paths import PACKAGED

Environment = SandboxedEnvironment
PARTS = "parts.html.jinja"
FAULTS = (TemplateError, RecursionError)
"""what a template raises for a mistake in it"""


def environment(templates: Path, below: str = "") -> Environment:
    """Templates of a project, or the package's where it has none; of their folder `below`."""
    return SandboxedEnvironment(
        loader=FileSystemLoader([templates / below, PACKAGED / below]),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def page(templates: Path, below: str, name: str, **facts: Any) -> str:
    """A page of its own from a template in their folder `below`.

    Raises:
        UserError: it shows what the facts lack.
    """
    try:
        return environment(templates, below).get_template(name).render(facts)
    except TemplateError as error:
        raise UserError(f"{name} shows what is not there: {error}") from None


class Parts:
    """The HTML of a paper's parts, as the macros of `parts.html.jinja` write it.

    Raises:
        UserError: the file is no template.
    """

    def __init__(self, templates: Path) -> None:
        try:
            self._macros = environment(templates).get_template(PARTS).module
        except FAULTS as error:
            raise UserError(f"templates/{PARTS} is no template: {error}") from None

    def __call__(self, part: str, **given: Any) -> str:
        """The HTML of one part. Raises UserError where its macro is missing or takes other facts.

        >>> from research.paths import PACKAGED
        >>> Parts(PACKAGED)("paragraph", text="a <b>bold</b> word")
        '<p>a <b>bold</b> word</p>'
        """
        try:
            return str(getattr(self._macros, part)(**given))
        except (AttributeError, TypeError, *FAULTS) as error:
            raise UserError(
                f"templates/{PARTS} needs a macro '{part}' of {', '.join(given) or 'nothing'} "
                f"({error}): compare it with the package's own"
            ) from None
