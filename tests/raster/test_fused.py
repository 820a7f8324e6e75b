"""The fused z-buffer against the plain one. The kernel runs in Triton's interpreter, on the CPU, in a process
of its own, since Triton reads TRITON_INTERPRET when it is imported; without Triton those tests are skipped.
The interpreter takes one program after the other: most tests give it few programs of many cells."""

import importlib.util
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from igc.raster import fused, grid
from tests.raster.conftest import posed_grid

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
TRITON = importlib.util.find_spec("triton") is not None
needs_triton = pytest.mark.skipif(not TRITON, reason="Triton is not installed")
interpreted = pytest.mark.skipif(not (TRITON and INTERPRETED), reason="runs in Triton's interpreter")


def same(vertices, size, mask=None, diagonal="rising"):
    """Checks that both paths draw the same triangles; returns how many pixels are covered."""
    plain = grid.visible_triangles(vertices, size, mask, diagonal)
    drawn = fused.visible_triangles(vertices, size, mask, diagonal)
    assert drawn.dtype == plain.dtype and drawn.shape == plain.shape
    assert torch.equal(drawn, plain), f"{int((drawn != plain).sum())} of {plain.numel()} pixels differ"
    return int((plain >= 0).sum())


@pytest.fixture(autouse=True)
def many_cells(monkeypatch):
    monkeypatch.setattr(fused, "BLOCK", 1024)


@pytest.mark.skipif(INTERPRETED, reason="this is the process of its own")
@needs_triton
def test_in_triton_s_interpreter():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "interpreted", __file__]
    result = subprocess.run(
        command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True,
        cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    assert re.search(r"\d\d passed", result.stdout) and "skipped" not in result.stdout, result.stdout[-500:]


@interpreted
@pytest.mark.parametrize("yaw", [0, 20, -45, 65, -80, 80, 110, 180])
@pytest.mark.parametrize(("size", "image"), [(2, 9), (12, 12), (24, 24), (24, 11), (9, 30)])
def test_interpreted_poses_and_sizes(yaw, size, image):
    vertices = posed_grid(size, image, yaw, pitch=7, roll=-11, batch=2).float()
    assert same(vertices, image) > 0


@interpreted
@pytest.mark.parametrize("diagonal", grid.DIAGONALS)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5])
def test_interpreted_masks_and_diagonals(diagonal, share):
    vertices = posed_grid(16, 20, yaw=40, pitch=-15, batch=3).float()
    mask = torch.rand(3, 16, 16) < share
    assert (same(vertices, 20, mask, diagonal) > 0) == bool(mask.any())
    assert same(vertices, 20, None, diagonal) > 0


@interpreted
@pytest.mark.parametrize("shift", [(0.3, -0.2, 0.0), (-0.5, 0.4, -0.3), (5.0, 0.0, 0.0), (0.0, 0.0, -0.6)])
def test_interpreted_vertices_outside_of_the_image(shift):
    vertices = posed_grid(16, 16, yaw=30, shift=shift, batch=2).float()
    assert (same(vertices, 16) > 0) == (shift[0] < 1)


@interpreted
@pytest.mark.parametrize("step", [0.5, 0.25, 0.01])
def test_interpreted_folded_surfaces_with_centres_on_edges_and_equal_depths(step):
    """Vertices thrown about on a coarse lattice: long triangles, folds, points, ties in depth."""
    vertices = torch.rand(2, 9, 14, 3) * torch.tensor([12.0, 13.0, 2.0]) - torch.tensor([2.0, 3.0, -0.5])
    assert same((vertices / step).round() * step + torch.tensor([0.0, 0.0, 1.0]), 9) > 100


@interpreted
def test_interpreted_one_cell_over_a_large_image_and_a_grid_that_is_not_dense():
    huge = torch.tensor(
        [[[-900.0, -800.0, 1.0], [4000.0, -3.0, 2.0]], [[-5.0, 700.0, 3.0], [90.0, 95.0, 1.0]]]
    )
    assert same(huge[None], 14) > 100
    vertices = posed_grid(16, 16, yaw=30, batch=2).float()
    assert same(vertices.movedim(-1, 1).contiguous().movedim(1, -1), 16) > 50
    assert same(vertices[:, ::2, 1::2], 16) > 50


@interpreted
def test_interpreted_first_use_agrees_with_programs_of_the_real_size(monkeypatch):
    monkeypatch.setattr(fused, "BLOCK", 32)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert fused._agrees.__wrapped__(torch.device("cpu"))


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from igc.raster import zbuffer
kernel = zbuffer.draw_cells
types = dict.fromkeys(kernel.arg_names, "i32")
types |= {"places": "*fp32", "vertices": "*fp32", "drawn": "*u8", "nearest": "*i64", "BLOCK": "constexpr"}
source = ASTSource(fn=kernel, signature=types, constexprs={"BLOCK": 32})
for fusion in (False, True):
    options = {"enable_fp_fusion": fusion, "num_warps": 1}
    print("-----", triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm["ptx"])
"""


@needs_triton
@pytest.mark.skipif(INTERPRETED, reason="the interpreter does not compile")
def test_compiled_for_a_gpu_nothing_is_contracted():
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    result = subprocess.run(
        [sys.executable, "-c", COMPILE], capture_output=True, text=True, env=environment,
        cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    _, plain, contracted = result.stdout.split("-----")
    assert "fma" in contracted, "what is looked for below would be seen"
    assert "fma" not in plain and "approx" not in plain and "div.full" not in plain
    assert len(re.findall(r"div\.rn(?:\.ftz)?\.f32", plain)) == 8 and "min.s64" in plain


def test_vertices_in_memory_of_the_cpu_take_the_plain_path():
    assert not fused.usable(posed_grid(4, 4).float())


@pytest.mark.parametrize(
    ("draw", "word"),
    [
        (lambda *a: (_ for _ in ()).throw(RuntimeError("no compiler")), "no compiler"),
        (lambda vertices, size: grid.visible_triangles(vertices, size).clamp(min=0), "other triangles"),
    ],
)
def test_a_kernel_that_fails_or_differs_is_not_used(monkeypatch, draw, word):
    monkeypatch.setattr(fused, "visible_triangles", draw)
    with pytest.warns(UserWarning, match=word):
        assert not fused._agrees.__wrapped__(torch.device("cpu"))
