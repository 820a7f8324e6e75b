"""The published face sets, as tiny trees in their official layouts: read, trained on, refused in words."""

import hashlib
import io
import json
import math
import warnings

import joblib
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from igc.config import ModelConfig, TrainConfig
from igc.data import BP4D, LFW, SETS, CelebA, ImageFolder, MultiPIE, Olivetti, open_dataset, open_set
from igc.data.folder import split_of
from igc.data.prepare import prepare
from igc.data.scikit import LFW_FRAME
from igc.errors import UserError


def refusal(kind, *args, **kwargs):
    """The one sentence with which a set refuses its arguments."""
    with pytest.raises(UserError) as caught:
        kind(*args, **kwargs)
    text = str(caught.value)
    assert "\n" not in text and text.endswith("."), text
    return text


def trains(dataset, folder):
    """One epoch of a small model over the set; the record is finite."""
    from igc import fit

    small = ModelConfig(size=dataset.size, parts=2) if dataset.size >= 32 else None
    record = fit(dataset, small, TrainConfig(epochs=1, batch_size=8, device="cpu"), folder)
    return math.isfinite(record["final"]["loss"]) and record["data"] == dataset.fingerprint()


@pytest.mark.parametrize("archive", [False, True])
def test_celeba_aligned(celeba, drawn, archive, tmp_path):
    root = celeba(archive=archive)
    parts = {split: CelebA(root, split, 32) for split in ("train", "validation", "test", "all")}
    assert [len(part) for part in parts.values()] == [30, 5, 5, 40]
    assert all(part.skipped == [] for part in parts.values())
    item = parts["train"][9]
    assert set(item) == {"image", "identity", "landmarks", "split"}
    assert item["image"].shape == (3, 32, 32) and item["identity"] == 101 and item["split"] == 0
    assert item["landmarks"].shape == (5, 2) and parts["test"][0]["split"] == 2
    assert set(parts["train"].batch([0, 1], truth=False)) == {"image"}
    assert trains(parts["train"], tmp_path / "run")


def test_the_frame_from_landmarks_is_that_of_the_embedded_faces(celeba, drawn):
    faces = CelebA(celeba(), "all", 64)
    boxes = np.array([faces.face(name)[1] for name in faces.names])
    assert np.abs(boxes.mean(0) - (36, 36, 164, 164)).max() < 8
    landmarks = torch.stack([faces[i]["landmarks"] for i in range(40)])
    expected = torch.from_numpy((drawn.five - 36) / 2).float()
    assert (landmarks - expected).abs().mean() < 3


def test_celeba_in_the_wild_by_landmarks_or_by_its_boxes(celeba):
    root = celeba(wild=True)
    assert "landmarks" in CelebA(root, size=32, wild=True)[0]
    boxed = CelebA(root, size=32, wild=True, without=("landmarks", "identity"))
    assert set(boxed[0]) == {"image", "split"}
    assert boxed.face(boxed.names[0])[1] == (36, 36, 164, 164)


@pytest.mark.parametrize(
    ("gone", "kind"),
    [
        ("Eval/list_eval_partition.txt", None),
        ("Anno/identity_CelebA.txt", "identity"),
        ("Anno/list_landmarks_align_celeba.txt", "landmarks"),
    ],
)
def test_celeba_names_the_missing_file_and_where_to_get_it(celeba, gone, kind):
    root = celeba()
    (root / gone).rename(root / "Anno" / "other.dat")
    text = refusal(CelebA, root)
    assert gone.split("/")[1] in text and "mmlab.ie.cuhk.edu.hk" in text
    if kind:
        assert repr(kind) in text and kind not in CelebA(root, without=(kind,))[0]


def test_celeba_sees_a_misnamed_file(celeba):
    root = celeba()
    (root / "Anno/identity_CelebA.txt").rename(root / "Anno/identity_celeba.txt")
    assert "is identity_celeba.txt it, under another name?" in refusal(CelebA, root)


def test_celeba_without_its_images_says_which_archive(celeba, tmp_path):
    root = celeba(archive=True)
    (root / "Img/img_align_celeba.zip").unlink()
    assert "img_align_celeba.zip is missing" in refusal(CelebA, root)
    assert "img_celeba.7z" in refusal(CelebA, root, wild=True)
    assert "neither a folder nor a zip" in refusal(CelebA, tmp_path / "nowhere")


