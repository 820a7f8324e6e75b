"""Cropping a face set once: `prepare` writes the crops, a manifest and a report; `check` reads them again.

A prepared set is a folder::

    card.json         what it is; written last, so a set with a card is whole
    manifest.jsonl    a line an image: file, source, its hash, box, split and what truth there is
    report.txt        a line for everything that was left out, with the reason
    images/00012/000006123.png ...       or, as shards, shards/train-00012.tar ...

The work is cut into chunks by the sources' order; a chunk counts when its part of the manifest stands in
`parts/`, which is written after its images. So an interrupted run goes on where it was when it is started
again, and ends with the same bytes. The source is only ever read.
"""

import hashlib
import io
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from igc.data.faceset import SPLITS
from igc.data.images import shown
from igc.data.prepared import FORMAT, check, read_card, read_json
from igc.errors import UserError
from igc.files import make_folder, write_text, writing

__all__ = ["PER_SHARD", "check", "prepare"]

CHUNK = 250
"""Images of a chunk, as files."""
PER_SHARD = 2000
"""Images of a shard."""


def prepare(dataset, out, shards=False, per_shard=PER_SHARD, workers=None):
    """Writes the crops of a `faceset.FaceSet` (made with split="all") to the folder `out`; returns the card.

    Images keep the set's size, as PNG files or in `shards` of up to `per_shard` images of one split each.
    `workers`: threads, by default one a core. What cannot be used is left out and reported. UserError if
    `out` holds something else or cannot be written.
    """
    if dataset.split != "all":
        raise UserError(f"split={dataset.split!r} cannot be prepared alone: open the set with split='all'.")
    plan = _plan(dataset, shards, per_shard)
    out = _output(out, dataset, plan)
    if (out / "card.json").exists():
        card = read_card(out)
        _clean(out)
        return card
    chunks = _chunks(dataset, plan["per_chunk"])
    _write(dataset, out, chunks, plan, workers)
    with writing(out):
        return _finish(dataset, out, chunks, plan)


def _write(dataset, out, chunks, plan, workers):
    """Writes the images of the chunks that have no part of the manifest yet, and that part."""
    shards = plan["kind"] == "shards"
    parts = make_folder(out / "parts")
    make_folder(out / ("shards" if shards else "images"))
    done = {path.name for path in parts.iterdir()}
    ready = sum(len(chunk[2]) for chunk in chunks if _part(chunk) in done)
    bar = tqdm(total=len(dataset), initial=ready, unit="image", desc=f"preparing {plan['set']}", disable=None)

    def work(chunk):
        with writing(out):
            lines = (_write_shard if shards else _write_files)(dataset, out, chunk, bar)
            write_text(parts / _part(chunk), "".join(json.dumps(line) + "\n" for line in lines))

    pool = ThreadPoolExecutor(workers or os.cpu_count() or 1)
    try:
        for _ in pool.map(work, [chunk for chunk in chunks if _part(chunk) not in done]):
            pass
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        bar.close()


def _plan(dataset, shards, per_shard):
    """The settings that the result depends on, with a hash of the list of images."""
    digest = hashlib.sha256()
    for name, code in zip(dataset.names, dataset.codes, strict=True):
        digest.update(os.fsencode(name) + b"\0%d\0" % code)
    return {
        "format": FORMAT,
        "kind": "shards" if shards else "folder",
        "set": dataset.LABEL,
        "size": dataset.size,
        "settings": dataset.settings(),
        "per_chunk": per_shard if shards else CHUNK,
        "official_split": dataset.OFFICIAL,
        "found": len(dataset),
        "list_sha256": digest.hexdigest(),
    }


def _output(out, dataset, plan):
    """The folder to write to: new, empty, or one where this very preparation was begun."""
    if dataset.root is not None and _within(out, dataset.root):
        raise UserError(
            f"{shown(out)} lies within the source, which is never written to: name another folder."
        )
    folder = make_folder(out)
    begun = folder / "plan.json"
    if begun.exists():
        if read_json(begun, "name another folder") != plan:
            raise UserError(f"{shown(out)} was begun with other settings or images: name another folder.")
    elif any(path.name != "plan.json.part" for path in folder.iterdir()):
        raise UserError(f"{shown(out)} holds other files: name an empty folder.")
    with writing(folder):
        write_text(begun, json.dumps(plan, indent=2) + "\n")
    return folder


def _within(path, folder):
    path, folder = (Path(p).expanduser().resolve() for p in (path, folder))
    return folder.is_dir() and path.is_relative_to(folder)


def _chunks(dataset, length):
    """[(number, split's code, positions)]: the images in order, split by split, cut into chunks."""
    codes, out = np.frombuffer(dataset.codes, dtype=np.uint8), []
    for code in range(len(SPLITS)):
        places = np.flatnonzero(codes == code)
        for first in range(0, len(places), length):
            out.append((len(out), code, places[first : first + length]))
    return out


def _part(chunk):
    return f"{chunk[0]:06d}.jsonl"


