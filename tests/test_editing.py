"""Edited faces: what an exchange changes and what it leaves, faces in between, and what is refused."""

import pytest
import torch

from igc import IGCNet, ModelConfig, editing_figures, views
from igc.editing import CUES, blend, exchange, rebuild

M = 3


@pytest.fixture(scope="module", params=["border", "none"])
def explained(request):
    torch.manual_seed(0)
    tiny = {"size": 32, "width": 8, "channels": 12, "parts": M, "background": request.param}
    model = IGCNet(ModelConfig(**tiny)).double().eval()
    for embedding in (model.to_shape, model.to_albedo):
        torch.nn.init.normal_(embedding.weight, std=1)
    for decoder in (model.depth_decoder, model.albedo_decoder, model.place_decoder):
        torch.nn.init.normal_(decoder.output.weight, std=0.1)
    with torch.no_grad():
        out = model(torch.rand(3, 3, 32, 32).double() * torch.tensor([0.2, 0.6, 1])[:, None, None, None])
    for maps in (out.depth, out.albedo, out.place):
        assert (maps[0] - maps[1]).abs().max() > 0.02, "faces that are all alike would show nothing"
    return model, out


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def same(found, wanted):
    """All maps of two outputs agree to 1e-6."""
    for mine, other in zip((*found.parts, *found[1:]), (*wanted.parts, *wanted[1:]), strict=True):
        if mine is None or other is None:
            assert mine is other
            continue
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=0)


def test_rebuilding_from_its_own_codes_gives_the_output(explained):
    model, out = explained
    same(rebuild(model, out, out.parts.shape_code, out.parts.albedo_code), out)


@pytest.mark.parametrize("parts", [[1], range(M)])
def test_an_exchange_with_itself_changes_nothing(explained, parts):
    model, out = explained
    before = out.parts.shape_code.clone(), out.parts.albedo_code.clone()
    same(exchange(model, out, 1, 1, parts), views.one_face(out, 1))
    exchange(model, out, 0, 1, parts)
    assert torch.equal(before[0], out.parts.shape_code) and torch.equal(before[1], out.parts.albedo_code)


def test_all_parts_and_both_cues_give_the_givers_face_where_the_receiver_was(explained):
    model, out = explained
    face = exchange(model, out, 0, 2, range(M))
    torch.testing.assert_close(face.depth, out.depth[[2]], atol=1e-6, rtol=0)
    torch.testing.assert_close(face.albedo, out.albedo[[2]], atol=1e-6, rtol=0)
    torch.testing.assert_close(face.normal, out.normal[[2]], atol=1e-5, rtol=0)
    torch.testing.assert_close(face.shift, out.shift[[2]], atol=1e-6, rtol=0)
    for kept in ("pose", "light", "background", "features", "confidence"):
        assert torch.equal(getattr(face, kept), getattr(out, kept)[[0]]), kept
    seen, wanted = model.view(face), model.view(views.one_face(out, 2), out.pose[[0]], out.light[[0]])
    torch.testing.assert_close(seen.image, wanted.image, atol=1e-5, rtol=0)


@pytest.mark.parametrize("part", range(M))
def test_a_part_changes_nothing_where_it_does_not_show(explained, part):
    """Parts stay where they are, and where part m has no share, so do the surface, but for its distance, and
    the albedo. Other parts keep their places and their colours, but for the fine detail, which is common."""
    model, out = explained
    before, after = views.one_face(out, 0), exchange(model, out, 0, 1, part)
    seen = [face.parts.visibility.movedim(1, -1) for face in (before, after)]
    inside = (seen[0][..., -1] < 0.5) & (seen[1][..., -1] < 0.5)
    assert inside.any() and torch.equal(seen[0][inside], seen[1][inside])
    share = model.layout(16).softmax(dim=0)[part]
    near = torch.nn.functional.max_pool2d(share[None], 5, stride=1, padding=2)[0]  # as bicubic maps mix them
    away, coarse = (near < 1e-3).repeat_interleave(2, 0).repeat_interleave(2, 1), share < 1e-3
    assert 0.1 < away.float().mean() < 0.9
    moved = (after.departure - before.departure)[0, 0].abs()
    assert moved[coarse].max() < 0.01 * moved.max() and moved.max() > 0.05, "and something does change"
    painted = (after.albedo - before.albedo)[0].abs()
    assert painted[:, away].max() < 1e-3 and painted.max() > 0.02
    others = [m for m in range(M) if m != part]
    changed = (after.place - before.place)[0].abs().amax(dim=1)
    assert changed[others].max() < 1e-6 and changed[part] > 0.01
    one, two = (after.parts.albedo.logit() - before.parts.albedo.logit())[0, others]
    torch.testing.assert_close(one, two, atol=1e-6, rtol=0)


