"""What changes while a run goes on: the learning rate."""

import math

from igc.config import TrainConfig


def set_learning_rate(optimiser, config: TrainConfig, step: float, steps: int, factor: float = 1.0) -> None:
    """Rises over `warmup` steps (or a tenth of the run), then falls along a cosine to a twentieth; all of it
    times `factor`."""
    warmup = min(config.warmup, max(1, steps // 10))
    rising = min(1.0, (step + 1) / max(1, warmup))
    falling = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps))
    for group in optimiser.param_groups:
        group["lr"] = config.learning_rate * rising * falling * factor
