"""The settings of a model and of a training run: two frozen, typed dataclasses, and their checks.

Every field has a default that is meant to be used. A name that is not a field, a value of the wrong type
and a value without sense raise `UserError` with one sentence. Both are stored beside every checkpoint.
"""

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from igc.errors import UserError

MARGIN = 1.25
"""How many times as wide as the picture the canonical frame is where there is no background: a face that
turns or moves brings in what lay outside (ours)."""


class Config:
    """What both configurations can do: check themselves, and be read from and written to JSON."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = _typed(field, getattr(self, field.name))
            object.__setattr__(self, field.name, value)
            _check_range(field, value)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Builds a configuration; a name that is not a field raises UserError."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise UserError(f"unknown setting {name!r}: {cls.__name__} has {', '.join(known)}.")
        return cls(**values)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a JSON file that `save` wrote."""
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read as a configuration ({error}): name another.") from error
        if not isinstance(values, dict):
            raise UserError(f"{path} is not a configuration: it should hold one JSON object.")
        return cls.from_dict(values)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def save(self, path: str | Path) -> None:
        Path(path).write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")


def setting(default, low=None, high=None, choices=None, about=""):
    return dataclasses.field(
        default=default, metadata={"low": low, "high": high, "choices": choices, "about": about}
    )


def _typed(field: dataclasses.Field, value: Any) -> Any:
    """`value` if it has the field's type; whole numbers pass as floats."""
    expected = type(field.default)
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not expected:
        kind = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}[expected]
        raise UserError(f"setting {field.name!r} must be {kind}, not {value!r}.")
    return value


def _check_range(field: dataclasses.Field, value: Any) -> None:
    low, high, choices = (field.metadata.get(key) for key in ("low", "high", "choices"))
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"setting {field.name!r} must be finite, not {value}.")
    if choices is not None and value not in choices:
        raise UserError(f"setting {field.name!r} must be one of {', '.join(choices)}, not {value!r}.")
    if (low is not None and value < low) or (high is not None and value > high):
        limits = f"between {low} and {high}" if high is not None else f"at least {low}"
        raise UserError(f"setting {field.name!r} must be {limits}, not {value!r}.")


@dataclass(frozen=True)
class ModelConfig(Config):
    """What defines an IGCNet. Lengths are in units of the distance from the camera to the face."""

    size: int = setting(64, 32, 256, about="width and height of images in pixels, a multiple of 16")
    parts: int = setting(6, 1, 32, about="number of part capsules, M (the paper: 6)")
    channels: int = setting(96, 8, 4096, about="length of the shape, albedo and view embeddings, C")
    width: int = setting(
        32, 4, 512, about="channels of the encoder's first layer; decoders have 8 times as many"
    )
    fov: float = setting(10.0, 1.0, 70.0, about="field of view of the camera in degrees (Unsup3D: 10)")
    depth_range: float = setting(0.1, 0.01, 0.5, about="depth lies within 1 +- this (Unsup3D: 0.1)")
    rotation_range: float = setting(
        60.0, 1.0, 180.0, about="largest angle of a pose in degrees (Unsup3D: 60)"
    )
    translation_range: float = setting(0.1, 0.0, 0.5, about="largest shift of a pose (Unsup3D: 0.1)")
    sharpness: float = setting(600.0, 1.0, 1e5, about="k of the assembly softmax(-k depth) (family: 1e3)")
    shared_attention: bool = setting(True, about="one-hot channel attention, shared by shape and albedo")
    cues: str = setting(
        "both",
        choices=("both", "shape", "albedo"),
        about="which embedding the attention deals out to the parts",
    )
    symmetric_shape: bool = setting(True, about="canonical depth, and with it the parts, is mirror-symmetric")
    background: str = setting(
        "border",
        choices=("border", "none"),
        about="border: a head before what its picture's border shows; none: the picture is all surface",
    )
    closed: bool = setting(True, about="sides join the outline of the face to a learned back of the head")
    pose_votes: bool = setting(True, about="every part votes for the pose and the light")
    outlines: bool = setting(True, about="pixels that an outline crosses are blended by the area covered")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size % 16:
            raise UserError(
                f"setting 'size' must be a multiple of 16, not {self.size}: try {self.size // 16 * 16}."
            )
        if self.channels < self.parts:
            raise UserError(f"setting 'channels' ({self.channels}) must be at least 'parts' ({self.parts}).")
        wide = MARGIN if self.background == "none" else 1
        across = wide * math.sqrt(2) * math.tan(0.5 * math.radians(self.fov)) * (1 + self.depth_range)
        away = math.hypot(across, self.depth_range)  # the frame's far corner from (0, 0, 1), where faces turn
        if away + self.translation_range >= 1:
            raise UserError(
                f"setting 'fov' ({self.fov}) is so wide that a turned face can reach the camera: lower it, "
                f"'depth_range' ({self.depth_range}) or 'translation_range' ({self.translation_range})."
            )


@dataclass(frozen=True)
class TrainConfig(Config):
    """How an IGCNet is trained. The weights are ours; the book says which of the terms are the paper's."""

    epochs: int = setting(10, 1, 100000, about="passes over the images")
    batch_size: int = setting(16, 2, 65536, about="images a step")
    learning_rate: float = setting(1e-3, 1e-7, 1.0, about="of Adam")
    seed: int = setting(0, 0, 2**31 - 1, about="of weights and order")
    flip: bool = setting(True, about="mirror half of the images, drawn at random")
    device: str = setting("auto", choices=("auto", "cpu", "cuda"), about="auto takes a GPU if there is one")
    precision: str = setting("float32", choices=("float32", "bf16"), about="of the networks, on a GPU")
    compile: bool = setting(False, about="compile the networks with torch.compile")
    accumulate: int = setting(1, 1, 1024, about="batches whose gradients are added up for one step")
    ema: float = setting(
        0.99, 0.0, 0.9999, about="share of the averaged weights that a step keeps; 0: no average"
    )
    checkpoint_steps: int = setting(500, 1, 10**6, about="steps between checkpoints; also after each epoch")
    picture_epochs: int = setting(5, 1, 10**6, about="epochs between pictures of what the model sees")
    memory: float = setting(2.0, 0.0, 1000.0, about="GiB of images kept in memory; more is read from disk")
    warmup: int = setting(100, 0, 10**6, about="steps over which the learning rate rises")
    mirror: float = setting(0.5, 0.0, 10.0, about="weight of the mirrored reconstruction")
    confidence: bool = setting(True, about="weigh residuals by a predicted scale (Unsup3D)")
    gradient: float = setting(0.5, 0.0, 10.0, about="weight of image gradients in the photometric term")
    smooth: float = setting(0.5, 0.0, 1000.0, about="weight on the bending of the surface")
    deformation: float = setting(50.0, 0.0, 1000.0, about="price of a face's departure from the mean shape")
    contrast: float = setting(0.0, 0.0, 10.0, about="weight of the contrastive consistency of parts")
    silhouette: float = setting(1.6, 0.0, 10.0, about="weight of the cue for what is not background")
    fill: float = setting(2.0, 0.0, 100.0, about="weight of the same cue, asked of every canonical point")
