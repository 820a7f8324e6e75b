# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     cell_metadata_filter: -all,tags
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The faces
#
# **What does one learn from when every label is missing, and how does one know afterwards what was
# learned?** From pictures, and by holding the answer against truth that the learner never saw. No
# collection of real faces comes with the true depth of every pixel, and none may be shipped with a book. So
# this project draws its own.

# %% tags=["parameters"]
data = "synthetic"  # or a folder of face images, or celeba:DIR and the like: shown beside the drawn ones
seed = 0
out = "build/out/01_data"
faces = 48  # how many faces the contact sheet shows
size = 64

# %%
from igc.chapter import DataParameters, start

folder = start(globals(), DataParameters)

# %%
import json

import torch
from IPython.display import display

from igc import figures, geometry, views3d
from igc.data import LABELS, PLANTED, SyntheticFaces, open_dataset, read_all

# %% [markdown]
# ## Drawn people
#
# `SyntheticFaces` draws heads: a skull, a jaw, a nose, eyes, lips, ears, hair, a neck, each with measures
# drawn from a documented range, and an expression, a pose, a light and a background for every picture. The
# same seed gives the same people. Training, validation and test people are different people. All the ranges
# stand on the [data card](data_card.md).

# %%
people = SyntheticFaces("train", faces, size, seed)
sheet = people.batch(range(faces), truth=False)["image"]
rows = [sheet[i : i + 12] for i in range(0, faces, 12)]
figures.grid([[figures.picture(image) for image in row] for row in rows], side=0.8)
# %% [markdown]
# Eight pictures of one person after another: the first row is one person and a half.
#
# ## The truth that goes with every picture
#
# What a network will have to find out by itself, and what it is later measured by: the depth of every
# pixel, the direction its surface faces (the *normal*), its colour without the light (the *albedo*) and the
# region it belongs to; and all four as the face looks from the front (*canonical*).

# %%
truth = SyntheticFaces("test", 32, size, seed).batch(range(0, 32, 8))
rows = []
for i in range(4):
    row = [figures.picture(truth["image"][i])]
    for frame in ("", "canonical_"):
        head = truth[f"{frame}labels"][i] > 0
        row += [
            figures.depth_picture(truth[f"{frame}depth"][i], head),
            figures.normal_picture(truth[f"{frame}normal"][i]),
            figures.picture(torch.where(head, truth[f"{frame}albedo"][i], 1.0)),
            figures.truth_picture(truth[f"{frame}labels"][i], LABELS),
        ]
    rows.append(row)
figures.grid(rows, ["image", *["depth", "normals", "albedo", "regions"] * 2])
# %% [markdown]
# The regions are what can be told apart on a face: by an edge of colour (brows and eyes, lips, hair) or by
# a turn of the relief that a finger would feel (nose, forehead, cheeks, chin and jaw). The six on the face's
# front are its parts; hair, ears and neck are told apart as well, but do not count as such. The list was
# fixed before any training, and regions are never used for learning.
#
# Depth is what makes it three-dimensional. This is the true surface of the first face, as far as a camera in
# front of it sees it. Turn it, and move the light.

# %%
points = geometry.depth_to_points(truth["canonical_depth"][0], people.fov)
colours, head = truth["canonical_albedo"][0].movedim(0, -1), truth["canonical_labels"][0] > 0
views3d.surface_view(points, colours, head, says="The true surface of a head.")

# %% [markdown]
# ## People who differ in one place only
#
# Chapter 05 asks which part of a face makes a person known. To hold such an analysis against a known answer,
# identity can be *planted*: everybody is the same average person but for the named places. Below are the same
# eight moments (expression, pose, light, background) in every row: only what tells the eight people apart is
# another thing. In "nothing" all are one person and the names are arbitrary; in "light" they are one person
# too, but each has a lamp of their own, so that names can be guessed without looking at a face.

