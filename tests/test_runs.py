"""A run that is disturbed: killed, stopped, out of space, damaged, gone wrong, set aside."""

import json
import pickle
import random
import re
import shutil
import signal
import time
from multiprocessing import get_context

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from igc import IGCNet, ModelConfig, TrainConfig, files, fit, runs, training, watch
from igc.data import SyntheticFaces
from igc.errors import UserError

TINY = ModelConfig(size=32, width=8, channels=12)
QUICK = TrainConfig(epochs=3, batch_size=8, learning_rate=3e-3, checkpoint_steps=2, picture_epochs=100)


@pytest.fixture(scope="module")
def faces():
    return SyntheticFaces("train", 32, 32)


@pytest.fixture(scope="module")
def whole(faces, tmp_path_factory):
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    fit(faces, TINY, QUICK, folder)
    return folder


def same(first, second):
    """Whether two runs ended with the same weights, average and history, but for the time it took."""
    tensors = [load_file(runs.states(folder)[0]) for folder in (first, second)]
    tensors += [load_file(folder / "model.safetensors") for folder in (first, second)]
    equal = all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in (tensors[:2], tensors[2:])
    )
    rows = [
        [{k: v for k, v in row.items() if "second" not in k} for row in history(folder)]
        for folder in (first, second)
    ]
    return equal and rows[0] == rows[1]


def history(folder):
    return json.loads((folder / "record.json").read_text())["history"]


def one_thread(faces, folder, config=QUICK):
    torch.set_num_threads(1)
    fit(faces, TINY, config, folder)


def kill_and_resume(faces, whole, folder, moments):
    """Kills a run after so many seconds, again and again, then lets it end."""
    kills = 0
    for moment in moments:
        process = get_context("fork").Process(target=one_thread, args=(faces, folder))
        process.start()
        process.join(moment)
        kills += process.is_alive()
        process.kill()
        process.join()
    ended = get_context("fork").Process(target=one_thread, args=(faces, folder))
    ended.start()
    ended.join()
    assert ended.exitcode == 0 and kills and same(whole, folder)
    assert not list(folder.rglob("*.part*")) and len(runs.states(folder)) == 2
    best = [load_file(each / "best" / "model.safetensors") for each in (whole, folder)]
    assert all(torch.equal(best[0][name], best[1][name]) for name in best[0])


@pytest.fixture(scope="module")
def alone(faces, tmp_path_factory):
    """The undisturbed run in a process with one thread, and how long it took."""
    folder, started = tmp_path_factory.mktemp("alone"), time.perf_counter()
    process = get_context("fork").Process(target=one_thread, args=(faces, folder))
    process.start()
    process.join()
    assert process.exitcode == 0
    return folder, time.perf_counter() - started


def test_killed_at_random_moments_a_run_ends_with_the_same_weights(faces, alone, tmp_path):
    whole, seconds = alone
    rng = random.Random(0)
    kill_and_resume(faces, whole, tmp_path, [rng.uniform(0.15, 0.6) * seconds for _ in range(3)])


@pytest.mark.slow
def test_killed_twenty_times(faces, alone, tmp_path):
    whole, seconds = alone
    rng = random.Random(1)
    for number in range(5):
        moments = [rng.uniform(0.1, 0.5) * seconds for _ in range(4)]
        kill_and_resume(faces, whole, tmp_path / f"{number}", moments)


