"""A run that is disturbed: killed, stopped, out of space, damaged, of another version, gone wrong."""

import json
import pickle
import random
import shutil
import signal
import time
from multiprocessing import get_context

import pytest
import torch
from safetensors.torch import load_file, save_file

from igc import IGCNet, ModelConfig, TrainConfig, files, fit, runs, train, watch
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
    def die_in_the_middle(number):
        calls, save = [], files.save_file

        def half(held, path, metadata):
            save(held, path, metadata)
            calls.append(path)
            if len(calls) == number:
                data = path.read_bytes()
                path.write_bytes(data[: len(data) // 2])
                signal.raise_signal(signal.SIGKILL)

        files.save_file = half
        one_thread(faces, tmp_path)

    for number in (4, 5, 6):  # a state, the model, the best model
        process = get_context("fork").Process(target=die_in_the_middle, args=(number,))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        IGCNet.from_pretrained(tmp_path)
    kill_and_resume(faces, alone[0], tmp_path, [0.0])


def test_an_interrupt_leaves_a_checkpoint_and_the_run_goes_on_from_that_step(faces, whole, tmp_path):
    config = TrainConfig(**QUICK.to_dict() | {"checkpoint_steps": 1000})
    fit(faces, TINY, config, tmp_path / "whole")

    def press(model, step):
        signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "PREVIEW", 3)
        with pytest.raises(KeyboardInterrupt, match="goes on"):
            fit(faces, TINY, config, tmp_path / "stopped", preview=press)
    assert [path.stem for path in runs.states(tmp_path / "stopped")] == ["00000-00000003", "00000-00000000"]
    steps = []
    fit(faces, TINY, config, tmp_path / "stopped", preview=lambda model, step: steps.append(step))
    assert same(tmp_path / "whole", tmp_path / "stopped")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


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
        patch.setattr(train, "PREVIEW", 5)
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
    original, calls = train.Objective.forward, []

    def forward(objective, images):
        calls.append(1)
        terms, area = original(objective, images)
        return spoil(terms, area) if 4 < len(calls) <= 4 + times else (terms, area)

    monkeypatch.setattr(train.Objective, "forward", forward)


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


def test_a_vanished_part_is_noticed_within_a_hundred_steps():
    area = torch.tensor([0.1] * 6 + [0.4])
    looking = watch.Watch(6, type("Alone", (), {"reduce": staticmethod(lambda value, how: value)})())
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
