"""What changes while a run goes on: the learning rate, and how far faces may differ in shape."""

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


def freedom(progress: float, common: float) -> float:
    """How far faces may depart from the mean face: not at all while the first `common` share of the run
    lasts, then rising to 1 over as long again.

    With one shape for everybody, only a turn can explain a narrower outline. Free shapes explain it too,
    with too much relief and too little rotation (the bas-relief ambiguity)."""
    return 1.0 if common == 0 else min(1.0, max(0.0, progress / common - 1))