def test_killed_while_a_checkpoint_is_written_a_run_ends_with_the_same_weights(faces, alone, tmp_path):
    def die_in_the_middle(place, number):
        calls, save = [], files.save_file

        def half(held, path, metadata):
            save(held, path, metadata)
            calls.append(path.parent)
            if path.parent == place and calls.count(place) == number:
                data = path.read_bytes()
                path.write_bytes(data[: len(data) // 2])
                signal.raise_signal(signal.SIGKILL)

        files.save_file = half
        one_thread(faces, tmp_path)

    for place, number in ((tmp_path / "state", 2), (tmp_path, 2), (tmp_path / "best", 1)):
        process = get_context("fork").Process(target=die_in_the_middle, args=(place, number))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        IGCNet.from_pretrained(tmp_path)
        assert [path.parent for path in tmp_path.rglob("*.part")] == [place]
    kill_and_resume(faces, alone[0], tmp_path, [0.0])


def test_an_interrupt_leaves_a_checkpoint_and_the_run_goes_on_from_that_step(faces, whole, tmp_path):
    config = TrainConfig(**QUICK.to_dict() | {"checkpoint_steps": 1000})
    before = signal.getsignal(signal.SIGINT)
    fit(faces, TINY, config, tmp_path / "whole")

    def press(model, step):
        signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "PREVIEW", 3)
        with pytest.raises(KeyboardInterrupt, match="goes on"):
            fit(faces, TINY, config, tmp_path / "stopped", preview=press)
    assert [path.stem for path in runs.states(tmp_path / "stopped")] == ["00000-00000003", "00000-00000000"]
    steps = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "PREVIEW", 1)
        fit(faces, TINY, config, tmp_path / "stopped", preview=lambda model, step: steps.append(step))
    assert steps == list(range(4, 13)), "three of the twelve steps were done"
    assert same(tmp_path / "whole", tmp_path / "stopped")
    assert signal.getsignal(signal.SIGINT) is before


def accumulating(**settings):
    return TrainConfig(**QUICK.to_dict() | {"accumulate": 2, "checkpoint_steps": 1} | settings)


