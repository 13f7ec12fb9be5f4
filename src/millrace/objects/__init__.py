"""Object stores as the archive and the sealed history open them; the only place of S3's options."""

from millrace.objects.s3 import S3Options, first_line, open_bucket, table_options

__all__ = ["S3Options", "first_line", "open_bucket", "table_options"]