# %%
rows = []
for name in PLANTED:
    planted = SyntheticFaces("test", 64, size, seed, planted=name, yaw=25)
    rows.append([figures.picture(image) for image in planted.batch(range(0, 64, 8), truth=False)["image"]])
    cues = [f"{cue.kind} of {cue.region} ({cue.weight:.2f})" for cue in PLANTED[name]]
    print(f"{name}: {', '.join(cues) or 'no cue at all'}")
figures.grid(rows, side=1.1)
# %% [markdown]
# The number is a weight: the share of a cue's variance that lies between people; the rest changes from
# picture to picture. In the third row it is twice as large for brows as for chins.
#
# ## Harder pictures
#
# Clutter behind the head, shadows that the head throws on itself, and glasses in half of the pictures. They
# are off unless asked for. Glasses and shadows are in the picture only: the truth stays that of the head.

# %%
options = [{}, {"background": "clutter"}, {"shadows": True}, {"glasses": True}]
rows = []
for option in options:
    kind = SyntheticFaces("test", 10, size, seed, per_identity=1, **option)
    rows.append([figures.picture(image) for image in kind.batch(range(10), truth=False)["image"]])
figures.grid(rows, side=1.0)

# %% [markdown]
# ## Can it be learned from, and not be cheated on?
#
# A data set can give its answers away, or hold none. Some quick checks with straight lines through raw
# pixels: pose and light should be within reach, on people never seen; so should the names of the people whose
# lamps differ. The names of people who are all the same must stay a guess.

# %%
import numpy as np
from sklearn.linear_model import Ridge, RidgeClassifier

fit, test = (read_all(SyntheticFaces(split, 256, 32, seed)) for split in ("train", "test"))
small = [torch.nn.functional.avg_pool2d(part["image"], 2).flatten(1).numpy() for part in (fit, test)]
targets = {"yaw": ("pose", 1), "light_x": ("light", 2), "light_y": ("light", 3)}
measured = {}
for name, (key, column) in targets.items():
    line = Ridge(alpha=10.0).fit(small[0], fit[key][:, column].numpy())
    correlation = np.corrcoef(line.predict(small[1]), test[key][:, column].numpy())[0, 1]
    measured[f"{name}_correlation"] = float(correlation)
    print(f"{name} predicted from pixels: correlation {correlation:.2f}")

# %%
known, asked = np.arange(512) % 16 < 12, np.arange(512) % 16 >= 12
for name in (None, "light", "nothing"):
    looks = read_all(SyntheticFaces("test", 512, 32, seed, per_identity=16, planted=name), truth=False)
    pixels = torch.nn.functional.avg_pool2d(looks["image"], 2).flatten(1).numpy()
    who = looks["identity"].numpy()
    rate = RidgeClassifier(alpha=10.0).fit(pixels[known], who[known]).score(pixels[asked], who[asked])
    measured[f"{name or 'usual'}_rate".replace(" ", "_")] = float(rate)
    print(f"named rightly, {name or 'usual faces'}: {rate:.0%}, chance {1 / 32:.0%}")

# %% [markdown]
# ## Photographs
#
# The paper learned from CelebA, and from BP4D and Multi-PIE, for which one signs a licence. `igc.data` reads
# them as they are released, zipped or not, and two public sets through scikit-learn. Each gives the same kind
# of item, with what truth the set really has; what it lacks is absent.
#
# | set | class | people | truth besides the image | split |
# |---|---|---|---|---|
# | drawn faces | `SyntheticFaces` | any number | all of it | people |
# | CelebA, aligned or in the wild | `CelebA` | 10,177 | identity, 5 landmarks | official |
# | BP4D, 2D frames | `BP4D` | 41 | identity, 49 landmarks, action units | people, ours |
# | Multi-PIE | `MultiPIE` | 337 | identity, expression, yaw, flash; some landmarks | people, ours |
# | Olivetti | `Olivetti` | 40 | identity | people, ours |
# | LFW, funnelled | `LFW` | 5,749 | identity | people, ours |
# | any folder | `ImageFolder`, `Photographs` | | none | file names, ours |
#
# A class's docstring says where to get the set, under which licence, and which files are expected where. If
# one is missing, it is named. `data` may be `celeba:path/to/CelebA`, `multipie:...` and so on, here and in
# training.
#
# Photographs must show faces of much the same size in much the same place: the frame of the drawn faces. It
# follows from landmarks, from a box that is given, or from a detector (OpenCV's YuNet, if one names the
# file of its weights). Below, "photographs" with a face somewhere in them, one of them damaged, and what
# becomes of them.

