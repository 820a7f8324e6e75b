"""Settings: their checks, their files, and that none of them is dead."""

import dataclasses
import json
import math
import shutil

import pytest
import torch

from igc import IGCNet, ModelConfig, TrainConfig
from igc.config import Config, setting
from igc.data import SyntheticFaces
from igc.errors import UserError
from igc.geometry import transform
from igc.objective import objective
from igc.schedule import set_learning_rate
from igc.train import fit

KINDS = (ModelConfig, TrainConfig)
FIELDS = [(kind, field) for kind in KINDS for field in dataclasses.fields(kind)]
IDS = [f"{kind.__name__}.{field.name}" for kind, field in FIELDS]
TINY = {"size": 32, "width": 8, "channels": 12}
OTHER = {"size": 48, "parts": 3, "channels": 18, "width": 16, "epochs": 3, "batch_size": 8, "seed": 7}
"""Other values than TINY's and QUICK's; fields that are not listed get one by `other_value`."""
ON_THE_SIDE = "checkpoint_steps", "picture_epochs", "memory"
"""Settings of what a run keeps and where; they must not change what it learns."""
QUICK = {"epochs": 2, "batch_size": 16}


def other_value(field):
    """A legal value that is not the default."""
    if field.name in OTHER:
        return OTHER[field.name]
    if isinstance(field.default, bool):
        return not field.default
    if isinstance(field.default, str):
        return field.metadata["choices"][-1]
    if field.default == 0:
        return field.metadata["high"] / 10
    if field.default == field.metadata["low"]:
        return 2 * field.default
    return type(field.default)(field.default / 2)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_setting_is_refused_and_the_known_ones_are_named(kind):
    with pytest.raises(UserError, match="sharpnes") as caught:
        kind.from_dict({"sharpnes": 3.0})
    for field in dataclasses.fields(kind):
        assert field.name in str(caught.value)


@pytest.mark.parametrize(("kind", "field"), FIELDS, ids=IDS)
@pytest.mark.parametrize("wrong", ["many", None, [1], math.nan, math.inf, b"1", -1e9])
def test_values_of_the_wrong_type_or_without_sense_are_refused(kind, field, wrong):
    with pytest.raises(UserError, match=field.name) as caught:
        kind(**{field.name: wrong})
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


@pytest.mark.parametrize(("kind", "field"), FIELDS, ids=IDS)
def test_ranges_end_where_they_say(kind, field):
    for key, step in (("low", -1), ("high", 1)):
        limit = field.metadata[key]
        if limit is not None:
            with pytest.raises(UserError, match=field.name):
                kind(**{field.name: limit + step * (1 if type(limit) is int else 1e-6)})


@pytest.mark.parametrize(("kind", "field"), FIELDS, ids=IDS)
def test_every_field_is_described_and_has_a_legal_default(kind, field):
    assert field.metadata["about"]
    assert getattr(kind(), field.name) == field.default


@pytest.mark.parametrize("value", [True, 2.0, "3"])
def test_a_whole_number_is_neither_a_switch_nor_a_fraction_nor_a_word(value):
    with pytest.raises(UserError, match="'epochs' must be a whole number"):
        TrainConfig(epochs=value)


def test_whole_numbers_pass_as_numbers_but_switches_do_not():
    assert type(TrainConfig(mirror=1).mirror) is float
    with pytest.raises(UserError, match="mirror"):
        TrainConfig(mirror=True)
    with pytest.raises(UserError, match="pose_votes"):
        ModelConfig(pose_votes=1)


@pytest.mark.parametrize("size", [33, 40, 100])
def test_sizes_are_multiples_of_sixteen(size):
    with pytest.raises(UserError, match=f"multiple of 16, not {size}"):
        ModelConfig(size=size)


def test_there_are_at_least_as_many_channels_as_parts():
    assert ModelConfig(channels=8, parts=8).parts == 8
    with pytest.raises(UserError, match="channels"):
        ModelConfig(channels=8, parts=9)


