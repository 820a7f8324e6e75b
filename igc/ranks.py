"""What several processes that train together exchange, so that a batch dealt out to them counts as one batch.

Every function is the identity in a single process. Gradients flow as if one process held the whole batch,
given that the gradients of the weights are then averaged over the processes, as DistributedDataParallel does.
"""

import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_reduce


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def mean(value: Tensor) -> Tensor:
    """The mean of `value` (any shape) over the processes; differentiable."""
    if count() == 1:
        return value
    return all_reduce(value.contiguous()) / count()