def _lines(dataset, chunk, bar):
    """Yields (line of the manifest, PNG bytes), or (line with the reason, None), for a chunk's images."""
    _, code, places = chunk
    for place in places.tolist():
        name = dataset.names[place]
        line = {"number": place, "source": name}
        try:
            data = dataset.read(name)
            image, box, dimensions, truth = dataset.face(name, data)
        except UserError as error:
            yield line | {"skipped": str(error)}, None
        else:
            file = io.BytesIO()
            image.save(file, "PNG")
            line |= {
                "sha256": hashlib.sha256(data).hexdigest(),
                "box": list(box),
                "picture": list(dimensions),
            }
            line |= {"split": SPLITS[code], "truth": {key: _plain(value) for key, value in truth.items()}}
            yield line | {"png_sha256": hashlib.sha256(file.getvalue()).hexdigest()}, file.getvalue()
        bar.update()


def _plain(value):
    """Truth as JSON holds it: floating-point numbers at six digits, None for NaN."""
    array = np.asarray(value)
    if array.dtype.kind != "f":
        return array.tolist()
    flat = [None if np.isnan(x) else float(f"{x:.6g}") for x in array.astype(float).ravel()]
    return (
        flat
        if array.ndim < 2
        else [flat[i : i + array.shape[1]] for i in range(0, len(flat), array.shape[1])]
    )


def _write_files(dataset, out, chunk, bar):
    folder = out / "images" / f"{chunk[0]:05d}"
    folder.mkdir(exist_ok=True)
    lines = []
    for line, png in _lines(dataset, chunk, bar):
        if png is not None:
            line["file"] = f"images/{folder.name}/{line['number']:09d}.png"
            (out / line["file"]).write_bytes(png)
        lines.append(line)
    return lines


def _write_shard(dataset, out, chunk, bar):
    """One tar file of <number>.json and <number>.png, through the webdataset library."""
    import tarfile

    import webdataset

    name = f"{SPLITS[chunk[1]]}-{chunk[0]:05d}.tar"
    path, lines = out / "shards" / name, {}
    with open(path.with_name(name + ".part"), "wb") as file:
        with webdataset.TarWriter(file, encoder=False, mtime=0, user="", group="", compress=False) as tar:
            for line, png in _lines(dataset, chunk, bar):
                key = f"{line['number']:09d}"
                lines[key] = line
                if png is not None:
                    tar.write({"__key__": key, "json": json.dumps(line).encode(), "png": png})
    with tarfile.open(path.with_name(name + ".part")) as tar:
        for member in tar:
            if member.name.endswith(".png"):
                where = {"shard": f"shards/{name}", "offset": member.offset_data, "length": member.size}
                lines[member.name[:-4]].update(where)
    os.replace(path.with_name(name + ".part"), path)
    return list(lines.values())


def _finish(dataset, out, chunks, plan):
    """Joins the parts, writes the card, and removes what only the work needed."""
    digest, used, skipped = _join(dataset, out, chunks)
    counts, files = dict.fromkeys(SPLITS, 0), []
    for (number, code, _), images in zip(chunks, used, strict=True):
        counts[SPLITS[code]] += images
        if plan["kind"] == "shards":
            path = f"shards/{SPLITS[code]}-{number:05d}.tar"
            files.append({"file": path, "images": images, "bytes": (out / path).stat().st_size})
    card = {key: value for key, value in plan.items() if key not in ("found", "list_sha256")}
    card |= {"images": sum(counts.values()), "skipped": skipped, "splits": counts}
    card |= {"manifest_sha256": digest} | ({"shards": files} if files else {})
    write_text(out / "card.json", json.dumps(card, indent=2) + "\n")
    _clean(out)
    return card


def _join(dataset, out, chunks):
    """Joins the parts to manifest and report; (the manifest's SHA-256, images a chunk, lines reported)."""
    digest, used, skipped = hashlib.sha256(), [], len(dataset.skipped)
    paths = {name: out / name for name in ("manifest.jsonl", "report.txt")}
    with (
        open(str(paths["manifest.jsonl"]) + ".part", "w", encoding="utf-8") as manifest,
        open(str(paths["report.txt"]) + ".part", "w", encoding="utf-8") as report,
    ):
        report.writelines(reason + "\n" for _, reason in dataset.skipped)
        for chunk in chunks:
            used.append(0)
            for text, line in _read_part(out / "parts" / _part(chunk)):
                if "skipped" in line:
                    report.write(line["skipped"] + "\n")
                    skipped += 1
                else:
                    manifest.write(text)
                    digest.update(text.encode())
                    used[-1] += 1
    for path in paths.values():
        os.replace(str(path) + ".part", path)
    return digest.hexdigest(), used, skipped


def _read_part(path):
    """[(text, what it says)] for the lines of a part of the manifest. UserError if it is damaged."""
    try:
        with open(path, encoding="utf-8") as part:
            return [(text, json.loads(text)) for text in part]
    except (OSError, ValueError) as error:
        raise UserError(f"{shown(path)} is damaged: remove it, then run the same command again.") from error


def _clean(out):
    shutil.rmtree(out / "parts", ignore_errors=True)
