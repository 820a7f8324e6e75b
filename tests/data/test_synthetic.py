import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from igc import geometry
from igc.data import FACE_PARTS, LABELS, SyntheticFaces, heads, paint, planted, scene, synthetic
from igc.errors import UserError
from igc.shading import lambert

FOV = math.radians(10)
FACES = Path(__file__).parent / "faces.png"
SIZE = 64
MIRROR = [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31]
MIRROR += [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
MIRROR += [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
SHAPES = {
    "image": (3, SIZE, SIZE), "identity": (), "pose": (6,), "light": (5,), "landmarks": (68, 2),
    "landmarks_visible": (68,), "landmarks_3d": (68, 3), "depth": (SIZE, SIZE), "normal": (3, SIZE, SIZE),
    "albedo": (3, SIZE, SIZE), "labels": (SIZE, SIZE), "canonical_depth": (SIZE, SIZE),
    "canonical_normal": (3, SIZE, SIZE), "canonical_albedo": (3, SIZE, SIZE),
    "canonical_labels": (SIZE, SIZE),
}  # fmt: skip


@pytest.fixture(scope="module")
def faces():
    return SyntheticFaces("test", per_identity=1).batch(range(12))


@pytest.fixture(scope="module")
def inside(faces):
    """Pixels at least two away from the background."""
    background = (faces["depth"] == 0).float()[:, None]
    return torch.nn.functional.max_pool2d(background, 5, 1, 2)[:, 0] == 0


def test_items_have_the_documented_keys_shapes_and_ranges(faces):
    item = SyntheticFaces("test", per_identity=1)[0]
    assert {name: tuple(value.shape) for name, value in item.items()} == SHAPES
    assert all(value.isfinite().all() for value in item.values() if value.is_floating_point())
    for name in ("image", "albedo", "canonical_albedo"):
        assert faces[name].dtype == torch.float32
        assert faces[name].amin() >= 0 and faces[name].amax() <= 1
    assert item["identity"].dtype == item["labels"].dtype == torch.int64
    assert item["landmarks_visible"].dtype == torch.bool
    for prefix in ("", "canonical_"):
        covered = faces[prefix + "depth"] > 0
        assert torch.equal(covered, faces[prefix + "labels"] > 0)
        assert torch.equal(covered, faces[prefix + "normal"].abs().sum(dim=1) > 0)


def test_every_part_is_seen_and_the_face_fills_the_image(faces):
    seen = faces["canonical_labels"].flatten(1)
    for label in FACE_PARTS:
        assert ((seen == label).sum(dim=1) > 8).all(), LABELS[label]
    assert set(faces["labels"].unique().tolist()) == set(range(len(LABELS)))
    top = (faces["canonical_depth"] > 0).any(dim=2).float().argmax(dim=1)
    assert (top >= 2).all() and (top <= 12).all()


def test_depths_lie_around_one(faces):
    face = (faces["canonical_labels"] > 0) & (faces["canonical_labels"] < 9)
    depth = faces["canonical_depth"][face]
    assert 0.94 < depth.min() < 0.965 and 1.02 < depth.max() < 1.06
    assert abs(depth.mean() - 1) < 0.02


def test_same_arguments_give_the_same_bytes():
    one, two = (SyntheticFaces(seed=3).batch([5, 6]) for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    other = SyntheticFaces(seed=4).batch([5, 6])
    assert not torch.equal(one["image"], other["image"])


def test_an_item_depends_neither_on_count_nor_on_its_company():
    alone = SyntheticFaces(count=12)[11]
    company = SyntheticFaces(count=500).batch([3, 11, 400])
    for name, value in alone.items():
        assert torch.equal(value, company[name][1]), name
    assert torch.equal(SyntheticFaces(count=12)[-1]["image"], alone["image"])
    quick = SyntheticFaces(count=12).batch([11], truth=False)
    assert set(quick) == {"image", "identity"}
    assert torch.equal(quick["image"][0], alone["image"])


def test_reading_past_the_end_stops():
    with pytest.raises(IndexError):
        SyntheticFaces(count=3)[3]
    assert len(SyntheticFaces(count=3)) == 3


def test_splits_hold_different_people():
    people = [set(SyntheticFaces(s, size=16).batch(range(20), truth=False)["identity"].tolist())
              for s in synthetic.SPLITS]  # fmt: skip
    assert [len(group) for group in people] == [3, 3, 3]
    assert len(set.union(*people)) == 9
    skins = {SyntheticFaces(s)._draw(0).p.skin for s in synthetic.SPLITS}
    assert len(skins) == 3


def test_images_of_a_person_share_the_identity_and_nothing_else():
    data = SyntheticFaces()
    (one, pose_1, light_1, *_), (two, pose_2, light_2, *_) = data._draw(0), data._draw(7)
    stranger = data._draw(8)[0]
    fixed = {**heads.SHAPE, **paint.COLOUR}
    assert all(vars(one)[name] == vars(two)[name] for name in fixed)
    assert all(vars(one)[name] != vars(stranger)[name] for name in fixed)
    assert all(vars(one)[name] != vars(two)[name] for name in heads.EXPRESSION)
    assert not torch.equal(pose_1, pose_2) and not torch.equal(light_1, light_2)


def test_parameters_poses_and_lights_stay_in_their_ranges():
    data = SyntheticFaces(yaw=30, per_identity=1)
    drawn = [data._draw(index) for index in range(300)]
    ranges = {**heads.SHAPE, **paint.COLOUR, **heads.EXPRESSION}
    assert all(low <= vars(p)[name] <= high for p, *_ in drawn for name, (low, high) in ranges.items())
    pose = torch.stack([d[1] for d in drawn])
    light = torch.stack([d[2] for d in drawn])
    reach = torch.rad2deg(pose[:, :3].abs().amax(dim=0))
    assert (reach <= torch.tensor([20.0, 30.0, 10.0]) + 1e-4).all()
    assert (reach > torch.tensor([15.0, 29.0, 7.0])).all()
    assert pose[:, 3:].abs().max() <= 0.005
    assert light[:, 0].min() >= 0.3 and light[:, 0].max() <= 0.6
    assert light[:, 1].min() >= 0.4 and light[:, 1].max() <= 0.7
    assert torch.allclose(light[:, 2:].norm(dim=1), torch.ones(300))
    assert (light[:, 4] < -0.6).all()


def test_view_and_canonical_truth_are_one_surface(faces):
    points = geometry.inverse_transform(geometry.depth_to_points(faces["depth"], FOV), faces["pose"])
    pixels = geometry.points_to_pixels(points, SIZE, FOV)
    where = pixels[..., :2] / (0.5 * SIZE) - 1

    def canonical(name):
        maps = faces[name] if faces[name].dim() == 4 else faces[name][:, None].float()
        return torch.nn.functional.grid_sample(maps, where, align_corners=False)

    covered = (faces["canonical_depth"] > 0).float()[:, None]
    safe = torch.nn.functional.grid_sample(covered, where, align_corners=False)[:, 0] > 0.999
    gap = canonical("canonical_depth")[:, 0] - points[..., 2]
    both = (faces["depth"] > 0) & safe & (gap > -0.004)  # beyond: hidden at zero pose
    assert both.float().mean() > 0.2
    assert gap[both].abs().median() < 2e-4
    assert gap[both].abs().quantile(0.9) < 1.5e-3
    colour = (canonical("canonical_albedo") - faces["albedo"]).abs().mean(dim=1)[both]
    assert colour.median() < 0.01
    nearest = torch.nn.functional.grid_sample(
        faces["canonical_labels"][:, None].float(), where, mode="nearest", align_corners=False
    )[:, 0]
    assert (nearest == faces["labels"])[both].float().mean() > 0.93


def test_normals_are_unit_face_the_camera_and_fit_the_depth(faces, inside):
    for prefix in ("", "canonical_"):
        normal, depth = faces[prefix + "normal"], faces[prefix + "depth"]
        covered = depth > 0
        assert torch.allclose(normal.norm(dim=1)[covered], torch.ones(int(covered.sum())), atol=1e-5)
        ray = torch.nn.functional.normalize(geometry.depth_to_points(torch.ones_like(depth), FOV), dim=-1)
        assert ((normal.movedim(1, -1) * ray).sum(dim=-1)[covered] <= 1e-6).all()
    cosine = (faces["normal"] * geometry.depth_to_normals(faces["depth"], FOV)).sum(dim=1)[inside]
    angle = torch.rad2deg(torch.acos(cosine.clamp(-1, 1)))
    assert angle.median() < 2.5
    assert angle.quantile(0.9) < 12


def test_the_light_is_canonical_and_explains_the_image(faces, inside):
    light = faces["light"]
    assert torch.allclose(light[:, 2:].norm(dim=1), torch.ones(len(light)), atol=1e-5)
    in_view = geometry.rotate(light[:, None, 2:], faces["pose"][:, :3])[:, 0]
    drawn = [SyntheticFaces("test", per_identity=1)._draw(i)[2] for i in range(len(light))]
    assert torch.allclose(in_view, torch.stack(drawn)[:, 2:], atol=1e-5)
    view_light = torch.cat((light[:, :2], in_view), dim=1)
    composed = (faces["albedo"] * lambert(faces["normal"], view_light)).clamp(0, 1)
    error = (composed - faces["image"]).abs().mean(dim=1)[inside]
    assert error.median() < 0.005 and error.mean() < 0.02
    unturned = (faces["albedo"] * lambert(faces["normal"], light)).clamp(0, 1)
    assert (unturned - faces["image"]).abs().mean(dim=1)[inside].mean() > 2 * error.mean()


def test_landmarks_are_their_points_and_lie_on_the_surface(faces):
    pixels = geometry.points_to_pixels(faces["landmarks_3d"], SIZE, FOV)
    assert torch.allclose(pixels[..., :2], faces["landmarks"], atol=1e-3)
    x, y = faces["landmarks"].floor().long().clamp(0, SIZE - 1).unbind(-1)
    item = torch.arange(len(x))[:, None]
    depth = faces["depth"][item, y, x]
    seen, covered = faces["landmarks_visible"], depth > 0
    assert seen[:, 17:].float().mean() > 0.85
    assert not seen[:, :17].all()
    assert (faces["landmarks_3d"][..., 2] - depth)[seen & covered].max() <= 0.006
    assert (faces["landmarks_3d"][..., 2] - depth)[seen & covered].abs().median() < 1e-3
    middle = seen[:, 36:] & covered[:, 36:]
    labels = faces["labels"][item, y, x]
    assert (labels[:, 36:48] == 2)[middle[:, :12]].float().mean() > 0.95
    assert (labels[:, 60:] == 4)[middle[:, 24:]].float().mean() > 0.95
    assert (labels[:, 27:31] == 3)[seen[:, 27:31]].float().mean() > 0.85


def test_heads_and_landmarks_are_symmetrical_at_zero_pose():
    p = SyntheticFaces("test")._draw(0).p
    p.fringe = 0.0  # the hair alone is not
    head = scene.Head(p)
    still = head.maps(torch.zeros(6), SIZE)
    marks = head.landmarks(torch.zeros(6), still["depth"])
    flipped = marks["landmarks"][MIRROR] * torch.tensor((-1.0, 1.0)) + torch.tensor((float(SIZE), 0.0))
    assert torch.allclose(flipped, marks["landmarks"], atol=1e-2)
    assert marks["landmarks_visible"].float().mean() > 0.9
    assert (marks["landmarks"] > 0).all() and (marks["landmarks"] < SIZE).all()
    assert (still["depth"] - still["depth"].flip(-1)).abs().median() < 1e-5
    assert (still["albedo"] - still["albedo"].flip(-1)).abs().mean() < 0.01


def test_the_background_is_drawn_and_clutter_is_richer():
    plain, clutter = (
        SyntheticFaces(background=kind, per_identity=1).batch(range(6)) for kind in synthetic.BACKGROUNDS
    )
    assert torch.equal(plain["depth"], clutter["depth"])
    around = plain["depth"] == 0
    spread = [
        torch.stack([faces["image"][i][:, around[i]].std(dim=1).mean() for i in range(6)])
        for faces in (plain, clutter)
    ]
    assert (spread[0] < 0.12).all() and spread[1].mean() > 2 * spread[0].mean()
    inner = plain["labels"] == 3
    assert (plain["image"] - clutter["image"]).abs().sum(dim=1)[inner].median() == 0


def test_sizes_show_the_same_face():
    small = SyntheticFaces(size=32)[0]
    large = SyntheticFaces(size=64)[0]
    shrunk = torch.nn.functional.avg_pool2d(large["image"], 2)
    assert (shrunk - small["image"]).abs().mean() < 0.02
    assert torch.allclose(2 * small["landmarks"], large["landmarks"], atol=1e-3)


def test_fingerprints_tell_settings_apart():
    made = [
        SyntheticFaces(), SyntheticFaces("test"), SyntheticFaces(seed=1), SyntheticFaces(size=32),
        SyntheticFaces(count=8), SyntheticFaces(background="clutter"), SyntheticFaces(yaw=30),
        SyntheticFaces(per_identity=2), SyntheticFaces(shadows=True), SyntheticFaces(glasses=True),
        *(SyntheticFaces(planted=name) for name in planted.PLANTED),
    ]  # fmt: skip
    names = [data.fingerprint() for data in made]
    assert len(set(names)) == len(names)
    assert all(synthetic.VERSION in name for name in names)
    assert SyntheticFaces().fingerprint() == names[0]


@pytest.mark.parametrize("split", synthetic.SPLITS)
def test_the_fixed_splits_are_made_of_the_same_numbers_everywhere(split):
    data = SyntheticFaces(split, synthetic.BENCHMARK[split])
    assert data.checksum() == synthetic.CHECKSUMS[split]
    assert SyntheticFaces(split, 16, glasses=True).checksum() != SyntheticFaces(split, 16).checksum()


def test_the_pixels_are_those_of_the_committed_faces():
    stored = np.asarray(Image.open(FACES).convert("RGB")).astype(int)
    drawn = (reference_faces() * 255).round().numpy().astype(int)
    assert stored.shape == drawn.shape
    assert (np.abs(stored - drawn).max(axis=-1) <= 1).mean() >= 0.999


def reference_faces():
    """Twelve faces of all kinds in one picture (3 rows of 4, each 64 pixels): (192, 256, 3)."""
    plain = SyntheticFaces("test", per_identity=1).batch(range(6), truth=False)["image"]
    rich = SyntheticFaces("test", per_identity=1, background="clutter", shadows=True, glasses=True)
    images = torch.cat((plain, rich.batch(range(6), truth=False)["image"]))
    return images.reshape(3, 4, 3, 64, 64).permute(0, 3, 1, 4, 2).reshape(192, 256, 3)


def test_shadows_darken_and_change_nothing_else():
    plain, shadowed = (SyntheticFaces("test", shadows=on, per_identity=1) for on in (False, True))
    one, two = plain.batch(range(15)), shadowed.batch(range(15))
    assert all(torch.equal(one[name], two[name]) for name in one if name != "image")
    darker = one["image"] - two["image"]
    assert darker.min() > -1e-4 and (darker.amax(dim=(1, 2, 3)) > 0.05).float().mean() > 0.5
    assert 0.01 < (darker > 0.01).float().mean() < 0.2


def test_a_shadow_falls_where_the_light_is_blocked():
    head = scene.Head(SyntheticFaces("test", planted="nothing")._draw(0).p)
    middle = head.points.shape[1] // 2
    from_left = scene._lit(head.points, np.array((-0.9, 0.0, -math.sqrt(0.19)), np.float32))
    nose = np.abs(heads.HEIGHT - 2.5).argmin()
    left, right = from_left[nose, middle - 6 : middle - 1], from_left[nose, middle + 2 : middle + 7]
    assert left.min() > 0.9 and right.min() < 0.2, "the nose shades the cheek behind it"
    frontal = scene._lit(head.points, np.array((0.0, 0.0, -1.0), np.float32))
    assert frontal[nose, middle - 12 : middle + 13].min() > 0.9


def test_glasses_are_worn_in_half_of_the_images_and_leave_the_truth_alone():
    bare, worn = (SyntheticFaces("test", glasses=on, yaw=20) for on in (False, True))
    one, two = bare.batch(range(24)), worn.batch(range(24))
    assert all(torch.equal(one[name], two[name]) for name in one if name != "image")
    changed = (one["image"] - two["image"]).abs().amax(dim=1) > 0.02
    wearing = changed.flatten(1).any(dim=1)
    assert 0.25 < wearing.float().mean() < 0.75
    assert 0.2 < wearing[:8].float().mean() < 1, "not the same in all images of a person"
    share = torch.isin(one["labels"], torch.tensor((1, 2, 3, 5, 7, 8)))[changed].float().mean()
    assert share > 0.9 and changed[wearing].float().mean() < 0.1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"split": "dev"}, "train, validation, test"),
        ({"count": 0}, "count=0"),
        ({"count": 2.5}, "count=2.5"),
        ({"size": 40}, "multiple of 16"),
        ({"size": 0}, "multiple of 16"),
        ({"background": "forest"}, "plain, clutter"),
        ({"yaw": 0}, "yaw=0"),
        ({"yaw": 91}, "yaw=91"),
        ({"yaw": "wide"}, "degrees"),
        ({"seed": -1}, "seed=-1"),
        ({"per_identity": 0}, "per_identity=0"),
        ({"planted": "ears"}, "nose shape"),
        ({"shadows": 1}, "True or False"),
        ({"glasses": "round"}, "True or False"),
    ],
)
def test_bad_arguments_are_named(arguments, words):
    with pytest.raises(UserError, match=words) as caught:
        SyntheticFaces(**arguments)
    assert "\n" not in str(caught.value)
