"""Sets of fonts that readers have, each by itself: so a test's machine does not decide what fits.

A page has system fonts, and another width of every word with each. On Linux the variable
FONTCONFIG_FILE lists the fonts that a browser sees; elsewhere nothing does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tools.machine.common import ROOT, locked, log, main_guard, write_atomically

CACHE = ROOT / ".make" / "fonts"
FACES = ("Regular", "Bold", "Italic", "BoldItalic")


@dataclass(frozen=True)
class FontSet:
    """The fonts of a machine: its three families, their files, and Debian's packages of them."""

    sans: str
    serif: str
    mono: str
    files: tuple[str, ...]
    packages: tuple[str, ...]


def _faces(*families: str) -> tuple[str, ...]:
    return tuple(f"{family}-{face}.ttf" for family in families for face in FACES)


_DEJAVU = ("", "-Bold", "-Oblique", "-BoldOblique")
SETS = {
    "dejavu": FontSet(
        sans="DejaVu Sans",
        serif="DejaVu Serif",
        mono="DejaVu Sans Mono",
        files=(
            *(f"DejaVuSans{face}.ttf" for face in _DEJAVU),
            *(f"DejaVuSansMono{face}.ttf" for face in _DEJAVU),
            *(f"DejaVuSerif{face.replace('Oblique', 'Italic')}.ttf" for face in _DEJAVU),
        ),
        packages=("fonts-dejavu-core", "fonts-dejavu-extra"),
    ),
    "liberation": FontSet(
        sans="Liberation Sans",
        serif="Liberation Serif",
        mono="Liberation Mono",
        files=_faces("LiberationSans", "LiberationSerif", "LiberationMono"),
        packages=("fonts-liberation",),
    ),
    "noto": FontSet(
        sans="Noto Sans",
        serif="Noto Serif",
        mono="Noto Sans Mono",
        files=(
            *_faces("NotoSans", "NotoSerif"),
            *("NotoSansMono-Regular.ttf", "NotoSansMono-Bold.ttf"),
            *("NotoSansSymbols-Regular.ttf", "NotoSansSymbols2-Regular.ttf"),
            "NotoSansMath-Regular.ttf",
        ),
        packages=("fonts-noto-core", "fonts-noto-mono"),
    ),
}

CONFIGURATION = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{folder}</dir>
  <cachedir>{folder}/cache</cachedir>
{rules}
</fontconfig>
"""
FAMILY = """\
  <match>
    <test name="family"><string>{generic}</string></test>
    <edit name="family" mode="assign" binding="strong"><string>{family}</string></edit>
  </match>"""
OTHERWISE = """\
  <match>
    <edit name="family" mode="append_last"><string>{family}</string></edit>
  </match>"""


# ---- where the files are


def _installed() -> list[Path]:
    """The folders that may hold fonts: Matplotlib's own, then the system's and the user's."""
    found = []
    matplotlib = find_spec("matplotlib")
    if matplotlib and matplotlib.origin:
        found.append(Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf")
    home = Path.home()
    return [
        *found,
        *map(Path, ("/usr/share/fonts", "/usr/local/share/fonts")),
        *(home / ".local" / "share" / "fonts", home / ".fonts"),
    ]


def _find(folders: list[Path], names: tuple[str, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in folders:
        for file in folder.rglob("*.ttf"):
            if file.name in names:
                found.setdefault(file.name, file)
    return found


@contextmanager
def _unpacked(packages: tuple[str, ...]) -> Iterator[list[Path]]:
    """What Debian packages hold, without installing them; nothing where there is no Debian."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        yield []
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        download = ["apt-get", "-qq", "download", *packages]
        done = subprocess.run(download, cwd=folder, capture_output=True, check=False)
        if done.returncode and os.geteuid() == 0:  # a new machine has no lists of packages yet
            subprocess.run(["apt-get", "-qq", "update"], capture_output=True, check=False)
            subprocess.run(download, cwd=folder, capture_output=True, check=False)
        for package in folder.glob("*.deb"):
            unpack = ["dpkg-deb", "-x", package.name, "unpacked"]
            subprocess.run(unpack, cwd=folder, capture_output=True, check=False)
        yield [folder / "unpacked"]


def gather(name: str) -> Path:
    """Return the folder with the files of a set, and only these; fetch what is missing.

    Raises:
        RuntimeError: the files are not to be had here; the message says which packages have them.
    """
    wanted = SETS[name]
    folder = CACHE / name
    with locked(ROOT / ".make" / "fonts.lock", "fonts"):
        if not _copied(wanted, [folder], folder) and not _copied(wanted, _installed(), folder):
            log("fonts", f"fetching {' and '.join(wanted.packages)}, without installing them")
            with _unpacked(wanted.packages) as unpacked:
                if not _copied(wanted, [*_installed(), *unpacked], folder):
                    raise RuntimeError(
                        f"The {name} fonts are not on this machine. Debian and Ubuntu have them in "
                        f"{' and '.join(wanted.packages)}."
                    )
    return folder


def _copied(wanted: FontSet, folders: list[Path], target: Path) -> bool:
    """Copy the files of a set from where they are, if all of them are there."""
    found = _find(folders, wanted.files)
    if len(found) < len(wanted.files):
        return False
    target.mkdir(parents=True, exist_ok=True)
    for name, file in found.items():
        if file != target / name:
            shutil.copyfile(file, target / name)
    return True


# ---- a browser's environment


def environment(name: str) -> dict[str, str]:
    """Return the variables with which a browser has the fonts of a set and no others.

    Raises:
        RuntimeError: this is not Linux, or the fonts are not to be had; the message says which.
    """
    if sys.platform != "linux":
        raise RuntimeError("A browser can be given other fonts on Linux only (by fontconfig).")
    folder = gather(name)
    wanted = SETS[name]
    generic = {"sans-serif": wanted.sans, "serif": wanted.serif, "monospace": wanted.mono}
    generic |= {"system-ui": wanted.sans, "ui-monospace": wanted.mono}
    rules = [FAMILY.format(generic=g, family=f) for g, f in generic.items()]
    rules.append(OTHERWISE.format(family=wanted.sans))
    file = folder / "fonts.conf"
    text = CONFIGURATION.format(folder=folder, rules="\n".join(rules))
    if not file.is_file() or file.read_text("utf-8") != text:
        write_atomically(file, text.encode())
    return {"FONTCONFIG_FILE": str(file)}


def main() -> int:
    """Fetch every set, and print which there are."""
    missing = 0
    for name in SETS:
        try:
            log("fonts", f"{name}: {environment(name)['FONTCONFIG_FILE']}")
        except RuntimeError as error:
            log("fonts", f"{name}: {error}")
            missing += 1
    return missing


if __name__ == "__main__":
    main_guard(main)
