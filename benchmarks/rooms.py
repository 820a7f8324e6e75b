"""`python -m benchmarks.rooms` draws which room of the code knows which, book/_assets/rooms.svg.

A room is a module or a folder of `igc`, or `peers`, or `benchmarks`. Arrows point from a room to those that
it imports; one that follows from others (a knows b, b knows c, so a may know c) is left out. Every arrow
points down: a room lies as near below those that know it as may be, and one that nobody knows lies where
there is most room.
"""

import ast
from functools import cache
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path

from igc import _HOME

TARGET = Path("book/_assets/rooms.svg")
OUTSIDE = ("peers", "benchmarks")
HEIGHT, GAP, FLOOR, MARGIN, LETTER = 26, 12, 64, 6, 8.2
"""Of a box, between boxes, between floors, around the drawing, of a letter: in pixels."""
INSIDE_COLOUR, FOLDER_COLOUR, OUTSIDE_COLOUR, LINE = "#4a7389", "#2f5f78", "#a8574a", "#8b969d"

Graph = dict[str, set[str]]


def room_of(name: str) -> str | None:
    """The room that a dotted name such as igc.data.crop belongs to; None outside of the project."""
    top, *rest = name.split(".")
    return top if top in OUTSIDE else rest[0] if top == "igc" and rest else None


LATE = (("pretrained", "legacy"),)
"""Imports within a function of what is made of the room that asks for it: no arrow, or all would go round."""


def read_rooms(root: Path) -> Graph:
    """The rooms that each room of the repository at `root` imports, from the syntax trees of its sources.

    A name that `igc` lends from one of its modules, as in `from igc import IGCNet`, stands for that module.
    """
    sources: dict[str, list[ast.AST]] = {}
    for path in sorted(p for top in ("igc", *OUTSIDE) for p in (root / top).rglob("*.py")):
        room = room_of(".".join(path.relative_to(root).with_suffix("").parts))
        sources.setdefault(room, []).append(ast.parse(path.read_text(encoding="utf-8")))
    for front_door in ("__init__", "__main__"):
        sources.pop(front_door, None)
    lent = {name: room_of(home) for name, home in _HOME.items()}
    known = {room: {name for tree in trees for name in imported(tree)} for room, trees in sources.items()}
    graph = {}
    for room, names in known.items():
        reached = (room_of(name) for name in names)
        graph[room] = {lent.get(other, other) for other in reached} & sources.keys() - {room}
    for asks, answers in LATE:
        graph.get(asks, set()).discard(answers)
    return graph


