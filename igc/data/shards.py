"""Streaming a prepared set's shards, in shuffled order, to many workers and ranks, through webdataset.

Shards are tar files that may lie on several disks (a link in `shards/` will do) and are read from front to
back. Only JSON and PNG are decoded, by this package; webdataset's own decoders, which unpickle, are not used,
and neither is its opener, which runs commands.
"""

import os
import random
import tarfile

import torch
import webdataset
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from webdataset.tariterators import group_by_keys, tar_file_expander

from igc.data.faceset import SPLITS
from igc.data.images import shown
from igc.data.prepared import AGAIN, Prepared, decode_png, item_truth, read_line
from igc.errors import UserError

BUFFER = 2000
"""Undecoded images that a worker holds to shuffle: about 16 MB at size 64."""


class ShardStream(IterableDataset):
    """One epoch of a prepared set's shards, as batches (dicts as `Prepared.batch` gives them, with `number`).

    prepared: a `Prepared` whose card says shards; its split and size count. seed and epoch decide the order;
    the same numbers give the same batches. rank and ranks: this process among those that train together.
    start: batches of this rank that were consumed already; the stream goes on after them. Every image comes
    to exactly one worker of one rank, once; ranks may differ by some batches, as shards differ in length.
    With fewer shards than readers each reads all, and takes every so-manieth image. whole: leave out the last
    images of a worker where they do not fill a batch.
    """

    def __init__(
        self, prepared: Prepared, batch_size, seed=0, epoch=0, rank=0, ranks=1, start=0, truth=False,
        whole=False,
    ):  # fmt: skip
        if prepared.card["kind"] != "shards":
            raise UserError(
                f"{prepared.root} holds files, not shards: read it with Prepared, or use --shards."
            )
        if not 0 <= rank < ranks:
            raise UserError(f"rank={rank} of {ranks}: give a number from 0 to {ranks - 1}.")
        self.prepared, self.batch_size, self.seed, self.epoch = prepared, int(batch_size), seed, epoch
        self.rank, self.ranks, self.start, self.truth, self.whole = rank, ranks, int(start), truth, whole

    def __iter__(self):
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        taken, turn = self._taken(workers)
        number = (number + turn) % workers  # the loader asks its first worker first
        skip = taken[number] * self.batch_size
        samples = iter(webdataset.DataPipeline(*self._stages(number, workers)))
        for _ in range(skip):  # passed over undecoded, which reading a shard hardly notices
            next(samples, None)
        batch = []
        for sample in samples:
            batch.append(sample)
            if len(batch) == self.batch_size:
                yield self._stacked(batch)
                batch = []
        if batch and not self.whole:
            yield self._stacked(batch)

    def batches(self, workers):
        """How many batches this rank gets in the epoch, with so many workers."""
        return sum(self._count(number, workers) for number in range(max(1, workers)))

    def _stages(self, worker, workers):
        mine, step = self._mine(worker, workers)
        return [
            [mine],  # a list of stages: the first is this list
            _opened(self.prepared.root),
            *([_every(*step)] if step else []),
            webdataset.detshuffle(BUFFER, BUFFER, hash((self.seed, worker, self.rank)), epoch=self.epoch - 1),
        ]

    def _shards(self):
        """The split's shards in the epoch's order."""
        shards = [s for s in self.prepared.card["shards"] if s["images"]]
        if self.prepared.split in SPLITS:
            shards = [s for s in shards if s["file"].startswith(f"shards/{self.prepared.split}-")]
        random.Random(f"{self.seed} {self.epoch}").shuffle(shards)
        return shards

    def _mine(self, worker, workers):
        """(the reader's shards, None), or (all shards, (its number, readers)) if there are too few."""
        shards, readers, reader = self._shards(), self.ranks * workers, self.rank + self.ranks * worker
        if len(shards) < readers:
            return [dict(s) for s in shards], (reader, readers)
        return [dict(s) for s in shards[reader::readers]], None

    def _count(self, worker, workers):
        """How many batches a worker gives."""
        mine, step = self._mine(worker, workers)
        images = sum(shard["images"] for shard in mine)
        if step:
            images = len(range(step[0], images, step[1]))
        return images // self.batch_size if self.whole else -(-images // self.batch_size)

    def _taken(self, workers):
        """(how many of each worker's batches are among the first `start`, whose turn is next).

        A DataLoader takes batches from its workers in turn, passing over those that have none left."""
        left = [self._count(number, workers) for number in range(workers)]
        taken, remaining, turn = [0] * workers, self.start, 0
        while remaining and any(left):
            for number in range(workers):
                if remaining and left[number]:
                    left[number] -= 1
                    taken[number] += 1
                    remaining -= 1
                    turn = (number + 1) % workers
        return taken, turn

    def _stacked(self, samples):
        size, card = self.prepared.size, self.prepared.card
        lines = [read_line(sample["json"], sample["__url__"]) for sample in samples]
        pixels = [decode_png(sample["png"], size, sample["__key__"]) for sample in samples]
        out = {"image": torch.stack(pixels).float() / 255}
        out["number"] = torch.tensor([line["number"] for line in lines])
        if self.truth:
            items = [item_truth(line, card, size) for line in lines]
            out |= {name: torch.stack([item[name] for item in items]) for name in items[0]}
        return out


def stream(prepared, batch_size, workers=2, **order):
    """A DataLoader over a `ShardStream`; `order` is what else that takes: seed, epoch, rank, ranks,
    start, truth, whole."""
    shards = ShardStream(prepared, batch_size, **order)
    return DataLoader(shards, batch_size=None, num_workers=workers, generator=torch.Generator())


class _opened:
    """A stage that reads the shards, one after the other."""

    def __init__(self, root):
        self.root = root

    def __call__(self, shards):
        for shard in shards:
            yield from _samples(self.root / shard["file"], shard)


def _samples(path, shard):
    """The samples of a shard. UserError if it is not as the card, in `shard`, records it."""
    count = 0
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size != shard["bytes"]:
                raise ValueError("another length")
            for sample in group_by_keys(tar_file_expander([{"url": str(path), "stream": file}])):
                if not {"json", "png"} <= sample.keys():
                    raise ValueError("a sample without its line or its image")
                count += 1
                yield sample
        if count != shard["images"]:
            raise ValueError("another number of images")
    except OSError as error:
        raise UserError(f"The shard {shown(path)} cannot be read: {AGAIN}.") from error
    except (tarfile.TarError, ValueError) as error:
        raise UserError(f"The shard {shown(path)} is cut off or was changed: {AGAIN}.") from error


class _every:
    """A stage that keeps every `step`-th sample."""

    def __init__(self, first, step):
        self.first, self.step = first, step

    def __call__(self, samples):
        return (sample for number, sample in enumerate(samples) if number % self.step == self.first)
