# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     cell_metadata_filter: tags,mystnb,-all
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The faces
#
# **What does one learn from when every label is missing, and how does one know afterwards what was
# learned?** From pictures alone; and by holding the answer against truth that the learner never saw.
#
# No collection of photographs comes with the true depth of every pixel, and no face data set may be
# shipped with a book. So this project draws its own people.
#
# After this chapter you can
#
# - draw as many faces as you like, and read the truth that comes with each of them;
# - take a picture apart into its four causes, and check that they make the picture again;
# - tell whether a data set gives its answers away.

# %% tags=["parameters"]
data = "synthetic"  # or a folder of face images, or celeba:DIR and the like: shown beside the drawn ones
seed = 0
out = "build/out/01_data"
faces = 48  # how many faces the contact sheet shows
size = 64

# %% tags=["hide-input"]
from igc.chapter import DataParameters, start

folder = start(globals(), DataParameters)

# %% tags=["hide-input"]
import json

import torch
from IPython.display import display

from igc import figures, geometry, views3d
from igc.data import LABELS, PLANTED, SyntheticFaces, open_dataset, read_all

# %% [markdown]
# ## Drawn people
#
# `SyntheticFaces` draws heads. A seed, a number and a size are all that it takes:

# %% mystnb={"image": {"alt": "Rows of drawn heads of several people, each in many poses and lights"}}
people = SyntheticFaces("train", faces, size, seed)
sheet = people.batch(range(faces), truth=False)["image"]
rows = [sheet[i : i + 12] for i in range(0, faces, 12)]
figures.grid([[figures.picture(image) for image in row] for row in rows], side=0.8)
# %% [markdown]
# Eight pictures of one person follow one another: the first row is one person and a half. Each person has
# a skull, a jaw, a nose, eyes, lips, ears, hair and a neck of their own; each picture has an expression, a
# pose, a light and a background of its own. All are drawn from documented ranges, which stand on the
# [data card](data_card.md). The same {term}`seed` gives the same people, and training, validation and test
# people are different people.
#
# ```{admonition} The paper
# :class: paper
# It learned from photographs, CelebA {cite:p}`liu2015celeba`, and used BP4D {cite:p}`zhang2014bp4d` and
# Multi-PIE {cite:p}`gross2010multipie` for their variety of pose, expression and light.
# ```
#
# ```{admonition} Ours
# :class: ours
# All figures in this book are measured on these drawn faces. They cannot be compared with the paper's.
# ```
#
# ## The truth that goes with every picture
#
# Beside each image stand four maps of what it shows, and then the same four of the head as it looks from the
# front, in the {term}`canonical frame`:

# %% mystnb={"image": {"alt": "Four faces with depth, normals, albedo, regions; then these from the front"}}
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
# This is what a network will have to find out by itself:
#
# - the {term}`depth map`: how far away the surface is at every pixel (near is light);
# - the {term}`normals <normal>`: which way the surface faces there (each direction has a colour);
# - the {term}`albedo`: what colour the surface has when no light and no shade is on it;
# - the regions: which pixel is nose, which is cheek.
#
# The regions are what can be told apart on a face by an edge of colour (brows and eyes, lips, hair) or by
# a turn of the relief that a finger would feel (nose, forehead, cheeks, chin and jaw). The six on the
# face's front are its parts. Hair, ears and neck are told apart as well, but do not count as such. The
# list was fixed before any training, and nobody learns from it: it is the {term}`ground truth`, and only
# measures.
#
# Beside the maps stand two lists of numbers, the {term}`pose` and the light. Together these four causes
# make the picture: shape, colour, pose and light. With $n$ the normal, $l$ the direction to the light and
# $s_a$, $s_d$ its ambient and diffuse strength, {term}`Lambert's law` says {cite:p}`basri2003lambertian`
#
# $$ \text{image} = \text{albedo} \cdot \big(s_a + s_d \max(0,\, n \cdot l)\big) . $$
#
# In code this is `albedo * shading.lambert(normal, light)`; the first exercise checks it.
#
# Four causes and one picture: that is the difficulty of this book. A dark cheek may be dark skin, or a
# cheek that is turned away from the lamp.
#
# Depth is what makes a head three-dimensional. Here is the true surface of the first face, as far as a
# camera in front of it sees it. Turn it, and move the light.

# %%
points = geometry.depth_to_points(truth["canonical_depth"][0], people.fov)
colours, head = truth["canonical_albedo"][0].movedim(0, -1), truth["canonical_labels"][0] > 0
views3d.surface_view(points, colours, head, says="The true surface of a head.")