def test_celeba_lists_that_are_damaged_or_do_not_match(celeba):
    root = celeba()
    (root / "Img/img_align_celeba/000003.jpg").unlink()
    Image.new("RGB", (178, 218)).save(root / "Img/img_align_celeba/000041.jpg")
    reasons = dict(CelebA(root).skipped)
    assert "listed but missing" in reasons["000003.jpg"] and len(reasons) == 2
    file = root / "Anno/identity_CelebA.txt"
    good = file.read_text()
    file.write_text(good.replace("000002.jpg 100", "000002.jpg one hundred"))
    assert "identity_CelebA.txt, line 2" in refusal(CelebA, root)
    file.write_text(good.replace("000002.jpg 100\n", ""))
    assert "no line for 000002.jpg" in refusal(CelebA, root)
    file.write_text("\n".join(sorted(good.split("\n"), reverse=True)))
    assert CelebA(root)[0]["identity"] == 100, "the order of the lines is free"


def test_celeba_reports_files_that_are_not_the_released_ones(celeba, monkeypatch):
    root = celeba(archive=True)
    paths = [path for path in root.rglob("*") if path.suffix in (".txt", ".zip")]
    released = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in paths}
    monkeypatch.setattr("igc.data.celeba.MD5", released)
    assert CelebA(root, "all").skipped == []
    other = released | dict.fromkeys(("identity_CelebA.txt", "img_align_celeba.zip"), "0" * 32)
    monkeypatch.setattr("igc.data.celeba.MD5", other)
    faces = CelebA(root, "all")
    assert len(faces) == 40 and faces[0]["identity"] == 100, "they are read all the same"
    assert [name for name, _ in faces.skipped] == ["img_align_celeba.zip", "identity_CelebA.txt"]
    assert all("is not the released file" in reason for _, reason in faces.skipped)
    assert [name for name, _ in CelebA(root).skipped] == ["identity_CelebA.txt"]


@pytest.mark.parametrize("archive", [False, True])
def test_bp4d(bp4d, archive, tmp_path):
    faces = BP4D(bp4d(archive), "all", 32)
    assert len(faces) == 40 and faces.units == (1, 6, 12)
    batch = faces.batch(range(40))
    assert set(batch) == {"image", "identity", "expression", "landmarks"}
    assert batch["identity"].unique().tolist() == [1, 2, 1001, 1002, 1003]
    assert batch["expression"][:8].tolist() == [[k % 2, 1, -1] for k in range(6)] + [[-1] * 3] * 2
    assert batch["landmarks"].shape == (40, 49, 2)
    assert batch["landmarks"].isnan().all((1, 2)).tolist() == [True, *[False] * 7] * 5
    boxes = np.array([faces.face(name)[1] for name in faces.names[1:8]])
    assert np.abs(boxes.mean(0) - (36, 36, 164, 164)).max() < 20
    assert not archive or trains(faces, tmp_path / "run")


def test_bp4d_names_the_missing_file(bp4d):
    root = bp4d()
    (root / "2DFeatures/F002_T1.mat").unlink()
    text = refusal(BP4D, root)
    assert "F002_T1.mat is missing" in text and "Binghamton" in text and "'landmarks'" in text
    assert "landmarks" not in BP4D(root, "all", without=["landmarks"])[0]
    (root / "AUCoding/AU_OCC/M001_T1.csv").write_text("0,1,2\n1,2\n")
    assert "M001_T1.csv is not a table" in refusal(BP4D, root, without=["landmarks"])
    (root / "AUCoding/AU_OCC/M001_T1.csv").unlink()
    assert "M001_T1.csv is missing" in refusal(BP4D, root, without=["landmarks"])
    (root / "2DFeatures/F001_T1.mat").write_bytes(b"no matlab")
    assert "F001_T1.mat does not hold" in refusal(BP4D, root, without=["expression"])


@pytest.mark.parametrize("archive", [False, True])
def test_multipie(multipie, archive, tmp_path):
    faces = MultiPIE(multipie(archive), "all", 32, flashes={1: (-90, 0)})
    assert len(faces) == 40 and faces.skipped == []
    items = {name.split("/")[-1][:-4]: faces[i] for i, name in enumerate(faces.names)}
    front, side = items["003_01_02_051_07"], items["002_01_01_041_00"]
    assert set(front) == {"image", "identity", "expression", "pose", "light", "flash", "landmarks"}
    assert (front["identity"], front["expression"], front["flash"]) == (3, 1, 7)
    assert front["pose"].tolist() == [0] * 6 and side["pose"][1] == pytest.approx(-math.pi / 6)
    assert front["light"][2:].tolist() == [0, 0, -1] and front["light"][:2].isnan().all()
    assert side["light"].isnan().all() and side["landmarks"].isnan().all()
    assert torch.equal(front["landmarks"].isnan().any(), torch.tensor(False))
    assert faces._light(1)[2:].tolist() == pytest.approx([-1, 0, 0], abs=1e-6)
    assert not archive or trains(faces, tmp_path / "run")


