"""What a run shows: event files, pictures, a bar, a live preview; and the precision it computes in."""

import threading

import pytest
import torch
from tensorboardX.proto.event_pb2 import Event, SessionLog

from igc import IGCNet, ModelConfig, TrainConfig, fit, records
from igc.data import SyntheticFaces
from igc.live import LivePreview

TINY = ModelConfig(size=32, width=8, channels=12)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config = TrainConfig(epochs=2, batch_size=8, picture_epochs=2)
    return folder, fit(SyntheticFaces("train", 16, 32), TINY, config, folder)


def read_events(path):
    data, at = path.read_bytes(), 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        yield Event.FromString(data[at + 12 : at + 12 + length])
        at += 16 + length


def scalars(folder):
    """(name, step, value) of everything in a folder's event files."""
    events = [e for path in sorted(folder.glob("events.out.tfevents.*")) for e in read_events(path)]
    return [(value.tag, e.step, value.simple_value) for e in events for value in e.summary.value]


def test_tensorboard_gets_the_numbers_of_the_history(run):
    folder, record = run
    found = {(tag, step): value for tag, step, value in scalars(folder)}
    for row in record["history"]:
        for name in ("loss", "reconstruct", "images_per_second"):
            assert found[f"training/{name}", row["epoch"]] == pytest.approx(row[name], rel=1e-5)


def test_a_run_that_goes_on_tells_tensorboard_from_where(tmp_path):
    events = records.Events(tmp_path, 3, True)
    events.write({"epoch": 4, "loss": 0.5})
    events.close()
    (path,) = tmp_path.iterdir()
    assert [(name, step) for name, step, _ in scalars(tmp_path)] == [("training/loss", 4)]
    start = Event(step=4, session_log=SessionLog(status=SessionLog.START))
    assert any((e.step, e.session_log) == (start.step, start.session_log) for e in read_events(path))
    assert not records.Events(tmp_path / "nowhere", 3, False).write({"epoch": 4, "loss": 0.5})


def test_a_full_disk_ends_the_event_files_and_not_the_run(tmp_path, monkeypatch):
    """A row has more numbers than tensorboardX's queue has room."""
    tried, row = [], {"epoch": 1} | {f"term {i}": 0.1 for i in range(30)}
    threads = threading.active_count()

    def full(writer):
        tried.append(writer)
        raise OSError(28, "No space left on device")

    events = records.Events(tmp_path, 0, True)
    monkeypatch.setattr("tensorboardX.record_writer.RecordWriter.flush", full)
    events.write(row)
    first = len(tried)
    events.write(row)
    events.close()
    assert len(tried) == first > 0 and threading.active_count() == threads

    late = records.Events(tmp_path, 2, True)
    late.close()
    never = records.Events(tmp_path / "nowhere", 0, True)
    never.write(row)
    never.close()
    assert late.writer is never.writer is None


def test_pictures_come_at_intervals(run):
    folder, _ = run
    assert [path.name for path in (folder / "pictures").iterdir()] == ["epoch_0002.png"]


def test_the_bar_is_text_but_for_a_jupyter_server(monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    with records.progress_bar(3, disable=True) as bar:
        assert type(bar).__module__ == "tqdm.std"
    monkeypatch.setenv("JPY_SESSION_NAME", "03_train.ipynb")
    with records.progress_bar(3, disable=True) as bar:
        assert type(bar).__module__ == "tqdm.notebook"


def test_the_preview_draws_one_picture_again(monkeypatch):
    shown = []

    class Handle:
        def update(self, figure):
            shown.append(figure)

    import IPython.display

    monkeypatch.setattr(
        IPython.display, "display", lambda figure, display_id: shown.append(figure) or Handle()
    )
    model, preview = IGCNet(TINY).train(), LivePreview(torch.rand(2, 3, 32, 32), seconds=0.0)
    preview(model, 50)
    preview(model, 100)
    assert [figure.get_suptitle() for figure in shown] == ["after 50 steps", "after 100 steps"]
    assert model.training and len(shown[0].axes) >= 2 * 5
    LivePreview(torch.rand(2, 3, 32, 32), seconds=1e9)(model, 150)
    assert len(shown) == 3


def test_the_preview_and_the_pictures_of_a_run_know_no_background(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda figure, display_id: shown.append(figure))
    model, images = IGCNet(ModelConfig(**TINY.to_dict() | {"background": "none"})), torch.rand(2, 3, 32, 32)
    LivePreview(images, seconds=0.0)(model, 50)
    records.save_picture(tmp_path / "picture.png", model, images)
    assert len(shown) == 1 and (tmp_path / "picture.png").is_file()


def test_a_picture_that_cannot_be_written_costs_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    records.save_picture(tmp_path / "file" / "picture.png", IGCNet(TINY), torch.rand(1, 3, 32, 32))
    assert not list(tmp_path.glob("*.png"))


def test_half_precision_is_for_the_networks_alone():
    torch.manual_seed(0)
    model, images = IGCNet(TINY).eval(), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        full = model(images)
        model.precision = "bf16"
        half = model(images)
    for name in ("depth", "albedo", "pose", "light", "image", "view_depth"):
        a, b = getattr(full, name), getattr(half, name)
        assert b.dtype == torch.float32 and not torch.equal(a, b), name
        assert (a - b).abs().median() < 0.02, name
    assert (full.depth - half.depth).abs().max() < 2e-3