# %% [markdown]
# ## People who differ in one place only
#
# [Chapter 05](05_face_analysis) asks which part of a face makes a person known. On photographs nobody
# knows the answer. Here it can be *planted*: everybody is the same average person but for the places that
# we name. Each row below shows eight people, in the same eight moments (expression, pose, background) as
# in the other rows. Only what tells them apart changes from row to row.

# %% mystnb={"image": {"alt": "Six rows of eight nearly equal people; each row differs in another place"}}
rows = []
for name in PLANTED:
    planted = SyntheticFaces("test", 64, size, seed, planted=name, yaw=25)
    rows.append([figures.picture(image) for image in planted.batch(range(0, 64, 8), truth=False)["image"]])
    cues = [f"{cue.kind} of {cue.region} ({cue.weight:.2f})" for cue in PLANTED[name]]
    print(f"{name}: {', '.join(cues) or 'no cue at all'}")
figures.grid(rows, side=1.1)
# %% [markdown]
# The number in brackets is a weight: the share of a cue's variance that lies between people. The rest
# changes from picture to picture. In the third row it is twice as large for brows as for chins.
#
# Two rows are traps. In "nothing" all are one person and the names are arbitrary. In "light" they are one
# person too, but each has a lamp of their own, so that names can be guessed without looking at a face. An
# analysis that names a part in either of them is wrong, and this {term}`planted truth` shows it.
#
# ## Harder pictures
#
# Three things make it harder, and are off unless asked for. From the second row on: clutter behind the
# head, shadows that the head throws on itself, glasses in half of the pictures.

# %% mystnb={"image": {"alt": "The same ten faces plain, before clutter, with shadows, and with glasses"}}
options = [{}, {"background": "clutter"}, {"shadows": True}, {"glasses": True}]
rows = []
for option in options:
    kind = SyntheticFaces("test", 10, size, seed, per_identity=1, **option)
    rows.append([figures.picture(image) for image in kind.batch(range(10), truth=False)["image"]])
figures.grid(rows, side=1.0)

# %% [markdown]
# Glasses and shadows are in the picture only: the truth stays that of the head.
#
# ## Can it be learned from, and not be cheated on?
#
# A data set can give its answers away, or hold none. A few quick checks need no network: straight lines
# through raw pixels. First, pose and light. They should be within reach, on people never seen:

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

# %% [markdown]
# Second, names. The usual faces differ from head to chin, so straight lines should name many of them, and
# some of the people who differ in their lamps only. The names of people who are all the same must stay a
# guess:

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
# So there is something to learn, and what should be hidden is hidden.
#
# ## Photographs
#
# Published sets are read as they are released, zipped or not. For BP4D and Multi-PIE one signs a licence.
# Each class gives the same kind of item, with what truth the set really has; what it lacks is absent.
#
# | set | class | people | truth besides the image | split |
# |---|---|---|---|---|
# | drawn faces | `SyntheticFaces` | any number | all of it | people |
# | CelebA, aligned or in the wild | `CelebA` | 10,177 | identity, 5 landmarks | official |
# | BP4D, 2D frames | `BP4D` | 41 | identity, 49 landmarks, action units | people, ours |
# | Multi-PIE | `MultiPIE` | 337 | identity, expression, yaw, flash; some landmarks | people, ours |
# | Olivetti {cite:p}`samaria1994olivetti` | `Olivetti` | 40 | identity | people, ours |
# | LFW {cite:p}`huang2007lfw`, funnelled | `LFW` | 5,749 | identity | people, ours |
# | any folder | `ImageFolder`, `Photographs` | | none | file names, ours |
#
# A class's docstring says where to get the set, under which licence, and which files are expected where.
# If one is missing, it is named. `data` may be `celeba:path/to/CelebA`, `multipie:...` and so on, here and
# in training.
#
# Photographs must show faces of much the same size in much the same place: the frame of the drawn faces.
# That frame follows from landmarks, from a box that is given, or from a detector (OpenCV's YuNet, if one
# names the file of its weights). Let us try it with "photographs" that have a face somewhere in them. One
# of them is damaged.

# %% tags=["remove-output"]
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

# %% mystnb={"image": {"alt": "Above: small faces anywhere in green pictures; below: the same, cropped"}}
card = prepare(Photographs(camera, "all", size, boxes=camera / "boxes.csv"), album)
print((album / "report.txt").read_text(), end="")
print(f"{card['images']} prepared, {card['skipped']} left out, faults: {check(album)}")
both = Photographs(camera, "all", size), Prepared(album, "all")
measured["prepared"] = card["images"]
rows = [[figures.picture(image) for image in part.batch(range(9))["image"]] for part in both]
figures.grid(rows, side=1.0)

