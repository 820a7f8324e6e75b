"""A change executes exactly the chapters whose results depend on it."""

from pathlib import Path

import pytest

from tests.book import needs

ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository(tmp_path):
    """Two chapters and a package: a knows b, b knows c by a name that the package lends, d is alone."""
    files = {
        "igc/__init__.py": '_HOME = {"Thing": "igc.c"}\n', "igc/a.py": "from igc import b\n",
        "igc/b.py": "def late():\n    from igc import Thing\n", "igc/c.py": "", "igc/d.py": "import math\n",
        "igc/sub/__init__.py": "import igc.sub.x\n", "igc/sub/x.py": "", "igc/sub/x.css": "",
        "igc/weights/model.bin": "", "igc/x.pyc": "", "benchmarks/records/one.json": "",
        "benchmarks/records/many/2.json": "", "book/1.py": "from igc.a import anything\n",
        "book/2.py": 'import igc.sub\none, many = "benchmarks/records/one.json", "benchmarks/records/many"\n',
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_modules_are_followed_and_the_others_are_left_out(repository):
    found = needs.needs(repository / "book" / "1.py", repository)
    assert found == ["igc/__init__.py", "igc/a.py", "igc/b.py", "igc/c.py", "igc/weights/model.bin"]


def test_what_lies_beside_a_module_and_what_a_chapter_names_count(repository):
    assert needs.needs(repository / "book" / "2.py", repository) == [
        "benchmarks/records/many/2.json", "benchmarks/records/one.json", "igc/__init__.py",
        "igc/sub/__init__.py", "igc/sub/x.css", "igc/sub/x.py", "igc/weights/model.bin",
    ]  # fmt: skip


def test_the_rules_name_every_chapter(repository, capsys):
    needs.main(repository)
    told = capsys.readouterr().out
    assert told.count(": \\\n") == 2 and told.endswith("igc/weights/model.bin\n")
    assert "build/chapters/1.ipynb build/notebooks/1.ipynb: \\\n  igc/__init__.py" in told


def test_of_the_books_chapters_only_one_depends_on_the_swapping_of_parts():
    users = [path.stem for path in sorted((ROOT / "book").glob("*.py"))
             if "igc/analysis/swap.py" in needs.needs(path, ROOT)]  # fmt: skip
    assert users == ["05_face_analysis"]
