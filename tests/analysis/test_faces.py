"""From images: what a model's capsules say, swapping, planted sets, and the command."""

import base64
import csv
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LinearRegression

from benchmarks import planted as bench
from benchmarks.saliency import REGIONS, saliency
from igc import IGCNet, ModelConfig, analysis, geometry
from igc.analysis import LIGHT, analyse, components, cues, describe, labelled, planted, turns
from igc.analysis import __main__ as command
from igc.analysis.__main__ import main
from igc.analysis.drawing import importance_view, method_bars
from igc.analysis.exchange import exchange
from igc.analysis.importance import Effects
from igc.analysis.labelled import open_labelled
from igc.analysis.observed import Look, fit_atlas, look
from igc.analysis.swap import Recogniser, changed, drawn_changes, swap
from igc.data import SyntheticFaces
from igc.errors import UserError

PEOPLE, EACH, SIZE = 6, 4, 32


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return IGCNet(ModelConfig(size=SIZE, width=8, channels=12, parts=2)).eval()


@pytest.fixture(scope="module")
def drawn():
    batch = SyntheticFaces("test", PEOPLE * EACH, SIZE, per_identity=EACH).batch(
        range(PEOPLE * EACH), truth=False
    )
    return batch["image"], batch["identity"].numpy()


@pytest.fixture(scope="module")
def shipped(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def folder(drawn, tmp_path):
    """One folder a person, a table beside, and a file that is no image."""
    rows = [("file", "label", "mood", "age")]
    for number, (image, who) in enumerate(zip(*drawn, strict=True)):
        place = tmp_path / "faces" / f"p{who % 100}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = (255 * image.clamp(0, 1)).byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(place / f"{number:02d}.png")
        rows.append((f"{place.name}/{number:02d}.png", place.name, ("glad", "sad")[number % 2], number))
    (place / "broken.png").write_bytes(b"no image")
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return tmp_path


@pytest.mark.parametrize("kind", ["code", "drawn", "observed"])
def test_every_kind_of_features_names_every_component(model, drawn, kind):
    found = describe(model, drawn[0], kind, chunk=7)
    assert set(found.parts) == {(m, cue) for m in (0, 1) for cue in ("shape", "albedo")}
    assert found.pose.shape == (24, 6) and found.light.shape == (24, 5)
    for value in found.parts.values():
        assert len(value) == 24 and np.isfinite(value).all()
    again = describe(model, drawn[0][:5], kind)
    if kind == "code":
        np.testing.assert_allclose(
            again.parts[1, "shape"], components(model, drawn[0])[1, "shape"][:5], atol=1e-4
        )


def test_a_look_is_that_of_the_photograph(model, drawn):
    """A photograph that is twice as dark is seen as the logarithm of two darker, in the same places."""
    with torch.no_grad():
        out = model(drawn[0])
        bright = look(model, drawn[0] + 0.3, out)
        darker = look(model, 0.5 * (drawn[0] + 0.31) - 0.01, out)
    assert bright.colour.shape == (24, 3, SIZE // 2, SIZE // 2) and bright.seen.any()
    seen = np.broadcast_to(bright.seen[:, None], bright.colour.shape)
    np.testing.assert_allclose((bright.colour - darker.colour)[seen], np.log(2), atol=1e-2)
    assert (bright.colour[~seen] == 0).all()


def lights(count, seed=2):
    """Lights from all sides, as a model sees them (count, 5)."""
    aside = np.random.default_rng(seed).uniform(-0.7, 0.7, size=(count, 2))
    towards = np.column_stack([aside, -np.ones(count)])
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    return np.column_stack([np.full(count, 0.4), np.full(count, 0.6), towards])


def marked_faces(change, count=800, side=16):
    """Looks at one face with a dark bar across and two halves for parts, and their lights; `change(y, u, s)`
    gives the logarithms of its brightness and hue for a number u and the slopes s of the light."""
    y, x = np.mgrid[:side, :side]
    u, light = np.random.default_rng(0).uniform(-1, 1, size=count), lights(count)
    noise = 0.01 * np.random.default_rng(1).normal(size=(count, 3, side, side))
    made = np.zeros((count, 3, side, side)) + noise
    for i, slope in enumerate(cues.slopes(light)):
        made[i] += change(y, u[i], slope)
    places = np.stack((x * 0 + (y < side // 2), x * 0 + (y >= side // 2))).astype(float)
    return Look(made, np.ones((count, side, side), bool), places), light, u


def bar(y, at=4.0, depth=1.0):
    return -depth * np.exp(-((y - at) ** 2) / 0.8)


def follows(features, u):
    """How strongly features go along with u, in the units of the logarithms."""
    return float(np.linalg.norm((features * (u / np.std(u))[:, None]).mean(axis=0)))


def bump(y, slope, u):
    """The brightness of a bump of height u that stands aside of the middle."""
    away = (y - 11.0, y.T - 7.5)
    return -3 * u * (away[0] * slope[1] + away[1] * slope[0]) * np.exp(-(away[0] ** 2 + away[1] ** 2) / 4)


@pytest.mark.parametrize(
    ("change", "cue", "part"),
    [
        (lambda y, u, s: bar(y, 3) + bump(y, s, u) + 0.2 * u * (np.abs(y - 13) < 1), "shape", 1),
        (lambda y, u, s: bar(y, depth=1 + 0.3 * u), "albedo", 0),
        (lambda y, u, s: bar(y, 4 + 0.3 * u), "albedo", 0),
        (lambda y, u, s: 0.3 * u * np.exp(-((y - 11) ** 2) - (y.T - 7.5) ** 2), "albedo", 1),
        (lambda y, u, s: bar(y) + np.array((1, 0, -1))[:, None, None] * 0.1 * u * (y < 6), "albedo", 0),
    ],
    ids=["a bump with a mark", "a mark of other strength", "a mark elsewhere", "a spot", "a hue"],
)
def test_what_turns_with_the_light_is_shape_and_what_does_not_is_albedo(change, cue, part):
    looked, light, u = marked_faces(change)
    _, features = fit_atlas(looked, light, np.arange(600))
    other = "albedo" if cue == "shape" else "shape"
    assert follows(features[part, cue], u) > 2 * follows(features[part, other], u)
    elsewhere = max(follows(features[1 - part, each], u) for each in ("shape", "albedo"))
    assert elsewhere < 0.5 * follows(features[part, cue], u)


def test_a_bump_without_a_mark_is_found_in_its_part_whatever_it_is_taken_for():
    looked, light, u = marked_faces(lambda y, u, s: bar(y, 3) + bump(y, s, u))
    _, features = fit_atlas(looked, light, np.arange(600))
    found = [max(follows(features[part, cue], u) for cue in ("shape", "albedo")) for part in (0, 1)]
    assert found[1] > 10 * found[0]


@pytest.mark.parametrize("photographs", [200, 1600])
def test_how_much_of_a_change_is_shape_does_not_depend_on_how_many_photographs_there_are(photographs):
    def paint_that_turns_a_little(y, u, slope):
        return bar(y, 3) + 0.3 * u * (1 + 0.1 * slope[1]) * (np.abs(y - 12) < 2)

    looked, light, u = marked_faces(paint_that_turns_a_little, photographs)
    _, features = fit_atlas(looked, light)
    assert follows(features[1, "albedo"], u) > 5 * follows(features[1, "shape"], u)


def test_light_on_the_whole_face_is_in_no_part():
    looked, light, u = marked_faces(lambda y, u, s: bar(y) + 0.5 * u * (y / 8 - 1))
    _, features = fit_atlas(looked, light)
    assert np.hypot.reduce([follows(each, u) for each in features.values()]) < 0.02 * follows(
        looked.colour.reshape(len(u), -1), u
    )


def test_what_every_face_does_in_a_light_is_no_feature():
    """Shadows that the model's shading lacks, the same on all faces."""
    looked, light, _ = marked_faces(lambda y, u, s: bar(y) + 2 * s[0] ** 2 * (np.abs(y - 12) < 2))
    _, features = fit_atlas(looked, light)
    aside = cues.slopes(light)[:, 0] ** 2
    assert np.hypot.reduce([follows(each, aside - aside.mean()) for each in features.values()]) < 0.02


def test_a_face_half_hidden_has_the_same_features():
    """Where half of every second face is hidden, its other half says the same."""
    looked, light, u = marked_faces(lambda y, u, s: bar(y, depth=1 + 0.3 * u))
    half = looked.seen.copy()
    half[::2, :, 8:] = False
    hidden = looked._replace(colour=looked.colour * half[:, None], seen=half)
    _, features = fit_atlas(hidden, light)
    line = LinearRegression().fit(analysis.joined(features)[:400], u[:400])
    assert line.score(analysis.joined(features)[400:], u[400:]) > 0.8


def test_features_draw_what_they_stand_for():
    """A bump is drawn in the part where it is, and a dark spot in the same way in every light."""
    looked, light, _ = marked_faces(lambda y, u, s: bump(y, s, u) + 0.1 * u * (y > 13))
    atlas, features = fit_atlas(looked, light)
    drawn = atlas.draw((1, "shape"), features[1, "shape"], light)
    assert drawn.shape == (800, 3, 16, 16) and np.allclose(drawn[:, :, :8], 0)
    assert np.corrcoef(drawn[:, 1, 8:].ravel(), looked.colour[:, 1, 8:].ravel())[0, 1] > 0.7
    twice = atlas.draw((1, "shape"), 2 * features[1, "shape"], light)
    np.testing.assert_allclose(twice, 2 * drawn)
    looked, light, _ = marked_faces(lambda y, u, s: -0.3 * u * np.exp(-((y - 11) ** 2)))
    atlas, features = fit_atlas(looked, light)
    one, other = (atlas.draw((1, "albedo"), features[1, "albedo"], at) for at in (light, lights(800, seed=5)))
    assert np.abs(one - other).max() < 0.2 * np.abs(one).max()


def test_unknown_features_are_refused(model, drawn):
    with pytest.raises(UserError, match="unknown"):
        describe(model, drawn[0], "smell")


def test_a_recogniser_of_pixels_knows_its_people(drawn):
    images, who = drawn
    known = Recogniser(images, who)
    assert known.right(images, who).mean() > 0.9 and known.scores(images).shape == (24, PEOPLE)
    two = Recogniser(images[:8], who[:8])
    assert two.scores(images[:3]).shape == (3, 2) and two.right(images[:8], who[:8]).all()
    with pytest.raises(UserError, match="two people"):
        Recogniser(images[:4], who[:4])


def test_swapping_moves_a_face_by_the_planted_part_only(model, drawn):
    """Photographs of one head to which people differ by the albedo of part 0 alone."""
    generator = np.random.default_rng(0)
    who = np.repeat(np.arange(8), 6)
    photo = drawn[0][:1].expand(48, -1, -1, -1)
    found = describe(model, drawn[0], "observed")
    own = (
        12
        * found.parts[0, "albedo"].std(axis=0)
        * generator.normal(size=(8, found.parts[0, "albedo"].shape[1]))
    )
    change = drawn_changes(model, photo, found.atlas, {(0, "albedo"): own[who]})[0]
    assert change.abs().max() > 0.02, "the planted part is drawn"
    noise = 0.01 * torch.from_numpy(generator.normal(size=photo.shape)).float()
    images = (changed(photo, change) + noise).clamp(0, 1)
    parts = {name: 0 * generator.normal(size=(48, part.shape[1])) for name, part in found.parts.items()}
    parts[0, "albedo"] = own[who]
    parts[1, "shape"] = parts[1, "shape"] + 0.01 * generator.normal(size=parts[1, "shape"].shape)
    said = swap(model, images, who, parts, found.atlas)
    first, *others = said.effects.table()
    assert (first["part"], first["cue"]) == (0, "albedo") and first["low"] > 0.3
    assert all(abs(row["value"]) < 0.1 for row in others)
    assert said.everything == pytest.approx(first["value"], abs=0.1) and said.accuracy > 0.9 and said.knows


def test_where_nobody_is_to_be_known_swapping_is_left_out(model, drawn):
    """One photograph with noise, under eight names: what the recogniser says is luck."""
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=(48, 1, 1, 1))).float()
    images = (drawn[0][:1] + 0.05 * noise).clamp(0, 1)
    found = describe(model, images, "observed")
    assert not swap(model, images, np.repeat(np.arange(8), 6), found.parts, found.atlas).knows
    told = planted.run(model, "nothing", 0, people=8, each=4)["observed"]
    assert "swap" not in told and "shapley" in told


def test_a_reader_swaps_parts_and_watches_the_recogniser(model, drawn):
    found = describe(model, drawn[0], "observed")
    game = exchange(model, *drawn, found.parts, found.atlas)
    assert game.scores.shape == (3, 3, 3, 3) and game.drawings.shape[:4] == (3, 3, 3, 3)
    page = game.page()
    assert page.count('type="range"') == 4 and page.count("data:image/webp") == 3 and len(page) < 3e6
    assert "text/html" in game._repr_mimebundle_()
    with pytest.raises(UserError, match="6 people"):
        exchange(model, drawn[0][:8], drawn[1][:8], {n: p[:8] for n, p in found.parts.items()}, found.atlas)


def test_a_planted_set_runs_from_images_to_a_verdict(model):
    shares = planted.match(model, "nose shape", 0, 8)
    assert shares.shape == (1, 2) and shares.sum() == pytest.approx(1)
    true, _ = planted.answer("nose shape", shares)
    assert true == [(shares[0].argmax(), "shape")]
    told = planted.run(model, "nose shape", 0, people=6, each=4, kinds=("observed", "code"))
    assert "swap" not in told["code"]
    effects = told["observed"]
    assert {"only one", "leave one out", "permutation", "shapley"} == set(effects) - {"swap"}
    said = planted.verdict(effects["shapley"], true)
    assert 1 <= said["places"][0] <= 5 and len(said["rows"]) == 5 and isinstance(said["ranked"], bool)
    none = planted.match(model, "light", 0, 8)
    assert planted.answer("light", none) == ([LIGHT], []) and planted.answer("nothing", none) == ([], [])
    json.dumps(said)


def made_effects(values, seed=0):
    names = [(m, cue) for m in (0, 1) for cue in ("shape", "albedo")]
    gains = np.array(values)[:, None] + 0.05 * np.random.default_rng(seed).normal(size=(4, 40))
    return Effects(names, gains, np.arange(40)[:, None], np.ones(40), np.zeros(40, int))


def test_verdicts_are_right_on_made_effects():
    good = planted.verdict(made_effects([0.4, 0, 0, 0.2]), [(0, "shape"), (1, "albedo")])
    assert good["ranked"] and good["ordered"] and good["apart"] and good["ahead"] and good["places"] == [1, 2]
    assert good["credited"] == [[0, "shape"], [1, "albedo"]]
    turned = planted.verdict(made_effects([0.2, 0, 0, 0.4]), [(0, "shape"), (1, "albedo")])
    assert turned["ranked"] and not turned["ordered"]
    wrong = planted.verdict(made_effects([0, 0.4, 0, 0]), [(0, "shape")])
    assert not wrong["ranked"] and not wrong["ahead"] and wrong["places"][0] > 1
    beside = planted.verdict(made_effects([0.2, 0, 0.4, 0]), [(0, "shape")], [(1, "shape")])
    assert beside["ranked"] and beside["apart"] and beside["ahead"] and beside["places"] == [1]
    none = planted.verdict(made_effects([0, 0, 0, 0]), [])
    assert not none["credited"] and none["covered"] >= 0.5 and "ranked" not in none


def test_the_benchmark_goes_on_where_it_stopped(shipped, tmp_path, capsys):
    out = tmp_path / "planted.json"
    ask = ["--model", shipped, "--people", "4", "--quick", "--sets", "nothing", "light", "--out", str(out)]
    assert bench.main([*ask, "--seeds", "0"]) == 0
    first = json.loads(out.read_text())
    assert set(first["results"]) == {"nothing/0", "light/0"}
    capsys.readouterr()
    assert bench.main([*ask, "--seeds", "0"]) == 0
    assert "/0:" not in capsys.readouterr().out and json.loads(out.read_text()) == first
    assert bench.main(["--model", shipped, "--people", "5", "--out", str(out)]) == 2
    assert "other settings" in capsys.readouterr().err


def test_saliency_has_a_figure_for_every_region_and_person():
    gains, right = saliency("mouth albedo", 0, people=4, each=4, size=SIZE)
    assert gains.shape == (len(REGIONS), 4) and (gains >= 0).all() and 0 <= right <= 1
    said = planted.saliency_verdict(REGIONS, gains, "mouth albedo")
    assert said["truth"] == [[REGIONS.index("lips"), "lips"]] and "credited" not in said


def test_the_command_writes_tables_and_figures(shipped, folder, capsys):
    out = folder / "out"
    assert main(["--model", shipped, "--data", str(folder / "faces"), "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "24 images of 6 people; 1 skipped" in said.out and "broken.png" in said.err
    written = json.loads((out / "report.json").read_text())
    assert (
        written["kind"] == "people" and len(written["skipped"]) == 1 and "identify" in written["limits"][-1]
    )
    rows = list(csv.DictReader((out / "importance.csv").open()))
    assert len(rows) == 4 * 5 + 4 and {row["method"] for row in rows} == {*written["importance"]}
    assert all(float(row["low"]) <= float(row["value"]) <= float(row["high"]) for row in rows)
    for name in ("importance.png", "parts.png", "roc.png", "recognition.csv"):
        assert (out / name).stat().st_size > 100


@pytest.mark.parametrize(("target", "kind"), [("identity", "people"), ("mood", "labels"), ("age", "numbers")])
def test_a_table_names_the_labels(folder, target, kind):
    found = open_labelled(str(folder / "faces"), SIZE, str(folder / "labels.csv"), target)
    assert found.target(target)[0] == kind and found.images.shape == (24, 3, SIZE, SIZE)


def test_the_command_takes_another_target(shipped, folder, capsys):
    ask = [
        "--model",
        shipped,
        "--data",
        str(folder / "faces"),
        "--labels",
        str(folder / "labels.csv"),
        "--raw",
    ]
    assert main([*ask, "--target", "mood", "--out", str(folder / "out")]) == 0
    assert json.loads((folder / "out" / "report.json").read_text())["unit"] == "chance above 1/2"
    assert not (folder / "out" / "roc.png").exists()


def one_person(folder):
    for place in sorted((folder / "faces").iterdir())[1:]:
        shutil.rmtree(place)


def one_image_each(folder):
    for place in (folder / "faces").iterdir():
        for path in sorted(place.iterdir())[1:]:
            path.unlink()


def loose_images(folder):
    shutil.copy(next((folder / "faces").rglob("*.png")), folder / "faces" / "loose.png")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (one_person, "two people"),
        (one_image_each, "two images of a person"),
        (loose_images, "outside of the people's folders"),
        (lambda folder: shutil.rmtree(folder / "faces"), "does not exist"),
    ],
)
def test_a_folder_that_will_not_do_gets_one_sentence(shipped, folder, capsys, change, said):
    change(folder)
    assert main(["--model", shipped, "--data", str(folder / "faces"), "--out", str(folder / "out")]) == 2
    told = capsys.readouterr().err
    assert said in told and told.startswith("error: ") and told.count("\n") == 1


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("name,label\na.png,b\n", "no column 'file'"),
        ("file,label\n", "no rows"),
        ("file,mood\na.png,b\n", "no column 'identity'"),
        ("file,label\na.png,\n", "has no identity"),
        ("file,label\nmissing.png,b\n", "no such file"),
    ],
)
def test_a_table_that_will_not_do_gets_one_sentence(shipped, folder, capsys, table, said):
    (folder / "labels.csv").write_text(table)
    ask = ["--model", shipped, "--data", str(folder / "faces"), "--labels", str(folder / "labels.csv")]
    assert main([*ask, "--out", str(folder / "out")]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
    with pytest.raises(UserError, match="cannot be read"):
        open_labelled(str(folder), SIZE, str(folder / "none.csv"))


def test_a_label_that_never_changes_is_refused(folder):
    (folder / "labels.csv").write_text("file,label,mood\n" + "".join(
        f"{path.relative_to(folder / 'faces')},{path.parent.name},glad\n"
        for path in sorted((folder / "faces").rglob("[0-9]*.png"))
    ))  # fmt: skip
    found = open_labelled(str(folder / "faces"), SIZE, str(folder / "labels.csv"), "mood")
    with pytest.raises(UserError, match="every image"):
        found.target("mood")
    with pytest.raises(UserError, match="no label"):
        found.target("weight")


def test_figures_show_what_was_found():
    effects = made_effects([0.4, 0, 0, 0.2])
    assert len(method_bars({"shapley": effects}, "unit").axes) == 1


def test_a_heat_map_is_grey_where_nothing_is_sure(model, drawn):
    with torch.no_grad():
        out = model(drawn[0][:1])
    shape, albedo = (
        importance_view(model, out, made_effects([0.4, 0, 0, 0]), cue) for cue in ("shape", "albedo")
    )
    assert shape.face["colours"] != albedo.face["colours"] and "albedo" in albedo.face["says"]
    grey = np.frombuffer(base64.b64decode(albedo.face["colours"]), np.uint8).reshape(-1, 3)
    assert (grey == grey[:, :1]).all(), "no albedo is sure here"


def test_circumstances_are_angles_and_light(model, drawn):
    found = describe(model, drawn[0])
    how = turns(found.pose, found.light)
    assert how.shape == (24, 8)
    said = analyse(found.parts | {LIGHT: found.light}, drawn[1], circumstances=how)
    assert said["shapley"].names[-1] == LIGHT


def test_points_that_fall_outside_of_the_picture_are_not_looked_at(moved):
    model, out = moved
    found = look(model, torch.rand(2, 3, 32, 32), out)
    points = geometry.transform(model.points(out.depth, out.shift), out.pose)
    pixels = geometry.points_to_pixels(points, 32, model.fov)[..., :2]
    outside = ((pixels < -0.01) | (pixels > 32.01)).any(dim=-1).float()
    outside = torch.nn.functional.avg_pool2d(outside, 2) == 1
    assert found.seen.mean() > 0.2 and not found.seen[outside].any()
    assert outside.any() or model.config.background == "border"


def test_without_a_background_faces_are_described_swapped_and_shown(drawn, monkeypatch):
    torch.manual_seed(0)
    model = IGCNet(ModelConfig(size=SIZE, width=8, channels=12, parts=2, background="none")).eval()
    found = describe(model, drawn[0], "observed")
    assert all(np.isfinite(values).all() for values in found.parts.values())
    told = swap(model, *drawn, found.parts, found.atlas, partners=2)
    assert np.isfinite(told.effects.estimate().value).all()
    with torch.no_grad():
        out = model(drawn[0][:1])
    shown = importance_view(model, out, made_effects([0.4, 0, 0, 0]), "shape").face
    assert shown["shape"] == [SIZE - 2 + 4] * 2, "an open sheet, without its outermost ring"


def test_the_embedded_faces_show_what_the_model_knows(monkeypatch, tmp_path):
    monkeypatch.setattr(labelled, "SYNTHETIC", (2, 2))
    head, face = (open_labelled("synthetic", SIZE, frame=frame) for frame in ("head", "face"))
    assert head.images.shape == face.images.shape == (4, 3, SIZE, SIZE)
    assert not torch.equal(head.images, face.images)
    asked = []
    monkeypatch.setattr(command, "open_labelled", lambda *given: asked.append(given[-1]) or 1 / 0)
    for background in ("none", "border"):
        IGCNet(ModelConfig(size=SIZE, width=8, channels=12, background=background)).save_pretrained(tmp_path)
        with pytest.raises(ZeroDivisionError):
            main(["--model", str(tmp_path), "--data", "synthetic", "--out", str(tmp_path / "out")])
    assert asked == ["face", "head"]
