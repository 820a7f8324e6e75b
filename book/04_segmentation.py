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
# # Segmentation without labels
#
# **Do the parts that a network finds by itself mean anything?** It was told how many there are, and neither
# what nor where they are. This chapter lays its parts over faces that it has never seen, asks whether a part
# is the same thing in every face and in every pose, and compares it with answers that need no learning and
# with the systems that the paper names.
#
# ```{admonition} Which model this is of
# :class: warning
# The shipped model, `synthetic-64`, with which this page is made, and the table of systems below are of a
# [former design](older-records), whose parts were not found in this sense: they *started* at the hair, the
# eyes, the nose, the cheeks, the mouth and the neck of a face in the middle of the frame. The present network
# starts from random cells ([chapter 03](03_train)); run this chapter with `model = "runs/03_train"` to see
# what becomes of them.
# ```
#
# After this chapter you can
#
# - segment pictures, one or a folder of them, with one call;
# - say what NMI, ARI, IoU and NME measure, and what a high value does not mean;
# - hold a segmentation against floors that are stronger than they look.

# %% tags=["parameters"]
data = "synthetic"  # or a folder of face images
seed = 0
out = "build/out/04_segmentation"
model = "synthetic-64"  # a shipped model, or a run's folder such as runs/03_train
test_images = 256
records = "benchmarks/records/peers"  # what python -m peers wrote

# %% tags=["hide-input"]
from igc.chapter import SegmentParameters, start

folder = start(globals(), SegmentParameters)

# %% tags=["hide-input"]
import json

import torch
from IPython.display import display

from igc import IGCNet, comparison, figures, segment
from igc.data import LABELS, SyntheticFaces, open_dataset
from igc.data.images import read_image
from igc.evaluate import evaluate, evaluate_floors, evaluate_unlabelled, load_truth, table
from igc.framing import DRAWN

network = IGCNet.from_pretrained(model)
size = network.config.size
frame = DRAWN[network.config.background] if data == "synthetic" else "head"
faces = open_dataset(data, "test", test_images, size, seed, frame)

# %% [markdown]
# ## One call
#
# `segment.labels` takes images and gives a label for every pixel: 0 for the background, 1 to 6 for the
# parts.

# %% mystnb={"image": {"alt": "Twenty faces, and below each the same with its six parts as colours"}}
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
# Under the hood the network explains the image as six solid {term}`part capsules <part capsule>`. The
# label of a pixel is the part that is nearest to the camera there. With $\alpha_m(x)$ the share of pixel
# $x$ that part $m$ covers in the picture,
#
# $$
# \text{label}(x) = \begin{cases} \arg\max_m \alpha_m(x) & \text{if } \sum_m \alpha_m(x) > \tfrac{1}{2}, \\
# 0 & \text{otherwise.} \end{cases}
# $$
#
# In code this is `segment.masks_to_labels`, for `out.view_parts`:
#
# ```
# (parts.argmax(dim=1) + 1) * (parts.sum(dim=1) > 0.5)
# ```
#
# ```{admonition} The paper
# :class: paper
# It evaluates its parts as an unsupervised segmentation of faces, and compares them with DFF
# {cite:p}`collins2018dff`, SCOPS {cite:p}`hung2019scops` and HP-Capsule {cite:p}`yu2022hpcapsule`.
# ```
#
# ```{admonition} Ours
# :class: ours
# The faces, the regions, the floors and the scores of this chapter, and [the table](beside) in which the
# systems that the paper names stand beside ours.
# ```
#
# ## The same part, in the same place, while the head turns
#
# A part is a piece of a surface, not a piece of the picture. Four faces, drawn by the network from five
# sides, with their parts:

# %% mystnb={"image": {"alt": "Four faces from five sides, and the same views with parts as colours"}}
with torch.no_grad():
    explained = network(chosen[:4])
