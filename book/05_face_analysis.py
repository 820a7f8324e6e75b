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
# # Face analysis
#
# **Which part makes a face this face, and is it the part's shape or its colour?** A graphics capsule keeps
# the two apart by construction, so that the question can be put to it. This chapter recognises people by
# one component at a time. It is a first version: it shows the method, with intervals, on drawn people.

# %% tags=["parameters"]
data = "synthetic"  # this chapter needs to know who is who, which the embedded faces do
seed = 0
out = "build/out/05_face_analysis"
model = "synthetic-64"  # a shipped model, or a run's folder such as runs/03_train
people = 64

# %%
from igc.chapter import AnalysisParameters, start

folder = start(globals(), AnalysisParameters)

# %%
import json

import numpy as np

from igc import IGCNet, analysis, figures
from igc.data import SyntheticFaces

network = IGCNet.from_pretrained(model)
faces = SyntheticFaces("test", 8 * people, network.config.size, seed)

# %% [markdown]
# ## The people
#
# Eight pictures of each of them, in every pose, light and expression. Six people, one a row:

# %%
batch = faces.batch(range(len(faces)), truth=False)
image, identity = batch["image"], batch["identity"].numpy()
figures.grid([[figures.picture(image[8 * p + i]) for i in range(8)] for p in range(min(6, people))], side=0.9)
# %% [markdown]
# ## Recognition by components
#
# The decomposition deals every channel of the two embeddings out to exactly one part. So a face is 2 x M
# components: part 1's shape, part 1's albedo, part 2's shape, ... The first picture of each person is the
# gallery; all others are probes, and a probe is given the name of the gallery face with the largest cosine.

# %% tags=["nbval-check-output"]
parts = analysis.components(network, image)
pixels = image.flatten(1).numpy()
colour = image.mean(dim=(2, 3)).numpy()
shape, albedo = (
    np.concatenate([value for (_, cue), value in parts.items() if cue == wanted], axis=1)
    for wanted in analysis.CUES
)
compared = {
    "all components": np.concatenate([shape, albedo], axis=1),
    "all shapes": shape,
    "all albedos": albedo,
    "raw pixels": pixels,
    "mean colour": colour,
}
rates = {name: analysis.rank_one(values, identity, seed) for name, values in compared.items()}
for name, (rate, low, high) in rates.items():
    print(f"{name:15s} {rate:6.1%}   [{low:.1%}, {high:.1%}]")
print(f"{'chance':15s} {1 / people:6.1%}")

# %% [markdown]
# Right in brackets, a 95 % interval over people: another draw of people would move the figure about that
# much.
#
# ## Which component
#
# Each component *alone*, and how much is lost *without* it. A component can be strong alone and yet not be
# missed, when another one says the same.

# %%
rows = analysis.importance(parts, identity, seed)
figures.importance_bars(rows)
# %% [markdown]
# Where these parts are on a face:

# %%
from igc.segment import labels

found = labels(network, image[:8])
figures.grid([[figures.label_picture(label, face) for label, face in zip(found, image[:8])]], side=0.95)
# %%
measured = {f"{row.cue}_{row.part + 1}": row.alone[0] for row in rows}
measured |= {name.replace(" ", "_"): rate[0] for name, rate in rates.items()}
measured["over_chance"] = rates["all components"][0] * people
(folder / "metrics.json").write_text(json.dumps(measured, indent=2) + "\n")

# %% [markdown]
# ## What cannot be concluded
#
# These are drawn people; their variety is what the drawing program's ranges make it. The figures say how
# *this* network stores what tells *these* people apart. They say nothing on how people recognise each
# other, and nothing about groups of people. The model must not be used to identify anyone.