def test_multipie_says_how_files_are_called(multipie):
    root = multipie()
    stray = next(root.rglob("*_07.png"))
    stray.rename(stray.with_name("frontal.png"))
    (reason,) = [text for _, text in MultiPIE(root).skipped]
    assert "frontal.png" in reason and "001_01_01_051_07" in reason
    for path in root.rglob("*.png"):
        path.unlink()
    text = refusal(MultiPIE, root)
    assert "001_01_01_051_07.png" in text and "Carnegie Mellon" in text


def test_people_do_not_cross_a_split_that_is_ours(multipie, bp4d):
    for kind, root in ((MultiPIE, multipie()), (BP4D, bp4d())):
        every = kind(root, "all", 16)
        sides = {}
        for name, code in zip(every.names, every.codes, strict=True):
            sides.setdefault(every.truth(name)["identity"], set()).add(code)
        assert all(len(codes) == 1 for codes in sides.values()) and "split" not in every[0]


@pytest.fixture
def fetched(tmp_path, drawn, monkeypatch):
    """scikit-learn's data folder with 400 Olivetti faces and 40 of LFW."""
    grey = np.stack([np.asarray(p.resize((64, 64)).convert("L")) for p in drawn.pictures] * 10)
    savemat(tmp_path / "olivettifaces.mat", {"faces": grey.transpose(0, 2, 1).reshape(400, -1).T})
    found = hashlib.sha256((tmp_path / "olivettifaces.mat").read_bytes()).hexdigest()
    monkeypatch.setattr("igc.data.scikit.OLIVETTI_SHA256", found)
    for i, picture in enumerate(drawn.pictures):
        folder = tmp_path / "lfw_home/lfw_funneled" / f"Person_{i // 8}"
        folder.mkdir(parents=True, exist_ok=True)
        picture.resize((250, 250)).save(folder / f"Person_{i // 8}_{i % 8 + 1:04d}.jpg")
    for name in ("pairs.txt", "pairsDevTrain.txt", "pairsDevTest.txt"):
        (tmp_path / "lfw_home" / name).write_text("0\n")
    return tmp_path


def test_olivetti_and_lfw_in_the_folder_of_scikit_learn(fetched, tmp_path, drawn):
    faces = Olivetti(fetched, "all", 64, download=False)
    assert len(faces) == 400 and faces[399]["identity"] == 39
    grey = np.asarray(drawn.pictures[3].resize((64, 64)).convert("L")) / 255
    assert np.abs(faces[3]["image"][0].numpy() - grey).max() < 0.06
    wild = LFW(fetched, "all", 48, download=False)
    batch = wild.batch(range(40))
    assert batch["image"].shape == (40, 3, 48, 48) and batch["identity"].unique().tolist() == list(range(5))
    assert set(batch) == {"image", "identity"} and wild.fingerprint().startswith("lfw-all-40-")
    assert trains(LFW(fetched, "all", 32, download=False), tmp_path / "run")


def test_fetched_sets_that_are_not_there_say_what_to_put_where(tmp_path):
    assert "put olivettifaces.mat there" in refusal(Olivetti, tmp_path, download=False)
    assert "lfw_home/lfw_funneled" in refusal(LFW, tmp_path, download=False)


def test_olivetti_is_fetched_once_and_only_as_released(fetched, monkeypatch):
    path, asked = fetched / "olivettifaces.mat", []
    content = path.read_bytes()

    def answer(url, timeout):
        asked.append(url)
        return io.BytesIO(content)

    monkeypatch.setattr("igc.data.scikit.urlopen", answer)
    path.unlink()
    assert len(Olivetti(fetched, "all")) == len(Olivetti(fetched, "all")) == 400
    assert asked == ["https://ndownloader.figshare.com/files/5976027"]
    assert path.read_bytes() == content and not list(fetched.glob("*.part"))
    path.write_bytes(content[:-1])
    assert f"{path} is not the released olivettifaces.mat" in refusal(Olivetti, fetched)
    path.unlink()
    content = b"a page that asks to log in"
    assert "files/5976027 is not the released" in refusal(Olivetti, fetched) and not path.exists()


