"""Our programs as the systemd units of a machine start them, where no systemd runs.

A machine has files of its own below one folder: what `exabgp-metallb install-units --root` writes,
users and folders made of it by systemd's own helpers, settings, credentials, state. The program is
an installation in /opt/exabgp-metallb, as in docs/install-systemd.md; its modules are those of this
checkout. A unit's commands run with the words, environment, user, groups, capabilities, umask and
folders of its file, its files in their places, under the machine's own host name; they tell
systemd that they are ready, which here the test hears. tests/units has the same units under a real
systemd, and with it the sandbox and the restarts.
"""

import re
import shlex
import shutil
import socket
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from graphlib import TopologicalSorter
from pathlib import Path

from exabgp_metallb.programs.units import Units
from tests.integration.lab.daemon import Daemon
from tests.integration.lab.network import Host, command, tail
from tests.integration.lab.waiting import wait_for
from tests.system.agents import Agents
from tests.system.unit_file import UnitFile, settings

READY_SECONDS = 120.0
HOME = Path("/opt/exabgp-metallb")
PROGRAM = HOME / "bin" / "exabgp-metallb"
UNITS = "usr/local/lib/systemd/system"
SETTINGS = "etc/exabgp-metallb/exabgp-metallb.env"
CREDENTIALS = "etc/credstore"
DYNAMIC_USER = 61184  # the first of those that systemd gives out: systemd.exec(5)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ROOT = Path(__file__).parents[2]
LONGEST = 4096  # bytes of what a unit tells at a time

BOUND = {HOME / "python": Path(sys.base_prefix), HOME / "source": ROOT}
"""What an installation is made of here: users other than root may not be let into where it is."""

PLACES = ("opt", "run", "var/lib", "etc/passwd", "etc/group", "etc/hosts")
"""Of a machine's files, those that its programs find where they belong."""

LAUNCHER = f"""#!{HOME}/bin/python3
from exabgp_metallb.cli import main
main()
"""


