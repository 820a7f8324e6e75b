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
# # Training
#
# **Can a network that only ever sees unlabelled pictures of faces find out that heads are solid, that they
# turn, and that they have parts?** This chapter trains one, in minutes and without a GPU. Then it measures
# what was found out against the truth, which the embedded faces have and photographs do not.
#
# ```{figure} _assets/loop.svg
# ---
# alt: >-
#   A picture is explained as depth, albedo, pose and light of six parts; these are drawn; drawing and
#   picture are compared, and an arrow leads from what differs back to the explanation
# class: dark-light
# width: 92%
# ---
# Analysis by synthesis. Nothing but the picture goes in.
# ```
#
# After this chapter you can
#
# - train the network of [chapter 02](02_capsules), on these faces or on your own, and let it go on where
#   it was stopped;
# - name what a picture leaves open, and the assumption that closes each gap;
# - read a table of scores: what beats its floor, what does not, and in which way a depth is wrong.
#
# ```{admonition} The paper
# :class: paper
# It learns by {term}`analysis by synthesis` {cite:p}`yuille2006synthesis` from unlabelled pictures: no
# landmarks, no masks, no 3D, no identity. The network takes an image apart into six
# {term}`graphics capsules <graphics capsule>`, puts them together, draws the result, and is corrected by
# what the drawing got wrong. A contrastive loss keeps a part the same thing in every face
# {cite:p}`yu2023graphics`.
# ```

# %% tags=["parameters"]
data = "synthetic"  # or a folder of face images
seed = 0
out = "runs/03_train"  # the run's folder; an interrupted run in it goes on
images = 2048  # how many embedded faces to train on
test_images = 256  # how many other people's faces to measure on
epochs = 10
batch_size = 16
learning_rate = 1e-3
device = "auto"  # auto, cpu or cuda
precision = "float32"  # or bf16, for the networks on a GPU
compile = False  # torch.compile for the networks
devices = 1  # how many GPUs (or processes) train together
size = 64
parts = 6
background = "border"  # or none, where the pictures are cropped to the face
init = ""  # or a shipped model or another run's folder, to start from what it knows

# %% tags=["hide-input"]
from igc.chapter import TrainParameters, start

folder = start(globals(), TrainParameters)

# %% tags=["hide-input"]
import json
from pathlib import Path

import torch
from accelerate import notebook_launcher

from igc import IGCNet, TrainConfig, figures, fit, views3d
from igc.data import open_dataset
from igc.evaluate import evaluate, evaluate_floors, evaluate_unlabelled, load_truth, table
from igc.framing import DRAWN
from igc.live import LivePreview
from igc.objective import objective
from igc.parent import config_like

# %% [markdown]
# ## The pictures
#
# `data` is a name or a folder. The embedded faces are drawn while they are read ([chapter 01](01_data)); a
# folder's images are cut to squares and scaled. Half of the images of a batch, drawn by chance, are mirrored:
# so there are twice as many faces to learn from, and they look to both sides.
#
# What a picture's border shows decides one setting. With `background = "border"` it is what lies behind the
# head, as here. If your photographs are cropped to the face, choose `background = "none"`: then all that is
# seen is surface, and nothing is taken for background ([both ways side by side](two-ways)). The embedded
# faces then fill the frame too. Either way the training sees what you see here, images and nothing else:

# %% mystnb={"image": {"alt": "Two rows of drawn faces, such as the network is trained on"}}
chosen = {"size": size, "parts": parts} | ({} if init else {"background": background})
model_config = config_like(init, chosen)
frame = DRAWN[model_config.background] if data == "synthetic" else "head"
train = open_dataset(data, "train", images, size, seed, frame)
test = open_dataset(data, "test", test_images, size, seed, frame)
sheet = train.batch(range(0, len(train), max(1, len(train) // 24))[:24], truth=False)["image"]
figures.grid(
    [[figures.picture(image) for image in sheet[row * 12 : row * 12 + 12]] for row in range(2)], side=0.8
)
# %% [markdown]
# ## The run
#
# One object holds what defines the network, another how it is trained. A name that is not a field of either,
# or a value without sense, is refused. While it trains, a picture below the cell is drawn again from time to
# time. The stop button ends the run after the step that is under way, with a checkpoint. Running the cell
# again goes on from there; so does a run that was killed. With `init` a run starts from the weights of
# another model, not from chance, and faces may differ from the first step. Number of parts and size must be
# as in that model; all else that defines the network, `background` too, is taken from it. (The model that is
# shipped now is of a [former design](older-records), from which no training starts.)

# %% mystnb={"image": {"alt": "Six faces at the end: image, drawing, parts, depth, normals, albedo"}}
train_config = TrainConfig(
    epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, seed=seed, device=device,
    precision=precision, compile=compile,
)  # fmt: skip
if devices == 1:
    record = fit(train, model_config, train_config, folder, preview=LivePreview(sheet[:6]), init=init)
else:
    given = train, model_config, train_config, folder, None, init
    notebook_launcher(fit, given, num_processes=devices)
    record = json.loads((folder / "record.json").read_text())
print(f"{record['images']} images, {epochs} epochs, {record['seconds']:.0f} s")
print(f"on {record['machine']}, device {record['device']}")

# %% [markdown]
# Four of the terms that it made small, over the {term}`epochs <epoch>`:

# %% mystnb={"image": {"alt": "Four curves over the epochs: reconstruct, mirror, smooth, deformation"}}
figures.curves(record["history"], ["reconstruct", "mirror", "smooth", "deformation"])
# %% [markdown]
# What does the network want? A small sum of small terms, each named after what it asks for. The first asks
# that the drawing $\hat I$ looks like the picture $I$. With $\sigma$ the error that the network itself
# expects at each pixel, its {term}`confidence`:
#
# $$
# \begin{aligned}
# L &= \textstyle\sum_i w_i L_i, \\
# L_\text{reconstruct} &= \operatorname{mean}\Big(\frac{\sqrt{2}\,|I - \hat I|}{\sigma} + \log \sigma\Big) \\
# &\quad + \text{coarser pictures, and edges.}
# \end{aligned}
# $$
#
# It can be negative, where small errors are expected and kept. `mirror` asks the same of the
# {term}`mirrored reconstruction` of half of a batch, since faces are nearly symmetrical
# {cite:p}`wu2020unsup3d`. `smooth` asks that the surface bends little for how deep it is. `deformation` is
# the price of each face's own shape: it is 0 as long as all faces share one. Where there is a background,
# `silhouette` and `fill` ask that the face covers what is not background. All terms, as they are weighed,
# for eight faces of people outside the training set, whom the model sees for the first time:

# %%
model = IGCNet.from_pretrained(folder)
held_out = test.batch(range(0, len(test), max(1, len(test) // 8))[:8], truth=False)["image"]
with torch.no_grad():
    explained = model(held_out)
    terms = objective(model, explained, held_out, train_config)
print("\n".join(f"{name:15s} {float(term):8.4f}" for name, term in terms.items()))

# %% [markdown]
# Each is a function of a few lines in `igc/losses.py`. [A table](losses) says which are the paper's, which
# come from its family and which are ours. The paper's own term for its parts,
# {term}`contrastive consistency`, has no weight here. The model that is kept is an average of the last
# weights, an {term}`EMA` {cite:p}`polyak1992averaging`; the steps are Adam's {cite:p}`kingma2015adam`.

# %% [markdown]
# ## What it sees in a face
#
# These eight faces, a row each: the image; the drawing of what was understood; the six parts laid
# over the image; and, all of it seen from the front, depth (near is light), normals, albedo and parts.

# %% mystnb={"image": {"alt": "Eight faces: image, drawing, parts; then depth, normals, albedo, parts"}}
figures.explanation(held_out, explained)
# %% [markdown]
# Each part on its own, as it is seen from the front. A part has the colour of its number, the same in the
# whole book. Which number it has means nothing: that follows from the seed.

# %% mystnb={"image": {"alt": "Four faces, and beside each its six parts apart, cut out in the front view"}}
figures.part_gallery(held_out[:4], explained)
# %% [markdown]
# Where do parts come from? At the start the outline that a head starts with (without a background, the
# picture) is divided into cells that know nothing of faces: random, each with its mirror image, of equal
# area. The seed decides them, and they would be the same for pictures of anything. Then what lies together,
# looks alike, bends alike and varies together becomes one part. A canonical point $x$ is known by its place,
# by the colour of its albedo, by the normal of its surface, and by how it varies with the other points: its
# correlations with the commonest variations of a face's brightness. Over the faces these have a mean
# $\mu_x$ and a covariance $\Sigma_x$, to which comes how far the drawing is off there. Each part is a
# Gaussian, with mean $m$ and covariance $C$, and the logit of a point is the expected log likelihood of
# what the faces show there:
#
# $$ l(x) = \log \pi - \tfrac12 \log |C| - \tfrac12 (\mu_x - m)^\top C^{-1} (\mu_x - m)
# - \tfrac12 \operatorname{tr}(C^{-1} \Sigma_x) . $$
#
# The parts' shares $\pi$, means and covariances follow by the {term}`EM algorithm`. A point counts for as
# much as its colour is known: hair and walls, which differ from picture to picture, count for little. The
# algorithm finds the best mixture near its start only; so after two, three and four fifths of a run, when
# colours are known, it is begun from sixteen random cells and from the present parts, and the likeliest
# mixture is kept (`igc/mixture.py`). Left, this run's parts before the first step, over the whole frame;
# right, after the last:

# %% mystnb={"image": {"alt": "The frame in mirror-symmetric cells, and as it was divided at the end"}}
torch.manual_seed(seed)
first = IGCNet.from_pretrained(init) if init else IGCNet(model_config)
figures.grid(
    [[figures.label_picture(network.layout(size).argmax(dim=0) + 1) for network in (first, model)]],
    ["at the start", "at the end"],
)
# %% [markdown]
# This layout is one for all faces. In each of them it moves and stretches with what the parts say of their
# places (`igc/places.py`), and so does the surface. What [is put in by
# hand](parts) all the same, such as the mirror symmetry, stands in a list.
#
# ```{admonition} Ours
# :class: ours
# The mixture. The paper says that parts are found, that shape and albedo are both cues for them, and is
# silent about how.
# ```
#
# What was learned is three-dimensional, so that it can be turned. No face was ever shown twice from two
# sides *as the same face*: that these belong together had to be inferred.

# %% mystnb={"image": {"alt": "Six faces, each drawn from five sides as the model understood it"}}
figures.turning(model, held_out[:6], explained)
# %% [markdown]
# Turn this one yourself, and pull its parts apart.

# %%
views3d.face_view(model, explained, 0)

# %% [markdown]
# ## What a picture leaves open
#
# A picture leaves open how deep a face is. To see why, take a point at $(x, z)$, with $z$ counted from the
# axis that the head turns about, and turn it by $\varphi$. It is then seen at
#
# $$ x' = x \cos\varphi + z \sin\varphi . $$
#
# For small turns $\cos\varphi$ is nearly 1 and $\sin\varphi$ nearly $\varphi$. What moves a feature is then
# $z\varphi$, and twice the depth with half the turn gives the same. This is the {term}`bas-relief ambiguity`
# {cite:p}`belhumeur1999basrelief`: a long valley of explanations, nearly as good as one another.
#
# What tells them apart is the first term, $x \cos\varphi$: features of a head that turns more lie closer
# together. The effect is small. It shows most at the outline, and whatever else can explain a change of the
# outline hides it. The first three things below take such excuses away.
#
# **Nearly one shape for everybody.** A narrower outline can mean a turned head or a narrower one. If every
# face may have any shape, the shapes of single faces explain what turns should explain. So each may depart
# from the mean face at a price only (`deformation`), and a turn is the cheaper explanation. And how deep the
# mean face is, is one number, which learns no faster than the turns do.
#
# **An outline of its own.** Where a face ends must not be a matter of its depth. When a part could only
# vanish by receding behind a backdrop, every face had to be as deep at its rim as that backdrop: too much
# relief, and so too little turning. So the parts draw a {term}`support` together, which says where the
# face is, and depth is free to be what the turns say. A face's own departure from the common outline has
# its price too.
#
# **A head with sides.** A depth map knows only what is seen from the front, and without sides it is
# narrower when it turns than a turned head is. To cover the head's outline all the same, a model turns it
# too little and bends it back too far: the wrong end of the valley. So the vertices just beyond the
# outline go straight back, to a learned back of the head ([with a picture in chapter 02](02_capsules)). The
# setting is `closed`; what it is worth stands [among the ablations](06_ablations).
#
# Other things a picture leaves open altogether: no drawing can tell them. Which way does a face look at pose
# zero? Turn the canonical face by ten degrees and all poses back by ten, and every picture stays the same.
# How far away is it, and which point does a head turn about? A price on each would pull at everything else.
# So they are *fixed by construction* ([all of them](by-construction)):
#
# - angles and shifts are counted from their mean over the pictures;
# - the surface has a mean depth of 1 in the middle of the frame;
# - heads turn about a point on the midline that is learned, the same for all faces;
# - there is one surface, not one a part. How far a part lies behind it where it is not seen follows from the
#   layout, so that a border between parts leaves no crease, and moves without changing the shape.
#
# And the valley itself has a number of its own in the network, which makes the mean face deeper and all turns
# as much smaller. It is learned like any other; so it takes few steps to go along the valley, where the
# pictures say that one must.
#
# ```{admonition} Ours
# :class: ours
# Nothing of this section is in what we know of the paper. Some of it is a setting, which the first exercise
# takes away.
# ```
#
# ## Measured against the truth
#
# Pretty pictures can be wrong. The embedded faces come with true depth, pose, light and part labels
# ({term}`ground truth`), so the model can be measured. All figures are on `test_images` faces of people
# outside the training set; what has to be fitted (the landmark regression, the map between the two pose
# frames) is fitted on a third group of people. [How each figure is computed](conventions) is fixed.

# %%
if data == "synthetic":
    faces = test_images, size, seed
    fit_truth, test_truth = (load_truth(split, *faces, frame=frame) for split in ("validation", "test"))
    measured = evaluate(model, fit_truth, test_truth)
    floors = evaluate_floors(fit_truth, test_truth, model.fov)
else:
    measured, floors = evaluate_unlabelled(model, held_out), {}
print(table({"this run": measured, **floors}))

# %% [markdown]
# The first column is this run. Beside it stand {term}`floors <floor>`, answers that need no learning, and
# {term}`oracles <oracle>`, which are told some of the truth; what each of them is stands in the [data
# card](data_card.md#floors-and-oracles). A result that does not beat its floors is not a result. Read it in
# three steps.
#
# **Parts.** {term}`NMI`, {term}`ARI` and {term}`IoU` compare parts with the true regions; higher is
# better. {term}`NME` is the error of {term}`landmarks <landmark>` predicted from the parts' centres, in
# units of the distance between the outer corners of the eyes. [Chapter 04](04_segmentation) is about these.
#
# **Shape.** {term}`SIDE` and {term}`MAD` are errors of depth and of normals
# {cite:p}`eigen2014depth,wu2020unsup3d`; lower is better. Look at them together with the next step.
#
# **The valley.** The {term}`relief ratio` is below 1 where faces are too flat, and above 1 where they are
# too deep. The {term}`yaw slope` is below 1 where they turn too little. One too large and the other too
# small is the bas-relief ambiguity. Correlations do not show it: along the whole valley they stay high. Nor
# do the errors of yaw, pitch and roll, which are taken after one linear map from the model's angles to the
# true ones: where the slope is 0.9, a head that looks 40 degrees aside is drawn at 36.
#
# `error_ratio` is the error of the drawing over that of the guessed background alone.
#
# ## The shipped model, and one part alone
#
# ```{admonition} Older than the code
# :class: warning
# These two records are of the [former design](older-records) of the network, whose parts started at the
# features of a face and which fixed what pictures leave open by prices. They say nothing about the present
# one, until `make weights` and `make one-part` have made them again.
# ```
#
# `synthetic-64` was trained on 20,480 faces for 10 epochs. *One part* is the same with `--parts 1`: no parts,
# no assembly, and so the nearest relative of Unsup3D {cite:p}`wu2020unsup3d`. Both were measured by
# `python -m igc.evaluate` on 1,000 faces of test people.

# %%
shipped, single = (
    json.loads(Path(path).read_text())["figures"]
    for path in ("igc/checkpoints/synthetic-64/figures.json", "benchmarks/records/one-part.json")
)
print(table({"synthetic-64": shipped.pop("synthetic-64"), "one part": single["one-part"], **shipped}))

# %% [markdown]
# Is a model with parts worse at depth, light and pose than one that has nothing else to do? Compare the first
# two columns. In the former design every error of depth, normals, pose and light was smaller with parts;
# relief ratio and yaw slope were the same to within 0.003. (Each is one run. For one part NMI, ARI and IoU
# mean nothing.) The posed mean face, which is told depth and pose, was still ahead in MAD. *Where parts
# start* is in this table where the former model's parts started.

# %%
(folder / "metrics.json").write_text(json.dumps({**measured, "seconds": record["seconds"]}, indent=2) + "\n")
(folder / "figures.txt").write_text(table({"this run": measured, **floors}) + "\n")
saved = figures.save_run_pictures(folder, model, held_out, explained)
names = sorted(path.name for path in folder.iterdir())
print("\n".join(name for name in names if not name.startswith("events")))

# %% [markdown]
# Pictures and scores of this run now lie in its folder.
#
# ## On a GPU, on several, and longer
#
# The same chapter from a terminal, longer, on another folder of faces, on faces that fill their frames, or on
# a GPU:
#
# ```
# papermill book/03_train.ipynb out.ipynb -p epochs 30
# papermill book/03_train.ipynb out.ipynb -p data path/to/faces -p out runs/faces
# papermill book/03_train.ipynb out.ipynb -p data path/to/crops -p background none -p out runs/crops
# python -m igc.train --data path/to/faces --epochs 30 --device cuda --out runs/faces
# python -m igc.train --data path/to/crops --background none --epochs 30 --out runs/crops
# accelerate launch -m igc.train --data path/to/faces --epochs 30 --out runs/faces
# ```
#
# **Device.** `device="auto"` takes a GPU if there is one. The images stay on it as bytes as long as they
# fit into `memory` gibibytes; more of them are read from disk by worker processes, and a prepared set's
# shards are streamed ([chapter 01](01_data)).
#
# **Precision.** With `precision="bf16"` the encoder and the decoders compute in bfloat16. Geometry and the
# rasteriser stay in single precision: the whole relief of a face is a few hundredths of its distance, which
# the eight bits of a bfloat16 cannot hold.
#
# **Compilation.** `compile=True` hands encoder and decoders to `torch.compile`. The rasteriser has a kernel
# of its own for GPUs. `make gpu` checks and times all of this where there is one; it has left no record here
# yet.
#
# **Several devices.** `devices=4` above, or `accelerate launch` in a terminal, starts one process a
# device, on one machine or on many (`accelerate config` asks). `batch_size` counts the images of all
# processes together: the order of the images is one, dealt out in turn, and what depends on the whole
# batch (the mean vote for the pose, the area of a part) is exchanged. So two processes give the
# loss curve of one.
#
# **Records.** The run's folder holds `history.csv`, event files for TensorBoard (`pip install tensorboard`,
# then `tensorboard --logdir runs`), pictures every few epochs, the last two checkpoints, the best model and
# `record.json`. A checkpoint is written beside the old one and put in its place when the disk has it, so
# that a kill at any moment costs at most the steps since. If a loss is not a number, or a part vanishes,
# training goes back to the last checkpoint with half the learning rate, and says so.
#
# ## How fast it is
#
# From the records of three commands, all of which are of the [former design](older-records).
# `python -m benchmarks.train` tells, in one run, how fast a training step is at 64 pixels and batches of 16
# and 64; *straightforward* is the same network with a loop over the parts and PyTorch3D's rasteriser
# {cite:p}`ravi2020pytorch3d`. `python -m benchmarks.against_unsup3d` tells what Unsup3D
# {cite:p}`wu2020unsup3d`, with our rasteriser, reaches in the minutes given, and ours in fewer;
# `python -m benchmarks.time_to_quality` when a training from nothing passes two marks for good.

# %%
speed, beside, marks = (
    json.loads(Path(f"benchmarks/records/{name}.json").read_text())
    for name in ("train", "against_unsup3d", "time_to_quality")
)
print(speed["machine"])
for name, times in speed["times_as_fast"].items():
    rate = speed["beside"][name]["images_per_second"]
    print(f"{name:34s} {rate:6.1f} images a second; ours is {times:.1f} times as fast")
for name, times in speed["times_as_fast_large"].items():
    print(f"with a batch of 64, ours is {times:.1f} times as fast as {name}")
columns = ("side", "mad", "relief_ratio", "yaw_error", "pitch_error", "yaw_slope")
print(table({f"{name}, {row['minutes']:.0f} min": row for name, row in beside["rows"].items()}, columns))
print(f"Unsup3D: at least {beside['rows']['Unsup3D']['last_step_reported']} steps. {beside.get('note', '')}")
print(f"from nothing ({marks['machine']}):")
print("\n".join(f"{mark} after {seconds:.0f} s" for mark, seconds in marks["seconds_until"].items()))

# %% [markdown]
# Read the second table with care. Unsup3D's published networks are large, and on one processor thread they
# got through so few steps that they are far from trained. It says which of the two fits a small machine,
# not which is better in the end.
#
# ## What we learned
#
# - Pictures alone are enough to find the pose of a head, the direction of the light and a plausible shape.
# - What a picture leaves open (how deep, how far turned, where a part ends) is filled by assumptions. Each is
#   a named term of the objective, a setting, or built into the network; that one is built in does not make it
#   less of an assumption.
# - Depth and turn hide behind one another. What tells them apart is the outline, so a head's outline has
#   to be right when it turns: it needs sides.
# - A figure says something beside its floors only, and a relief ratio only beside a yaw slope.
#
# ## Exercises
#
# **1. Take an assumption away.** Choose one, predict which figures get worse, train with it and without
# it, and look.
#
# ````{dropdown} Solution
# ```
# python -m igc.train --data synthetic --out runs/usual
# python -m igc.train --data synthetic --closed false --out runs/free
# python -m igc.evaluate runs/usual
# python -m igc.evaluate runs/free
# ```
#
# In place of `--closed false`: `--deformation 0`, `--smooth 0`, `--mirror 0` or `--outlines false`. Read
# `relief_ratio` and `yaw_slope` side by side; if one rises while the other falls, you see the valley. Then
# repeat both runs with `--seed 1`. A difference between settings that is no larger than the one between seeds
# (the {term}`spread`) says nothing.
# ````
#
# **2. Where in the valley?** Suppose that pictures fixed the product of depth and turn, and nothing else. How
# would relief ratio and yaw slope then hang together? Compare with your run.
#
# ````{dropdown} Solution
# A relief that is $r$ times too deep goes with turns that are $r$ times too small: the product of relief
# ratio and yaw slope is 1.
#
# ```python
# if data == "synthetic":
#     relief, slope = measured["relief_ratio"], measured["yaw_slope"]
#     print(f"{relief:.2f} x {slope:.2f} = {relief * slope:.2f}")
# ```
#
# A product near 1 with neither factor near 1 is a place in the valley that is not the right one. A product
# far from 1 is another kind of error. Only both factors at 1 are right.
# ````
#
# **3. Does it beat its floors?** Write down, for NMI, ARI, SIDE and MAD, the strongest answer in the table
# that needs no learning, leaving oracles aside, and print whether this run beats it.
#
# ````{dropdown} Solution
# ```python
# for figure, higher in {"nmi": True, "ari": True, "side": False, "mad": False}.items():
#     known = {name: row[figure] for name, row in floors.items() if figure in row and "oracle" not in name}
#     if known:
#         name = (max if higher else min)(known, key=known.get)
#         beaten = measured[figure] > known[name] if higher else measured[figure] < known[name]
#         print(f"{figure}: {measured[figure]:.3f}, {name} {known[name]:.3f}, beaten: {beaten}")
# ```
#
# For NMI and ARI the six bands are the ones to beat, for depth and normals the mean depth. A short run need
# not beat any of them.
# ````
#
# ## Where to go on
#
# - [Segmentation](04_segmentation): whether the parts mean anything.
# - [The objective](losses): every term, and whose it is.
# - [For teachers](teachers.md): the same questions, for a group.