def test_a_run_that_adds_up_gradients_stops_between_two_steps_of_the_optimiser(tmp_path, monkeypatch):
    faces = SyntheticFaces("train", 40, 32)  # five batches, of which an epoch has four
    fit(faces, TINY, accumulating(), tmp_path / "whole")

    def press(model, step):
        if step in (1, 7):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(training, "PREVIEW", 1)
    for stopped in ("00000-00000002", "00002-00000002"):  # of step 7's epoch one is left, and is done first
        with pytest.raises(KeyboardInterrupt, match="goes on"):
            fit(faces, TINY, accumulating(), tmp_path / "stopped", preview=press)
        assert runs.states(tmp_path / "stopped")[0].stem == stopped
    fit(faces, TINY, accumulating(), tmp_path / "stopped")
    assert same(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize(("every", "wanted"), [(1, [2, 4, 6]), (3, [4, 6]), (4, [4]), (100, [])])
def test_checkpoints_come_when_they_are_due_and_the_optimiser_has_stepped(
    faces, tmp_path, monkeypatch, every, wanted
):
    kept, save = [], training.save_state

    def look(out, progress, *others):
        kept.append(progress.step)
        return save(out, progress, *others)

    monkeypatch.setattr(training, "save_state", look)
    fit(faces, TINY, accumulating(checkpoint_steps=every, batch_size=4, epochs=1), tmp_path)
    assert kept == [0, *wanted, 0]


def test_going_back_leaves_no_share_of_a_step(faces, tmp_path):
    run = training.Training(faces, TINY, accumulating(), tmp_path)
    run.step(next(run.feed.batches(0)))
    assert any(weight.grad is not None for weight in run.model.parameters())
    assert run.load() and run.accelerator.step == 0
    assert all(weight.grad is None for weight in run.model.parameters())


def test_a_second_interrupt_does_not_wait():
    with pytest.raises(KeyboardInterrupt), watch.Stop() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.wished
        signal.raise_signal(signal.SIGINT)


def test_a_full_disk_costs_a_warning_and_the_checkpoint_before_is_kept(faces, whole, tmp_path, monkeypatch):
    save, full = files.save_file, []

    def write(held, path, metadata):
        if len(full) in range(3, 9):
            path.write_bytes(b"half")
            full.append(path)
            raise OSError(28, "No space left on device")
        full.append(path)
        save(held, path, metadata)

    monkeypatch.setattr(files, "save_file", write)
    with pytest.warns(UserWarning, match=r"No checkpoint.*No space left on device.*make room"):
        fit(faces, TINY, QUICK, tmp_path)
    assert same(whole, tmp_path) and not list(tmp_path.rglob("*.part*"))


def test_a_folder_that_vanishes_is_made_again(faces, whole, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "PREVIEW", 5)
        fit(faces, TINY, QUICK, tmp_path / "run", preview=lambda *_: shutil.rmtree(tmp_path / "run"))
    assert same(whole, tmp_path / "run")


def test_a_truncated_checkpoint_is_passed_over_for_the_one_before(faces, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    last = runs.states(tmp_path / "run")[0]
    last.write_bytes(last.read_bytes()[:1000])
    with pytest.warns(UserWarning, match=rf"{last.name} cannot be read.*the checkpoint before it is used"):
        fit(faces, TINY, QUICK, tmp_path / "run")
    assert same(whole, tmp_path / "run")


def test_when_no_checkpoint_can_be_read_the_run_is_refused(faces, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    for path in runs.states(tmp_path / "run"):
        path.write_bytes(b"nothing")
    with pytest.warns(UserWarning), pytest.raises(UserError, match=r"delete .*run to start again"):
        fit(faces, TINY, QUICK, tmp_path / "run")


def test_a_checkpoint_of_another_format_is_refused(faces, whole, tmp_path, monkeypatch):
    shutil.copytree(whole, tmp_path / "run")
    monkeypatch.setattr(runs, "FORMAT", 99)
    with pytest.raises(UserError, match=r"format 2, this is 99: choose another 'out'"):
        fit(faces, TINY, QUICK, tmp_path / "run")


class Harmful:
    def __reduce__(self):
        return exec, ("import pathlib; pathlib.Path('executed').touch()",)


def test_a_pickle_in_place_of_a_checkpoint_is_never_executed(faces, whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(whole, tmp_path / "run")
    for path in runs.states(tmp_path / "run"):
        torch.save(Harmful(), path)
    with pytest.warns(UserWarning), pytest.raises(UserError):
        fit(faces, TINY, QUICK, tmp_path / "run")
    (tmp_path / "run" / "model.safetensors").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(UserError, match="cannot be read"):
        IGCNet.from_pretrained(tmp_path / "run")
    assert not (tmp_path / "executed").exists()


def broken(monkeypatch, spoil, times=10**9):
    """Lets `spoil` change what the objective says, from the second epoch on, so many times."""
    original, calls = training.Objective.forward, []

    def forward(objective, images):
        calls.append(1)
        terms, area = original(objective, images)
        return spoil(terms, area) if 4 < len(calls) <= 4 + times else (terms, area)

    monkeypatch.setattr(training.Objective, "forward", forward)


def no_number(terms, area):
    return {name: value * float("nan") for name, value in terms.items()}, area


def no_part(terms, area):
    gone = torch.tensor([0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.5])
    return terms, gone


def whole_frame(terms, area):
    return terms, torch.tensor([0.2, 0.2, 0.2, 0.2, 0.1, 0.1, 0.0])


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (no_number, "the loss is not a number"),
        (no_part, r"part 1 has vanished"),
        (whole_frame, "swallowed the background"),
    ],
)
def test_what_goes_wrong_for_good_is_named_and_the_last_good_checkpoint_kept(
    faces, tmp_path, monkeypatch, spoil, named
):
    monkeypatch.setattr(watch, "MEMORY", 0.0)
    broken(monkeypatch, spoil)
    with pytest.raises(UserError, match=rf"{named}.* in epoch 2, again after .*'learning_rate'.*is kept"):
        fit(faces, TINY, QUICK, tmp_path)
    progress = runs.load_state(tmp_path, settings_of(faces))[0]
    assert (progress.epoch, progress.step) <= (1, 3)
    assert all(torch.isfinite(value).all() for value in load_file(tmp_path / "model.safetensors").values())


def test_without_a_background_the_face_may_fill_the_frame(faces, tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "MEMORY", 0.0)
    broken(monkeypatch, whole_frame)
    record = fit(faces, ModelConfig(**TINY.to_dict() | {"background": "none"}), QUICK, tmp_path)
    assert not record["setbacks"] and record["final"]["epoch"] == 3


def settings_of(faces):
    return {"model": TINY.to_dict(), "train": QUICK.to_dict(), "data": faces.fingerprint()}


def test_what_goes_wrong_once_costs_a_step_back_and_half_the_learning_rate(
    faces, tmp_path, monkeypatch, capsys
):
    broken(monkeypatch, no_number, times=3)
    record = fit(faces, TINY, QUICK, tmp_path)
    assert "the loss is not a number in epoch 2: going back" in capsys.readouterr().out
    assert [back["epoch"] for back in record["setbacks"]] == [2] and record["final"]["epoch"] == 3
    assert all(torch.isfinite(value).all() for value in load_file(tmp_path / "model.safetensors").values())


def disfigure(monkeypatch, times):
    """Spoils the weights before the sixth step, so many times, so that the rasteriser gets no numbers."""
    step, spoilt = training.Training.step, []

    def spoil(run, images):
        if run.progress.epoch == 1 and run.progress.step == 1 and len(spoilt) < times:
            spoilt.append(run.model.common_depth[0].data.fill_(float("nan")))
        return step(run, images)

    monkeypatch.setattr(training.Training, "step", spoil)


def test_a_face_that_cannot_be_drawn_costs_a_step_back(faces, tmp_path, monkeypatch, capsys):
    disfigure(monkeypatch, times=1)
    record = fit(faces, TINY, QUICK, tmp_path)
    said = "the face has points that are no numbers or behind the camera in epoch 2: going back"
    assert said in capsys.readouterr().out
    assert [back["step"] for back in record["setbacks"]] == [1] and record["final"]["epoch"] == 3


def test_a_face_that_can_never_be_drawn_ends_in_a_sentence(faces, tmp_path, monkeypatch):
    disfigure(monkeypatch, times=9)
    with pytest.raises(UserError, match=r"behind the camera in epoch 2, again after .*'learning_rate'"):
        fit(faces, TINY, QUICK, tmp_path)


def test_of_several_processes_one_that_cannot_draw_does_not_go_back_alone(faces, tmp_path):
    run = training.Training(faces, TINY, QUICK, tmp_path)
    run.accelerator = type("Two", (), {"num_processes": 2})()
    with pytest.raises(UserError, match=r"in epoch 1: lower 'learning_rate' \(0.003\).* is kept in"):
        run.undrawn(training.Unusable("vertices"))


class Alone:
    """An accelerator of one process, as far as `Watch` asks."""

    @staticmethod
    def reduce(value, how):
        return value


@pytest.mark.parametrize(
    ("area", "said"),
    [
        ([0.003] * 6 + [0.982], r"the face has vanished \(1.8% of the frame\)"),
        ([0.166] * 6 + [0.004], r"the face has swallowed the background \(99.6% of the frame\)"),
        ([0.0004, *[0.1] * 5, 0.4996], r"part 1 has vanished \(0.08% of the face\)"),
        ([0.0008] * 5 + [0.596, 0.4], r"part 6 has swallowed the others \(99.3% of the face\)"),
        ([0.0055] * 5 + [0.5, 0.4725], None),
    ],
)
def test_areas_that_cannot_be_right_are_named(area, said):
    looking = watch.Watch(6, Alone())
    looking.see(torch.tensor(True), torch.tensor(area))
    assert looking.fault() is None if said is None else re.fullmatch(said, looking.fault())


def test_a_vanished_part_is_noticed_within_a_hundred_steps():
    area = torch.tensor([0.1] * 6 + [0.4])
    looking = watch.Watch(6, Alone())
    for _ in range(200):
        looking.see(torch.tensor(True), area)
    assert looking.fault() is None
    gone = torch.tensor([0.1, 0.0, 0.1, 0.1, 0.1, 0.1, 0.5])
    steps = 0
    while not (looking.due(steps) and looking.fault()):
        looking.see(torch.tensor(True), gone)
        steps += 1
    assert steps <= 100 and looking.fault().startswith("part 2 has vanished")


def test_the_best_model_is_that_of_the_epoch_with_the_lowest_loss(whole):
    losses = [row["loss"] for row in history(whole)]
    assert (whole / "best" / "model.safetensors").is_file() and IGCNet.from_pretrained(whole / "best")
    best = runs.load_state(whole, json.loads(json.dumps(settings_of(SyntheticFaces("train", 32, 32)))))[
        0
    ].best
    assert best == losses[-1], "the one epoch of three after which faces were free to differ"


def test_no_learning_rate_is_too_small_to_be_averaged(faces, tmp_path):
    """Without an average the model that is saved is the one that is trained."""
    fit(faces, TINY, TrainConfig(**QUICK.to_dict() | {"ema": 0.0, "epochs": 1}), tmp_path)
    state, model = load_file(runs.states(tmp_path)[0]), load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(state[f"model.{name}"], value) for name, value in model.items())


def test_a_state_that_lacks_something_is_refused_in_one_sentence(faces, tmp_path):
    (tmp_path / "state").mkdir()
    save_file({"a": torch.zeros(1)}, tmp_path / "state" / "00001-00000000.safetensors")
    with pytest.warns(UserWarning), pytest.raises(UserError, match="cannot be read"):
        fit(faces, TINY, QUICK, tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"memory": 0.0}, {"device": "cpu"}, {"picture_epochs": 7}, {"checkpoint_steps": 3}, {"compile": True}],
    ids=lambda change: next(iter(change)),
)
def test_another_way_of_making_a_run_goes_on_with_it(faces, whole, tmp_path, monkeypatch, capsys, change):
    monkeypatch.setattr(training, "compile_networks", lambda model: None)  # which takes minutes
    monkeypatch.setattr(training, "PREVIEW", 3)

    def press(model, step):
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="goes on"):
        fit(faces, TINY, QUICK, tmp_path, preview=press)
    assert set(change) <= set(runs.OPERATIONAL)
    changed = TrainConfig(**QUICK.to_dict() | change)
    record = fit(faces, TINY, changed, tmp_path)
    assert not (tmp_path / "before-1").exists() and "other settings" not in capsys.readouterr().out
    assert same(whole, tmp_path)
    assert record["train"] == changed.to_dict() == TrainConfig.load(tmp_path / "train.json").to_dict()


