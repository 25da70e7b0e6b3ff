"""Run every benchmarks/*.py; each prints its own timings. Nothing is asserted."""

from __future__ import annotations

import sys

from tools.machine.common import ROOT, log, main_guard, run


def main() -> int:
    """Run them one after another: two at a time would measure each other."""
    scripts = sorted((ROOT / "benchmarks").glob("*.py"))
    if not scripts:
        log("bench", "there is no benchmarks/*.py yet")
    failed = 0
    for script in scripts:
        log("bench", script.name)
        failed += run([sys.executable, "-m", f"benchmarks.{script.stem}"]) != 0
    return 1 if failed else 0


if __name__ == "__main__":
    main_guard(main)
