"""Framing a face: a square from landmarks, from a given box or from a detector, cut out and scaled.

The frame is that of the embedded faces (ours): the whole head, with the point between the eyes just above
the middle. It depends on eyes and mouth alone: its side is `SIDE` times the distance from the point between
the eyes to the middle of the mouth, or, where a raised or lowered head shortens that, `SIDE_EYES` times the
distance between the eyes, and its centre lies `DOWN` of the way from the eyes to the mouth.
Boxes are (left, top, right, bottom) in pixels of the upright picture, right and bottom exclusive.
"""

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from igc.data.images import MIN_SIDE, centre_square, shown
from igc.errors import UserError

SIDE, SIDE_EYES, DOWN = 4.2, 4.0, 0.06
"""Measured on the validation split of `SyntheticFaces`: 4.22 on average, with a spread of 0.25, and 0.06."""
EYES_AND_MOUTH = {
    5: ((0, 1), (1, 2), (3, 5)),
    49: ((19, 25), (25, 31), (31, 49)),
    66: ((36, 42), (42, 48), (48, 66)),
    68: ((36, 42), (42, 48), (48, 68)),
}
"""Of the usual lists of landmarks, by their length: which are the one eye's, the other's and the mouth's."""
YUNET = "github.com/opencv/opencv_zoo, models/face_detection_yunet"


def landmark_box(points, dimensions):
    """The square around a face whose landmarks (N, 2) are known, N being 5, 49, 66 or 68 (x, y in pixels).

    `dimensions`: width and height of the picture. UserError if the landmarks are of another kind or lie
    together in one place.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) not in EYES_AND_MOUTH:
        raise UserError(f"landmarks of shape {points.shape} are unknown: give 5, 49, 66 or 68 points (x, y)")
    if not np.isfinite(points).all():
        raise UserError("its landmarks are missing, so name a detector or leave it out")
    one, other, mouth = (points[a:b].mean(0) for a, b in EYES_AND_MOUTH[len(points)])
    eyes = (one + other) / 2
    side = max(SIDE * np.linalg.norm(mouth - eyes), SIDE_EYES * np.linalg.norm(other - one))
    return square(eyes + DOWN * (mouth - eyes), side, dimensions)


def given_box(box, dimensions):
    """The square about the middle of a box (left, top, right, bottom), as wide as the box's longer side."""
    left, top, right, bottom = (float(value) for value in box)
    if not (np.isfinite((left, top, right, bottom)).all() and left < right and top < bottom):
        raise UserError(f"its box {tuple(box)} is empty: give left, top, right, bottom in pixels")
    return square(((left + right) / 2, (top + bottom) / 2), max(right - left, bottom - top), dimensions)


def square(centre, side, dimensions):
    """A square of whole pixels within the picture: one that would leave it is moved, then made smaller.

    UserError if the face lies outside of the picture or is too small to show anything.
    """
    width, height = dimensions
    if not (0 <= centre[0] <= width and 0 <= centre[1] <= height):
        raise UserError("its face lies outside of the picture, so check its landmarks or its box")
    side = min(round(side), width, height)
    if side < MIN_SIDE:
        raise UserError(f"its face is {side} pixels wide, so take a picture with one of at least {MIN_SIDE}")
    left, top = (
        min(max(round(middle - side / 2), 0), length - side)
        for middle, length in zip(centre, dimensions, strict=True)
    )
    return left, top, left + side, top + side


def whole(dimensions):
    """The largest centred square of a picture."""
    return centre_square((0, 0, *dimensions))


def cut(image, box, size):
    """The square `box` of a Pillow image, scaled to size x size with an antialiasing Lanczos filter."""
    return image.resize((size, size), Image.Resampling.LANCZOS, box=box)


def moved(points, box, size):
    """Landmarks (..., 2) of the picture as pixels of its crop to `box` at size x size."""
    left, top, right, _ = box
    return (np.asarray(points, dtype=np.float32) - (left, top)) * (size / (right - left))


class Detector:
    """OpenCV's YuNet with the weights in the file that the user names; finds the largest face.

    Needs the package opencv-python-headless, which is imported only here, and the .onnx file of YuNet, which
    comes with neither package. UserError if one of them is missing.
    """

    def __init__(self, weights, threshold=0.7):
        self.weights, self.threshold = Path(weights).expanduser(), threshold
        if not self.weights.is_file():
            raise UserError(f"The detector's weights {self.weights} do not exist: get them from {YUNET}.")
        self._cv2()

    def box(self, image):
        """The frame around the largest face of an upright RGB Pillow image. UserError if there is none."""
        cv2 = self._cv2()
        pixels = np.ascontiguousarray(np.asarray(image)[:, :, ::-1])
        try:
            network = cv2.FaceDetectorYN.create(str(self.weights), "", image.size, self.threshold)
            faces = network.detect(pixels)[1]
        except cv2.error as error:
            raise UserError(
                f"the weights {shown(self.weights)} are not YuNet's: get them from {YUNET}"
            ) from error
        if faces is None or len(faces) == 0:
            raise UserError("no face was found in it, so leave it out or give a box")
        largest = max(faces, key=lambda face: face[2] * face[3])
        return landmark_box(largest[4:14].reshape(5, 2), image.size)

    def describe(self):
        """A short name for the detector: a hash of its weights, and the least score that it asks for."""
        return f"YuNet {hashlib.sha256(self.weights.read_bytes()).hexdigest()[:12]}, score {self.threshold}"

    def _cv2(self):
        try:
            import cv2
        except ImportError as error:
            raise UserError(
                "A detector needs OpenCV: pip install opencv-python-headless, or crop by landmarks."
            ) from error
        return cv2