def test_one_cue_leaves_the_other(explained):
    model, out = explained
    before = views.one_face(out, 0)
    coloured, shaped = (exchange(model, out, 0, 1, [0, 2], cue) for cue in ("albedo", "shape"))
    for kept in ("depth", "normal", "view_depth", "soft_visibility"):
        torch.testing.assert_close(getattr(coloured, kept), getattr(before, kept), atol=1e-6, rtol=0)
    assert (coloured.albedo - before.albedo).abs().max() > 0.01
    torch.testing.assert_close(shaped.parts.albedo, before.parts.albedo, atol=1e-6, rtol=0)
    assert (shaped.depth - before.depth).abs().max() > 0.005
    same(exchange(model, out, 0, 1, [0, 2], ()), before)


def test_a_blend_starts_at_the_first_and_ends_at_the_exchange(explained):
    model, out = explained
    same(blend(model, out, 0, 1, 0), views.one_face(out, 0))
    same(blend(model, out, 0, 1, 1, [2], "shape"), exchange(model, out, 0, 1, [2], "shape"))
    same(blend(model, out, 0, 1, 1), exchange(model, out, 0, 1, range(M), CUES))
    quarter = blend(model, out, 0, 1, 0.25, 1)
    for cue in ("shape_code", "albedo_code"):
        start, end = getattr(out.parts, cue)[:2]
        found = getattr(quarter.parts, cue)[0]
        torch.testing.assert_close(found[1], 0.75 * start[1] + 0.25 * end[1], atol=1e-6, rtol=0)
        assert torch.equal(found[[0, 2]], start[[0, 2]])


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({"receiver": 3}, IndexError, "there are 3 faces, numbered from 0 to 2; 3 is none"),
        ({"giver": -1}, IndexError, "there are 3 faces, numbered from 0 to 2; -1 is none"),
        ({"parts": [0, M]}, IndexError, "there are 3 parts, numbered from 0 to 2; 3 is none"),
        ({"parts": -1}, IndexError, "there are 3 parts, numbered from 0 to 2; -1 is none"),
        ({"cues": ["shape", "colour"]}, ValueError, "there is no cue 'colour': choose from shape, albedo"),
        ({"cues": "depth"}, ValueError, "there is no cue 'depth': choose from shape, albedo"),
    ],
)
def test_faces_parts_and_cues_that_there_are_not(explained, asked, error, says):
    with pytest.raises(error) as found:
        exchange(*explained, **{"receiver": 0, "giver": 1, "parts": 0} | asked)
    assert str(found.value) == says


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_is_from_0_to_1(explained, share):
    with pytest.raises(ValueError, match="share must be from 0 to 1, not"):
        blend(*explained, 0, 1, share)


def test_codes_have_the_shape_of_the_outputs(explained):
    model, out = explained
    with pytest.raises(ValueError, match=r"the codes must have shape \(3, 3, 12\), not \(1, 3, 12\)"):
        rebuild(model, out, out.parts.shape_code, out.parts.albedo_code[:1])


def test_the_sheet_shows_every_part_and_the_way(explained):
    model, out = explained
    figure = editing_figures.editing_sheet(model, out.image, out, 0, 1)
    figure.canvas.draw()
    cells = [figure.axes[i : i + M + 3] for i in range(0, len(figure.axes), M + 3)]
    assert [axis.get_title() for axis in cells[0]] == ["A", "part 1", "part 2", "part 3", "all parts", "B"]
    names = [row[0].get_ylabel().replace("\n", " ") for row in cells]
    assert names == [
        "photograph; parts of A", "A with a part of B", "only its shape", "only its albedo",
        "all parts, from A to B",
    ]  # fmt: skip
    pixels = [[axis.images[0].get_array() for axis in row] for row in cells]
    assert (pixels[1][1] != pixels[1][0]).any() and (pixels[1][1] != pixels[1][2]).any()
    assert abs(pixels[1][-2] - pixels[4][-1]).max() < 1e-5, "all parts of B is the end of the way"
    assert abs(pixels[1][0] - pixels[4][0]).max() < 1e-5
    assert [axis.get_xlabel() for axis in cells[4]][:2] == ["0 %", "20 %"]
