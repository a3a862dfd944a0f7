"""The errors a person can meet, each with the exit code that scripts rely on.

    ProbesError              1  it could not be done
     ├── UsageError          2  a word on the command line is wrong
     │    └── ConfigError    2  the configuration is wrong
     │         └── NoConfigError  2  there is none
     ├── RunFolderError      1  a run folder cannot be written or read
     ├── GuardStop           4  a guard ended the run
     └── CredentialsError    5  every call was refused for its credentials

A failed request is not an error: it is an Observation.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Exit codes of every command (contract, section Commands)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    FINDING = 3
    GUARD = 4
    CREDENTIALS = 5
    INTERRUPTED = 130


class ProbesError(Exception):
    """It could not be done; the message is one sentence that says what, where and what to do."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED


class UsageError(ProbesError):
    """A word on the command line is wrong."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """The configuration is missing, unreadable or wrong."""


class NoConfigError(ConfigError):
    """There is no configuration at all, neither a file nor in the environment."""


class RunFolderError(ProbesError):
    """A run folder cannot be written, or what it holds is not a run."""


class GuardStop(ProbesError):
    """A guard ended the run; what was measured until then is kept."""

    exit_code = ExitCode.GUARD


class CredentialsError(ProbesError):
    """Every call was refused for its credentials, and there is nothing else to tell."""

    exit_code = ExitCode.CREDENTIALS
