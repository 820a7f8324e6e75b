"""Tiny face sets in their official layouts, made from the embedded faces."""

import os
import pickle
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from igc.data import SyntheticFaces

FIVE = ((36, 42), (42, 48), (30, 31), (48, 49), (54, 55))
INNER = [i for i in range(17, 68) if i not in (60, 64)]


@pytest.fixture(scope="session")
def drawn():
    """40 embedded faces of 5 people: PIL images of 200 x 200 with a margin, and their landmarks there."""
    batch = SyntheticFaces("train", 40, 64).batch(range(40))
    pictures, points = [], batch["landmarks"].numpy() * 2 + (36, 36)
    for image in batch["image"]:
        pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
        picture = Image.new("RGB", (200, 200), (90, 110, 130))
        picture.paste(Image.fromarray(pixels).resize((128, 128)), (36, 36))
        pictures.append(picture)
    five = np.stack([points[:, a:b].mean(1) for a, b in FIVE], 1)
    return SimpleNamespace(pictures=pictures, points=points, five=five, inner=points[:, INNER])


def zipped(folder):
    """Packs a folder into a zip archive beside it, as `Info-ZIP` would, and removes the folder."""
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder.parent))
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folder.rmdir()


@pytest.fixture
def photographs_of(tmp_path):
    """make(count) gives a folder with that many small photographs."""

    def make(count, folder="photos"):
        root, noise = tmp_path / folder, np.random.default_rng(0).integers(0, 255, (300, 24, 24, 3), np.uint8)
        for i in range(count):
            (root / f"{i % 7}").mkdir(parents=True, exist_ok=True)
            pixels = np.roll(noise[i % 300], i // 300, 0)
            Image.fromarray(pixels).save(root / f"{i % 7}" / f"{i:06d}.bmp")
        return root

    return make


@pytest.fixture
def hostile_pickle(tmp_path):
    """(a pickle, the folder that appears when it is loaded)."""
    trace = tmp_path / "a pickle was loaded"

    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(trace),)

    return pickle.dumps(Hostile()), trace


@pytest.fixture
def celeba(tmp_path, drawn, monkeypatch):
    """make(wild=False, archive=False) : the root of a CelebA of 40 images: Img, Anno, Eval as released; of
    such files no checksum is known."""
    monkeypatch.setattr("igc.data.celeba.MD5", {})

    def make(wild=False, archive=False):
        root, count = tmp_path / "CelebA", len(drawn.pictures)
        folder = root / "Img" / ("img_celeba" if wild else "img_align_celeba")
        for place in (folder, root / "Anno", root / "Eval"):
            place.mkdir(parents=True, exist_ok=True)
        names = [f"{i + 1:06d}.jpg" for i in range(count)]
        for name, picture in zip(names, drawn.pictures, strict=True):
            picture.save(folder / name, quality=95)
        codes = [0] * 30 + [1] * 5 + [2] * 5
        lines = [f"{n} {c}" for n, c in zip(names, codes, strict=True)]
        (root / "Eval" / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")
        lines = [f"{n} {100 + i // 8}" for i, n in enumerate(names)]
        (root / "Anno" / "identity_CelebA.txt").write_text("\n".join(lines) + "\n")
        rows = [" ".join(map(str, p.round().astype(int).ravel())) for p in drawn.five]
        lines = [str(count), "lefteye_x lefteye_y ..."]
        lines += [f"{n}  {r}" for n, r in zip(names, rows, strict=True)]
        part = "" if wild else "align_"
        (root / "Anno" / f"list_landmarks_{part}celeba.txt").write_text("\n".join(lines) + "\n")
        lines = [str(count), "image_id x_1 y_1 width height"] + [f"{n} 36 36 128 128" for n in names]
        (root / "Anno" / "list_bbox_celeba.txt").write_text("\n".join(lines) + "\n")
        if archive:
            zipped(folder)
        return root

    return make


@pytest.fixture
def bp4d(tmp_path, drawn):
    """make(archive=False) gives the root of a BP4D of five people with a task of eight frames each."""

    def make(archive=False):
        root, people = tmp_path / "BP4D", ("F001", "F002", "M001", "M002", "M003")
        for folder in ("AUCoding/AU_OCC", "AUCoding/AU_INT/AU06", "2DFeatures"):
            (root / folder).mkdir(parents=True)
        for i, person in enumerate(people):
            frames = root / "2D+3D" / person / "T1"
            frames.mkdir(parents=True)
            entries = []
            for k in range(8):
                drawn.pictures[8 * i + k].save(frames / f"{k + 1:04d}.jpg", quality=95)
                points = drawn.inner[8 * i + k] if k else np.zeros((0, 0))
                entries.append({"frame": k + 1, "isTracked": int(k > 0), "pred": points})
            lines = ["0,1,6,12"] + [f"{k + 1},{k % 2},1,9" for k in range(6)]
            (root / "AUCoding/AU_OCC" / f"{person}_T1.csv").write_text("\n".join(lines) + "\n")
            (root / "AUCoding/AU_INT/AU06" / f"{person}_T1_AU06.csv").write_text("1,2\n")
            savemat(root / "2DFeatures" / f"{person}_T1.mat", {"fit": entries})
            if archive:
                zipped(root / "2D+3D" / person)
        return root

    return make


@pytest.fixture
def multipie(tmp_path, drawn):
    """make(archive=False): the root of a Multi-PIE of five people, two cameras, lights and recordings."""

    def make(archive=False):
        root = tmp_path / "Multi-PIE" / "data"
        k = 0
        for person in range(1, 6):
            for recording in ("01", "02"):
                for camera in ("051", "041"):
                    folder = root / f"session01/multiview/{person:03d}/{recording}/{camera[:2]}_{camera[2]}"
                    folder.mkdir(parents=True)
                    for light in ("00", "07"):
                        name = f"{person:03d}_01_{recording}_{camera}_{light}"
                        drawn.pictures[k].save(folder / f"{name}.png")
                        if camera == "051" and light == "07":
                            (root / "labels" / "051").mkdir(parents=True, exist_ok=True)
                            savemat(root / "labels/051" / f"{name}_lm.mat", {"pts": drawn.points[k]})
                        k += 1
        if archive:
            zipped(root / "session01")
        return root

    return make