def imported(tree: ast.AST) -> list[str]:
    """The dotted names that a syntax tree imports, wherever it does."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def without_shortcuts(graph: Graph) -> Graph:
    """The least graph that leads to the same rooms; graphlib.CycleError where there is a circle."""
    TopologicalSorter(graph).prepare()

    @cache
    def reach(room: str) -> frozenset[str]:
        return frozenset(graph[room]).union(*(reach(other) for other in graph[room]))

    return {
        room: {known for known in others if not any(known in reach(other) for other in others - {known})}
        for room, others in graph.items()
    }


def floors_of(graph: Graph) -> dict[str, int]:
    """The floor of each room, 0 the lowest: above all that it knows, then as near as may be below its users;
    without users in `igc`, on the narrowest floor above all that it knows. What is outside lies on top."""
    inside = {room: sorted(graph[room] - set(OUTSIDE)) for room in sorted(graph) if room not in OUTSIDE}
    order = list(TopologicalSorter(inside).static_order())
    floor: dict[str, int] = {}
    for room in order:
        floor[room] = 1 + max((floor[other] for other in inside[room]), default=-1)
    unknown = [room for room in inside if not any(room in others for others in inside.values())]
    for room in reversed(order):
        users = [floor[user] for user in inside if room in inside[user]]
        floor[room] = min(users) - 1 if users else floor[room]
    top = max(floor.values())
    for room in unknown:
        others = [(floor[name], width(name)) for name in inside if name != room]
        wide = [sum(w for level, w in others if level == n) for n in range(top + 1)]
        floor[room] = min(range(floor[room], top + 1), key=wide.__getitem__)
    return floor | {room: top + 1 + n for n, room in enumerate(OUTSIDE) if room in graph}


def routes(graph: Graph, floor: dict[str, int]) -> list[list[str]]:
    """Each arrow as a row of boxes from the upper to the lower, with an empty place on each floor between."""
    arrows = [(room, other) for room in sorted(graph) for other in sorted(graph[room])]
    between = [range(floor[room] - 1, floor[other], -1) for room, other in arrows]
    return [[a, *(f"{b}@{level}" for level in levels), b] for (a, b), levels in zip(arrows, between)]


def places(floor: dict[str, int], paths: list[list[str]]) -> dict[str, tuple[float, float]]:
    """The centre of every box and of every empty place. Arrows to one room share its empty places."""
    level = floor | {place: int(place.split("@")[1]) for path in paths for place in path if "@" in place}
    beside: dict[str, set[str]] = {name: set() for name in level}
    for path in paths:
        for upper, lower in pairwise(path):
            beside[upper].add(lower)
            beside[lower].add(upper)
    rows = [sorted(name for name in level if level[name] == n) for n in range(max(level.values()) + 1)]
    x = {name: position for row in rows for name, position in zip(row, spread(row))}
    for sweep in range(24):
        step = 1 if sweep % 2 else -1
        for row in rows[::step]:
            seen = {name: [x[other] for other in sorted(beside[name])] or [x[name]] for name in row}
            row.sort(key=lambda name: (sum(seen[name]) / len(seen[name]), name))
            x |= zip(row, spread(row))
    top = len(rows) - 1
    return {name: (x[name], MARGIN + HEIGHT / 2 + (top - level[name]) * FLOOR) for name in level}


def width(name: str) -> float:
    return 4.0 if "@" in name else LETTER * len(name) + 14


def spread(row: list[str]) -> list[float]:
    """Where the boxes of one floor have their centres, in this order, the middle of all at 0."""
    edge, centres = 0.0, []
    for name in row:
        centres.append(edge + width(name) / 2)
        edge += width(name) + GAP
    return [centre - (edge - GAP) / 2 for centre in centres]


def arrow(path: list[str], at: dict[str, tuple[float, float]]) -> str:
    """One arrow through its places: upright where it passes a floor, curved between floors."""
    (x, y), half = at[path[0]], HEIGHT / 2
    line = f"M{x:.0f} {y + half:.0f}"
    for name in path[1:]:
        (nx, ny), (x, y) = at[name], (x, y + half)
        bend = (ny - half - y) / 2
        line += f"C{x:.0f} {y + bend:.0f} {nx:.0f} {ny - half - bend:.0f} {nx:.0f} {ny - half:.0f}"
        if "@" in name:
            line += f"V{ny + half:.0f}"
        x, y = nx, ny
    return f'<path d="{line}" marker-end="url(#head)"/>'


def box(name: str, at: tuple[float, float], folder: bool) -> str:
    x, y = at
    colour = OUTSIDE_COLOUR if name in OUTSIDE else FOLDER_COLOUR if folder else INSIDE_COLOUR
    corner = f'x="{x - width(name) / 2:.0f}" y="{y - HEIGHT / 2:.0f}"'
    shape = f'<rect {corner} width="{width(name):.0f}" height="{HEIGHT}" rx="4" fill="{colour}"/>'
    return f'{shape}<text x="{x:.0f}" y="{y + 4.5:.0f}">{name}</text>'


def draw(graph: Graph, folders: set[str]) -> str:
    """The drawing as SVG; `folders` are the rooms that hold several modules."""
    least = without_shortcuts(graph)
    floor = floors_of(least)
    paths = routes(least, floor)
    at = places(floor, paths)
    left = min(at[name][0] - width(name) / 2 for name in at)
    right = max(at[name][0] + width(name) / 2 for name in at)
    at = {name: (x - left + MARGIN, y) for name, (x, y) in at.items()}
    size = f"{right - left + 2 * MARGIN:.0f} {max(y for _, y in at.values()) + HEIGHT / 2 + MARGIN:.0f}"
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img"'
        ' font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="13.5">',
        "<title>The rooms of the code, and which knows which</title>",
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="6" markerHeight="6"'
        f' orient="auto"><path d="M0 0 10 5 0 10z" fill="{LINE}"/></marker></defs>',
        f'<g fill="none" stroke="{LINE}" stroke-width="1.3">', *(arrow(path, at) for path in paths), "</g>",
        '<g fill="#fff" text-anchor="middle">',
        *(box(name, at[name], name in folders) for name in sorted(graph)), "</g>", "</svg>", "",
    ])  # fmt: skip


def picture(root: Path) -> str:
    """The drawing of the repository at `root`."""
    return draw(read_rooms(root), {path.name for path in (root / "igc").iterdir() if path.is_dir()})


def main() -> None:
    TARGET.write_text(picture(Path(".")), encoding="utf-8")
    print(f"{TARGET}: {TARGET.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
