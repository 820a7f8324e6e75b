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
# # What each ingredient does
#
# **Is it the idea that works, or something beside it?** A method has many ingredients, and the good figures
# of the whole say nothing about any of them. So each is left out in turn, everything else stays as it is, and
# the same figures are measured again: an {term}`ablation`.
#
# ```{admonition} Of the former design
# :class: warning
# All records, pictures and conclusions of this page are of a [former design](older-records) of the network.
# Its parts started at the features of a face, each had a surface of its own, poses and depths were centred by
# prices, and a contrastive term was among them. Nothing here is claimed for the present network. Its own
# study is set up (`python -m benchmarks.ablations` runs it, with other rows) and has not been run yet.
# ```
#
# After this chapter you can
#
# - read an ablation: what is a difference, and what is the luck of a seed;
# - say which of the paper's ingredients carry the result here, and which do not;
# - make such a study yourself, stop it, and go on with it.

# %% tags=["parameters"]
data = "synthetic"  # the records are of the embedded faces
seed = 0
out = "build/out/06_ablations"
records = "benchmarks/records/ablations"  # what python -m benchmarks.ablations wrote
pictures = "book/_assets/ablations"  # and what its runs of seed 0 drew

# %% tags=["hide-input"]
from igc.chapter import AblationParameters, start

folder = start(globals(), AblationParameters)

# %%
import json

from igc import ablations

found = ablations.load(records)
first = found["full"][0]
print(f"{sum(len(runs) for runs in found.values())} runs of {first['images']:,} images each")
for machine in sorted({run["machine"] for runs in found.values() for run in runs}):
    print(f"on {machine}")

# %% [markdown]
# Every run trained a network from nothing, on 2,000 embedded faces seen 20 times. The seed decided the faces,
# the weights and their order. The figures are those of [chapter 03](03_train), measured on 512 faces of
# people that no run had seen. Nothing is computed here: the cells read the records that
#
# ```
# python -m benchmarks.ablations
# ```
#
# wrote, before the network was changed. It took some ten minutes a run on one processor core. Started now, it
# makes the study of the present network, with five seeds of the whole, three of most variants and one of the
# others, puts its records in the place of these, and can be stopped at any time. The table says how many runs
# are on record.
#
# ## A difference, or luck?
#
# What the seeds of the whole model span, shaded, is luck: a variant that falls into it has shown nothing.
# Each dot is a run.

# %% mystnb={"image": {"alt": "A row a variant, a dot a run, for six figures; the whole model's span shaded"}}
titles = {
    "nmi": "NMI ↑", "ari": "ARI ↑", "iou": "IoU ↑", "side": "SIDE ↓", "mad": "normals, ° ↓",
    "yaw_error": "yaw, ° ↓",
}  # fmt: skip
ablations.dots(found, titles)

# %% [markdown]
# The same as numbers: mean, and standard deviation over seeds. A star marks what lies outside of the shaded
# span with every seed, once there are three seeds of the whole model. For a variant with one seed a star is a
# hint; with three it is worth believing.

# %%
print(ablations.table(found, {"nmi": 3, "ari": 3, "iou": 3, "nme": 3}))

# %%
print(ablations.table(found, {"side": 3, "mad": 1, "yaw_error": 1, "yaw_slope": 2, "light_y": 2}))

# %% [markdown]
# ## Look at them
#
# Figures hide how something fails. Two faces, and what the run of seed 0 makes of each:

