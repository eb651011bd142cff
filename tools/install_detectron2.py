"""Put Detectron2 into the running virtual environment, unless one can be imported already.

There is no usable Detectron2 release for Python 3.11 on PyPI. The wheel ``sal-detectron2`` 0.7.2 holds the Python
tree of an official commit (a59f0563, April 2024) but is tagged for Python 3.10 and carries a compiled part for it.
This script takes the wheel by its hash, keeps the Python tree and leaves the compiled part out (it is only needed for
rotated boxes, deformable convolution and the fast COCO evaluator; pycocotools serves instead).

Whoever has a Detectron2 of their own, built for their CUDA, keeps it.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

REQUIREMENT = "sal-detectron2==0.7.2 --hash=sha256:491af0c7f79bdb2d178e46f6cb16a97c4ac968d45c41ea3f6b6435d59bbee561\n"


def main() -> None:
    if importlib.util.find_spec("detectron2") is not None:
        print("detectron2 is there already")
        return
    site = Path(sysconfig.get_paths()["purelib"])
    target = site / "_detectron2"
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text(REQUIREMENT)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
        unpack = ["--python-version", "3.10", "--target", folder + "/tree", "--require-hashes", "-r", str(requirements)]
        subprocess.run([*pip, *unpack], check=True)
        tree = Path(folder) / "tree"
        for path in [tree / "tools", *tree.glob("*.dist-info"), *tree.glob("detectron2/_C*.so")]:
            if path.exists():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(tree, target)
    (site / "_detectron2.pth").write_text(str(target) + "\n")
    print(f"detectron2 installed in {target}")


if __name__ == "__main__":
    main()
