"""The command line: arguments, environment and exit codes.

    0  done; for `plan` and `check`: the configuration is valid
    1  at least one object is rejected; for `status` and `preflight`: something is wrong
    2  the input cannot be read, nobody answers, or the call is wrong

Every option that daemons have too can be given as EXABGP_METALLB_<OPTION> in the environment. What
a command needs beyond the standard library and click is imported when it is called: `--help` and
shell completion stay quick.
"""

import io
import sys
from typing import NoReturn

from exabgp_metallb.cli import daemons, installing, operating, planning, preflighting, showing
from exabgp_metallb.cli.group import NAME, VALID, commands

__all__ = [
    "commands",
    "daemons",
    "installing",
    "main",
    "operating",
    "planning",
    "preflighting",
    "showing",
]


def main() -> NoReturn:
    """Run the command that the arguments name; the entry point of the package."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where it was closed
            stream.reconfigure(errors="backslashreplace")  # for a terminal that knows ASCII alone
    commands.main(prog_name=NAME)
    sys.exit(VALID)
