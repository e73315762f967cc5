"""An installation of the package as its users have it, from a wheel."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ("LICENSE", "README.md", "pyproject.toml", "setup.cfg", "etc", "systemd")


def install(prefix: Path) -> Path:
    """Install the tree as it is, without what it depends on, and return its site-packages."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)  # a build leaves things in it
        for name in PARTS:
            (source / name).symlink_to(ROOT / name)
        compiled = shutil.ignore_patterns("__pycache__")  # another test may be writing there
        shutil.copytree(ROOT / "exabgp_metallb", source / "exabgp_metallb", ignore=compiled)
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
        # Without the second word pip takes the editable installation away first.
        where = ["--no-deps", "--ignore-installed", "--prefix", str(prefix), folder]
        subprocess.run([*pip, *where], check=True)
    (site,) = prefix.glob("lib/python*/site-packages")
    return site
