"""Starts a program of the image as a container runtime would, on a host of the lab.

The image's files can only be read; what is mounted over them can be written. The process has the
user and the capabilities that it is given, no way to more (no_new_privs), and the environment of
the image. Its process id is that of the child which the lab's host started.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ENTER = """
root=$1 user=$2 group=$3 groups=$4 capabilities=$5 folder=$6
shift 6
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
while [ "$1" != -- ]; do
    mkdir -p "$root$2"
    mount --bind "$1" "$root$2"
    shift 2
done
shift
mount -o remount,bind,ro "$root"
cd /
exec chroot "$root" setpriv --reuid "$user" --regid "$group" --groups "$groups" --no-new-privs \
    --bounding-set "$capabilities" --inh-caps=-all -- env --chdir "$folder" "$@"
"""


@dataclass(frozen=True, slots=True)
class Image:
    """An image's files and settings.

    Attributes:
        root: the folder with the files.
        settings: as the OCI image format has them.
    """

    root: Path
    settings: Mapping[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that it sets."""
        return dict(each.split("=", 1) for each in self.settings["Env"])

    @property
    def user(self) -> tuple[int, int]:
        """The user and group that it names, which are numbers."""
        user, group = self.settings["User"].split(":")
        return int(user), int(group)


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """How a program of the image is started.

    Attributes:
        image: whose files it sees.
        arguments: for the entrypoint.
        entrypoint: None takes the image's.
        folder: the working directory.
        user: and group; None takes the image's.
        groups: beside that one.
        capabilities: the only ones, as setpriv(1) names them.
        mounts: by path inside, the folder or file outside.
        environment: beside the image's.
    """

    image: Image
    arguments: Sequence[str]
    entrypoint: Sequence[str] | None = None
    folder: str = "/"
    user: tuple[int, int] | None = None
    groups: Sequence[int] = ()
    capabilities: Sequence[str] = ()
    mounts: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def argv(self) -> list[str]:
        """What to start, as root."""
        user, group = self.image.user if self.user is None else self.user
        only = ",".join(["-all", *(f"+{name}" for name in self.capabilities)])
        groups = ",".join(map(str, (group, *self.groups)))
        given = self.entrypoint
        entrypoint = self.image.settings["Entrypoint"] if given is None else given
        mounts = [
            word
            for inside, outside in self.mounts.items()
            # /var/run is a link to /run, which from outside is our own.
            for word in (outside, re.sub(r"^/var/run/", "/run/", inside))
        ]
        return [
            *("unshare", "--mount", "--propagation", "private", "--", "sh", "-euc", ENTER, "sh"),
            *(str(self.image.root), str(user), str(group), groups, only, self.folder),
            *(*map(str, mounts), "--", *entrypoint, *self.arguments),
        ]

    @property
    def env(self) -> dict[str, str]:
        """Its whole environment."""
        return {**self.image.environment, **self.environment}