def test_pickles_in_the_folder_of_scikit_learn_are_not_loaded(fetched, hostile_pickle):
    from sklearn.datasets import fetch_lfw_people

    content, trace = hostile_pickle
    (fetched / "olivetti_py3.pkz").write_bytes(content)
    ratio = (48 + 0.5) / (LFW_FRAME[0].stop - LFW_FRAME[0].start)
    options = {"data_home": fetched, "slice_": LFW_FRAME, "resize": ratio, "color": True, "funneled": True}
    fetch_lfw_people(**options, download_if_missing=False)
    (cached,) = fetched.rglob("output.pkl")
    cached.write_bytes(content)
    assert len(Olivetti(fetched, "all", download=False)) == 400
    assert len(LFW(fetched, "all", 48, download=False)) == 40
    (fetched / "olivettifaces.mat").unlink()
    assert "put olivettifaces.mat there" in refusal(Olivetti, fetched, download=False)
    assert not trace.exists()
    joblib.load(fetched / "olivetti_py3.pkz")
    assert trace.exists(), "it would show"


def test_lfw_asks_for_a_scikit_learn_that_it_knows(fetched, monkeypatch):
    monkeypatch.delattr("sklearn.datasets._lfw._fetch_lfw_people")
    assert "install scikit-learn 1.9" in refusal(LFW, fetched, download=False)


def test_wrong_arguments_are_refused(celeba, tmp_path):
    root = celeba()
    assert "does not exist" in refusal(CelebA, root, "dev")
    assert "multiple of 16" in refusal(CelebA, root, size=50)
    assert "landmarks, identity" in refusal(CelebA, root, without=("sex",))
    assert "celeba, celeba-wild" in refusal(open_set, "vggface", root)
    assert "needs a folder" in refusal(open_set, "bp4d", "")
    assert set(SETS) == {"celeba", "celeba-wild", "bp4d", "multipie", "olivetti", "lfw", "folder"}


def test_open_dataset_takes_a_name_and_a_folder(celeba, multipie):
    root = celeba()
    lengths = [len(open_dataset(f"celeba:{root}", split, 0, 32)) for split in ("train", "validation", "test")]
    assert lengths == [30, 5, 5]
    assert isinstance(open_dataset(str(root / "Img"), "train", 0, 32), ImageFolder)
    with warnings.catch_warnings(record=True):
        pie = [open_dataset(f"multipie:{multipie()}", "validation", 0, 32)]
    assert pie[0].split in ("test", "all"), "no validation split: test, or all where that is empty"
    assert "neither a folder" in refusal(open_dataset, "bp4d:/nowhere", "train", 0)


def few(root, kind, count=4):
    """A folder of pictures that all fall into the train split; or a prepared set of them."""
    names = [f"{i}.png" for i in range(200)]
    train = [name for name in names if split_of(name) == "train"]
    for name in train[:count]:
        Image.new("RGB", (32, 32), (90, 60, 30)).save(root / name)
    if kind == "folder":
        return str(root)
    if kind == "prepared":
        prepare(open_set("folder", root, split="all", size=32), root.parent / "prepared", workers=1)
        return str(root.parent / "prepared")
    return f"folder:{root}"


@pytest.mark.parametrize("kind", ["folder", "prepared", "set"])
def test_that_the_test_images_were_trained_on_is_said(tmp_path, kind):
    (tmp_path / "few").mkdir()
    data = few(tmp_path / "few", kind)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert len(open_dataset(data, "train", 0, 32)) == 4
    assert not caught, "of the images that are trained on there is nothing to say"
    for split in ("validation", "test"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert len(open_dataset(data, split, 0, 32)) == 4
        (said,) = [str(warning.message) for warning in caught]
        assert said.startswith(f"{data} has no image in its split {split}, so all 4 are used there")
        assert said.endswith("tested on images that it was trained on: bring more images.")


def test_with_more_images_the_test_split_is_its_own(photographs_of):
    data = str(photographs_of(60))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train, test = (open_dataset(data, split, 0, 16) for split in ("train", "test"))
    assert not set(train.names) & set(test.names) and test.names


def test_damaged_images_do_not_open_the_other_split(tmp_path):
    for i in range(100):
        if split_of(f"{i}.png") == "test":
            Image.new("RGB", (32, 32)).save(tmp_path / f"{i}.png")
        elif i < 5:
            (tmp_path / f"{i}.png").write_bytes(b"no image")
    assert "No image of the split train of" in refusal(open_dataset, str(tmp_path), "train", 0)


def test_an_image_that_is_damaged_is_named(celeba):
    root = celeba()
    (root / "Img/img_align_celeba/000001.jpg").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"000001\.jpg cannot be used: its content is not an image"):
        CelebA(root)[0]


def test_checksums_have_the_form_of_md5():
    from igc.data.celeba import MD5

    assert all(len(value) == 32 and int(value, 16) for value in MD5.values())
    assert json.dumps(MD5)
