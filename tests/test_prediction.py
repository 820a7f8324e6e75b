"""`igc.predict`: the tensors that everything else starts from."""

import pytest
import torch

import igc
from igc import IGCNet, ModelConfig, geometry, views
from igc.config import MARGIN
from igc.model import IGCNet as Model
from igc.prediction import canonical_maps, masks_to_labels

TINY = ModelConfig(size=32, width=8, channels=12, parts=3)
SHAPES = {
    "labels": (32, 32), "parts": (3, 32, 32), "depth": (32, 32), "normal": (3, 32, 32), "image": (3, 32, 32),
    "pose": (6,), "light": (5,), "canonical_depth": (32, 32), "canonical_albedo": (3, 32, 32),
    "canonical_labels": (32, 32),
}  # fmt: skip


@pytest.fixture
def model():
    return IGCNet(TINY).eval()


@pytest.mark.parametrize("count", [0, 1, 5])
def test_every_tensor_has_its_shape_and_type(model, count):
    found = igc.predict(model, torch.rand(count, 3, 32, 32))
    assert {name: value.shape[1:] for name, value in found.items()} == SHAPES
    for name, value in found.items():
        assert len(value) == count and value.device.type == "cpu" and not value.requires_grad, name
        assert value.dtype == (torch.int64 if "labels" in name else torch.float32), name


def test_label_depth_and_normal_agree_where_there_is_a_face():
    model = IGCNet.from_pretrained("synthetic-64")
    found = igc.predict(model, igc.data.SyntheticFaces("test", 8).batch(range(8))["image"])
    face = found["labels"] > 0
    assert 0.2 < face.float().mean() < 0.8
    assert torch.equal(face, found["depth"] > 0)
    length = found["normal"].norm(dim=1)
    torch.testing.assert_close(length, face.float())
    assert (found["normal"][:, 2][face] < 0).float().mean() > 0.95, "towards the camera"
    assert found["labels"].max() <= model.config.parts
    assert torch.equal(found["labels"][face], masks_to_labels(found["parts"])[face])


def test_it_is_what_the_model_returns(model):
    images = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        out = model(images)
    found = igc.predict(model, images)
    for name, value in {"pose": out.pose, "light": out.light, "image": out.image,
                        "parts": out.view_parts, **canonical_maps(model, out)}.items():  # fmt: skip
        torch.testing.assert_close(found[name], value)
    torch.testing.assert_close(found["light"][:, 2:].norm(dim=1), torch.ones(3))


def shrunk(mask, by=1):
    """A mask (B, S, S) without the pixels that lie at its rim."""
    return -torch.nn.functional.max_pool2d(-mask.float(), 2 * by + 1, stride=1, padding=by) == 1


def test_canonical_maps_are_the_models_own_where_nothing_is_moved(explained):
    model, out = explained
    found = canonical_maps(model, out)
    face = out.parts.visibility[:, -1] < 0.5
    labels = found["canonical_labels"]
    assert shrunk(face).any() and not labels[shrunk(~face)].any(), "but for the outline, which is blended"
    own = out.parts.visibility.argmax(dim=1) + 1
    assert torch.equal(labels[shrunk(face)], own[shrunk(face)])
    for name in ("depth", "albedo"):
        maps = (each.reshape(2, -1, 32, 32) for each in (found[f"canonical_{name}"], getattr(out, name)))
        pairs = (each.movedim(1, -1)[shrunk(face)] for each in maps)
        torch.testing.assert_close(*pairs, atol=1e-5, rtol=0)


def test_canonical_maps_are_what_is_seen_from_the_front(moved):
    model, out = moved
    if model.config.background == "none":  # on a frame of their own, which the picture's is a part of
        place = geometry.pixel_centres(32) / 16 - 1
        depth = (1 + 0.02 * place.square().sum(dim=-1)).expand(2, 32, 32)
        still = out._replace(shift=0 * out.shift, depth=depth)
        found = canonical_maps(model, still)
        assert (found["canonical_labels"] > 0).all()
        wanted = 1 + 0.02 * (place / MARGIN).square().sum(dim=-1).expand(2, 32, 32)
        torch.testing.assert_close(found["canonical_depth"], wanted, atol=1e-4, rtol=0)
        assert (canonical_maps(model, out)["canonical_labels"] > 0).all()
        return
    found = canonical_maps(model, out)
    points, seen = views.from_front(model, out, torch.cat((out.albedo, out.parts.visibility), dim=1))
    inside = shrunk(seen[:, -1] == 0)
    inside[:, :4] = inside[:, -4:] = inside[..., :4] = inside[..., -4:] = False  # what may come from outside
    assert inside.float().mean() > 0.1 and (found["canonical_labels"] > 0)[inside].all()
    torch.testing.assert_close(found["canonical_depth"][inside], points[..., 2][inside], atol=1e-5, rtol=0)
    maps = found["canonical_albedo"].movedim(1, -1)[inside], seen[:, :3].movedim(1, -1)[inside]
    torch.testing.assert_close(*maps, atol=1e-5, rtol=0)


def test_the_view_is_the_canonical_face_in_its_pose():
    """A point of the view, carried back by the pose, lies on the canonical surface."""
    model = IGCNet.from_pretrained("synthetic-64")
    found = igc.predict(model, igc.data.SyntheticFaces("test", 4).batch(range(4))["image"])
    back = geometry.inverse_transform(geometry.depth_to_points(found["depth"], model.fov), found["pose"])
    place = geometry.points_to_pixels(back, 64, model.fov)
    x, y = (place[..., i].floor().long().clamp(0, 63) for i in (0, 1))
    surface = found["canonical_depth"].flatten(1).gather(1, (64 * y + x).flatten(1)).view_as(x)
    wrong = (place[..., 2] - surface).abs()[found["labels"] > 0]
    assert wrong.median() < 2e-3


def test_chunks_and_training_change_nothing(model):
    images = torch.rand(5, 3, 32, 32)
    whole, pieces = igc.predict(model, images), igc.predict(model.train(), images, chunk=2)
    assert model.training and model.encoder.training
    for name in ("pose", "canonical_depth", "image"):
        torch.testing.assert_close(whole[name], pieces[name], atol=1e-4, rtol=1e-4)
    igc.predict(model.eval(), images)
    assert not model.training


@pytest.mark.parametrize(
    "images",
    [torch.rand(3, 32, 32), torch.rand(2, 1, 32, 32), torch.rand(2, 3, 64, 64), torch.rand(0, 3, 16, 16),
     torch.zeros(2, 3, 32, 32, dtype=torch.uint8)],
)  # fmt: skip
def test_images_of_another_shape_or_type_are_refused(model, images):
    with pytest.raises(ValueError, match=r"\(B, 3, 32, 32\)"):
        igc.predict(model.train(), images)
    assert model.training


def test_training_goes_on_after_an_error(model, monkeypatch):
    monkeypatch.setattr(Model, "forward", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        igc.predict(model.train(), torch.rand(1, 3, 32, 32))
    assert model.training
