"""`python -m tests.book.needs` prints, as rules for make, the files that each chapter's results depend on.

They are the modules of `igc` that the chapter imports, and what those import in turn; the files that are no
modules beside them (a style, shipped weights); and the files and folders of the repository that the chapter
names. Needs nothing but Python, so that make can ask before there is an environment.
"""

import ast
import re
import sys
from functools import cache
from pathlib import Path

from benchmarks.rooms import imported

EXECUTED = "build/chapters", "build/notebooks"
NAMED = re.compile(r"\b(?:benchmarks/records|book/_assets)/[\w./-]*\w")


@cache
def names_in(path: Path) -> frozenset[str]:
    """All dotted names that a source file imports."""
    return frozenset(imported(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def lent(root: Path) -> dict[str, str]:
    """The names that `igc` lends from its modules, and from which, such as igc.IGCNet from igc.model."""
    for node in ast.parse((root / "igc" / "__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_HOME":
            return {f"igc.{name}": home for name, home in ast.literal_eval(node.value).items()}
    return {}


def modules_of(source: Path, root: Path) -> set[Path]:
    """The files of the modules of `igc` that a source file needs, with those that they need."""
    homes, found, waiting = lent(root), set(), {"igc", *names_in(source)}
    while waiting:
        name = waiting.pop()
        parts = homes.get(name, name).split(".")
        for end in range(1, len(parts) + 1):
            place = root.joinpath(*parts[:end])
            path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
            if parts[0] == "igc" and path.is_file() and path not in found:
                found.add(path)
                waiting |= names_in(path)
    return found


def needs(chapter: Path, root: Path) -> list[str]:
    """What the results of `chapter` depend on, relative to `root`, in order."""
    found = modules_of(chapter, root)
    folders = {path.parent for path in found}
    for path in (root / "igc").rglob("*"):
        homeless = not any(path.parent.glob("*.py"))  # a folder of shipped weights, say: everybody's
        if path.is_file() and path.suffix not in (".py", ".pyc") and (homeless or path.parent in folders):
            found.add(path)
    for name in NAMED.findall(chapter.read_text(encoding="utf-8")):
        place = root / name
        found |= {place} if place.is_file() else {path for path in place.rglob("*") if path.is_file()}
    return sorted(path.relative_to(root).as_posix() for path in found)


def main(root: Path) -> None:
    for chapter in sorted((root / "book").glob("*.py")):
        targets = " ".join(f"{folder}/{chapter.stem}.ipynb" for folder in EXECUTED)
        print(f"{targets}: \\\n  " + " \\\n  ".join(needs(chapter, root)))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).resolve().parents[2])
