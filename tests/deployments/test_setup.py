"""How the virtual environment gets the package."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path


def test_the_package_is_installed_as_a_path_that_type_checkers_follow(root: Path, tmp_path: Path) -> None:
    command = re.search(r"^pip install (.*) -e \.$", (root / "deployments" / "setup.sh").read_text(), re.MULTILINE)
    assert command is not None
    settings = dict(re.findall(r"--config-settings (\w+)=(\w+)", command[1]))
    build = f"from setuptools import build_meta; build_meta.build_editable({str(tmp_path)!r}, {settings!r})"
    subprocess.run([sys.executable, "-c", build], cwd=root, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        installed = {name: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" not in name}
    assert [text.strip() for text in installed.values()] == [str(root)], "one .pth file with the path alone"
