"""Raw messages as objects: names, layouts, the manifest, and the way back to the messages."""

from millrace.flow.archive.layouts import LAYOUTS, Layout, Written
from millrace.flow.archive.message import ArchivedMessage
from millrace.flow.archive.reader import ArchiveReader

__all__ = ["LAYOUTS", "ArchiveReader", "ArchivedMessage", "Layout", "Written"]