# %% mystnb={"image": {"alt": "A row a variant: two faces, with parts, drawing, depth, normals, and turned"}}
ablations.strips(pictures, list(found))
# %% [markdown]
# ## What holds of the paper's claims
#
# Once more: *here*, *ours* and *the whole model* mean the former design.
#
# ```{admonition} The paper
# :class: paper
# It uses both shape and albedo as cues when it decomposes a face, and says that one-hot attention and a
# contrastive loss make the parts semantically consistent {cite:p}`yu2023graphics`.
# ```
#
# ```{admonition} Ours
# :class: ours
# The embedded faces, on which depth, pose and regions are known, so that every claim has a figure. What the
# rows above say is true of the former design, these faces and this length of training.
# ```
#
# Read the table from the top, a row at a time, and ask of each row which of its scores moved. But first ask
# what luck would do. With five runs of the whole model and one of a variant that changes nothing, one cell in
# three is starred: the one run is the highest or the lowest of six. With three runs of it one cell in
# twenty-eight is. So a star in a row of three runs says something, and one in a row with a single run says it
# only where the figure lies far beyond the span.
#
# - **One-hot attention, shared by shape and albedo.** Without it every part sees both embeddings whole. The
#   parts stay as they are; depth and the light's height get worse, with all three seeds. So here it serves
#   the solid more than the parts.
# - **Contrastive consistency.** Without it NMI and IoU are not worse but better, with all three seeds, and
#   centroids a little worse. Here it is not what makes the parts. They hang together already, since the
#   borders are those of one mean face.
# - **Concentration alone.** Neither of the two, and in their place the price on scattered parts with which
#   parts are found elsewhere {cite:p}`hung2019scops`: the parts are no worse either, depth and light are.
# - **Both cues.** With shape alone dealt out to the parts, and each part's albedo drawn from all of the
#   albedo embedding, the light's height is read worse, with all three seeds; the rest is within luck. With
#   albedo alone nothing falls out of the span. That both cues are needed to find the parts is not seen here.
# - **Pose votes.** One pose that is read from the whole image does as well as the mean of what the parts say.
# - **The mirror.** Without it normals and depth are clearly worse, and heads turn too little, with all three
#   seeds; the parts stay as they are. Faces look as before from where they were seen; the mirror says what
#   they are like from elsewhere. This is Unsup3D's claim, and it holds.
# - **Sides of the head**, which are ours. Without them heads turn a fifth too little, depth is as bad as
#   without the mirror, and the parts slip: [chapter 03](03_train) says why.
# - **Filling the foreground**, ours too. Without it depth is a little worse, and the face covers less of the
#   head (its coverage is not in the tables); the parts do not mind.
# - **Where parts start.** As even bands they stay bands. Depth, pose and light hardly notice; all scores of
#   the parts fall with all three seeds, ARI and IoU more than by any other change at six parts. So the
#   regions that our parts have are in good part those that they were given to start with, while the solid
#   head is learned. Keep this in mind when you read of the former design in chapter 04.
#   (The present network starts from random cells instead.)
# - **How many parts.** With 4, 8 or 12 parts all of them stay alive, and the head is as solid as with six.
#   Four are too few for six regions: nose and mouth share one. Eight give the forehead and the chin a part of
#   their own, and score like six. Twelve divide temples, cheeks and neck once more; that costs
#   scores, since a region is matched to a single part, but the drawing does not mind.

# %% tags=["remove-cell"]
whole = {name: float(ablations.values(found["full"], name).mean()) for name in first["figures"]}
(folder / "metrics.json").write_text(json.dumps(whole | {"variants": len(found)}, indent=2) + "\n")

# %% [markdown]
# ## What we learned
#
# - The luck of a seed has a size. Measure it first, on the whole model, and read everything else from there.
# - Leaving an ingredient out is a fair question only if everything else stays, the amount of training too.
# - Figures move in groups: what spoils the pose spoils depth and parts as well, since a part is found where
#   the pose puts it.
# - A start can decide more than a term of the objective. It has to be left out like any other ingredient.
#
# ## Exercises
#
# **1. An ablation of your own.** The objective of the present network has terms that no row above leaves out.
# Choose one from [its table](losses), predict which figures get worse, and find out.
#
# ````{dropdown} Solution
# Any weight can be set to 0 on the command line; the length is that of the runs above. Compare with a whole
# run of the present network, not with the table of this page.
#
# ```
# python -m igc.train --data synthetic --images 2000 --epochs 20 --out runs/whole
# python -m igc.train --data synthetic --images 2000 --epochs 20 --smooth 0 --out runs/rough
# python -m igc.evaluate runs/whole --count 512
# python -m igc.evaluate runs/rough --count 512
# ```
#
# One run is a hint. Before you believe it, do the same with `--seed 1` and `--seed 2`.
# ````
#
# **2. How many seeds?** A variant's three runs all lie below the five of the whole model. If the ingredient
# did nothing at all, how often would that happen by luck?
#
# ````{dropdown} Solution
# All orders of eight runs would be equally likely. That three given ones are the lowest has one chance in
# $\binom{8}{3} = 56$, so 1.8 %; that they are the lowest or the highest, 3.6 %. With one run it is 2 in 6, a
# third. And the tables above have many cells: some star will be there by luck alone.
# ````
#
# **3. Where is the luck?** Which of the figures differ most among seeds, compared with what the variants
# change?
#
# ````{dropdown} Solution
# ```python
# for name in ("nmi", "ari", "iou", "nme", "side", "mad", "yaw_error"):
#     own = ablations.values(found["full"], name)
#     means = [ablations.values(runs, name).mean() for runs in found.values()]
#     print(f"{name:10s} seeds span {np.ptp(own):.3f}, variants {np.ptp(means):.3f}")
# ```
#
# (Import NumPy as `np` first.) A figure whose seeds span as much as its variants tells nothing here.
# ````
#
# ## Where to go on
#
# - [The objective](losses): all terms, and whose they are.
# - [Training](03_train): the present model, and its figures beside all floors.
