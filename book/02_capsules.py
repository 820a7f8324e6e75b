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
# # Graphics capsules
#
# **How does one write down a face so that a part of it can be taken out, turned, lit and put back?** As a
# few {term}`graphics capsules <graphics capsule>`: each holds the {term}`depth map`, the {term}`albedo` and
# the {term}`pose` of one part. (A head is rigid: a part's pose is its vote for the pose of the whole.) This
# chapter goes through the network one step at a time, with a picture at every step.
#
# ```{figure} _assets/pipeline.svg
# ---
# alt: >-
#   An image is encoded to three embeddings, whose channels belong to six parts; six capsules are decoded,
#   assembled by depth, shaded, posed and rendered
# class: dark-light
# width: 100%
# ---
# The way through the network, and through this chapter: encode, decompose, decode, assemble, shade, pose and
# render. Every colour is one part.
# ```
#
# After this chapter you can
#
# - say what a graphics capsule is, and follow one image through all steps, with the shape of every tensor;
# - explain how a hard choice (which part is nearest, which triangle is seen) can still be learned;
# - turn a face, light it, cut it into its parts, and give a part of one face to another.
#
# ```{admonition} The paper
# :class: paper
# A graphics capsule is a 3D primitive with depth, albedo and 3D pose. An image becomes a global shape and
# a global albedo embedding; a decomposition module makes part capsules of them; these are assembled by
# their depth to one object, which is lit, posed and rendered {cite:p}`yu2023graphics`. Six parts make a
# face. Capsules of faces before it {cite:p}`kosiorek2019scae,yu2022hpcapsule` are patterns in the plane:
# they cannot turn a head.
# ```
#
# The paper names the steps and leaves many of their details open. Its family fills in some: camera, ranges
# and light are those of Unsup3D {cite:p}`wu2020unsup3d`. The rest is ours, and is called so where it comes
# up.
#
# ```{admonition} Which model the pictures are of
# :class: warning
# The text and the formulas are of the network as it is now. The shipped model, `synthetic-64`, with which the
# pictures are drawn, is of a [former design](older-records): its parts started at the features of a face.
# Where it does something else, the page says so. With `model` set to a run of [chapter 03](03_train) all
# pictures are of the present network.
# ```

# %% tags=["parameters"]
data = "synthetic"  # or a folder of face images
seed = 0
out = "build/out/02_capsules"
model = "synthetic-64"  # a shipped model, or a run's folder such as runs/03_train

# %% tags=["hide-input"]
from igc.chapter import CapsuleParameters, start

folder = start(globals(), CapsuleParameters)

# %% tags=["hide-input"]
import json
import math

import torch

from igc import IGCNet, ModelConfig, capsules, figures, geometry, raster_figures, shading, views, views3d
from igc.data import open_dataset
from igc.editing import exchange
from igc.editing_figures import editing_sheet
from igc.export import export_face
from igc.raster import interpolate, rasterize
from igc.widgets import editor

