"""What a chapter does first: its parameters are checked, and it goes to the root of the repository."""

import ast
import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from igc import chapter
from igc.errors import UserError

CHAPTERS = {
    "01_data": chapter.DataParameters,
    "02_capsules": chapter.CapsuleParameters,
    "03_train": chapter.TrainParameters,
    "04_segmentation": chapter.SegmentParameters,
    "05_face_analysis": chapter.AnalysisParameters,
    "06_ablations": chapter.AblationParameters,
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A repository with a `_toc.yml`, and a working directory below it, as a notebook's kernel has."""
    (tmp_path / "_toc.yml").write_text("root: book/index\n")
    (tmp_path / "book").mkdir()
    monkeypatch.chdir(tmp_path / "book")  # undone at the end, whatever `start` does
    return tmp_path


def namespace(kind, cells=(), **changed):
    """The globals of a notebook whose parameters cell is the chapter's, and that has run `cells`."""
    return kind().to_dict() | {"In": ["", *cells]} | changed


def parameters_cell(name, root):
    """{name: default} of the cell tagged parameters in book/<name>.py."""
    source = (root / "book" / f"{name}.py").read_text(encoding="utf-8")
    (cell,) = (part for part in source.split("\n# %%") if part.startswith(' tags=["parameters"]'))
    body = ast.parse(cell.split("\n", 1)[1]).body
    assert all(isinstance(node, ast.Assign) for node in body)
    return {node.targets[0].id: ast.literal_eval(node.value) for node in body}


def test_every_chapter_has_its_parameters(root):
    assert sorted(path.stem for path in (root / "book").glob("[0-9]*.py")) == sorted(CHAPTERS)


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_parameters_cell_has_the_names_and_defaults_of_the_dataclass(name, root):
    wanted = {field.name: field.default for field in dataclasses.fields(CHAPTERS[name])}
    found = parameters_cell(name, root)
    assert found == wanted
    assert {n: type(v) for n, v in found.items()} == {n: type(v) for n, v in wanted.items()}


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_starts_with_its_own_dataclass(name, root):
    source = (root / "book" / f"{name}.py").read_text(encoding="utf-8")
    assert f"start(globals(), {CHAPTERS[name].__name__})" in source


@pytest.mark.parametrize("name", CHAPTERS)
def test_defaults_start_and_go_to_the_root(name, elsewhere):
    kind = CHAPTERS[name]
    folder = chapter.start(namespace(kind), kind)
    assert Path.cwd() == elsewhere.resolve()
    assert folder == Path(kind().out) and folder.is_dir() and not list(folder.iterdir())


def test_known_parameters_may_be_injected():
    cells = ["# Parameters\nepochs = 2\nout = 'there'\n"]
    assert chapter.start(
        namespace(chapter.TrainParameters, cells, epochs=2, out="there"), chapter.TrainParameters
    ) == Path("there")


def test_an_unknown_parameter_is_refused_and_the_known_ones_are_named(elsewhere):
    cells = ["epochs = 6", "# Parameters\nepoch = 30\n"]
    with pytest.raises(UserError, match="'epoch'") as caught:
        chapter.start(namespace(chapter.TrainParameters, cells, epoch=30), chapter.TrainParameters)
    assert "batch_size" in str(caught.value)
    assert Path.cwd() == elsewhere.resolve() / "book", "nothing has happened yet"


def test_only_the_injected_cell_is_looked_at():
    cells = ["import os\nanything = 3", "# a comment\nother = 1", "# Parameters\nseed = 1\n", "later = 2"]
    assert chapter.injected(cells) == ["seed"]
    assert chapter.injected(["x = 1"]) == [] and chapter.injected([]) == []
    chapter.start(namespace(chapter.DataParameters, cells, seed=1), chapter.DataParameters)


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 0), ("epochs", "many"), ("epochs", 2.5), ("seed", -1), ("learning_rate", float("nan")),
     ("device", "tpu"), ("images", None), ("parts", True), ("data", 3)],
)  # fmt: skip
def test_parameters_without_sense_are_refused(name, value):
    with pytest.raises(UserError, match=name):
        chapter.start(namespace(chapter.TrainParameters, **{name: value}), chapter.TrainParameters)


def test_a_folder_that_cannot_be_made_is_named(elsewhere):
    (elsewhere / "file").write_text("")
    for out in ("file", "file/below"):
        with pytest.raises(UserError, match=r"file.*choose another folder"):
            chapter.start(namespace(chapter.DataParameters, out=out), chapter.DataParameters)


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may write everywhere")
def test_a_folder_without_permission_is_named(elsewhere):
    locked = elsewhere / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(UserError, match="locked"):
        chapter.make_folder(locked / "out")


def test_several_may_ask_for_the_same_folder_at_once(elsewhere):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(chapter.make_folder, [elsewhere / "shared"] * 400))
    assert set(made) == {elsewhere / "shared"} and not list(made[0].iterdir())


def test_making_a_folder_twice_keeps_what_is_in_it(elsewhere):
    folder = chapter.make_folder(elsewhere / "a" / "b")
    (folder / "kept.txt").write_text("x")
    assert chapter.make_folder(str(folder)) == folder
    assert [path.name for path in folder.iterdir()] == ["kept.txt"]


def test_outside_of_a_repository_the_working_directory_stays(monkeypatch, tmp_path_factory):
    lonely = tmp_path_factory.mktemp("lonely")
    monkeypatch.chdir(lonely)
    assert chapter.repository_root() == lonely.resolve()