figures.turning_parts(network, explained)
# %% [markdown]
# A part keeps its place on the head, since it is the head's own surface that is coloured, and it is the same
# part in every face, since all faces have one layout. Both are by construction, and no merit of the training.
# Whether the network sees the same part in two *pictures* of a
# head is another question; for that it has to get pose and shape right.
#
# ## Held against the truth
#
# The embedded faces know which pixel is nose and which is mouth. First look. The regions have colours of
# their own. Where parts lie outside of the six regions of the face's front, on hair or on the neck, as two of
# the shipped model's do, fewer are left for the front, and not all regions can be matched well.

# %% mystnb={"image": {"alt": "Ten faces; below each, the true regions; below these, the six parts"}}
if data == "synthetic":
    count = test_images, size, seed
    fit_truth, test_truth = (load_truth(split, *count, frame=frame) for split in ("validation", "test"))
    shown = range(0, len(test_truth["image"]), max(1, len(test_truth["image"]) // 10))[:10]
    predicted = segment.labels(network, test_truth["image"][list(shown)])
    rows = [
        [figures.picture(test_truth["image"][i]) for i in shown],
        [figures.truth_picture(test_truth["labels"][i], LABELS) for i in shown],
        [figures.label_picture(label) for label in predicted],
    ]
    display(figures.grid(rows, side=0.95))

# %% [markdown]
# Then measure. Two divisions of the same pixels need not have the same names to be alike. Let $n_{rm}$ be
# the number of face pixels in true region $r$ and part $m$. All scores come from this table alone:
#
# - {term}`NMI`: how much the part of a pixel tells about its region, 0 for nothing and 1 for everything
#   {cite:p}`strehl2002ensembles`;
# - {term}`ARI`: of all pairs of pixels, how many are together in both or apart in both; chance gives 0
#   {cite:p}`hubert1985partitions`;
# - {term}`IoU`: each region is matched to one part {cite:p}`kuhn1955hungarian`, and
#   $\text{IoU} = \text{mean}_r\; n_{rm} / (n_{r\cdot} + n_{\cdot m} - n_{rm})$, where dots are sums.
#
# {term}`NME` asks something else: how well the centres of the parts predict {term}`landmarks <landmark>`.
#
# Beside the network stand the {term}`floors <floor>`. Six horizontal bands of the true face's box are a
# strong one, as faces are layered from top to bottom. *Where parts start* is a map of six random cells, each
# with its mirror image, such as the present network begins with; it lies over every image alike, however the
# head is turned. What a network scores beyond it, it has learned. (The former design was told more, and its
# own start is the stronger floor for it: the [data card](data_card.md#floors-and-oracles) has it.)

# %%
if data == "synthetic":
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
# Read each row from its floors, not from 0. The bands know nothing but the box around the face, and yet look
# at their NMI. A network whose parts lie like bands scores like them. ARI tells the two apart better. And
# look at the pictures once more: do the borders between parts follow brows, nose and lips, or do they run
# straight across?
#
# (beside)=
# ## Beside other systems
#
# *Ours* in this section is the former design, as are the encoder of *DFF, our features* and all that is said
# about ours; the records have not been made again since.
#
# The paper names SCAE, HP-Capsule, DFF, SCOPS, 2D auto-encoders, 3DMM and graphics codes; we add its
# nearest relative, Unsup3D, and floors. Does it take graphics capsules to find parts? Each system is here
# in a compact version of our own, one file of `peers/`, which names its source and where it departs from
# it.
#
# | system | what it is |
# |---|---|
# | six bands, 2 x 3 grid, k-means | floors, in the face that a cue for what is not background finds |
# | DFF {cite:p}`collins2018dff` | factors of a network's features: our encoder's, and an untrained one's |
# | concentration | a network that segments, asked for compact parts that follow a picture when it is warped |
# | SCOPS {cite:p}`hung2019scops` | the same, and a part looks alike everywhere |
# | SCAE {cite:p}`kosiorek2019scae` | flat templates with affine poses, which objects must predict |
# | HP-Capsule {cite:p}`yu2022hpcapsule` | flat subparts, which a transformer puts together to parts |
# | 2D auto-encoder {cite:p}`hinton2006autoencoder` | a code and nothing else |
# | Unsup3D {cite:p}`wu2020unsup3d` | depth, pose and light, but no parts |
# | graphics code {cite:p}`kulkarni2015dcign` | units that mean pose, light, shape, albedo; told what varies |
# | linear 3DMM {cite:p}`blanz1999morphable` | mean and principal shapes; told those of people |
#
# All that learn have seen the same 4,096 faces, for 8 minutes on one processor thread (but the encoder of
# *DFF, our features*, which is that of the shipped model), after a search of three settings at 3 minutes
# each. The search looks at no label, but at the residual of the drawing or, where there are only parts, at
# how well they follow a picture that is slightly turned. The measures are taken on 1,000 faces of other
# people, with three seeds. The same twelve of these faces by the first seed of each (colours are those of
# the true region that a part fits best; grey parts are left over):

# %% mystnb={"image": {"alt": "Twelve faces and their true regions; below, the parts that each system finds"}}
beside = comparison.load(records)
same = SyntheticFaces("test", 1000).batch(comparison.shown(1000))
comparison.strips(records, beside["rows"], same)
# %% [markdown]
# *Turning* is new here: the ARI between the labels of the same surface points in two pictures of a head
# that is turned by 15 degrees or more. *rank1* is the share of faces turned aside (by more than 30 degrees)
# whose nearest neighbour among people who look ahead is the same person, by a system's code of a face;
# *rank1_looked* is the same by what is seen in the photograph along the depth and the pose that were found,
# as [chapter 05](05_face_analysis) does it: only a system that knows both can.

# %%
print(comparison.table(beside["rows"], {"nmi": 3, "ari": 3, "iou": 3, "nme": 3, "turning": 3}))
# %%
columns = {"side": 2, "mad": 1, "rank1": 3, "rank1_looked": 3, "seconds": 0, "parameters": 0}
print(comparison.table(beside["rows"], columns))
# %%
print(comparison.standings(beside["first"]))

# %% [markdown]
# How to read it. Six bands are hard to beat here as well: of all that sees images alone only ours is above
# them in NMI and ARI. The others do find something. But in eight minutes it is colour and light (SCAE,
# HP-Capsule, DFF), or compact places in the frame (k-means, concentration, SCOPS), and not a thing that
# keeps its place on a head: look at *turning*, and at the strips. A term that asks for compact parts gets
# them, and compact parts of a head are halves and quarters of it; nothing there says what a nose is. Ours has
# a head that turns, and its parts go with it.
#
# Below the line stand systems that were told some of the truth. The linear 3DMM was given the true shapes,
# colours and regions of a thousand faces, so it knows what a nose is: in NMI, ARI and IoU it is ahead of
# ours, and a little in normals. Where a face lies in depth (SIDE), and which point of one picture is which
# of another (*turning*, NME), ours knows better, from pictures alone.
#
# Where ours loses, and what must be said beside it:
#
# - *rank1*: by their codes alone SCAE and HP-Capsule know people better. What their templates say of
#   themselves is little else than their colours, and here people differ by colours most. Our code is made
#   for drawing; two codes of a person differ by all that the picture left open. What ours is good for is
#   looking: it knows where each point of the head is in the photograph, and what it reads there tells
#   people apart best by far (*rank1_looked*).
# - Ours, in the former design, was told where six parts start; the others were not. Its parts that started
#   as even bands ([chapter 06](06_ablations)) had a lower ARI and IoU, though still above the bands of this
#   table.
# - Unsup3D has hardly begun to learn after eight minutes on one thread: its depth is worse than a plane. It
#   was made for a GPU and for hours. The table tells who learns much from little, not who is best in the
#   end.
# - The systems are our compact versions, not their authors' code.
#
# `python -m peers --budget 8 --out runs/peers` makes the table again, in some six hours on one thread; it can
# be stopped at any time and goes on.
#
# ## A photograph
#
# The network that is shipped has seen drawn faces only. A photograph is another world: other light, other
# skin, a background with things in it. This is astronaut Eileen Collins (NASA, public domain, from
# scikit-image), cut out by a box given by hand.

# %% mystnb={"image": {"alt": "A photograph of a woman, what the network draws for it, its parts, depth"}}
from skimage import data as pictures
from skimage.io import imsave

imsave(folder / "astronaut.png", pictures.astronaut(), check_contrast=False)
photograph = read_image(folder / "astronaut.png", size, box=(130, 0, 320, 190))[None]
with torch.no_grad():
    seen = network(photograph)
figures.explanation(photograph, seen)
# %% [markdown]
# What fails here is part of the answer: a network knows the world it was trained in.
#
# ## Your own pictures
#
# A folder of pictures is segmented by one cell. For each picture it leaves the labels (a PNG whose pixels
# are the labels), an overlay, and rows in `parts.csv`: the area and the centre of every part. The names
# are those of the true regions that the parts overlap best on embedded faces of the validation people.
# They are a reading aid, and a name does not make a part right.

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

# %% tags=["remove-cell"]
photo_face = float((segment.labels(network, photograph) > 0).float().mean())
(folder / "metrics.json").write_text(json.dumps({**measured, "photo_face": photo_face}, indent=2) + "\n")

# %% [markdown]
# ## What we learned
#
# - A part is a piece of one surface, so that it keeps its place when the head turns; one layout for all faces
#   makes it the same part in each. Neither is a merit of learning.
# - Scores of a segmentation come from one table of counts; names do not matter, sizes and number of parts
#   do.
# - Beating six horizontal bands is harder than it looks, and a figure without its floors says nothing.
# - What is learned from drawn faces need not hold for photographs: look before you measure.
#
# ## Exercises
#
# Each solution can be pasted into a cell at the end of this notebook.
#
# **1. How many bands?** Cut the box of each true face into 3, 6 and 12 bands. What do NMI, ARI and IoU
# say?
#
# ````{dropdown} Solution
# ```python
# from igc.data import FACE_PARTS
# from igc.floors import bands
# from igc.metrics import part_scores
#
# if data == "synthetic":
#     truth = test_truth["labels"]
#     face = torch.isin(truth, torch.tensor(FACE_PARTS))
#     for count in (3, 6, 12):
#         scores = part_scores(bands(face, count), truth, FACE_PARTS)
#         print(count, {name: round(value, 2) for name, value in scores.items()})
# ```
#
# Six bands, as many as there are regions, do best in NMI and in IoU. ARI likes three better: with few bands
# more pairs of pixels that belong together stay together. At twelve all three have fallen. So a score depends
# on the number of parts, and only divisions into equally many should be compared.
# ````
#
# **2. The mirror.** Segment the faces, and segment their mirror images. On how many pixels do the labels
# agree once the second are flipped back? What should it be?
#
# ````{dropdown} Solution
# ```python
# straight = segment.labels(network, chosen)
# mirrored = segment.labels(network, chosen.flip(-1)).flip(-1)
# print(f"{(straight == mirrored).float().mean():.1%} of all pixels")
# face = (straight > 0) | (mirrored > 0)
# print(f"{(straight == mirrored)[face].float().mean():.1%} of the pixels that either calls face")
# ```
#
# It should be all of them: a mirrored face has the same parts. The layout, and the canonical shape (the
# setting `symmetric_shape`), are symmetrical by construction, but the encoder is not. It has to learn that
# the mirrored picture is the same face, turned the other way; where it does not, labels differ.
# ````
#
# **3. Only the outline?** How much of the agreement with the truth is due to telling parts apart, and how
# much to finding the face? Score the network's labels after all parts have been made one.
#
# ````{dropdown} Solution
# ```python
# if data == "synthetic":
#     found = segment.labels(network, test_truth["image"])
#     for name, labels in {"six parts": found, "one part": (found > 0).long()}.items():
#         scores = part_scores(labels, test_truth["labels"], FACE_PARTS)
#         print(name, {figure: round(value, 2) for figure, value in scores.items()})
# ```
#
# With one part NMI and ARI fall to nearly 0: only pixels of the true face are scored, so that finding the
# face earns nothing. IoU keeps a little, since the one part is still matched to the largest region. (The
# imports are those of the first solution.)
# ````
#
# ## Where to go on
#
# - [Face analysis](05_face_analysis): which part makes a face this face.
# - [Data card](data_card.md): how the regions were chosen, and all floors.
# - [Conventions](conventions.md#figures): the exact definition of every score.
