"""`python tests/book/needs.py` prints, as rules for make, the files that each chapter's results depend on.

They are the modules of `igc` that the chapter imports, and what those import in turn; the files that are no
modules beside them (a style, shipped weights); and the files and folders of the repository that the chapter
names. Needs nothing but Python, so that make can ask before there is an environment.
"""

import ast
import re
import sys
from pathlib import Path

EXECUTED = "build/chapters", "build/notebooks"
NAMED = re.compile(r"\b(?:benchmarks/records|book/_assets)/[\w./-]*\w")


def imported(source: str) -> set[str]:
    """All dotted names that Python source imports, wherever it does; `from a import b` gives a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def lent(root: Path) -> dict[str, str]:
    """The names that `igc` lends from its modules, and from which, such as igc.IGCNet from igc.model."""
    for node in ast.parse((root / "igc" / "__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_HOME":
            return {f"igc.{name}": home for name, home in ast.literal_eval(node.value).items()}
    return {}


def modules_of(source: str, root: Path) -> set[Path]:
    """The files of the modules of `igc` that Python source needs, with those that they need."""
    homes, found, waiting = lent(root), set(), {"igc", *imported(source)}
    while waiting:
        name = waiting.pop()
        parts = homes.get(name, name).split(".")
        for end in range(1, len(parts) + 1):
            place = root.joinpath(*parts[:end])
            path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
            if parts[0] == "igc" and path.is_file() and path not in found:
                found.add(path)
                waiting |= imported(path.read_text(encoding="utf-8"))
    return found


def needs(chapter: Path, root: Path) -> list[str]:
    """What the results of `chapter` depend on, relative to `root`, in order."""
    source = chapter.read_text(encoding="utf-8")
    found = modules_of(source, root)
    folders = {path.parent for path in found}
    for path in (root / "igc").rglob("*"):
        homeless = not any(path.parent.glob("*.py"))  # a folder of shipped weights, say: everybody's
        if path.is_file() and path.suffix not in (".py", ".pyc") and (homeless or path.parent in folders):
            found.add(path)
    for name in NAMED.findall(source):
        place = root / name
        found |= {place} if place.is_file() else {path for path in place.rglob("*") if path.is_file()}
    return sorted(path.relative_to(root).as_posix() for path in found)


def main(root: Path) -> None:
    for chapter in sorted((root / "book").glob("*.py")):
        targets = " ".join(f"{folder}/{chapter.stem}.ipynb" for folder in EXECUTED)
        print(f"{targets}: \\\n  " + " \\\n  ".join(needs(chapter, root)))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).resolve().parents[2])
