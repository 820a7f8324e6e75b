"""Exported faces, read back: their triangles, colours, axes and names."""

import json
import re
import struct

import numpy as np
import pytest
import torch
import trimesh

from igc import IGCNet, ModelConfig, UserError, geometry
from igc.export import export_face

M, S = 3, 32


@pytest.fixture(scope="module")
def explained():
    """A model, and a face that it was given: a round nose on a disc, in three parts one above the other."""
    torch.manual_seed(0)
    model = IGCNet(ModelConfig(size=S, width=8, channels=12, parts=M)).eval()
    with torch.no_grad():
        out = model(torch.rand(2, 3, S, S))
    y, x = torch.meshgrid(*[(torch.arange(S) + 0.5) / S * 2 - 1] * 2, indexing="ij")
    inside = (x**2 + y**2 < 0.7).float()
    depth = 1 + 0.02 * (x**2 + y**2) - 0.03 * torch.exp(-(x**2 + y**2) / 0.03)
    albedo = torch.stack((0.5 + 0.4 * x, 0.5 + 0.4 * y, torch.full((S, S), 0.1)))
    bands = torch.stack([((y + 1) / 2 * M).long() == m for m in range(M)]) * inside
    visibility = torch.cat((bands, 1 - inside[None]))[None].expand(2, -1, -1, -1)
    parts = out.parts._replace(
        depth=depth.expand(2, M, S, S), albedo=albedo.expand(2, M, 3, S, S), visibility=visibility
    )
    return model, out._replace(parts=parts, depth=depth.expand(2, S, S), albedo=albedo.expand(2, 3, S, S))


def truth(model, out):
    """Points (V, 3) in the formats' axes and colours (V, 3) of the face's vertices, row by row."""
    face = out.parts.visibility[0, -1] < 0.5
    points = geometry.depth_to_points(out.depth[0], model.fov)[face] - torch.tensor(geometry.CENTRE)
    return (points * torch.tensor([1.0, -1.0, -1.0])).numpy(), out.albedo[0].movedim(0, -1)[face].numpy()


def load(path):
    """Meshes by name; materials are left out, so that the colours stay those of the vertices."""
    return dict(trimesh.load_scene(path, skip_materials=True, process=False, maintain_order=True).geometry)


def colours(mesh):
    return np.asarray(mesh.visual.vertex_colors)[:, :3] / 255


def tree(path):
    """The JSON part of a .glb file."""
    content = path.read_bytes()
    (length,) = struct.unpack("<I", content[12:16])
    return json.loads(content[20 : 20 + length])


@pytest.mark.parametrize("suffix", [".glb", ".obj", ".OBJ"])
def test_whole_faces_come_back_with_their_vertices_and_colours(explained, tmp_path, suffix):
    model, out = explained
    path = export_face(model, out, 0, tmp_path / "new folder" / f"face{suffix}")
    (mesh,) = load(path).values()
    points, albedo = truth(model, out)
    assert len(mesh.vertices) == len(points) and len(mesh.faces) > 1.8 * len(points)
    order = np.lexsort(np.round(points, 4).T)
    found = np.lexsort(np.round(mesh.vertices, 4).T)
    np.testing.assert_allclose(mesh.vertices[found], points[order], atol=2e-6)
    wanted = albedo[order] if suffix != ".glb" else ((albedo[order] + 0.055) / 1.055) ** 2.4
    np.testing.assert_allclose(colours(mesh)[found], wanted, atol=0.6 / 255)
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name], "nothing is left beside it"


@pytest.mark.parametrize("suffix", [".glb", ".obj"])
def test_the_face_stands_upright_and_looks_along_z(explained, tmp_path, suffix):
    (mesh,) = load(export_face(*explained, 0, tmp_path / f"face{suffix}")).values()
    tip = mesh.vertices[mesh.vertices[:, 2].argmax()]
    assert np.abs(tip[:2]).max() < 0.01 and tip[2] > 0.02, "the nose is in the middle, towards the viewer"
    assert (mesh.face_normals[:, 2] > 0).all() and (mesh.vertex_normals[:, 2] > 0).all()
    green = colours(mesh)[:, 1]
    assert np.corrcoef(green, mesh.vertices[:, 1])[0, 1] < -0.9, "green grows downwards in the picture"
    assert np.corrcoef(colours(mesh)[:, 0], mesh.vertices[:, 0])[0, 1] > 0.9, "red grows to the right"


@pytest.mark.parametrize("parts", [False, True])
def test_moved_points_are_exported_where_they_are_and_nothing_beyond_the_frame(moved, tmp_path, parts):
    model, out = moved
    meshes = load(export_face(model, out, 1, tmp_path / "face.glb", parts))
    found = np.concatenate([mesh.vertices for mesh in meshes.values()]) * (1, -1, -1)
    true = model.points(out.depth[[1]], out.shift[[1]])[0].detach().numpy() - geometry.CENTRE
    face = (out.parts.visibility[1, -1] < 0.5).numpy()
    if model.config.background == "none":
        face[[0, -1]] = face[:, [0, -1]] = False
        assert parts or len(found) == face.sum() == 30 * 30
    apart = np.linalg.norm(found[:, None] - true[face], axis=-1)
    assert apart.min(axis=1).max() < 2e-6
    assert not any(mesh.is_watertight for mesh in meshes.values()), "open sheets"


