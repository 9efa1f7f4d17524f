"""What pyproject.toml cannot say: `templates/`, which lies beside the package, is part of it."""

from setuptools import find_namespace_packages, setup

setup(
    packages=[*find_namespace_packages(include=["research*"]), "research.templates"],
    package_dir={"research.templates": "templates"},
    package_data={
        "research": ["py.typed", "studies/*.toml", "skeleton/**/*"],
        "research.templates": ["**/*"],
    },
)
