"""3D views of surfaces and parts that turn under the mouse, in a notebook and in the built book.

Surfaces come as grids of camera-frame points (x right, y down, z forward; see the book's page on
conventions) and are shown upright, facing the viewer. Coordinates are stored as whole multiples of
`UNIT`, and colours as hexadecimal strings, so that a view of a 64x64 grid takes less than 400 kB of HTML.
All of this is ours; the paper shows still pictures only.
"""

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
import torch
from plotly.io.base_renderers import MimetypeRenderer

from igc.errors import UserError
from igc.meshes import Mesh, close_seams, surface_mesh

UNIT = 1e-4
"""Length of one step of the stored coordinates, in the unit of the points (the head is at depth 1)."""
HEIGHT = 460
"""Height of a view in CSS pixels; the width is that of the page."""
PULLS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Stops of the slider that pulls the parts apart: 0 is the assembled head."""

_GREY = "#7d8790"  # legible on a white and on a black page
_CONFIG = {"displayModeBar": False, "responsive": True, "scrollZoom": False, "showTips": False}


def surface_view(points, colours, masks=None, names=None, title: str | None = None) -> go.Figure:
    """A coloured surface, or several that a click in the legend shows and hides.

    `points` (H, W, 3) in the camera frame and `colours` (H, W, 3) in [0, 1]; `masks` (H, W), where given,
    is true at the vertices that are part of the surface. For several surfaces each argument has a first
    axis more, (N, H, W, ...), and `names` has N entries. Triangles across a jump in depth are left out.
    Tensors and arrays are both taken. Raises ValueError where shapes do not fit together, and UserError
    where a surface has no triangle to show.
    """
    points, colours = _array(points), _array(colours)
    if points.ndim == 3:
        points, colours = points[None], colours[None]
        masks = None if masks is None else _array(masks)[None]
    meshes = _meshes(points, colours, masks, names)
    figure = go.Figure([_trace(mesh, named=names is not None) for mesh in meshes])
    return figure.update_layout(_layout([mesh["xyz"] for mesh in meshes], title))


def parts_view(points, colours, masks, names, title: str | None = None) -> go.Figure:
    """The parts of a head as separate surfaces, with a slider that pulls them apart.

    `points` (M, H, W, 3) in the camera frame, `colours` (M, H, W, 3) in [0, 1], `masks` (M, H, W) true at
    the vertices of each part, `names` M strings. A part whose mask holds no triangle is left out. A click in
    the legend hides a part, a double click shows it alone. The slider needs no kernel: it works in
    the built book. Raises ValueError where shapes do not fit together, and UserError where no part is left.
    """
    meshes = _meshes(
        _array(points), _array(colours), close_seams(_array(masks).astype(bool)), names, skip_empty=True
    )
    shifts = _pull_directions([mesh["xyz"] for mesh in meshes])
    pulled = [[m["xyz"] + pull * s for m, s in zip(meshes, shifts)] for pull in PULLS]
    figure = go.Figure([_trace(mesh, named=True) for mesh in meshes])
    figure.update_layout(_layout(pulled[0] + pulled[-1], title), sliders=[_slider(pulled)])
    return figure.update_layout(margin_b=70)


class BookRenderer(MimetypeRenderer):
    """Emits a figure twice: as plotly's own type, which JupyterLab shows, and as HTML for the book.

    The HTML does not carry plotly's script; the book's pages load it once from their own files.
    """

    def to_mimebundle(self, fig_dict: dict) -> dict:
        """The two forms of the figure by their mime type."""
        bundle = pio.renderers["plotly_mimetype"].to_mimebundle(dict(fig_dict, config=_CONFIG))
        height = fig_dict.get("layout", {}).get("height", HEIGHT)
        html = pio.to_html(
            fig_dict, config=_CONFIG, include_plotlyjs=False, full_html=False, validate=False,
            default_width="100%", default_height=height,
        )  # fmt: skip
        return bundle | {"text/html": html, "text/plain": "3D view"}


def register_renderer() -> None:
    """Makes plotly show figures through `BookRenderer` from here on; harmless when called again."""
    pio.renderers["igc"] = BookRenderer()
    pio.renderers.default = "igc"


def _array(values) -> np.ndarray:
    return torch.as_tensor(values).detach().cpu().numpy()


def _meshes(points, colours, masks, names, skip_empty: bool = False) -> list[dict]:
    """One dict a surface: `xyz` (V, 3) in plotly's axes, `triangles` (T, 3), `colours` (V, 3), `name`."""
    masks = np.ones(points.shape[:-1], bool) if masks is None else _array(masks).astype(bool)
    names = [f"surface {i + 1}" for i in range(len(points))] if names is None else list(names)
    if points.ndim != 4 or points.shape[-1] != 3:
        raise ValueError(f"points must be (..., H, W, 3), not {points.shape}")
    if colours.shape != points.shape or masks.shape != points.shape[:-1] or len(names) != len(points):
        raise ValueError(
            f"points {points.shape}, colours {colours.shape}, masks {masks.shape} and {len(names)} names "
            "do not fit together"
        )
    surfaces = [surface_mesh(*surface) for surface in zip(points, colours, masks)]
    empty = [name for name, mesh in zip(names, surfaces) if len(mesh.triangles) == 0]
    if len(empty) == len(names) or (empty and not skip_empty):
        raise UserError(
            f"There is no triangle to show in {', '.join(empty)}: give a mask with more vertices."
        )
    return [_turned(mesh, name) for mesh, name in zip(surfaces, names) if len(mesh.triangles)]


