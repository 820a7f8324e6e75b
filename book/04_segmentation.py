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
# # Segmentation without labels
#
# **Do the parts that a network finds by itself mean anything?** Nobody told it what a nose is. This chapter
# lays its six parts over faces it has never seen, asks whether a part is the same thing in every face and
# in every pose, and compares it with answers that need no learning.

# %% tags=["parameters"]
data = "synthetic"  # or a folder of face images
seed = 0
out = "build/out/04_segmentation"
model = "synthetic-64"  # a shipped model, or a run's folder such as runs/03_train
test_images = 256

# %%
from igc.chapter import SegmentParameters, start

folder = start(globals(), SegmentParameters)

# %%
import json

import torch
from IPython.display import display

from igc import IGCNet, figures, segment
from igc.data import LABELS, open_dataset
from igc.data.images import read_image
from igc.evaluate import evaluate, evaluate_floors, evaluate_unlabelled, load_truth, table

network = IGCNet.from_pretrained(model)
size = network.config.size
faces = open_dataset(data, "test", test_images, size, seed)

# %% [markdown]
# ## One call
#
# `segment.labels` takes images and gives a label for every pixel: 0 for the background, 1 to 6 for the
# parts. Under the hood the network explains the image as six solid parts; the label of a pixel is the part
# that is nearest to the camera there, so that the segmentation follows the head when it turns.

# %%
chosen = faces.batch(range(0, len(faces), max(1, len(faces) // 20))[:20], truth=False)["image"]
found = segment.labels(network, chosen)
rows = [
    [figures.picture(image) for image in chosen[:10]],
    [figures.label_picture(label, image) for label, image in zip(found, chosen)][:10],
    [figures.picture(image) for image in chosen[10:]],
    [figures.label_picture(label, image) for label, image in zip(found, chosen)][10:],
]
figures.grid(rows, side=0.95)
# %% [markdown]
# ## The same part, in the same place, while the head turns
#
# A part is a piece of a surface, not a piece of the picture. One face, drawn by the network from five
# sides, with its parts:

# %%
with torch.no_grad():
    explained = network(chosen[:4])
figures.turning_parts(network, explained)
# %% [markdown]
# ## Held against the truth
#
# The embedded faces know which pixel is nose and which is mouth. *NMI* and *ARI* compare two ways of
# cutting up the same pixels (1 is agreement, 0 is chance), *IoU* the overlap after each part was given the
# best region, *NME* tells how well the centres of the parts predict landmarks. Six horizontal bands of the
# true face box are a strong floor: faces are layered from top to bottom.

# %%
if data == "synthetic":
    fit_truth, test_truth = (load_truth(s, test_images, size, seed) for s in ("validation", "test"))
    measured, floors = (
        evaluate(network, fit_truth, test_truth),
        evaluate_floors(fit_truth, test_truth, network.fov),
    )
    floors = {name: row for name, row in floors.items() if "nmi" in row}
else:
    measured, floors = evaluate_unlabelled(network, chosen), {}
columns = ("nmi", "ari", "iou", "nme", "silhouette", "foreground_iou", "parts_alive", "error_ratio")
print(table({"IGC-Net": measured, **floors}, columns))

# %% [markdown]
# The truth beside the parts, where there is truth. Colours are the truth's own in the second row.

# %%
if data == "synthetic":
    shown = range(0, len(test_truth["image"]), max(1, len(test_truth["image"]) // 10))[:10]
    predicted = segment.labels(network, test_truth["image"][list(shown)])
    rows = [
        [figures.picture(test_truth["image"][i]) for i in shown],
        [figures.truth_picture(test_truth["labels"][i], LABELS) for i in shown],
        [figures.label_picture(label) for label in predicted],
    ]
    display(figures.grid(rows, side=0.95))

# %% [markdown]
# ## A photograph
#
# The network that is shipped has seen drawn faces only. A photograph is another world: other light, other
# skin, a background with things in it. This is astronaut Eileen Collins (NASA, public domain, from
# scikit-image), cut out by a box given by hand. What fails here is part of the answer.

# %%
from skimage import data as pictures
from skimage.io import imsave

imsave(folder / "astronaut.png", pictures.astronaut(), check_contrast=False)
photograph = read_image(folder / "astronaut.png", size, box=(130, 0, 320, 190))[None]
with torch.no_grad():
    seen = network(photograph)
figures.explanation(photograph, seen)
# %% [markdown]
# ## Your own pictures
#
# A folder of pictures is segmented by one cell. Beside each picture's labels (a PNG whose pixels are the
# labels) and overlay it leaves `parts.csv`, the area and the centre of every part. The names are those of the
# true regions that the parts overlap best on embedded faces of the validation people; they are a reading
# aid, and a name does not make a part right.

# %%
names = None
if data == "synthetic":
    known = segment.labels(network, fit_truth["image"])
    names = segment.name_parts(known, fit_truth["labels"], network.config.parts)
(folder / "pictures").mkdir(exist_ok=True)
imsave(folder / "pictures" / "astronaut.png", pictures.astronaut()[:190, 130:320], check_contrast=False)
for row in segment.segment_folder(folder / "pictures", network, folder / "segmented", names):
    print(f"{row['file']:15s} part {row['part']} {row['name']:15s} {row['share']:6.1%} of the face")

# %% [markdown]
# In a terminal the same is
#
# ```
# python -m igc.segment path/to/faces --model synthetic-64 --truth synthetic --out segmented
# ```
#
# and this whole chapter runs on a folder, with the model that was trained on it, by
#
# ```
# papermill book/04_segmentation.ipynb out.ipynb -p data path/to/faces -p model runs/faces
# ```

# %%
photo_face = float((segment.labels(network, photograph) > 0).float().mean())
(folder / "metrics.json").write_text(json.dumps({**measured, "photo_face": photo_face}, indent=2) + "\n")

# %% [markdown]
# ## What we learned
#
# - Parts that are pieces of one surface keep their place when the head turns.
# - Beating six horizontal bands is harder than it looks, and a figure without its floors says nothing.
