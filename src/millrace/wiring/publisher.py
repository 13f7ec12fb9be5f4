"""Settings to what decodes for consumers of others."""

from millrace.codecs.f2.records import decoded_record
from millrace.decode.router import Router
from millrace.model.series import SeriesBook
from millrace.ports.public_stream import PublicStream
from millrace.publishing import Publisher
from millrace.record.public import Recorder
from millrace.settings import Settings
from millrace.wiring.families import codecs


def build_publisher(settings: Settings, stream: PublicStream) -> Publisher:
    """Return what decodes for consumers of others."""
    book = SeriesBook(settings.series.max_per_device, settings.series.max_total)
    families = codecs(settings)
    registration = {codec.family: settings.registry.registration for codec in families}
    router = Router(families, book, registration=registration)
    recorder = Recorder(book, {"f2": decoded_record}, include_raw=settings.decoded.include_raw)
    return Publisher(router, book, recorder, stream)
