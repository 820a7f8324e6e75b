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
data = "synthetic"  # or a folder of face images, shown beside the embedded ones
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
from igc.data import LABELS, SyntheticFaces, open_dataset

views3d.register_renderer()

# %% [markdown]
# ## Drawn people
#
# `SyntheticFaces` draws heads: a skull, a jaw, a nose, eyes, lips, ears, hair, a neck, each with measures
# drawn from a documented range, and an expression, a pose, a light and a background for every picture. The
# same seed gives the same people. Training, validation and test people are different people.

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
# The regions are: forehead, brows and eyes, nose, mouth, cheeks and chin, which count as parts of the face,
# and hair, ears and neck, which do not. They are never used for learning.
#
# Depth is what makes it three-dimensional. This is the true surface of the first face, as far as the camera
# sees it. Turn it.

# %%
points = geometry.depth_to_points(truth["depth"][0], people.fov)
views3d.surface_view(points, truth["albedo"][0].movedim(0, -1), truth["labels"][0] > 0)

# %% [markdown]
# ## Can it be learned from, and not be cheated on?
#
# A data set can give its answers away. If a straight line through the raw pixels told who somebody is,
# recognising people would mean little; and if it could not tell the pose at all, learning it would be
# hopeless. Two quick checks: predict yaw from the pixels by ridge regression, on other people; and
# recognise people by their raw pixels.

# %%
from sklearn.linear_model import Ridge

from igc import analysis

fit, test = (SyntheticFaces(split, 256, size, seed).batch(range(256)) for split in ("train", "test"))
small = [torch.nn.functional.avg_pool2d(part["image"], size // 16).flatten(1).numpy() for part in (fit, test)]
yaw = Ridge(alpha=10.0).fit(small[0], fit["pose"][:, 1].numpy()).predict(small[1])
yaw_correlation = float(torch.corrcoef(torch.stack((torch.tensor(yaw).float(), test["pose"][:, 1])))[0, 1])
pixel_rate = analysis.rank_one(small[1], test["identity"].numpy(), seed)[0]
print(f"yaw predicted from pixels: correlation {yaw_correlation:.2f}")
print(f"recognised by pixels: {pixel_rate:.0%} of probes, chance {1 / 32:.0%}")

# %% [markdown]
# ## Your own pictures
#
# Any folder of images will do: jpg, png, webp, bmp or tif, in any size and colour mode, in subfolders or
# not. Each is cut to its middle square and scaled. A file that cannot be read is named and left out. The
# faces should fill the picture about as much as they do above.
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
measured = {
    "yaw_correlation": yaw_correlation,
    "pixel_rate": pixel_rate,
    "face_share": float((truth["labels"] > 0).float().mean()),
}
(folder / "metrics.json").write_text(json.dumps(measured, indent=2) + "\n")

# %% [markdown]
# ## What we learned
#
# - Truth that a learner never sees is what turns a pretty picture into a result.
# - A picture gives a face's colour and shape only together with pose and light: four causes, one image.
