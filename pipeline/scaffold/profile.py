"""Write a profile for somebody's photographs: what is there is looked at, then linked, then described."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import NamedTuple

from pydantic import ValidationError

from genas.models.errors import GenasError
from genas.pipeline.config import OWN, REPOSITORY, Params, data_root, profiles
from genas.pipeline.config.params import explain
from genas.pipeline.config.reading import read_yaml
from genas.pipeline.data.reading.files import reason
from genas.pipeline.scaffold import sizes
from genas.pipeline.scaffold.looking import Parts, digest_for, objects, photographs, segmented
from genas.pipeline.scaffold.shared import PATTERN, share

HERE = Path(__file__).parent
NAME = re.compile(r"[A-Za-z0-9_-]+")


class Folders(NamedTuple):
    """Where somebody's photographs, COCO set and segmentation set lie; of the latter two each may be None."""

    images: Path
    detect: Path | None = None
    segment: Path | None = None

    def absolute(self) -> Folders:
        """The same, wherever the working directory will be: links last longer than it."""
        images, detect, segment = (one and Path(os.path.abspath(one)) for one in self)
        assert images is not None
        return Folders(images, detect, segment)


class Link(NamedTuple):
    """What is made below the data root: a link, or for photographs that are split here a folder of links."""

    place: str
    folder: Path
    parts: Parts | None


def init(name: str, folders: Folders | None) -> tuple[Path, str]:
    """Write the profile ``name``; nothing is written where anything is wrong.

    Args:
        name: new.
        folders: what it is for; None for one of the project's own, which an installed package lacks at first.

    Returns:
        Its folder, and what was found in words.

    Raises:
        GenasError: a name that is not allowed or taken; whatever :mod:`genas.pipeline.scaffold.looking` refuses; a data
            root or a folder of profiles that cannot be written.
    """
    home = _require_free(name)
    text, found, links = described(name, folders.absolute()) if folders else (*_own(name), [])
    try:
        _write(home, text, links)
    except OSError as error:
        message = f"the profile {name} cannot be written ({reason(error)}); GENAS_DATA sets the data root"
        raise GenasError(message) from None
    return home, found


def described(name: str, folders: Folders) -> tuple[str, str, list[Link]]:
    """The text of ``params.yaml``, what was found in words, and the links that are wanted, for absolute paths.

    Raises:
        GenasError: as :mod:`genas.pipeline.scaffold.looking`, or a link's place is taken.
    """
    found = photographs(folders.images)
    links = [_link(name, "photographs", folders.images, found.parts)]
    values: dict[str, sizes.Value] = {"name": name, **sizes.of_photographs(found)}
    values |= {"photographs": json.dumps(links[0].place), "objects": "", "detect": "detect: null", "detected": "[]"}
    values |= {"scenes": "", "segment": "segment: null", "segmented": "[]"}
    words = [f"{found.train} + {found.val} photographs of {found.classes} classes"]
    if folders.detect is not None:
        boxes = objects(folders.detect)
        links.append(_link(name, "objects", folders.detect))
        values |= {"objects": _data("objects", "coco", boxes.train, links[-1]), "detected": "[angle_flatness]"}
        values["detect"] = _filled("detect", sizes.of_objects(boxes))
        words.append(f"{boxes.train} images with boxes of {boxes.classes} classes")
    if folders.segment is not None:
        labelled = segmented(folders.segment)
        links.append(_link(name, "scenes", folders.segment))
        values |= {"scenes": _data("scenes", labelled.layout, labelled.train, links[-1])}
        values |= {"segment": _filled("segment", sizes.of_scenes(labelled)), "segmented": "[angle_flatness]"}
        words.append(f"{labelled.train} scenes with labels")
    values["words"] = ", ".join(words)
    return _filled("template", values), ", ".join(words), links


def _own(name: str) -> tuple[str, str]:
    """The text of ``params.yaml`` of one of the project's own profiles, and what it is.

    Raises:
        GenasError: it is none.
    """
    if name not in OWN:
        raise GenasError(f"--images is missing; only {', '.join(OWN)} can be written without, as the project has them")
    return (PATTERN / f"{name}.yaml").read_text().rstrip(), "the project's own profile"


def _require_free(name: str) -> Path:
    if not NAME.fullmatch(name):
        raise GenasError(f"{name!r} is no name of a profile, expected letters, digits, - and _ alone")
    home = REPOSITORY / "profiles" / name
    if name in profiles() or home.exists():
        raise GenasError(f"profile {name} is there already ({profiles().get(name, home)}), choose another name")
    return home


def _link(name: str, what: str, folder: Path, parts: Parts | None = None) -> Link:
    """Where a folder is found below the data root: where it lies, or by a link.

    Raises:
        GenasError: the link's place is taken.
    """
    root = data_root().resolve()
    if parts is None and folder.resolve().is_relative_to(root) and folder.resolve() != root:
        return Link(str(folder.resolve().relative_to(root)), folder, None)
    place = data_root() / name / what
    if place.is_symlink() or place.exists():
        raise GenasError(f"{place} is there already; remove it, or choose another name")
    return Link(f"{name}/{what}", folder, parts)


def _data(name: str, layout: str, images: int, link: Link) -> str:
    digest = digest_for(images)
    return f"  {name}: {{ layout: {layout}, digest: {digest}, path: {json.dumps(link.place)} }}\n"


def _filled(template: str, values: Mapping[str, sizes.Value]) -> str:
    return Template((HERE / f"{template}.yaml").read_text()).substitute(values).rstrip()


def _write(home: Path, text: str, links: list[Link]) -> None:
    """All of it, or nothing.

    Raises:
        GenasError: the parameters are none, which is a mistake in the template.
        OSError: something cannot be written.
    """
    made: list[Path] = []
    try:
        for link in links:
            place = data_root() / link.place
            if place.resolve() != link.folder.resolve():
                made.append(place)
                _lay(place, link)
        home.mkdir(parents=True)
        made.append(home)
        (home / "params.yaml").write_text(text + "\n")
        try:
            Params.model_validate(read_yaml(home / "params.yaml"))
        except ValidationError as error:
            raise GenasError(explain(error, home / "params.yaml")) from None
        share(home)
    except BaseException:
        for path in made:
            path.unlink() if path.is_symlink() else shutil.rmtree(path, ignore_errors=True)
        raise


def _lay(place: Path, link: Link) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if link.parts is None:
        place.symlink_to(link.folder, target_is_directory=True)
        return
    for split, files in link.parts.items():
        for file in files:
            path = place / split / file.relative_to(link.folder)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(file)
