"""Secrets: given in the settings, by the environment, or as the path of a file."""

from pathlib import Path

from pydantic import SecretStr

from millrace.errors import UsageError


def secret(setting: str, value: SecretStr, path: Path | None) -> str:
    """Return a secret, empty when none is given; blanks at the ends of a file are removed.

    Raises:
        UsageError: It is given twice, or its file cannot be read.
    """
    if path is None:
        return value.get_secret_value()
    if value.get_secret_value():
        raise UsageError(f"{setting} and {setting}_file: both are given", "remove one of them")
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{setting}_file: {path} cannot be read: {error}") from error
