"""IGCNet: what it promises about its output, and its files."""

import copy
import dataclasses
import json
import math
import os
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import igc
from igc import IGCNet, ModelConfig, TrainConfig, geometry, losses
from igc.capsules import assemble, middle
from igc.errors import UserError
from igc.model import PACE
from igc.objective import Objective, at_points, objective
from igc.outputs import Output
from igc.pretrained import FORMAT
from igc.training import average_of

S, M, B = 32, 4, 3
TINY = {"size": S, "width": 8, "channels": 12}


KINDS = pytest.mark.parametrize("background", ["border", "none"])


def untrained(background="border", **settings):
    """A model whose poses, shapes and places are not quite the same for all images."""
    torch.manual_seed(3)
    model = IGCNet(ModelConfig(**{"parts": M, "background": background} | TINY | settings)).eval()
    with torch.no_grad():
        model.vote.weight.mul_(8)
        model.depth_decoder.output.weight.mul_(3)
        model.place_decoder.output.weight.normal_(std=0.1)
    return model


@pytest.fixture(scope="module")
def model():
    return untrained()


@pytest.fixture(scope="module")
def deep(model):
    """The same with a surface that is deep across, wherever surfaces start."""
    model = copy.deepcopy(model)
    axis = (torch.arange(S // 2) + 0.5) * (4 / S) - 1
    surface = 1.2 * axis**2 + 0.35 * axis[:, None] ** 2
    model.common_depth[-1].data = surface / PACE
    model.log_relief.data = (middle(surface).std() / model.start_relief).log()
    torch.testing.assert_close(middle(model.mean_surface()), middle(surface))
    return model


def test_how_deep_the_mean_face_is_does_not_depend_on_single_points(model):
    """Only on the relief; and a face whose surface is flat is flat, and no error."""
    deeper = copy.deepcopy(model)
    with torch.no_grad():
        for level in deeper.common_depth:
            level.mul_(1.7)
        torch.testing.assert_close(deeper.mean_surface(), model.mean_surface())
        deeper.log_relief += math.log(2)
        torch.testing.assert_close(deeper.mean_surface(), 2 * model.mean_surface())
        for level in deeper.common_depth:
            level.zero_()
        assert not deeper.mean_surface().any()


@pytest.fixture(scope="module")
def images():
    return torch.rand(B, 3, S, S, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def out(model, images):
    with torch.no_grad():
        return model(images)


def tensors(item):
    if item is None:
        return []
    return [item] if isinstance(item, torch.Tensor) else [t for part in item for t in tensors(part)]


def assert_same(found, wanted):
    for a, b in zip(tensors(found), tensors(wanted), strict=True):
        assert torch.equal(a, b)


@KINDS
def test_shapes_are_those_of_the_contract(background, images):
    with torch.no_grad():
        out = untrained(background)(images)
    shapes = {
        "depth": (S, S), "albedo": (3, S, S), "normal": (3, S, S), "light": (5,), "pose": (6,),
        "confidence": (2, S, S), "image": (3, S, S), "view_depth": (S, S), "view_normal": (3, S, S),
        "view_parts": (M, S, S), "view_alpha": (1, S, S), "background": (3, S, S),
        "soft_visibility": (M + 1, S, S), "shift": (2, S, S), "departure": (1, S // 2, S // 2),
        "place": (M, 3), "features": (16, S // 4, S // 4),
    }  # fmt: skip
    if background == "border":
        shapes |= {"support": (1, S, S), "own_support": (1, S // 4, S // 4)}
    else:
        assert out.support is None and out.own_support is None
    for name, shape in shapes.items():
        assert getattr(out, name).shape == (B, *shape), name
    assert out.parts.depth.shape == (B, M, S, S) and out.parts.albedo.shape == (B, M, 3, S, S)
    assert out.parts.pose.shape == (B, M, 6) and out.parts.visibility.shape == (B, M + 1, S, S)
    assert out.parts.shape_code.shape == out.parts.albedo_code.shape == (B, M, 12)
    assert all(torch.isfinite(value).all() for value in tensors(out))
    assert isinstance(out, Output)


def test_ranges_and_units_are_those_of_the_contract(model, out):
    config = model.config
    assert ((out.depth - 1).abs() <= config.depth_range + 1e-6).all()
    nearest = out.parts.depth.amin(dim=1)
    assert (nearest <= out.depth + 1e-6).all() and (nearest > out.depth - 0.01).all()
    middle = out.depth[:, S // 4 : 3 * S // 4, S // 4 : 3 * S // 4].mean(dim=(1, 2))
    torch.testing.assert_close(middle, torch.ones(B), atol=3e-3, rtol=0)
    for part in (out.albedo, out.parts.albedo, out.view_parts):
        assert part.min() >= -1e-5 and part.max() <= 1 + 1e-5
    assert out.image.min() >= -1e-5
    assert (out.confidence > 0.02).all()
    limit = math.radians(config.rotation_range)
    assert (out.pose[:, :3].abs() <= limit).all() and (
        out.pose[:, 3:].abs() <= config.translation_range
    ).all()
    assert out.pose[:, :3].std(dim=0).max() > 1e-4, "images have poses of their own"
    assert ((out.light[:, :2] > 0) & (out.light[:, :2] < 1)).all()
    torch.testing.assert_close(out.light[:, 2:].norm(dim=1), torch.ones(B))
    assert (out.light[:, 4] < 0).all(), "the light comes from the camera's side"


def test_visibility_is_one_hot_and_the_nearest_part_wins(out):
    visibility = out.parts.visibility
    torch.testing.assert_close(visibility.sum(dim=1), torch.ones(B, S, S))
    assert ((visibility - visibility.round()).abs() < 1e-5).all()
    face = visibility[:, -1] < 0.5
    assert face.any() and (~face).any()
    assert torch.equal(visibility[:, :-1].argmax(dim=1)[face], out.parts.depth.argmin(dim=1)[face])


def test_normals_are_unit_vectors(out):
    torch.testing.assert_close(out.normal.norm(dim=1), torch.ones(B, S, S))
    assert (out.normal[:, 2] < 0).all()
    length = out.view_normal.norm(dim=1)
    torch.testing.assert_close(length, (out.view_depth > 0).float(), atol=1e-4, rtol=0)


def test_the_view_has_a_depth_only_where_there_is_face_and_nearly_everywhere_there(out):
    face = out.view_alpha[:, 0] > 0.5
    assert face[out.view_depth > 0].all()
    assert (out.view_depth > 0)[face].float().mean() > 0.99, "a blended outline may cover half of a pixel"
    torch.testing.assert_close(out.view_alpha, out.view_parts.sum(dim=1, keepdim=True))


def test_outside_of_the_face_the_background_is_seen(out):
    outside = (out.view_alpha == 0).expand_as(out.image)
    assert outside.any() and torch.equal(out.image[outside], out.background[outside])


@pytest.fixture(scope="module")
def about_the_face(model, images):
    """What the same model says where heads turn about (0, 0, 1)."""
    model = copy.deepcopy(model)
    model.pivot.offset.data.zero_()
    with torch.no_grad():
        return model(images)


def test_the_pose_is_that_of_the_mean_vote(model, about_the_face):
    out = about_the_face
    limit = math.radians(model.config.rotation_range)
    votes = (out.parts.pose[..., :3] / limit).atanh().mean(dim=1)
    torch.testing.assert_close(out.pose[:, :3], limit * votes.tanh(), atol=1e-5, rtol=0)
    shifts = (out.parts.pose[..., 3:] / model.config.translation_range).atanh().mean(dim=1)
    wanted = model.config.translation_range * shifts.tanh()
    torch.testing.assert_close(out.pose[:, 3:], wanted, atol=1e-5, rtol=0)


def test_the_pose_turns_about_the_pivot(images, about_the_face):
    out = about_the_face
    model, centre = untrained(), torch.tensor([0.0, 0.03, 0.94])
    model.pivot.offset.data = torch.tensor([0.03, -0.06]) / model.pivot.PACE
    with torch.no_grad():
        moved = model(images)
    points = torch.randn(B, 5, 3)
    turned = geometry.rotate(points - centre, out.pose[:, :3]) + centre + out.pose[:, None, 3:]
    torch.testing.assert_close(geometry.transform(points, moved.pose), turned, atol=1e-5, rtol=0)


@KINDS
def test_poses_are_counted_from_the_mean_over_the_pictures(background, images):
    model = untrained(background)
    model.centre(images)
    with torch.no_grad():
        out = model(images)
    votes = (out.pose[:, :3] / math.radians(model.config.rotation_range)).atanh()
    torch.testing.assert_close(votes.mean(dim=0), torch.zeros(3), atol=1e-5, rtol=0)
    assert votes.std(dim=0).max() > 1e-4


def test_codes_of_parts_share_no_channel(out):
    for code in (out.parts.shape_code, out.parts.albedo_code):
        assert ((code != 0).sum(dim=1) <= 1).all()
    assert torch.equal(out.parts.shape_code != 0, out.parts.albedo_code != 0), "one attention for both"


@pytest.mark.parametrize("shape", [(3, S, S), (2, 3, S, S + 16), (2, 1, S, S), (2, 3, 64, 64), (0,)])
def test_images_of_another_shape_raise(model, shape):
    with pytest.raises(ValueError, match=f"3, {S}, {S}"):
        model(torch.zeros(shape))


def test_without_normals_all_else_is_drawn_alike(model, images, out):
    bare = model(images, normals=False)
    assert bare.view_normal is None and bare.first(2).view_normal is None
    for name in ("image", "view_depth", "view_parts", "view_alpha"):
        assert torch.equal(getattr(bare, name), getattr(out, name)), name


def test_images_of_a_batch_do_not_influence_each_other(model, images, out):
    with torch.no_grad():
        alone = model(images[1:2])
    for a, b in zip(tensors(alone), tensors(out), strict=True):
        torch.testing.assert_close(a[0], b[1], atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("parts", [1, 2, 12])
def test_any_number_of_parts(parts, images):
    found = IGCNet(ModelConfig(parts=parts, **TINY))(images)
    assert found.view_parts.shape == (B, parts, S, S) and torch.isfinite(found.image).all()
    assert found.view_alpha.sum() > 0
    found.image.sum().backward()


SETTINGS = [
    {}, {"closed": False}, {"shared_attention": False}, {"pose_votes": False}, {"symmetric_shape": False},
    {"outlines": False}, {"cues": "shape"}, {"cues": "albedo"}, {"parts": 1},
]  # fmt: skip


@KINDS
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(settings) or "usual")
def test_every_weight_gets_a_finite_gradient(settings, background, images):
    model = untrained(background, **settings).train()
    sum(Objective(model, TrainConfig())(images).terms.values()).backward()
    alone = ("decomposition",) if settings == {"parts": 1} else ()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and torch.isfinite(weight.grad).all(), name
        assert weight.grad.abs().sum() > 0 or name.startswith(alone), name


@KINDS
def test_the_first_step_reaches_every_weight(background, images):
    """From the very start; what stands behind a zero is moved from the second step on."""
    model = IGCNet(ModelConfig(parts=M, background=background, **TINY)).train()
    sum(Objective(model, TrainConfig())(images).terms.values()).backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        behind_a_zero = name.startswith("place_decoder") and "output" not in name
        assert weight.grad.abs().sum() > 0 or behind_a_zero, name


@KINDS
def test_looking_does_not_change_the_model(background, images):
    model = untrained(background)
    before = copy.deepcopy(model.state_dict())
    terms = Objective(model, TrainConfig())(images).terms
    igc.predict(model, images)
    with torch.no_grad():
        model.train()(images)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    again = Objective(model.eval(), TrainConfig())(images).terms
    assert all(torch.equal(terms[name], again[name]) for name in terms)


@pytest.mark.parametrize("shared", [True, False])
def test_votes_are_of_one_size_whether_channels_are_dealt_out_or_not(shared):
    torch.manual_seed(0)
    model = IGCNet(ModelConfig(parts=6, size=S, width=8, channels=96, shared_attention=shared))
    with torch.no_grad():
        poses, _, pose, _ = model.votes(model.decomposition(torch.randn(500, 96)))
    assert poses.shape == (500, 6, 6)
    assert 0.15 < pose[:, :3].std() < 0.25, "0.02 x sqrt(96) x 60 degrees, whatever the number of channels"


def test_canonical_points_find_the_pixels_in_which_they_are_seen(deep, images):
    """Where a point of the face is drawn, the depth there is its own; the others are hidden or beside it."""
    model, out = deep, deep(images)
    inside = out.parts.visibility[:, -1] < 0.5
    cue = torch.rand(B, 1, S, S)
    for pose in (torch.zeros(B, 6), torch.tensor([[0.05, 1.0, 0.05, 0.0, 0.0, 0.0]]).expand(B, 6)):
        seen = model.view(out, pose)
        moved = out._replace(pose=pose, view_alpha=seen.alpha, view_depth=seen.depth)
        there = at_points(model, moved, cue)
        assert there.covered.shape == there.hidden.shape == there.outside.shape == (B, S, S)
        assert there.maps.shape == (B, 1, S, S)
        assert there.covered[inside & ~there.outside].mean() > 0.8, "the face covers where it is seen"
        share = float(there.hidden[inside].float().mean())
        assert share < 0.02 if pose[0, 1] == 0 else share > 0.05, (
            f"{share}: a turned face hides some of itself"
        )
    frontal = at_points(model, out._replace(pose=torch.zeros(B, 6)), out.view_alpha).maps[:, 0]
    near = out.depth.sub(1).abs() < 0.005  # the plane that fills the frame: a pixel falls on itself
    torch.testing.assert_close(frontal[near], out.view_alpha[:, 0][near], atol=0.2, rtol=0)


def test_parts_keep_their_borders_whatever_the_shape_of_a_face(model, out, images):
    wilder = copy.deepcopy(model)
    wilder.depth_decoder.output.weight.data.mul_(20)
    with torch.no_grad():
        found = wilder(images)
    spread = found.parts.depth.std(dim=0).amax(dim=(1, 2))
    assert (spread > 1e-3).all(), "shapes differ"
    winner = found.parts.depth.argmin(dim=1)
    assert (winner == winner[:1]).float().mean() > 0.98 and len(winner.unique()) == M


def test_what_is_no_weight_is_kept_and_goes_into_the_average(model):
    model = copy.deepcopy(model)
    average = average_of(model, 0.99)
    model.layout.logits.fill_(7.0)
    for _ in range(2):
        average.update_parameters(model)
    for state in (model.state_dict(), average.module.state_dict()):
        assert (state["layout.logits"] == 7).all()


def test_parts_are_where_the_layout_says(model, out):
    with torch.no_grad():
        logits = model.layout(S)
    assert torch.equal(out.parts.depth.argmin(dim=1), logits.argmax(dim=0).expand(B, S, S))
    nearness = (-model.config.sharpness * out.parts.depth).softmax(dim=1)
    torch.testing.assert_close(nearness[0], logits.softmax(dim=0), atol=1e-3, rtol=0)


def test_the_surface_does_not_know_where_borders_run(model, images, out):
    """But for the blends of what parts say, which are switched off here."""
    fixed = copy.deepcopy(model)
    for decoder in (fixed.depth_decoder, fixed.place_decoder):
        decoder.output.weight.data.zero_()
    with torch.no_grad():
        depth = fixed(images).depth
        fixed.layout.logits.copy_(0.3 * fixed.layout.logits.roll(3, dims=1))
        moved = fixed(images)
    torch.testing.assert_close(moved.depth, depth, atol=1e-6, rtol=0)
    assert (moved.parts.visibility != out.parts.visibility).any()


def test_a_part_that_goes_down_takes_its_points_along(model, images):
    with torch.no_grad():
        before = model(images)
    assert before.shift.abs().max() > 1e-4
    straight = geometry.depth_to_points(before.depth, model.canonical_fov)
    points = model.points(before.depth, before.shift)
    torch.testing.assert_close((points - straight)[..., :2], before.shift.movedim(1, -1), atol=1e-6, rtol=0)
    assert torch.equal(points[..., 2], straight[..., 2])
    torch.testing.assert_close(before.normal, geometry.points_to_normals(points).movedim(-1, 1))


def test_symmetric_shapes_are_symmetric(images):
    found = IGCNet(ModelConfig(parts=M, symmetric_shape=True, **TINY))(images)
    torch.testing.assert_close(found.parts.depth, found.parts.depth.flip(-1))
    free = IGCNet(ModelConfig(parts=M, symmetric_shape=False, **TINY))(images)
    assert not torch.allclose(free.parts.depth, free.parts.depth.flip(-1))


@KINDS
def test_the_mirrored_picture_of_a_symmetric_face_is_its_picture(background, images):
    model = untrained(background)
    with torch.no_grad():
        out = model(images)
    depth = 0.5 * (out.parts.depth + out.parts.depth.flip(-1))
    albedo = 0.5 * (out.parts.albedo + out.parts.albedo.flip(-1))
    support = None if out.support is None else 0.5 * (out.support + out.support.flip(-1))
    with torch.no_grad():
        whole = assemble(depth, albedo, support, out.shift, model.config.sharpness)
        normal = model.normals(whole)
        symmetric = 0.5 * (normal + normal.flip(-1) * torch.tensor([-1.0, 1.0, 1.0])[:, None, None])
        view = model.render(whole, symmetric, out.light, out.pose, out.background)
        face = out._replace(
            depth=whole.depth, albedo=whole.albedo, normal=symmetric, soft_visibility=whole.soft,
            parts=out.parts._replace(visibility=whole.visibility),
        )  # fmt: skip
        torch.testing.assert_close(model.mirrored(face), view.image, atol=1e-4, rtol=0)
        lopsided = face._replace(albedo=face.albedo * torch.linspace(0.2, 1, S))
        assert not torch.allclose(model.mirrored(lopsided), view.image, atol=1e-2)


@KINDS
def test_the_mirrored_picture_is_the_flipped_picture_from_the_mirrored_pose(background, images):
    model = untrained(background)
    with torch.no_grad():
        out = model(images)
        pose = out.pose * torch.tensor([1.0, -1, -1, -1, 1, 1])
        light = out.light * torch.tensor([1.0, 1, -1, 1, 1])
        seen = model.render(out.whole(), out.normal, light, pose, out.background.flip(-1)).image
        wrong = (model.mirrored(out) - seen.flip(-1)).abs()
        lopsided = out._replace(albedo=out.albedo * torch.linspace(0.2, 1, S))
        other = (model.mirrored(lopsided) - seen.flip(-1)).abs()
    assert wrong.median() < 1e-3 and wrong.mean() < 4e-3, "quads are halved along one diagonal"
    assert other.mean() > 0.05


def test_the_mirror_is_asked_of_the_first_half_of_a_batch(model, images):
    with torch.no_grad():
        out, weight = model(images), TrainConfig.mirror
        some = out.first(2)
        terms = objective(model, out, images, TrainConfig())
        term = losses.reconstruct(
            model.mirrored(out)[:2], images[:2], out.confidence[:2, 1:], TrainConfig.gradient
        )
    assert len(some.parts.depth) == len(some.image) == len(some.own_support) == 2
    torch.testing.assert_close(model.mirrored(some), model.mirrored(out)[:2], atol=1e-5, rtol=0)
    torch.testing.assert_close(terms["mirror"], weight * term, atol=1e-5, rtol=0)


def test_at_zero_pose_the_view_is_the_canonical_face(images):
    """Where nothing is moved: its pixels are those of the canonical frame."""
    model = untrained()
    model.place_decoder.output.weight.data.zero_()
    with torch.no_grad():
        out = model(images)
        view = model.view(out, torch.zeros_like(out.pose))
    face = out.parts.visibility[:, -1] < 0.5
    torch.testing.assert_close(view.depth[face], out.depth[face], atol=1e-5, rtol=0)
    whole = face & (view.alpha[:, 0] > 0.999)  # the outline is blended
    assert whole.sum() > 0.95 * face.sum()
    for seen, wanted in ((view.parts, out.parts.visibility[:, :-1]), (view.normal, out.normal)):
        seen, wanted = seen.movedim(1, -1)[whole], wanted.movedim(1, -1)[whole]
        torch.testing.assert_close(seen, wanted, atol=1e-2, rtol=0)
    outside = (view.alpha == 0).expand_as(view.image)
    assert (view.image[outside] == 1).all(), "on white"


def test_the_view_at_the_own_pose_and_light_is_the_picture(model, out):
    with torch.no_grad():
        view = model.view(out)
    inside = (out.view_alpha > 0.999).expand_as(view.image)
    torch.testing.assert_close(view.image[inside], out.image[inside], atol=2e-3, rtol=0)
    assert torch.equal(view.depth, out.view_depth)


def test_a_closed_head_covers_more_when_it_is_turned_and_the_same_from_the_front(deep, images):
    model, side = copy.deepcopy(deep), torch.zeros(B, 6)
    model.place_decoder.output.weight.data.zero_()
    out = model(images)
    side[:, 1] = 0.7
    model.back.data.fill_(1.5)
    seen = {}
    for closed in (True, False):
        model.config = dataclasses.replace(model.config, closed=closed)
        with torch.no_grad():
            seen[closed] = [model.view(out, pose).alpha for pose in (torch.zeros(B, 6), side)]
    front = (seen[True][0] - seen[False][0]).abs() > 0.5
    assert front.float().mean() < 0.02
    grown = seen[True][1].sum(dim=(1, 2, 3)) / seen[False][1].sum(dim=(1, 2, 3))
    assert (grown > 1.1).all()


def test_another_light_changes_the_picture_only(model, out):
    with torch.no_grad():
        dark = out.light.clone()
        dark[:, :2] *= 0.5
        bright, dim = model.view(out), model.view(out, light=dark)
    torch.testing.assert_close(1 - bright.alpha + 0.5 * (bright.image - 1 + bright.alpha), dim.image,
                               atol=1e-5, rtol=0)  # fmt: skip
    assert torch.equal(bright.depth, dim.depth) and torch.equal(bright.parts, dim.parts)


@pytest.fixture
def saved(model, tmp_path):
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_saving_and_loading_gives_the_same_answers(model, saved, images, out):
    for name in (saved, str(saved)):
        loaded = IGCNet.from_pretrained(name)
        assert not loaded.training and loaded.config == model.config
        with torch.no_grad():
            assert_same(loaded(images), out)


def test_without_a_background_a_checkpoint_returns_as_well(images, tmp_path):
    model = untrained("none")
    model.save_pretrained(tmp_path)
    loaded = IGCNet.from_pretrained(tmp_path)
    assert loaded.config.background == "none"
    with torch.no_grad():
        assert_same(loaded(images), model(images))


@KINDS
def test_all_that_a_model_says_can_be_asked_for(background, images):
    found = igc.predict(untrained(background), images)
    assert all(torch.isfinite(value).all() and len(value) == B for value in found.values())
    face = found["labels"] > 0
    if background == "none":
        assert face.all() and (found["canonical_labels"] > 0).all() and (found["canonical_depth"] > 0).all()
    else:
        assert 0.1 < face.float().mean() < 0.9


def poses_up_to(angle, shift, count=24):
    """Poses (count, 6) that turn by `angle` degrees about any axis and go `shift` in every direction."""
    random = torch.Generator().manual_seed(1)
    axis = torch.randn(count, 3, generator=random, dtype=torch.float64)
    axis[: count // 2, 2] = 0
    turn = math.radians(angle) * torch.nn.functional.normalize(axis, dim=1)
    matrix = torch.linalg.matrix_exp(torch.linalg.cross(turn[:, None], torch.eye(3).double()[None]))
    shift = shift * torch.randn(count, 3, generator=random).sign()
    return torch.cat((geometry.matrix_to_angles(matrix).float(), shift), dim=1)


@pytest.mark.parametrize(("angle", "shift"), [(0, 0.1), (30, 0.1), (45, 0.1), (60, 0.0), (60, 0.1)])
def test_without_a_background_a_picture_is_covered_in_any_pose(angle, shift, images):
    model = untrained("none")
    with torch.no_grad():
        out = model(images[:1])
        for pose in poses_up_to(angle, shift):
            seen = model.view(out, pose[None])
            assert (seen.alpha > 0.999).all() and (seen.depth > 0).all(), pose


def test_without_a_background_the_frame_is_wider_than_the_picture(images):
    model = untrained("none")
    assert math.tan(model.canonical_fov / 2) == pytest.approx(1.25 * math.tan(model.fov / 2))
    with torch.no_grad():
        out = model(images)
    assert (out.view_alpha > 0.999).all() and (out.view_depth > 0).all()
    torch.testing.assert_close(model.background(images), out.background)
    assert untrained().canonical_fov == untrained().fov


def test_a_checkpoint_is_two_files(saved):
    assert sorted(path.name for path in saved.iterdir()) == ["config.json", "model.safetensors"]


def refusal(path):
    """The one sentence with which a folder is refused."""
    with pytest.raises(UserError) as caught:
        IGCNet.from_pretrained(path)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()
    text = refusal(saved)
    assert name in text and str(saved) in text


def test_what_is_not_there_or_not_a_folder_is_named(tmp_path):
    assert "no-such-model" in refusal("no-such-model")
    (tmp_path / "picture.png").write_bytes(b"")
    assert "picture.png" in refusal(tmp_path / "picture.png")
    assert str(tmp_path) in refusal(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "3", "{}", '{"format": 1}', '{"format": 99, "model": {}}',
        '{"format": "7", "model": {}}', f'{{"format": {FORMAT}}}',
        *(
            f'{{"format": {FORMAT}, "model": {model}}}'
            for model in ("null", "[1]", '{"size": "big"}', '{"x": 1}', '{"size": 48}')
        ),
    ],
)  # fmt: skip
def test_a_description_without_sense_is_refused(saved, text):
    (saved / "config.json").write_text(text)
    assert str(saved) in refusal(saved)


def test_a_description_that_is_not_text_is_refused(saved):
    (saved / "config.json").write_bytes(b"\xff\xfe\x00\x01")
    refusal(saved)


@pytest.mark.parametrize("keep", [0, 5, 100, -50])
def test_a_truncated_file_of_weights_is_refused(saved, keep):
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    assert f"{saved} cannot be read as a checkpoint" in refusal(saved)


@pytest.mark.parametrize("change", ["shape", "missing", "extra"])
def test_weights_of_another_model_are_refused(saved, change):
    state = load_file(saved / "model.safetensors")
    if change == "shape":
        state["vote.weight"] = torch.zeros(2, 2)
    elif change == "missing":
        del state["vote.weight"]
    else:
        state["other"] = torch.zeros(1)
    save_file(state, saved / "model.safetensors")
    said = refusal(saved)
    assert (
        f"{saved} cannot be read as a checkpoint" in said
        and ("other" if change == "extra" else "vote") in said
    )


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_a_pickle_in_place_of_the_weights_is_refused_and_not_run(saved, tmp_path, kind):
    made = tmp_path / "made-by-the-payload"
    with (saved / "model.safetensors").open("wb") as file:
        pickle.dump(Payload(made), file) if kind == "pickle" else torch.save(Payload(made), file)
    assert str(saved) in refusal(saved)
    assert not made.exists()
    with (saved / "model.safetensors").open("rb") as file:
        if kind == "pickle":
            pickle.load(file)
            assert made.exists(), "the payload works, so this test could have failed"


def test_a_shipped_model_is_found_by_its_name_but_a_folder_goes_first(saved, monkeypatch, tmp_path):
    monkeypatch.setattr("igc.pretrained.SHIPPED", tmp_path / "shipped")
    shutil.copytree(saved, tmp_path / "shipped" / "given-name")
    monkeypatch.chdir(tmp_path)
    assert IGCNet.from_pretrained("given-name").config.parts == M
    IGCNet(ModelConfig(parts=2, **TINY)).save_pretrained("given-name")
    assert IGCNet.from_pretrained("given-name").config.parts == 2
    assert "given-name" in refusal("other-name"), "the shipped models are listed"


def test_the_description_holds_all_settings(saved, model):
    described = json.loads((saved / "config.json").read_text())
    assert described["model"] == model.config.to_dict()
