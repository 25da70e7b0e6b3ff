"""Which browsers are looked for, installed and left out, and what is said about it."""

from __future__ import annotations

import os
import re
from types import SimpleNamespace

import pytest

from tools import run_tests
from tools.machine import browser


@pytest.fixture
def nothing_installed(monkeypatch, tmp_path):
    """A machine with no program on its PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CHROMIUM", "FIREFOX", "ENGINES"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", browser.ENGINES)
def test_missing_engine_names_the_packages_that_bring_it(nothing_installed, name):
    engine = browser.ENGINES[name]
    with pytest.raises(RuntimeError, match=f"apt-get install {' '.join(engine.packages)}"):
        engine.find()


@pytest.mark.parametrize("name", ["CHROMIUM", "FIREFOX"])
def test_chosen_browser_that_is_none_is_named(nothing_installed, monkeypatch, name):
    monkeypatch.setenv(name, "/nowhere/fox")
    with pytest.raises(RuntimeError, match=f"{name}=/nowhere/fox is not a program"):
        browser.ENGINES[name.lower()].find()


@pytest.mark.skipif(os.name == "nt", reason="on Windows only Chromium is looked for")
def test_chosen_firefox_comes_before_the_usual_names(nothing_installed, monkeypatch, tmp_path):
    for name in ("firefox", "mine"):
        (tmp_path / name).touch(mode=0o755)
    assert browser.find_firefox() == str(tmp_path / "firefox")
    monkeypatch.setenv("FIREFOX", str(tmp_path / "mine"))
    assert browser.find_firefox() == str(tmp_path / "mine")


# ---- what `make test` does about it


class Machine:
    """A machine with some engines on it: what is run on it, and what is said."""

    def __init__(self, monkeypatch, *, root=True, apt=True, installed=(), apt_works=True) -> None:
        self.ran: list[str] = []
        self.said: list[str] = []
        self.installed = set(installed)
        self.apt_works = apt_works
        monkeypatch.delenv("ENGINES", raising=False)
        monkeypatch.delenv("DEBIAN_FRONTEND", raising=False)  # put back afterwards
        monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000, raising=False)
        monkeypatch.setattr(run_tests.shutil, "which", lambda name: name if apt else None)
        monkeypatch.setattr(run_tests, "run", self.run)
        monkeypatch.setattr(run_tests, "log", lambda who, text: self.said.append(text))
        engines = {name: self.engine(name) for name in ("one", "other")}
        monkeypatch.setattr(run_tests, "ENGINES", engines)

    def engine(self, name: str) -> SimpleNamespace:
        def where() -> str:
            if name not in self.installed:
                raise RuntimeError(f"No {name} was found. Get it so.")
            return f"/usr/bin/{name}"

        return SimpleNamespace(find=where, where=where, packages=(f"{name}-package",))

    def run(self, command: list[str]) -> int:
        self.ran.append(" ".join(command))
        if command[0] != "apt-get":
            return 0
        if not self.apt_works:
            return 100
        self.installed |= {word.removesuffix("-package") for word in command}
        return 0

    @property
    def tested(self) -> bool:
        return any(re.search("pytest tests/engines", command) for command in self.ran)


def test_engines_that_are_there_are_named_and_nothing_is_installed(monkeypatch):
    machine = Machine(monkeypatch, installed=("one", "other"))
    assert run_tests.engines() == 0
    assert machine.said == ["one: /usr/bin/one", "other: /usr/bin/other"]
    assert machine.tested and len(machine.ran) == 1


def test_root_on_debian_installs_what_is_missing_before_the_tests(monkeypatch):
    machine = Machine(monkeypatch, installed=("one",))
    assert run_tests.engines() == 0
    update, install, tests = machine.ran
    assert update.startswith("apt-get") and "other-package" in install
    assert "--no-install-recommends" in install and "one-package" not in install
    assert "tests/engines" in tests
    assert machine.said[-1] == "other: /usr/bin/other"


@pytest.mark.parametrize("lacks", ["root", "apt"])
def test_others_are_told_how_to_get_an_engine_and_are_not_failed(monkeypatch, lacks):
    machine = Machine(monkeypatch, installed=("one",), **{lacks: False})
    assert run_tests.engines() == 0
    assert "other: NOT TESTED. No other was found. Get it so." in machine.said
    assert machine.tested and len(machine.ran) == 1


def test_installation_that_fails_is_no_pass_and_names_the_way_out(monkeypatch):
    machine = Machine(monkeypatch, installed=("one",), apt_works=False)
    assert run_tests.engines() != 0
    assert machine.said[-1] == "to go without it: ENGINES=one"
    assert not machine.tested


def test_engine_that_is_left_out_is_neither_looked_for_nor_installed(monkeypatch):
    machine = Machine(monkeypatch, installed=("one",))
    monkeypatch.setenv("ENGINES", "one")
    assert run_tests.engines() == 0
    assert machine.said == ["one: /usr/bin/one", "other: left out, as ENGINES=one says"]
    assert machine.tested and len(machine.ran) == 1


def test_engine_that_does_not_exist_is_named(monkeypatch):
    machine = Machine(monkeypatch, installed=("one", "other"))
    monkeypatch.setenv("ENGINES", "one,mosaic")
    assert run_tests.engines() != 0
    assert machine.said == ["ENGINES names mosaic; there are one, other"]