def test_part_by_part_there_is_an_object_for_each(explained, tmp_path):
    model, out = explained
    meshes = load(export_face(model, out, 0, tmp_path / "parts.glb", parts=True))
    assert sorted(meshes) == ["part_1", "part_2", "part_3"]
    heights = [meshes[name].vertices[:, 1].mean() for name in sorted(meshes)]
    assert heights[0] > heights[1] > heights[2], "the first part is the upper band"
    (whole,) = load(export_face(model, out, 0, tmp_path / "whole.glb")).values()
    face = (out.parts.visibility[0, -1] < 0.5).float()
    cells = 2 * int((torch.nn.functional.avg_pool2d(face[None], 2, stride=1) == 1).sum())
    assert len(whole.faces) > cells, "the rim has single triangles"
    assert sum(len(mesh.faces) for mesh in meshes.values()) >= cells, "no cell is left out"


def test_an_obj_holds_the_same_parts_as_a_glb(explained, tmp_path):
    meshes = load(export_face(*explained, 0, tmp_path / "parts.glb", parts=True))
    text = export_face(*explained, 0, tmp_path / "parts.obj", parts=True).read_text()
    blocks = {block.split("\n")[0]: block for block in re.split(r"^o ", text, flags=re.MULTILINE)[1:]}
    assert set(blocks) == set(meshes)
    for name, block in blocks.items():
        vertices = [line.split()[1:4] for line in block.splitlines() if line.startswith("v ")]
        np.testing.assert_allclose(np.array(vertices, float), meshes[name].vertices, atol=2e-6)
        assert sum(line.startswith("f ") for line in block.splitlines()) == len(meshes[name].faces)
    (together,) = load(tmp_path / "parts.obj").values()
    corners = np.concatenate([mesh.vertices[mesh.faces] for mesh in meshes.values()])
    np.testing.assert_allclose(together.vertices[together.faces], corners, atol=2e-6)


def test_a_part_that_is_not_seen_is_left_out(explained, tmp_path):
    model, out = explained
    visibility = out.parts.visibility.clone()
    visibility[:, 0] += visibility[:, 1]
    visibility[:, 1] = 0
    hidden = out._replace(parts=out.parts._replace(visibility=visibility))
    meshes = load(export_face(model, hidden, 0, tmp_path / "parts.glb", parts=True))
    assert sorted(meshes) == ["part_1", "part_3"]
    nodes = {node["name"] for node in tree(tmp_path / "parts.glb")["nodes"] if "mesh" in node}
    assert nodes == {"part_1", "part_3"}


def test_no_triangle_spans_a_jump_in_depth(explained, tmp_path):
    model, out = explained
    depth = out.depth.clone()
    depth[:, :, S // 2 :] += 0.3
    torn = out._replace(depth=depth)
    (mesh,) = load(export_face(model, torn, 0, tmp_path / "torn.glb")).values()
    assert np.ptp(mesh.vertices[mesh.faces][:, :, 2], axis=1).max() < 0.2 < np.ptp(mesh.vertices[:, 2])


def test_glb_has_normals_and_a_matt_material(explained, tmp_path):
    found = tree(export_face(*explained, 1, tmp_path / "face.glb"))
    (material,) = found["materials"]
    assert material["doubleSided"] and material["pbrMetallicRoughness"]["metallicFactor"] == 0
    (primitive,) = (mesh["primitives"][0] for mesh in found["meshes"])
    assert primitive["material"] == 0 and {"POSITION", "NORMAL", "COLOR_0"} <= set(primitive["attributes"])


@pytest.mark.parametrize("name", ["face.ply", "face", "face.glb.zip"])
def test_other_suffixes_are_refused_before_anything_is_written(explained, tmp_path, name):
    with pytest.raises(UserError, match=rf"{name} cannot be written: .* ends in \.glb or \.obj\."):
        export_face(*explained, 0, tmp_path / "new" / name)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_named_and_nothing_is_left(explained, tmp_path):
    (tmp_path / "face.glb").mkdir()
    with pytest.raises(UserError, match=r"face\.glb cannot be written \(.*directory\): make room there, or"):
        export_face(*explained, 0, tmp_path / "face.glb")
    assert [path.name for path in tmp_path.iterdir()] == ["face.glb"]


def test_an_empty_face_and_a_missing_one_are_refused(explained, tmp_path):
    model, out = explained
    nothing = torch.zeros_like(out.parts.visibility)
    nothing[:, -1] = 1
    empty = out._replace(parts=out.parts._replace(visibility=nothing))
    for parts in (False, True):
        with pytest.raises(UserError, match="face 0 covers no triangle"):
            export_face(model, empty, 0, tmp_path / "face.obj", parts)
    with pytest.raises(IndexError):
        export_face(model, out, 2, tmp_path / "face.obj")
