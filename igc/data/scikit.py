"""`Olivetti` and `LFW`: two public sets that scikit-learn fetches, checks and keeps."""

import hashlib
import io

import numpy as np
from PIL import Image

from igc.data.faceset import FaceSet, person_code
from igc.data.images import shown
from igc.errors import UserError

LFW_FRAME = (slice(45, 205), slice(45, 205))
"""Rows and columns of the 250 x 250 pictures: the whole head, as in the embedded faces (ours)."""


class _Fetched(FaceSet):
    """A set that scikit-learn has read into memory: `root` is its data folder, None for the usual one.

    download: fetch what is missing (needs a network). scikit-learn holds the addresses and the checksums.
    """

    def __init__(self, root=None, split="train", size=64, without=(), detector=None, download=True):
        self.download = bool(download)
        super().__init__(root, split, size, without, detector)

    def _open(self):
        self.skipped = []
        try:
            pictures, people = self._fetch(dict(data_home=self.root, download_if_missing=self.download))
        except (OSError, ValueError) as error:
            where = "scikit-learn's data folder" if self.root is None else shown(self.root)
            raise UserError(
                f"{self.LABEL} is missing in {where} and was not fetched ({error}): {self.WHERE}."
            ) from error
        self._pictures = (pictures * 255 if pictures.max() <= 1 else pictures).round().astype(np.uint8)
        names = [f"{self.LABEL}/{i:05d}.png" for i in range(len(people))]
        self._people = dict(zip(names, people.tolist(), strict=True))
        return names, bytes(person_code(f"{self.LABEL}{person}") for person in people)

    def _fetch(self, options):
        """(pictures (N, H, W) or (N, H, W, 3), people (N,))."""
        raise NotImplementedError

    def read(self, name):
        """The picture as the bytes of a PNG file."""
        file = io.BytesIO()
        Image.fromarray(self._pictures[int(name[-9:-4])]).save(file, "PNG")
        return file.getvalue()

    def truth(self, name):
        return {"identity": self._people[name]}

    def fingerprint(self):
        pixels = hashlib.sha256(self._pictures.tobytes()).hexdigest()
        return f"{super().fingerprint()}-{pixels[:8]}"


class Olivetti(_Fetched):
    """400 grey pictures, 64 x 64, of 40 people, ten each: the faces of AT&T Laboratories Cambridge.

    Where: scikit-learn fetches it. Licence: free for research, with credit to AT&T Laboratories Cambridge.
    Expected in the data folder: olivetti_py3.pkz, which scikit-learn makes from olivettifaces.mat; its
    checksum (SHA-256) is b612fb967f2dc77c9c62d3e1266e0c73d5fca46a4b8906c18e454d41af987794.
    Items: `image`, `identity`. The pictures are framed already, closer than the embedded faces.
    """

    LABEL, WHERE = "olivetti", "connect to a network, or put olivetti_py3.pkz there"

    def _fetch(self, options):
        from sklearn.datasets import fetch_olivetti_faces

        found = fetch_olivetti_faces(**options)
        return found.images, found.target


class LFW(_Fetched):
    """Labeled Faces in the Wild, funnelled: 13,233 photographs of 5,749 people, 250 x 250.

    Where: scikit-learn fetches it. Licence: none is stated; photographs from the press, for research.
    Expected in the data folder: lfw_home/lfw_funneled/Aaron_Eckhart/Aaron_Eckhart_0001.jpg ... and
    lfw_home/pairs.txt, pairsDevTrain.txt, pairsDevTest.txt; checksum (SHA-256) of lfw-funneled.tgz:
    b47c8422c8cded889dc5a13418c4bc2abbda121092b3533a83306f90d900100a. Items: `image`, `identity`.
    All of it is read into memory: 12 kB an image at size 64, four times as much while it is read.
    """

    LABEL, WHERE = "lfw", "connect to a network, or put lfw_home/lfw_funneled and its pairs*.txt there"

    def _fetch(self, options):
        from sklearn.datasets import fetch_lfw_people

        ratio = (self.size + 0.5) / (LFW_FRAME[0].stop - LFW_FRAME[0].start)
        found = fetch_lfw_people(funneled=True, color=True, slice_=LFW_FRAME, resize=ratio, **options)
        return found.images, found.target
