"""Several processes that train together give what one process with the whole batch gives."""

import json
import os
import socket
import sys
import time
from multiprocessing import get_context

import pytest
import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState

from igc import ModelConfig, TrainConfig, fit, gauge, losses, ranks, runs
from igc.data import SyntheticFaces
from igc.errors import UserError
from peers.concentration import keep_alive

TINY = ModelConfig(size=32, width=8, channels=12)
TOGETHER = {"epochs": 4, "batch_size": 16, "learning_rate": 1e-3, "contrast": 0.1}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs gloo")


def worker(rank, world, port, folder, work):
    """One of the processes, in the surroundings that `accelerate launch` makes."""
    torch.set_num_threads(1)
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "RANK": rank, "LOCAL_RANK": rank}
    place["WORLD_SIZE"] = world
    if world > 1:
        os.environ.update({name: str(value) for name, value in place.items()}, ACCELERATE_USE_CPU="true")
    PartialState._reset_state()
    AcceleratorState._reset_state(True)
    accelerator = Accelerator(cpu=True)
    assert accelerator.num_processes == ranks.count() == world
    found = work(rank, world, folder)
    if rank == 0:
        (folder / f"found-{world}.json").write_text(json.dumps(found))
    accelerator.end_training()


def together(world, folder, work):
    """What `work(rank, world, folder)` returns in the first of so many processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn = get_context("spawn")
    processes = [spawn.Process(target=worker, args=(r, world, port, folder, work)) for r in range(world)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    return json.loads((folder / f"found-{world}.json").read_text())


def dealt(value, rank, world):
    return value[rank::world].clone().requires_grad_()


def statistics(rank, world, folder):
    """The terms that depend on the whole batch, and the gradients of the first image."""
    generator = torch.Generator().manual_seed(0)
    soft = torch.rand(8, 4, 16, 16, generator=generator).softmax(dim=1)
    shapes = (8, 5, 4, 4), (8, 6)
    whole = soft, *(torch.randn(shape, generator=generator) for shape in shapes)
    leaves = soft, features, pose = [dealt(value, rank, world) for value in whole]
    centred = gauge.Centred().train()
    terms = {
        "alive": keep_alive(soft),
        "contrast": losses.consistent_parts(features, soft[:, :-1]),
        "pose": (centred(pose[:, None]) - 1).pow(3).mean(),
    }
    found = {}
    for name, term in terms.items():
        # gradients of weights are averaged over the processes; those of an image are not
        grads = torch.autograd.grad(term, leaves, retain_graph=True, allow_unused=True)
        found[name] = [float(g[0].sum()) / world for g in grads if g is not None]
        found[name] += [float(g[0].square().sum()) / world**2 for g in grads if g is not None]
        total = term.detach().clone()
        if world > 1:
            dist.all_reduce(total)
        found[name].append(float(total) / world)
    return found | {"mean vote": centred.mean.tolist()}


def test_terms_of_the_whole_batch_and_their_gradients_do_not_depend_on_the_number_of_processes(tmp_path):
    one, two = (together(world, tmp_path, statistics) for world in (1, 2))
    for name, values in one.items():
        assert two[name] == pytest.approx(values, rel=1e-4, abs=1e-7), name


def train(rank, world, folder):
    faces = SyntheticFaces("train", 48, 32)
    record = fit(faces, TINY, TrainConfig(**TOGETHER), folder / f"run-{world}")
    assert record["processes"] == world
    return [[row[name] for name in ("loss", "mirror", "contrast")] for row in record["history"]]


def test_two_processes_give_the_loss_curve_of_one_with_the_whole_batch(tmp_path):
    one, two = (together(world, tmp_path, train) for world in (1, 2))
    assert len(one) == 4 and one[0][0] > one[-1][0]
    for alone, shared in zip(one, two, strict=True):
        assert shared == pytest.approx(alone, abs=2e-3), "but for points that rounding hides or shows"


def replace(rank, world, folder):
    """One run after another with other settings in one folder; moving files takes its time."""
    move, moves = runs.set_aside, []

    def slowly(out):
        moves.append(out)
        time.sleep(1)
        move(out)

    runs.set_aside = slowly
    for seed in (0, 1):
        config = TrainConfig(epochs=1, batch_size=16, seed=seed)
        fit(SyntheticFaces("train", 16, 32), TINY, config, folder / "run")
    assert len(moves) == (1 if rank == 0 else 0)
    return sorted(path.name for path in (folder / "run").iterdir() if path.name.startswith("before"))


def test_of_several_processes_one_sets_an_older_run_aside(tmp_path):
    assert together(2, tmp_path, replace) == ["before-1"]
    old, new = (TrainConfig.load(tmp_path / "run" / name / "train.json") for name in ("before-1", "."))
    assert (old.seed, new.seed) == (0, 1)
    for folder in (tmp_path / "run" / "before-1", tmp_path / "run"):
        assert (folder / "record.json").is_file() and list((folder / "state").iterdir())


def test_a_batch_that_cannot_be_dealt_out_is_refused():
    from igc.feed import check_dataset

    with pytest.raises(UserError, match=r"'batch_size' \(16\) cannot be dealt out to 3 processes"):
        check_dataset(SyntheticFaces("train", 32, 32), TINY, TrainConfig(batch_size=16), processes=3)
