"""Where the book is public: what follows from the one line `repository: url:` in _config.yml.

The site's buttons and links are made from it while building (_ext/book_address.py). Into the files
that are read without a build, the notebooks, pyproject.toml and CITATION.cff, it is written by
`make refresh`. While the line is empty there is no button, no link, and nothing to write.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = re.compile(r"https://github\.com/(?P<owner>[A-Za-z0-9-]+)/(?P<name>[\w.-]+)")
SITE = re.compile(r"https://[^\s/?#]+(?:/[^\s?#]*)?")


@dataclass(frozen=True)
class Address:
    """Public addresses; an empty text where there is none yet."""

    repository: str = ""  # https://github.com/OWNER/NAME
    branch: str = "main"
    site: str = ""  # ends in a slash

    @property
    def archive(self) -> str:
        """What pip installs the package from. An archive needs no git on the reader's machine."""
        return f"{self.repository}/archive/refs/heads/{self.branch}.zip" if self.repository else ""


def address_of(repository: str | None, branch: str | None, site: str | None) -> Address:
    """Return the addresses that the three settings mean.

    Args:
        repository: `repository: url:` of _config.yml.
        branch: `repository: branch:`; main where it is empty.
        site: `html: baseurl:`; where it is empty, what GitHub Pages gives the repository.

    Raises:
        ValueError: a setting is neither empty nor an address; the message says which form it needs.
    """
    repository, branch, site = repository or "", branch or "main", site or ""
    match = REPOSITORY.fullmatch(repository)
    if repository and (match is None or match["name"].endswith(".git")):
        raise ValueError(
            f"repository: url: in _config.yml is {repository!r}; it must be empty or have the form "
            "https://github.com/OWNER/NAME, without .git and without a slash at its end (Colab "
            "opens notebooks of repositories there)."
        )
    if site and not SITE.fullmatch(site):
        raise ValueError(
            f"html: baseurl: in _config.yml is {site!r}; it must be empty or have the form "
            "https://HOST/FOLDER/."
        )
    if match and not site:
        host = f"{match['owner'].lower()}.github.io"
        site = f"https://{host}/" + ("" if match["name"].lower() == host else match["name"])
    return Address(repository, branch, f"{site.rstrip('/')}/" if site else "")


def read_address(root: Path) -> Address:
    """Return the addresses that `root`/_config.yml names.

    Raises:
        ValueError: a setting is neither empty nor an address.
    """
    import yaml

    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    repository = config.get("repository") or {}
    site = (config.get("html") or {}).get("baseurl")
    return address_of(repository.get("url"), repository.get("branch"), site)


def in_pyproject(text: str, address: Address) -> str:
    """Return pyproject.toml with the project's addresses, or without any while there are none."""
    text = re.sub(r"(?m)^\[project\.urls\].*\n(?:.+\n)*\n", "", text)
    lines = ["[project.urls] # written by make refresh, from _config.yml"]
    if address.repository:
        lines += [f'Repository = "{address.repository}"']
        lines += [f'Issues = "{address.repository}/issues"']
    if address.site:
        lines += [f'Documentation = "{address.site}"']
    table = "\n".join(lines) + "\n\n" if len(lines) > 1 else ""
    return text.replace(
        "[project.optional-dependencies]", f"{table}[project.optional-dependencies]"
    )


def in_citation(text: str, address: Address) -> str:
    """Return CITATION.cff with the addresses, or without any while there are none."""
    text = re.sub(r"(?m)^(?:repository-code|url): .*\n", "", text)
    lines = [f'repository-code: "{address.repository}"\n'] if address.repository else []
    lines += [f'url: "{address.site}"\n'] if address.site else []
    return re.sub(r"(?m)^(?=version: )", "".join(lines), text)


WRITTEN = {"pyproject.toml": in_pyproject, "CITATION.cff": in_citation}
