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
# # Training
#
# **Can a network that only ever sees unlabelled pictures of faces find out that heads are solid, that they
# turn, and that they have parts?** This chapter trains one, and then measures what it found out against the
# truth, which the embedded faces have and photographs do not. It takes about six minutes on two processor
# cores.
#
# Nothing but the pictures is used for learning: *analysis by synthesis* (the paper, section 3). The network
# takes an image apart into six graphics capsules, puts them together, draws the result, and is corrected by
# what the drawing got wrong.

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

# %%
from igc.chapter import TrainParameters, start

folder = start(globals(), TrainParameters)

# %%
import json
from pathlib import Path

import torch
from accelerate import notebook_launcher

from igc import IGCNet, ModelConfig, TrainConfig, figures, fit, views3d
from igc.data import open_dataset
from igc.evaluate import evaluate, evaluate_floors, evaluate_unlabelled, load_truth, table
from igc.live import LivePreview

# %% [markdown]
# ## The pictures
#
# `data` is a name or a folder. The embedded faces are drawn while they are read ([chapter 1](01_data)); a
# folder's images are cut to squares and scaled. Either way the training sees images only.

# %%
train = open_dataset(data, "train", images, size, seed)
test = open_dataset(data, "test", test_images, size, seed)
sheet = train.batch(range(0, len(train), max(1, len(train) // 24))[:24], truth=False)["image"]
figures.grid(
    [[figures.picture(image) for image in sheet[row * 12 : row * 12 + 12]] for row in range(2)], side=0.8
)
# %% [markdown]
# ## The run
#
# One object holds what defines the network, another how it is trained. A name that is not a field of either,
# or a value without sense, is refused. While it trains, the picture below is drawn again from time to time.
# The stop button ends the run after the step that is under way, with a checkpoint; running the cell again
# goes on from there, and so does a run that was killed.

# %%
model_config = ModelConfig(size=size, parts=parts)
train_config = TrainConfig(
    epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, seed=seed, device=device,
    precision=precision, compile=compile,
)  # fmt: skip
if devices == 1:
    record = fit(train, model_config, train_config, folder, preview=LivePreview(sheet[:6]))
else:
    notebook_launcher(fit, (train, model_config, train_config, folder), num_processes=devices)
    record = json.loads((folder / "record.json").read_text())
print(f"{record['images']} images, {epochs} epochs, {record['seconds']:.0f} s")
print(f"on {record['machine']}, device {record['device']}")

# %% [markdown]
# The objective is a sum of small terms, each named after what it asks for ([igc/losses.py](architecture)).
# Four of them, over the epochs: how badly the drawing explains the picture, straight and with the face
# mirrored; how well the face's outline covers what is not background; and whether a part looks like the
# same part of other faces.

# %%
figures.curves(record["history"], ["reconstruct", "mirror", "silhouette", "contrast"])
# %% [markdown]
# ## Three things that make it work
#
# **One shape for everybody, at first.** A narrower outline can mean a turned head or a narrower one. While
# all faces must share one shape, only a turn can explain it; afterwards each face may depart from the
# common shape, at a price. Without this the shapes of single faces explain what turns should explain.
#
# **An outline of its own.** Where a face ends must not be a matter of its depth. When a part could only
# vanish by receding behind a backdrop, every face had to be as deep at its rim as that backdrop, and too
# much relief goes with too little turning: nearly the same pictures come out (the *bas-relief ambiguity*).
# So the parts draw a *support* together, which says where the face is, and depth is free to be what the
# turns say. A face's own departure from the common outline has its price too.
#
# **One surface.** The parts' surfaces cross where one part ends and the next begins. A price on the bending
# of the *assembled* surface, not only of each part's own, makes them meet without a crease.
#
# None of the three is in the paper. They are ours, and each is a setting that can be changed.
#
# ## What it sees in a face
#
# Faces of people who were not in the training set. From left to right: the image; the drawing of what was
# understood; the six parts laid over the image; and, all of it seen from the front, depth (near is bright),
# normals, albedo (the colour without the light) and the parts.

# %%
model = IGCNet.from_pretrained(folder)
held_out = test.batch(range(0, len(test), max(1, len(test) // 8))[:8], truth=False)["image"]
with torch.no_grad():
    explained = model(held_out)
figures.explanation(held_out, explained)
# %% [markdown]
# Each part on its own, as it is seen from the front. The same part has the same colour in the whole book.

# %%
figures.part_gallery(held_out[:4], explained)
# %% [markdown]
# What was learned is three-dimensional, so that it can be turned. No face was ever shown twice from two
# sides *as the same face*: that these belong together had to be inferred.

# %%
figures.turning(model, held_out[:6], explained)
# %% [markdown]
# Turn this one yourself, and pull its parts apart.

# %%
views3d.face_view(model, explained, 0)

# %% [markdown]
# ## Measured against the truth
#
# The embedded faces come with true depth, pose, light and part labels. All figures are on `test_images`
# faces of people outside the training set; what has to be fitted (the landmark regression, the map between
# the two pose frames) is fitted on a third group of people. *Floors* stand beside them: answers that need
# no learning. A result that does not beat the floors is not a result. [How each figure is
# computed](conventions) is fixed.

# %%
if data == "synthetic":
    fit_truth, test_truth = (load_truth(s, test_images, size, seed) for s in ("validation", "test"))
    measured = evaluate(model, fit_truth, test_truth)
    floors = evaluate_floors(fit_truth, test_truth, model.fov)
else:
    measured, floors = evaluate_unlabelled(model, held_out), {}
print(table({"this run": measured, **floors}))

# %% [markdown]
# Read it like this. `nmi`, `ari` and `iou` compare parts with the true regions (higher is better), `nme` is
# the error of landmarks predicted from the parts' centres, in units of the distance between the eyes.
# `side` and `mad` are errors of depth and of normals (lower is better); the *relief ratio* says whether the
# face is too flat (below 1) or too deep (above 1), and `yaw_slope` whether it turns too little. The two go
# together: more relief with less rotation gives nearly the same pictures, the *bas-relief ambiguity*, which
# is the hardest thing in this chapter. `error_ratio` is the error of the drawing over that of the guessed
# background alone.

# %%
(folder / "metrics.json").write_text(json.dumps({**measured, "seconds": record["seconds"]}, indent=2) + "\n")
(folder / "figures.txt").write_text(table({"this run": measured, **floors}) + "\n")
saved = figures.save_run_pictures(folder, model, held_out, explained)
print("\n".join(f"{path.name}" for path in sorted(folder.iterdir())))

# %% [markdown]
# ## On a GPU, on several, and longer
#
# The same chapter from a terminal, longer, on another folder of faces, or on a GPU:
#
# ```
# papermill book/03_train.ipynb out.ipynb -p epochs 30
# papermill book/03_train.ipynb out.ipynb -p data path/to/faces -p out runs/faces
# python -m igc.train --data path/to/faces --epochs 30 --device cuda --out runs/faces
# accelerate launch -m igc.train --data path/to/faces --epochs 30 --out runs/faces
# ```
#
# **Device.** `device="auto"` takes a GPU if there is one. The images stay on it as bytes as long as they fit
# into `memory` gibibytes; more of them are read from disk by worker processes, and a prepared set's shards
# are streamed ([chapter 1](01_data)).
#
# **Precision.** With `precision="bf16"` the encoder and the decoders compute in bfloat16. Geometry and the
# rasteriser stay in single precision: a face's relief is a few hundredths of its distance, which eight bits
# cannot hold.
#
# **Compilation.** `compile=True` hands encoder and decoders to `torch.compile`. The rasteriser has a kernel
# of its own on a GPU.
#
# **Several devices.** `devices=4` above, or `accelerate launch` in a terminal, starts one process a device,
# on one machine or on many (`accelerate config` asks). `batch_size` counts the images of all processes
# together: the order of the images is one, dealt out in turn, and what depends on the whole batch (the mean
# pose, the area of a part, what a part looks like) is exchanged. So two processes give the loss curve of
# one.
#
# **Records.** The run's folder holds `history.csv`, event files for TensorBoard (`tensorboard --logdir
# runs`), pictures every few epochs, the last two checkpoints, the best model and `record.json`. A checkpoint
# is written beside the old one and put in its place when the disk has it, so that a kill at any moment costs
# at most the steps since. If a loss is not a number, or a part vanishes, training goes back to the last
# checkpoint with half the learning rate, and says so.
#
# ## How fast it is
#
# From the records of two commands. `python -m benchmarks.train` tells, in one run, how fast a training step
# is at 64 pixels and a batch of 16; *straightforward* is the same network with a loop over the parts and
# PyTorch3D's rasteriser. `python -m benchmarks.against_unsup3d` tells what Unsup3D, with our rasteriser,
# reaches in 30 minutes and ours in 5. Read the second with care: Unsup3D's published networks are large, and
# on one processor thread, with other programs beside it, its half hour was only some 225 steps, far from
# trained. It says which of the two fits a small machine, not which is better in the end.

# %%
speed, beside = (
    json.loads(Path(f"benchmarks/records/{name}.json").read_text()) for name in ("train", "against_unsup3d")
)
print(speed["machine"])
for name, times in speed["times_as_fast"].items():
    rate = speed["beside"][name]["images_per_second"]
    print(f"{name:34s} {rate:6.1f} images a second; ours is {times:.1f} times as fast")
columns = ("side", "mad", "relief_ratio", "yaw_error", "pitch_error", "yaw_slope")
print(table({f"{name}, {row['minutes']:.0f} min": row for name, row in beside["rows"].items()}, columns))

# %% [markdown]
# ## What we learned
#
# - Pictures alone are enough to find the pose of a head, the direction of the light and a plausible shape.
# - What a picture leaves open (how deep, how far turned, where a part ends) is filled by assumptions, and
# each assumption is one named term of the objective.
