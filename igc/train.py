"""Training: `fit`, and `python -m igc.train --data DIR --epochs N --out DIR`, which is the same thing.

A run is a folder (see `igc.runs`). An interrupted run goes on where it was when it is started again with the
same settings, and ends with the same weights as one that was never disturbed. The same code runs on one
processor, on a GPU, or on many of either (`accelerate launch -m igc.train ...`).
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from igc.config import ModelConfig, TrainConfig
from igc.data import open_dataset
from igc.errors import UserError, plain_warnings
from igc.files import make_folder
from igc.parent import config_like
from igc.training import Preview, Training
from igc.watch import Stop


def fit(
    dataset,
    model_config: ModelConfig,
    train_config: TrainConfig,
    out_dir: str | Path,
    preview: Preview | None = None,
    init: str | Path | None = None,
) -> dict:
    """Trains an IGCNet on the images of `dataset` and returns the run's record, which is also written.

    `dataset` has `len`, `size`, `fingerprint()` and `batch(indices, truth=False)` giving
    {"image": (B, 3, S, S) in [0, 1]}; whatever truth it holds is not looked at. What a run with other
    settings or data left in `out_dir` is moved to a folder within. `init` names a shipped model or a folder
    (what `IGCNet.from_pretrained` takes) of the same configuration: training then starts from its weights,
    and without the time in which all faces share one shape. UserError if the settings, the data and the
    parent do not fit together, if `out_dir` cannot be written, or if training fails for good.
    KeyboardInterrupt (a notebook's stop button) comes after a checkpoint was written.
    """
    training = Training(dataset, model_config, train_config, make_folder(out_dir), preview, init)
    with Stop() as stop:
        training.run(stop)
    return training.finish()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m igc.train", description="Trains an IGCNet on unlabelled faces."
    )
    parser.add_argument("--data", default="synthetic", help="a folder of face images, or 'synthetic'")
    parser.add_argument("--out", required=True, help="the run's folder; an interrupted run in it goes on")
    parser.add_argument("--images", type=int, default=2048, help="how many embedded faces, for 'synthetic'")
    how = (
        "a shipped model or a run's folder to start from; options of the model that are not given are its own"
    )
    parser.add_argument("--init", help=how)
    how = "head or face: what 'synthetic' shows; a face is trained on without a background, unless told"
    parser.add_argument("--frame", default="head", help=how)
    parser.add_argument("--renew", type=int, default=0, help="epochs until 'synthetic' brings new people")
    groups = {}
    for kind in (ModelConfig, TrainConfig):
        names = [field for field in dataclasses.fields(kind)]
        groups[kind] = [field.name for field in names]
        for field in names:
            option = "--" + field.name.replace("_", "-")
            convert = _switch if isinstance(field.default, bool) else type(field.default)
            parser.add_argument(option, type=convert, help=field.metadata["about"])
    chosen = vars(parser.parse_args(arguments))
    try:
        with plain_warnings():
            given = {k: {n: chosen[n] for n in names if chosen[n] is not None} for k, names in groups.items()}
            if chosen["data"] == "synthetic" and chosen["frame"] == "face" and not chosen["init"]:
                given[ModelConfig].setdefault("background", "none")
            model_config = config_like(chosen["init"], given[ModelConfig])
            train_config = TrainConfig(**given[TrainConfig])
            drawn = {name: chosen[name] for name in ("frame", "renew")}
            dataset = open_dataset(
                chosen["data"], "train", chosen["images"], model_config.size, train_config.seed, **drawn
            )
            record = fit(dataset, model_config, train_config, chosen["out"], init=chosen["init"])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        print(f"{stopped or 'stopped'}", file=sys.stderr)
        return 130
    print(json.dumps(record["final"], indent=2))
    return 0


def _switch(text: str) -> bool:
    """true or false, as an option's value."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


if __name__ == "__main__":
    sys.exit(main())
