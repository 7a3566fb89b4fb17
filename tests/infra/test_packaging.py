"""The wheel: what is in it, that it works far from here, and that it leaves the packages of others alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import pivotwatch
from tests.infra.files import ROOT

pytestmark = pytest.mark.slow

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
SAMPLE = ["simulate", "c1", "--scale", "0.05", "--days", "1", "--out", "e.jsonl", "--releases", "r.json"]
BACKTEST = ["replay", "e.jsonl", "--releases", "r.json", "--alerts", "a.jsonl", "--report", "report.html"]
OURS = ("pivotwatch", "pivotwatch_models")
THEIRS = ("models", "streams")


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": ""} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as the image is: from the files that the Dockerfile copies."""
    folder = tmp_path_factory.mktemp("build")
    for name in ("models", "streams"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", "out", ".", cwd=folder)
    (built,) = (folder / "out").glob("*.whl")
    return built


def write_packages(folder: Path) -> None:
    """Packages of others with names that are common."""
    for name in THEIRS:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"OWNER = 'theirs, in {folder.name}'\n")
        (folder / name / "data.txt").write_text(f"{name} of others\n")


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_wheel_holds_our_two_packages_and_nothing_else(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    about = f"pivotwatch-{pivotwatch.__version__}.dist-info"
    assert {name.partition("/")[0] for name in packed} == {*OURS, about}
    assert {f"{name}/py.typed" for name in OURS} <= packed


def test_the_wheel_brings_every_file_that_is_read(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    needed = {
        str(path.relative_to(ROOT / root))
        for root, package in zip(("streams", "models"), OURS, strict=True)
        for path in (ROOT / root / package).rglob("*")
        if path.is_file() and path.suffix != ".md" and "__pycache__" not in path.parts
    }
    assert needed <= packed, sorted(needed - packed)


def test_what_is_installed_works_beside_packages_of_others_and_leaves_them_alone(
    wheel: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "env", symlinks=True)
    python = tmp_path / "env" / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    write_packages(site)
    before = contents(site)

    run(*PIP, "--python", python, "install", "--no-deps", "--no-index", wheel)
    assert before.items() <= contents(site).items()

    # Our dependencies are those of this environment, which must not be seen by pip.
    dependencies = site / "dependencies.pth"
    here = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    dependencies.write_text("\n".join([sysconfig.get_path("purelib"), *here]))
    project = tmp_path / "project"
    write_packages(project)
    told = run(python, "-c", "import models, streams; print(models.OWNER, streams.OWNER)", cwd=tmp_path)
    assert told.split("\n")[0] == "theirs, in site-packages theirs, in site-packages"
    use(python, project)

    dependencies.unlink()
    run(*PIP, "--python", python, "uninstall", "--yes", "pivotwatch")
    assert contents(site) == before
    run(python, "-c", "import models, streams; print(models.OWNER, streams.OWNER)", cwd=tmp_path)


def use(python: Path, project: Path) -> None:
    """Use what is installed, in a project with folders ``models`` and ``streams`` of its own."""
    program = python.with_name("pivotwatch")
    run(program, *SAMPLE, cwd=project, PYTHONPATH=str(project))
    run(python, "-m", "pivotwatch", *BACKTEST, cwd=project)
    assert b"<svg" in (project / "report.html").read_bytes()
    script = project / "backtest.py"
    script.write_text(
        "import models, streams, pivotwatch, pivotwatch_models\n"
        "from pivotwatch import replay\n"
        "alerts = list(replay('e.jsonl', 'r.json').encoded())\n"
        "assert alerts == open('a.jsonl', 'rb').read().splitlines() and alerts\n"
        "print(models.OWNER, streams.OWNER, pivotwatch.__file__, pivotwatch_models.__file__, sep='\\n')\n"
    )
    own, other, *ours = run(python, script.name, cwd=project).split("\n")[:4]
    assert own == other == "theirs, in project"
    assert all(re.search("/env/.*site-packages/pivotwatch", path) for path in ours)
