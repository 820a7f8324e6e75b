"""`python -m benchmarks.ablations` trains the model with one ingredient changed at a time; measures each.

Every run sees 40,000 images: 2,000 embedded faces, 20 times. A run is a folder under `runs/ablations` and
goes on where it was stopped; when it is done its figures on 512 test faces are written to `--out`, a file a
run, and a run whose file is there is not made again, unless it is of a former format of the model. So the
command may be stopped at any time. `--only` names some of the variants. Seed 0 of each also leaves a picture
for the book.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from igc import IGCNet, ModelConfig, TrainConfig, ablations, figures, fit
from igc.ablations import picture_path
from igc.data import SyntheticFaces
from igc.evaluate import evaluate, load_truth
from igc.files import make_folder, write_text
from igc.pretrained import FORMAT
from igc.segment import masks_to_labels

IMAGES, EPOCHS, FACES = 2000, 20, 512
SHOWN = (24, 152)
"""Which test faces the pictures show."""
RUNS, PICTURES = Path("runs/ablations"), Path("book/_assets/ablations")

VARIANTS: dict[str, tuple[int, dict, dict]] = {
    "full": (5, {}, {}),
    "contrastive loss": (3, {}, {"contrast": 0.1}),
    "no one-hot attention": (3, {"shared_attention": False}, {}),
    "shape cue only": (3, {"cues": "shape"}, {}),
    "albedo cue only": (3, {"cues": "albedo"}, {}),
    "no mirror": (3, {}, {"mirror": 0.0}),
    "no confidence": (1, {}, {"confidence": False}),
    "no gradient": (1, {}, {"gradient": 0.0}),
    "no smooth": (1, {}, {"smooth": 0.0}),
    "no deformation": (1, {}, {"deformation": 0.0}),
    "no silhouette": (1, {}, {"silhouette": 0.0}),
    "no fill": (1, {}, {"fill": 0.0}),
    "no pose votes": (1, {"pose_votes": False}, {}),
    "heads without sides": (1, {"closed": False}, {}),
    "4 parts": (1, {"parts": 4}, {}),
    "8 parts": (1, {"parts": 8}, {}),
    "12 parts": (1, {"parts": 12}, {}),
}
"""Seeds, changes of the model's settings, changes of the training's. Every term of the objective is left out
once; the contrastive loss, which has no weight by default, is given one."""


def measure(name: str, seed: int, truth: tuple[dict, dict]) -> dict:
    """One run, from its checkpoint if it was stopped, and its figures."""
    _, model_changes, train_changes = VARIANTS[name]
    folder = RUNS / f"{name}-{seed}".replace(" ", "-")
    config = TrainConfig(epochs=EPOCHS, seed=seed, **train_changes)
    record = fit(SyntheticFaces("train", IMAGES, seed=seed), ModelConfig(**model_changes), config, folder)
    model = IGCNet.from_pretrained(folder)
    if seed == 0:
        save_picture(model, truth[1]["image"][list(SHOWN)], name)
    return {
        "variant": name, "order": list(VARIANTS).index(name), "seed": seed, "images": IMAGES * EPOCHS,
        "format": FORMAT, "seconds": record["seconds"],
        "changes": {**model_changes, **train_changes}, "setbacks": record["setbacks"],
        "machine": f"{record['machine']}, {torch.get_num_threads()} threads", "torch": torch.__version__,
        "figures": evaluate(model, *truth),
    }  # fmt: skip


@torch.no_grad()
def save_picture(model: IGCNet, images: torch.Tensor, name: str) -> None:
    """A strip: each image, its parts, the drawing, depth, normals, and the face turned by 40 degrees."""
    out = model(images)
    labels, turned = masks_to_labels(out.view_parts), figures.turned(model, out, (40,))[0]
    cells = []
    for i, image in enumerate(images):
        face = out.parts.visibility[i, -1] < 0.5
        cells += [
            figures.picture(image), figures.label_picture(labels[i], image), figures.picture(out.image[i]),
            figures.depth_picture(out.depth[i], face), figures.normal_picture(out.normal[i] * face),
            figures.picture(turned[i]),
        ]  # fmt: skip
    strip = Image.fromarray((255 * np.concatenate(cells, axis=1)).round().astype(np.uint8))
    strip.save(picture_path(make_folder(PICTURES), name))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablations", description=__doc__)
    parser.add_argument("--out", default="benchmarks/records/ablations", help="folder of the records")
    parser.add_argument("--only", nargs="+", choices=tuple(VARIANTS), default=tuple(VARIANTS))
    parser.add_argument("--seeds", type=int, default=5, help="make no more than so many seeds of each")
    chosen = parser.parse_args()
    out = make_folder(chosen.out)
    truth = load_truth("validation", FACES, ModelConfig.size), load_truth("test", FACES, ModelConfig.size)
    for seed in range(chosen.seeds):
        for name in chosen.only:
            path = out / f"{name}-{seed}.json".replace(" ", "_")
            if seed < VARIANTS[name][0] and not (path.exists() and ablations.format_of(path) == FORMAT):
                row = measure(name, seed, truth)
                write_text(path, json.dumps(row, indent=2) + "\n")
                print(name, seed, {k: round(v, 3) for k, v in row["figures"].items()}, flush=True)


if __name__ == "__main__":
    main()