def _turned(mesh: Mesh, name: str) -> dict:
    """A mesh in plotly's axes, (x, z, -y)."""
    x, y, z = mesh.vertices.T
    xyz = np.stack((x, z, -y), axis=-1)
    return {"xyz": xyz, "triangles": mesh.triangles, "colours": mesh.colours, "name": name}


def _pull_directions(parts: list[np.ndarray]) -> list[np.ndarray]:
    """How far each part moves at full pull: away from the head's centre, the nearest parts forward."""
    centres = np.stack([(part.min(0) + part.max(0)) / 2 for part in parts])
    head = np.concatenate(parts)
    shifts = 0.9 * (centres - (head.min(0) + head.max(0)) / 2)
    order = np.argsort(np.argsort(centres[:, 1]))
    shifts[:, 1] = 0.7 * np.ptp(head[:, 0]) * (order / max(len(parts) - 1, 1) - 0.5)
    return list(shifts)


def _coordinates(xyz) -> dict:
    """The vertices as whole multiples of UNIT, which plotly packs into two bytes each where they fit."""
    steps = np.rint(xyz / UNIT)
    kind = np.int16 if np.abs(steps).max() < 2**15 else np.int32
    return dict(zip("xyz", steps.astype(kind).T))


def _trace(mesh: dict, named: bool) -> go.Mesh3d:
    index = mesh["triangles"].astype(np.uint16 if len(mesh["xyz"]) < 2**16 else np.uint32)
    return go.Mesh3d(
        **_coordinates(mesh["xyz"]), **dict(zip("ijk", index.T)),
        vertexcolor=_hex(mesh["colours"]), color=_hex(mesh["colours"].mean(0, keepdims=True))[0],
        name=mesh["name"], showlegend=named, hoverinfo="skip", flatshading=False,
        lighting={"ambient": 0.6, "diffuse": 0.5, "specular": 0, "roughness": 1, "fresnel": 0},
        lightposition={"x": -100, "y": 150, "z": -1},  # in clip space: beside the viewer, up and left
    )  # fmt: skip


def _hex(colours) -> list[str]:
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in np.rint(np.asarray(colours) * 255).astype(int)]


def _layout(surfaces: list[np.ndarray], title: str | None) -> dict:
    """Hidden axes that hold all `surfaces` at one scale, and a camera in front of the face."""
    xyz = np.concatenate(surfaces) / UNIT
    low, high = xyz.min(0), xyz.max(0)
    extent = np.maximum(high - low, 1.0)
    low, high = (low + high - extent) / 2, (low + high + extent) / 2
    axes = {
        f"{axis}axis": {"visible": False, "range": [float(low[i]), float(high[i])]}
        for i, axis in enumerate("xyz")
    }
    aspect = {axis: float(e) for axis, e in zip("xyz", extent / extent[[0, 2]].max())}
    camera = {"eye": {"x": 0.4, "y": -1.35, "z": 0.15}, "up": {"x": 0, "y": 0, "z": 1}}
    scene = {"aspectmode": "manual", "aspectratio": aspect, "camera": camera, "dragmode": "turntable"}
    return {
        "height": HEIGHT, "autosize": True, "uirevision": "kept", "title": {"text": title, "x": 0.5},
        "margin": {"l": 0, "r": 0, "b": 0, "t": 40 if title else 0},
        "paper_bgcolor": "rgba(0,0,0,0)", "font": {"color": _GREY, "size": 14}, "scene": scene | axes,
        "legend": {"itemsizing": "constant", "x": 1, "xanchor": "right", "y": 0.95},
        "legend_bgcolor": "rgba(0,0,0,0)",
    }  # fmt: skip


def _slider(pulled: list[list[np.ndarray]]) -> dict:
    """A slider whose stops restyle the coordinates of all parts; `pulled` is indexed by stop, then part."""
    steps = []
    for pull, parts in zip(PULLS, pulled):
        packed = [go.Mesh3d(**_coordinates(part)).to_plotly_json() for part in parts]
        steps.append(
            {
                "label": f"{pull:.0%}",
                "method": "restyle",
                "args": [{a: [p[a] for p in packed] for a in "xyz"}],
            }
        )
    return {
        "steps": steps, "active": 0, "x": 0.1, "len": 0.8, "y": 0, "pad": {"t": 10, "b": 10},
        "currentvalue": {"prefix": "pulled apart: ", "xanchor": "center"}, "ticklen": 3,
        "bgcolor": "rgba(125,135,144,0.35)", "bordercolor": _GREY, "tickcolor": _GREY,
    }  # fmt: skip
