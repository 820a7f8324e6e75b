"""Batches for training, in one global order that is dealt out to the processes that train together.

Images that fit into memory are kept there as bytes, on the device; larger sets are read from disk as they
are needed, by worker processes, and shards are streamed. Drawn faces that are to be renewed are drawn ahead,
by a process of their own, while those before them are in use.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from igc.config import ModelConfig, TrainConfig
from igc.data import Prepared, as_bytes, read_images
from igc.data.renewal import Renewal
from igc.data.shards import ShardStream, stream
from igc.errors import UserError

WORKERS = 2
"""Processes that decode, where images are read from disk."""


class Feed:
    """The batches of one data set for one process: `rank` of `ranks`.

    Every process takes each `ranks`-th image of the global batch of `config.batch_size` images.
    """

    def __init__(self, dataset, config: TrainConfig, device, rank: int = 0, ranks: int = 1):
        self.dataset, self.config, self.device = dataset, config, torch.device(device)
        self.rank, self.ranks = rank, ranks
        self.share = config.batch_size // ranks
        fits = len(dataset) * 3 * dataset.size**2 <= config.memory * 2**30
        self.streams = not fits and isinstance(dataset, Prepared) and dataset.card["kind"] == "shards"
        self.renew, self.stage, self.renewal = getattr(dataset, "renew", 0), 0, None
        self.images = read_images(dataset).to(self.device) if fits and not self.renew else None
        self.keeps = fits
        self.steps = max(1, len(dataset) // config.batch_size)
        """Steps in an epoch: whole batches, a multiple of `config.accumulate` of them; of shards no more than
        the shortest process has."""
        if self.streams:
            self.steps = self._shortest()
            if not self.steps:
                raise UserError(
                    f"setting 'batch_size' ({config.batch_size}) is more than a reader of the shards has "
                    "images for: lower it, or prepare the set as files."
                )
        if self.steps < config.accumulate:
            raise UserError(
                f"setting 'accumulate' ({config.accumulate}) is more than the batches of an epoch "
                f"({self.steps}): lower it or 'batch_size', or bring more images."
            )
        self.steps -= self.steps % config.accumulate

    def sample(self, count: int) -> Tensor:
        """At most `count` of the images, from all over the set, as bytes: uint8 (N, 3, S, S)."""
        chosen = torch.linspace(0, len(self.dataset) - 1, min(count, len(self.dataset))).round().long()
        if self.images is not None:
            return self.images[chosen.to(self.device)]
        return _Read(self.dataset, [chosen])[0]

    def batches(self, epoch: int, start: int = 0) -> Iterator[Tensor]:
        """The images (b, 3, S, S) in [0, 1], on the device, of an epoch's steps from `start` on; with
        `config.flip` half of them, drawn at random, are mirrored."""
        for images, coins in zip(self._read(epoch, start), self._coins(epoch, start)):
            if self.config.flip:
                mirrored = coins[: len(images), None, None, None].to(images.device)
                images = torch.where(mirrored, images.flip(-1), images)
            yield images

    def _read(self, epoch: int, start: int) -> Iterator[Tensor]:
        """The images as they are."""
        if self.streams:
            yield from self._streamed(epoch, start)
            return
        chosen = self._chosen(epoch, start)
        dataset = self.dataset.epoch(epoch) if self.renew else self.dataset
        if self.keeps and (not self.renew or self._reach(epoch)):
            images = self.images  # these, even if others are kept before the last batch was taken
            for indices in chosen:
                yield images[indices].to(self.device).float() / 255
            return
        if self.keeps:  # an epoch that is over, whose images are gone
            for indices in chosen:
                images = as_bytes(dataset.batch(indices.tolist(), truth=False)["image"])
                yield images.to(self.device).float() / 255
            return
        pinned = self.device.type == "cuda"
        own = torch.Generator()  # so that the run's random numbers do not depend on where it was resumed
        loader = DataLoader(
            _Read(dataset, chosen),
            batch_size=None,
            num_workers=WORKERS,
            pin_memory=pinned,
            generator=own,
        )
        for images in loader:
            yield images.to(self.device, non_blocking=True).float() / 255

    def _reach(self, epoch: int) -> bool:
        """Brings the images of an epoch into memory, and has those drawn that follow them; False if the epoch
        is of a stage that is over."""
        stage = epoch // self.renew
        if self.images is not None and stage <= self.stage:
            return stage == self.stage
        if self.renewal is not None and stage == self.stage + 1:
            images = self.renewal.take()
        else:
            with torch.random.fork_rng(devices=[]):  # the run's random numbers do not depend on this either
                images = read_images(self.dataset.epoch(epoch))
        self.close()
        self.images, self.stage = images.to(self.device), stage
        following = (stage + 1) * self.renew
        if following < self.config.epochs:
            self.renewal = Renewal(self.dataset.epoch(following))
        return True

    def close(self) -> None:
        """Ends the process that draws ahead, if there is one."""
        if self.renewal is not None:
            self.renewal.close()
        self.renewal = None

    def _chosen(self, epoch: int, start: int) -> list[Tensor]:
        """The indices of every step's images for this process, in an order that depends on seed and epoch."""
        seed = self.config.seed * 100003 + epoch
        order = torch.randperm(len(self.dataset), generator=torch.Generator().manual_seed(seed))
        size = self.config.batch_size
        steps = range(start, self.steps)
        return [order[step * size : (step + 1) * size][self.rank :: self.ranks] for step in steps]

    def _coins(self, epoch: int, start: int) -> Tensor:
        """Which images of every step are mirrored for this process, (steps, b) bool, by seed and epoch."""
        rng = torch.Generator().manual_seed(self.config.seed * 100003 + epoch)
        coins = torch.rand(self.steps, self.config.batch_size, generator=rng) < 0.5
        return coins[start:, self.rank :: self.ranks]

    def _shortest(self) -> int:
        """How many batches the process with the fewest has in the epoch with the fewest."""
        shape = {"seed": self.config.seed, "ranks": self.ranks, "whole": True}
        epochs, ranks = range(self.config.epochs), range(self.ranks)
        streams = (
            ShardStream(self.dataset, self.share, epoch=epoch, rank=rank, **shape)
            for epoch in epochs
            for rank in ranks
        )
        return min(each.batches(WORKERS) for each in streams)

    def _streamed(self, epoch: int, start: int) -> Iterator[Tensor]:
        order = {"seed": self.config.seed, "epoch": epoch, "rank": self.rank, "ranks": self.ranks}
        batches = stream(self.dataset, self.share, WORKERS, start=start, whole=True, **order)
        for _, batch in zip(range(start, self.steps), batches, strict=False):
            yield batch["image"].to(self.device, non_blocking=True)


class _Read(torch.utils.data.Dataset):
    """A step's images, uint8 (b, 3, S, S), read when they are asked for: the bytes that memory would hold."""

    def __init__(self, dataset, chosen: list[Tensor]):
        self.dataset, self.chosen = dataset, chosen

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, step: int) -> Tensor:
        images = self.dataset.batch(self.chosen[step].tolist(), truth=False)["image"]
        return (images * 255).round().to(torch.uint8)


def check_dataset(dataset, model_config: ModelConfig, train_config: TrainConfig, processes: int = 1) -> None:
    """Refuses images of another size than the model's, too few of them for one batch, and a batch that cannot
    be dealt out evenly."""
    if train_config.batch_size % processes:
        raise UserError(
            f"setting 'batch_size' ({train_config.batch_size}) cannot be dealt out to {processes} processes: "
            f"choose a multiple of {processes}."
        )
    if dataset.size != model_config.size:
        raise UserError(
            f"the images are {dataset.size} pixels wide and the model's {model_config.size}: use one size."
        )
    if len(dataset) < train_config.batch_size:
        raise UserError(
            f"setting 'batch_size' ({train_config.batch_size}) is larger than the data set ({len(dataset)} "
            "images): lower it or bring more images."
        )