# %%
import shutil

from PIL import Image

from igc.data import Photographs, Prepared, crop
from igc.data.prepare import check, prepare

camera, album = folder / "photographs", folder / "prepared"
for place in (camera, album):
    shutil.rmtree(place, ignore_errors=True)
camera.mkdir()
seen = SyntheticFaces("test", 10, size, seed, per_identity=1).batch(range(10))
lines = ["name,left,top,right,bottom"]
for i, face in enumerate(seen["image"]):
    corner = (7 * i * size // 80, (i * i) % 7 * size // 8)
    photograph = Image.new("RGB", (2 * size, 2 * size), (70, 90, 60))
    photograph.paste(Image.fromarray((255 * figures.picture(face)).astype("uint8")), corner)
    photograph.save(camera / f"{i}.png")
    box = crop.landmark_box(seen["landmarks"][i] + torch.tensor(corner), photograph.size)
    lines.append(",".join(map(str, (f"{i}.png", *box))))
(camera / "boxes.csv").write_text("\n".join(lines))
(camera / "9.png").write_bytes(b"not an image")

# %%
card = prepare(Photographs(camera, "all", size, boxes=camera / "boxes.csv"), album)
print((album / "report.txt").read_text(), end="")
print(f"{card['images']} prepared, {card['skipped']} left out, faults: {check(album)}")
both = Photographs(camera, "all", size), Prepared(album, "all")
measured["prepared"] = card["images"]
rows = [[figures.picture(image) for image in part.batch(range(9))["image"]] for part in both]
figures.grid(rows, side=1.0)

# %% [markdown]
# A hundred thousand photographs are cropped once, in parallel, and whatever cannot be used is reported. The
# command can be stopped and goes on where it was; the source is never written to. With `--shards` the crops
# are packed into tar files, which may lie on several disks: `igc.data.shards.stream` reads them in shuffled
# order and deals them out to workers and machines.
#
# ```
# python -m igc.data prepare --set celeba --root path/to/CelebA --out path/to/celeba-64 [--shards]
# python -m igc.data check path/to/celeba-64
# python -m igc.train --data path/to/celeba-64 --epochs 30 --out runs/celeba
# ```
#
# ## Your own pictures
#
# Any folder of images will do: jpg, png, webp, bmp or tif, in any size and colour mode, in subfolders or
# not. Each is cut to its middle square and scaled. A file that cannot be read is named and left out. The
# faces should fill the picture about as much as they do above; where they do not, `--set folder` with
# `--boxes` or `--detector` prepares them.
#
# ```
# papermill book/01_data.ipynb out.ipynb -p data path/to/faces
# python -m igc.train --data path/to/faces --epochs 30 --out runs/faces
# ```

# %%
if data != "synthetic":
    mine = open_dataset(data, "train", faces, size, seed)
    own = mine.batch(range(min(24, len(mine))), truth=False)["image"]
    rows = [[figures.picture(image) for image in own[i : i + 12]] for i in range(0, len(own), 12)]
    display(figures.grid(rows, side=0.8))

# %%
measured["face_share"] = float((truth["labels"] > 0).float().mean())
(folder / "metrics.json").write_text(json.dumps(measured, indent=2) + "\n")

# %% [markdown]
# ## What we learned
#
# - Truth that a learner never sees is what turns a pretty picture into a result.
# - Where the answer is planted, an analysis can be wrong, and be seen to be.
# - A picture gives a face's colour and shape only together with pose and light: four causes, one image.
