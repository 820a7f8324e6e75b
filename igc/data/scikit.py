"""`Olivetti` and `LFW`: two public sets in scikit-learn's data folder, fetched where they are missing.

scikit-learn's own functions keep what they have read in that folder as pickles and load those again, which
runs what is in them. Nothing is unpickled here: the released files are read.
"""

import hashlib
import io
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

import numpy as np
from PIL import Image

from igc.data.faceset import FaceSet, person_code
from igc.data.images import shown
from igc.errors import UserError
from igc.files import write_bytes

OLIVETTI = "olivettifaces.mat"
OLIVETTI_URL = "https://ndownloader.figshare.com/files/5976027"
OLIVETTI_SHA256 = "b612fb967f2dc77c9c62d3e1266e0c73d5fca46a4b8906c18e454d41af987794"
"""The released file, where it is and its checksum; as scikit-learn has them."""
LFW_FRAME = (slice(45, 205), slice(45, 205))
"""Rows and columns of the 250 x 250 pictures: the whole head, as in the embedded faces (ours)."""


class _Fetched(FaceSet):
    """A set that is read into memory: `root` is scikit-learn's data folder, None for the usual one.

    download: fetch what is missing (needs a network).
    """

    def __init__(self, root=None, split="train", size=64, without=(), detector=None, download=True):
        self.download = bool(download)
        super().__init__(root, split, size, without, detector)

    def _open(self):
        from sklearn.datasets import get_data_home

        self.skipped = []
        try:
            pictures, people = self._fetch(Path(get_data_home(self.root)))
        except UserError:
            raise
        except (OSError, HTTPException, ValueError) as error:
            where = "scikit-learn's data folder" if self.root is None else shown(self.root)
            raise UserError(
                f"{self.LABEL} is missing in {where} and was not fetched ({error}): {self.WHERE}."
            ) from error
        self._pictures = (pictures * 255 if pictures.max() <= 1 else pictures).round().astype(np.uint8)
        names = [f"{self.LABEL}/{i:05d}.png" for i in range(len(people))]
        self._people = dict(zip(names, people.tolist(), strict=True))
        return names, bytes(person_code(f"{self.LABEL}{person}") for person in people)

    def _fetch(self, folder):
        """(pictures (N, H, W) or (N, H, W, 3), people (N,)) from the data folder."""
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

    Where: `OLIVETTI_URL`. Licence: free for research, with credit to AT&T Laboratories Cambridge.
    Expected in the data folder: olivettifaces.mat, with the checksum `OLIVETTI_SHA256`.
    Items: `image`, `identity`. The pictures are framed already, closer than the embedded faces.
    """

    LABEL, WHERE = "olivetti", f"connect to a network, or put {OLIVETTI} there"

    def _fetch(self, folder):
        from scipy.io import loadmat

        path = folder / OLIVETTI
        if path.exists() or not self.download:
            source, data = path, path.read_bytes()
        else:
            with urlopen(OLIVETTI_URL, timeout=60) as answer:
                source, data = OLIVETTI_URL, answer.read()
        if hashlib.sha256(data).hexdigest() != OLIVETTI_SHA256:
            raise UserError(
                f"{shown(source)} is not the released {OLIVETTI}, as its SHA-256 differs: "
                f"put that into {shown(folder)}."
            )
        if not path.exists():
            write_bytes(path, data)
        faces = loadmat(io.BytesIO(data))["faces"].T.reshape(400, 64, 64).transpose(0, 2, 1)
        faces = faces.astype(np.float32) - faces.min()
        return faces / faces.max(), np.arange(400) // 10


class LFW(_Fetched):
    """Labeled Faces in the Wild, funnelled: 13,233 photographs of 5,749 people, 250 x 250.

    Where: scikit-learn fetches it. Licence: none is stated; photographs from the press, for research.
    Expected in the data folder: lfw_home/lfw_funneled/Aaron_Eckhart/Aaron_Eckhart_0001.jpg ... and
    lfw_home/pairs.txt, pairsDevTrain.txt, pairsDevTest.txt; checksum (SHA-256) of lfw-funneled.tgz:
    b47c8422c8cded889dc5a13418c4bc2abbda121092b3533a83306f90d900100a. Items: `image`, `identity`.
    All of it is read into memory: 12 kB an image at size 64, four times as much while it is read.
    """

    LABEL, WHERE = "lfw", "connect to a network, or put lfw_home/lfw_funneled and its pairs*.txt there"

    def _fetch(self, folder):
        """With the functions behind scikit-learn's `fetch_lfw_people`, whose names are private; no cache."""
        import sklearn

        ratio = (self.size + 0.5) / (LFW_FRAME[0].stop - LFW_FRAME[0].start)
        try:
            from sklearn.datasets._lfw import _check_fetch_lfw, _fetch_lfw_people

            _, funneled = _check_fetch_lfw(folder, funneled=True, download_if_missing=self.download)
            pictures, people, _ = _fetch_lfw_people(funneled, slice_=LFW_FRAME, color=True, resize=ratio)
            return pictures, people
        except (ImportError, TypeError) as error:
            raise UserError(
                f"LFW cannot be read with scikit-learn {sklearn.__version__} ({error}): "
                "install scikit-learn 1.9."
            ) from error
