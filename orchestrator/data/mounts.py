"""On what kind of file system a folder lies: whether reading it goes over a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

#: Where Linux tells what is mounted (proc_pid_mountinfo(5)).
_MOUNTS = Path("/proc/self/mountinfo")

#: Types that are served by another machine, and beginnings of such types.
_REMOTE = {
    *("9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4"),
    *("orangefs", "pvfs2", "smb3", "smbfs", "virtiofs"),
}
#: What FUSE serves that is of this machine all the same.
_LOCAL_FUSE = {"fuse.fuse-overlayfs", "fuse.mergerfs", "fuseblk"}


def remote_type(folder: Path, *, mounts: Path = _MOUNTS) -> str | None:
    """Return the type of the file system that a folder lies on, if that goes over a network.

    Args:
        folder: The folder.
        mounts: The list of what is mounted; nothing is known without it.
    """
    place = folder.resolve()
    found = {point: kind for point, kind in _mounted(mounts) if place.is_relative_to(point)}
    if not found:
        return None
    kind = found[max(found, key=lambda point: len(point.parts))]
    by_fuse = kind.startswith("fuse.") and kind not in _LOCAL_FUSE
    return kind if kind in _REMOTE or by_fuse else None


def _mounted(mounts: Path) -> Iterator[tuple[Path, str]]:
    """Yield where each file system is mounted and its type; one over another comes later."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        before, _, after = line.partition(" - ")
        # Spaces and their like are written as octal numbers.
        point = before.split()[4].encode().decode("unicode_escape")
        yield Path(point), after.split()[0]