network = IGCNet.from_pretrained(model)
config = network.config
faces = open_dataset(data, "test", 256, config.size, seed)
images = faces.batch(range(len(faces) - 1, -1, -max(1, len(faces) // 4))[:4], truth=False)["image"]

# %% [markdown]
# ## Encode
#
# Four images of people whom the network has not seen go in. For each, three vectors of the same length
# come out, its {term}`embeddings <embedding>`: one of *shape*, one of *albedo*, and one of the *view*,
# that is, of pose and light.

# %% tags=["nbval-check-output"]
torch.set_grad_enabled(False)
features, shape, albedo, view = network.encode(images)
print("images", tuple(images.shape), "→ shape, albedo and view embeddings", tuple(shape.shape))

# %% [markdown]
# ## Decompose
#
# The {term}`Graphics Decomposition Module` deals the {term}`channels <channel>` of these vectors out to
# the parts. Rows are parts, columns are channels, and a coloured cell says who owns a channel:

# %% mystnb={"image": {"alt": "Six rows, many columns; every column has exactly one coloured cell"}}
attention = network.decomposition.attention()
figures.attention_map(attention)
# %% [markdown]
# Every channel has one owner. The module learns a weight for every pair of channel $c$ and part $m$, and
# the largest wins; this is {term}`one-hot attention`. With $w_{mc}$ the weights and $e_c$ the channels of
# an embedding, part $m$ gets the {term}`code`
#
# $$
# \begin{aligned}
# z_{mc} &= A_{mc}\, e_c, \\
# A_{mc} &= 1 \text{ if } m = \arg\max_{m'} w_{m'c}, \text{ else } 0 .
# \end{aligned}
# $$
#
# Shape and albedo are dealt out by the same $A$. So the part that owns the shape of a place owns its colour
# too: it is one thing in both, and can be taken out or exchanged whole.
#
# In code this is `embedding[:, None] * attention`. The winner has no gradient; that of the softmax of
# the weights stands in for it, which is called {term}`straight-through` {cite:p}`bengio2013straight`.
#
# ```{admonition} The paper
# :class: paper
# Shape and albedo are both cues for the parts. One-hot attention and a contrastive loss make a part the same
# thing in every face.
# ```
#
# ```{admonition} Ours
# :class: ours
# That shape and albedo share the deal is its family's. That the view embedding is dealt out the same way is
# ours; so is that channels start out dealt in turn, by a margin so small that they can change hands.
# ```
#
# ## Decode
#
# Which part does a canonical point belong to? The {term}`layout` says so, which is mirror-symmetric and the
# same for all faces. Before anything is learned the parts are random cells that know nothing of faces: they
# divide the outline that a head starts with, an ellipse, into equal areas. Here are those of three fresh
# networks:

# %% mystnb={"image": {"alt": "Three ellipses, each divided into six random mirror-symmetric cells"}}
inside = capsules.initial_support(64) > 0
fresh = []
for start_seed in range(3):
    torch.manual_seed(start_seed)
    fresh.append(IGCNet(ModelConfig(size=64)))
cells = [figures.label_picture((each.layout(64).argmax(dim=0) + 1) * inside) for each in fresh]
figures.grid([cells], ["seed 0", "seed 1", "seed 2"])
# %% [markdown]
# Which points belong together is [learned](03_train): a part is one Gaussian of a mixture, over points that
# are known by their place, the colour of their albedo and the normal of their surface. With $l_m(x)$ the
# logarithm of the probability that the point $x$ is of part $m$, and $D(x)$ the depth of the object's
# surface, the depth of a part is
#
# $$ d_m(x) = D(x) + \frac{1}{k}\Big(\textstyle\sum_j p_j(x) \log p_j(x) - \log p_m(x)\Big),
# \quad p = \mathrm{softmax}(l) . $$
#
# So the part with the largest logit is nearest, and the weighted mean below gives back exactly $D$
# (`capsules.behind_nearest`): where borders run does not change the shape. The surface $D$ is the mean face's
# plus the {term}`departure` of this face. At each place the departure is decided by the channels of the part
# that lies there, and it moves all parts alike: otherwise the borders between them would wander from face to
# face.
#
# The albedo has two terms. Each part draws a few colours of its own, 2 x 2 over the whole frame, from its own
# channels alone; they are too coarse for edges. Fine detail is drawn by all parts together, each where it
# lies. With $t_m$ and $e$ these two, enlarged to all pixels,
#
# $$ a_m(x) = \operatorname{sigmoid}\big(t_m(x) + e(x)\big) . $$
#
# (In the former design the depth of a part was a surface in common plus a map of its own, and each part drew
# its own fine detail.) Last, each part says how far it is moved and stretched in this face: its
# {term}`place`. Below, the depths of the parts (near is light) and their albedos.

# %% mystnb={"image": {"alt": "Above, the depths of six parts, as bright bumps; below, their albedos"}}
shape_code, albedo_code = network.deal("shape", shape), network.deal("albedo", albedo)
view_code = network.decomposition(view)
decoded = network.decode(shape_code, albedo_code)
part_depth, part_albedo = decoded.depth, decoded.albedo
everywhere = torch.ones(config.size, config.size)
figures.grid(
    [
        [figures.depth_picture(depth, everywhere) for depth in part_depth[0]],
        [figures.picture(colour) for colour in part_albedo[0]],
    ],
    [f"part {m + 1}" for m in range(config.parts)],
)
# %% [markdown]
# The maps cover the whole frame, although a part may own a small piece of the face only. What shows
# of them is decided next.
#
# ## Assemble by depth
#
# Which part is seen? The nearest, at every pixel. Here are two cuts through the first face: one from
# ear to ear, one from top to bottom. Thin lines are the parts' depths, dots mark the part that is nearest.

# %% mystnb={"image": {"alt": "Depths of six parts along two cuts; the nearest ones together outline a face"}}
whole = network.assemble(decoded)
figures.depth_profile(part_depth[0], whole.depth[0], whole.visibility[0])
# %% [markdown]
# The object is the upper envelope of its parts (near is up). This is the {term}`assembly`. With $d_m(x)$
# the depths and $a_m(x)$ the albedos of the parts at pixel $x$, and $k$ the sharpness of the choice
# (`config.sharpness`, 600):
#
# $$
# \begin{aligned}
# v_m(x) &= \mathrm{onehot}\big(\arg\min_m d_m(x)\big) && \text{who is seen,} \\
# p_m(x) &= \mathrm{softmax}_m\big(-k\, d_m(x)\big) && \text{how surely,} \\
# d(x) &= \textstyle\sum_m p_m(x)\, d_m(x) && \text{how far away it is,} \\
# a(x) &= \textstyle\sum_m p_m(x)\, a_m(x) && \text{which colour it has.}
# \end{aligned}
# $$
#
# The same in code, against what the package does with these parts, and against what a fresh network does:

# %%
given = decoded.depth, decoded.albedo, decoded.support, decoded.shift, config.sharpness
blended = capsules.assemble(*given).albedo
nearness = (-config.sharpness * part_depth).softmax(dim=1)
of_means = (nearness[:, :, None] * part_albedo).sum(dim=1)
print("depth:  ", torch.allclose((nearness * part_depth).sum(dim=1), whole.depth))
print("albedo: ", torch.allclose(of_means, blended, atol=1e-6))
logits = fresh[0].layout(64)
surface, behind = torch.ones(64, 64), capsules.behind_nearest(logits) / config.sharpness
share = (-config.sharpness * (surface + behind)).softmax(dim=0)
print("layout: ", torch.allclose(share, logits.softmax(dim=0), atol=1e-3))
print("surface:", torch.allclose((share * (surface + behind)).sum(dim=0), surface, atol=1e-6))

# %% [markdown]
# Who is seen is a choice, which has no gradient; in training that of the softmax stands in for it, as above.
# Depth and colour are not chosen: the neighbours of the winner have a say, and so learn too. At the start of
# a run borders are wide, and the neighbours say much; at the end they are sharp. (In the former design the
# object had the winner's colour alone.)
#
# And where does the face end? The parts draw one more map together, the {term}`support`, which is positive
# on the face. Where it is not, the background is seen. A network for pictures that the face fills,
# `background = "none"`, has no support: all is surface there ([both ways](two-ways)).
#
# ```{admonition} The paper
# :class: paper
# Parts are assembled by their depth. The formulas above are its family's.
# ```
#
# ```{admonition} Ours
# :class: ours
# The support. Without it a part can only end by receding behind something, and then the end of the face is
# a matter of its depth. [Chapter 03](03_train) tells what goes wrong then.
# ```
#
# ## Shade
#
# From here on there is one object. Its {term}`normals <normal>` follow from its depth, its shade from the
# normals:

# %% mystnb={"image": {"alt": "Four faces from the front: albedo, normals, shading, and all put together"}}
poses, lights, pose, light = network.votes(view_code)
normal = network.normals(whole)
face = whole.visibility[:, -1:] < 0.5
shade = shading.lambert(normal, light)
rows = [
    [
        figures.picture(torch.where(face[i], whole.albedo[i], 1.0)),
        figures.normal_picture(normal[i] * face[i]),
        figures.picture(torch.where(face[i], shade[i].expand(3, -1, -1), 1.0)),
        figures.picture(torch.where(face[i], whole.albedo[i] * shade[i], 1.0)),
    ]
    for i in range(4)
]
figures.grid(rows, ["albedo", "normals", "shading", "lit"])
# %% [markdown]
# Whose light? Every part *votes* for the light and for the pose, and the object takes the mean of the
# {term}`votes <vote>`. Those for the pose are counted from their mean over all pictures, since no picture
# tells which way pose zero looks (the former design did not do so). {term}`Lambert's law` does the rest
# {cite:p}`basri2003lambertian`. With $a$ the albedo, $n$ the normal, $l$ the direction to the light, and
# $s_a$, $s_d$ its ambient and its diffuse strength:
#
# $$ I = a\,\big(s_a + s_d \max(0,\, n \cdot l)\big) . $$
#
# The same in code:

# %%
strengths, towards = light[:, :2, None, None], light[:, 2:, None, None]
cosine = (normal * towards).sum(dim=1, keepdim=True).clamp(min=0)
print("shading:", torch.allclose(strengths[:, :1] + strengths[:, 1:] * cosine, shade, atol=1e-6))

# %% [markdown]
# ## Pose and render
#
# So far the face looks straight ahead. Now it is turned to where the picture shows it, and drawn:

# %% mystnb={"image": {"alt": "Four rows: an image, its depth, the head as drawn, and over its background"}}
points = geometry.transform(network.surface(whole), pose)
pixels = geometry.points_to_pixels(points, config.size, network.fov)
fragments = rasterize(pixels, config.size, face[:, 0])
drawn = interpolate(fragments, network.shade(whole, normal, light))
out_image = network(images).image
rows = [
    [
        figures.picture(images[i]),
        figures.depth_picture(fragments.depth[i], fragments.coverage[i]),
        figures.picture(torch.where(fragments.coverage[i], drawn[i], 1.0)),
        figures.picture(out_image[i]),
    ]
    for i in range(4)
]
figures.grid(rows, ["image", "depth in the view", "drawn", "over background"])
# %% [markdown]
# The depth map is a mesh: a grid of points, two triangles to a cell. Lift it to space, turn it by the
# rotation $R$ about the point $c = (0, 0, 1)$, shift it by $t$, and project it to $S$ x $S$ pixels with
# the focal length $f$:
#
# $$
# \begin{aligned}
# p' &= R\,(p - c) + c + t, \\
# (u, v) &= \Big(f\,\frac{p'_x}{p'_z} + \frac{S}{2},\; f\,\frac{p'_y}{p'_z} + \frac{S}{2}\Big) .
# \end{aligned}
# $$
#
# (Each head turns about a pivot that the network learned, the same for all; poses are told about $c$ all the
# same.) In the cell above these are `geometry.transform` and `geometry.points_to_pixels`. Then, for every
# pixel, `rasterize` finds the triangle that is nearest there, and `interpolate` reads the colour at that
# place.
#
# ### A head has sides
#
# A depth map knows only what is seen from the front. Here is a head from above, the camera being below:
#
# ```{figure} _assets/closed.svg
# ---
# alt: >-
#   A head from above, dashed, and what a depth map knows of it, an arc: as wide as the head from the front,
#   narrower when both are turned, and as wide again with sides that go straight back
# class: dark-light
# width: 88%
# ---
# Left: from the front, the arc that a depth map knows is as wide as the head. Middle: turn both, and the
# arc is narrower. Right: with sides, it is as wide as the head again.
# ```
#
# From the front nothing is missing. But turn it, and the far side of the head is not there: what is drawn
# is narrower than the head in the picture. A network that must cover the head's outline finds a way out,
# and it is a wrong one. It turns the face too little, and bends it back too far.
#
# So heads are *closed*. The vertices just beyond the outline are moved straight back, to a learned
# back of the head: a coarse map of depths that all faces share. With $b(x)$ this back, where $x$ is not on
# the face,
#
# $$ z(x) \leftarrow \max\big(z(x),\, b(x)\big) . $$
#
# In code this is `igc.capsules.close`, the back is `IGCNet.back`, and the setting `closed` turns it off.
# Colours go on over the sides as those of the nearest part.
#
# ```{admonition} Ours
# :class: ours
# The closed head. [Chapter 03](03_train) tells what goes wrong without it.
# ```
#
# ### What is behind it
#
# The {term}`background` is guessed from the picture's border alone: a membrane stretched between its left and
# right edge, and free at the two others, one of which neck and shoulders come in by. It can follow a plain or
# a blurred background, and it cannot draw a face. This is ours too.
#
# ## From a grid to pixels, slowly
#
# The {term}`rasteriser` deserves a closer look, since all that is learned passes through it. Here is the
# first face, turned by 50 degrees and thinned to 16 x 16 vertices, on 16 x 16 pixels:

# %% mystnb={"image": {"alt": "A coarse mesh over pixels; the triangle that each pixel sees; its depth"}}
explained = network(images)
side_on = views.turn(network, explained, 50)[0]
mask = explained.parts.visibility[:, -1] < 0.5
raster_figures.triangles_to_pixels(
    *raster_figures.coarse_face(explained.depth[0], mask[0], side_on, network.canonical_fov), 16
)
# %% [markdown]
# A pixel belongs to the triangle that its centre lies in (blue: in one, red: in none). Where in the
# triangle it lies, three weights say, one for each corner. The depth and the colour there are the corners'
# with these weights, corrected for perspective, since it is 1/z that is linear in a picture. Weighted means
# have gradients; which triangle a pixel belongs to has none.
#
# A turned face folds over itself, and several triangles claim a pixel. The nearest must win: the
# {term}`z-buffer`. If whichever is painted last won instead, the far side of the face would show through
# the near one:

# %% mystnb={"image": {"alt": "A turned face; beside it, its far side painted over the near one"}}
points = geometry.transform(network.points(explained.depth[:1], explained.shift[:1]), side_on[None])
turned = geometry.points_to_pixels(points, config.size, network.fov)
raster_figures.nearest_wins(turned, mask[:1], explained.albedo[:1])
# %% [markdown]
# *The gradient of an outline.* A pixel's centre is inside the outline or it is not. Turn the face by one
# degree: of the pixels on the outline a few jump, most do not change, and none has a slope that learning
# could follow. Yet the outline is what tells a turn from a flatter face. Look at the lower row:

# %% mystnb={"image": {"alt": "A silhouette, three ways; below, its change: at pixel centres nearly lost"}}
raster_figures.outline_gradient(explained.depth[0], mask[0], side_on, network.fov)
# %% [markdown]
# Left, few pixels change. Right is the truth. In the middle a pixel that the outline crosses is blended by
# the area covered, after {cite:t}`laine2020modular`: the change is there, where it is in truth. This is
# {term}`outline blending`, and ours.
#
# Our rasteriser knows that its triangles come from a grid, which makes it fast on a processor; PyTorch3D's
# {cite:p}`ravi2020pytorch3d` takes any mesh. Where PyTorch3D is installed, both are shown here, with the
# difference of their depths, a million times enlarged.

# %% mystnb={"image": {"alt": "The same turned face, drawn by every rasteriser that is installed"}}
raster_figures.backends(turned, mask[:1], explained.albedo[:1])
# %% [markdown]
# ## Turn and relight
#
# That was the way down, from image to drawing. Now it pays. Every cause has its own numbers, so that each
# can be changed alone. Turn:

# %% mystnb={"image": {"alt": "Four images, and each face drawn from five sides, from left to right"}}
figures.turning(network, images, explained)
# %% [markdown]
# and light from the left, from above, from the right:

# %% mystnb={"image": {"alt": "Four images; each face lit from the left, above, the front and the right"}}
figures.relighting(network, images, explained)
# %% [markdown]
# Now you: turn the first face, move the light, pull its parts apart, and hide some of them. (The light
# goes with the face, as if you walked round it.)

# %%
views3d.face_view(network, explained, 0)
# %% [markdown]
# Or take the face along, as a file that other 3D programs open: whole, or one object a part.

# %% tags=["remove-output"]
export_face(network, explained, 0, folder / "face.obj")
export_face(network, explained, 0, folder / "parts.glb", parts=True)
# %% [markdown]
# ## Edit
#
# Each part has channels of its own, for shape and for albedo. So a part of one face can be given to
# another: replace its channels, and decode, assemble and draw again. Below, face A takes each part from
# face B, then only its shape, then only its albedo. In the last row all channels go from A to B in a
# straight line.

# %% mystnb={"image": {"alt": "A sheet: A with each part of B, only its shape, only its albedo; A to B"}}
editing_sheet(network, images, explained, 1, 2)
# %% [markdown]
# (Photographs aside, everything is lit from the left, where relief shows.) A part changes the face where
# it lies and little elsewhere. Its albedo brings colours and leaves the relief alone; its shape moves
# relief and outline and keeps the colours. Where two faces differ in tone a seam shows, since parts are
# fitted together by depth alone.
#
# What comes back is explained like any image. It can be turned, lit, exported, or edited once more:

# %% mystnb={"image": {"alt": "Face A with a part of B, drawn from five sides"}}
edited = exchange(network, explained, 1, 2, parts=0, cues="albedo")
figures.turning(network, images[1:2], edited)
# %% [markdown]
# Now you: which face gives, which part, its shape, its albedo or both, and how much of it. Where a kernel
# runs, any face can receive, and the edited face can be turned.

# %%
editor(network, images, explained, 1)

# %% tags=["remove-cell"]
measured = {
    "one_hot": float((whole.visibility.sum(dim=1) == 1).float().mean()),
    "channels_dealt_once": float((attention.sum(dim=0) == 1).float().mean()),
    "albedo_differs": float((of_means - blended).abs().max()),
    "surface_differs": float(((share * (surface + behind)).sum(dim=0) - surface).abs().max()),
    "depth_mean": float(whole.depth[face[:, 0]].mean()),
    "face_share": float(face.float().mean()),
    "error_ratio": float((out_image - images).abs().mean() / (explained.background - images).abs().mean()),
    "yaw_range": float(math.degrees(pose[:, 1].max() - pose[:, 1].min())),
}
(folder / "metrics.json").write_text(json.dumps(measured, indent=2) + "\n")

# %% [markdown]
# ## What we learned
#
# - A graphics capsule is depth, albedo and pose of one part; nothing in it is a code that no one can read.
# - One-hot attention gives every channel one owner; assembly by depth gives every pixel one owner, and
#   blends colours where two parts meet.
# - A head needs sides: an open depth map is too narrow when it turns.
# - Every step is a few lines of plain tensor code, and every step has a gradient, or a stand-in for one.
# - A part's channels are its own: give them to another face, and that face has the part.
#
# ## Exercises
#
# Each solution can be pasted into a cell at the end of this notebook.
#
# **1. Two parts at one pixel.** Their depths are 0.98 and 0.99. Who is seen, and how deep is the object
# for $k = 600$ and for $k = 60$? First on paper.
#
# ````{dropdown} Solution
# The first part is seen, whatever k is. The weights stand in the ratio $e^{0.01 k}$ to 1.
#
# ```python
# depths = torch.tensor([0.98, 0.99])
# for k in (60, 600):
#     weights = (-k * depths).softmax(dim=0)
#     print(k, weights, f"{(weights * depths).sum():.5f}")
# ```
#
# For k = 600 the weights are 0.9975 and 0.0025, and the depth is 0.98002: the nearest part's, to within a
# rounding. For k = 60 they are 0.646 and 0.354, and the depth is 0.98354: a surface that neither part
# has. Even weights give gradients to all, uneven ones a clear border. The network keeps its k: how sharp a
# border is follows from how far the parts lie apart in depth there.
# ````
#
# **2. All shapes, no colours.** Give face A the shape of every part of face B and keep its albedo. Do the
# albedo maps of A's parts change? Does the albedo of the whole face?
#
# ````{dropdown} Solution
# ```python
# shaped = exchange(network, explained, 1, 2, parts=range(config.parts), cues="shape")
# print("parts:", torch.equal(shaped.parts.albedo[0], explained.parts.albedo[1]))
# print("whole:", torch.equal(shaped.albedo[0], explained.albedo[1]))
# winners = [parts.visibility.argmax(dim=1) for parts in (shaped.parts, explained.parts)]
# print(f"pixels with another winner: {(winners[0][0] != winners[1][1]).float().mean():.1%}")
# ```
#
# The maps of the parts stay bit by bit the same: they are decoded from the albedo codes alone. So does the
# whole map: all parts depart together, so that the nearest part is the same one in every face. What differs
# is the outline, where face and background change places (and, in the present network, where the points of
# the map are: places belong to the shape).
# ````
#
# **3. How much narrower is an open head?** From above, take a head for an ellipse that reaches 1 to either
# side, and $b$ to the front and to the back. A depth map knows its front half. Turn both by $\varphi$. How
# wide is each?
#
# ````{dropdown} Solution
# The ellipse reaches $\sqrt{\cos^2\varphi + b^2 \sin^2\varphi}$ to either side. Of the front half one side
# reaches as far, but the other ends at the rim, at $\cos\varphi$.
#
# ```python
# for b in (0.5, 1.0):
#     for degrees in (0, 20, 45):
#         turn = math.radians(degrees)
#         reach = math.hypot(math.cos(turn), b * math.sin(turn))
#         print(f"b = {b}, {degrees:2d} degrees: {2 * reach:.2f} and {reach + math.cos(turn):.2f}")
# ```
#
# For b = 1 the head stays 2 wide whatever the turn, and the front half shrinks to 1.94 at 20 and to 1.71
# at 45 degrees. To cover the head with a front half alone one has to turn less, or to reach further back.
# ````
#
# ## Where to go on
#
# - [Training](03_train): where all these weights come from, without a single label.
# - [Architecture](architecture.md): which file holds which step; `igc/model.py` has them in this order.
# - [Glossary](glossary.md): every term, defined once.
