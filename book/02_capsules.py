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
# # Graphics capsules
#
# **How does one write down a face so that a part of it can be taken out, turned, lit and put back?** As a
# few *graphics capsules*: each holds the depth, the albedo and the pose of one part (the paper, section 3).
# This chapter goes through the network one step at a time, with a picture after every step:
#
# encode → decompose → decode → assemble → shade → pose → render.

# %% tags=["parameters"]
data = "synthetic"  # or a folder of face images
seed = 0
out = "build/out/02_capsules"
model = "synthetic-64"  # a shipped model, or a run's folder such as runs/03_train

# %%
from igc.chapter import CapsuleParameters, start

folder = start(globals(), CapsuleParameters)

# %%
import json
import math

import torch

from igc import IGCNet, figures, geometry, raster_figures, shading, views, views3d
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
# An image goes in, and three vectors of the same length come out: an embedding of *shape*, one of *albedo*,
# and one of the *view*, that is, of pose and light.

# %% tags=["nbval-check-output"]
torch.set_grad_enabled(False)
features, shape, albedo, view = network.encode(images)
print("images", tuple(images.shape), "→ shape, albedo and view embeddings", tuple(shape.shape))

# %% [markdown]
# ## Decompose
#
# The *Graphics Decomposition Module* deals the channels of these vectors out to the parts. Every channel
# belongs to exactly one part (*one-hot attention*), and shape and albedo are dealt out the same way: that
# is what makes a part the same thing in both. Rows are parts, columns are channels:

# %%
attention = network.decomposition.attention()
figures.attention_map(attention)
# %% [markdown]
# ## Decode
#
# From its own channels alone each part draws two maps as seen from the front: a depth, and an albedo. They
# cover the whole frame. What shows of them is decided next.

# %%
shape_code, albedo_code, view_code = (network.decomposition(e) for e in (shape, albedo, view))
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
# ## Assemble by depth
#
# Which part is seen? The nearest, at every pixel. And where does the face end? The parts draw one map
# together, the *support*, which is positive on the face; where it is not, the background is seen. (The
# support is ours.) Behind the picture is one line of mathematics. On the face, with $d_m(x)$ the depths:
#
# $$
# \begin{aligned}
# v_m(x) &= \mathrm{onehot}\big(\arg\min_m d_m(x)\big), \\
# d(x) &= \textstyle\sum_m \mathrm{softmax}_m\big(-k\, d_m(x)\big)\, d_m(x), \\
# a(x) &= \textstyle\sum_m v_m(x)\, a_m(x) .
# \end{aligned}
# $$
#
# The one-hot choice has no gradient; in training the gradient of the softmax stands in for it. A row
# through the middle of the first face, seen from above: the parts' depths, and the object's, which is their
# lower envelope.

# %%
whole = network.assemble(decoded)
figures.depth_profile(part_depth[0], whole.depth[0], whole.visibility[0])
# %% [markdown]
# ## Shade
#
# The normals follow from the depth. Every part *votes* for the light and the pose; the object takes the
# mean. Lambert's law lights the albedo $a$ with an ambient and a diffuse weight and the direction $l$ to
# the light: $I = a\,\big(s_a + s_d \max(0, n \cdot l)\big)$.

# %%
poses, lights, pose, light = network.votes(view_code)
normal = geometry.depth_to_normals(whole.depth, network.fov)
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
# ## Pose and render
#
# The depth map is a mesh: a grid of points, two triangles to a cell. Lift it to space, turn it, project it,
# and for every pixel of the picture find the triangle that is nearest there. Colours are read off at that
# place.

# %%
points = geometry.transform(geometry.depth_to_points(whole.depth, network.fov), pose)
pixels = geometry.points_to_pixels(points, config.size, network.fov)
fragments = rasterize(pixels, config.size, face[:, 0])
drawn = interpolate(fragments, whole.albedo * shade)
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
figures.grid(rows, ["image", "depth in the view", "drawn", "over the background"])
# %% [markdown]
# What lies behind the face is guessed from the picture's border alone: a membrane stretched over the frame.
# It can follow a plain or a blurred background, and it cannot draw a face. (The paper does not say how it
# treats backgrounds; this is ours.)
#
# ## From a grid to pixels, slowly
#
# The same with a face thinned to 16 x 16 vertices, on 16 x 16 pixels. A pixel belongs to the triangle that
# its centre lies in (blue: in one, red: in none); where in it, three weights say, one a corner; and the
# depth and the colour there are the corners' with these weights, corrected for perspective, since it is
# 1/z that is linear in a picture.