def nearest(config):
    """How near to the camera's plane the frame's corners come, turned in all directions and shifted."""
    depths = torch.tensor([1 - config.depth_range, 1.0, 1 + config.depth_range], dtype=torch.float64)
    ray = math.tan(math.radians(config.fov) / 2)
    corners = torch.tensor([[x * ray, y * ray, 1.0] for x in (-1, 1) for y in (-1, 1)], dtype=torch.float64)
    points = (depths[:, None, None] * corners).reshape(1, -1, 3)
    turns = torch.arange(-180, 180, 3, dtype=torch.float64).deg2rad()
    angles = torch.cartesian_prod(turns, turns, torch.zeros(1, dtype=torch.float64))
    shift = torch.tensor([0, 0, -config.translation_range], dtype=torch.float64).expand(len(angles), 3)
    pose = torch.cat((angles, shift), dim=1)
    return float(transform(points.expand(len(pose), -1, -1), pose)[..., 2].min())


@pytest.mark.parametrize(("depth_range", "shift"), [(0.1, 0.1), (0.01, 0.0), (0.3, 0.2), (0.5, 0.4)])
def test_the_widest_view_is_the_one_in_which_no_turned_face_reaches_the_camera(depth_range, shift):
    others = {"depth_range": depth_range, "translation_range": shift}
    legal, refused = 1.0, 71.0
    while refused - legal > 0.01:
        middle = (legal + refused) / 2
        try:
            config, legal = ModelConfig(fov=middle, **others), middle
        except UserError:
            refused = middle
    assert 0 < nearest(config) < 0.01


def test_too_wide_a_view_is_refused_with_what_to_lower():
    with pytest.raises(UserError, match=r"'fov' \(65.0\) is so wide .* 'depth_range' \(0.1\) or 'transl"):
        ModelConfig(fov=65.0)


def test_words_come_from_a_list():
    with pytest.raises(UserError, match="auto, cpu, cuda"):
        TrainConfig(device="tpu")


@pytest.mark.parametrize("kind", KINDS)
def test_files_return_what_was_saved(kind, tmp_path):
    odd = {field.name: other_value(field) for field in dataclasses.fields(kind) if field.name != "device"}
    config = kind(**odd)
    config.save(tmp_path / "config.json")
    assert kind.load(tmp_path / "config.json") == config != kind()
    assert kind.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    "text", ["", "{", "[1, 2]", "3", '{"size": "large"}', '{"unknown": 1}', '{"fov": NaN}']
)
def test_bad_files_are_refused(text, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError) as caught:
        ModelConfig.load(tmp_path / "config.json")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.json"):
        ModelConfig.load(tmp_path / "nowhere.json")


@pytest.mark.parametrize("kind", KINDS)
def test_configurations_are_frozen(kind):
    config = kind()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.seed = 1
    assert hash(config) == hash(kind())


def test_a_new_kind_of_configuration_is_checked_as_well():
    @dataclasses.dataclass(frozen=True)
    class Small(Config):
        number: int = setting(3, 1, 5)

    assert Small().number == 3
    with pytest.raises(UserError, match="between 1 and 5"):
        Small(number=6)


def flat(item):
    """All tensors of nested tuples."""
    if item is None:
        return []
    return [item] if isinstance(item, torch.Tensor) else [t for part in item for t in flat(part)]


def output(config):
    torch.manual_seed(0)
    model = IGCNet(config).eval()
    with torch.no_grad():
        for template in (model.vote.weight, model.depth_decoder.output.weight):
            template.mul_(3)
        return flat(model(torch.rand(2, 3, config.size, config.size)))


