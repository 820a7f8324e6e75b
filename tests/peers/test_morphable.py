"""The linear 3DMM: components of known maps, drawing, and fits that recover what was drawn."""

import pytest
import torch
import torch.nn.functional as F
from toys import clock

from igc.data import SyntheticFaces
from igc.errors import UserError
from igc.metrics import correlation
from peers import morphable
from peers.base import Loaded
from peers.morphable import Faces, LinearModel, Morphable

SIZE = 32


@pytest.fixture(scope="module")
def fitted():
    peer = Morphable(SIZE, components=8, steps=20)
    with clock(steps=400):
        peer.fit(SyntheticFaces("train", 96, SIZE, per_identity=1), 1 / 60)
    return peer


def face(components, yaw=(0.0,), direction=(0.0, 0.0, -1.0)):
    """Mean faces, one for every yaw."""
    yaw, none = torch.tensor(yaw), torch.zeros(len(yaw), components)
    pose = torch.zeros(len(yaw), 6)
    pose[:, 1] = yaw
    light = torch.tensor([0.4, 0.5, *direction]).expand(len(yaw), 5)
    return Faces(none, none, pose, light)


def test_components_span_the_examples():
    data = SyntheticFaces("train", 6, SIZE, per_identity=1).batch(range(6))
    linear = LinearModel(
        data["canonical_depth"], data["canonical_albedo"], data["canonical_labels"], components=40
    )
    assert linear.count == 5, "six faces have five components"
    wanted = torch.stack([torch.from_numpy(morphable._complete(d.numpy(), a.numpy())[0])
                          for d, a in zip(data["canonical_depth"], data["canonical_albedo"])])  # fmt: skip
    rows = wanted.flatten(1) / linear.scale[0]
    basis = linear.shape[1][:, : SIZE * SIZE]
    solution = torch.linalg.lstsq(basis.T, (rows - linear.shape[0][: SIZE * SIZE]).T).solution.T
    depth, _, _ = linear.maps(solution, torch.zeros(6, 5))
    torch.testing.assert_close(depth, wanted, atol=2e-4, rtol=0)


def test_the_outline_tells_inside_from_outside():
    depth = torch.zeros(SIZE, SIZE)
    depth[8:24, 10:20] = 1.02
    filled, distance, painted = morphable._complete(depth.numpy(), torch.rand(3, SIZE, SIZE).numpy())
    assert (filled == filled.max()).all() and painted.shape == (3, SIZE, SIZE)
    assert ((torch.from_numpy(distance) > 0) == (depth > 0)).all()
    assert distance.min() == -8 and distance[15, 14] == pytest.approx(5)


def test_the_mean_face_is_drawn_from_the_front(fitted):
    linear = fitted.linear
    background = torch.zeros(1, 3, SIZE, SIZE)
    drawn = linear.draw(face(linear.count), background)
    depth, outline, _ = linear.maps(torch.zeros(1, linear.count), torch.zeros(1, linear.count))
    inside = outline > 1.5
    assert inside.sum() > 100
    torch.testing.assert_close(drawn.fragments.depth[inside], depth[inside], atol=1e-4, rtol=0)
    assert (drawn.image[:, :, 0, 0] == 0).all(), "the corner is background"
    lit = linear.draw(face(linear.count, direction=(0.8, 0.0, -0.6)), background).image[0].mean(dim=(0, 1))
    assert lit[SIZE // 2 :].sum() > 1.1 * lit[: SIZE // 2].sum(), "a light from the right"


def test_it_recovers_the_yaw_of_its_own_faces(fitted):
    images, numbers = fitted.imagine(24, torch.Generator().manual_seed(5))
    numbers[:, :-10] *= 0.7
    numbers[:, -10:-4] *= 0.7
    faces = fitted.read(numbers)
    background = images[:, :, :1, :1].expand(-1, -1, SIZE, SIZE)
    with torch.no_grad():
        images = fitted.linear.draw(faces, background).image.clamp(0, 1)
    found = fitted.explain(images)
    assert correlation(found.pose[:, 1], faces.pose[:, 1]) > 0.95
    assert fitted.validation_loss(images) < 0.05
    depth, _ = fitted.depth(images)
    with torch.no_grad():
        wanted = fitted.linear.draw(faces, background).fragments.depth
    both = (depth > 0) & (wanted > 0)
    assert both.sum() > 0.85 * (wanted > 0).sum() and (depth - wanted)[both].abs().mean() < 0.012


def test_it_improves_on_the_guess(fitted):
    images = SyntheticFaces("validation", 8, SIZE, per_identity=1).batch(range(8), truth=False)["image"]
    with torch.no_grad():
        numbers = fitted.model(F.avg_pool2d(images, 2))
        before = fitted.objective(numbers, images, 1)
    after = fitted.objective(fitted.improve(numbers, images, 10, 1), images, 1)
    assert (after < before).float().mean() > 0.9 and after.mean() < 0.9 * before.mean()


def test_what_it_answers(fitted):
    images = SyntheticFaces("validation", 5, SIZE).batch(range(5), truth=False)["image"]
    labels, (depth, normal) = fitted.labels(images), fitted.depth(images)
    assert (
        labels.shape == (5, SIZE, SIZE)
        and labels.dtype == torch.int64
        and 0 <= labels.min() <= labels.max() <= 6
    )
    assert len(labels.unique()) >= 5
    assert depth.shape == (5, SIZE, SIZE) and normal.shape == (5, 3, SIZE, SIZE) and depth.isfinite().all()
    assert (labels[depth == 0] == 0).all() and (normal.norm(dim=1)[depth == 0] == 0).all()
    assert fitted.features(images).shape == (5, 16) and fitted.pictures(images).shape == images.shape
    assert fitted.given == "true shapes" and fitted.parameters > 1000
    again = fitted.explain(images.clone())
    assert again is fitted.explain(images), "a fit of the same pictures is made once"


def test_what_will_not_do_is_refused():
    with pytest.raises(UserError, match="call fit first"):
        Morphable(SIZE).labels(torch.rand(1, 3, SIZE, SIZE))
    with pytest.raises(UserError, match="SyntheticFaces"):
        Morphable(SIZE).fit(Loaded(SyntheticFaces("train", 4, SIZE)), 0.01)
    with pytest.raises(UserError, match="two faces"):
        Morphable(SIZE).fit(SyntheticFaces("train", 1, SIZE), 0.01)
    with pytest.raises(UserError, match="no setting"):
        Morphable(SIZE, scans=3)