# %%
explained = network(images)
side_on = views.turn(network, explained, 50)[0]
mask = explained.parts.visibility[:, -1] < 0.5
raster_figures.triangles_to_pixels(
    *raster_figures.coarse_face(explained.depth[0], mask[0], side_on, network.fov), 16
)
# %% [markdown]
# A turned face folds over itself, and several triangles claim a pixel. The nearest must win. If whichever is
# painted last won instead, the far side of the face would show through the near one:

# %%
points = geometry.transform(geometry.depth_to_points(explained.depth[:1], network.fov), side_on[None])
turned = geometry.points_to_pixels(points, config.size, network.fov)
raster_figures.nearest_wins(turned, mask[:1], explained.albedo[:1])
# %% [markdown]
# *The gradient of an outline.* Pixel centres are inside or not. Turn the face by one degree: of the pixels
# on the outline a few jump, most do not change, and none has a slope that learning could follow. Yet
# outlines are what tells a turn from a flatter face. If a pixel that the outline crosses is blended by the
# area covered (after Laine et al. 2020), the change is there, where it is in truth:

# %%
raster_figures.outline_gradient(explained.depth[0], mask[0], side_on, network.fov)
# %% [markdown]
# Our rasteriser knows that its triangles come from a grid; PyTorch3D's takes any mesh. Where PyTorch3D is
# installed both are shown here. They agree to a few millionths of the depth.

# %%
raster_figures.backends(turned, mask[:1], explained.albedo[:1])
# %% [markdown]
# ## Turn and relight
#
# Since every cause has its own number, each can be changed alone. Turn:

# %%
figures.turning(network, images, explained)
# %% [markdown]
# and light from the left, from above, from the right:

# %%
figures.relighting(network, images, explained)
# %% [markdown]
# Now you: turn the first face, move the light, pull its parts apart, and hide some of them. (The light goes
# with the face, as if you walked round it.)

# %%
views3d.face_view(network, explained, 0)
# %% [markdown]
# Or take the face along, as a file that other 3D programs open: whole, or one object a part.

# %%
export_face(network, explained, 0, folder / "face.obj")
export_face(network, explained, 0, folder / "parts.glb", parts=True)
# %% [markdown]
# ## Edit
#
# Each part has channels of its own, for shape and for albedo. So a part of one face can be given to another:
# replace its channels, and decode, assemble and draw again. Face A takes each part from face B, then only
# its shape, then only its albedo. In the last row all channels go from A to B in a straight line.
# Photographs aside, everything is lit from the left.

# %%
editing_sheet(network, images, explained, 1, 2)
# %% [markdown]
# A part changes where it lies and little elsewhere: its albedo brings colours and leaves the relief alone,
# its shape moves relief and outline and keeps the colours. Where two faces differ in tone a seam shows, since
# parts are fitted together by depth alone; and on the way from A to B every step is a face. What comes back
# is explained like any photograph. It can be turned, lit, exported, or edited once more:

# %%
edited = exchange(network, explained, 1, 2, parts=0, cues="albedo")
figures.turning(network, images[1:2], edited)
# %% [markdown]
# Now you: which face gives, which part, its shape, its albedo or both, and how much of it. Where a kernel
# runs, any face can receive, and the edited face can be turned.

# %%
editor(network, images, explained, 1)

# %%
measured = {
    "one_hot": float((whole.visibility.sum(dim=1) == 1).float().mean()),
    "channels_dealt_once": float((attention.sum(dim=0) == 1).float().mean()),
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
# - One-hot attention gives every channel one owner; assembly by depth gives every pixel one owner.
# - A part's channels are its own: give them to another face, and that face has the part.
# - Every step is a few lines of plain tensor code, and every step has a gradient, or a stand-in for one.
