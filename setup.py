"The package's metadata: from settings.ini, with the version from ddpm_edu/__init__.py."
import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
config = ConfigParser(inline_comment_prefixes="#", delimiters="=", interpolation=None)
config.read(here/"settings.ini", encoding="utf-8")
package = config["package"]
lines = lambda key: [line for line in package[key].splitlines() if line]
version = re.search(r'^__version__ = "(.+)"$', (here/"ddpm_edu/__init__.py").read_text(encoding="utf-8"),
                    re.M)

setup(
    name=package["name"], version=version[1], description=package["description"], author=package["author"],
    license_expression=package["license"], license_files=["LICENSE", "NOTICE"],
    keywords=package["keywords"].split(", "),
    long_description=(here/"README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    classifiers=lines("classifiers"), install_requires=lines("requirements"),
    extras_require={key.removesuffix("_requirements"): lines(key)
                    for key in package if key.endswith("_requirements")},
    entry_points={"console_scripts": lines("console_scripts"), "nbdev": ["ddpm_edu = ddpm_edu._modidx:d"]},
    packages=find_packages(include=["ddpm_edu", "ddpm_edu.*"]),
    package_data={"ddpm_edu": ["assets/*", "pretrained/**/*", "configs/*", "py.typed", "**/*.pyi"]},
    zip_safe=False,
)
