"""`Tree`: the files below a folder or within zip archives, read safely and never written.

A zip archive that lies in the folder is read as if it had been unpacked where it lies. Names are relative,
with forward slashes. Nothing is ever unpacked: a member is read into memory or not at all, so that its name
can lead nowhere.
"""

import difflib
import os
import re
import stat
import zipfile
from pathlib import Path, PurePosixPath

from igc.data.images import EXTENSIONS, shown
from igc.errors import UserError

MAX_BYTES = 256 * 2**20
"""A file, or an unpacked member, that is larger is refused before it is read."""


class Tree:
    """The files of `root`, a folder or a zip archive.

    `names`: all names, sorted. `skipped`: (name, one sentence) for whatever must not be used: links, names
    that leave the archive, archives that cannot be read. Hidden files are passed over. `archives`: the paths
    of the zip archives in use.
    Raises UserError if `root` is neither.
    """

    def __init__(self, root):
        self.root = Path(root).expanduser()
        self.skipped, self.archives, self._members, self._open = [], [], {}, {}
        self._others = None  # files that are no images, by their last name; listed when first asked for
        names = []
        if self.root.is_dir():
            names = list(self._walk())
        elif self.root.is_file() and zipfile.is_zipfile(self.root):
            self._add_archive(self.root, "", set())
        else:
            raise UserError(f"{shown(self.root)} is neither a folder nor a zip archive: check its name.")
        plain = set(names)
        for name in [n for n in names if n.lower().endswith(".zip")]:
            self._add_archive(self.root / name, _inside(name), plain)
        names = [n for n in names if not n.lower().endswith(".zip")]
        self.names = sorted({*names, *self._members})

    def read(self, name):
        """The bytes of a file. UserError with one sentence if it cannot be read or is too large."""
        try:
            if name in self._members:
                number, member = self._members[name]
                _check_size(self._archive(number).getinfo(member).file_size)
                return self._archive(number).read(member)
            path = self.root / name
            status = os.stat(path)
            if not stat.S_ISREG(status.st_mode):
                raise UserError("it is not an ordinary file")
            _check_size(status.st_size)
            return path.read_bytes()
        except UserError as error:
            raise UserError(f"The file {shown(name)} cannot be used: {error}.") from error
        except PermissionError as error:
            raise UserError(
                f"The file {shown(name)} cannot be read: it is not permitted, so change its permissions."
            ) from error
        except Exception as error:  # a damaged archive raises zlib's, zipfile's and struct's errors
            raise UserError(
                f"The file {shown(name)} cannot be read ({type(error).__name__}): replace or remove it."
            ) from error

    def find(self, filename, where):
        """The name of the file (no image) called `filename`, the shallowest if there are several.

        UserError that says `where` to get it if it is missing, and which file may be it under another name.
        """
        if self._others is None:
            self._others = {}
            for name in sorted(self.names, key=lambda name: -name.count("/")):
                if not name.lower().endswith(EXTENSIONS):
                    self._others[PurePosixPath(name).name] = name
        if filename in self._others:
            return self._others[filename]
        names = {name.lower(): name for name in self._others if name.endswith(filename[-4:])}
        near = difflib.get_close_matches(filename.lower(), sorted(names), 1, 0.75)
        hint = f" (is {shown(names[near[0]])} it, under another name?)" if near else ""
        raise UserError(f"{filename} is missing below {shown(self.root)}{hint}: {where}.")

    def __getstate__(self):
        return self.__dict__ | {"_open": {}}

    def _walk(self):
        """Names of the plain files below the folder; links that leave it are reported."""
        top = os.path.realpath(self.root)
        for root, folders, files in os.walk(self.root, onerror=self._closed_folder):
            for name in [f for f in folders if os.path.islink(os.path.join(root, f))]:
                self._skip(self._relative(root, name), "is a link to a folder: give that folder instead")
            folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__MACOSX")
            for file in files:
                path, name = os.path.join(root, file), self._relative(root, file)
                if file.startswith("."):
                    continue
                target = os.path.realpath(path) if os.path.islink(path) else None
                if target is not None and os.path.commonpath((target, top)) != top:
                    self._skip(name, "is a link that leaves the folder: put the file itself there")
                else:
                    yield name

    def _relative(self, root, file):
        return Path(root, file).relative_to(self.root).as_posix()

    def _skip(self, name, reason):
        self.skipped.append((name, f"{shown(name)} {reason}."))

    def _closed_folder(self, error):
        self._skip(os.path.relpath(error.filename, self.root), "cannot be opened: change its permissions")

    def _add_archive(self, path, prefix, taken):
        """Lists an archive's members as if unpacked below `prefix`, but for those in `taken`, which are."""
        self.archives.append(path)
        number = len(self.archives) - 1
        try:
            members = self._archive(number).infolist()
        except Exception:  # NotImplementedError, BadZipFile, OSError, struct.error, ...
            self.archives.pop()
            if not prefix:
                raise UserError(f"The archive {shown(path)} cannot be read: fetch it again.") from None
            self._skip(prefix, "(a zip archive) cannot be read: fetch it again")
            return
        folder, stem = PurePosixPath(prefix).parent, PurePosixPath(prefix).name
        for member in members:
            name, parts = member.filename, PurePosixPath(member.filename).parts
            if member.is_dir() or not parts or parts[0] == "__MACOSX" or parts[-1].startswith("."):
                continue
            fault = _fault(member)
            if fault:
                self._skip(f"{path.name}:{name}", fault)
                continue
            full = name if not prefix else (folder if parts[0] == stem else folder / stem) / name
            if str(full) not in taken:
                self._members[str(full)] = (number, name)

    def _archive(self, number):
        """The open archive; every process opens its own, as one file position cannot be shared."""
        key = os.getpid(), number
        if key not in self._open:
            self._open[key] = zipfile.ZipFile(self.archives[number])
        return self._open[key]


def _inside(name):
    """Where the members of an archive belong: its name without the ending."""
    return re.sub(r"\.zip$", "", name, flags=re.IGNORECASE)


def _fault(member):
    """Why a member of a zip archive must not be used, or None."""
    name = member.filename
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
        return "has an absolute name: pack the archive again with relative ones"
    if ".." in re.split(r"[/\\]", name):
        return "has a name that leaves the archive: pack it again without '..'"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a link within an archive: pack the file itself"
    if member.flag_bits & 1:
        return "is encrypted: unpack the archive first"
    return None


def _check_size(size):
    if size > MAX_BYTES:
        raise UserError(f"it has {size // 2**20} MB, more than the {MAX_BYTES // 2**20} that are read")
