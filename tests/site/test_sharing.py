"""Tests of one page, opened in one way, are run in one process, or each would load it anew."""

import subprocess
import sys
from collections import Counter

import pytest

from tools.machine.common import ROOT

from .conftest import group_of


@pytest.mark.parametrize(
    ("test_id", "group"),
    [
        ("a.py::test_console[light-chapters/03_x.html]", "light-chapters/03_x.html"),
        ("a.py::test_axe[phone-search.html]", "phone-search.html"),
        ("a.py::test_code_once[script-chapters/03_x.html]", "chapters/03_x.html"),
        ("a.py::test_every_id[genindex.html]", "genindex.html"),
        ("a.py::test_search[http]", "a.py::test_search[http]"),
        ("a.py::test_every_link", "a.py::test_every_link"),
    ],
)
def test_group_is_the_page_and_the_way(test_id, group):
    assert group_of(test_id) == group


CONFTEST = """
import pytest
from tools.machine.groups import ByGroup

def pytest_xdist_make_scheduler(config, log):
    return ByGroup(config, log, lambda test_id: test_id.partition("[")[2])

@pytest.fixture(scope="session", params="abcdef")
def page(request):
    with open("opened", "a") as file:
        file.write(request.param)
"""
TESTS = "\n".join(f"def test_{n}(page): pass" for n in range(5))


def test_two_processes_open_each_page_once(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_pages.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-o", f"pythonpath={ROOT}"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "30 passed" in ran.stdout, ran.stdout
    assert Counter((tmp_path / "opened").read_text()) == Counter("abcdef")
