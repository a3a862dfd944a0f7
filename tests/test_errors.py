from __future__ import annotations

import pytest

from probes import errors
from probes.errors import ExitCode

CODES = {
    errors.ProbesError: 1,
    errors.UsageError: 2,
    errors.ConfigError: 2,
    errors.NoConfigError: 2,
    errors.RunFolderError: 1,
    errors.GuardStop: 4,
    errors.CredentialsError: 5,
}


def test_every_error_has_the_exit_code_of_the_contract() -> None:
    """Each class of error ends a command with the code that scripts rely on, and no class is left out."""
    found = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.ProbesError)}
    assert {kind: int(kind.exit_code) for kind in found} == CODES


def test_exit_codes_of_the_contract() -> None:
    """The seven exit codes have the contract's numbers."""
    assert {code.name: code.value for code in ExitCode} == {
        "DONE": 0,
        "FAILED": 1,
        "USAGE": 2,
        "FINDING": 3,
        "GUARD": 4,
        "CREDENTIALS": 5,
        "INTERRUPTED": 130,
    }


def test_a_configuration_error_is_a_usage_error() -> None:
    """Who catches usage errors catches configuration errors, and who catches ours catches all."""
    with pytest.raises(errors.UsageError):
        raise errors.ConfigError("x")
    assert errors.__doc__ is not None
    assert all(kind.__name__ in errors.__doc__ for kind in CODES)
