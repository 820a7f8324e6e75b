"""`python -m benchmarks.data` prints how many embedded faces one core draws in a second.

Processor time on one thread, so that other programs disturb little; the best of three rounds.
"""

import time

import torch

from igc.data import SyntheticFaces

COUNTS = {64: 64, 128: 24, 256: 8}
"""Faces in a round, by size."""


def rate(data: SyntheticFaces, truth: bool) -> float:
    """Faces a second."""
    data.batch(range(2), truth=truth)
    spent = []
    for _ in range(3):
        started = time.process_time()
        data.batch(range(len(data)), truth=truth)
        spent.append(time.process_time() - started)
    return len(data) / min(spent)


def main() -> None:
    torch.set_num_threads(1)
    print("size   images only   with truth   clutter, shadows, glasses (images only)")
    for size, count in COUNTS.items():
        plain = SyntheticFaces("train", count, size)
        rich = SyntheticFaces("train", count, size, background="clutter", shadows=True, glasses=True)
        rates = rate(plain, False), rate(plain, True), rate(rich, False)
        print(f"{size:4d}" + "".join(f"{value:11.0f} /s" for value in rates))


if __name__ == "__main__":
    main()