def test_what_changes_the_result_is_no_way_of_making_a_run():
    assert set(runs.OPERATIONAL) == {"memory", "device", "picture_epochs", "checkpoint_steps", "compile"}
    settings = {"model": TINY.to_dict(), "train": QUICK.to_dict(), "data": "faces"}
    for name, value in {"seed": 1, "batch_size": 4, "precision": "bf16", "accumulate": 2}.items():
        other = {**settings, "train": {**settings["train"], name: value}}
        assert runs.decisive(other) != runs.decisive(settings), name


def test_all_files_of_a_run_are_set_aside_and_nothing_else(tmp_path, capsys):
    ours = ["model.safetensors", "config.json", "train.json", "history.csv", "record.json", "state/1-1"]
    ours += ["best/a", "pictures/a.png", "events.out.tfevents.1.host", "events.out.tfevents.2.host"]
    for turn in ("first", "second"):
        for name in (*ours, "notes.txt"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(turn)
        runs.set_aside(tmp_path)
    said = capsys.readouterr().out
    for number, turn in enumerate(("first", "second"), 1):
        folder = tmp_path / f"before-{number}"
        assert f"its files were moved to {folder}.\n" in said
        found = [path for path in folder.rglob("*") if path.is_file()]
        assert sorted(path.relative_to(folder).as_posix() for path in found) == sorted(ours)
        assert {path.read_text() for path in found} == {turn}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["before-1", "before-2", "notes.txt"]


def test_a_run_that_cannot_be_set_aside_is_refused(tmp_path, monkeypatch):
    def refuse(path, to):
        raise OSError(30, "Read-only file system")

    (tmp_path / "state").mkdir()
    monkeypatch.setattr(type(tmp_path), "rename", refuse)
    with pytest.raises(UserError, match=r"before-1 cannot be written \(Read-only file system\): .*another"):
        runs.set_aside(tmp_path)


def test_what_goes_wrong_with_the_best_model_is_said(tmp_path, monkeypatch):
    def fail(*given):
        raise SafetensorError("I/O error: no space")

    monkeypatch.setattr(files, "save_file", fail)
    with pytest.warns(UserWarning, match=r"best cannot be written \(I/O error: no space\): make room there"):
        runs.save_best(tmp_path, IGCNet(TINY))


def test_a_record_that_cannot_be_written_is_named(faces, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / "record.json").unlink()
    (tmp_path / "run" / "record.json").mkdir()
    with pytest.raises(UserError, match=r"record\.json cannot be written \(.*directory\): make room"):
        fit(faces, TINY, QUICK, tmp_path / "run")
