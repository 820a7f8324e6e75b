"""The table: which systems there are, the faces, the figures, who is first, and stopping and going on."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from igc import UserError
from igc.data import SyntheticFaces
from peers import __main__ as command
from peers import board
from peers.base import IMAGES, Peer
from peers.grid_bands import Bands

FACES = board.Faces(images=64, count=64, size=32)


class Oracle(Peer):
    """Knows the truth of the faces of the test."""

    name = "oracle"
    settings = ({"error": 0.3}, {"error": 0.1}, {"error": 0.2})
    fits: tuple = ()

    def fit(self, dataset, minutes, report=None):
        Oracle.fits += ((self.setting["error"], self.seed, minutes),)

    def labels(self, images):
        return self._look_up(images, "labels")

    def depth(self, images):
        return self._look_up(images, "depth"), self._look_up(images, "normal")

    def features(self, images):
        return torch.nn.functional.one_hot(self._look_up(images, "identity") % 10**9, 8).float()

    def validation_loss(self, images):
        return self.setting["error"]

    def _look_up(self, images, name):
        for data in (FACES.test, FACES.validation, FACES.turned):
            if len(data["image"]) == len(images) and torch.equal(data["image"], images):
                return data[name]
        where = [(FACES.test["image"] == image).flatten(1).all(dim=1).nonzero().item() for image in images]
        return FACES.test[name][where]


@pytest.fixture
def only(monkeypatch):
    """The table has two systems."""
    kinds = {"oracle": Oracle, "six-bands": Bands}
    monkeypatch.setattr(command, "systems", lambda: kinds)
    monkeypatch.setattr(command, "Faces", lambda *options: FACES)
    monkeypatch.setattr(
        command, "figures", lambda peer, faces: {"nmi": 1.0 if peer.name == "oracle" else 0.5}
    )
    monkeypatch.setattr(
        command, "floor_rows", lambda faces: {"bands-true-box": row("bands", 0.6, given="a box")}
    )
    Oracle.fits = ()


def test_every_system_says_what_it_is():
    kinds = board.systems()
    assert len(kinds) >= 8 and next(iter(kinds)) == "igc-net-ours"
    for name, kind in kinds.items():
        assert board.slug(kind.name) == name and len(kind.name) <= 24
        assert kind.source and kind.given and isinstance(kind.deviations, tuple)
        assert 1 <= len(kind.settings) <= 3 and all(set(s) <= set(kind.settings[0]) for s in kind.settings)
        assert kind.deviations, f"{name} lists no deviation"


def test_slugs_are_plain():
    assert board.slug("DFF, our features") == "dff-our-features" and board.slug("2 x 3 grid") == "2-x-3-grid"


def test_turned_faces_are_the_same_heads_in_another_pose():
    again, index = FACES.turned, FACES.turned["index"]
    assert 20 < len(index) <= 64
    yaw = FACES.test["pose"][index, 1], again["pose"][:, 1]
    assert ((yaw[0] - yaw[1]).abs() >= np.radians(board.TURN)).all()
    assert again["image"].shape == (len(index), 3, 32, 32)
    poses = {tuple(pose.tolist()) for pose in FACES.test["pose"]}
    assert all(tuple(pose.tolist()) in poses for pose in again["pose"])


def test_a_face_turned_into_its_own_pose_is_the_picture_itself(monkeypatch):
    monkeypatch.setattr(board, "TURN", 0.0)
    dataset = SyntheticFaces("test", 2, 32, per_identity=1)
    again = board.turned_faces(dataset, torch.zeros(2))
    for name, value in dataset.batch(range(2)).items():
        if name in ("image", "depth", "labels", "normal", "pose"):
            assert torch.equal(again[name], value), name


def test_without_a_turn_there_is_a_sentence():
    with pytest.raises(UserError, match="raise 'count'"):
        board.turned_faces(SyntheticFaces("test", 4, 32), torch.zeros(4))


def test_an_oracle_has_perfect_figures():
    found = board.figures(Oracle(32), FACES)
    for name in ("nmi", "ari", "iou", "rank1"):
        assert found[name] == pytest.approx(1), name
    assert found["turning"] > 0.7  # pixels are as coarse as they are
    assert found["side"] == pytest.approx(0, abs=1e-4) and found["mad"] < 0.1
    assert 0 < found["nme"] < 0.2


def test_what_a_system_cannot_do_is_left_out():
    found = board.figures(Bands(32), FACES)
    assert set(found) == {"nmi", "ari", "iou", "nme", "turning"}

    class Blind(Peer):
        name = "blind"

    assert board.figures(Blind(32), FACES) == {}


def test_rank_across_yaw_of_chance_and_of_knowledge():
    features = torch.nn.functional.one_hot(FACES.test["identity"] % 10**9, 8).float()
    assert board.rank_across(features, FACES.test) == 1
    assert board.rank_across(torch.randn(64, 5), FACES.test) < 0.6
    wrong = features.roll(1, dims=1)
    turned = FACES.test["pose"][:, 1].abs() > np.radians(30)
    assert board.rank_across(torch.where(turned[:, None], wrong, features), FACES.test) == 0


def row(name, value, spread=0.0, given=IMAGES):
    return {
        "name": name,
        "given": given,
        "seeds": [0],
        "mean": {"nmi": value, "nme": value},
        "spread": {"nmi": spread, "nme": spread},
    }


def test_the_first_sees_images_alone_and_may_be_within_the_spread():
    rows = {"a": row("a", 0.5, 0.01), "b": row("b", 0.4, 0.02), "c": row("c", 0.9, given="the truth")}
    found = board.leaders(rows)
    assert set(found) == {"nmi", "nme"}
    assert (found["nmi"]["first"], found["nmi"]["second"], found["nmi"]["beyond_spread"]) == ("a", "b", True)
    assert found["nme"]["first"] == "b" and found["nmi"]["lead"] == pytest.approx(0.1)
    rows["b"] = row("b", 0.4, 0.2)
    assert not board.leaders(rows)["nmi"]["beyond_spread"]


def test_a_row_is_mean_and_spread_over_seeds():
    records = [{"seed": s, "setting": {}, "figures": {"nmi": v}} for s, v in enumerate((0.1, 0.2, 0.6))]
    found = board.summary(Bands, records)
    assert found["mean"]["nmi"] == pytest.approx(0.3) and found["spread"]["nmi"] == pytest.approx(
        np.std([0.1, 0.2, 0.6], ddof=1)
    )
    assert board.summary(Bands, records[:1])["spread"]["nmi"] == 0
    timed = records[0] | {"seconds": 7, "peer": "x"}
    assert board.summary(Bands, [timed])["mean"] == {"nmi": 0.1, "seconds": 7}


def test_floors_are_rows_too():
    rows = board.floor_rows(FACES)
    assert set(rows) == {board.slug(title) for title, _ in board.FLOORS.values()}
    assert rows["bands-true-box"]["given"] != IMAGES and 0 < rows["bands-true-box"]["mean"]["turning"] < 1
    assert rows["flat-plane"]["mean"]["side"] > rows["posed-mean-face"]["mean"]["side"]
    assert "nmi" not in rows["flat-plane"]["mean"]


OPTIONS = ["--budget", "0.01", "--search", "0.02", "--images", "64", "--count", "64", "--size", "32"]


def test_the_command_searches_fits_measures_and_goes_on(only, tmp_path, capsys):
    arguments = [*OPTIONS, "--out", str(tmp_path), "--seeds", "0", "1"]
    assert command.main(arguments) == 0
    assert Oracle.fits == ((0.3, 0, 0.02), (0.1, 0, 0.02), (0.2, 0, 0.02), (0.1, 0, 0.01), (0.1, 1, 0.01))
    table = json.loads((tmp_path / "table.json").read_text())
    assert table["rows"]["oracle"]["setting"] == {"error": 0.1} and table["rows"]["oracle"]["seeds"] == [0, 1]
    assert table["rows"]["oracle"]["mean"]["nmi"] == pytest.approx(1)
    assert table["first"]["nmi"]["first"] == "oracle" and table["made"]["budget_minutes"] == 0.01
    assert "bands-true-box" in table["rows"] and "oracle" in capsys.readouterr().out
    picture = Image.open(tmp_path / "oracle.seed0.png")
    assert picture.size == (12 * 32, 32)
    np.testing.assert_array_equal(np.asarray(picture)[:, :32], FACES.test["labels"][0].numpy())

    (tmp_path / "oracle.seed1.json").unlink()
    Oracle.fits = ()
    assert command.main(arguments) == 0
    assert Oracle.fits == ((0.1, 1, 0.01),), "only what is missing is done again"
    (tmp_path / "oracle.search1.json").write_text("{ cut off")
    Oracle.fits = ()
    assert command.main([*arguments, "--peers", "Oracle"]) == 0
    assert Oracle.fits == ((0.1, 0, 0.02),)
    assert list(json.loads((tmp_path / "table.json").read_text())["rows"]) == ["oracle"]


def test_the_committed_table_has_all_systems_and_is_that_of_their_records():
    folder = Path(__file__).resolve().parents[2] / "benchmarks/records/peers"
    rows = json.loads((folder / "table.json").read_text())["rows"]
    for name, kind in board.systems().items():
        records = [json.loads((folder / f"{name}.seed{seed}.json").read_text()) for seed in (0, 1, 2)]
        assert len({json.dumps(record["setting"]) for record in records}) == 1, name
        assert rows[name] == board.summary(kind, records), name
    assert {board.slug(title) for title, _ in board.FLOORS.values()} < set(rows)


def test_only_a_system_that_says_so_is_given_truth(tmp_path):
    given = []

    class Curious(Bands):
        name = "curious"

        def fit(self, dataset, minutes, report=None):
            given.append(set(dataset.batch([0], truth=True)))

    class Told(Curious):
        given = "true labels"

    for kind in (Curious, Told):
        command.recorded(
            tmp_path / f"{kind.__name__}.json",
            {"seed": 0, "setting": {}, "minutes": 1},
            kind,
            FACES,
            lambda peer: {},
        )
    assert given[0] == {"image"} and "labels" in given[1]


def test_another_budget_is_another_fit(only, tmp_path):
    arguments = ["--out", str(tmp_path), "--seeds", "0", "--peers", "six-bands"]
    command.main([*OPTIONS, *arguments])
    first = json.loads((tmp_path / "six-bands.seed0.json").read_text())
    command.main([*OPTIONS, *arguments, "--budget", "0.03"])
    second = json.loads((tmp_path / "six-bands.seed0.json").read_text())
    assert first["minutes"] == 0.01 and second["minutes"] == 0.03


def test_a_setting_that_fails_is_passed_over(only, tmp_path, monkeypatch):
    def fit(self, dataset, minutes, report=None):
        if self.setting["error"] == 0.1:
            raise UserError("the loss is nan")

    monkeypatch.setattr(Oracle, "fit", fit)
    assert command.search("oracle", Oracle, FACES, 0.01, tmp_path) == {"error": 0.2}


@pytest.mark.parametrize(
    "wrong, message",
    [
        (["--peers", "nobody"], "error: --peers nobody is not a system: choose from oracle, six-bands."),
        (["--budget", "0"], "error: --budget must be above 0 minutes, not 0.0."),
        (["--count", "10"], "error: --images and --count must be at least 64"),
    ],
)
def test_wrong_options_end_with_a_sentence(only, tmp_path, capsys, wrong, message):
    assert command.main([*OPTIONS, "--out", str(tmp_path), *wrong]) == 2
    assert capsys.readouterr().err.startswith(message)


def test_an_interrupt_says_how_to_go_on(only, tmp_path, capsys, monkeypatch):
    def stop(self, *arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(Oracle, "fit", stop)
    assert command.main([*OPTIONS, "--out", str(tmp_path)]) == 130
    assert "the same command goes on" in capsys.readouterr().err
