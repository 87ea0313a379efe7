"""`${text:FILE}` in conf/: what a small file says, as one plain value, so that a checkpoint carries it along."""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf

MOST_BYTES = 1 << 20


def text_of(path: str | None) -> str:
    """The text of the file; where there is none, the word itself, which whoever takes the setting may know."""
    file = Path(str(path)).expanduser()
    if path is None or not file.is_file():
        return str(path or "")
    size = file.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"{path} has {size} bytes; a text for the configuration has at most {MOST_BYTES}.")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: {error}.") from None
    if "${" in text:
        raise ValueError(f"{path} holds '${{', which a configuration would look up. Write it without.")
    return text


OmegaConf.register_new_resolver("text", text_of, replace=True)