@pytest.mark.parametrize("field", dataclasses.fields(ModelConfig), ids=lambda field: field.name)
def test_every_setting_of_the_model_changes_what_it_says(field):
    before = output(ModelConfig(**TINY))
    after = output(ModelConfig(**TINY | {field.name: other_value(field)}))
    assert any(a.shape != b.shape or not torch.allclose(a, b, atol=1e-6) for a, b in zip(before, after))


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """Trains a tiny model quickly: settings to (record, weights)."""
    faces = SyntheticFaces("train", 32, 32)
    made = {}

    def run(**settings):
        key = tuple(sorted(settings.items()))
        if key not in made:
            config = TrainConfig(**QUICK | {"warmup": 0} | settings)
            folder = tmp_path_factory.mktemp("run")
            record = fit(faces, ModelConfig(**TINY), config, folder)
            made[key] = record, IGCNet.from_pretrained(folder).state_dict()
        return made[key]

    return run


@pytest.mark.parametrize(
    "field",
    [
        f
        for f in dataclasses.fields(TrainConfig)
        if f.name not in (*ON_THE_SIDE, "device", "warmup", "compile")
    ],
    ids=lambda field: field.name,
)
def test_every_setting_of_training_changes_the_run(field, train):
    (_, before), (_, after) = train(), train(**{field.name: other_value(field)})
    assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("name", ON_THE_SIDE)
def test_what_a_run_keeps_does_not_change_its_weights(name, train):
    field = next(f for f in dataclasses.fields(TrainConfig) if f.name == name)
    (_, before), (_, after) = train(), train(**{name: other_value(field)})
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
def test_compiled_networks_train_the_same_model_but_for_rounding(train):
    (record, before), (other, after) = train(), train(compile=True)
    assert other["final"]["loss"] == pytest.approx(record["final"]["loss"], abs=1e-3)
    assert any(not torch.equal(before[key], after[key]) for key in before)


WEIGHTS = [
    f.name for f in dataclasses.fields(TrainConfig) if f.metadata["about"].startswith(("weight", "price"))
]


@pytest.mark.parametrize("background", ["border", "none"])
def test_a_term_counts_with_its_weight_and_is_left_out_without_one(background):
    model = IGCNet(ModelConfig(background=background, **TINY))
    images = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        out = model(images)
        for name in WEIGHTS:
            weighed = (TrainConfig(**{name: weight}) for weight in (0.5, 1.0, 0.0))
            once, twice, never = (objective(model, out, images, config) for config in weighed)
            if name == "gradient":  # a weight within the terms of reconstruction
                assert never["reconstruct"] < once["reconstruct"] < twice["reconstruct"]
            elif name in ("silhouette", "fill") and background == "none":
                assert set(once) == set(never) and name not in once
            else:
                assert set(once) - set(never) == {name}
                torch.testing.assert_close(twice[name], 2 * once[name])


@pytest.mark.parametrize(("background", "most"), [("border", 7), ("none", 5)])
def test_there_are_at_most_eight_terms_and_none_without_a_use(background, most):
    model = IGCNet(ModelConfig(background=background, **TINY))
    images = torch.rand(4, 3, 32, 32)
    every = objective(model, model(images), images, TrainConfig(**dict.fromkeys(WEIGHTS, 1.0)))
    assert len(every) == most and all(torch.isfinite(term) for term in every.values())
    assert set(every) - {"reconstruct"} <= set(WEIGHTS)


def test_the_learning_rate_rises_over_the_warmup_and_then_falls():
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)

    def rates(**settings):
        config = TrainConfig(learning_rate=0.01, **settings)
        found = []
        for step in range(1000):
            set_learning_rate(optimiser, config, step, 1000)
            found.append(optimiser.param_groups[0]["lr"])
        return found

    slow, at_once = rates(warmup=50), rates(warmup=0)
    assert slow[0] < 0.001 < 0.0099 < at_once[0] <= 0.01
    assert slow.index(max(slow)) in (48, 49, 50) and slow[60:] == at_once[60:]
    assert at_once == sorted(at_once, reverse=True) and 0 < at_once[-1] < 0.001