# %% [markdown]
# Above are the pictures as they lay in the folder, below what a network is given. The damaged one is
# named, and left out.
#
# A hundred thousand photographs are cropped once, in parallel. The command can be stopped and goes on
# where it was; the source is never written to. With `--shards` the crops are packed into tar files, which
# may lie on several disks: `igc.data.shards.stream` reads them in shuffled order and deals them out to
# workers and machines.
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

# %% mystnb={"image": {"alt": "Pictures from the folder that the setting data names, cut to squares"}}
if data != "synthetic":
    mine = open_dataset(data, "train", faces, size, seed)
    own = mine.batch(range(min(24, len(mine))), truth=False)["image"]
    rows = [[figures.picture(image) for image in own[i : i + 12]] for i in range(0, len(own), 12)]
    display(figures.grid(rows, side=0.8))

# %% tags=["remove-cell"]
measured["face_share"] = float((truth["labels"] > 0).float().mean())
(folder / "metrics.json").write_text(json.dumps(measured, indent=2) + "\n")

# %% [markdown]
# ## What we learned
#
# - A picture of a face has four causes: shape, albedo, pose and light. Only together do they make it.
# - Truth that the learner never sees is what turns a pretty picture into a result.
# - Where the answer is planted, an analysis can be wrong, and be seen to be.
# - Before one trusts a data set, one tries to cheat on it.
#
# ## Exercises
#
# Each solution can be pasted into a cell at the end of this notebook.
#
# **1. Make the picture from its causes.** The truth has albedo and normals in the view, the pose, and the
# light, whose direction is canonical. Draw the lit heads. How far are they from the pictures?
#
# ````{dropdown} Solution
# The light must be turned into the view first, since that is where the normals are.
#
# ```python
# from igc import shading
#
# towards = geometry.rotate(truth["light"][:, None, 2:], truth["pose"][:, :3])[:, 0]
# light = torch.cat((truth["light"][:, :2], towards), dim=1)
# lit = truth["albedo"] * shading.lambert(truth["normal"], light)
# for made, image, labels in zip(lit, truth["image"], truth["labels"]):
#     print(f"mean difference on the head: {(made - image).abs()[:, labels > 0].mean():.3f}")
# ```
#
# About 0.01, on a scale from 0 to 1. What is left lies at edges: the picture is drawn at twice the size
# and averaged, the truth is taken at the centres of pixels. Forget to turn the light and the difference is
# three times as large, with the shade in the wrong place.
# ````
#
# **2. Is there a leak?** Backgrounds are drawn anew for every picture. So the upper edge of a picture must
# not tell who is in it. Does it?
#
# ````{dropdown} Solution
# ```python
# for name in (None, "light"):
#     looks = read_all(SyntheticFaces("test", 512, 32, seed, per_identity=16, planted=name), truth=False)
#     edge, who = looks["image"][:, :, :3].flatten(1).numpy(), looks["identity"].numpy()
#     rate = RidgeClassifier(alpha=10.0).fit(edge[known], who[known]).score(edge[asked], who[asked])
#     print(f"{name or 'usual faces'}: {rate:.0%}, chance {1 / 32:.0%}")
# ```
#
# 6 % and 2 %, where guessing gives 3 %. Only 128 pictures are asked, so that a rate has a standard error
# of about one and a half points: 6 % is two of them above chance, not enough to call it a leak. (The top of
# a tall head of hair can reach the edge; ask more pictures to see whether it does.)
# ````
#
# **3. How deep is a face?** Depth is in units of the distance from the camera to the face. Compute the
# spread (standard deviation) of the true canonical depth over the face's parts. Why does it matter how
# small it is?
#
# ````{dropdown} Solution
# ```python
# from igc.data import FACE_PARTS
#
# face = torch.isin(truth["canonical_labels"], torch.tensor(FACE_PARTS))
# for depth, where in zip(truth["canonical_depth"], face):
#     print(f"{depth[where].std():.4f}")
# ```
#
# A hundredth of the distance, or a little less: the {term}`relief` of a face. All of a network's geometry
# has to be right within that. It is why geometry is computed in single precision, and why a face that is
# twice as deep as it should be has nearly the same outline from the front.
# ````
#
# ## Where to go on
#
# - [Graphics capsules](02_capsules): how a network writes such a face down.
# - [Data card](data_card.md): every range, every region, and the limits of the set.
# - [Conventions](conventions.md): which way is up, and in which units.
