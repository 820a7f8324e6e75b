"""The files around the package agree with one another, and imports point one way."""

import ast
import re
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import igc

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA_NAMES = {"pytorch": "torch"}
CONDA_ONLY = {"python", "pip", "pytorch3d"}


def declared(*extras):
    """Specifiers by canonical name of the dependencies and of the named extras."""
    lines = [*PROJECT["dependencies"], *(r for e in extras for r in PROJECT["optional-dependencies"][e])]
    found = {}
    for requirement in map(Requirement, lines):
        name = canonicalize_name(requirement.name)
        assert found.setdefault(name, requirement.specifier) == requirement.specifier, f"{name}: two ranges"
    return found


def locked():
    """Versions by canonical name in requirements.lock."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def conda():
    """(specifiers by canonical PyPI name without those that only conda has, lines for pip)."""
    entries = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    pip = next(entry["pip"] for entry in entries if isinstance(entry, dict))
    found = {}
    for line in [*(e for e in entries if isinstance(e, str)), *(p for p in pip if not p.startswith("-e"))]:
        name, version = re.fullmatch(r"([\w.-]+?)((?:[<>=!~].*)?)", line).groups()
        if name not in CONDA_ONLY:
            found[canonicalize_name(CONDA_NAMES.get(name, name))] = SpecifierSet(version)
    return found, pip


def test_conda_and_pip_ask_for_the_same_packages_in_the_same_ranges():
    asked, wanted = conda()[0], declared("book", "test")
    assert set(asked) == set(wanted)
    assert asked.pop("torch") == SpecifierSet(), "the pytorch3d build decides the version of pytorch"
    for name, specifier in asked.items():
        assert specifier == wanted[name], name


def test_conda_takes_pytorch3d_from_conda_forge_and_this_package_from_here():
    text = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert text["channels"] == ["conda-forge", "nodefaults"]
    for entry in ("python=3.11", "pytorch3d=0.7.9", "pip"):
        assert entry in text["dependencies"]
    assert "-e ." in conda()[1]


def test_the_lock_satisfies_every_declared_range():
    pins = locked()
    for name, specifier in declared("book", "test").items():
        assert name in pins, f"{name} is not locked"
        assert specifier.contains(pins[name]), f"{name} {pins[name]} is outside {specifier}"


def test_the_lock_holds_plain_exact_pins_only():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert len(pins) > 100 and len(locked()) == len(pins)
    assert "torch==2.13.0" in pins
    for line in pins:
        assert re.fullmatch(r"[A-Za-z0-9][\w.-]*==[0-9][0-9A-Za-z.]*", line), line
        assert not line.lower().startswith(("nvidia", "cuda", "triton", "igc")), line


def test_pyproject_states_what_the_code_needs():
    assert SpecifierSet(PROJECT["requires-python"]) == SpecifierSet(">=3.11")
    assert declared()["torch"].contains("2.11.0") and declared()["torch"].contains("2.13.0")
    assert not declared("book")["jupyter-book"].contains("2.0.0")


def test_licence_citation_and_changelog():
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert licence.startswith("MIT License") and "WITHOUT WARRANTY OF ANY KIND" in licence
    assert PROJECT["license"] == "MIT"
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == igc.__version__ and citation["license"] == "MIT"
    assert citation["authors"] == [{"name": "IGC-Net contributors"}]
    (paper,) = citation["references"]
    assert paper["title"] == "Graphics Capsule: Learning Hierarchical 3D Face Representations from 2D Images"
    assert [a["family-names"] for a in paper["authors"]] == ["Yu", "Zhu", "Zhang", "Zhang", "Lei"]
    assert paper["year"] == 2023 and "CVPR" in paper["conference"]["name"]
    assert "arXiv:2303.10896" in [i["value"] for i in paper["identifiers"]]
    assert f"\n## {igc.__version__}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# Floors of the house: a module imports from its own floor and below. A new module gets its floor here.
FLOORS = [
    {"errors", "geometry", "sliders", "ranks"},
    {"config", "files", "machine", "watch", "viewer", "schedule"},
    {
        "raster",
        "shading",
        "background",
        "framing",
        "capsules",
        "cells",
        "mixture",
        "gauge",
        "places",
        "outputs",
        "networks",
        "losses",
        "meshes",
        "chapter",
    },
    {"model", "legacy", "pretrained", "data"},
    {"prediction", "metrics"},
    {
        "objective",
        "runs",
        "feed",
        "parent",
        "segment",
        "surfaces",
        "own_shape",
        "layout",
        "floors",
        "views",
        "views3d",
        "stills",
    },
    {"figures", "export", "editing"},
    {
        "train",
        "training",
        "evaluate",
        "widgets",
        "raster_figures",
        "editing_figures",
        "records",
        "live",
        "analysis",
        "ablations",
        "comparison",
    },
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
LATE = {("pretrained", "legacy")}  # imported by functions only: what asks for it is what it is made of
NARROW = {  # rooms that know less than their floor allows: each with all that it may know
    "data": {"data", "errors", "config", "files", "geometry", "shading", "raster"},
    "chapter": {"errors", "config", "files"},
    "losses": {"ranks"},
    "metrics": {"geometry"},
    "surfaces": {"geometry", "metrics"},
    "own_shape": {"metrics", "surfaces"},
    "layout": {"metrics"},
}
DRAWING = {"figures", "viewer", "widgets", "live", "analysis"}
JUPYTER = {
    "IPython", "anywidget", "ipykernel", "ipywidgets", "jupytext", "nbclient", "nbconvert", "nbformat",
    "papermill", "traitlets",
}  # fmt: skip
OPTIONAL = {"pytorch3d", "triton", "cv2"}  # modules around these are imported only when asked for
IMPORT_NAMES = {"PIL": "pillow", "sklearn": "scikit-learn", "huggingface_hub": "huggingface-hub"}


def imports(tree, inside=False):
    """Yield (dotted name, whether it is inside a function) of every import in a syntax tree."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from ((f"{base}.{alias.name}", inside) for alias in node.names)
        else:
            yield from imports(node, inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def faults(room, source):
    """What is wrong with the imports of one source file in a room of the house, such as "data" or "model"."""
    for name, inside in imports(ast.parse(source)):
        top, *rest = name.split(".")
        if top == "":
            yield f"{name}: imports are absolute"
        elif top in ("peers", "benchmarks"):
            yield f"{name} is outside the package"
        elif (top in JUPYTER or top.startswith("jupyter")) and not (inside and room in DRAWING):
            yield f"{name}: only functions of the figures may import Jupyter"
        elif top != "igc" or room in ("__init__", "__main__"):
            if top == "igc" and rest[:1] == ["train"] and not inside:
                yield f"{name}: import it inside a function"
        elif rest and rest[0] not in FLOOR and rest[0] != "__version__":
            yield f"{name}: import it from its own module, or give a new module its floor here"
        elif rest[:1] == ["train"]:
            yield "nothing imports train"
        elif rest and rest[0] in FLOOR and FLOOR[rest[0]] > FLOOR[room]:
            yield f"{name} is on a floor above"
        elif rest and room in NARROW and rest[0] in FLOOR and rest[0] not in NARROW[room]:
            yield f"{room} must not know {name}"
        elif room in ("model", "legacy") and rest[:1] == ["data"]:
            yield "the model must not know the data"
        elif rest and (room, rest[0]) in LATE and not inside:
            yield f"{name}: import it inside a function"


def sources():
    """(room, path) of every source file of the package."""
    for path in sorted((ROOT / "igc").rglob("*.py")):
        yield path.relative_to(ROOT / "igc").with_suffix("").parts[0], path


def test_imports_point_one_way():
    found, rooms = [], 0
    for room, path in sources():
        if room not in ("__init__", "__main__") and room not in FLOOR:
            found.append(f"{path.name}: give this module its floor in this test")
            continue
        rooms += 1
        found += [f"{path.relative_to(ROOT)}: {f}" for f in faults(room, path.read_text(encoding="utf-8"))]
    assert not found, "\n".join(found)
    assert rooms >= 5


def test_no_rooms_import_one_another_in_a_circle():
    graph = {room: set() for room in FLOOR}
    late = {room: {other for one, other in LATE if one == room} for room, _ in sources()}
    for room, path in sources():
        for name, _ in imports(ast.parse(path.read_text(encoding="utf-8"))):
            parts = name.split(".")
            if room in graph and parts[0] == "igc" and parts[1:] and parts[1] in FLOOR.keys() - late[room]:
                graph[room].add(parts[1])
        graph.get(room, set()).discard(room)
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("data", "from igc.model import IGCNet"),
        ("data", "from igc import model"),
        ("data", "def f():\n    import igc.capsules"),
        ("capsules", "import igc.model"),
        ("geometry", "from igc.raster import grid"),
        ("model", "from igc.data import SyntheticFaces"),
        ("pretrained", "from igc import legacy"),
        ("legacy", "def f():\n    from igc.data import SyntheticFaces"),
        ("places", "from igc.model import IGCNet"),
        ("networks", "from igc import legacy"),
        ("losses", "from igc.model import Output"),
        ("losses", "from igc.networks import upsample"),
        ("chapter", "from igc.geometry import focal_length"),
        ("metrics", "from igc.segment import labels"),
        ("objective", "from igc.train import fit"),
        ("segment", "from igc import figures"),
        ("runs", "from igc.evaluate import table"),
        ("figures", "from igc.evaluate import table"),
        ("evaluate", "from igc.train import fit"),
        ("evaluate", "from igc import fit"),
        ("segment", "def f():\n    from igc import train"),
        ("__init__", "from igc.train import fit"),
        ("model", "import IPython"),
        ("figures", "from jupyter_client import manager"),
        ("figures", "import ipywidgets"),
        ("metrics", "import peers.bands"),
        ("model", "from . import geometry"),
        ("model", "if True:\n    from igc.evaluate import main"),
    ],
)
def test_an_import_against_the_order_is_found(room, source):
    assert list(faults(room, source))


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("__init__", "def __getattr__(name):\n    from igc.train import fit"),
        ("__main__", "def main():\n    from igc import train"),
        ("data", "from igc import geometry, raster\nfrom igc.data.images import decode"),
        ("evaluate", "import igc\nfrom igc import __version__, metrics\nfrom igc.data import ImageFolder"),
        ("figures", "def f():\n    import ipywidgets"),
        ("figures", "from igc.segment import masks_to_labels\nfrom igc import geometry, model"),
        ("train", "from igc.runs import resume\nfrom igc.chapter import make_folder"),
        ("objective", "from igc import losses\nfrom igc.model import Output"),
        ("pretrained", "def f():\n    from igc import legacy"),
        ("chapter", "from igc.config import Config\nfrom igc.errors import UserError"),
    ],
)
def test_an_import_along_the_order_is_allowed(room, source):
    assert not list(faults(room, source))


def test_everything_that_is_imported_is_declared():
    allowed = set(declared()) | {"igc"}
    for room, path in sources():
        for name, inside in imports(ast.parse(path.read_text(encoding="utf-8"))):
            top = name.split(".")[0]
            known = top in sys.stdlib_module_names or canonicalize_name(IMPORT_NAMES.get(top, top)) in allowed
            optional = top in OPTIONAL or (inside and top in JUPYTER and room in DRAWING)
            assert known or optional, f"{path.relative_to(ROOT)} imports {name}, which pyproject.toml lacks"
