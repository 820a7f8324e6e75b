"""Reading one photograph robustly: any mode that Pillow knows becomes 8-bit RGB, upright, square and resized.

Every fault of a file ends as one `UserError` that names the file, so that a folder can report it and go on.
"""

import io
import os
import warnings
from numbers import Real
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from igc.errors import UserError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
MIN_SIDE = 16  # pixels; a smaller picture shows no face
MAX_PIXELS = 80_000_000  # beyond this a file is refused before it is decoded (about 240 MB as RGB)
BACKGROUND = 128  # grey level that shows through transparent pixels


def check_size(size):
    """Raise UserError unless `size`, the side of the images in pixels, is a positive multiple of 16."""
    whole = isinstance(size, (int, np.integer)) and not isinstance(size, bool)
    if not whole or size < 16 or size % 16:
        raise UserError(f"The image size is {size!r}: give a positive multiple of 16, such as 64 or 128.")


def read_image(path, size=64, box=None):
    """Read one photograph as a float32 tensor (3, size, size), RGB in [0, 1].

    `box` is (left, top, right, bottom) in pixels of the upright picture, right and bottom exclusive; without
    it the whole picture is used. The largest centred square of that region is cut out and resized with an
    antialiasing Lanczos filter. EXIF rotation is applied, transparency is laid over mid-grey, grey becomes
    RGB, 16 bits become 8, and of an animation the first frame is taken.
    Raises UserError for a file that cannot be read, a box that does not fit, or a bad size.
    """
    check_size(size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fault that matters is raised
        pixels = decode(Path(path).expanduser(), size, box)
    return torch.from_numpy(pixels).float() / 255


def decode(path, size, box=None):
    """The pixels of `read_image` as a uint8 array (3, size, size); safe to call from several threads."""
    image = upright_rgb(path, None if box is not None else 2 * size)
    region = (0, 0, *image.size) if box is None else _checked_box(box, image.size, path)
    return planar(image.crop(centre_square(region)).resize((size, size), Image.Resampling.LANCZOS))


def planar(image):
    """The pixels of an RGB Pillow image as a uint8 array (3, height, width)."""
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def upright_rgb(source, least_side=None, name=None):
    """Decode a file into an upright 8-bit RGB Pillow image.

    `source` is a path, or the bytes of a file that is called `name`. `least_side`: a JPEG that is much larger
    may be decoded at 1/2, 1/4 or 1/8 of its size, never below this side in pixels (several times faster).
    Raises UserError naming the file.
    """
    try:
        if isinstance(source, bytes):
            source = io.BytesIO(source)
        elif not source.is_file():
            raise FileNotFoundError("no such file")
        with Image.open(source) as image:
            _check_dimensions(image.size)
            if least_side:
                image.draft(None, (least_side, least_side))
            image.load()
            return to_rgb(_turn_upright(image))
    except Exception as error:  # Pillow's plugins raise nearly every built-in exception on damaged files
        raise UserError(f"The image {shown(name or source)} cannot be used: {_reason(error)}.") from error


def shown(name):
    """A file's name as it can stand in a sentence of one line: what cannot be printed is escaped."""
    text = os.fsencode(os.fspath(name)).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def to_rgb(image):
    """Convert a Pillow image of any mode to RGB; transparent pixels show mid-grey.

    16-bit grey is scaled from [0, 65535]; floating-point grey from [0, 1], or from [0, 255] if any value
    is above 1.
    """
    if image.mode.startswith("I") or image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float32))
        top = 65535.0 if image.mode != "F" else 255.0 if values.max() > 1 else 1.0
        grey = np.clip(values / top, 0, 1) * 255 + 0.5
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        below = Image.new("RGBA", image.size, (BACKGROUND, BACKGROUND, BACKGROUND, 255))
        return Image.alpha_composite(below, image).convert("RGB")
    return image.convert("RGB")


def centre_square(region):
    """The largest centred square (left, top, right, bottom) within a region of the same form, in pixels."""
    left, top, right, bottom = region
    side = min(right - left, bottom - top)
    left += (right - left - side) // 2
    top += (bottom - top - side) // 2
    return left, top, left + side, top + side


def _turn_upright(image):
    """Apply the EXIF orientation; a broken EXIF block says nothing about the pixels and is ignored."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def _check_dimensions(dimensions):
    width, height = dimensions
    if width * height > MAX_PIXELS:
        raise UserError(f"it has {width} x {height} pixels, so shrink it below {MAX_PIXELS // 10**6} million")
    if min(width, height) < MIN_SIDE:
        raise UserError(f"it has {width} x {height} pixels, so take one of at least {MIN_SIDE} x {MIN_SIDE}")


def _checked_box(box, dimensions, path):
    """The box as four whole numbers, or a UserError if it is malformed, outside the picture or too small."""
    width, height = dimensions
    numbers = tuple(box) if isinstance(box, (tuple, list, np.ndarray, torch.Tensor)) else ()
    numbers = tuple(n.item() if hasattr(n, "item") else n for n in numbers)
    if len(numbers) != 4 or not all(isinstance(n, Real) and n == n for n in numbers):
        raise UserError(f"The box {box!r} for {path} is not four numbers: give (left, top, right, bottom).")
    left, top, right, bottom = numbers
    inside = 0 <= left and 0 <= top and right <= width and bottom <= height
    if not inside or right - left < MIN_SIDE or bottom - top < MIN_SIDE:
        raise UserError(
            f"The box {numbers} does not fit {path}: give (left, top, right, bottom) within its {width} x "
            f"{height} pixels and at least {MIN_SIDE} x {MIN_SIDE} in size."
        )
    return tuple(round(n) for n in numbers)


def _reason(error):
    """Why a file cannot be used, with the remedy, as the end of a sentence."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, PermissionError):
        return "reading it is not permitted, so change its permissions"
    if isinstance(error, FileNotFoundError):
        return "there is no such file, so check the name"
    if isinstance(error, Image.DecompressionBombError):
        return f"it claims to be enormous, so shrink it below {MAX_PIXELS // 10**6} million pixels"
    if isinstance(error, UnidentifiedImageError):
        return "its content is not an image, so replace or remove it"
    return "it is cut off or damaged, so replace or remove it"
