"""Faces as files that other programs open: .obj and .glb, with the albedo as vertex colours.

Both formats have x right, y up and z towards the viewer. A canonical point (x, y, z) is written as
(x, -y, 1 - z): the face looks along +z, stands upright, and turns about the origin. The unit is the distance
from the camera to the face; programs that count in metres show a small head. All of it is ours.
"""

from pathlib import Path

import numpy as np
import trimesh

from igc.errors import UserError
from igc.figures import part_meshes
from igc.files import make_folder, write_bytes, writing
from igc.meshes import Mesh, close_seams, surface_mesh
from igc.model import IGCNet
from igc.outputs import Output
from igc.views import one_face, seen_parts

SUFFIXES = (".glb", ".obj")


def export_face(model: IGCNet, out: Output, item: int, path: str | Path, parts: bool = False) -> Path:
    """Writes face number `item` of `out` to `path`, whose suffix (.glb or .obj) says as what.

    The face is canonical, one object named "face"; with `parts` it is one object for each part that is seen,
    part_1, part_2 and so on. The surface is an open sheet: without the sides of a head, and without what goes
    on beyond the frame where there is no background. Triangles lie inside the face and span no jump in depth.
    The colours are the albedo, not lit: as the picture's values in an .obj, as linear light in a .glb, since
    glTF asks for that. Returns the path. UserError for another suffix, a file that cannot be written, or a
    face that is empty; IndexError where there is no such item.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path} cannot be written: give it a name that ends in {' or '.join(SUFFIXES)}.")
    meshes = _part_surfaces(model, out, item) if parts else _whole_surface(model, out, item)
    if not meshes:
        raise UserError(f"{path} was not written: face {item} covers no triangle, so choose another face.")
    glb = path.suffix.lower() == ".glb"
    scene = trimesh.Scene()
    for name, mesh in meshes.items():
        scene.add_geometry(_object(name, mesh, linear=glb), geom_name=name, node_name=name)
    make_folder(path.parent)
    with writing(path):
        write_bytes(path, _as_glb(scene) if glb else _as_obj(scene))
    return path


def _whole_surface(model: IGCNet, out: Output, item: int) -> dict[str, Mesh]:
    """The assembled face under its name; nothing where it has no triangle."""
    face = one_face(out, item)
    points, colours = model.points(face.depth, face.shift)[0], face.albedo[0].movedim(0, -1)
    mask = seen_parts(model, face)[0].any(dim=0)
    mesh = surface_mesh(*(each.detach().cpu().numpy() for each in (points, colours, mask)))
    return {"face": mesh} if len(mesh.triangles) else {}


def _part_surfaces(model: IGCNet, out: Output, item: int) -> dict[str, Mesh]:
    """The parts that have a triangle, by their names."""
    surfaces = part_meshes(model, out, item)
    points, colours, masks = (surfaces[k].detach().cpu().numpy() for k in ("points", "colours", "masks"))
    names = (name.replace(" ", "_") for name in surfaces["names"])
    meshes = map(surface_mesh, points, colours, close_seams(masks))
    return {name: mesh for name, mesh in zip(names, meshes) if len(mesh.triangles)}


def _object(name: str, mesh: Mesh, linear: bool) -> trimesh.Trimesh:
    """A mesh in the axes of the formats; turned about x, so that its triangles face outwards as before."""
    colours = _to_linear(mesh.colours) if linear else mesh.colours
    return trimesh.Trimesh(
        mesh.vertices * (1, -1, -1), mesh.triangles, process=False, metadata={"name": name},
        vertex_colors=np.rint(255 * colours).astype(np.uint8),
    )  # fmt: skip


def _to_linear(colours: np.ndarray) -> np.ndarray:
    """The picture's values (sRGB, IEC 61966-2-1) as amounts of light, both in [0, 1]."""
    return np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)


def _as_glb(scene: trimesh.Scene) -> bytes:
    """Binary glTF with a matt material that is seen from behind as well: the default one is metal."""
    matt = {
        "doubleSided": True,
        "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
    }

    def dress(tree: dict) -> None:
        tree["materials"] = [matt]
        for mesh in tree["meshes"]:
            mesh["primitives"][0]["material"] = 0

    return trimesh.exchange.gltf.export_glb(scene, include_normals=True, tree_postprocessor=dress)


def _as_obj(scene: trimesh.Scene) -> bytes:
    """Wavefront text, one object a mesh: lines v x y z red green blue, vn and f."""
    text = trimesh.exchange.obj.export_obj(scene, include_normals=True, digits=6, header=None)
    return text.lstrip().encode()