class UnitAgent:
    """One unit on a machine.

    Args:
        machine: where.
        file: the unit.
    """

    def __init__(self, machine: "Machine", file: UnitFile) -> None:
        self._machine = machine
        self._file = file
        self._name = file.name.partition(".")[0]
        self._notify = f"/run/{self._name}.notify"
        self._socket: socket.socket | None = None  # until it has said that it is ready
        environment = self._environment()
        shell = ["unshare", "--uts", "sh", "-euc", self._script(environment), self._name]
        self.daemon = Daemon(
            machine.host,
            shell,
            output=machine.host.lab.folder / f"{self._name}-{machine.host.name}.log",
            env=environment,
        )

    def start(self) -> None:
        """Start it; it is not ready yet."""
        self._make_folders()
        self._listen()
        self.daemon.start()

    def stop(self) -> None:
        """End it as `systemctl stop` does, which waits."""
        assert self._file.get("KillMode", "mixed") == "mixed"  # to the main process alone
        self.daemon.stop()

    def upgrade(self) -> None:
        """End it, start it, and wait until it is ready, as `systemctl restart` does."""
        self.stop()
        self.start()
        self.wait_ready()

    def ready(self) -> bool:
        """Tell whether it has said so, where its Type= asks for that."""
        while self._socket is not None:
            try:
                told = self._socket.recv(LONGEST)
            except BlockingIOError:
                return False
            if b"READY=1" in told.split(b"\n"):
                self._hang_up()
        return True

    def wait_ready(self) -> None:
        """Wait until it is ready."""

        def look() -> bool:
            self.daemon.check()
            return self.ready()

        wait_for(
            look, READY_SECONDS, lambda: f"{self._file.name} is ready\n{tail(self.daemon.output)}"
        )

    def _script(self, environment: Mapping[str, str]) -> str:
        machine, file = self._machine, self._file
        confined = self._confined()
        lines = [f"echo {machine.host.name} > /proc/sys/kernel/hostname", *machine.mounts()]
        lines.append(f"umask {file.get('UMask', '0022')}")
        lines.append(f"cd {file.get('WorkingDirectory', '/')}")
        for words in file.commands("ExecStartPre", environment):
            assert words[0].startswith("-")  # its failure stops nothing
            words[0] = words[0][1:]
            lines.append(f'{shlex.join([*confined, *words])} || echo "ExecStartPre: status $?"')
        (words,) = file.commands("ExecStart", environment)
        lines.append(f"exec {shlex.join([*confined, *words])}")
        return "\n".join(lines)

    def _confined(self) -> list[str]:
        """Return what makes a command the unit's user, with no more rights than the unit has."""
        file = self._file
        assert file.has("CapabilityBoundingSet")
        assert file.get("NoNewPrivileges") == "yes"
        sets = {"bounding-set": "CapabilityBoundingSet", "inh-caps": "AmbientCapabilities"}
        sets["ambient-caps"] = sets["inh-caps"]
        rights = []
        for option, key in sets.items():
            kept = "".join(f",+{each.removeprefix('CAP_').lower()}" for each in file.words(key))
            rights.append(f"--{option}=-all{kept}")
        uid, gid, groups = self._identity()
        user = [f"--reuid={uid}", f"--regid={gid}"]
        user.append(f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups")
        return ["setpriv", *user, "--no-new-privs", *rights, "--"]

    def _identity(self) -> tuple[int, int, list[int]]:
        """Return user, group and further groups."""
        file, machine = self._file, self._machine
        if file.get("DynamicUser") == "yes":
            return DYNAMIC_USER, DYNAMIC_USER, []
        name, more = file.get("User"), file.words("SupplementaryGroups")
        rows = machine.rows("group")
        groups = [int(row[2]) for row in rows if name in row[3].split(",") or row[0] in more]
        return machine.number("passwd", name), machine.number("group", file.get("Group")), groups

    def _environment(self) -> dict[str, str]:
        """Return the whole environment: systemd's own, and that of the file.

        And where the libraries of a Python are that is in another place than it was built for.
        """
        file = self._file
        set_by_systemd = {"PATH": PATH, "LANG": "C.UTF-8", "LD_LIBRARY_PATH": f"{HOME}/python/lib"}
        if user := file.get("User"):  # a dynamic one has no home
            row = next(row for row in self._machine.rows("passwd") if row[0] == user)
            set_by_systemd |= {"USER": user, "LOGNAME": user, "HOME": row[5], "SHELL": row[6]}
        if file.get("Type") == "notify":
            set_by_systemd["NOTIFY_SOCKET"] = self._notify
            seconds = int(file.get("WatchdogSec").removesuffix("s"))
            set_by_systemd["WATCHDOG_USEC"] = f"{seconds * 1_000_000}"
        for key, parent in (("State", "/var/lib"), ("Runtime", "/run")):
            if name := file.get(f"{key}Directory"):
                set_by_systemd[f"{key.upper()}_DIRECTORY"] = f"{parent}/{name}"
        if file.has("LoadCredential"):
            set_by_systemd["CREDENTIALS_DIRECTORY"] = f"/run/credentials/{file.name}"
        own = dict(word.split("=", 1) for word in file.words("Environment"))
        for path in file.words("EnvironmentFile"):
            own |= settings(self._machine.path(path.removeprefix("-")))
        return set_by_systemd | own

    def _make_folders(self) -> None:
        """Make the folders that are the unit's, and put its credentials where it finds them."""
        file, machine = self._file, self._machine
        uid, gid, _ = self._identity()
        for key, parent in (("State", "var/lib"), ("Runtime", "run")):
            if name := file.get(f"{key}Directory"):
                folder = machine.path(f"{parent}/{name}")
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(int(file.get(f"{key}DirectoryMode", "0755"), 8))
                shutil.chown(folder, uid, gid)
        for word in file.words("LoadCredential"):
            name, _, source = word.partition(":")
            folder = machine.path(f"run/credentials/{file.name}")
            folder.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # not every machine has it
                shutil.copy(machine.path(f"{CREDENTIALS}/{source}"), folder / name)
                (folder / name).chmod(0o400)
                shutil.chown(folder / name, uid, gid)

    def _listen(self) -> None:
        """Hear what this start tells systemd."""
        if self._file.get("Type") != "notify":
            return
        self._hang_up()
        path = self._machine.path(self._notify)
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)  # noqa: FBT003 -- the standard library's
        self._socket.bind(str(path))
        path.chmod(0o666)

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Machine(Agents[UnitAgent]):
    """A host with our units, and those that are enabled on it.

    Args:
        host: the host; its name is the machine's.
        enabled: the units, by the word that their names have of their own.
        options: settings that an administrator takes another value for, in the file of settings.
        credentials: what goes to /etc/credstore, by name.
    """

    def __init__(
        self,
        host: Host,
        enabled: Iterable[str],
        *,
        options: Mapping[str, str],
        credentials: Mapping[str, Path],
    ) -> None:
        self.host = host
        self._files = host.lab.folder / f"files-{host.name}"
        self._install()
        for name, value in options.items():
            self._set(name, value)
        for name, source in credentials.items():
            shutil.copy(source, self.path(f"{CREDENTIALS}/{name}"))
        files = [UnitFile(self.path(f"{UNITS}/exabgp-metallb-{name}.service")) for name in enabled]
        after = {file.name: file.words("After") for file in files}
        order = [name for name in TopologicalSorter(after).static_order() if name in after]
        files.sort(key=lambda file: order.index(file.name))
        super().__init__(
            {
                file.name.removeprefix("exabgp-metallb-").removesuffix(".service"): UnitAgent(
                    self, file
                )
                for file in files
            }
        )

    def stop(self) -> None:
        """End all, as `systemctl stop exabgp-metallb.target`: what was started last ends first."""
        for agent in reversed([*self]):
            agent.stop()

    def path(self, name: str) -> Path:
        """Return a file of the machine, as seen from here."""
        return self._files / name.lstrip("/")

    def rows(self, database: str) -> list[list[str]]:
        """Return its users (`passwd`) or groups (`group`), field by field."""
        return [line.split(":") for line in self.path(f"etc/{database}").read_text().splitlines()]

    def number(self, database: str, name: str) -> int:
        """Return the id of a user or a group."""
        return next(int(row[2]) for row in self.rows(database) if row[0] == name)

    def mounts(self) -> list[str]:
        """Return commands that put its files in place, for who has a mount namespace of his own."""
        packages = next(path for path in sys.path if path.endswith("site-packages"))
        parts = {**BOUND, HOME / "packages": Path(packages)}
        places = [(str(source), str(self.path(str(part)))) for part, source in parts.items()]
        places += [(str(self.path(place)), f"/{place}") for place in PLACES]
        return [shlex.join(["mount", "--rbind", *words]) for words in places]

    def _install(self) -> None:
        """Do what docs/install-systemd.md says for the files of another root."""
        for name in ("etc", "run", "var/lib"):
            self.path(name).mkdir(parents=True)
        for name in ("etc/passwd", "etc/group"):
            shutil.copy(Path("/") / name, self.path(name))
        # As the installer of Debian writes it. Without its own name there a host asks DNS for it
        # whenever ExaBGP starts, which takes ten seconds where no DNS answers.
        self.path("etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.host.name}\n")
        self._make_program()
        for _ in Units(PROGRAM, root=self._files).install():
            pass
        command(["systemd-sysusers", f"--root={self._files}"])
        command(["systemd-tmpfiles", f"--root={self._files}", "--create"])

    def _make_program(self) -> None:
        """Make what `python3 -m venv` and pip make, of modules and a Python that are elsewhere."""
        home = self.path(str(HOME))
        site = home / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
        for folder in (home / "bin", site / "site-packages", *map(self.path, map(str, BOUND))):
            folder.mkdir(parents=True)
        (home / "packages").mkdir()
        (home / "pyvenv.cfg").write_text(f"home = {HOME}/python/bin\n")
        (home / "bin" / "python3").symlink_to(HOME / "python" / "bin" / "python3")
        (home / "bin" / "exabgp-metallb").write_text(LAUNCHER)
        (home / "bin" / "exabgp-metallb").chmod(0o755)
        shared = f"{HOME}/source\n{HOME}/packages\n"
        (site / "site-packages" / "shared.pth").write_text(shared)

    def _set(self, name: str, value: str) -> None:
        """Take another value for a setting, as a person does: the line is there, commented out."""
        file = self.path(SETTINGS)
        text, found = re.subn(rf"(?m)^#{name}=.*$", f"{name}={value}", file.read_text())
        assert found == 1, name
        file.write_text(text)
